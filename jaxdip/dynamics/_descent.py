"""What a descent is: a recurrence for θ, on the flows' clock."""

import abc
from collections.abc import Callable
from typing import Self

import equinox as eqx

from jaxdip._types import Array, Int, RealScalar, Tree
from jaxdip.dynamics._scales import Scales


class AbstractDescent(eqx.Module):
    """A discrete dynamics on f(θ), with the time that each of its steps stands for.

    `grad` is the function θ ↦ ∇f(θ). `linear` says that θ moves by linear combinations of past
    gradients, so that the exact reduction applies.
    """

    linear: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def resolve(self, scales: Scales) -> tuple[Self, tuple[str, ...]]:
        """The method with its defaults filled in, and what was chosen, in words."""

    @abc.abstractmethod
    def numbers(self) -> dict[str, Array]:
        """The numbers it runs with, by name, for the record."""

    @abc.abstractmethod
    def init(self, grad: Callable[[Tree], Tree], theta: Tree) -> Tree:
        """What the method remembers at the start."""

    @abc.abstractmethod
    def step(self, grad: Callable[[Tree], Tree], theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """One step: the new θ and what to remember."""

    @abc.abstractmethod
    def time(self, step: Int[Array, ""]) -> Array:
        """The time t after that many steps."""

    @abc.abstractmethod
    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """The factor q(λ, τ) by which τ steps multiply a mode of the linearised residual.

        Raises:
            ValueError: if the method has no such closed form.
        """

    @abc.abstractmethod
    def with_time_step(self, h: RealScalar) -> Self:
        """The same method with time(1) = h."""
