"""How fast a discretisation approaches its flow."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from jaxdip.plot._style import REFERENCE, SMALL, add_caption, dynamics_style, finish_axes
from jaxdip.plot._ticks import label_log_axis


@dataclasses.dataclass(frozen=True, eq=False)
class OrderSeries:
    """Gaps between a discrete dynamics and its flow, over step sizes.

    Attributes:
        dynamics: the discrete dynamics, 'gd', 'igahd' or another name.
        flow: the flow's name, 'gf', 'isehd' or another.
        step_sizes: h, the clock's advance per step (γ for gradient descent, √s for IGAHD), (J,).
        gaps: the gap at each step size, (J,).
        order: the fitted order p in gap ∝ h^p, or None.
        expected: the order that theory predicts; drawn as a reference slope.
    """

    dynamics: str
    flow: str
    step_sizes: np.ndarray
    gaps: np.ndarray
    order: float | None = None
    expected: float = 1.0


def order_plot(
    series: Sequence[OrderSeries], *, gap_label: str = "max over t of the gap", caption: str = ""
) -> Figure:
    """Gap against step size, both logarithmic, with the fitted lines and a reference slope.

    The fitted line is the least-squares one through (log h, log gap) with the slope given; the gray
    reference has the expected slope and passes below the first series.

    Args:
        series: one entry per pair of discrete dynamics and flow.
        gap_label: what was measured, with its unit.
        caption: what ran, set under the figure.

    Returns:
        The figure.

    Raises:
        ValueError: if there is no series, or one whose arrays disagree or are not positive.
    """
    if not series:
        raise ValueError("no series to draw; pass at least one OrderSeries")
    figure = Figure(figsize=(6.0, 4.6), layout="constrained")
    axes = figure.subplots()
    for index, one in enumerate(series):
        _check(one)
        steps, gaps = np.asarray(one.step_sizes, float), np.asarray(one.gaps, float)
        label, colour, _ = dynamics_style(one.dynamics, index)
        flow = dynamics_style(one.flow)[0]
        order = "" if one.order is None else f": order {one.order:.2f}"
        axes.plot(
            steps, gaps, "os^D"[index % 4], color=colour, markersize=6, markeredgecolor="black",
            markeredgewidth=0.6, label=f"{label} → {flow}{order}",
        )  # fmt: skip
        if one.order is not None:
            level = np.exp(np.mean(np.log(gaps) - one.order * np.log(steps)))
            axes.plot(steps, level * steps**one.order, color=colour, linewidth=1.4)
    _draw_reference(axes, series)
    axes.set_xscale("log")
    axes.set_yscale("log")
    label_log_axis(axes.xaxis)
    label_log_axis(axes.yaxis)
    finish_axes(axes, x="step h of the clock  (γ for gradient descent, √s for IGAHD)", y=gap_label)
    figure.legend(loc="outside upper center", ncols=2, fontsize=SMALL, frameon=False)
    add_caption(figure, caption)
    return figure


def _draw_reference(axes, series: Sequence[OrderSeries]) -> None:
    for expected in sorted({one.expected for one in series}):
        alike = [one for one in series if one.expected == expected]
        steps = np.unique(np.concatenate([np.asarray(one.step_sizes, float) for one in alike]))
        lowest = min(
            np.min(np.asarray(one.gaps, float) / np.asarray(one.step_sizes, float) ** expected)
            for one in alike
        )
        axes.plot(
            steps, 0.5 * lowest * steps**expected, color=REFERENCE, linestyle=":", linewidth=1.2,
            label=f"slope {expected:g}",
        )  # fmt: skip


def _check(one: OrderSeries) -> None:
    steps, gaps = np.asarray(one.step_sizes, float), np.asarray(one.gaps, float)
    if steps.ndim != 1 or steps.shape != gaps.shape or steps.size == 0:
        raise ValueError(
            f"{one.dynamics}: step_sizes of shape {steps.shape} and gaps of shape {gaps.shape}, "
            "expected two equal lists"
        )
    if not (np.isfinite(gaps).all() and (gaps > 0).all() and (steps > 0).all()):
        raise ValueError(
            f"{one.dynamics}: step sizes and gaps are positive and finite on a logarithmic plot; "
            "leave out diverged runs"
        )
