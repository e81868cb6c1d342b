"""Where a probability changes: its crossings of a level, finer grids there, and when to stop."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from jaxdip._numbers import count
from jaxdip.sweeps._grid import Grid, Value
from jaxdip.sweeps._result import Frequency
from jaxdip.sweeps._wilson import wilson

# New floats have this many digits: their last bits, and so the keys of their cells, do not depend
# on how a machine rounds logarithms.
_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class Crossing:
    """Where a probability crosses a level.

    Attributes:
        at: the place.
        low: up to here, going down from `at`, the level lies within the cells' intervals; −∞ where
            it does so up to the first cell, or where no intervals were given.
        high: the same going up; ∞ up to the last cell.
    """

    at: float
    low: float
    high: float


def crossing(
    values: ArrayLike,
    probability: ArrayLike,
    level: float = 0.5,
    *,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    log: bool | None = None,
) -> tuple[Crossing, ...]:
    """Where a probability along an axis crosses a level; nowhere, once or several times.

    Between neighbours the probability and the ends of its intervals are interpolated linearly, in
    the logarithm of the axis where that is geometric. Where neighbours are at the level itself the
    crossing is in their middle. A probability that only touches the level does not cross it.
    The interval of a crossing is made of the cells' own, one by one: it is not simultaneous.

    Args:
        values: of the axis, in any order, shape (V,).
        probability: at each, shape (V,); cells with NaN are passed over.
        level: in ]0, 1[.
        low: the lower ends of the cells' intervals, shape (V,).
        high: the upper ends.
        log: whether to interpolate in the logarithm; by default if the values are positive, span a
            factor of 8 and are more evenly spaced in it.

    Returns:
        The crossings, in rising order.

    Raises:
        ValueError: if the arrays disagree, or the logarithm of values at or below 0 is asked for.
    """
    _check_level(level)
    places, p = _numeric(values), np.asarray(probability, float)
    if (low is None) != (high is None):
        raise ValueError("an interval has two ends; give low and high, or neither")
    ends = [p if end is None else np.asarray(end, float) for end in (low, high)]
    if any(each.shape != places.shape for each in (p, *ends)):
        raise ValueError(
            f"values of shape {places.shape}, probability of shape {p.shape} and interval ends of "
            f"shapes {ends[0].shape} and {ends[1].shape}, expected equal lists"
        )
    log = _is_log(places, log)
    order = np.argsort(places)
    order = order[np.isfinite(p[order])]
    u = np.log(places[order]) if log else places[order]
    back = math.exp if log else float
    bounds = []
    if low is not None:
        bounds = [at for end in ends for at in _roots(u, end[order] - level)]
    found = []
    for at in _roots(u, p[order] - level):
        below = [end for end in bounds if end <= at]
        above = [end for end in bounds if end >= at]
        found.append(
            Crossing(
                back(at),
                back(max(below)) if below else -math.inf,
                back(min(above)) if above else math.inf,
            )
        )
    return tuple(found)


def refined(
    grid: Grid,
    axis: str,
    frequency: Frequency,
    level: float = 0.5,
    points: int = 1,
    *,
    log: bool | None = None,
) -> Grid:
    """The grid with more values of an axis where a probability passes a level.

    A gap between neighbouring values is divided if somewhere along the other axes the probabilities
    at its two ends lie on both sides of the level, or the interval of one of them holds it. Cells
    without trials divide nothing. Old values stay, and cells are keyed by their parameters, so the
    old cells keep their trials. The grid stays a product: a new value is a cell for every
    combination of the others.

    Args:
        grid: the cells.
        axis: the name of an axis of numbers.
        frequency: of each cell, as `SweepResult.frequency` gives it.
        level: in ]0, 1[.
        points: new values in each gap that is divided.
        log: whether to divide in the logarithm (for one value: at the geometric mean); by default
            if the values are positive, span a factor of 8 and are more evenly spaced in it.

    Returns:
        The grid, that axis in rising order; the same grid if no gap is divided. Between whole
        numbers the new ones are whole, and fewer where there is no room; other new values have 12
        significant digits.

    Raises:
        ValueError: if there is no such axis, the frequencies are of another grid, or the logarithm
            of values at or below 0 is asked for.
        TypeError: if the axis holds no numbers.
    """
    _check_level(level)
    points = count("points", points, 1)
    if axis not in grid.axes:
        raise ValueError(f"no axis {axis!r}; the grid has {', '.join(grid.axes) or 'none'}")
    if frequency.value.shape != grid.shape:
        raise ValueError(
            f"frequencies of shape {frequency.value.shape} for a grid of shape {grid.shape}; "
            "give those of a sweep of this grid"
        )
    old = grid.axes[axis]
    places = _numeric(old, axis)
    log = _is_log(places, log)
    order = np.argsort(places)
    divide = _passed(frequency, list(grid.axes).index(axis), order, level)
    if not divide.any():
        return grid
    values: list[Value] = [old[order[0]]]
    for i, wanted in enumerate(divide):
        left, right = old[order[i]], old[order[i + 1]]
        if wanted:
            values += _between(left, right, points, log)
        values.append(right)
    if len(values) == len(old):
        return grid
    # An axis keeps its place, and with it the order of the cells.
    return Grid({**grid.axes, axis: tuple(values)}, grid.constants)


@dataclasses.dataclass(frozen=True)
class Narrow:
    """Rule that a cell has enough trials: the interval of its probability is narrow.

    The rule is asked after whole blocks of trials, in the order of the trials, each time with all
    of them up to there. So what is computed does not depend on who computed what, or when.

    Stopping when an interval looks narrow favours the counts that make it so, those far from ½.
    So the interval at the stop covers some probabilities a little less often than its level says,
    and the frequency is biased a little away from ½. Computed exactly for widths from 0.1 to 0.3
    and blocks of 10 and 50 trials, 95 % is 92 % at worst and 95 % on average over the
    probabilities from 0.02 to ½, and the bias is at most 0.015. Where that matters, give every
    cell the same number of trials.

    Attributes:
        event: the name of an outcome of one Boolean a trial, or a function from the outcomes to
            such an array.
        width: the cell is done when Wilson's interval is narrower, in ]0, 1[.
        level: of the interval.
        least: no cell is done with fewer trials.
    """

    event: str | Callable[[Mapping[str, np.ndarray]], np.ndarray]
    width: float
    level: float = 0.95
    least: int = 20

    def __post_init__(self):
        if not 0 < self.width < 1:
            raise ValueError(f"width is between 0 and 1, got {self.width}")
        _check_level(self.level)
        count("least", self.least, 1)

    def enough(self, outcomes_so_far: Mapping[str, np.ndarray]) -> bool:
        """Whether a cell needs no more trials.

        Args:
            outcomes_so_far: of one cell, by name, arrays of shape (N, …) for its first N trials.

        Raises:
            KeyError: if there is no outcome of the event's name.
            ValueError: if the event is not one Boolean a trial.
        """
        if not isinstance(self.event, str):
            true = np.asarray(self.event(outcomes_so_far))
        elif self.event in outcomes_so_far:
            true = np.asarray(outcomes_so_far[self.event])
        else:
            raise KeyError(f"no outcome {self.event!r}; there are {', '.join(outcomes_so_far)}")
        N = {len(x) for x in outcomes_so_far.values()}
        if true.dtype != bool or true.ndim != 1 or any(n != true.size for n in N):
            raise ValueError(
                f"a frequency needs one Boolean a trial, got {true.dtype} of shape {true.shape} "
                f"for {sorted(N)} trials; give a condition such as lambda o: o['loss'] < 1e-14"
            )
        if true.size < self.least:
            return False
        low, high = wilson(true.sum(), true.size, self.level)
        return bool(high - low < self.width)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is between 0 and 1, got {level}")


def _numeric(values: ArrayLike, name: str = "values") -> np.ndarray:
    places = np.asarray(values)
    if places.dtype.kind not in "iuf":
        raise TypeError(f"{name} holds no numbers, so that nothing lies between: {values!r}")
    if places.ndim != 1 or not np.isfinite(places).all():
        raise ValueError(f"{name} is a list of finite numbers, got {values!r}")
    if np.unique(places).size < places.size:
        raise ValueError(f"{name} repeats a value: {values!r}")
    return places.astype(float)


def _is_log(places: np.ndarray, asked: bool | None) -> bool:
    """Whether an axis is geometric: its logarithms are spaced more evenly than its values."""
    positive = bool(np.all(places > 0))
    if asked and not positive:
        raise ValueError("the axis has values at or below 0, which have no logarithm; log=False")
    if asked is not None:
        return asked
    if not positive or places.size < 2 or places.max() < 8 * places.min():
        return False
    if places.size == 2:
        return True
    steps, ratios = np.diff(np.sort(places)), np.diff(np.log(np.sort(places)))
    return bool(np.std(ratios) / np.mean(ratios) < np.std(steps) / np.mean(steps))


def _roots(u: np.ndarray, f: np.ndarray) -> list[float]:
    """Where a piecewise linear function changes its sign."""
    signed = np.flatnonzero(f)
    found = []
    for i, j in itertools.pairwise(signed):
        if (f[i] > 0) == (f[j] > 0):
            continue
        if j == i + 1:
            found.append(float(u[i] + (u[j] - u[i]) * (f[i] / (f[i] - f[j]))))
        else:
            found.append(float((u[i + 1] + u[j - 1]) / 2))
    return found


def _passed(frequency: Frequency, axis: int, order: np.ndarray, level: float) -> np.ndarray:
    """Which gaps along an axis the level is passed in, on any line of cells."""
    p, low, high = (
        np.moveaxis(x, axis, 0)[order] for x in (frequency.value, frequency.low, frequency.high)
    )
    known = np.isfinite(p)
    held = known & (low < level) & (level < high)
    either_side = (p[:-1] - level) * (p[1:] - level) <= 0
    passed = known[:-1] & known[1:] & (either_side | held[:-1] | held[1:])
    return np.asarray(passed.any(axis=tuple(range(1, passed.ndim))))


def _between(left: Value, right: Value, points: int, log: bool) -> list[Value]:
    """New values between two: whole between whole numbers, and no value twice."""
    assert not isinstance(left, str)
    assert not isinstance(right, str)
    parts = np.arange(1, points + 1) / (points + 1)
    between = left * (right / left) ** parts if log else left + (right - left) * parts
    if isinstance(left, int) and isinstance(right, int):
        new = [round(float(x)) for x in between]
    else:
        new = [float(f"{x:.{_DIGITS}g}") for x in between]
    return [x for x in dict.fromkeys(new) if left < x < right]
