"""The flow that gradient descent follows to second order."""

from collections.abc import Callable

import jax

from jaxdip._tree import tree_axpy, tree_scale
from jaxdip._types import Array, Float, RealScalar, Tree
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._closed_form import AbstractClosedForm
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._modes import decay
from jaxdip.dynamics._scales import Scales


class ModifiedGradientFlow(AbstractFlow, AbstractClosedForm):
    """The gradient flow of f + (γ/4)‖∇f‖², which gradient descent with step γ follows to O(γ²):

        θ̇ = −∇f(θ) − (γ/2)∇²f(θ)∇f(θ).

    Ask of a curve Θ with Θ(γτ) = θ_τ that Θ(t + γ) = Θ(t) − γ∇f(Θ(t)): then Θ̇ + (γ/2)Θ̈ = −∇f up
    to O(γ²), and Θ̈ = ∇²f ∇f to leading order. One Hessian–vector product a velocity, no Hessian.

    Reference: Barrett & Dherin, "Implicit gradient regularization", arXiv 2009.11162, Theorem 3.1;
    E. Hairer, C. Lubich & G. Wanner, "Geometric Numerical Integration", Section IX.1.

    Attributes:
        step_size: γ > 0, the step of the gradient descent, in units of time.
    """

    step_size: Float[Array, ""]

    def __init__(self, step_size: RealScalar):
        """Takes γ.

        Raises:
            ValueError: unless γ is finite and positive.
        """
        gamma = number("step_size", step_size, positive=True)
        if gamma is None:
            raise ValueError("step_size is that of the gradient descent to follow, got None")
        self.step_size = gamma

    def resolve(self, scales: Scales) -> tuple["ModifiedGradientFlow", tuple[str, ...]]:
        """Itself: nothing is left out."""
        return self, ()

    def numbers(self) -> dict[str, Array]:
        """γ."""
        return {"step_size": self.step_size}

    def init(self, grad: Callable[[Tree], Tree], theta: Tree) -> Tree:
        """θ0."""
        return theta

    def velocity(self, grad: Callable[[Tree], Tree], t: Array, state: Tree) -> Tree:
        """−∇f − (γ/2)∇²f ∇f."""
        g, hessian = jax.linearize(grad, state)
        return tree_scale(-1.0, tree_axpy(0.5 * self.step_size, hessian(g), g))

    def mode(self, eigenvalue: Array, t: Array) -> Array:
        """e^{−(λ + γλ²/2)t}."""
        return decay(self._rate(eigenvalue), t).left

    def fitted(self, eigenvalue: Array, at: Array) -> Array:
        """1 − e^{−(λ + γλ²/2)t}."""
        return decay(self._rate(eigenvalue), at).gone

    def _rate(self, eigenvalue: Array) -> Array:
        gamma = self.step_size.astype(eigenvalue.dtype)
        return eigenvalue + 0.5 * gamma * eigenvalue * eigenvalue

    def parameters(self, state: Tree) -> Tree:
        """The state itself."""
        return state
