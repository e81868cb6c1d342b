"""What a recovery did, on one page."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jaxdip.plot._style import (
    LARGE,
    NORMAL,
    REFERENCE,
    SMALL,
    Dash,
    add_caption,
    broken,
    dynamics_style,
    finish_axes,
)
from jaxdip.plot._ticks import label_log_axis

_PANEL, _CURVES = 1.95, 3.4  # inches


@dataclasses.dataclass(frozen=True, eq=False)
class RecoveryRun:
    """One dynamics in a recovery report.

    Attributes:
        dynamics: 'gf', 'gd', 'isehd', 'igahd' or another name.
        time: the recorded times on the shared clock, (T,), increasing.
        loss: the loss at these times, (T,).
        signal_error: ‖x(t) − x̄‖ / ‖x̄‖ at these times, (T,); None where x̄ is unknown.
        image: the recovered image, (H, W) or (H, W, 3), in the truth's units.
        stop: the position in `time` where the discrepancy principle stopped, or None.
        note: a line under the image's title, such as its PSNR.
    """

    dynamics: str
    time: np.ndarray
    loss: np.ndarray
    signal_error: np.ndarray | None
    image: np.ndarray
    stop: int | None = None
    note: str = ""


def recovery_report(
    truth: np.ndarray | None,
    observation: np.ndarray,
    runs: Sequence[RecoveryRun],
    *,
    peak: float = 1.0,
    noise_loss: float | None = None,
    observation_note: str = "",
    caption: str = "",
) -> Figure:
    """Images, error map, loss and signal error of one or several dynamics.

    Above: truth, observation, one recovery per dynamics and the error of the best of them. Below:
    loss and relative signal error against the shared clock t, both axes logarithmic (t = 0 is left
    out). A star marks the smallest signal error on record, a circle the stop by the discrepancy
    principle, both larger and hollow for flows, so that those of a flow and of its discrete
    counterpart show where they coincide. A gray line is the loss of the true signal.

    Args:
        truth: the true image, (H, W) or (H, W, 3), or None.
        observation: an image, or any other array, which is drawn as a curve of its entries.
        runs: one entry per dynamics.
        peak: the value of white in the units of the images.
        noise_loss: the loss at the clean observation, L_y(F(x̄)); omitted where None or 0.
        observation_note: a line under the observation's title.
        caption: what ran, set under the figure.

    Returns:
        The figure.

    Raises:
        ValueError: if there are no runs, or one without recorded times, or shapes that disagree.
    """
    _check(runs, truth)
    columns = len(runs) + 1 + 2 * (truth is not None)
    width = max(_PANEL * columns + 0.5, 7.5)
    above_height = _image_height(runs[0].image, width / columns)
    caption_height = 0.15 * len(broken(caption, width).splitlines())
    figure = Figure(figsize=(width, above_height + _CURVES + caption_height), layout="constrained")
    rows = figure.add_gridspec(2, 1, height_ratios=[above_height, _CURVES])
    above, below = figure.add_subfigure(rows[0]), figure.add_subfigure(rows[1])
    axes = list(above.subplots(1, columns, squeeze=False)[0])
    if truth is not None:
        _draw_image(axes.pop(0), truth, peak, "truth", "")
    _draw_observation(axes.pop(0), observation, peak, observation_note)
    for index, run in enumerate(runs):
        label, colour, _ = dynamics_style(run.dynamics, index)
        _draw_image(axes.pop(0), run.image, peak, label, run.note, colour)
    if truth is not None:
        _draw_error(axes.pop(0), truth, runs, peak)
    _draw_curves(below, runs, noise_loss)
    add_caption(figure, caption)
    return figure


def _image_height(image: np.ndarray, width: float) -> float:
    """Inches for a row of images of this width, with their titles and notes."""
    rows, columns = np.shape(image)[:2]
    return width * min(max(rows / columns, 0.3), 2.0) + 0.6


def _check(runs: Sequence[RecoveryRun], truth: np.ndarray | None) -> None:
    if not runs:
        raise ValueError("no runs to report; pass at least one RecoveryRun")
    for run in runs:
        lengths = {len(run.time), len(run.loss)}
        if run.signal_error is not None:
            lengths.add(len(run.signal_error))
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                f"{run.dynamics}: time, loss and signal_error have lengths {sorted(lengths)}, "
                "expected one positive length"
            )
        if truth is not None and np.shape(run.image) != np.shape(truth):
            raise ValueError(
                f"{run.dynamics}: image of shape {np.shape(run.image)}, "
                f"expected the truth's {np.shape(truth)}"
            )


def _draw_image(
    axes: Axes, image: np.ndarray, peak: float, title: str, note: str, colour: str | None = None
) -> None:
    shown = np.clip(np.nan_to_num(np.asarray(image, float)) / peak, 0.0, 1.0)
    axes.imshow(shown, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    _name_panel(axes, title, note)
    if colour is not None:
        axes.spines[:].set(color=colour, linewidth=2.5)


def _name_panel(axes: Axes, title: str, note: str) -> None:
    axes.set_title(title, fontsize=LARGE)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(note, fontsize=SMALL)


def _draw_observation(axes: Axes, observation: np.ndarray, peak: float, note: str) -> None:
    values = np.asarray(observation)
    if _is_image(values):
        _draw_image(axes, values, peak, "observation", note)
        return
    flat = np.abs(values).ravel() if np.iscomplexobj(values) else values.ravel()
    axes.plot(flat, linewidth=0.5, color=REFERENCE)
    axes.set_box_aspect(1)
    _name_panel(axes, "observation", note or f"{flat.size} numbers")


def _is_image(values: np.ndarray) -> bool:
    shaped = values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 3)
    return shaped and not np.iscomplexobj(values) and min(values.shape[:2]) > 1


def _draw_error(axes: Axes, truth: np.ndarray, runs: Sequence[RecoveryRun], peak: float) -> None:
    """The error map of the run whose image is nearest to the truth."""
    errors = [np.abs(np.asarray(run.image, float) - truth) / peak for run in runs]
    best = int(np.argmin([np.nan_to_num(np.mean(e**2), nan=np.inf) for e in errors]))
    error = errors[best] if errors[best].ndim == 2 else errors[best].mean(axis=2)
    top = float(np.quantile(error[np.isfinite(error)], 0.995)) if np.isfinite(error).any() else 1.0
    picture = axes.imshow(error, cmap="inferno", vmin=0.0, vmax=top or 1.0, interpolation="nearest")
    label = dynamics_style(runs[best].dynamics, best)[0]
    _name_panel(axes, "error", f"of {label}" if len(runs) > 1 else "")
    bar = axes.figure.colorbar(picture, ax=axes, fraction=0.046, pad=0.03)
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("|x − x̄| / white", fontsize=SMALL)


def _draw_curves(panel, runs: Sequence[RecoveryRun], noise_loss: float | None) -> None:
    with_error = [run for run in runs if run.signal_error is not None]
    drawn = list(panel.subplots(1, 2 if with_error else 1, squeeze=False)[0])
    handles: list[Line2D] = []
    for index, run in enumerate(runs):
        label, colour, dash = dynamics_style(run.dynamics, index)
        handles.append(Line2D([], [], color=colour, linestyle=dash, label=label))
        curves = [run.loss] if run.signal_error is None else [run.loss, run.signal_error]
        for axes, values in zip(drawn, curves, strict=False):
            _draw_curve(axes, run, np.asarray(values, float), colour, dash)
    if noise_loss:
        drawn[0].axhline(noise_loss, color=REFERENCE, linewidth=1.0, linestyle=":")
        handles.append(
            Line2D([], [], color=REFERENCE, linestyle=":", label="loss of the true signal")
        )
    if with_error:
        handles.append(_marker("*", 9, "least signal error"))
    if any(run.stop is not None for run in runs):
        handles.append(_marker("o", 6, "discrepancy principle"))
    labels = (("loss L(t)", "loss"), ("‖x(t) − x̄‖ / ‖x̄‖", "relative signal error"))
    for axes, (y, title) in zip(drawn, labels, strict=False):
        # A run that ended at once has nothing that a logarithmic axis could show.
        if any(_shown(run, run.loss).any() for run in runs):
            axes.set_xscale("log")
            axes.set_yscale("log")
            label_log_axis(axes.xaxis)
            label_log_axis(axes.yaxis)
        finish_axes(axes, x="time t = Σγ or τ√s (dimensionless)", y=y, title=title)
    panel.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 7),
        fontsize=NORMAL,
        frameon=False,
    )


def _draw_curve(axes: Axes, run: RecoveryRun, values: np.ndarray, colour: str, dash: Dash) -> None:
    time = np.asarray(run.time, float)
    shown = _shown(run, values)
    lone = "." if np.count_nonzero(shown) == 1 else None
    # A dashed line is drawn thin over its flow, so that both show where they coincide.
    width = 2.4 if dash == "-" else 1.5
    axes.plot(
        time[shown], values[shown], color=colour, linestyle=dash, linewidth=width, marker=lone
    )
    for shape, record, size in (("*", _best(run), 9.0), ("o", run.stop, 5.0)):
        if record is None or not shown[record]:
            continue
        hollow = dash == "-"
        axes.plot(
            time[record], values[record], shape, zorder=4,
            markersize=size + 7 * hollow, markerfacecolor="none" if hollow else colour,
            markeredgecolor=colour if hollow else "black",
            markeredgewidth=1.5 if hollow else 0.7,
        )  # fmt: skip


def _shown(run: RecoveryRun, values: np.ndarray) -> np.ndarray:
    """Which records logarithmic axes can show."""
    return (np.asarray(run.time) > 0) & (values > 0) & np.isfinite(values)


def _best(run: RecoveryRun) -> int | None:
    if run.signal_error is None or not np.isfinite(run.signal_error).any():
        return None
    return int(np.nanargmin(np.where(np.isfinite(run.signal_error), run.signal_error, np.nan)))


def _marker(shape: str, size: float, label: str) -> Line2D:
    return Line2D(
        [], [], linestyle="none", marker=shape, markersize=size,
        markerfacecolor="white", markeredgecolor="black", label=label,
    )  # fmt: skip
