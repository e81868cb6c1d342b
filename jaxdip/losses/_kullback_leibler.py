"""The generalised Kullback–Leibler divergence, for counts and other positive data."""

from typing import ClassVar

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdip._types import Array
from jaxdip.losses._base import AbstractDesingularizer, AbstractLoss
from jaxdip.losses._entropy import divergence, excess
from jaxdip.losses._lambert import inverse_excess, lambert_w0_exp
from jaxdip.losses._numbers import check_pair, check_values, like, real_dtype, refuse


class KullbackLeiblerDesingularizer(AbstractDesingularizer):
    """ψ of Σ y ln(y/v) − y + v, with Y = max y and τ = ψ/Y.

    s = Y (τ − ln(1 + τ)), so ψ(s) = Y(−W₋₁(−e^{−1−s/Y}) − 1); Ψ = −Y (1 + τ + ln τ), and
    Ψ⁻¹(w) = Y(τ − ln(1 + τ)) with τ = W₀(e^{−1−w/Y}): at the end the rate is linear, e^{−w/Y} in
    distance.
    """

    largest: Array
    radius: Array
    domain: ClassVar[str] = "positive predictions, v > 0"
    concave: ClassVar[bool] = True

    def psi(self, s: ArrayLike) -> Array:
        """Y τ, τ − ln(1 + τ) = s/Y."""
        s, Y = like(s, self.largest)
        return Y * inverse_excess(s / Y)

    def dpsi(self, s: ArrayLike) -> Array:
        """1 + 1/τ."""
        s, Y = like(s, self.largest)
        return 1.0 + 1.0 / inverse_excess(s / Y)

    def psi_inv(self, u: ArrayLike) -> Array:
        """Y (τ − ln(1 + τ)), τ = u/Y."""
        u, Y = like(u, self.largest)
        return Y * excess(u / Y)

    def Psi(self, s: ArrayLike) -> Array:
        """−Y (1 + τ + ln τ)."""
        s, Y = like(s, self.largest)
        tau = inverse_excess(s / Y)
        return -Y * (1.0 + tau + jnp.log(tau))

    def Psi_inv(self, w: ArrayLike) -> Array:
        """Y (τ − ln(1 + τ)), τ = W₀(e^{−1−w/Y})."""
        w, Y = like(w, self.largest)
        return Y * excess(lambert_w0_exp(-1.0 - w / Y))


class KullbackLeibler(AbstractLoss):
    """Σ y_i ln(y_i/v_i) − y_i + v_i, the negative log-likelihood of Poisson counts, minimum 0.

    Defined for predictions v > 0, so the generator or the operator must give positive values;
    elsewhere it is +inf with derivative 0, and such a run counts as diverged. The flattest entry is
    the one of the largest y, above it; its ψ serves for the sum, because ψ'^{−2} is concave.
    """

    takes_complex: ClassVar[bool] = False
    fits_data: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def __call__(self, v: Array, y: Array) -> Array:
        """Σ y_i ln(y_i/v_i) − y_i + v_i."""
        check_pair(v, y, takes_complex=False)
        return jnp.sum(divergence(v, y))

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = Y(−W₋₁(−e^{−1−s/Y}) − 1), Y = max y."""
        self.check_data(y)
        return KullbackLeiblerDesingularizer(jnp.max(y), jnp.full((), jnp.inf, real_dtype(y)))

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite positive real numbers."""
        check_positive(y)


def check_positive(y: Array) -> None:
    """Refuses data that are not finite positive real numbers."""
    values = check_values(y, takes_complex=False)
    if values is not None:
        refuse(~(values > 0), "positive", "add a background level or drop these entries")
