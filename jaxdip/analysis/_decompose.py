"""Singular values from a matrix, from its Gram matrix, and from products alone."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Float, Key
from jaxdip.analysis._closed_factor import Factor
from jaxdip.analysis._golub_kahan import golub_kahan
from jaxdip.analysis._jacobian import Jacobian

#: Up to this many rows a singular value decomposition is cheap enough to replace the Gram matrix.
_LARGEST_SVD = 1024


class Decomposition(eqx.Module):
    """Singular values in descending order, as many as the route found.

    Attributes:
        values: σ̂_i.
        error: by how much each may be off (for Ritz values: from some singular value).
        rounding: the size below which a value is not told from zero.
        left: left vectors as columns, or None.
        how: in words.
    """

    values: Float[Array, " r"]
    error: Float[Array, " r"]
    rounding: Float[Array, ""]
    left: Float[Array, "m r"] | None
    how: str = eqx.field(static=True)


def by_factor(factor: Factor, count: int, vectors: bool) -> Decomposition:
    """From J Jᵀ = B Bᵀ + ρ² I: by the SVD of B where it is small, else by the Gram matrix.

    A Gram matrix keeps half the digits of small singular values. Where the smallest of the `count`
    is not told from zero (and its value can be looked at), the SVD of B replaces it.
    """
    svd = f"reduced SVD of the closed-form factor of the {factor.of_what}'s Jacobian"
    if factor.B.shape[0] <= _LARGEST_SVD:
        return by_svd(factor.B, factor.rho, count, vectors, svd)
    found = _by_gram(factor, count, vectors)
    last = found.values[-1], found.rounding
    if is_concrete(last) and np.asarray(last[0]) < 2 * np.asarray(last[1]):
        return by_svd(factor.B, factor.rho, count, vectors, svd)
    return found


@eqx.filter_jit
def by_svd(B: Array, rho: Array, count: int, vectors: bool, how: str) -> Decomposition:
    """The `count` largest singular values of [B, ρ I].

    Their error is that of a backward stable SVD, (max(m, q) + 10) eps σ_max with NumPy's factor for
    rank decisions; that of the entries of B comes on top.
    """
    m, q = B.shape
    if vectors:
        # Columns of zeros complete the left vectors to a basis.
        B = jnp.pad(B, ((0, 0), (0, max(0, count - q))))
        left, values = _left_svd(B)
        left = left[:, :count]
    else:
        left, values = None, jnp.linalg.svd(_tall(B), full_matrices=False, compute_uv=False)
    values = jnp.hypot(_first(values, count), rho)
    error = values[0] * ((max(m, q) + 10) * float(jnp.finfo(B.dtype).eps))
    return Decomposition(values, jnp.full_like(values, error), error, left, how)


def _tall(B: Array) -> Array:
    """B or Bᵀ, whose singular values are the same, with at least as many rows as columns.

    LAPACK's columns are the rows of what JAX passes, so a wide matrix costs several times as much.
    """
    return B.T if B.shape[0] < B.shape[1] else B


def _left_svd(B: Array) -> tuple[Array, Array]:
    """Left singular vectors as columns, and singular values."""
    if B.shape[0] < B.shape[1]:
        _, values, right = jnp.linalg.svd(B.T, full_matrices=False)
        return right.conj().T, values
    left, values, _ = jnp.linalg.svd(B, full_matrices=False)
    return left, values


@eqx.filter_jit
def _by_gram(factor: Factor, count: int, vectors: bool) -> Decomposition:
    """The square roots of the eigenvalues of B Bᵀ + ρ² I.

    Rounding moves an eigenvalue by at most e = (q + m) eps (‖B‖_F² + ρ²): q eps ‖B‖_F² for the
    product (Higham, Accuracy and Stability of Numerical Algorithms, Section 3.5), the rest for the
    eigenvalues. So σ lies between √(λ − e) and √(λ + e).
    """
    B, m, q = factor.B, *factor.B.shape
    gram = jnp.matmul(B, B.T, precision=jax.lax.Precision.HIGHEST)
    if vectors:
        eigenvalues, left = jnp.linalg.eigh(gram)
        left = left[:, ::-1][:, :count]
    else:
        eigenvalues, left = jnp.linalg.eigvalsh(gram), None
    # ρ² is added after the decomposition, where it costs no digits.
    squares = jnp.maximum(_first(eigenvalues[::-1], count), 0) + factor.rho**2
    e = (jnp.sum(B * B) + factor.rho**2) * ((q + m) * float(jnp.finfo(B.dtype).eps))
    values = _root(squares)
    error = jnp.maximum(values - _root(squares - e), _root(squares + e) - values)
    how = (
        f"eigenvalues of the closed-form Gram matrix of the {factor.of_what}, each within "
        "(q + m) eps ||B||_F^2"
    )
    return Decomposition(values, error, _root(e), left, how)


@eqx.filter_jit
def by_krylov(J: Jacobian, depth: int, vectors: bool, key: Key) -> Decomposition:
    """Ritz values of `depth` Golub-Kahan steps from a random start.

    With J V q = σ U p + ρ u and Jᵀ U p = σ V q, some singular value of J (or zero, if J is not
    square) lies within ‖ρ u‖ of σ: that is `error`.
    """
    start_key, fresh_key = jax.random.split(key)
    start = jax.random.normal(start_key, (J.rows,), J.dtype)
    bidiagonal = golub_kahan(J.product(), start, depth, fresh_key)
    P, values, Qt = jnp.linalg.svd(bidiagonal.L)
    left = None
    if vectors:
        left = jnp.matmul(bidiagonal.left, P, precision=jax.lax.Precision.HIGHEST)
    rounding = values[0] * ((max(J.rows, J.columns) + 10) * float(jnp.finfo(J.dtype).eps))
    error = bidiagonal.beta * jnp.abs(Qt[:, -1]) + rounding
    how = f"Ritz values of {depth} Golub-Kahan steps"
    return Decomposition(values, error, rounding, left, how)


def _first(values: Array, count: int) -> Array:
    """The first `count` values, zeros where there are fewer."""
    return jnp.pad(values[:count], (0, max(0, count - values.shape[0])))


def _root(x: Array) -> Array:
    """√max(x, 0), differentiable at 0."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)
