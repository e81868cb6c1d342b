"""Numbers that a dynamics is made of: kept as arrays, so that a new value never recompiles."""

import math

import jax.numpy as jnp

from jaxdip._tree import is_concrete
from jaxdip._types import Array, RealScalar


def number(name: str, value: RealScalar | None, *, positive: bool, hint: str = "") -> Array | None:
    """The value as a real array, checked where it can be looked at.

    Raises:
        TypeError: if it is not a number.
        ValueError: if it is not finite, negative, or zero where `positive`.
    """
    if value is None:
        return None
    if isinstance(value, bool | str | complex):
        raise TypeError(f"{name} is a real number, got {value!r}")
    try:
        array = jnp.asarray(value, jnp.result_type(float))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is a real number, got {value!r}") from error
    if array.ndim:
        raise ValueError(
            f"{name} is one number, got shape {array.shape}; for several values use jax.vmap"
        )
    if is_concrete(array):
        x = float(array)
        if not math.isfinite(x) or x < 0 or (positive and x == 0):
            sign = "positive" if positive else "zero or positive"
            raise ValueError(f"{name} is finite and {sign}, got {x:g}{hint}")
    return array
