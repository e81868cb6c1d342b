"""Stochastic gradient descent over the entries of the data."""

from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp

from jaxdip._random import check_key
from jaxdip._tree import tree_axpy
from jaxdip._types import Array, Int, Key, RealScalar, Tree
from jaxdip.dynamics._armijo import Armijo
from jaxdip.dynamics._constant_step import Constant
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._gradient_descent import GradientDescent
from jaxdip.dynamics._row_sampling import RowSampling, weighted_pullback
from jaxdip.dynamics._scales import Scales
from jaxdip.dynamics._schedule import Schedule
from jaxdip.dynamics._step_size import AbstractStepSize
from jaxdip.problem import Parameters


class StochasticGradientDescent(AbstractDescent):
    """θ_{τ+1} = θ_τ − γ_τ g_τ with an unbiased gradient from b of the m entries of the data.

    For a loss Σ_i ℓ_i, which for a linear operator is a sum over the rows of A,

        g_τ = (m/b) Σ_{i ∈ B_τ} ∇(ℓ_i ∘ (F g(u, ·))_i)(θ_τ) = Jᵀ(w_τ ∘ ∇L_y),

    with E w_τ = 1. The batch B_τ is drawn anew at every step from `fold_in(key, τ)`, with or
    without replacement within the batch; b = m without replacement is gradient descent. Each g_τ
    lies where ∇f does, along u and in the row space of A, so the exact reduction applies. The
    prediction is computed whole: this is the dynamics of small batches, not their saving.

    Reference: Q. Li, C. Tai & W. E, "Stochastic modified equations and adaptive stochastic gradient
    algorithms", arXiv 1511.06251; its limit is `StochasticGradientFlow`.

    Attributes:
        step_size: the rule for γ_τ, in units of time.
        sampling: how batches are drawn.
        key: the random key of all batches; `jax.vmap` over it makes independent runs.
    """

    linear: ClassVar[bool] = True
    step_size: AbstractStepSize
    sampling: RowSampling
    key: Key

    def __init__(
        self,
        step_size: RealScalar | AbstractStepSize | Callable[[Array], Array],
        batch: int,
        *,
        key: Key,
        replace: bool = False,
    ):
        """Takes γ (a number, a rule of `jaxdip.steps`, or a function of the step's number) and b.

        Raises:
            TypeError: if one of them is of the wrong kind.
            ValueError: unless γ is finite and positive and b is at least 1, or for `Armijo`.
        """
        if isinstance(step_size, Armijo):
            raise ValueError(
                "Armijo backtracks along the full gradient, which batches do not see; give a "
                "number, jaxdip.steps.Table or jaxdip.steps.Schedule"
            )
        if isinstance(step_size, AbstractStepSize):
            self.step_size = step_size
        elif callable(step_size):
            self.step_size = Schedule(step_size)
        else:
            self.step_size = Constant(step_size)
        check_key(key)
        self.sampling = RowSampling(batch, replace)
        self.key = key

    def resolve(self, scales: Scales) -> tuple["StochasticGradientDescent", tuple[str, ...]]:
        """The step-size rule with its defaults filled in."""
        rule, notes = self.step_size.resolve(scales)
        return self._with(rule), notes

    def _with(self, step_size: AbstractStepSize | RealScalar) -> "StochasticGradientDescent":
        batch, replace = self.sampling.batch, self.sampling.replace
        return StochasticGradientDescent(step_size, batch, key=self.key, replace=replace)

    def numbers(self) -> dict[str, Array]:
        """Those of the rule, and b."""
        return {**self.step_size.numbers(), "batch": jnp.asarray(self.sampling.batch, jnp.int32)}

    def init(self, f: Parameters, theta: Tree) -> Tree:
        """The number of steps taken, and what the rule remembers.

        Raises:
            ValueError: if the loss is no sum over entries, or b > m without replacement.
        """
        self.sampling.check(f.problem)
        return jnp.asarray(0, jnp.int32), self.step_size.init()

    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """θ − γ Jᵀ(w ∘ ∇L_y)."""
        count, rule = state
        y = f.problem.y
        key = jax.random.fold_in(self.key, count)
        w = self.sampling.weights(key, y.shape, y.real.dtype)
        g = weighted_pullback(f, theta)(w)
        gamma, rule = self.step_size.choose(f, theta, g, rule)
        return tree_axpy(-gamma, g, theta), (count + 1, rule)

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """Σ γ_τ."""
        return self.step_size.time(step, None if state is None else state[1])

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """∏ (1 − γ_τλ), the mean: (1 − γλ)^τ for a constant step."""
        return GradientDescent(self.step_size).mode(eigenvalue, steps)

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """No formula: the mean is stable below 2/λ, the variance depends on all rows together."""
        raise ValueError(
            "stochastic gradient descent has no stability limit mode by mode: its variance couples "
            "them; the mean alone has that of GradientDescent"
        )

    def with_time_step(self, h: RealScalar) -> "StochasticGradientDescent":
        """The same batches with γ = h."""
        return self._with(h)
