"""The norm of a linear operator that is too large to decompose."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Key
from jaxdip.operators._base import AbstractLinearOperator


def estimate_norm(operator: AbstractLinearOperator, *, key: Key, iterations: int = 100) -> Array:
    """‖A‖ by power iteration on A* A, always a lower estimate.

    v ← A* A v / ‖A* A v‖ from a random v; the estimate is ‖A v‖ for the last unit vector v. It
    approaches ‖A‖ from below, slowly where the largest singular values lie close together.

    Args:
        operator: any linear operator.
        key: the random key of the start.
        iterations: the number of applications of A* A.

    Returns:
        A real number ≤ ‖A‖ (up to rounding); 0 for the zero operator.

    Raises:
        TypeError: if the operator is not linear.
    """
    if not isinstance(operator, AbstractLinearOperator):
        raise TypeError(
            f"a norm belongs to a linear operator, got {type(operator).__name__}; "
            "take operator.linearize(x)"
        )
    structure = operator.in_structure
    start = jax.random.normal(key, structure.shape, structure.dtype)

    def improve(_: Array, v: Array) -> Array:
        return _unit(operator.adjoint(operator(v)))

    v = jax.lax.fori_loop(0, iterations, improve, _unit(start))
    return length(operator(v))


def length(x: Array) -> Array:
    """The Euclidean norm of all entries, a real number."""
    return jnp.linalg.norm(x.ravel())


def ratio(numerator: Array, denominator: Array) -> Array:
    """The quotient of two real numbers, or the numerator where the denominator is zero."""
    return numerator / jnp.where(denominator > 0, denominator, jnp.ones_like(denominator))


def _unit(x: Array) -> Array:
    size = length(x)
    return x / jnp.where(size > 0, size, jnp.ones_like(size)).astype(x.dtype)
