"""The largest stable time steps of the inertial methods on one quadratic mode.

On a mode with eigenvalue λ each method is r_{ℓ+1} = p r_ℓ + c r_{ℓ−1}, which tends to zero iff
|c| < 1 and |p| < 1 − c (Jury's conditions). Each function solves them for h = √s.
"""

import jax
import jax.numpy as jnp

from jaxdip._types import Array

#: Bisections that exhaust double precision.
_BISECTIONS = 80


def stable_at_theta(eigenvalue: Array, alpha: Array, beta: Array) -> Array:
    """IGAHD with the gradient at θ_ℓ: h < [−(βλ + α) + √((βλ + α)² + 4λ)]/λ.

    Equivalently λ < 2(2 − αh)/(h² + 2βh).
    """
    alpha, beta = (x.astype(eigenvalue.dtype) for x in (alpha, beta))
    return _positive_root(eigenvalue, beta * eigenvalue + alpha)


def stable_forward(eigenvalue: Array, alpha: Array, beta: Array) -> Array:
    """The forward-damped variant: h < [(α − βλ) + √((α − βλ)² + 4λ)]/λ."""
    alpha, beta = (x.astype(eigenvalue.dtype) for x in (alpha, beta))
    return _positive_root(eigenvalue, beta * eigenvalue - alpha)


def stable_strongly_convex(eigenvalue: Array, beta: Array) -> Array:
    """The strongly convex form: h < [−βλ + √(β²λ² + 4λ)]/λ."""
    return _positive_root(eigenvalue, beta.astype(eigenvalue.dtype) * eigenvalue)


def _positive_root(a: Array, b: Array) -> Array:
    """The positive root of a h² + 2b h − 4 = 0, without cancellation for either sign of b."""
    root = jnp.sqrt(b * b + 4 * a)
    up = 4 / jnp.where(b > 0, b + root, 1)
    return jnp.where(b > 0, up, (root - b) / a)


def stable_at_eta(eigenvalue: Array, alpha: Array, beta: Array) -> Array:
    """IGAHD with the gradient at η_ℓ.

    With x = h√λ and k = (α + βλ)/√λ, p = (1 − x²)(2 − kx) and c = −(1 − x²)(1 − kx). The
    conditions are 2kx³ − 3x² − 2kx + 4 > 0 and kx² − x − k < 0. The first polynomial falls up to
    its only positive critical point and rises beyond, so its first root, if any, lies before.
    """
    alpha, beta = (x.astype(eigenvalue.dtype) for x in (alpha, beta))
    root = jnp.sqrt(eigenvalue)
    # Below this k the limits are those of k = 0, up to rounding.
    k = jnp.maximum((alpha + beta * eigenvalue) / root, 1e-8)
    lowest = (1 + jnp.sqrt(1 + 4 * k * k / 3)) / (2 * k)
    end = (1 + jnp.sqrt(1 + 4 * k * k)) / (2 * k)

    def above(x):
        return 2 * k * x**3 - 3 * x**2 - 2 * k * x + 4 > 0

    def body(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        stable = above(middle)
        return jnp.where(stable, middle, low), jnp.where(stable, high, middle)

    # Before x = 2 the polynomial is negative somewhere, or it is positive up to its lowest point.
    start = (jnp.zeros_like(k), jnp.minimum(lowest, 2.0))
    first = jax.lax.fori_loop(0, _BISECTIONS, body, start)[0]
    return jnp.where(above(start[1]), end, first) / root
