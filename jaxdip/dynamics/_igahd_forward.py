"""IGAHD with the viscous damping taken forward."""

from typing import ClassVar

import jax.numpy as jnp

from jaxdip._types import Array, Float, RealScalar
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._constant_step import InverseL
from jaxdip.dynamics._inertia import known, resolve_alpha, resolve_beta, resolve_s, squared_step
from jaxdip.dynamics._scales import Scales
from jaxdip.dynamics._stability import stable_forward
from jaxdip.dynamics._three_term import AbstractThreeTerm


class IGAHDForward(AbstractThreeTerm):
    """The forward-damped discretisation of `ISEHD`, at time t = ℓ√s.

    With h = √s, d_ℓ = θ_ℓ − θ_{ℓ−1} and θ_{−1} = θ_0,

        θ_{ℓ+1} = θ_ℓ + [d_ℓ − βh(∇f(θ_ℓ) − ∇f(θ_{ℓ−1})) − s∇f(θ_ℓ)]/(1 + αh).

    Unlike `IGAHD` it takes any α and h. Where ∇f is L-Lipschitz, with no convexity,

        V_ℓ = f(θ_ℓ) + (1 + βhL)/(2s) ‖d_ℓ‖²  decreases if β + h/2 < α/L,

    by [(α − βL)/h − L/2]‖d_{ℓ+1}‖² at least: then ∇f(θ_ℓ) → 0. On a quadratic mode λ it is stable
    iff h < [(α − βλ) + √((α − βλ)² + 4λ)]/λ.

    Defaults: s = 1/L, α = μ and β = √s, as for `IGAHD`; they keep the acceleration near a
    solution, not the (nonconvex, worst-case) condition above.

    Reference: ISEHD-Disc of Maulen-Soto, Fadili & Ochs, arXiv 2407.12518, with constant damping.
    Form and condition were derived anew here, and are tested.

    Attributes:
        s: squared step s > 0, in units of time², or `InverseL(c)` for c/L.
        alpha: viscous damping α > 0, in units of 1/time.
        beta: Hessian damping β ≥ 0, in units of time.
    """

    linear: ClassVar[bool] = True
    s: Float[Array, ""] | InverseL | None
    alpha: Float[Array, ""] | None
    beta: Float[Array, ""] | None

    def __init__(
        self,
        s: RealScalar | InverseL | None = None,
        alpha: RealScalar | None = None,
        beta: RealScalar | None = None,
    ):
        """Takes s, α and β; what is left out is filled in from the problem.

        Raises:
            ValueError: unless s > 0, α > 0 and β ≥ 0, all finite.
        """
        self.s = squared_step(s)
        self.alpha = number("alpha", alpha, positive=True)
        self.beta = number("beta", beta, positive=False)

    def resolve(self, scales: Scales) -> tuple["IGAHDForward", tuple[str, ...]]:
        """s = 1/L, α = μ and β = √s where left out."""
        s, note_s = resolve_s(self.s, scales)
        alpha, note_alpha = resolve_alpha(self.alpha, scales, s)
        beta, note_beta = resolve_beta(self.beta, s)
        return IGAHDForward(s, alpha, beta), note_s + note_alpha + note_beta

    def numbers(self) -> dict[str, Array]:
        """s, α and β."""
        s, alpha, beta = known(self.s, self.alpha, self.beta)
        return {"s": s, "alpha": alpha, "beta": beta}

    def coefficients(self) -> tuple[Array, Array, Array]:
        """1, βh and s, all over 1 + αh."""
        s, alpha, beta = known(self.s, self.alpha, self.beta)
        h = jnp.sqrt(s)
        m = 1 / (1 + alpha * h)
        return m, beta * h * m, s * m

    def friction(self) -> Array:
        """αh/(1 + αh)."""
        s, alpha, _ = known(self.s, self.alpha, self.beta)
        drag = alpha * jnp.sqrt(s)
        return drag / (1 + drag)

    def time_step(self) -> Array:
        """√s."""
        return jnp.sqrt(known(self.s, self.alpha, self.beta)[0])

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """The supremum of √s."""
        _, alpha, beta = known(self.s, self.alpha, self.beta)
        return stable_forward(eigenvalue, alpha, beta)

    def with_time_step(self, h: RealScalar) -> "IGAHDForward":
        """The same α and β with √s = h."""
        return IGAHDForward(h * h, self.alpha, self.beta)
