"""Gradient descent on a linear least-squares problem, exactly."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float, Int, RealScalar

_HIGHEST = jax.lax.Precision.HIGHEST


class LinearIterates(NamedTuple):
    """What Proposition 2 gives, one row a time.

    Attributes:
        residual: r_t, shape (T, m).
        distance: ‖θ_t − θ_0‖, shape (T,).
    """

    residual: Float[Array, "T m"]
    distance: Float[Array, " T"]


def linear_iterates(
    J: Float[Array, "m p"],
    r0: Float[Array, " m"],
    step_size: RealScalar,
    steps: Int[Array, " T"],
) -> LinearIterates:
    """Residual and distance of gradient descent on ½‖J(θ − θ0) + r0‖², in closed form.

        r_t = Σ_i (1 − ηs_i²)^t ⟨w_i, r0⟩ w_i,
        ‖θ_t − θ0‖² = Σ_i ⟨w_i, r0⟩² ((1 − (1 − ηs_i²)^t)/s_i)²,

    with w_i and s_i the left singular vectors and values of J. What of r0 lies outside the range of
    J stays. The step need not be stable.

    Args:
        J: shape (m, p).
        r0: shape (m,).
        step_size: η.
        steps: t, integers.

    Raises:
        ValueError: if the shapes disagree.

    Reference: R. Heckel & M. Soltanolkotabi, arXiv 2005.03991, Proposition 2.
    """
    J, r0 = jnp.asarray(J), jnp.asarray(r0)
    if J.ndim != 2 or r0.shape != J.shape[:1]:
        raise ValueError(f"J is (m, p) and r0 (m,), got shapes {J.shape} and {r0.shape}")
    W, s, _ = jnp.linalg.svd(J, full_matrices=False)
    eta = jnp.asarray(step_size, J.dtype)
    t = jnp.atleast_1d(jnp.asarray(steps)).astype(J.dtype)[:, None]
    modes = jnp.matmul(W.T, r0, precision=_HIGHEST)
    outside = r0 - jnp.matmul(W, modes, precision=_HIGHEST)
    fitted = _fitted(eta * s**2, t)
    residual = outside + jnp.matmul((1 - fitted) * modes, W.T, precision=_HIGHEST)
    live = s > s[0] * (max(J.shape) * float(jnp.finfo(J.dtype).eps))
    moved = fitted * modes / jnp.where(live, s, jnp.inf)
    return LinearIterates(residual, jnp.linalg.norm(moved, axis=1))


def _fitted(z: Array, t: Array) -> Array:
    """1 − (1 − z)^t, without cancellation for small z."""
    small = z < 0.5
    decay = jnp.log1p(-jnp.where(small, z, 0))
    return jnp.where(small, -jnp.expm1(t * decay), 1 - (1 - z) ** t)
