"""Methods that add a multiple of the last move and of the last change of the gradient."""

import abc

from jaxdip._tree import tree_add, tree_axpy, tree_scale
from jaxdip._types import Array, Int, Tree
from jaxdip.dynamics._closed_form import AbstractClosedForm
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._modes import Factor, recurrence_mode
from jaxdip.problem import Parameters


class AbstractThreeTerm(AbstractDescent, AbstractClosedForm):
    """θ_{ℓ+1} = θ_ℓ + m(θ_ℓ − θ_{ℓ−1}) − b(∇f(θ_ℓ) − ∇f(θ_{ℓ−1})) − c∇f(θ_ℓ), θ_{−1} = θ_0."""

    @abc.abstractmethod
    def coefficients(self) -> tuple[Array, Array, Array]:
        """m, b and c."""

    @abc.abstractmethod
    def friction(self) -> Array:
        """1 − m, without cancellation."""

    @abc.abstractmethod
    def time_step(self) -> Array:
        """The time of one step."""

    # All that the recurrence remembers is w_ℓ = m(θ_ℓ − θ_{ℓ−1}) + b∇f(θ_{ℓ−1}).

    def init(self, f: Parameters, theta: Tree) -> Tree:
        """w_0 = b∇f(θ_0)."""
        return tree_scale(self.coefficients()[1], f.gradient(theta))

    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """The new θ and the new w."""
        m, b, c = self.coefficients()
        g = f.gradient(theta)
        moved = tree_axpy(-(b + c), g, state)
        return tree_add(theta, moved), tree_axpy(m, moved, tree_scale(b, g))

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """ℓ times the time of one step."""
        h = self.time_step()
        return h * step.astype(h.dtype)

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """q_{ℓ+1} = q_ℓ + (m − bλ)(q_ℓ − q_{ℓ−1}) − cλ q_ℓ, by powers of a 2 × 2 matrix."""
        return self._factor(eigenvalue, steps).left

    def fitted(self, eigenvalue: Array, at: Int[Array, "..."]) -> Array:
        """1 − q_ℓ, by the same powers."""
        return self._factor(eigenvalue, at).gone

    def _factor(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Factor:
        m, b, c = (x.astype(eigenvalue.dtype) for x in self.coefficients())
        leak = self.friction().astype(eigenvalue.dtype) + b * eigenvalue
        return recurrence_mode(c * eigenvalue, m - b * eigenvalue, leak, steps)
