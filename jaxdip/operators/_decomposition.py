"""The spectrum of any linear operator by a dense decomposition of its matrix."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array
from jaxdip.operators._base import AbstractLinearOperator
from jaxdip.operators._coordinates import (
    check_dense_size,
    columns_at,
    conform,
    eps_of,
    from_real,
    is_complex,
    real_size,
    to_real,
)


def safe_reciprocal(values: Array, threshold: Array) -> Array:
    """1/values where |values| > threshold, otherwise 0."""
    kept = jnp.abs(values) > threshold
    return jnp.where(kept, 1 / jnp.where(kept, values, jnp.ones_like(values)), 0)


def matrix_by_columns(operator: AbstractLinearOperator) -> Array:
    """The dense matrix, by n applications of the operator (2n for complex signals, real data).

    Raises:
        ValueError: if it would have more than 2e8 entries, or if the operator takes complex
            signals to complex data without being complex-linear.
    """
    complex_in, complex_out = _complexity(operator)
    if complex_in and complex_out and not operator.complex_linear:
        raise ValueError(
            "no complex matrix represents an operator that is linear over the reals only; "
            "use real_matrix()"
        )
    check_dense_size(operator.m, operator.n)
    columns = columns_at(operator.__call__, operator.in_structure)
    if complex_in and not complex_out:
        # The images of e_i and i e_i are Re(M e_i) and Re(M i e_i) = -Im(M e_i).
        imaginary = columns_at(operator.__call__, operator.in_structure, 1j)
        return jax.lax.complex(columns, -imaginary)
    return columns


def dense_rounding(operator: AbstractLinearOperator) -> float:
    """eps·max(m, n), relative to ‖A‖, as NumPy counts the rank."""
    return max(_rows_and_columns(operator)) * eps_of(operator.in_structure)


def dense_singular_values(operator: AbstractLinearOperator) -> Array:
    """All singular values in descending order.

    Raises:
        ValueError: if the matrix would have more than 2e8 entries.
    """
    matrix = _spectral_matrix(operator)
    return jnp.linalg.svd(matrix, full_matrices=False, compute_uv=False)


def dense_pseudo_inverse(operator: AbstractLinearOperator, y: Array) -> Array:
    """A⁺ y, the minimum-norm least-squares solution, with the threshold of `dense_rounding`.

    Raises:
        ValueError: if the matrix would have more than 2e8 entries.
    """
    y = conform(y, operator.out_structure, "pseudo_inverse")
    u, s, vh = jnp.linalg.svd(_spectral_matrix(operator), full_matrices=False)
    inverse = safe_reciprocal(s, dense_rounding(operator) * jnp.max(s))
    if operator.complex_linear:
        return _invert(u, inverse, vh, y.ravel()).reshape(operator.in_structure.shape)
    return from_real(_invert(u, inverse, vh, to_real(y)), operator.in_structure)


def _complexity(operator: AbstractLinearOperator) -> tuple[bool, bool]:
    return is_complex(operator.in_structure), is_complex(operator.out_structure)


def _rows_and_columns(operator: AbstractLinearOperator) -> tuple[int, int]:
    if operator.complex_linear:
        return operator.m, operator.n
    return real_size(operator.out_structure), real_size(operator.in_structure)


def _spectral_matrix(operator: AbstractLinearOperator) -> Array:
    """The matrix whose singular values are the operator's: real unless it is complex-linear."""
    check_dense_size(*_rows_and_columns(operator))
    complex_in, complex_out = _complexity(operator)
    if complex_in and complex_out and not operator.complex_linear:
        return operator.real_matrix()
    matrix = operator.matrix()
    if complex_in and not complex_out:
        return jnp.concatenate([matrix.real, -matrix.imag], axis=1)
    if complex_out and not complex_in:
        return jnp.concatenate([matrix.real, matrix.imag], axis=0)
    return matrix


def _invert(u: Array, inverse: Array, vh: Array, y: Array) -> Array:
    highest = jax.lax.Precision.HIGHEST
    # A real decomposition also serves complex data (a real matrix on complex signals).
    u, inverse, vh = (a.astype(y.dtype) for a in (u, inverse, vh))
    coefficients = inverse * jnp.matmul(u.conj().T, y, precision=highest)
    return jnp.matmul(vh.conj().T, coefficients, precision=highest)
