"""The theory's widths over a sweep's diagram."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxdip.sweeps import Grid
from jaxdip.theory import existence_width, squared_error_width

#: Each line, what it says, and the width for m data, n entries and an activation.
_WIDTHS = {
    "existence": (
        "a fit exists about half the time (Gordon)",
        lambda m, n, activation: existence_width(m, n, activation=activation).value,
    ),
    "law": (
        "scaling law k = n² m (constant unknown)",
        lambda m, n, activation: squared_error_width(m, n, version="slides").up_to_constant.value,
    ),
}
LINES = tuple(_WIDTHS)
_TRIALS = ("TwoLayerTrial", "FusedTwoLayerTrial")


def theory_lines(
    grid: Grid,
    trial: str,
    axes: Sequence[str],
    names: Sequence[str] = LINES,
    *,
    event: str = "converged",
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Widths from theory as (label, x values, y values), where the diagram has room for them.

    That is where the trial is the papers', the axes are k and one of m and n, and what is counted
    is whether gradient descent converged for the squared error: existence of a fit is asked of all
    dynamics, but the law is the theorem's for this one, and other events have other thresholds. A
    line that leaves the diagram altogether is left out.

    Args:
        grid: of the sweep.
        trial: its class, by name.
        axes: of the diagram, abscissa first.
        names: which lines.
        event: what the diagram counts.
    """
    if trial not in _TRIALS or len(axes) != 2 or "k" not in axes:
        return []
    other = next(name for name in axes if name != "k")
    if other not in ("m", "n"):
        return []
    fixed: dict[str, Any] = {
        "activation": "sigmoid",
        "p": 0.0,
        "dynamics": "gd",
        **grid.constants,
        **{name: values[0] for name, values in grid.axes.items() if len(values) == 1},
    }
    if (fixed["p"], fixed["dynamics"], event) != (0.0, "gd", "converged"):
        return []
    ends = [float(x) for x in (min(grid.axes["k"]), max(grid.axes["k"]))]
    found = []
    for name in names:
        label, width = _WIDTHS[name]
        at = np.array(sorted(grid.axes[other]), float)
        k = np.array([_width(width, fixed, other, value) for value in at])
        if np.any((k >= ends[0]) & (k <= ends[1])):
            points = {"k": k, other: at}
            found.append((label, points[axes[0]], points[axes[1]]))
    return found


def _width(width: Any, fixed: Mapping[str, Any], other: str, value: float) -> float:
    sizes = {**fixed, other: round(value)}
    return float(width(sizes["m"], sizes["n"], sizes["activation"]))
