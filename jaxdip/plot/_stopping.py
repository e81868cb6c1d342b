"""A run against its iterations, with what every stopping rule would have done."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from jaxdip.plot._style import NORMAL, REFERENCE, add_caption, broken, finish_axes
from jaxdip.plot._ticks import label_log_axis

_CURVE = "#0072B2"
_RULES = (
    ("#D55E00", "o"), ("#009E73", "s"), ("#CC79A7", "D"), ("#E69F00", "^"), ("#56B4E9", "v"),
    ("#595959", "P"), ("#000000", "*"), ("#8C564B", "X"),
)  # fmt: skip


def stopping_plot(
    step: ArrayLike,
    residual: ArrayLike,
    *,
    marks: Mapping[str, ArrayLike],
    psnr: ArrayLike | None = None,
    noise_norm: float | None = None,
    caption: str = "",
) -> Figure:
    """The quality and the residual against the iteration, with every rule's choice marked.

    Several seeds are drawn as their median and the band between the least and the largest of them;
    a mark is then the median of the seeds that chose a step.

    Args:
        step: of the records, (T,), or (S, T) for S seeds, NaN where one had ended.
        residual: ‖F(x) − y‖ there, of the same shape.
        marks: by rule, the step of its image, a number or one a seed; negative where it chose none.
        psnr: in decibels, of the same shape; None where the truth is unknown.
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
        rows = {"PSNR in dB": np.atleast_2d(np.asarray(psnr, float)), **rows}
    for name, values in rows.items():
        if values.shape != steps.shape:
            raise ValueError(f"{name} of shape {values.shape} for steps of shape {steps.shape}")
    width = 4.3 * len(rows) + 0.6
    lines = len(broken(caption, width).splitlines())
    figure = Figure(figsize=(width, 3.7 + 0.15 * lines), layout="constrained")
    panels = figure.subplots(1, len(rows), squeeze=False)[0]
    x = steps[np.argmax(np.sum(np.isfinite(steps), axis=1))]
    for panel, (name, values) in zip(panels, rows.items(), strict=True):
        log = name != "PSNR in dB"
        middle = _draw_band(panel, x, values)
        for index, (rule, chosen) in enumerate(marks.items()):
            _mark(panel, x, middle, rule, chosen, index)
        if log and noise_norm:
            panel.axhline(noise_norm, color=REFERENCE, linewidth=1.0, linestyle=":")
        panel.set_xscale("symlog", linthresh=1.0)
        panel.set_xlim(0.0, 1.3 * max(float(np.nanmax(x)), 1.0))
        if log and np.nanmin(np.where(values > 0, values, np.nan)) > 0:
            panel.set_yscale("log")
            label_log_axis(panel.yaxis)
        finish_axes(panel, x="iteration", y=name)
    figure.legend(
        handles=_handles(marks, noise_norm, len(steps) > 1), loc="outside upper center",
        ncols=4, fontsize=NORMAL, frameon=False,
    )  # fmt: skip
    add_caption(figure, caption)
    return figure


def _draw_band(panel: Axes, x: np.ndarray, values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values).any(axis=0) & np.isfinite(x)
    middle = np.full(x.shape, np.nan)
    middle[known] = np.nanmedian(values[:, known], axis=0)
    if len(values) > 1:
        low, high = np.nanmin(values[:, known], axis=0), np.nanmax(values[:, known], axis=0)
        panel.fill_between(x[known], low, high, color=_CURVE, alpha=0.2, linewidth=0)
    panel.plot(x[known], middle[known], color=_CURVE, linewidth=1.6)
    return middle


def _mark(panel: Axes, x, middle, rule: str, chosen: ArrayLike, index: int) -> None:
    steps = np.atleast_1d(np.asarray(chosen, float))
    steps = steps[steps >= 0]
    known = np.isfinite(x) & np.isfinite(middle)
    if not steps.size or not known.any():
        return
    at = float(np.median(steps))
    colour, shape = _RULES[index % len(_RULES)]
    panel.plot(
        at, np.interp(at, x[known], middle[known]), shape, color=colour, markersize=7,
        markeredgecolor="white", markeredgewidth=0.8, zorder=4, label=rule,
    )  # fmt: skip


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
