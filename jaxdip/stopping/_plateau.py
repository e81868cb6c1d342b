"""A loss that no longer falls."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxdip._numbers import count, fraction
from jaxdip._types import Array, Bool, Float, Int, RealScalar, Tree
from jaxdip.stopping._base import AbstractStopping, Seen
from jaxdip.stopping._threshold import Crossing, never


class Level(NamedTuple):
    """The last loss that counted as a fall, how many steps ago it was, and whether it fired."""

    loss: Float[Array, ""]
    since: Int[Array, ""]
    crossing: Crossing


class Plateau(AbstractStopping):
    """Fires when the loss has not fallen by a fraction ρ within `window` steps.

    A mark is the last loss that was less than (1 − ρ) times the mark before it, at first that of
    step 0; the rule fires at the first step `window` steps after a mark without a new one.

    Attributes:
        window: how many steps.
        relative: ρ, between 0 and 1.
    """

    window: Int[Array, ""]
    relative: Float[Array, ""]

    def __init__(self, window: int, relative: RealScalar):
        """Takes the window and ρ.

        Raises:
            TypeError: if one is of the wrong kind.
            ValueError: unless window ≥ 1 and 0 < ρ < 1.
        """
        self.window = jnp.asarray(count("window", window, 1), jnp.int32)
        self.relative = fraction("relative", relative)

    def init(self, template: Seen) -> Tree:
        """No mark yet."""
        infinite = jnp.asarray(jnp.inf, template.loss.dtype)
        return Level(infinite, jnp.asarray(0, jnp.int32), never())

    def update(self, state: Tree, seen: Seen) -> Tree:
        """A new mark, or one more step since the last."""
        keep = (1 - self.relative).astype(state.loss.dtype)
        fell = seen.loss < keep * state.loss
        since = jnp.where(fell, 0, state.since + 1)
        mark = jnp.where(fell, seen.loss, state.loss)
        return Level(mark, since, state.crossing.after(since >= self.window))

    def fired(self, state: Tree) -> Bool[Array, ""]:
        """Whether a plateau has been seen."""
        return state.crossing.fired

    def chosen(self, state: Tree) -> Bool[Array, ""]:
        """Whether it was seen just now."""
        return state.crossing.now
