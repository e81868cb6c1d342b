"""How far two trajectories are apart on their common clock."""

import dataclasses

import numpy as np

from jaxdip._result import Solution

#: Two times closer than this, relative to the later, are the same time.
_SAME_TIME = 1e-9


@dataclasses.dataclass(frozen=True)
class Gap:
    """The difference of two trajectories.

    Attributes:
        ts: the times that both recorded, shape (T,).
        pointwise: for each observable that both recorded, the Euclidean norm of the difference at
            each time, shape (T,).
        sup: the largest of them, for each observable.
    """

    ts: np.ndarray
    pointwise: dict[str, np.ndarray]
    sup: dict[str, float]


def gap(first: Solution, second: Solution) -> Gap:
    """The gap ‖a(t) − b(t)‖ of every observable, at the times that both trajectories recorded.

    Nothing is interpolated: integrate the flow at the discrete run's `ts` to compare everywhere.

    Raises:
        ValueError: if the two have no time or no observable in common, or are batches.
    """
    a, b = np.asarray(first.ts), np.asarray(second.ts)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError("gap compares single trajectories; pick one member of each batch")
    rows_a, rows_b = _common(a, b)
    if rows_a.size == 0:
        raise ValueError(
            f"the trajectories share no time: the first has {a.size} records up to t={_last(a)}, "
            f"the second {b.size} up to t={_last(b)}; integrate the flow at the other's ts"
        )
    names = [name for name in first.observed if name in second.observed]
    if not names:
        raise ValueError("the trajectories share no observable; give both the same observe=")
    pointwise = {
        name: _distance(first.observed[name], second.observed[name], rows_a, rows_b)
        for name in names
    }
    sup = {name: float(np.max(values)) for name, values in pointwise.items()}
    return Gap(a[rows_a], pointwise, sup)


def _common(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of equal times in two increasing sequences."""
    if a.size == 0 or b.size == 0:
        return np.zeros(0, int), np.zeros(0, int)
    # Single precision clocks agree to single precision.
    eps = max(_SAME_TIME, *(4 * float(np.finfo(x.dtype).eps) for x in (a, b)))
    nearest = np.clip(np.searchsorted(b, a), 0, b.size - 1)
    left = np.clip(nearest - 1, 0, None)
    nearest = np.where(np.abs(b[left] - a) < np.abs(b[nearest] - a), left, nearest)
    same = np.abs(b[nearest] - a) <= eps * np.maximum(np.abs(a), np.abs(b[nearest]))
    return np.flatnonzero(same), nearest[same]


def _distance(x, y, rows_x: np.ndarray, rows_y: np.ndarray) -> np.ndarray:
    x, y = np.asarray(x)[rows_x], np.asarray(y)[rows_y]
    if x.shape != y.shape:
        raise ValueError(
            f"an observable has shape {x.shape[1:]} in one run, {y.shape[1:]} in the other"
        )
    return np.linalg.norm((x - y).reshape(x.shape[0], -1), axis=1)


def _last(ts: np.ndarray) -> str:
    return f"{ts[-1]:g}" if ts.size else "nothing"
