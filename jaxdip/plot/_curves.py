"""Curves along runs: what was observed, what a theorem allows, and when something happened."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from jaxdip.plot._style import (
    LARGE,
    REFERENCE,
    SMALL,
    add_caption,
    dynamics_style,
    finish_axes,
    is_dynamics,
)
from jaxdip.plot._ticks import label_log_axis


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """One curve of a figure.

    Attributes:
        name: 'gf', 'gd', 'isehd', 'igahd', which have colours of their own, or any label.
        ts: where, shape (T,).
        values: what, shape (T,); parts that are not finite are left out.
        label: in the legend; by default from the name.
        kind: 'observed', a line; 'bound', thin and dotted in the same colour; 'points', markers.
        low: the lower ends of bars around points, shape (T,); none by default.
        high: their upper ends.
    """

    name: str
    ts: np.ndarray
    values: np.ndarray
    label: str | None = None
    kind: str = "observed"
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        curves: at least one.
        y: label of the values, with unit.
        x: label of the abscissa.
        title: above the axes.
        log_x: logarithmic abscissa; points at or below zero are left out.
        log_y: logarithmic values.
        marks: moments, by name: vertical lines.
        shaded: intervals of the abscissa, by name: where a hypothesis fails.
        legend_above: sets the legend above the axes, for curves that leave it no room.
    """

    curves: Sequence[Curve]
    y: str
    x: str = "time t"
    title: str = ""
    log_x: bool = False
    log_y: bool = True
    marks: Mapping[str, float] = dataclasses.field(default_factory=dict)
    shaded: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    legend_above: bool = False


_KINDS = ("observed", "bound", "points")
#: Behind text that may lie on curves; they stay visible through it.
_PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.5, "pad": 1.0}
#: Names side by side in a legend above the axes.
_BESIDE = 3


def curves_plot(panels: Sequence[Panel], *, caption: str = "", columns: int = 2) -> Figure:
    """Panels of curves over time, or over anything else.

    Args:
        panels: at least one.
        caption: what ran, set under the figure.
        columns: panels side by side.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw, or a curve's arrays disagree, or bars have one end.
    """
    if not panels:
        raise ValueError("no panels to draw; pass at least one Panel")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(0.6 + 4.6 * columns, 0.5 + 3.5 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, panel in zip(axes, panels, strict=False):
        _draw(place, panel)
    for place in axes[len(panels) :]:
        place.set_visible(False)
    add_caption(figure, caption)
    return figure


def _draw(axes, panel: Panel) -> None:
    if not panel.curves:
        raise ValueError(f"panel {panel.title!r} has no curves")
    styles = _styles(panel.curves)
    for curve in panel.curves:
        _draw_curve(axes, panel, curve, *styles[curve.name])
    for name, (first, last) in panel.shaded.items():
        axes.axvspan(first, last, color="#BBBBBB", alpha=0.35, linewidth=0, label=name)
    for index, (name, at) in enumerate(panel.marks.items()):
        axes.axvline(at, color=REFERENCE, linewidth=1.0, linestyle=(0, (2 + 2 * index, 2)))
        axes.annotate(
            name, (at, 0.03), xycoords=("data", "axes fraction"), xytext=(2, 0),
            textcoords="offset points", fontsize=SMALL, color="#333333", rotation=90, bbox=_PAPER,
        )  # fmt: skip
    if panel.log_x:
        axes.set_xscale("log")
    if panel.log_y:
        axes.set_yscale("log")
    finish_axes(axes, x=panel.x, y=panel.y, title=panel.title)
    if panel.log_x:
        label_log_axis(axes.xaxis)
    if panel.log_y:
        label_log_axis(axes.yaxis)
    _add_legend(axes, panel)


def _add_legend(axes, panel: Panel) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    if not panel.legend_above:
        # Curves may fill the axes: the legend stays readable on top of them.
        axes.legend(fontsize=SMALL, frameon=True, framealpha=0.85, edgecolor="none")
        return
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(_BESIDE, len(labels)),
        fontsize=SMALL, frameon=False, borderaxespad=0.2,
    )  # fmt: skip
    rows = -(-len(labels) // _BESIDE)
    # A row of a legend is about twice as high as its letters.
    axes.set_title(panel.title, fontsize=LARGE, pad=6 + 2 * SMALL * rows)


def _styles(curves: Sequence[Curve]) -> Mapping[str, tuple[str, str, str]]:
    """Label, colour and dash by name; many unknown names are a family, from dark to light.

    What is only a bound is none of a family: the others have the same colours without it.
    """
    names = list(dict.fromkeys(curve.name for curve in curves))
    unknown = [name for name in names if not is_dynamics(name)]
    styles = {name: dynamics_style(name) for name in names}
    if len(unknown) <= 3:
        colours = {name: dynamics_style(name, index)[1] for index, name in enumerate(unknown)}
    else:
        drawn = {curve.name for curve in curves if curve.kind != "bound"}
        family = [name for name in unknown if name in drawn]
        shades = 0.05 + 0.8 * np.linspace(0, 1, len(family))
        colours = dict.fromkeys(unknown, REFERENCE)
        colours |= {
            name: to_hex(colormaps["viridis"](shade))
            for name, shade in zip(family, shades, strict=True)
        }
    return styles | {name: (name, colour, "-") for name, colour in colours.items()}


def _draw_curve(axes, panel: Panel, curve: Curve, label: str, colour: str, dash: str) -> None:
    ts, values = np.asarray(curve.ts, float), np.asarray(curve.values, float)
    if ts.ndim != 1 or ts.shape != values.shape:
        raise ValueError(
            f"curve {curve.name!r}: ts of shape {ts.shape} and values of shape {values.shape}, "
            "expected two equal lists"
        )
    if curve.kind not in _KINDS:
        raise ValueError(
            f"curve {curve.name!r}: unknown kind {curve.kind!r}; choose one of {', '.join(_KINDS)}"
        )
    keep = np.isfinite(ts) & np.isfinite(values)
    keep &= (ts > 0) if panel.log_x else True
    keep &= (values > 0) if panel.log_y else True
    label = label if curve.label is None else curve.label
    if curve.kind == "points":
        _draw_bars(axes, curve, keep, colour)
        axes.plot(ts[keep], values[keep], "o", color=colour, markersize=4.5, label=label)
    elif curve.kind == "bound":
        axes.plot(ts[keep], values[keep], ":", color=colour, linewidth=1.6, label=label)
    else:
        axes.plot(ts[keep], values[keep], dash, color=colour, linewidth=1.6, label=label)


def _draw_bars(axes, curve: Curve, keep: np.ndarray, colour: str) -> None:
    if curve.low is None and curve.high is None:
        return
    if curve.low is None or curve.high is None:
        raise ValueError(f"curve {curve.name!r}: bars have two ends; give low and high")
    low, high = np.asarray(curve.low, float), np.asarray(curve.high, float)
    if low.shape != keep.shape or high.shape != keep.shape:
        raise ValueError(
            f"curve {curve.name!r}: bars of shapes {low.shape} and {high.shape} for {keep.size} "
            "points"
        )
    axes.vlines(np.asarray(curve.ts, float)[keep], low[keep], high[keep], color=colour, linewidth=1)
