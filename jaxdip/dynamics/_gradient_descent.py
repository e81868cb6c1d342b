"""Gradient descent."""

from collections.abc import Callable
from typing import ClassVar

import jax.numpy as jnp

from jaxdip._tree import tree_axpy
from jaxdip._types import Array, Float, Int, RealScalar, Tree
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._modes import recurrence_mode
from jaxdip.dynamics._scales import Scales


class GradientDescent(AbstractDescent):
    """Gradient descent θ_{τ+1} = θ_τ − γ∇f(θ_τ), at time t = γτ.

    By default γ = 1/L, with L the Lipschitz constant of ∇f estimated on the problem.

    Reference: Section III of arXiv 2403.05395.

    Attributes:
        step_size: γ > 0, in units of time.
    """

    linear: ClassVar[bool] = True
    step_size: Float[Array, ""] | None

    def __init__(self, step_size: RealScalar | None = None):
        """Takes γ, or leaves it to the problem.

        Raises:
            ValueError: unless γ is finite and positive.
        """
        self.step_size = number("step_size", step_size, positive=True)

    def resolve(self, scales: Scales) -> tuple["GradientDescent", tuple[str, ...]]:
        """γ = 1/L where left out."""
        if self.step_size is not None:
            return self, ()
        L = scales.lipschitz
        return GradientDescent(1.0 / L.value), (f"step_size: 1/L, L from {L.how}",)

    def numbers(self) -> dict[str, Array]:
        """γ."""
        return {"step_size": self._gamma}

    @property
    def _gamma(self) -> Array:
        if self.step_size is None:
            raise ValueError("the step size is not known yet; call resolve, or give it")
        return self.step_size

    def init(self, grad: Callable[[Tree], Tree], theta: Tree) -> Tree:
        """Nothing to remember."""
        return ()

    def step(self, grad: Callable[[Tree], Tree], theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """θ − γ∇f(θ)."""
        return tree_axpy(-self._gamma, grad(theta), theta), state

    def time(self, step: Int[Array, ""]) -> Array:
        """γτ."""
        return self._gamma * step.astype(self._gamma.dtype)

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """(1 − γλ)^τ."""
        factor = 1 - self._gamma.astype(eigenvalue.dtype) * eigenvalue
        return recurrence_mode(factor, jnp.zeros_like(factor), steps)

    def with_time_step(self, h: RealScalar) -> "GradientDescent":
        """Gradient descent with γ = h."""
        return GradientDescent(h)
