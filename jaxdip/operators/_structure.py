"""What the signals of an operator are, from what its constructor was told."""

import math
from typing import Any

import jax
import jax.numpy as jnp


def signal_structure(shape: Any, dtype: Any) -> jax.ShapeDtypeStruct:
    """The structure of signals of this shape and dtype (the default real dtype if None).

    Raises:
        ValueError: if an extent is not positive.
        TypeError: if the dtype is not floating-point.
    """
    shape = (shape,) if isinstance(shape, int) else tuple(int(extent) for extent in shape)
    if any(extent < 1 for extent in shape):
        raise ValueError(f"the shape of a signal has positive extents, got {shape}")
    dtype = jnp.result_type(float if dtype is None else dtype)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise TypeError(f"signals are real or complex floating-point, got dtype {dtype.name}")
    return jax.ShapeDtypeStruct(shape, dtype)


def flat_structure(size: int, shape: Any, dtype: Any) -> jax.ShapeDtypeStruct:
    """The structure of signals of `size` entries; (size,) if no shape is given.

    Raises:
        ValueError: if the shape has another number of entries.
    """
    structure = signal_structure((size,) if shape is None else shape, dtype)
    if math.prod(structure.shape) != size:
        raise ValueError(
            f"in_shape {structure.shape} has {math.prod(structure.shape)} entries, but the "
            f"operator acts on {size}; they must agree"
        )
    return structure
