"""ψ(s) = c sᵃ, the desingularizing function of most losses, with Ψ for every exponent."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdip._types import Array
from jaxdip.losses._base import AbstractDesingularizer
from jaxdip.losses._numbers import like, parameter

# Nearer to a = 1/2 than this, the primitive is shifted by its pole, so that it tends to the
# logarithm; farther away the plain power keeps more digits.
_NEAR_HALF = 0.01


class PowerDesingularizer(AbstractDesingularizer):
    """ψ(s) = c sᵃ for c > 0 and 0 < a ≤ 1.

    With C = c² a² and b = 1 − 2a, Ψ(s) = C s^{−b}/b, and its limits:

    - a < 1/2: Ψ > 0, and Ψ⁻¹(w) = (b w/C)^{−1/b}, an algebraic rate; +inf for w ≤ 0, below Ψ's
      range, where Ψ bounds nothing.
    - a = 1/2: Ψ(s) = −(c²/4) ln s, and Ψ⁻¹(w) = e^{−4w/c²}, a linear rate.
    - a > 1/2: Ψ < 0, and Ψ⁻¹(w) = (−|b| w/C)^{1/|b|} for w < 0, which is 0 from w = 0 on: the bound
      ends in finite time. No loss with a locally Lipschitz gradient has such an a.

    For 0 < |b| < 0.01 the constant of Ψ is chosen so that Ψ(s) = C (s^{−b} − 1)/b, which tends to
    the logarithm: an exponent next to 1/2 loses no digits. The constant cancels in every bound.

    Args:
        c: the factor, a scalar > 0, in units of distance / loss^a.
        a: the exponent, a scalar in ]0, 1].
        radius: r0, the loss below which the inequality holds.
        domain: in words, where it holds.

    Raises:
        ValueError: if c or a is outside its range.

    Reference: Definition II.2 and Section II of arXiv 2403.05395; the primitives by integration.
    """

    c: Array
    a: Array
    radius: Array
    domain: str = eqx.field(static=True)
    concave: ClassVar[bool] = True

    def __init__(
        self, c: ArrayLike, a: ArrayLike, *, radius: ArrayLike = jnp.inf, domain: str = "everywhere"
    ):
        self.c = parameter(c, "c", lambda c: c > 0, "positive")
        self.a = parameter(a, "a", lambda a: (a > 0) & (a <= 1), "in ]0, 1]")
        self.radius = parameter(radius, "radius", lambda r: r > 0, "positive")
        self.domain = domain

    def psi(self, s: ArrayLike) -> Array:
        """c sᵃ."""
        s, c, a = like(s, self.c, self.a)
        return c * s**a

    def dpsi(self, s: ArrayLike) -> Array:
        """c a s^{a−1}; +inf at 0 for a < 1."""
        s, c, a = like(s, self.c, self.a)
        return c * a * s ** (a - 1.0)

    def psi_inv(self, u: ArrayLike) -> Array:
        """(u/c)^{1/a}."""
        u, c, a = like(u, self.c, self.a)
        return (u / c) ** (1.0 / a)

    def Psi(self, s: ArrayLike) -> Array:
        """C s^{−b}/b, a logarithm at b = 0; see the class for its constant."""
        s, c, a = like(s, self.c, self.a)
        scale, b = (c * a) ** 2, 1.0 - 2.0 * a
        divisor = jnp.where(b == 0, 1.0, b)
        plain = s ** (-b) / divisor
        log_s = jnp.log(s)
        shifted = jnp.where(b == 0, -log_s, jnp.expm1(-b * log_s) / divisor)
        return scale * jnp.where(jnp.abs(b) < _NEAR_HALF, shifted, plain)

    def Psi_inv(self, w: ArrayLike) -> Array:
        """Ψ⁻¹(w); above Ψ's range 0, below it +inf."""
        w, c, a = like(w, self.c, self.a)
        z, b = w / (c * a) ** 2, 1.0 - 2.0 * a
        divisor = jnp.where(b == 0, 1.0, b)
        shifted = jnp.abs(b) < _NEAR_HALF
        base = jnp.where(shifted, 1.0 + b * z, b * z)
        inside = base > 0
        log_plain = jnp.log(jnp.where(inside & ~shifted, base, 1.0))
        log_shifted = jnp.log1p(jnp.where(inside & shifted, b * z, 0.0))
        power = jnp.exp(-jnp.where(shifted, log_shifted, log_plain) / divisor)
        outside = jnp.where(b > 0, jnp.inf, 0.0)
        value = jnp.where(inside, power, outside)
        return jnp.where(b == 0, jnp.exp(-z), value)
