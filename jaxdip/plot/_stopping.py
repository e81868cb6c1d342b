"""A run against its iterations, with what every stopping rule would have done."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.scale import SymmetricalLogTransform
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike

from jaxdip.plot._style import NORMAL, REFERENCE, add_caption, broken, finish_axes
from jaxdip.plot._ticks import label_log_axis

_CURVE = "#0072B2"
_RULES = (
    ("#D55E00", "o"), ("#009E73", "s"), ("#CC79A7", "D"), ("#E69F00", "^"), ("#56B4E9", "v"),
    ("#595959", "P"), ("#000000", "*"), ("#8C564B", "X"),
)  # fmt: skip
_MARK, _LIFT = 7.0, 9.0  # points: a mark, and how far above the last one that it would cover
_PANEL = 2.7 * 72  # points, about the height of a panel
#: Marks nearer than this share of the axis would cover one another.
_NEAR = 0.03
#: Of the steps, and how far it goes beyond the last of them.
_AXIS, _BEYOND = SymmetricalLogTransform(10.0, 1.0, 1.0), 1.3
_COLUMNS, _ROW = 4, 0.17  # of the legend; inches
_MARGIN = 0.97  # the share of the figure's width that the legend may take
_STACKED = "Marks of nearly one step are stacked above their place on the curve."


class _Mark(NamedTuple):
    """Where a rule's image lies."""

    rule: str
    order: int
    steps: np.ndarray
    at: float
    level: int


def stopping_plot(
    step: ArrayLike,
    residual: ArrayLike,
    *,
    marks: Mapping[str, ArrayLike],
    psnr: ArrayLike | None = None,
    psnr_label: str = "PSNR in dB",
    noise_norm: float | None = None,
    caption: str = "",
) -> Figure:
    """The quality and the residual against the iteration, with every rule's choice marked.

    Several seeds are drawn as their median and the band between the least and the largest of those
    that still ran, interpolated where they were recorded at different steps. A rule's mark is then
    at the median of the steps that it chose (of two the earlier), on the median curve, with a bar
    from its least to its largest step and a pale mark for each seed. Marks that would cover one
    another are stacked above their place on the curve, which the caption then says.

    Args:
        step: of the records, (T,), or (S, T) for S seeds, NaN where one had ended.
        residual: ‖F(x) − y‖ there, of the same shape.
        marks: by rule, the step of its image, a number or one a seed; negative where it chose none.
        psnr: in decibels, of the same shape; None where the truth is unknown.
        psnr_label: what its axis says.
        noise_norm: ‖ε‖, drawn as a line.
        caption: what ran, set under the figure.

    Returns:
        The figure.

    Raises:
        ValueError: if shapes disagree.
    """
    steps = np.atleast_2d(np.asarray(step, float))
    rows = {"residual ‖F(x) − y‖": np.atleast_2d(np.asarray(residual, float))}
    if psnr is not None:
        rows = {psnr_label: np.atleast_2d(np.asarray(psnr, float)), **rows}
    for name, values in rows.items():
        if values.shape != steps.shape:
            raise ValueError(f"{name} of shape {values.shape} for steps of shape {steps.shape}")
    x = np.unique(steps[np.isfinite(steps)])
    last = max(float(x.max(initial=0.0)), 1.0)
    placed = _placed(marks, last)
    if any(mark.level for mark in placed):
        caption = f"{caption} {_STACKED}".strip()
    width = 4.3 * len(rows) + 0.6
    lines = len(broken(caption, width).splitlines())
    figure = Figure(figsize=(width, 3.4 + 0.15 * lines), layout="constrained")
    panels = figure.subplots(1, len(rows), squeeze=False)[0]
    for panel, (name, values) in zip(panels, rows.items(), strict=True):
        log = psnr is None or name != psnr_label
        curves = np.stack([_on_grid(x, *row) for row in zip(steps, values, strict=True)])
        middle = _draw_band(panel, x, curves)
        if log and noise_norm:
            panel.axhline(noise_norm, color=REFERENCE, linewidth=1.0, linestyle=":")
        panel.set_xscale("symlog", base=_AXIS.base, linthresh=_AXIS.linthresh)
        panel.set_xlim(0.0, _BEYOND * last)
        positive = log and np.nanmin(np.where(values > 0, values, np.nan)) > 0
        if positive:
            panel.set_yscale("log")
        for mark in placed:
            _draw_mark(panel, x, middle, mark)
        if positive:
            label_log_axis(panel.yaxis)
        finish_axes(panel, x="iteration", y=name)
    _add_legend(figure, _handles(marks, noise_norm, len(steps) > 1))
    add_caption(figure, caption)
    return figure


