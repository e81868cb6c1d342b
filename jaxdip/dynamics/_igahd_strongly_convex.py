"""IGAHD for strongly convex functions."""

from typing import ClassVar

import jax.numpy as jnp

from jaxdip._types import Array, Float, RealScalar
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._constant_step import InverseL
from jaxdip.dynamics._inertia import resolve_beta, resolve_s, squared_step
from jaxdip.dynamics._scales import Scales
from jaxdip.dynamics._stability import stable_strongly_convex
from jaxdip.dynamics._three_term import AbstractThreeTerm


class IGAHDStronglyConvex(AbstractThreeTerm):
    """IGAHD-SC, for a function of strong convexity μ, at time t = ℓ√s.

    With r = √(μs), d_ℓ = θ_ℓ − θ_{ℓ−1} and θ_{−1} = θ_0,

        θ_{ℓ+1} = θ_ℓ + [(1 − r) d_ℓ − β√s(∇f(θ_ℓ) − ∇f(θ_{ℓ−1})) − s∇f(θ_ℓ)]/(1 + r).

    As s → 0 it tends to `ISEHD(2√μ, β)`. If f is μ-strongly convex, ∇f is L-Lipschitz,

        0 ≤ β ≤ 1/√μ,   8βL ≤ √μ,   L ≤ (√μ/(2s) + μ/√s)/(2βμ + 1/√s + √μ/2),

    then with q = 1/(1 + √(μs)/2) the energy

        E_ℓ = f(θ_ℓ) − min f + ½‖√μ(θ_{ℓ−1} − θ*) + d_ℓ/√s + β∇f(θ_{ℓ−1})‖² ≤ E_1 q^{ℓ−1}.

    The conditions are far from necessary (s of the order of μ/L²): on a quadratic it is stable iff
    λ(s + 2β√s) < 4, which the defaults s = 1/L and β = √s meet, and they keep the acceleration.

    Reference: Theorem 11 of Attouch, Chbani, Fadili & Riahi, arXiv 1907.10536.

    Attributes:
        mu: strong convexity μ > 0, in units of 1/time²; for the linearised network with ½‖·‖² the
            square of `jacobian_sigma_min`.
        s: squared step s > 0, in units of time², or `InverseL(c)` for c/L.
        beta: Hessian damping β ≥ 0, in units of time.
    """

    linear: ClassVar[bool] = True
    mu: Float[Array, ""]
    s: Float[Array, ""] | InverseL | None
    beta: Float[Array, ""] | None

    def __init__(
        self,
        mu: RealScalar,
        s: RealScalar | InverseL | None = None,
        beta: RealScalar | None = None,
    ):
        """Takes μ, s and β; s and β are filled in from the problem where left out.

        Raises:
            TypeError: unless μ is a real number.
            ValueError: unless μ > 0, s > 0 and β ≥ 0, all finite.
        """
        checked = number("mu", mu, positive=True)
        if checked is None:
            raise TypeError("mu, the strong convexity of f, is a real number, got None")
        self.mu = checked
        self.s = squared_step(s)
        self.beta = number("beta", beta, positive=False)

    def resolve(self, scales: Scales) -> tuple["IGAHDStronglyConvex", tuple[str, ...]]:
        """s = 1/L and β = √s where left out."""
        s, note_s = resolve_s(self.s, scales)
        beta, note_beta = resolve_beta(self.beta, s)
        return IGAHDStronglyConvex(self.mu, s, beta), note_s + note_beta

    def numbers(self) -> dict[str, Array]:
        """μ, s and β."""
        s, beta = self._known()
        return {"mu": self.mu, "s": s, "beta": beta}

    def _known(self) -> tuple[Array, Array]:
        if self.s is None or isinstance(self.s, InverseL) or self.beta is None:
            raise ValueError("s and beta are not known yet; call resolve, or give them")
        return self.s, self.beta

    def coefficients(self) -> tuple[Array, Array, Array]:
        """1 − r, β√s and s, all over 1 + r."""
        s, beta = self._known()
        r = jnp.sqrt(self.mu.astype(s.dtype) * s)
        return (1 - r) / (1 + r), beta * jnp.sqrt(s) / (1 + r), s / (1 + r)

    def friction(self) -> Array:
        """2r/(1 + r)."""
        s, _ = self._known()
        r = jnp.sqrt(self.mu.astype(s.dtype) * s)
        return 2 * r / (1 + r)

    def time_step(self) -> Array:
        """√s."""
        return jnp.sqrt(self._known()[0])

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """The supremum of √s."""
        return stable_strongly_convex(eigenvalue, self._known()[1])

    def with_time_step(self, h: RealScalar) -> "IGAHDStronglyConvex":
        """The same μ and β with √s = h."""
        return IGAHDStronglyConvex(self.mu, h * h, self.beta)
