"""What a step-size rule is: how gradient descent chooses γ."""

import abc

import equinox as eqx

from jaxdip._types import Array, Int, Tree
from jaxdip.dynamics._modes import Factor
from jaxdip.dynamics._scales import Scales
from jaxdip.problem import Parameters


class AbstractStepSize(eqx.Module):
    """A rule for the step size γ_τ, in units of time.

    It may look at f, at norms and at inner products, which are the same in reduced coordinates,
    and at nothing else: so gradient descent stays in the subspace of the exact reduction.
    """

    @abc.abstractmethod
    def resolve(self, scales: Scales) -> tuple["AbstractStepSize", tuple[str, ...]]:
        """The rule with its defaults filled in, and what was chosen, in words."""

    @abc.abstractmethod
    def numbers(self) -> dict[str, Array]:
        """The numbers it runs with, by name, for the record."""

    @abc.abstractmethod
    def init(self) -> Tree:
        """What the rule remembers at the start."""

    @abc.abstractmethod
    def choose(self, f: Parameters, theta: Tree, gradient: Tree, state: Tree) -> tuple[Array, Tree]:
        """γ for the step from θ along −∇f(θ), and what to remember."""

    @abc.abstractmethod
    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """The sum of the first step sizes; see `AbstractDescent.time`."""

    @abc.abstractmethod
    def product(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Factor:
        """∏_{j<τ} (1 − γ_j λ), and 1 minus it.

        Raises:
            ValueError: if the step sizes depend on f.
        """
