"""Gradient descent."""

from collections.abc import Callable
from typing import Any, ClassVar

from jaxdip._tree import tree_axpy
from jaxdip._types import Array, Int, RealScalar, Tree
from jaxdip.dynamics._closed_form import AbstractClosedForm
from jaxdip.dynamics._constant_step import Constant, InverseL
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._scales import Scales
from jaxdip.dynamics._schedule import Schedule
from jaxdip.dynamics._step_size import AbstractStepSize
from jaxdip.problem import Parameters


class GradientDescent(AbstractDescent, AbstractClosedForm):
    """Gradient descent θ_{τ+1} = θ_τ − γ_τ∇f(θ_τ), at time t = Σ γ_τ.

    By default γ = 1/L, with L the Lipschitz constant of ∇f estimated on the problem. The rules of
    `jaxdip.steps` choose others: `InverseL(0.5)` is 1/(2L), `Table` and `Schedule` are known in
    advance, `Armijo` backtracks.

    Reference: Section III of arXiv 2403.05395.

    Attributes:
        step_size: the rule for γ_τ, in units of time.
    """

    linear: ClassVar[bool] = True
    step_size: AbstractStepSize

    def __init__(
        self,
        step_size: RealScalar | AbstractStepSize | Callable[[Array], Array] | None = None,
    ):
        """Takes γ, a rule for it, or a function of the step's number; or leaves it to the problem.

        Raises:
            TypeError: if it is none of these.
            ValueError: unless γ is finite and positive.
        """
        self.step_size = _rule(step_size)

    def resolve(self, scales: Scales) -> tuple["GradientDescent", tuple[str, ...]]:
        """The rule with its defaults filled in."""
        rule, notes = self.step_size.resolve(scales)
        return GradientDescent(rule), notes

    def numbers(self) -> dict[str, Array]:
        """Those of the rule."""
        return self.step_size.numbers()

    def init(self, f: Parameters, theta: Tree) -> Tree:
        """What the rule remembers."""
        return self.step_size.init()

    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """θ − γ∇f(θ)."""
        g = f.gradient(theta)
        gamma, state = self.step_size.choose(f, theta, g, state)
        return tree_axpy(-gamma, g, theta), state

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """Σ γ_τ."""
        return self.step_size.time(step, state)

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """∏ (1 − γ_τλ), which is (1 − γλ)^τ for a constant step."""
        return self.step_size.product(eigenvalue, steps).left

    def fitted(self, eigenvalue: Array, at: Int[Array, "..."]) -> Array:
        """1 − ∏ (1 − γ_τλ)."""
        return self.step_size.product(eigenvalue, at).gone

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """2/λ."""
        return 2 / eigenvalue

    def with_time_step(self, h: RealScalar) -> "GradientDescent":
        """Gradient descent with γ = h."""
        return GradientDescent(h)


def _rule(step_size: Any) -> AbstractStepSize:
    if isinstance(step_size, AbstractStepSize):
        return step_size
    if step_size is None:
        return InverseL()
    if callable(step_size):
        return Schedule(step_size)  # pyright: ignore[reportArgumentType]
    return Constant(step_size)
