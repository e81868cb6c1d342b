"""Two rules as one: fired once both have, or once either has."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp

from jaxdip._types import Array, Bool, Tree
from jaxdip.stopping._base import AbstractStopping, Seen, both, either


class Combined(NamedTuple):
    """The states of two rules, and whether their combination has fired, and just now."""

    first: Tree
    second: Tree
    fired: Bool[Array, ""]
    now: Bool[Array, ""]


class Combination(AbstractStopping):
    """`a & b`, fired once both have, or `a | b`, fired once either has.

    The step that it chooses is the one at which it fires.

    Attributes:
        first: a.
        second: b.
        every: whether both must fire.
    """

    first: AbstractStopping
    second: AbstractStopping
    every: bool = eqx.field(static=True)

    def init(self, template: Seen) -> Tree:
        """Both states."""
        no = jnp.asarray(False)
        return Combined(self.first.init(template), self.second.init(template), no, no)

    def update(self, state: Tree, seen: Seen) -> Tree:
        """Both states, updated."""
        first = self.first.update(state.first, seen)
        second = self.second.update(state.second, seen)
        a, b = self.first.fired(first), self.second.fired(second)
        fired = (a & b) if self.every else (a | b)
        return Combined(first, second, fired, fired & ~state.fired)

    def fired(self, state: Tree) -> Bool[Array, ""]:
        """Whether both have, or either has."""
        return state.fired

    def chosen(self, state: Tree) -> Bool[Array, ""]:
        """Whether it fired just now."""
        return state.now


@both.register
def _(first: AbstractStopping, second: AbstractStopping) -> AbstractStopping:
    return Combination(first, second, True)


@either.register
def _(first: AbstractStopping, second: AbstractStopping) -> AbstractStopping:
    return Combination(first, second, False)
