"""The Kullback–Leibler divergence with prediction and data exchanged."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import expi
from jax.typing import ArrayLike

from jaxdip._types import Array
from jaxdip.losses._base import AbstractDesingularizer, AbstractLoss
from jaxdip.losses._entropy import divergence, excess
from jaxdip.losses._kullback_leibler import check_positive
from jaxdip.losses._lambert import one_plus_lambert_w0
from jaxdip.losses._numbers import check_pair, like, real_dtype

_EULER_GAMMA = 0.5772156649015329


def _bend(a: Array) -> Array:
    """(1 + a) ln(1 + a) − a for a ≥ 0, without cancellation."""
    small = jnp.minimum(a, 0.6)
    near = (1.0 + small) * excess(-small / (1.0 + small))
    return jnp.where(a < 0.6, near, (1.0 + a) * jnp.log1p(a) - a)


def _inverse_expi(z: Array) -> Array:
    """The c > 0 with Ei(c) = z, by Newton's iteration in ln c, where Ei is convex."""
    # One step leads to the right of the root, and from there the descent is monotone.
    tail = jnp.log(jnp.maximum(z, 2.0))
    low = jnp.minimum(z - _EULER_GAMMA, -0.3)
    start = jnp.where(z < 1.2, low, jnp.log(tail + jnp.log(tail + 1.0)))

    def step(_, log_c):
        c = jnp.exp(log_c)
        value = jnp.where(c > 0, expi(jnp.where(c > 0, c, 1.0)), z)
        return log_c - (value - z) * jnp.exp(-c)

    return jnp.exp(jax.lax.fori_loop(0, 7, step, start))


class ReverseKullbackLeiblerDesingularizer(AbstractDesingularizer):
    """ψ of Σ v ln(v/y) − v + y, with Y = max y, a = ψ/Y and c = ln(1 + a).

    s = Y ((1 + a) ln(1 + a) − a), so c = 1 + W₀((s/Y − 1)/e); ψ' = 1/c, and
    Ψ = −Y Ei(c) = −Y li(1 + a) with the exponential integral Ei.
    """

    largest: Array
    radius: Array
    domain: ClassVar[str] = "positive predictions, v > 0"
    concave: ClassVar[bool] = True

    def psi(self, s: ArrayLike) -> Array:
        """Y a, (1 + a) ln(1 + a) − a = s/Y."""
        s, Y = like(s, self.largest)
        ratio = s / Y
        c = one_plus_lambert_w0(ratio)
        far = ratio > 4.0
        # 1 + a = (s/Y − 1)/W₀, which keeps the digits that the exponential of c would lose.
        quotient = (ratio - 1.0) / jnp.where(far, c - 1.0, 1.0) - 1.0
        return Y * jnp.where(far, quotient, jnp.expm1(jnp.where(far, 0.0, c)))

    def dpsi(self, s: ArrayLike) -> Array:
        """1/ln(1 + a)."""
        s, Y = like(s, self.largest)
        return 1.0 / one_plus_lambert_w0(s / Y)

    def psi_inv(self, u: ArrayLike) -> Array:
        """Y ((1 + a) ln(1 + a) − a), a = u/Y."""
        u, Y = like(u, self.largest)
        return Y * _bend(u / Y)

    def Psi(self, s: ArrayLike) -> Array:
        """−Y Ei(c)."""
        s, Y = like(s, self.largest)
        c = one_plus_lambert_w0(s / Y)
        return jnp.where(c > 0, -Y * expi(jnp.where(c > 0, c, 1.0)), jnp.inf)

    def Psi_inv(self, w: ArrayLike) -> Array:
        """Y ((1 + a) c − a), Ei(c) = −w/Y."""
        w, Y = like(w, self.largest)
        return Y * _bend(jnp.expm1(_inverse_expi(-w / Y)))


class ReverseKullbackLeibler(AbstractLoss):
    """Σ v_i ln(v_i/y_i) − v_i + y_i, minimum 0.

    Defined for predictions v > 0 (its gradient ln(v/y) is unbounded at 0); elsewhere it is +inf
    with derivative 0, and such a run counts as diverged. The flattest entry is the one of the
    largest y, above it; its ψ serves for the sum, because ψ'^{−2} is concave.
    """

    takes_complex: ClassVar[bool] = False
    fits_data: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def __call__(self, v: Array, y: Array) -> Array:
        """Σ v_i ln(v_i/y_i) − v_i + y_i."""
        check_pair(v, y, takes_complex=False)
        inside = (v > 0) & (y > 0)
        entries = divergence(jnp.where(inside, y, 1.0), jnp.where(inside, v, 1.0))
        return jnp.sum(jnp.where(inside, entries, jnp.inf))

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = Y a with (1 + a) ln(1 + a) − a = s/Y, Y = max y."""
        self.check_data(y)
        return ReverseKullbackLeiblerDesingularizer(
            jnp.max(y), jnp.full((), jnp.inf, real_dtype(y))
        )

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite positive real numbers."""
        check_positive(y)
