"""What a flow is: an ordinary differential equation for θ."""

import abc
from collections.abc import Callable
from typing import Self

import equinox as eqx

from jaxdip._types import Array, Tree
from jaxdip.dynamics._scales import Scales


class AbstractFlow(eqx.Module):
    """A continuous dynamics on f(θ), as a first-order system in a state of its own.

    `grad` is the function θ ↦ ∇f(θ). A flow is linear in past gradients, so `reduce` applies.
    """

    @abc.abstractmethod
    def resolve(self, scales: Scales) -> tuple[Self, tuple[str, ...]]:
        """The flow with its defaults filled in, and what was chosen, in words."""

    @abc.abstractmethod
    def numbers(self) -> dict[str, Array]:
        """The numbers it runs with, by name, for the record."""

    @abc.abstractmethod
    def init(self, grad: Callable[[Tree], Tree], theta: Tree) -> Tree:
        """The state at t = 0."""

    @abc.abstractmethod
    def velocity(self, grad: Callable[[Tree], Tree], t: Array, state: Tree) -> Tree:
        """The time derivative of the state."""

    @abc.abstractmethod
    def mode(self, eigenvalue: Array, t: Array) -> Array:
        """The factor q(λ, t) by which time t multiplies a mode of the linearised residual."""

    @abc.abstractmethod
    def parameters(self, state: Tree) -> Tree:
        """θ, from the state."""
