"""The early-stopping time that a theorem promises."""

import jax.numpy as jnp

from jaxdip._numbers import given
from jaxdip._tree import is_concrete
from jaxdip._types import Array, Bool, Float, RealScalar, Tree
from jaxdip.stopping._base import AbstractStopping, Seen
from jaxdip.stopping._threshold import never
from jaxdip.theory import Certificate, stopping_time


class TheoremTime(AbstractStopping):
    """Fires at the first step whose time on the shared clock is at least t*.

    With t* = (4/μ²)[Ψ(ψ⁻¹(‖ε‖)) − Ψ(L0)]₊, which `jaxdip.theory.stopping_time` computes, the
    theorem then promises ‖y(t) − ȳ‖ ≤ 2‖ε‖. The clock is that of the dynamics: t = Σ γ_τ for
    gradient descent, τ√s for IGAHD, the number of steps (times its `time_step`) for others.

    Attributes:
        t: t*, in units of the clock.
    """

    t: Float[Array, ""]

    def __init__(self, t: RealScalar):
        """Takes t*.

        Raises:
            TypeError: if it is not a number.
            ValueError: unless it is finite and at least 0.
        """
        hint = "; where a certificate is not applicable it promises no time"
        if t is not None and is_concrete(t) and bool(jnp.isnan(jnp.asarray(t))):
            raise ValueError(f"t is a time, got nan{hint}")
        self.t = given("t", t, positive=False)

    @classmethod
    def of(cls, certificate: Certificate, noise_norm: RealScalar) -> "TheoremTime":
        """The rule of a certificate of gradient flow or gradient descent.

        Args:
            certificate: what `certify` returned.
            noise_norm: ‖ε‖, positive, in units of the data.

        Raises:
            TypeError: if the certificate has no stopping time of this kind.
            ValueError: if it is not applicable, or ‖ε‖ is not positive.
        """
        return cls(stopping_time(certificate, noise_norm))

    def init(self, template: Seen) -> Tree:
        """Not reached yet."""
        return never()

    def update(self, state: Tree, seen: Seen) -> Tree:
        """Whether the clock shows t*."""
        return state.after(seen.t >= self.t.astype(seen.t.dtype))

    def fired(self, state: Tree) -> Bool[Array, ""]:
        """Whether it has."""
        return state.fired

    def chosen(self, state: Tree) -> Bool[Array, ""]:
        """Whether it got there just now."""
        return state.now
