"""Orders of convergence, fitted to gaps at several step sizes."""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Order:
    """Gaps against time steps, and their fitted power law.

    Attributes:
        time_steps: the steps h on the shared clock (γ for gradient descent, √s for IGAHD).
        gaps: sup over the records of ‖flow − method‖, for each observable, one for each h.
        fitted: the exponent q of gap ∝ h^q, for each observable: least squares in logarithms.
        successive: log2 of the ratio of successive gaps, for each observable.
        extrapolation: the same for the Richardson extrapolation 2·method_{h/2} − method_h, at all
            h but the last; None where it does not apply.
    """

    time_steps: np.ndarray
    gaps: dict[str, np.ndarray]
    fitted: dict[str, float]
    successive: dict[str, np.ndarray]
    extrapolation: "Order | None" = None


def fit_order(time_steps, gaps: Mapping, extrapolated: Mapping | None = None) -> Order:
    """Fits the orders of sup-gaps.

    Args:
        time_steps: h, each half of the one before, shape (J,).
        gaps: pointwise gaps by name, shape (T, J).
        extrapolated: pointwise gaps of the extrapolated runs by name, shape (T, J − 1).
    """
    h = np.asarray(time_steps, float)
    table = {name: np.max(np.asarray(rows, float), axis=0) for name, rows in gaps.items()}
    extrapolation = None
    if extrapolated is not None and h.size > 2 and np.all(np.isfinite(extrapolated["theta"])):
        extrapolation = fit_order(h[:-1], extrapolated)
    return Order(
        time_steps=h,
        gaps=table,
        fitted={name: _exponent(h, values) for name, values in table.items()},
        successive={name: _successive(values) for name, values in table.items()},
        extrapolation=extrapolation,
    )


def _exponent(h: np.ndarray, values: np.ndarray) -> float:
    # A gap of zero, as of an observable that does not move, has no order.
    return float(np.polyfit(np.log(h), np.log(values), 1)[0]) if np.all(values > 0) else np.nan


def _successive(values: np.ndarray) -> np.ndarray:
    if np.all(values > 0):
        return np.log2(values[:-1] / values[1:])
    return np.full(values.size - 1, np.nan)
