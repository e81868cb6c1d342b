"""Limited-memory BFGS."""

from typing import ClassVar

import equinox as eqx
import jax
import optax

from jaxdip._types import Array, Float, Int, RealScalar, Tree
from jaxdip.dynamics._checks import count, given
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._scales import Scales
from jaxdip.problem import Parameters


class LBFGS(AbstractDescent):
    """L-BFGS with the zoom line search of optax, at time t = (time step) × (number of steps).

    The direction is −H∇f(θ), with the inverse Hessian H made of the last `history` differences of
    θ and ∇f; the step along it meets the strong Wolfe conditions where the search finds one within
    `searches` trials, each of which costs a value and a gradient. Directions are combinations of
    past gradients with coefficients from inner products, so the exact reduction applies (a search
    may end elsewhere by rounding).

    f must not change between steps: the value and the gradient at the end of a search are used at
    the next step.

    Reference: J. Nocedal & S. Wright, "Numerical Optimization", algorithms 7.4, 3.5 and 3.6.

    Attributes:
        history: how many differences to remember.
        searches: how many trials a step may make.
        time_step: how much time one step stands for; 1 counts iterations.
    """

    linear: ClassVar[bool] = True
    history: int = eqx.field(static=True)
    searches: int = eqx.field(static=True)
    time_step: Float[Array, ""]

    def __init__(self, history: int = 10, *, searches: int = 20, time_step: RealScalar = 1.0):
        """Takes the memory, the length of a search and the time of a step.

        Raises:
            TypeError: if one is of the wrong kind.
            ValueError: unless history ≥ 1, searches ≥ 1, and the time step is finite and positive.
        """
        self.history = count("history", history, 1)
        self.searches = count("searches", searches, 1)
        self.time_step = given("time_step", time_step, positive=True)

    def _method(self) -> optax.GradientTransformationExtraArgs:
        search = optax.scale_by_zoom_linesearch(self.searches, initial_guess_strategy="one")
        return optax.lbfgs(memory_size=self.history, linesearch=search)

    def resolve(self, scales: Scales) -> tuple["LBFGS", tuple[str, ...]]:
        """Itself: nothing is left out."""
        return self, ()

    def numbers(self) -> dict[str, Array]:
        """The time step."""
        return {"time_step": self.time_step}

    def init(self, f: Parameters, theta: Tree) -> Tree:
        """No differences yet."""
        return self._method().init(theta)

    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """One direction and one line search."""
        value, gradient = optax.value_and_grad_from_state(f)(theta, state=state)

        def on_line(moved: Tree) -> Array:
            return f(jax.tree.map(lambda x, like: x.astype(like.dtype), moved, theta))

        # optax mixes numbers of 32 and 64 bits: it needs the usual promotion, and tries points of
        # the default precision, whatever that of θ is.
        with jax.numpy_dtype_promotion("standard"):
            updates, state = self._method().update(
                gradient, state, theta, value=value, grad=gradient, value_fn=on_line
            )
        return optax.apply_updates(theta, updates), state

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """(time step) × (number of steps)."""
        return self.time_step * step.astype(self.time_step.dtype)

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """Refused: the directions couple all modes."""
        raise ValueError(
            "L-BFGS has no closed form on a mode, because its directions couple them; use "
            "GradientDescent or IGAHD"
        )

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """Refused: the line search chooses the steps, the time step is a label."""
        raise ValueError(
            "L-BFGS searches its steps, so none is too long; for a constant step use "
            "GradientDescent or IGAHD"
        )

    def with_time_step(self, h: RealScalar) -> "LBFGS":
        """The same method, each step of which stands for time h."""
        return LBFGS(self.history, searches=self.searches, time_step=h)
