"""Tick labels of logarithmic axes that neither overlap nor leave an axis without numbers."""

import math

from matplotlib.axis import Axis
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)


def label_log_axis(axis: Axis) -> None:
    """Choose the labels of a logarithmic axis by how many decades its data span.

    From two decades the powers of ten are labelled, below that 1 and 3, then 1, 2 and 5 times
    them, each down to where at least two of them fit, and below that round numbers. Matplotlib's
    own labels for less than two decades are minor ticks, which overlap in small panels.

    Args:
        axis: `axes.xaxis` or `axes.yaxis`, with everything drawn.
    """
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low)
    axis.set_minor_formatter(NullFormatter())
    if decades >= 2:
        axis.set_major_formatter(LogFormatterMathtext())
        return
    axis.set_major_formatter(FuncFormatter(_text))
    if decades >= 1.3:
        axis.set_major_locator(LogLocator(subs=(1, 3)))
    elif decades >= 0.7:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    else:
        axis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(LogLocator(subs=()))


def _text(value: float, position: int | None = None) -> str:
    """A number of few digits, as a power of ten where it would be long."""
    if 1e-3 <= value < 1e4:
        return f"{value:.5g}"
    mantissa, exponent = f"{value:.4e}".split("e")
    power = f"10^{{{int(exponent)}}}"
    factor = "" if float(mantissa) == 1 else rf"{float(mantissa):g}\times "
    return rf"$\mathdefault{{{factor}{power}}}$"
