"""The inertial system with explicit Hessian damping."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxdip._tree import tree_axpy, tree_scale
from jaxdip._types import Array, Float, RealScalar, Tree
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._closed_form import AbstractClosedForm
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._modes import Factor, damped_mode
from jaxdip.dynamics._scales import Scales


class ISEHD(AbstractFlow, AbstractClosedForm):
    """The inertial system θ̈ + α θ̇ + β d/dt ∇f(θ) + ∇f(θ) = 0 with θ(0) = θ0, θ̇(0) = 0.

    It needs no Hessian: with v = θ̇ + β∇f(θ),

        θ̇ = v − β∇f(θ),    v̇ = −α v − (1 − αβ)∇f(θ),    v(0) = β∇f(θ0).

    By default α = μ and β = 1/(2α), the pair for which the talk states its theorem, with μ the
    smallest non-zero singular value of A J_g(θ0) (the talk bounds it from below by σ_A σ_min(J_g)).

    Reference: Attouch, Chbani, Fadili & Riahi, arXiv 1907.10536; for networks arXiv 2506.02986.

    Attributes:
        alpha: viscous damping α > 0, in units of 1/time.
        beta: Hessian damping β ≥ 0, in units of time.
    """

    alpha: Float[Array, ""] | None
    beta: Float[Array, ""] | None

    def __init__(self, alpha: RealScalar | None = None, beta: RealScalar | None = None):
        """Takes α and β; what is left out is filled in from the problem.

        Raises:
            ValueError: unless α > 0 and β ≥ 0, both finite.
        """
        self.alpha = number("alpha", alpha, positive=True, hint="; gradient flow has no inertia")
        self.beta = number("beta", beta, positive=False)

    def resolve(self, scales: Scales) -> tuple["ISEHD", tuple[str, ...]]:
        """α = μ and β = 1/(2α) where left out."""
        notes = ()
        alpha, beta = self.alpha, self.beta
        if alpha is None:
            alpha = scales.mu
            notes += ("alpha: the smallest non-zero singular value of A J at the start",)
        if beta is None:
            beta = 0.5 / alpha
            notes += ("beta: 1/(2 alpha)",)
        return ISEHD(alpha, beta), notes

    def numbers(self) -> dict[str, Array]:
        """α and β."""
        return {"alpha": self._alpha, "beta": self._beta}

    @property
    def _alpha(self) -> Array:
        return _resolved(self.alpha)

    @property
    def _beta(self) -> Array:
        return _resolved(self.beta)

    def init(self, grad: Callable[[Tree], Tree], theta: Tree) -> Tree:
        """(θ0, β∇f(θ0))."""
        return theta, tree_scale(self._beta, grad(theta))

    def velocity(self, grad: Callable[[Tree], Tree], t: Array, state: Tree) -> Tree:
        """(v − β∇f(θ), −α v − (1 − αβ)∇f(θ))."""
        theta, v = state
        g = grad(theta)
        return (
            tree_axpy(-self._beta, g, v),
            tree_axpy(-self._alpha, v, tree_scale(self._alpha * self._beta - 1.0, g)),
        )

    def mode(self, eigenvalue: Array, t: Array) -> Array:
        """The solution of q̈ + (α + βλ) q̇ + λ q = 0 with q(0) = 1, q̇(0) = 0."""
        return self._factor(eigenvalue, t).left

    def fitted(self, eigenvalue: Array, at: Array) -> Array:
        """1 − q, by its own formula."""
        return self._factor(eigenvalue, at).gone

    def _factor(self, eigenvalue: Array, t: Array) -> Factor:
        alpha, beta = self._alpha.astype(eigenvalue.dtype), self._beta.astype(eigenvalue.dtype)
        return damped_mode(alpha + beta * eigenvalue, eigenvalue, jnp.asarray(t, eigenvalue.dtype))

    def parameters(self, state: Tree) -> Tree:
        """θ, the first part of the state."""
        return state[0]


def _resolved(x: Array | None) -> Array:
    if x is None:
        raise ValueError("alpha and beta are not known yet; call resolve, or give them")
    return x
