"""How one mode of a quadratic decays: the linear recurrences and equations behind the dynamics."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Int


def damped_mode(damping: Array, stiffness: Array, t: Array) -> Array:
    """q(t) of q̈ + b q̇ + λ q = 0, q(0) = 1, q̇(0) = 0, for b, λ ≥ 0 at any t ≥ 0.

    With the roots ρ = −b/2 ± √D, D = b²/4 − λ, q = (ρ₂e^{ρ₁t} − ρ₁e^{ρ₂t})/(ρ₂ − ρ₁). Written so
    that nothing cancels or overflows for strong damping, critical damping (D = 0) and oscillation.

    Args:
        damping: b, in units of 1/time.
        stiffness: λ, in units of 1/time²; broadcasts against b and t.
        t: the time.
    """
    half = damping / 2
    discriminant = half * half - stiffness
    root = jnp.sqrt(jnp.maximum(discriminant, 0))
    # The slow root −λ/(b/2 + √D) has no cancellation; the two coincide where D = 0.
    sum_ = half + root
    slow = -stiffness / jnp.where(sum_ > 0, sum_, 1)
    mean = (jnp.exp(slow * t) + jnp.exp(-sum_ * t)) / 2
    overdamped = mean + half * t * jnp.exp(slow * t) * _one_minus_exp_over(2 * root * t)
    frequency = jnp.sqrt(jnp.maximum(-discriminant, 0))
    # jnp.sinc(x) is sin(πx)/(πx), whose value at 0 makes the critically damped case exact.
    phase = frequency * t
    oscillating = jnp.exp(-half * t) * (jnp.cos(phase) + half * t * jnp.sinc(phase / float(jnp.pi)))
    return jnp.where(discriminant >= 0, overdamped, oscillating)


def _one_minus_exp_over(z: Array) -> Array:
    """(1 − e^{−z})/z, 1 at z = 0."""
    safe = jnp.where(z == 0, 1, z)
    return jnp.where(z == 0, 1, -jnp.expm1(-safe) / safe)


def recurrence_mode(now: Array, before: Array, steps: Int[Array, "..."]) -> Array:
    """q_τ of q_{τ+1} = p q_τ + c q_{τ−1}, q_0 = q_{−1} = 1, for any number of steps.

    By repeated squaring of the companion matrix [[p, c], [1, 0]], which needs no roots and so is
    exact for double ones too; 31 squarings reach every int32.

    Args:
        now: p.
        before: c.
        steps: τ ≥ 0, an integer array; broadcasts against p and c.
    """
    steps = jnp.asarray(steps)
    now, before = jnp.broadcast_arrays(now, before)
    shape = jnp.broadcast_shapes(now.shape, steps.shape)
    one, zero = jnp.ones(shape, now.dtype), jnp.zeros(shape, now.dtype)
    square = (now + zero, before + zero, one, zero)
    state = (one, one)

    def body(bit, carry):
        (a, b, c, d), (x, y) = carry
        odd = (steps >> bit) & 1 == 1
        moved = (a * x + b * y, c * x + d * y)
        state = tuple(jnp.where(odd, new, old) for new, old in zip(moved, (x, y), strict=True))
        # Powers commute, so the bits may be taken in any order. A power that is no longer needed
        # may overflow, hence the selection instead of a product.
        squared = (a * a + b * c, a * b + b * d, c * a + d * c, c * b + d * d)
        return squared, state

    bits = jnp.iinfo(steps.dtype).bits - 1
    return jax.lax.fori_loop(0, bits, body, (square, state))[1][0]
