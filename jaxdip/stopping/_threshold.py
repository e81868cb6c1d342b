"""What rules share that fire at the first step at which something holds."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxdip._types import Array, Bool


class Crossing(NamedTuple):
    """Whether a threshold has been reached, and whether it was reached just now."""

    fired: Bool[Array, ""]
    now: Bool[Array, ""]

    def after(self, reached: Array) -> "Crossing":
        """The state after one more step."""
        return Crossing(self.fired | reached, reached & ~self.fired)


def never() -> Crossing:
    """Not reached yet."""
    no = jnp.asarray(False)
    return Crossing(no, no)
