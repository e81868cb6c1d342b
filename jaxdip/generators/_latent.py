"""The latent u, drawn once and then fixed."""

import jax
import jax.numpy as jnp

from jaxdip._random import check_key
from jaxdip._types import Array, Float, Key
from jaxdip.generators._sizes import whole


def on_sphere(d: int, *, key: Key, dtype=None) -> Float[Array, " d"]:
    """A point drawn uniformly from the unit sphere of R^d, as the theorems assume of u.

    Args:
        d: the dimension, at least 1.
        key: the random key.
        dtype: the real dtype; by default JAX's default float.

    Raises:
        TypeError: if d is not a whole number, or `key` is not a typed key.
        ValueError: if d < 1.
    """
    d = whole("the latent dimension d", d)
    check_key(key)
    direction = jax.random.normal(key, (d,), dtype or jnp.result_type(float))
    return direction / jnp.linalg.norm(direction)
