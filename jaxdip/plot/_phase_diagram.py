"""A probability over one or two parameters: where something happens, and how well that is known."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from jaxdip.plot._style import REFERENCE, SMALL, add_caption, dynamics_style, finish_axes
from jaxdip.plot._ticks import label_log_axis

# Perceptually uniform, and in order for every colour blindness.
_MAP = "viridis"
_LINES = (("#D55E00", "--", "D"), ("#CC79A7", "-.", "s"), ("#56B4E9", ":", "^"))
_HATCH = {"facecolor": "#F2F2F2", "edgecolor": "#8C8C8C", "hatch": "////", "linewidth": 0}
_HALO = [withStroke(linewidth=3.0, foreground="white")]
# Values of a linear axis that are this part of it apart have each a tick of its own.
_APART = 1 / 14
# Names that would take more characters side by side are turned.
_CHARACTERS = 75
# So many the legend has room for.
_LEGEND = 92


def phase_diagram(
    x: Sequence | np.ndarray,
    y: Sequence | np.ndarray | None,
    probability: ArrayLike,
    *,
    x_label: str,
    y_label: str = "",
    label: str = "probability",
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    intervals: bool = False,
    trials: ArrayLike | None = None,
    contour: float | None = 0.5,
    lines: Sequence[tuple[str, ArrayLike, ArrayLike]] = (),
    x_log: bool | None = None,
    y_log: bool | None = None,
    title: str = "",
    caption: str = "",
) -> Figure:
    """A probability over two axes as a heat map with a contour, or over one as a curve with bars.

    A cell reaches half way to its neighbours, on a logarithmic axis in the logarithm. Contours are
    interpolated between the middles of cells, in the same scale; along an axis of names there is
    nothing between, and the contour is a mark in each cell of that name. Where both axes are names
    there is none. Cells with NaN are hatched, and contours keep clear of them.

    Args:
        x: numbers in any order, or names, shape (X,); Booleans are names.
        y: the same, shape (Y,), or None for a curve over x.
        probability: of each cell, shape (X, Y) or (X,); NaN where it is not known yet.
        x_label: of the abscissa, with unit.
        y_label: of the ordinate; needed with two axes, and with one by default `label`.
        label: what the probability is of.
        low: the lower end of each cell's interval.
        high: the upper end; with one axis both are drawn as bars.
        intervals: with two axes, draw the contours of `low` and `high` too, thin. They hold cell by
            cell, not for the whole contour at once.
        trials: how many there were in each cell, or in all: told beside the probability.
        contour: the level, or None for no contour.
        lines: a theory's, each as (label, x values, y values); markers along an axis of names.
        x_log: logarithmic abscissa; by default if the values are positive, span a factor of 8 and
            are more evenly spaced so.
        y_log: the same for the ordinate.
        title: above the axes.
        caption: what ran, set under the figure.

    Returns:
        The figure.

    Raises:
        ValueError: if arrays disagree in shape, probabilities leave [0, 1], an axis repeats a
            value, mixes numbers with names, cannot be logarithmic or has no label, or intervals are
            asked for and not given.
    """
    across = _Scale.of("x", x, x_log)
    up = None if y is None else _Scale.of("y", y, y_log)
    shape = (across.size,) if up is None else (across.size, up.size)
    values = _given("probability", probability, shape)
    ends = [None if end is None else _given("interval", end, shape) for end in (low, high)]
    if (low is None) != (high is None) or (intervals and low is None):
        raise ValueError("an interval has two ends; give low and high")
    if contour is not None and not 0 < contour < 1:
        raise ValueError(f"contour is a level between 0 and 1, or None, got {contour}")
    if up is not None and not y_label:
        raise ValueError("the second axis has no label; give y_label, with its unit")
    label += _told(trials, values)
    figure = Figure(figsize=(6.2, 4.6), layout="constrained")
    axes = figure.subplots()
    if up is None:
        handles = _draw_curve(axes, across, values, ends, contour)
    else:
        bands = ends if intervals else []
        handles = _draw_map(axes, across, up, values, bands, contour, label)
    across.finish(axes, "x")
    if up is None:
        axes.set_ylim(-0.03, 1.03)
    else:
        up.finish(axes, "y")
    handles += _draw_lines(axes, lines, across, up)
    finish_axes(axes, x=x_label, y=y_label or label, title=title)
    if up is not None:
        axes.grid(visible=False)
    if handles:
        # As many side by side as have room: so many characters, each with its sample of the line.
        longest = max(len(str(handle.get_label())) for handle in handles) + 6
        rows = -(-len(handles) // max(1, min(3, _LEGEND // longest)))
        figure.legend(
            handles=handles, loc="outside upper center", ncols=-(-len(handles) // rows),
            fontsize=SMALL, frameon=False,
        )  # fmt: skip
    add_caption(figure, caption)
    return figure


@dataclasses.dataclass(frozen=True, eq=False)
class _Scale:
    """An axis: where its cells are and end, in data coordinates."""

    order: np.ndarray
    middles: np.ndarray
    edges: np.ndarray
    names: tuple[str, ...]
    log: bool

    @staticmethod
    def of(which: str, values: Sequence | np.ndarray, log: bool | None) -> "_Scale":
        given = np.asarray(values)
        kinds = {isinstance(value, str) for value in list(values)}
        if given.ndim != 1 or not given.size or len(kinds) > 1:
            raise ValueError(f"{which} is a list of numbers or of names, got {values!r}")
        if np.unique(given).size < given.size:
            raise ValueError(f"{which} repeats a value: {values!r}")
        if given.dtype.kind in "USb":
            if log:
                raise ValueError(f"{which} holds names, which cannot be on a logarithmic axis")
            at = np.arange(given.size)
            edges = np.arange(given.size + 1) - 0.5
            return _Scale(at, at.astype(float), edges, tuple(map(str, given)), False)
        if given.dtype.kind not in "iuf" or not np.isfinite(given).all():
            raise ValueError(f"{which} is a list of finite numbers or of names, got {values!r}")
        order = np.argsort(given)
        middles = given[order].astype(float)
        if log and middles[0] <= 0:
            raise ValueError(f"{which} has values at or below 0, which have no logarithm")
        log = _looks_log(middles) if log is None else log
        return _Scale(order, middles, _edges(middles, log), (), log)

    @property
    def size(self) -> int:
        return len(self.middles)

    @property
    def flat(self) -> np.ndarray:
        """The middles where lines are straight."""
        return np.log(self.middles) if self.log else self.middles

    def back(self, flat: ArrayLike) -> np.ndarray:
        """From `flat` to data coordinates."""
        return np.exp(flat) if self.log else np.asarray(flat, float)

    def find(self, values: ArrayLike) -> np.ndarray:
        """The data coordinates of numbers, or of names."""
        given = np.atleast_1d(np.asarray(values))
        if self.names and given.dtype.kind in "USb":
            unknown = sorted({str(name) for name in given} - {*self.names})
            if unknown:
                raise ValueError(
                    f"a line stands at {unknown[0]!r}; the axis has {', '.join(self.names)}"
                )
            return np.array([self.names.index(str(name)) for name in given], float)
        return given.astype(float)

    def finish(self, axes, which: str) -> None:
        """Scale, limits and ticks."""
        axis = axes.xaxis if which == "x" else axes.yaxis
        limits = axes.set_xlim if which == "x" else axes.set_ylim
        if self.log:
            (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        limits(self.edges[0], self.edges[-1])
        if self.log:
            label_log_axis(axis)
        elif self.names:
            long = which == "x" and self.size * max(map(len, self.names)) > _CHARACTERS
            turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if long else {}
            axis.set_ticks(self.middles, self.names, parse_math=False, **turned)
        elif np.diff(self.middles).min(initial=np.inf) >= _APART * np.ptp(self.edges):
            axis.set_ticks(self.middles, [f"{value:.5g}" for value in self.middles])


def _looks_log(middles: np.ndarray) -> bool:
    """Whether an axis is geometric: its logarithms are spaced more evenly than its values."""
    if middles[0] <= 0 or middles.size < 2 or middles[-1] < 8 * middles[0]:
        return False
    if middles.size == 2:
        return True
    steps, ratios = np.diff(middles), np.diff(np.log(middles))
    return bool(np.std(ratios) / np.mean(ratios) < np.std(steps) / np.mean(steps))


def _edges(middles: np.ndarray, log: bool) -> np.ndarray:
    """Half way between neighbours; the outer cells end as far out as they reach in."""
    u = np.log(middles) if log else middles
    if u.size == 1:
        half = np.log(2.0) if log else 0.5
        inner, first, last = np.empty(0), u[0] - half, u[0] + half
    else:
        inner = (u[:-1] + u[1:]) / 2
        first, last = 2 * u[0] - inner[0], 2 * u[-1] - inner[-1]
    edges = np.concatenate([[first], inner, [last]])
    return np.exp(edges) if log else edges


def _given(name: str, values: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(values, float)
    if array.shape != shape:
        raise ValueError(f"{name} of shape {array.shape} over axes of shape {shape}")
    if np.any((array < 0) | (array > 1)):
        raise ValueError(f"{name} leaves [0, 1]: from {np.nanmin(array):g} to {np.nanmax(array):g}")
    return array


def _told(trials: ArrayLike | None, values: np.ndarray) -> str:
    if trials is None:
        return ""
    counts = np.asarray(trials)
    if counts.shape not in ((), values.shape):
        raise ValueError(f"trials of shape {counts.shape} for cells of shape {values.shape}")
    counts = np.broadcast_to(counts, values.shape)[np.isfinite(values)]
    if not counts.size:
        return ""
    least, most = counts.min(), counts.max()
    return f"  ({least:g} trials)" if least == most else f"  ({least:g} to {most:g} trials)"


def _draw_map(axes, across, up, values, bands, contour, label) -> list:
    values, *bands = (z[np.ix_(across.order, up.order)] for z in (values, *bands))
    mesh = axes.pcolormesh(
        across.edges, up.edges, np.ma.masked_invalid(values).T, cmap=_MAP, vmin=0, vmax=1,
        rasterized=True,
    )  # fmt: skip
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02)
    bar.set_label(label, fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_linewidth(0.6)
    unknown = _hatch(axes, across, up, ~np.isfinite(values))
    if contour is None:
        return unknown
    handles = []
    level = "½" if contour == 0.5 else f"{contour:g}"
    for z, width, text in [
        (values, 1.8, f"probability {level} (interpolated)"),
        *((z, 0.8, "its interval, cell by cell") for z in bands),
    ]:
        # The interval of a cell without trials is all of [0, 1] and says nothing.
        found = _contour(across, up, np.where(np.isfinite(values), z, np.nan), contour)
        for path in found:
            (line,) = axes.plot(*path, color="black", linewidth=width, label=text)
            line.set_path_effects([withStroke(linewidth=width + 1.2, foreground="white")])
        if found and text not in [handle.get_label() for handle in handles]:
            handles.append(Line2D([], [], color="black", linewidth=width, label=text))
    if handles:
        bar.ax.axhline(contour, color="black", linewidth=1.2)
    return handles + unknown


def _hatch(axes, across, up, unknown) -> list:
    """Hatches cells; with one axis, all their height."""
    if not unknown.any():
        return []
    left, width = across.edges[:-1], np.diff(across.edges)
    foot, height = ([-1.0], [3.0]) if up is None else (up.edges[:-1], np.diff(up.edges))
    cells = [
        Rectangle((left[i], foot[j]), width[i], height[j])
        for i, j in np.argwhere(unknown.reshape(across.size, -1))
    ]
    axes.add_collection(PatchCollection(cells, **_HATCH), autolim=False)
    return [Patch(label="not computed", **_HATCH)]


def _contour(across, up, z: np.ndarray, level: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The lines where z, shape (X, Y), is at the level, each as x and y values."""
    if across.names and up.names:
        return []
    if across.names:
        # The width of a cell, less a margin that keeps neighbours' marks apart.
        return [
            (at + np.array([-0.42, 0.42]), up.back([u, u]))
            for at, row in zip(across.middles, z, strict=True)
            for u in _roots(up.flat, row - level)
        ]
    if up.names:
        return [(x, y) for y, x in _contour(up, across, z.T, level)]
    known = z[np.isfinite(z)]
    if min(z.shape) < 2 or not known.size or not known.min() < level < known.max():
        return []
    # A figure of its own: here the interpolation is linear in the logarithm, as the axes are.
    plane = Figure().subplots()
    drawn = plane.contour(across.flat, up.flat, np.ma.masked_invalid(z).T, levels=[level])
    return [(across.back(s[:, 0]), up.back(s[:, 1])) for s in drawn.allsegs[0] if len(s)]


