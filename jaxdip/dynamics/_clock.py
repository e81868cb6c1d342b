"""The time of methods that choose their steps as they go: a sum without drift."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxdip._types import Array, Float


class Clock(NamedTuple):
    """A sum of steps, with what its rounding has lost.

    Plain summation of N steps in single precision is wrong by up to N roundings, a per cent after
    10⁵ steps; compensated, by two.

    Reference: W. Kahan, "Further remarks on reducing truncation errors", Communications of the ACM
    8, 1965.

    Attributes:
        t: the sum.
        excess: by how much t is too large.
    """

    t: Float[Array, ""]
    excess: Float[Array, ""]

    def after(self, step: Array) -> "Clock":
        """The clock one step later; a step that is NaN does not move it."""
        due = jnp.where(jnp.isnan(step), 0, step).astype(self.t.dtype) - self.excess
        t = self.t + due
        return Clock(t, (t - self.t) - due)


def start_clock(like: Array) -> Clock:
    """t = 0, in the precision of `like`."""
    zero = jnp.zeros((), like.dtype)
    return Clock(zero, zero)
