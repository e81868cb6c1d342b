"""Losses that are quadratic near the data and linear far away: log-cosh and Huber."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdip._types import Array
from jaxdip.losses._base import AbstractDesingularizer, AbstractLoss
from jaxdip.losses._numbers import check_pair, check_values, like, parameter, real_dtype


@jax.custom_jvp
def ln_cosh(r: Array) -> Array:
    """ln cosh r without overflow, and with a small relative error also where it is about r²/2."""
    size = jnp.abs(r)
    small = jnp.minimum(size, 1.0)
    far = size + jnp.log1p(jnp.exp(-2.0 * size)) - math.log(2.0)
    return jnp.where(size < 1.0, 0.5 * jnp.log1p(jnp.sinh(small) ** 2), far)


@ln_cosh.defjvp
def _ln_cosh_jvp(primals, tangents):
    (r,), (r_dot,) = primals, tangents
    return ln_cosh(r), jnp.tanh(r) * r_dot


class LogCoshDesingularizer(AbstractDesingularizer):
    """ψ(s) = arccosh(eˢ), with Ψ(s) = −½ ln(e^{2s} − 1) and Ψ⁻¹(w) = ½ ln(1 + e^{−2w})."""

    radius: Array
    domain: ClassVar[str] = "everywhere"
    concave: ClassVar[bool] = True

    def psi(self, s: ArrayLike) -> Array:
        """arccosh(eˢ)."""
        (s,) = like(s)
        return s + jnp.log1p(jnp.sqrt(-jnp.expm1(-2.0 * s)))

    def dpsi(self, s: ArrayLike) -> Array:
        """1/√(1 − e^{−2s})."""
        (s,) = like(s)
        return 1.0 / jnp.sqrt(-jnp.expm1(-2.0 * s))

    def psi_inv(self, u: ArrayLike) -> Array:
        """ln cosh u."""
        return ln_cosh(like(u)[0])

    def Psi(self, s: ArrayLike) -> Array:
        """−½ ln(e^{2s} − 1)."""
        (s,) = like(s)
        return -s - 0.5 * jnp.log(-jnp.expm1(-2.0 * s))

    def Psi_inv(self, w: ArrayLike) -> Array:
        """½ ln(1 + e^{−2w})."""
        return 0.5 * jax.nn.softplus(-2.0 * like(w)[0])


class LogCosh(AbstractLoss):
    """Σ ln cosh(v_i − y_i).

    The one-dimensional ψ(s) = arccosh(eˢ) serves in any dimension, because ψ'^{−2} is concave: the
    worst residual has one entry.
    """

    takes_complex: ClassVar[bool] = False
    fits_data: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def __call__(self, v: Array, y: Array) -> Array:
        """Σ ln cosh(v_i − y_i)."""
        check_pair(v, y, takes_complex=False)
        return jnp.sum(ln_cosh(v - y))

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = arccosh(eˢ)."""
        return LogCoshDesingularizer(jnp.full((), jnp.inf, real_dtype(y)))

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite real numbers."""
        check_values(y, takes_complex=False)


class HuberDesingularizer(AbstractDesingularizer):
    """ψ(s) = √(2s) up to s = δ²/2, then (s + δ²/2)/δ; Ψ continuous, −½ ln s up to there."""

    delta: Array
    radius: Array
    domain: ClassVar[str] = "everywhere"
    concave: ClassVar[bool] = True

    def psi(self, s: ArrayLike) -> Array:
        """√(2s), then (s + δ²/2)/δ."""
        s, d = like(s, self.delta)
        return jnp.where(s <= 0.5 * d**2, jnp.sqrt(2.0 * s), s / d + 0.5 * d)

    def dpsi(self, s: ArrayLike) -> Array:
        """1/√(2s), then 1/δ."""
        s, d = like(s, self.delta)
        return 1.0 / jnp.minimum(jnp.sqrt(2.0 * s), d)

    def psi_inv(self, u: ArrayLike) -> Array:
        """u²/2, then δ u − δ²/2."""
        u, d = like(u, self.delta)
        return huber(u, d)

    def Psi(self, s: ArrayLike) -> Array:
        """−½ ln s, then −½ ln(δ²/2) − (s − δ²/2)/δ²."""
        s, d = like(s, self.delta)
        knee = 0.5 * d**2
        return -0.5 * jnp.log(jnp.minimum(s, knee)) - jnp.maximum(s - knee, 0.0) / d**2

    def Psi_inv(self, w: ArrayLike) -> Array:
        """e^{−2w} from w = −½ ln(δ²/2) on, before it δ²/2 − δ² (w + ½ ln(δ²/2))."""
        w, d = like(w, self.delta)
        knee = 0.5 * d**2
        turn = -0.5 * jnp.log(knee)
        return jnp.where(w >= turn, jnp.exp(-2.0 * jnp.maximum(w, turn)), knee - d**2 * (w - turn))


def huber(r: Array, delta: Array) -> Array:
    """r²/2 for |r| ≤ δ, then δ |r| − δ²/2."""
    size = jnp.abs(r)
    inner = jnp.minimum(size, delta)
    return inner * (size - 0.5 * inner)


class Huber(AbstractLoss):
    """Σ h_δ(v_i − y_i), h_δ(r) = r²/2 for |r| ≤ δ and δ|r| − δ²/2 beyond.

    ψ(s) = √(2s) up to s = δ²/2 and (s + δ²/2)/δ beyond, in any dimension: ψ'^{−2} is concave, the
    worst residual has one entry.

    Args:
        delta: δ > 0, in the units of the data; a scalar.

    Raises:
        ValueError: if δ ≤ 0 or is not a scalar.
    """

    delta: Array
    takes_complex: ClassVar[bool] = False
    fits_data: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def __init__(self, delta: ArrayLike):
        self.delta = parameter(delta, "delta", lambda d: d > 0, "positive")

    def __call__(self, v: Array, y: Array) -> Array:
        """Σ h_δ(v_i − y_i)."""
        check_pair(v, y, takes_complex=False)
        r = v - y
        return jnp.sum(huber(r, self.delta.astype(r.dtype)))

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = √(2s) up to s = δ²/2, then (s + δ²/2)/δ."""
        delta = self.delta.astype(real_dtype(y))
        return HuberDesingularizer(delta, jnp.full_like(delta, jnp.inf))

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite real numbers."""
        check_values(y, takes_complex=False)
