"""What rules share that wait for a number to stop improving."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxdip._types import Array, Bool, Float, Int


class Best(NamedTuple):
    """The least value so far.

    Attributes:
        value: the least value.
        waited: how many values in a row were no less.
        now: whether the last value was the least.
        fired: whether the patience ran out.
    """

    value: Float[Array, ""]
    waited: Int[Array, ""]
    now: Bool[Array, ""]
    fired: Bool[Array, ""]

    def after(self, value: Array, patience: Array, *, counts: Array | bool = True) -> "Best":
        """The state after one more value; nothing new once fired, nor where it does not count."""
        live = ~self.fired & counts
        better = live & (value < self.value)
        waited = jnp.where(better, 0, self.waited + live.astype(self.waited.dtype))
        least = jnp.where(better, value.astype(self.value.dtype), self.value)
        return Best(least, waited, better, self.fired | (waited >= patience))


def nothing(dtype: jnp.dtype) -> Best:
    """Before the first value."""
    no = jnp.asarray(False)
    return Best(jnp.asarray(jnp.inf, dtype), jnp.asarray(0, jnp.int32), no, no)
