"""What `compare` returns: two trajectories, their difference, and the orders it fits."""

import equinox as eqx
import jax.numpy as jnp

from jaxdip._result import Solution
from jaxdip._types import Array, Float
from jaxdip.dynamics._fit_order import Order, fit_order
from jaxdip.dynamics._run import raise_if_failed


class Comparison(eqx.Module):
    """A flow and a discrete method on one clock, and their difference.

    Attributes:
        flow: the flow's trajectory.
        steps: the method's, at the same times.
        time_steps: the steps h, h/2, …, h/2^halvings on the shared clock, shape (J,); the mean step
            where the method chooses its steps as it goes.
        gaps: for each observable and for 'theta', ‖flow(t) − method_h(t)‖, shape (T, J).
        extrapolated: the same for the Richardson extrapolation 2·method_{h/2} − method_h, shape
            (T, J − 1); NaN where each h has a flow of its own.
    """

    flow: Solution
    steps: Solution
    time_steps: Float[Array, " J"]
    gaps: dict[str, Float[Array, "T J"]]
    extrapolated: dict[str, Float[Array, "T J-1"]]

    @property
    def ts(self) -> Float[Array, " T"]:
        """The times of the records."""
        return self.steps.ts

    @property
    def pointwise(self) -> dict[str, Float[Array, " T"]]:
        """‖flow(t) − method(t)‖ at each time, for the method as given."""
        return {name: rows[..., 0] for name, rows in self.gaps.items()}

    @property
    def sup(self) -> dict[str, Float[Array, ""]]:
        """The largest gap over the records reached, for the method as given."""
        return {name: jnp.nanmax(rows, axis=-1) for name, rows in self.pointwise.items()}

    def order(self) -> Order:
        """The orders in h with which the gaps shrink, by the runs with halved steps.

        Raises:
            ValueError: if no step was halved.
            RuntimeError: if a run failed.
        """
        if self.time_steps.shape[-1] < 2:
            raise ValueError("an order needs at least two step sizes; compare(..., halvings=3)")
        for run in (self.flow, self.steps):
            raise_if_failed(run)
        return fit_order(self.time_steps, self.gaps, self.extrapolated)
