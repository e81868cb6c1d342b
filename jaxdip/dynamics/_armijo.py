"""Armijo's rule: shrink the step until the loss decreases enough."""

import equinox as eqx
import jax.numpy as jnp

from jaxdip._tree import tree_axpy, tree_dot
from jaxdip._types import Array, Float, Int, RealScalar, Tree
from jaxdip.dynamics._backtracking import check_numbers, frozen, reductions, slack
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._clock import start_clock
from jaxdip.dynamics._constant_step import InverseL
from jaxdip.dynamics._modes import Factor
from jaxdip.dynamics._scales import Scales
from jaxdip.dynamics._step_size import AbstractStepSize
from jaxdip.problem import Parameters


class Armijo(AbstractStepSize):
    """The first of γ̂, ργ̂, ρ²γ̂, … that decreases the loss enough.

        f(θ − γ∇f(θ)) ≤ f(θ) − c γ ‖∇f(θ)‖².

    The first trial γ̂ of a step is `growth` times the step before, of the first step `initial`.
    Where ∇f is L-Lipschitz every γ ≤ 2(1 − c)/L passes, so γ ≥ min(initial, 2ρ(1 − c)/L). The
    default c = ½ admits γ ≤ 1/L, the range of Theorem III.1 of arXiv 2403.05395, and never a step
    beyond 2f/‖∇f‖², which might throw a network with bounded activation into saturation. The
    inequality is asked for up to the rounding of f, and after `most` reductions the step is taken
    as it is (f is then not finite, or not differentiable, at θ). Each trial costs one value of f.

    Derivatives of a run with respect to `initial`, `shrink` and the problem take the number of
    reductions as locally constant, which it is except at ties. A tie may also fall differently, by
    rounding, in reduced and full coordinates.

    Reference: L. Armijo, "Minimization of functions having Lipschitz continuous first partial
    derivatives", Pacific Journal of Mathematics 16, 1966.

    Attributes:
        initial: the first trial, in units of time; 1/L by default.
        decrease: c, between 0 and 1.
        shrink: ρ, between 0 and 1.
        growth: at least 1; with 1 the steps never grow again.
        most: how many reductions a step may make.
    """

    initial: Float[Array, ""] | None
    decrease: Float[Array, ""]
    shrink: Float[Array, ""]
    growth: Float[Array, ""]
    most: int = eqx.field(static=True)

    def __init__(
        self,
        initial: RealScalar | None = None,
        *,
        decrease: RealScalar = 0.5,
        shrink: RealScalar = 0.5,
        growth: RealScalar = 2.0,
        most: int = 60,
    ):
        """Takes the numbers.

        Raises:
            ValueError: if one is out of range.
        """
        self.initial = number("initial", initial, positive=True)
        checked = check_numbers(decrease, shrink, growth, most)
        self.decrease, self.shrink, self.growth, self.most = checked

    def resolve(self, scales: Scales) -> tuple["Armijo", tuple[str, ...]]:
        """The first trial is 1/L where left out."""
        if self.initial is not None:
            return self, ()
        first, words = InverseL().of(scales)
        filled = Armijo(
            first,
            decrease=self.decrease,
            shrink=self.shrink,
            growth=self.growth,
            most=self.most,
        )
        return filled, (f"initial: {words}",)

    def _initial(self) -> Array:
        if self.initial is None:
            raise ValueError("the first trial step is not known yet; call resolve, or give it")
        return self.initial

    def numbers(self) -> dict[str, Array]:
        """The first trial, c, ρ and the growth."""
        return {
            "initial": self._initial(),
            "decrease": self.decrease,
            "shrink": self.shrink,
            "growth": self.growth,
        }

    def init(self) -> Tree:
        """The next trial and t."""
        initial = self._initial()
        return initial, start_clock(initial)

    def choose(self, f: Parameters, theta: Tree, gradient: Tree, state: Tree) -> tuple[Array, Tree]:
        """The first trial that passes."""
        trial, clock = state
        objective, start, g = frozen((f, theta, gradient))
        here, square = objective(start), tree_dot(g, g)
        dtype = here.dtype
        c = frozen(self.decrease).astype(dtype) * square.astype(dtype)
        first, rho = frozen((trial, self.shrink))

        def enough(i):
            gamma = first * rho ** i.astype(rho.dtype)
            there = objective(tree_axpy(-gamma, g, start))
            return there <= here - gamma.astype(dtype) * c + slack(here)

        count = reductions(enough, self.most)
        gamma = trial * self.shrink ** count.astype(self.shrink.dtype)
        # At a critical point every step passes: do not let γ run away.
        grown = jnp.where(square > 0, gamma * self.growth, gamma)
        return gamma, (grown, clock.after(gamma))

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """Σ γ, as accumulated."""
        if state is None:
            raise ValueError(
                "the time of a backtracking method is known only from a run: read Solution.ts"
            )
        return state[1].t

    def product(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Factor:
        """Refused: γ depends on f."""
        raise ValueError(
            "backtracking has no closed form on a mode, because its steps depend on the whole "
            "loss; use a constant step or a table of steps"
        )
