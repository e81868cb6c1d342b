"""How one mode of a quadratic decays: the linear recurrences and equations behind the dynamics."""

from typing import NamedTuple, Self

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Int

#: Terms of the series of φ₂, sinc, cosh and sinh on |x| ≤ 1: the next one is below 1e-17.
_TERMS = 17


class Factor(NamedTuple):
    """What is left of a mode, q, and what is gone, 1 − q, each without cancellation."""

    left: Array
    gone: Array

    @classmethod
    def whole(cls, shape: tuple[int, ...], dtype) -> Self:
        """q = 1."""
        return cls(jnp.ones(shape, dtype), jnp.zeros(shape, dtype))

    def times(self, other: "Factor") -> "Factor":
        """The product of two factors."""
        left, less = _entry(
            self.left, -self.gone, other.left, -other.gone, jnp.zeros_like(self.left)
        )
        return Factor(left, -less)

    def after(self, drop: Array) -> "Factor":
        """The factor after one more step, which takes away the fraction `drop` of what is left."""
        return self.times(Factor(1 - drop, drop))


def decay(rate: Array, t: Array) -> Factor:
    """e^{−λt} and 1 − e^{−λt} for a rate λ ≥ 0 at any t ≥ 0, infinity included.

    Args:
        rate: λ, in units of 1/time.
        t: the time; broadcasts against λ.
    """
    t = jnp.asarray(t, rate.dtype)
    exponent = -rate * jnp.where(jnp.isinf(t), 0, t)
    return _settled(Factor(jnp.exp(exponent), -jnp.expm1(exponent)), t, rate > 0, rate == 0)


def _settled(factor: Factor, t: Array, gone: Array, kept: Array) -> Factor:
    """The factor, or its limit where t = ∞: 0 where `gone`, 1 where `kept`, or there is none."""
    left = jnp.where(gone, 0, jnp.where(kept, 1, jnp.nan)).astype(factor.left.dtype)
    limit = Factor(left, 1 - left)
    return Factor(*(jnp.where(jnp.isinf(t), x, y) for x, y in zip(limit, factor, strict=True)))


def damped_mode(damping: Array, stiffness: Array, t: Array) -> Factor:
    """q(t) of q̈ + b q̇ + λ q = 0, q(0) = 1, q̇(0) = 0, for b, λ ≥ 0 at any t ≥ 0.

    With D = b²/4 − λ, the slow rate σ = λ/(b/2 + √D) and E(z) = (1 − e^{−z})/z,

        q = e^{−σt}(1 + σt E(2√D t))                       where D ≥ 0,
        q = e^{−bt/2}(cos ωt + (b/2)t sinc ωt), ω² = −D    where D < 0,

    so nothing cancels or overflows for strong damping, critical damping (D = 0) and oscillation.
    With G(x) = 1 − (1 + x)e^{−x} the complement is a sum of terms that are not negative,

        1 − q = G(σt) + σt e^{−σt}(1 − E(2√D t)),
        1 − q = G(bt/2) + e^{−bt/2}(2 sin²(ωt/2) + (b/2)t (1 − sinc ωt)),

    so it too is right to rounding, however small. q is an entire function of D although √D is not:
    near D = 0 both regimes are the series of C(x) = cosh √x and S(x) = sinh √x/√x at x = Dt²,

        q = e^{−bt/2}(C + (b/2)t S),    1 − q = G(bt/2) − e^{−bt/2}((C − 1) + (b/2)t (S − 1)),

    so its derivatives are right there too. At t = ∞ it is the limit, 0, or 1 where λ = 0; without
    damping there is none, and it is NaN.

    Args:
        damping: b, in units of 1/time.
        stiffness: λ, in units of 1/time²; broadcasts against b and t.
        t: the time.
    """
    at = _scaled(damping, stiffness, jnp.where(jnp.isinf(t), 0, t))
    slow, fast = jnp.exp(-at.creep), jnp.exp(-at.half)
    overdamped = Factor(
        slow * (1 + at.creep * _one_minus_exp_over(at.gap)),
        _two_exp(at.creep) + at.creep * slow * at.gap * _phi2(-at.gap),
    )
    # jnp.sinc(x) is sin(πx)/(πx).
    oscillating = Factor(
        fast * (jnp.cos(at.phase) + at.half * jnp.sinc(at.phase / float(jnp.pi))),
        _two_exp(at.half)
        + fast * (2 * jnp.sin(at.phase / 2) ** 2 + at.half * _one_minus_sinc(at.phase)),
    )
    cosh, sinh = _hyperbolic(at.turn)
    rest = cosh + at.half * sinh
    critical = Factor(fast * (1 + at.half + rest), _two_exp(at.half) - fast * rest)
    regimes = (overdamped, oscillating, critical)
    factor = Factor(*(at.pick(*three) for three in zip(*regimes, strict=True)))
    return _settled(factor, t, (stiffness > 0) & (damping > 0), stiffness == 0)


