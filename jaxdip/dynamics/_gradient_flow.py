"""Gradient flow."""

from collections.abc import Callable

from jaxdip._tree import tree_scale
from jaxdip._types import Array, Tree
from jaxdip.dynamics._closed_form import AbstractClosedForm
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._modes import decay
from jaxdip.dynamics._scales import Scales


class GradientFlow(AbstractFlow, AbstractClosedForm):
    """Gradient flow θ̇ = −∇f(θ).

    Reference: the limit of gradient descent for vanishing steps; arXiv 2309.12128.
    """

    def resolve(self, scales: Scales) -> tuple["GradientFlow", tuple[str, ...]]:
        """Itself: it has no parameters."""
        return self, ()

    def numbers(self) -> dict[str, Array]:
        """Nothing."""
        return {}

    def init(self, grad: Callable[[Tree], Tree], theta: Tree) -> Tree:
        """θ0."""
        return theta

    def velocity(self, grad: Callable[[Tree], Tree], t: Array, state: Tree) -> Tree:
        """−∇f(θ)."""
        return tree_scale(-1.0, grad(state))

    def mode(self, eigenvalue: Array, t: Array) -> Array:
        """e^{−λt}."""
        return decay(eigenvalue, t).left

    def fitted(self, eigenvalue: Array, at: Array) -> Array:
        """1 − e^{−λt}."""
        return decay(eigenvalue, at).gone

    def parameters(self, state: Tree) -> Tree:
        """The state itself."""
        return state