def _on_grid(x: np.ndarray, steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """One seed's curve at the steps of all, NaN beyond its own."""
    known = np.isfinite(steps) & np.isfinite(values)
    if not known.any():
        return np.full(x.shape, np.nan)
    return np.interp(x, steps[known], values[known], left=np.nan, right=np.nan)


def _draw_band(panel: Axes, x: np.ndarray, curves: np.ndarray) -> np.ndarray:
    known = np.isfinite(curves).any(axis=0)
    middle = np.full(x.shape, np.nan)
    middle[known] = np.nanmedian(curves[:, known], axis=0)
    if len(curves) > 1:
        low, high = np.nanmin(curves[:, known], axis=0), np.nanmax(curves[:, known], axis=0)
        panel.fill_between(x[known], low, high, color=_CURVE, alpha=0.2, linewidth=0)
    panel.plot(x[known], middle[known], color=_CURVE, linewidth=1.6)
    return middle


def _placed(marks: Mapping[str, ArrayLike], last: float) -> list[_Mark]:
    """The rules that chose a step, each on the lowest level that is free there."""
    found: list[_Mark] = []
    for index, (rule, chosen) in enumerate(marks.items()):
        steps = np.atleast_1d(np.asarray(chosen, float))
        steps = steps[steps >= 0]
        if not steps.size:
            continue
        at = float(np.quantile(steps, 0.5, method="inverted_cdf"))
        here = _along(at, last)
        taken = {one.level for one in found if abs(_along(one.at, last) - here) < _NEAR}
        level = next(level for level in itertools.count() if level not in taken)
        found.append(_Mark(rule, index, steps, at, level))
    return found


def _along(step: float, last: float) -> float:
    """Where a step lies on the axis, from 0 to 1."""
    here, end = _AXIS.transform(np.array([step, _BEYOND * last]))
    return float(here / end)


def _draw_mark(panel: Axes, x: np.ndarray, middle: np.ndarray, mark: _Mark) -> None:
    known = np.isfinite(middle)
    if not known.any():
        return
    colour, shape = _RULES[mark.order % len(_RULES)]
    height, lift = float(np.interp(mark.at, x[known], middle[known])), _LIFT * mark.level
    _make_room(panel, height, (lift + _MARK) / _PANEL)
    figure = panel.get_figure(root=True)
    assert figure is not None
    lifted = panel.transData + ScaledTranslation(0, lift / 72, figure.dpi_scale_trans)
    if mark.level:
        stem = {"arrowstyle": "-", "color": REFERENCE, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
        panel.annotate(
            "", (mark.at, height), (0, lift), textcoords="offset points", arrowprops=stem
        )
    if mark.steps.size > 1:
        ends, level = [mark.steps.min(), mark.steps.max()], [height, height]
        panel.plot(ends, level, color=colour, linewidth=1.2, transform=lifted, zorder=3)
        panel.plot(
            mark.steps, np.full(mark.steps.shape, height), shape, color=colour, alpha=0.5,
            markersize=0.6 * _MARK, markeredgewidth=0, transform=lifted, zorder=3,
        )  # fmt: skip
    panel.plot(
        mark.at, height, shape, color=colour, markersize=_MARK, markeredgecolor="white",
        markeredgewidth=0.8, transform=lifted, zorder=4, label=mark.rule,
    )  # fmt: skip


def _make_room(panel: Axes, height: float, lift: float) -> None:
    """Raise the panel's upper limit so that there is a share of its height above a value."""
    scale = panel.yaxis.get_transform()
    low, high = panel.get_ylim()
    bottom, top, here = scale.transform(np.array([low, high, height]))
    wanted = bottom + (here - bottom) / max(1 - lift, 0.2)
    if wanted > top:
        panel.set_ylim(low, float(scale.inverted().transform(np.array([wanted]))[0]))


def _add_legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """A legend above, in as many columns as fit; the figure grows by its rows."""
    columns = min(_COLUMNS, len(handles))
    while True:
        legend = figure.legend(
            handles=handles, loc="outside upper center", ncols=columns, fontsize=NORMAL,
            frameon=False,
        )  # fmt: skip
        if columns == 1 or legend.get_window_extent().width <= _MARGIN * figure.bbox.width:
            break
        legend.remove()
        columns -= 1
    rows = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + _ROW * rows)


def _handles(marks: Mapping[str, ArrayLike], noise: float | None, band: bool) -> Sequence[Line2D]:
    handles = [Line2D([], [], color=_CURVE, label="median and range of seeds" if band else "run")]
    if noise:
        handles.append(Line2D([], [], color=REFERENCE, linestyle=":", label="noise level ‖ε‖"))
    for index, (rule, chosen) in enumerate(marks.items()):
        colour, shape = _RULES[index % len(_RULES)]
        steps = np.atleast_1d(np.asarray(chosen, float))
        told = rule if (steps >= 0).any() else f"{rule} (chose none)"
        handles.append(
            Line2D([], [], color=colour, marker=shape, linestyle="none", markersize=6, label=told)
        )
    return handles
