"""How often something happened in each cell of a sweep, and where that changes, as a dataset."""

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr

from jaxdip.sweeps import Crossing, SweepResult, crossing


def frequencies(
    result: SweepResult, event: str | Callable[[Mapping[str, np.ndarray]], np.ndarray], name: str
) -> xr.Dataset:
    """The share of trials in which something happened, with its 95 % intervals.

    Args:
        result: of the sweep.
        event: the name of a Boolean outcome, or a condition on the outcomes.
        name: of the share; its interval is called `name`_low and `name`_high, the number of trials
            `name`_trials.

    Returns:
        The dataset over the grid's axes.
    """
    found = result.frequency(event)
    axes = {key: np.array(values) for key, values in result.grid.axes.items()}
    parts = {"": found.value, "_low": found.low, "_high": found.high, "_trials": found.trials}
    return xr.Dataset({name + end: (tuple(axes), part) for end, part in parts.items()}, coords=axes)


def threshold(data: xr.Dataset, name: str, axis: str, level: float = 0.5) -> Crossing | None:
    """Where a share along one axis first rises through a level.

    Args:
        data: with the share, its interval, and no other axis, whose values rise.
        name: of the share, as given to `frequencies`.
        axis: along which it changes.
        level: in ]0, 1[.

    Returns:
        The place with the cells' own intervals, or None if the share does not rise through it.
    """
    places, share = data[axis].values, data[name].values
    low, high = data[f"{name}_low"].values, data[f"{name}_high"].values
    for found in crossing(places, share, level, low=low, high=high):
        # Strictly to both sides, for the share may be the level at a place itself.
        after, before = share[places > found.at], share[places < found.at]
        if after.size and before.size and after[0] > before[-1]:
            return found
    return None


def told(found: Crossing | None) -> str:
    """A threshold as a power of ten with its interval, such as '10^2.13 [2.02, 2.21]'."""
    if found is None:
        return "(below the narrowest, or above the widest)"
    low = f"{np.log10(found.low):.2f}" if found.low > 0 else "below the narrowest"
    high = f"{np.log10(found.high):.2f}" if found.high < np.inf else "above the widest"
    return f"10^{np.log10(found.at):.2f} [{low}, {high}]"