def damped_slope(damping: Array, stiffness: Array, t: Array) -> Array:
    """q̇(t) = −λt e^{−bt/2} S(Dt²), in the notation of `damped_mode`; 0 at t = ∞.

    That is −λt e^{−σt}E(2√D t) where D > 0, −λt e^{−bt/2} sinc ωt where D < 0.
    """
    finite = jnp.where(jnp.isinf(t), 0, t)
    at = _scaled(damping, stiffness, finite)
    overdamped = jnp.exp(-at.creep) * _one_minus_exp_over(at.gap)
    oscillating = jnp.exp(-at.half) * jnp.sinc(at.phase / float(jnp.pi))
    critical = jnp.exp(-at.half) * (1 + _hyperbolic(at.turn)[1])
    slope = -stiffness * finite * at.pick(overdamped, oscillating, critical)
    lost = jnp.isinf(t) & (stiffness > 0) & (damping == 0)
    return jnp.where(lost, jnp.nan, slope)


class _Scaled(NamedTuple):
    """(b/2)t, σt, 2√D t, ωt and Dt²; each but the first is 0 where it plays no part."""

    half: Array
    creep: Array
    gap: Array
    phase: Array
    turn: Array
    over: Array
    near: Array

    def pick(self, overdamped: Array, oscillating: Array, critical: Array) -> Array:
        """The formula of the regime."""
        return jnp.where(self.near, critical, jnp.where(self.over, overdamped, oscillating))


def _scaled(damping: Array, stiffness: Array, t: Array) -> _Scaled:
    half = damping / 2
    discriminant = half * half - stiffness
    # With |D| ≤ λ/4 the sum for 1 − q does not cancel, with |D|t² < 1 its series are short.
    size = jnp.abs(discriminant)
    near = (size <= stiffness / 4) & (size * t * t < 1)
    over, under = ~near & (discriminant > 0), ~near & (discriminant < 0)
    root = jnp.where(over, jnp.sqrt(jnp.where(over, discriminant, 1)), 0)
    frequency = jnp.where(under, jnp.sqrt(jnp.where(under, -discriminant, 1)), 0)
    sum_ = half + root
    # This form of b/2 − √D has no cancellation.
    slow = jnp.where(over, stiffness, 0) / jnp.where(sum_ > 0, sum_, 1)
    # A t that plays no part could overflow, and infinity times a zero derivative is NaN.
    short = jnp.where(near, t, 0)
    turn = discriminant * short * short
    return _Scaled(half * t, slow * t, 2 * root * t, frequency * t, turn, over, near)


def _hyperbolic(x: Array) -> tuple[Array, Array]:
    """cosh √x − 1 and sinh √x/√x − 1 for |x| ≤ 1: entire functions of x, of either sign."""
    cosh, sinh = jnp.ones_like(x), jnp.ones_like(x)
    for j in range(_TERMS, 2, -2):
        cosh = 1 + x / (j * (j + 1)) * cosh
        sinh = 1 + x / ((j + 1) * (j + 2)) * sinh
    return x / 2 * cosh, x / 6 * sinh


def _one_minus_exp_over(z: Array) -> Array:
    """(1 − e^{−z})/z, 1 at z = 0."""
    safe = jnp.where(z == 0, 1, z)
    return jnp.where(z == 0, 1, -jnp.expm1(-safe) / safe)


def _phi2(y: Array) -> Array:
    """φ₂(y) = (e^y − 1 − y)/y², ½ at y = 0."""
    small = jnp.abs(y) < 1
    x, safe = jnp.where(small, y, 0), jnp.where(small, 1, y)
    series = jnp.ones_like(y)
    for j in range(_TERMS, 2, -1):
        series = 1 + x / j * series
    return jnp.where(small, series / 2, (jnp.expm1(safe) - safe) / safe / safe)


