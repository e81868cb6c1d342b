"""What a reconstruction returns."""

from typing import Any

import equinox as eqx

from jaxdip._result import RESULTS
from jaxdip._types import Array, Bool, Float, Inexact, Int
from jaxdip.dynamics import Checkpoint


class Stop(eqx.Module):
    """Where one rule would end a run, and the image there.

    Attributes:
        step: the step of the image; −1 if the rule has chosen none.
        fired_at: the step at which the rule fired, later than `step` for a rule with patience; −1
            if it has not.
        x: the image, of the signal's shape; NaN if none was chosen.
        x_average: the averaged image at that step; None without averaging.
    """

    step: Int[Array, "..."]
    fired_at: Int[Array, "..."]
    x: Inexact[Array, "..."]
    x_average: Inexact[Array, "..."] | None

    @property
    def fired(self) -> Bool[Array, "..."]:
        """Whether the rule fired; if not, the image is the best so far of a rule with patience."""
        return self.fired_at >= 0


class Reconstruction(eqx.Module):
    """The image, what every rule would have returned, and why the run ended.

    With `seeds=N` every array has a leading axis of N.

    Attributes:
        x: the image of the rule that ended the run, otherwise the last; of the signal's shape.
        x_last: the last image looked at that was finite; NaN if there was none.
        x_average: the exponential average of the images of all steps; None without averaging.
        stops: what each rule chose, by name.
        trace: numbers along the records, each of shape (T,): 'step', 't' (the shared clock),
            'loss' (without penalties), 'residual' ‖F(x) − y‖ (see `jaxdip.stopping.Seen`); with
            entries held out 'held_out', with `Sure` 'divergence', with the truth 'error' ‖x − x̄‖
            and 'psnr' in decibels. NaN where a seed ended before.
        steps: how many steps were taken.
        result: a member of `RESULTS`.
        reason: why the run ended, in words; with seeds a tuple of them.
        generator: the network at the last step; of a diverged run, at the last record before at
            which its parameters were finite.
        stats: the numbers that the optimiser ran with, by name.
        notes: what was chosen on the caller's behalf, in words.
        checkpoint: where the run stands, for `resume=`.
    """

    x: Inexact[Array, "..."]
    x_last: Inexact[Array, "..."]
    x_average: Inexact[Array, "..."] | None
    stops: dict[str, Stop]
    trace: dict[str, Float[Array, "..."]]
    steps: Int[Array, "..."]
    result: RESULTS
    reason: str | tuple[str, ...] = eqx.field(static=True)
    generator: Any
    stats: dict[str, Array]
    notes: tuple[str, ...] = eqx.field(static=True)
    checkpoint: Checkpoint
