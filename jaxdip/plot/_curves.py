"""Curves along runs: what was observed, what a theorem allows, and when something happened."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from jaxdip.plot._style import (
    REFERENCE,
    SMALL,
    add_caption,
    dynamics_style,
    finish_axes,
    is_dynamics,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """One curve of a figure.

    Attributes:
        name: 'gf', 'gd', 'isehd', 'igahd', which have colours of their own, or any label.
        ts: where, shape (T,).
        values: what, shape (T,); parts that are not finite are left out.
        label: in the legend; by default from the name.
        kind: 'observed', a line; 'bound', thin and dotted in the same colour; 'points', markers.
    """

    name: str
    ts: np.ndarray
    values: np.ndarray
    label: str | None = None
    kind: str = "observed"


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
    """

    curves: Sequence[Curve]
    y: str
    x: str = "time t"
    title: str = ""
    log_x: bool = False
    log_y: bool = True
    marks: Mapping[str, float] = dataclasses.field(default_factory=dict)
    shaded: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)


_KINDS = ("observed", "bound", "points")


def curves_plot(panels: Sequence[Panel], *, caption: str = "", columns: int = 2) -> Figure:
    """Panels of curves over time, or over anything else.

    Args:
        panels: at least one.
        caption: what ran, set under the figure.
        columns: panels side by side.

    Returns:
        The figure.

    Raises:
        ValueError: if there is nothing to draw, or a curve's arrays disagree.
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
            textcoords="offset points", fontsize=SMALL, color="#333333", rotation=90,
        )  # fmt: skip
    if panel.log_x:
        axes.set_xscale("log")
    if panel.log_y:
        axes.set_yscale("log")
    finish_axes(axes, x=panel.x, y=panel.y, title=panel.title)
    # Curves may fill the axes: the legend stays readable on top of them.
    axes.legend(fontsize=SMALL, frameon=True, framealpha=0.85, edgecolor="none")


def _styles(curves: Sequence[Curve]) -> Mapping[str, tuple[str, str, str]]:
    """Label, colour and dash by name; many unknown names are a family, from dark to light."""
    names = list(dict.fromkeys(curve.name for curve in curves))
    unknown = [name for name in names if not is_dynamics(name)]
    styles = {name: dynamics_style(name) for name in names}
    for index, name in enumerate(unknown):
        if len(unknown) > 3:
            shade = 0.05 + 0.8 * index / (len(unknown) - 1)
            styles[name] = (name, to_hex(colormaps["viridis"](shade)), "-")
        else:
            styles[name] = (name, dynamics_style(name, index)[1], "-")
    return styles


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
        axes.plot(ts[keep], values[keep], "o", color=colour, markersize=4.5, label=label)
    elif curve.kind == "bound":
        axes.plot(ts[keep], values[keep], ":", color=colour, linewidth=1.6, label=label)
    else:
        axes.plot(ts[keep], values[keep], dash, color=colour, linewidth=1.6, label=label)
