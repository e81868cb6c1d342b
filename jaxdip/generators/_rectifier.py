"""Rectifiers with their kink rounded off: smooth ReLU, leaky ReLU and absolute value."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Float, RealScalar
from jaxdip.generators._activations import AbstractActivation

# Gauss–Legendre on [0, 80]: the integrands below are smooth on the scale 1 and at most e^{−t/2}.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(240)
_NODES, _WEIGHTS = 40.0 * (_NODES + 1.0), 40.0 * _WEIGHTS


class SmoothRectifier(AbstractActivation):
    """φ_τ(h) = a h + (1 − a) τ ln(1 + e^{h/τ}), which tends to max(h, 0) + a min(h, 0) as τ → 0.

    a = 0 is ReLU, 0 < a < 1 leaky ReLU, a = −1 the absolute value. Uniformly in h, φ_τ lies within
    |1 − a| τ ln 2 of its limit (attained at the kink), φ_τ' between a and 1, and
    0 ≤ φ_τ''/(1 − a) ≤ 1/(4τ). Temperature and leak are array leaves: new values do not recompile.

    Attributes:
        temperature: τ > 0, in the units of h.
        leak: a, the slope on the left.
    """

    temperature: Float[Array, ""]
    leak: Float[Array, ""]

    def __init__(self, temperature: RealScalar, leak: RealScalar = 0.0):
        """Takes τ and a.

        Raises:
            ValueError: unless they are scalars, finite, and τ is positive.
        """
        dtype = jnp.result_type(float)
        self.temperature, self.leak = jnp.asarray(temperature, dtype), jnp.asarray(leak, dtype)
        for name, value in (("temperature", self.temperature), ("leak", self.leak)):
            if value.shape != ():
                raise ValueError(
                    f"{name} is one number, got shape {value.shape}; for several use jax.vmap"
                )
            if is_concrete(value) and not math.isfinite(float(value)):
                raise ValueError(f"{name} is finite, got {float(value)}")
        if is_concrete(self.temperature) and not float(self.temperature) > 0:
            raise ValueError(
                f"temperature is positive, got {float(self.temperature):g}; the limit 0 is the "
                "activation 'relu'"
            )

    def __call__(self, h: Array) -> Array:
        """φ_τ(h), entrywise."""
        tau, a = self.temperature.astype(h.dtype), self.leak.astype(h.dtype)
        return a * h + (1 - a) * tau * jax.nn.softplus(h / tau)

    @property
    def name(self) -> str:
        """'smooth-rectifier'."""
        return "smooth-rectifier"

    @property
    def smooth(self) -> bool:
        """True: that is what the temperature is for."""
        return True

    @property
    def sup_slope(self) -> Array:
        """max(1, |a|)."""
        return jnp.maximum(1.0, jnp.abs(self.leak))

    @property
    def lip_slope(self) -> Array:
        """|1 − a|/(4τ)."""
        return jnp.abs(1 - self.leak) / (4 * self.temperature)

    @property
    def gap(self) -> Array:
        """|1 − a| τ ln 2, the largest distance to the limit τ → 0."""
        return jnp.abs(1 - self.leak) * self.temperature * math.log(2.0)

    @property
    def C_phi(self) -> Array:
        """(E φ_τ(X)²)^½ = (a + (1 − a)² E p²)^½ with p the softplus, by quadrature.

        Stein's identity gives E X p(X) = E p'(X) = 1/2.
        """
        h, weights, rest = self._quadrature()
        square = 0.5 + 2 * jnp.sum(weights * (h * rest + rest * rest))
        return jnp.sqrt(self.leak + (1 - self.leak) ** 2 * square)

    @property
    def C_dphi(self) -> Array:
        """(E φ_τ'(X)²)^½ = (a + (1 − a)² E s²)^½ with s the logistic function, by quadrature."""
        h, weights, _ = self._quadrature()
        s = jax.nn.sigmoid(h / self.temperature)
        square = 0.5 - 2 * jnp.sum(weights * s * (1 - s))
        return jnp.sqrt(self.leak + (1 - self.leak) ** 2 * square)

    @property
    def B(self) -> Array:
        """The papers' constant B = max(sup|φ'|, Lip φ')."""
        return jnp.maximum(self.sup_slope, self.lip_slope)

    def _quadrature(self):
        """Nodes h > 0, weights with the normal density, and the softplus less max(h, 0) there.

        h = t τ/(1 + τ): both e^{−h/τ} and the density then vary on the scale t ~ 1 or slower.
        """
        tau = self.temperature
        scale = tau / (1 + tau)
        h = scale * jnp.asarray(_NODES, tau.dtype)
        density = jnp.exp(-0.5 * h * h) / math.sqrt(2 * math.pi)
        weights = scale * density * jnp.asarray(_WEIGHTS, tau.dtype)
        return h, weights, tau * jnp.log1p(jnp.exp(-h / tau))
