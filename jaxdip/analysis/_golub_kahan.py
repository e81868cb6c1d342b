"""Golub-Kahan bidiagonalisation with full reorthogonalisation, matrix-free."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float, Key
from jaxdip.analysis._jacobian import Product

#: A vector shorter than this many roundings of ‖J‖ is what rounding left of zero.
_LOST = 10.0


class Bidiagonal(NamedTuple):
    """Jᵀ U = V Lᵀ and J V = U L + β u eᵀ, with orthonormal U and L lower bidiagonal.

    Attributes:
        left: U, shape (m, depth).
        L: shape (depth, depth).
        beta: β, by which U fails to be invariant.
    """

    left: Float[Array, "m depth"]
    L: Float[Array, "depth depth"]
    beta: Float[Array, ""]


def golub_kahan(J: Product, start: Float[Array, " m"], depth: int, key: Key) -> Bidiagonal:
    """Bidiagonalises J on the Krylov space of J Jᵀ from `start`.

    The singular values of L are those of Jᵀ restricted to span U. The largest therefore approaches
    σ_max from below, the smallest min ‖Jᵀw‖/‖w‖ over all w from above. Where the space is
    exhausted, a fresh direction from `key` continues it, so that depth m gives the whole spectrum.
    (`matfree.decomp.bidiag` divides by zero there.)

    Args:
        J: the map, from p to m numbers.
        start: w, not zero.
        depth: the number of products with J and with Jᵀ, at most m.
        key: for fresh directions.

    Reference: G. Golub & W. Kahan, SIAM J. Numer. Anal. B 2 (1965); C. C. Paige & M. A. Saunders,
    ACM Trans. Math. Softw. 8 (1982), "Bidiag 1".
    """
    m, dtype = start.shape[0], start.dtype
    size = jax.eval_shape(J.pull, start).shape[0]
    eps = float(jnp.finfo(dtype).eps)

    def step(j, carry):
        U, V, alphas, betas, scale = carry
        raw = J.pull(U[j])
        scale = jnp.maximum(scale, jnp.linalg.norm(raw))
        v, alpha = _direction(raw, V, _LOST * eps * scale)
        w, beta = _direction(J.push(v), U, _LOST * eps * scale)
        fresh = jax.random.normal(jax.random.fold_in(key, j), (m,), dtype)
        fresh, _ = _direction(fresh, U, jnp.asarray(_LOST * eps * m, dtype))
        w = jnp.where(beta > 0, w, fresh)
        U, V = U.at[j + 1].set(w), V.at[j].set(v)
        return U, V, alphas.at[j].set(alpha), betas.at[j].set(beta), scale

    U = jnp.zeros((depth + 1, m), dtype).at[0].set(start / jnp.linalg.norm(start))
    zeros = jnp.zeros(depth, dtype)
    carry = (U, jnp.zeros((depth, size), dtype), zeros, zeros, jnp.zeros((), dtype))
    U, _, alphas, betas, _ = jax.lax.fori_loop(0, depth, step, carry)
    L = jnp.diag(alphas) + jnp.diag(betas[:-1], -1)
    return Bidiagonal(U[:-1].T, L, betas[-1])


def _direction(x: Array, basis: Array, floor: Array) -> tuple[Array, Array]:
    """The unit vector of x made orthogonal to the rows of `basis`, and its length; 0 below it."""
    highest = jax.lax.Precision.HIGHEST
    # Twice is enough (Kahan; Giraud, Langou & Rozložník, 2005).
    for _ in range(2):
        x = x - jnp.matmul(jnp.matmul(basis, x, precision=highest), basis, precision=highest)
    norm = jnp.linalg.norm(x)
    live = norm > floor
    return jnp.where(live, x / jnp.where(live, norm, 1), 0), jnp.where(live, norm, 0)
