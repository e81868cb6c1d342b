"""Numbers that callers give: kept as arrays, so that a new value never recompiles."""

import math
import operator
from typing import Any

import jax.numpy as jnp

from jaxdip._tree import is_concrete
from jaxdip._types import Array, RealScalar

#: Rounding of a residual of data y, in units of eps ‖y‖: where a float32 descent reports a loss of
#: 1e-14 the true one is up to that of 3 eps ‖y‖ (`benchmarks/precision.py`).
RESIDUAL_ROUNDING = 4.0


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


def whole(value: Any) -> int | None:
    """The value as a Python int, NumPy's and JAX's whole numbers included; None if it is none."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def count(name: str, value: Any, least: int) -> int:
    """A count as a Python int.

    Raises:
        TypeError: unless it is a whole number.
        ValueError: if it is less than `least`.
    """
    n = whole(value)
    if n is None or n < least:
        error = TypeError if n is None else ValueError
        raise error(f"{name} is a whole number, at least {least}, got {value!r}")
    return n


def fraction(name: str, value: RealScalar | None) -> Array:
    """A number strictly between 0 and 1.

    Raises:
        TypeError: if it is not a number, or None.
        ValueError: if it lies elsewhere.
    """
    array = given(name, value, positive=True)
    if is_concrete(array) and float(array) >= 1:
        raise ValueError(f"{name} is between 0 and 1, got {float(array):g}")
    return array


def given(name: str, value: RealScalar | None, *, positive: bool) -> Array:
    """`number`, of what has no default.

    Raises:
        TypeError: if it is not a number, or None.
        ValueError: if it is not finite, negative, or zero where `positive`.
    """
    array = number(name, value, positive=positive)
    if array is None:
        raise TypeError(f"{name} is a real number, got None")
    return array
