"""The curves of the Kurdyka-Łojasiewicz argument, common to gradient flow and descent."""

import equinox as eqx
import jax.numpy as jnp

from jaxdip._types import Array, Float
from jaxdip.losses import AbstractDesingularizer
from jaxdip.theory._certificate import AbstractBound


class LossBound(AbstractBound):
    """L_y(y(t)) ≤ Ψ⁻¹(rate·t + Ψ(L0)).

    Attributes:
        psi: the desingularizing function.
        loss0: L0.
        rate: how fast Ψ(L) grows at least, μ²/4 for gradient flow.
    """

    psi: AbstractDesingularizer
    loss0: Float[Array, ""]
    rate: Float[Array, ""]

    def __call__(self, t: Array) -> Array:
        """The bound at time t."""
        t = jnp.asarray(t, self.loss0.dtype)
        # At t = 0 the bound is L0 itself, which Ψ⁻¹(Ψ(L0)) gives only up to rounding.
        later = self.psi.Psi_inv(self.rate * t + self.psi.Psi(self.loss0))
        fitted = self.loss0 <= 0
        return jnp.where(fitted, 0, jnp.where(t <= 0, self.loss0, jnp.minimum(later, self.loss0)))

    def time_to(self, level: Array) -> Array:
        """The first time at which the bound is at most `level`."""
        level = jnp.asarray(level, self.loss0.dtype)
        span = self.psi.Psi(level) - self.psi.Psi(self.loss0)
        return jnp.where(level >= self.loss0, 0, span / self.rate)


class DistanceBound(AbstractBound):
    """factor·ψ(bound on the loss) + floor: distances by the desingularizing function.

    Attributes:
        loss: the bound on the loss.
        factor: 1 for ‖y(t) − y‖, 2/μ for ‖θ(t) − θ∞‖.
        floor: what does not vanish in time.
    """

    loss: LossBound
    factor: Float[Array, ""]
    floor: Float[Array, ""]

    def __call__(self, t: Array) -> Array:
        """The bound at time t."""
        return self.factor * self.loss.psi.psi(self.loss(t)) + self.floor


def residual_bound(loss: LossBound, fits_data: bool) -> dict[str, AbstractBound]:
    """'residual', ‖y(t) − y‖ ≤ ψ(bound on the loss), for losses that only y minimises."""
    one, zero = jnp.ones_like(loss.loss0), jnp.zeros_like(loss.loss0)
    return {"residual": DistanceBound(loss, one, zero)} if fits_data else {}


class ConstantBound(AbstractBound):
    """One number at all times.

    Attributes:
        value: it.
    """

    value: Float[Array, ""]

    def __call__(self, t: Array) -> Array:
        """The bound."""
        return self.value + jnp.zeros_like(jnp.asarray(t, self.value.dtype))


class ExponentialBound(AbstractBound):
    """scale·e^{−rate·t}.

    Attributes:
        scale: at t = 0.
        rate: per unit of time.
        cap: what it never exceeds.
    """

    scale: Float[Array, ""]
    rate: Float[Array, ""]
    cap: Float[Array, ""] = eqx.field(default_factory=lambda: jnp.asarray(jnp.inf))

    def __call__(self, t: Array) -> Array:
        """The bound at time t."""
        t = jnp.asarray(t, self.scale.dtype)
        return jnp.minimum(self.scale * jnp.exp(-self.rate * t), self.cap.astype(t.dtype))