def _two_exp(x: Array) -> Array:
    """G(x) = 1 − (1 + x)e^{−x} for x ≥ 0: x²/2 for small x."""
    small = x < 1
    y = jnp.where(small, x, 0)
    return jnp.where(small, y * y * jnp.exp(-y) * _phi2(y), 1 - (1 + x) * jnp.exp(-x))


def _one_minus_sinc(x: Array) -> Array:
    """1 − sin(x)/x: x²/6 for small x."""
    small = jnp.abs(x) < 1
    square = jnp.where(small, x * x, 0)
    series = jnp.ones_like(x)
    for j in range(_TERMS, 3, -2):
        series = 1 - square / (j * (j - 1)) * series
    return jnp.where(small, square / 6 * series, 1 - jnp.sinc(x / float(jnp.pi)))


def recurrence_mode(drop: Array, carry: Array, leak: Array, steps: Int[Array, "..."]) -> Factor:
    """q_τ of q_{τ+1} = q_τ + d_{τ+1}, d_{τ+1} = −drop q_τ + carry d_τ, q_0 = 1, d_0 = 0.

    By repeated squaring of its matrix in (q, d), M = [[1 − drop, carry], [−drop, carry]], which
    needs no roots and so is exact for double ones too. For small steps M is near [[1, 1], [0, 1]]
    and its powers would lose all that happens in a step; so M − I is squared instead,
    N ← 2N + N², wherever a diagonal entry is near 1. 1 − q_τ is then an entry of N.

    Args:
        drop: the fraction of q that a step takes away.
        carry: the fraction of d that a step keeps.
        leak: 1 − carry, which the caller can compute without cancellation.
        steps: τ ≥ 0, an integer array; broadcasts against the others.
    """
    steps = jnp.asarray(steps)
    drop, carry, leak = jnp.broadcast_arrays(drop, carry, leak)
    shape = jnp.broadcast_shapes(drop.shape, steps.shape)
    drop, carry, leak = (jnp.broadcast_to(x, shape) for x in (drop, carry, leak))
    one, zero = jnp.ones(shape, drop.dtype), jnp.zeros(shape, drop.dtype)
    power = _NearIdentity(1 - drop, -drop, carry, -drop, carry, -leak)
    product = _NearIdentity(one, zero, zero, zero, one, zero)

    def body(bit, both):
        power, product = both
        left = steps >> bit
        product = _select(left & 1 == 1, product.times(power), product)
        # A power that is not needed stays as it is: of an unstable mode it would overflow.
        return _select(left > 1, power.times(power), power), product

    bits = jnp.iinfo(steps.dtype).bits - 1
    _, product = jax.lax.fori_loop(0, bits, body, (power, product))
    return Factor(product.a, -product.a1)


def constant_product(drop: Array, steps: Int[Array, "..."]) -> Factor:
    """(1 − drop)^τ for any number of steps τ ≥ 0, also where drop > 1."""
    return recurrence_mode(drop, jnp.zeros_like(drop), jnp.ones_like(drop), steps)


class _NearIdentity(NamedTuple):
    """The matrix [[a, b], [c, d]] with a1 = a − 1 and d1 = d − 1 to their own rounding."""

    a: Array
    a1: Array
    b: Array
    c: Array
    d: Array
    d1: Array

    def times(self, M: "_NearIdentity") -> "_NearIdentity":
        """The product with a matrix that commutes with it."""
        a, a1 = _entry(self.a, self.a1, M.a, M.a1, self.b * M.c)
        d, d1 = _entry(self.d, self.d1, M.d, M.d1, self.c * M.b)
        return _NearIdentity(a, a1, self.a * M.b + self.b * M.d, self.c * M.a + self.d * M.c, d, d1)


def _entry(x: Array, x1: Array, y: Array, y1: Array, rest: Array) -> tuple[Array, Array]:
    """xy + rest, and the same less 1, by whichever of the two is the smaller."""
    whole, less = x * y + rest, x1 + x * y1 + rest
    near = jnp.abs(less) < 0.5
    return jnp.where(near, 1 + less, whole), jnp.where(near, less, whole - 1)


def _select(condition: Array, new: _NearIdentity, old: _NearIdentity) -> _NearIdentity:
    return _NearIdentity(*(jnp.where(condition, x, y) for x, y in zip(new, old, strict=True)))
