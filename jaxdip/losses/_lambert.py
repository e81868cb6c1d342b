"""Both real branches of Lambert's W, and the forms of them that neither overflow nor cancel.

W is the inverse of w ↦ w eʷ: `lambert_w0` on [−1/e, ∞) with W ≥ −1, `lambert_wm1` on [−1/e, 0) with
W ≤ −1. Desingularizing functions need W of exponentials and W next to its branch point −1/e, where
the argument itself has lost the digits; the other functions here take the exponent, or the distance
from the branch point, instead.

All iterations have a fixed number of steps and run elementwise. References: Corless et al., *On the
Lambert W function*, Adv. Comput. Math. 5 (1996), eq. (4.22) and (5.9); Fritsch, Shafer and Crowley,
CACM 16 (1973), algorithm 443; Chatzigeorgiou, IEEE Commun. Lett. 17 (2013), Theorem 1.
"""

import math

import jax
import jax.numpy as jnp

from jaxdip._types import Array
from jaxdip.losses._entropy import excess

_INVERSE_E = math.exp(-1.0)
#: 1/e − fl(1/e) in double precision.
_INVERSE_E_REST = -1.2428753672788363e-17


def inverse_excess(s: Array) -> Array:
    """The τ ≥ 0 with τ − ln(1 + τ) = s, for s ≥ 0; it is −1 − W₋₁(−e^{−1−s})."""
    p = jnp.sqrt(2.0 * s)
    # An upper bound, so that Newton descends monotonically on the convex function.
    return _newton_excess(jnp.where(s < 0.3, _branch_series(p), s + p), s)


def lambert_wm1(x: Array) -> Array:
    """W₋₁(x) for −1/e ≤ x < 0; NaN elsewhere."""
    inside = (x < 0) & (_above_branch(x) >= 0)
    s = -jnp.log1p(-_above_branch(jnp.where(inside, x, -0.2)))
    far = -1.0 - jnp.log(jnp.where(inside, -x, 0.2))
    w = -1.0 - inverse_excess(jnp.where(x < -0.2, s, far))
    return jnp.where(inside, w, jnp.nan)


def lambert_w0(x: Array) -> Array:
    """W₀(x) for x ≥ −1/e; NaN elsewhere."""
    delta = _above_branch(x)
    low = _one_plus_w0_near(jnp.clip(delta, 0.0, 0.4)) - 1.0
    middle = _halley(jnp.clip(x, -0.3, 3.0))
    high = _omega(jnp.log(jnp.maximum(x, 2.0)))
    w = jnp.where(x < -0.25, low, jnp.where(x < 2.5, middle, high))
    return jnp.where(delta >= 0, w, jnp.nan)


def lambert_w0_exp(a: Array) -> Array:
    """W₀(eᵃ), the w > 0 with w + ln w = a, for any real a (Wright's ω)."""
    return jnp.where(a < 1.0, _halley(jnp.exp(jnp.minimum(a, 1.0))), _omega(jnp.maximum(a, 0.7)))


def one_plus_lambert_w0(delta: Array) -> Array:
    """1 + W₀((δ − 1)/e) for δ ≥ 0, where δ = 1 + e x is the distance from the branch point."""
    near = _one_plus_w0_near(jnp.clip(delta, 0.0, 0.4))
    x = (jnp.maximum(delta, 0.3) - 1.0) * _INVERSE_E
    return jnp.where(delta < 0.35, near, 1.0 + lambert_w0(x))


def _above_branch(x: Array) -> Array:
    """1 + e x, exact next to x = −1/e: 1/e is carried with twice the digits."""
    high = float(jnp.finfo(x.dtype).dtype.type(_INVERSE_E))
    rest = (_INVERSE_E - high) + _INVERSE_E_REST
    return math.e * ((x + high) + rest)


def _branch_series(p: Array) -> Array:
    """τ(p) with τ − ln(1 + τ) = p²/2, of the sign of p, for small |p|."""
    return p * (1.0 + p * (1.0 / 3.0 + p * (1.0 / 36.0 - p / 270.0)))


def _newton_excess(start: Array, s: Array) -> Array:

    def step(_, tau):
        moving = tau != 0
        safe = jnp.where(moving, tau, 1.0)
        newton = tau - (excess(safe) - s) * (1.0 + safe) / safe
        return jnp.where(moving & jnp.isfinite(s), newton, tau)

    return jax.lax.fori_loop(0, 5, step, start)


def _one_plus_w0_near(delta: Array) -> Array:
    """1 + W₀ for 0 ≤ δ ≤ 0.4: the root of τ − ln(1 + τ) = −ln(1 − δ) on the side τ < 0."""
    s = -jnp.log1p(-delta)
    return -_newton_excess(_branch_series(-jnp.sqrt(2.0 * s)), s)


def _halley(x: Array) -> Array:
    """W₀(x) for −0.3 ≤ x ≤ 3 by Halley's iteration on w eʷ = x."""
    start = jnp.log1p(x)

    def step(_, w):
        power = jnp.exp(w)
        miss = w * power - x
        return w - miss / (power * (w + 1.0) - 0.5 * (w + 2.0) * miss / (w + 1.0))

    return jax.lax.fori_loop(0, 4, step, start * (1.0 - jnp.log1p(start) / (2.0 + start)))


def _omega(a: Array) -> Array:
    """W₀(eᵃ) for a ≥ 0.7 by the iteration of Fritsch, Shafer and Crowley on w + ln w = a."""
    log_a = jnp.log(a)

    def step(_, w):
        miss = a - w - jnp.log(w)
        one = 1.0 + w
        # Divided by 1 + w, so that no square overflows.
        q, part = 2.0 * (one + 2.0 / 3.0 * miss), miss / one
        return w * (1.0 + part * (q - part) / (q - 2.0 * part))

    start = jnp.where(a < 2.0, 0.3 + 0.5 * a, a - log_a + log_a / a)
    return jnp.where(jnp.isfinite(a), jax.lax.fori_loop(0, 3, step, start), a)