def _roots(u: np.ndarray, f: np.ndarray) -> list[float]:
    """Where neighbours that are known lie on two sides of 0."""
    u, f = u[np.isfinite(f)], f[np.isfinite(f)]
    left = np.flatnonzero((f[:-1] >= 0) != (f[1:] >= 0))
    return [float(u[i] + (u[i + 1] - u[i]) * f[i] / (f[i] - f[i + 1])) for i in left]


def _draw_curve(axes, across, values, ends, contour) -> list:
    _, colour, _ = dynamics_style("gf")
    values = values[across.order]
    half = []
    if contour is not None:
        text = "probability ½" if contour == 0.5 else f"probability {contour:g}"
        line = axes.axhline(contour, color=REFERENCE, linewidth=1.0, linestyle="--", label=text)
        half.append(line)
    style = "o" if across.names else "o-"
    # Where a value is not known the line is broken.
    handles = axes.plot(
        across.middles, values, style, color=colour, linewidth=1.4, markersize=4.5,
        label="observed",
    )  # fmt: skip
    known = np.isfinite(values)
    if ends[0] is not None:
        low, high = (end[across.order][known] for end in ends)
        bars = axes.vlines(
            across.middles[known], low, high, color=colour, linewidth=1.2, label="its interval"
        )
        handles.append(bars)
    return handles + half + _hatch(axes, across, None, ~known)


def _draw_lines(axes, lines, across, up) -> list:
    """A theory's lines, within the limits that the cells have set."""
    handles = []
    names = bool(across.names or (up is not None and up.names))
    for index, (text, xs, ys) in enumerate(lines):
        at = across.find(xs), np.atleast_1d(np.asarray(ys, float)) if up is None else up.find(ys)
        if at[0].ndim != 1 or at[0].shape != at[1].shape:
            raise ValueError(
                f"line {text!r}: x values of shape {at[0].shape} and y values of shape "
                f"{at[1].shape}, expected two equal lists"
            )
        keep = np.isfinite(at[0]) & np.isfinite(at[1])
        keep &= (at[0] > 0) if across.log else True
        keep &= (at[1] > 0) if up is not None and up.log else True
        colour, dash, marker = _LINES[index % len(_LINES)]
        # Between names there is nothing for a line to pass through.
        (line,) = axes.plot(
            at[0][keep], at[1][keep], marker if names else dash, color=colour, linewidth=1.8,
            markeredgecolor="white", label=text, scalex=False, scaley=False,
            path_effects=None if names else _HALO,
        )  # fmt: skip
        handles.append(line)
    return handles
