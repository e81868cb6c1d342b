"""What a descent is: a recurrence for θ, on the flows' clock."""

import abc
from typing import Self

import equinox as eqx

from jaxdip._types import Array, Int, RealScalar, Tree
from jaxdip.dynamics._scales import Scales
from jaxdip.problem import Parameters


class AbstractDescent(eqx.Module):
    """A discrete dynamics on f(θ), with the time that each of its steps stands for.

    `f` is the objective: f(θ) is its value, f.gradient(θ) is ∇f(θ). `linear` says that θ moves by
    linear combinations of past gradients, so that the exact reduction applies. The coefficients of
    these combinations may be constants, depend on the step's number, or on values that the
    (isometric) reduction leaves as they are: f, norms and inner products.
    """

    linear: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def resolve(self, scales: Scales) -> tuple[Self, tuple[str, ...]]:
        """The method with its defaults filled in, and what was chosen, in words."""

    @abc.abstractmethod
    def numbers(self) -> dict[str, Array]:
        """The numbers it runs with, by name, for the record."""

    @abc.abstractmethod
    def init(self, f: Parameters, theta: Tree) -> Tree:
        """What the method remembers at the start."""

    @abc.abstractmethod
    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """One step: the new θ and what to remember."""

    @abc.abstractmethod
    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """The time t after that many steps.

        Args:
            step: how many steps.
            state: what the method remembers after them; steps of constant size do not need it.

        Raises:
            ValueError: if the method chooses its steps as it goes and the state is left out.
        """

    @abc.abstractmethod
    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """The factor q(λ, τ) by which τ steps multiply a mode of the linearised residual.

        Raises:
            ValueError: if the method has no such closed form.
        """

    @abc.abstractmethod
    def stable_time_step(self, eigenvalue: Array) -> Array:
        """The supremum of the h for which `with_time_step(h)` is stable on a quadratic mode λ.

        Raises:
            ValueError: if no formula is known.
        """

    @abc.abstractmethod
    def with_time_step(self, h: RealScalar) -> "AbstractDescent":
        """The same method with constant steps, of which the first has time(1) = h."""
