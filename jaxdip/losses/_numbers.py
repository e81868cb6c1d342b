"""Numbers at the door: hyperparameters as array leaves, and checks of data and predictions."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdip._tree import is_concrete
from jaxdip._types import Array


def concrete(x: ArrayLike) -> np.ndarray | None:
    """The values of `x`, or None while it is traced and has none."""
    return np.asarray(x) if is_concrete(x) else None


def parameter(
    value: ArrayLike, name: str, allowed: Callable[[np.ndarray], np.ndarray], expected: str
) -> Array:
    """A real scalar hyperparameter as an array leaf, its value checked where it has one."""
    if jnp.iscomplexobj(value):
        raise TypeError(f"{name} is a real number, got complex {value}; take its real part")
    floating = jnp.issubdtype(jnp.result_type(value), jnp.floating) and hasattr(value, "dtype")
    number = jnp.asarray(value) if floating else jnp.asarray(value, jnp.result_type(float))
    if number.shape != ():
        raise ValueError(
            f"{name} is a scalar, got shape {number.shape}; for a batch build the loss under vmap"
        )
    known = concrete(number)
    if known is not None and not bool(allowed(known)):
        raise ValueError(f"{name} must be {expected}, got {known}")
    return number


def real_dtype(y: Array) -> np.dtype:
    """The dtype of |y|."""
    return jnp.finfo(jnp.result_type(y)).dtype


def like(values: ArrayLike, *numbers: Array) -> tuple[Array, ...]:
    """`values` as a floating array, followed by `numbers` in its dtype."""
    array = jnp.asarray(values)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        array = array.astype(jnp.result_type(float))
    return (array, *(number.astype(array.dtype) for number in numbers))


def check_pair(v: Array, y: Array, *, takes_complex: bool) -> None:
    """Refuses a prediction and data that the loss cannot compare (shapes and kinds only)."""
    if jnp.shape(v) != jnp.shape(y):
        raise ValueError(
            f"prediction and data have one shape, got {jnp.shape(v)} and {jnp.shape(y)};"
            " reshape one of them"
        )
    if not takes_complex and (jnp.iscomplexobj(v) or jnp.iscomplexobj(y)):
        raise TypeError(
            "this loss compares real numbers, got complex ones; use MSE or Power, or stack real and"
            " imaginary parts"
        )


def check_values(y: Array, *, takes_complex: bool) -> np.ndarray | None:
    """Refuses data that are empty, of the wrong kind or not finite; returns their values."""
    if not jnp.issubdtype(jnp.result_type(y), jnp.inexact):
        raise ValueError(f"data must be floating, got {jnp.result_type(y)}; cast them first")
    if jnp.iscomplexobj(y) and not takes_complex:
        raise ValueError(
            f"this loss takes real data, got {jnp.result_type(y)}; use MSE or Power, or stack real"
            " and imaginary parts"
        )
    if jnp.size(y) == 0:
        raise ValueError(f"data must have an entry, got shape {jnp.shape(y)}; pass the observation")
    values = concrete(y)
    if values is not None:
        refuse(~np.isfinite(values), "finite", "drop these entries or mask them in the operator")
    return values


def refuse(bad: np.ndarray, expected: str, mend: str) -> None:
    """Raises where any entry of `bad` is true, with the number of them."""
    count = int(np.count_nonzero(bad))
    if count:
        raise ValueError(f"data must be {expected}, {count} of {bad.size} entries are not; {mend}")


def abs2(r: Array) -> Array:
    """|r|² entry by entry, real for complex r too."""
    return r.real**2 + r.imag**2 if jnp.iscomplexobj(r) else r**2
