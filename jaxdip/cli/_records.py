"""Which steps to record, and when a curve crosses a level."""

import numpy as np


def record_steps(steps: int, records: int) -> list[int]:
    """0 and at most `records` steps, up to the last: dense early, evenly spaced late.

    Their density is half geometric, which resolves the descent, and half even, which keeps any two
    within 2·steps/records of one another.
    """
    every = np.arange(steps + 1)
    if records >= steps:
        return every.tolist()
    share = (np.log1p(every) / np.log1p(steps) + every / steps) / 2
    wanted = np.interp(np.linspace(0, 1, records + 1), share, every)
    return np.unique(wanted.round()).astype(int).tolist()


def crossing_time(time: np.ndarray, residual: np.ndarray, stop: int, threshold: float) -> float:
    """When the residual falls to the threshold, between the records before and at `stop`.

    log ‖r‖ is interpolated linearly in t, which is exact for a single decaying mode.
    """
    if stop == 0 or residual[stop] <= 0:
        return float(time[stop])
    above, below = np.log(residual[stop - 1 : stop + 1])
    share = (above - np.log(threshold)) / (above - below)
    return float(time[stop - 1] + share * (time[stop] - time[stop - 1]))
