"""Any optax optimiser as a discrete dynamics."""

import equinox as eqx
import jax
import optax

from jaxdip._types import Array, Float, Int, RealScalar, Tree
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._scales import Scales
from jaxdip.problem import Parameters


class Optax(AbstractDescent):
    """An optax optimiser, at time t = (time step) × (number of steps).

    The exact reduction is refused unless the optimiser is declared linear in past gradients:
    plain and momentum SGD are, Adam and anything with clipping, normalisation or weight decay is
    not. Its numbers live inside optax's closures, so a new learning rate recompiles; use
    `optax.inject_hyperparams` to sweep one.

    Attributes:
        optimizer: the optax gradient transformation.
        time_step: how much time one step stands for; 1 counts iterations.
        linear: the caller's word that updates are linear in past gradients.
    """

    optimizer: optax.GradientTransformation
    time_step: Float[Array, ""]
    linear: bool = eqx.field(static=True)

    def __init__(
        self,
        optimizer: optax.GradientTransformation,
        *,
        time_step: RealScalar = 1.0,
        linear: bool = False,
    ):
        """Takes the optimiser.

        Raises:
            TypeError: if it is not an optax gradient transformation.
            ValueError: unless the time step is finite and positive.
        """
        if not isinstance(optimizer, optax.GradientTransformation):
            raise TypeError(
                f"Optax takes a gradient transformation such as optax.adam(1e-2), got "
                f"{type(optimizer).__name__}"
            )
        self.optimizer = optimizer
        h = number("time_step", time_step, positive=True)
        assert h is not None
        self.time_step = h
        self.linear = linear

    def resolve(self, scales: Scales) -> tuple["Optax", tuple[str, ...]]:
        """Itself: nothing is left out."""
        return self, ()

    def numbers(self) -> dict[str, Array]:
        """The time step."""
        return {"time_step": self.time_step}

    def init(self, f: Parameters, theta: Tree) -> Tree:
        """The optimiser's own state."""
        return self.optimizer.init(theta)

    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """One update of the optimiser."""
        gradient = f.gradient(theta)
        # Some optimisers multiply floats by whole numbers: optax needs the usual promotion.
        with jax.numpy_dtype_promotion("standard"):
            updates, state = self.optimizer.update(gradient, state, theta)
        return optax.apply_updates(theta, updates), state

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """(time step) × (number of steps)."""
        return self.time_step * step.astype(self.time_step.dtype)

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """Refused: optax does not say what it does to a mode."""
        raise ValueError(
            "an optax optimiser has no closed form on a mode; use GradientDescent or IGAHD"
        )

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """Refused: the time step of an optax optimiser is a label, not its learning rate."""
        raise ValueError(
            "the stable step of an optax optimiser is not known: its learning rate is hidden in "
            "the optimiser; use GradientDescent or IGAHD"
        )

    def with_time_step(self, h: RealScalar) -> "Optax":
        """The same optimiser, each step of which stands for time h."""
        return Optax(self.optimizer, time_step=h, linear=self.linear)
