"""Random signals and data on which an operator is checked."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Key
from jaxdip.operators._base import AbstractOperator
from jaxdip.operators._coordinates import is_complex


def draw(key: Key, operator: AbstractOperator, count: int) -> tuple[Array, Array]:
    """Independent normal signals and data, `count` of each along a new first axis.

    Complex entries have independent real and imaginary parts.
    """
    # Drawn on the host: JAX would compile a generator for each new shape.
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())

    def normal(structure: jax.ShapeDtypeStruct) -> Array:
        shape = (count, *structure.shape)
        values = generator.standard_normal(shape)
        if is_complex(structure):
            values = values + 1j * generator.standard_normal(shape)
        return jnp.asarray(values.astype(structure.dtype))

    return normal(operator.in_structure), normal(operator.out_structure)
