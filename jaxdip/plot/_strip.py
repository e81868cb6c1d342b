"""Images side by side, with what they are worth and where they err."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from jaxdip.plot._style import LARGE, SMALL, add_caption, broken

_WIDTH, _COLUMNS = 1.75, 7  # inches; images in a row
_PAD = 0.08  # inches above and below each row, without which titles may be cut


@dataclasses.dataclass(frozen=True, eq=False)
class StripImage:
    """One image of a strip.

    Attributes:
        title: above it.
        image: (H, W) or (H, W, 3), in the truth's units; complex images are shown by modulus.
        note: a line under it, such as its PSNR.
        compared: whether its error is drawn, if the truth is known.
        scales: whether its error counts for the scale that all error maps share; larger ones than
            that are drawn in its brightest colour.
    """

    title: str
    image: np.ndarray
    note: str = ""
    compared: bool = True
    scales: bool = True


def image_strip(
    images: Sequence[StripImage],
    *,
    truth: np.ndarray | None = None,
    peak: float = 1.0,
    unit: str = "white",
    caption: str = "",
) -> Figure:
    """A row of images and, below each that is compared, the map of its error.

    All error maps share one scale, up to the 99.5 % quantile of those whose `scales` is true, or of
    all if it is true of none. More than seven images take several rows.

    Args:
        images: at least one.
        truth: the true image; it is drawn first. Without it there are no error maps.
        peak: the value of white.
        unit: what `peak` is called beside the scale of the errors.
        caption: what ran, set under the figure.

    Returns:
        The figure.

    Raises:
        ValueError: if there are no images, or a compared one has another shape than the truth.
    """
    shown = list(images)
    if not shown:
        raise ValueError("no images to show; pass at least one StripImage")
    errors: list[np.ndarray | None] = [None] * len(shown)
    if truth is not None:
        errors = [_error(one, truth, peak) for one in shown]
        shown.insert(0, StripImage("truth", truth, compared=False))
        errors.insert(0, None)
    maps = [error for error in errors if error is not None]
    counted = [e for one, e in zip(shown, errors, strict=True) if e is not None and one.scales]
    bands = -(-len(shown) // _COLUMNS)
    # Even bands: eight images are four and four, not seven and one.
    columns = -(-len(shown) // bands)
    each = 2 if maps else 1
    rows, across = np.shape(shown[-1].image)[:2]
    height = _WIDTH * min(max(rows / across, 0.3), 2.0) + 0.6
    width = max(_WIDTH * columns + 0.7, 4.5)
    caption_height = 0.15 * len(broken(caption, width).splitlines())
    size = (width, height * each * bands + caption_height)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=_PAD))
    axes = figure.subplots(each * bands, columns, squeeze=False)
    for panel in axes.ravel():
        panel.set_axis_off()
    top = _top(counted or maps)
    picture = None
    for index, (one, error) in enumerate(zip(shown, errors, strict=True)):
        band, column = divmod(index, columns)
        _draw(axes[each * band, column], one, peak)
        if error is not None:
            panel = axes[each * band + 1, column]
            panel.set_axis_on()
            picture = panel.imshow(error, cmap="inferno", vmin=0.0, vmax=top)
            _bare(panel)
    if picture is not None:
        beyond = any(np.nanmax(error, initial=0.0) > top for error in maps)
        bar = figure.colorbar(
            picture, ax=axes[1::2].ravel().tolist(), fraction=0.02, pad=0.01,
            extend="max" if beyond else "neither",
        )  # fmt: skip
        bar.ax.tick_params(labelsize=SMALL)
        bar.set_label(f"|x − x̄| / {unit}", fontsize=SMALL)
    add_caption(figure, caption)
    return figure


def image_grid(
    images: np.ndarray, titles: Sequence[str], *, label: str, caption: str = ""
) -> Figure:
    """Signed images such as singular vectors, each on a scale of its own around zero.

    Args:
        images: (K, H, W) or (K, H, W, C), of which the mean over C is shown; K ≥ 1.
        titles: K of them.
        label: what the colours are of.
        caption: what ran, set under the figure.

    Returns:
        The figure.

    Raises:
        ValueError: if there are none, or not as many titles.
    """
    if not len(images) or len(images) != len(titles):
        raise ValueError(f"{len(images)} images with {len(titles)} titles; give one for each")
    columns = min(len(images), _COLUMNS)
    rows = -(-len(images) // columns)
    width = max(_WIDTH * columns + 0.5, 4.5)
    figure = Figure(figsize=(width, (_WIDTH + 0.3) * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, image, title in zip(panels, images, titles, strict=False):
        flat = np.asarray(image) if np.ndim(image) == 2 else np.mean(image, axis=-1)
        limit = float(np.max(np.abs(flat))) or 1.0
        panel.imshow(flat, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        panel.set_title(title, fontsize=SMALL)
    told = f"{label}: blue is negative, red positive, each image scaled to its largest entry."
    add_caption(figure, f"{told} {caption}".strip())
    return figure


def _modulus(image: np.ndarray) -> np.ndarray:
    values = np.asarray(image)
    return np.abs(values) if np.iscomplexobj(values) else values.astype(float)


def _error(one: StripImage, truth: np.ndarray, peak: float) -> np.ndarray | None:
    if not one.compared:
        return None
    if np.shape(one.image) != np.shape(truth):
        raise ValueError(
            f"{one.title}: image of shape {np.shape(one.image)}, expected the truth's "
            f"{np.shape(truth)}; pass compared=False for one of another kind"
        )
    error = np.abs(np.asarray(one.image) - np.asarray(truth)) / peak
    return error if error.ndim == 2 else error.mean(axis=-1)


def _top(maps: Sequence[np.ndarray]) -> float:
    finite = [error[np.isfinite(error)] for error in maps]
    values = np.concatenate([*finite, np.zeros(1)])
    return float(np.quantile(values, 0.995)) or 1.0


def _draw(panel: Axes, one: StripImage, peak: float) -> None:
    panel.set_axis_on()
    shown = np.clip(np.nan_to_num(_modulus(one.image)) / peak, 0.0, 1.0)
    panel.imshow(shown, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    panel.set_title(one.title, fontsize=LARGE)
    panel.set_xlabel(one.note, fontsize=SMALL)
    _bare(panel)


def _bare(panel: Axes) -> None:
    panel.set_xticks([])
    panel.set_yticks([])
