"""The ℓ₁ loss with its kinks rounded off."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdip._types import Array, RealScalar
from jaxdip.losses._base import AbstractDesingularizer, AbstractLoss
from jaxdip.losses._numbers import check_pair, check_values, like, parameter, real_dtype
from jaxdip.losses._robust import HuberDesingularizer


class SmoothL1Desingularizer(AbstractDesingularizer):
    """ψ(s) = √(2δs) up to s = δ/2, then s + δ/2; with Huber's ψ_h it is ψ_h(δs).

    L = h/δ and ∇L = ∇h/δ turn ψ_h'(h)‖∇h‖ ≥ 1 into ψ'(L)‖∇L‖ ≥ 1; so Ψ(s) = δ Ψ_h(δs).
    """

    delta: Array
    radius: Array
    domain: ClassVar[str] = "everywhere"
    concave: ClassVar[bool] = True

    @property
    def _huber(self) -> HuberDesingularizer:
        return HuberDesingularizer(self.delta, self.radius)

    def psi(self, s: ArrayLike) -> Array:
        """ψ_h(δs)."""
        s, d = like(s, self.delta)
        return self._huber.psi(d * s)

    def dpsi(self, s: ArrayLike) -> Array:
        """δ ψ_h'(δs)."""
        s, d = like(s, self.delta)
        return d * self._huber.dpsi(d * s)

    def psi_inv(self, u: ArrayLike) -> Array:
        """ψ_h⁻¹(u)/δ."""
        u, d = like(u, self.delta)
        return self._huber.psi_inv(u) / d

    def Psi(self, s: ArrayLike) -> Array:
        """δ Ψ_h(δs)."""
        s, d = like(s, self.delta)
        return d * self._huber.Psi(d * s)

    def Psi_inv(self, w: ArrayLike) -> Array:
        """Ψ_h⁻¹(w/δ)/δ."""
        w, d = like(w, self.delta)
        return self._huber.Psi_inv(w / d) / d


class SmoothL1(AbstractLoss):
    """Σ h_δ(v_i − y_i)/δ: r²/(2δ) for |r| ≤ δ and |r| − δ/2 beyond, the Moreau envelope of ℓ₁.

    It increases to ‖r‖₁ as δ → 0, with 0 ≤ ‖r‖₁ − L_δ ≤ mδ/2 for m entries. Its gradient is
    the residual over δ, clipped to [−1, 1], with Lipschitz constant 1/δ.

    Args:
        delta: δ > 0, in the units of the data; a scalar (a number: a new δ does not recompile).

    Raises:
        ValueError: if δ ≤ 0, is subnormal, or is not a scalar.

    Reference: H. H. Bauschke & P. L. Combettes, "Convex Analysis and Monotone Operator Theory in
    Hilbert Spaces", Section 12.4 and Example 14.5.
    """

    delta: Array
    takes_complex: ClassVar[bool] = False
    fits_data: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def __init__(self, delta: ArrayLike):
        # Arithmetic takes subnormal numbers for zero.
        self.delta = parameter(
            delta,
            "delta",
            lambda d: d >= np.finfo(d.dtype).tiny,
            "positive, and at least the smallest normal number of its precision",
        )

    def __call__(self, v: Array, y: Array) -> Array:
        """Σ h_δ(v_i − y_i)/δ."""
        check_pair(v, y, takes_complex=False)
        r = v - y
        # A δ of double precision may vanish in single precision, where the limit is |r|.
        tiny = float(jnp.finfo(r.dtype).tiny)
        delta = jnp.maximum(self.delta.astype(r.dtype), tiny)
        size = jnp.abs(r)
        # h_δ(r)/δ without δ², which might vanish too.
        return jnp.sum(jnp.minimum(size / delta, 1) * (size - 0.5 * jnp.minimum(size, delta)))

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = √(2δs) up to s = δ/2, then s + δ/2."""
        delta = self.delta.astype(real_dtype(y))
        return SmoothL1Desingularizer(delta, jnp.full_like(delta, jnp.inf))

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite real numbers."""
        check_values(y, takes_complex=False)

    def envelope_gap(self, y: Array) -> RealScalar:
        """mδ/2, the largest that ‖v − y‖₁ − L_δ can be."""
        return 0.5 * float(jnp.size(y)) * self.delta.astype(real_dtype(y))
