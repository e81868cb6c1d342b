"""How often something happened in each cell of a sweep, and where that changes, as a dataset."""

from collections.abc import Callable, Mapping, Sequence

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


def place(data: xr.Dataset, name: str, axis: str, level: float = 0.5) -> float:
    """Where `threshold` is; 0 if the share is at the level from the first place on, else infinite.

    Args:
        data: as of `threshold`.
        name: as there.
        axis: as there.
        level: as there.
    """
    found = threshold(data, name, axis, level)
    if found is not None:
        return found.at
    return 0.0 if data[name].values[0] >= level else np.inf


def grows(places: Sequence[float]) -> bool:
    """Whether places, as of `place`, never fall, and rise between any two that were found.

    Two at least must have been found, for those beyond the ends of the axis show no growth.
    """
    at = np.asarray(places, float)
    found = at[(at > 0) & np.isfinite(at)]
    ordered = np.array_equal(at, np.sort(at))
    return bool(found.size > 1 and ordered and np.all(np.diff(found) > 0))


def told(data: xr.Dataset, name: str, axis: str, level: float = 0.5) -> str:
    """A threshold as a power of ten with its interval, such as '10^2.13 [2.02, 2.21]'.

    One beyond an end of the axis reads 'at most 10^1.00' or 'at least 10^3.00', and so does an end
    of an interval: '10^1.08 [≤ 1.00, 1.22]'.

    Args:
        data: as of `threshold`.
        name: as there.
        axis: as there.
        level: as there.
    """
    first, last = (f"{np.log10(data[axis].values[end]):.2f}" for end in (0, -1))
    found = threshold(data, name, axis, level)
    if found is None:
        below = place(data, name, axis, level) == 0
        return f"at most 10^{first}" if below else f"at least 10^{last}"
    low = f"{np.log10(found.low):.2f}" if found.low > 0 else f"≤ {first}"
    high = f"{np.log10(found.high):.2f}" if found.high < np.inf else f"≥ {last}"
    return f"10^{np.log10(found.at):.2f} [{low}, {high}]"


def beyond(places: Mapping[int, float], axis: str, what: str) -> str:
    """For which sizes half of the runs do something at every place, or at none; '' if for none.

    Args:
        places: as of `place`, by size.
        axis: the name of the size.
        what: they do, such as 'converge'.
    """
    every = [size for size, at in places.items() if at == 0]
    never = [size for size, at in places.items() if at == np.inf]
    notes = [
        f"for {axis} = {', '.join(map(str, sizes))} {which} the runs {what} {where}"
        for sizes, which, where in (
            (every, "half of", "at every width shown"),
            (never, "fewer than half of", "at all widths shown"),
        )
        if sizes
    ]
    return "; ".join(notes)
