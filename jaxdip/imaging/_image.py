"""An image and what its file said about it."""

import dataclasses

import numpy as np

#: Larger values could not be scaled back by `Image.scale` once an estimate overshoots.
_LARGEST = 1e100


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """Pixels in [0, 1] with what is needed to write them back as they came.

    Attributes:
        pixels: float64 array of shape (H, W), or (H, W, 3) in the order red, green, blue.
        bits: 8 or 16 bits a sample, or None for floating point.
        name: a short name, the file's name without its ending.
        source: where the image came from, for the record.
        scale: the stored value of white: stored value = `scale` · pixel value.
    """

    pixels: np.ndarray
    bits: int | None
    name: str
    source: str
    scale: float

    @property
    def gray(self) -> np.ndarray:
        """Luma 0.2125 R + 0.7154 G + 0.0721 B (Rec. 709, as scikit-image's `rgb2gray`), (H, W)."""
        if self.pixels.ndim == 2:
            return self.pixels
        return self.pixels @ np.array([0.2125, 0.7154, 0.0721])


def image_from_samples(samples: np.ndarray, *, name: str, source: str) -> Image:
    """Scale decoded samples to [0, 1] and check that they are an image.

    Integers are divided by the largest value of their type (255 or 65535), Booleans become 0 and 1.
    Floating-point values within [0, 1] stay as they are; larger ones are divided by their maximum,
    which `Image.scale` records. One channel in the last axis is dropped; a second or fourth channel
    is alpha (in [0, 1] where it is floating-point), and the image is composited on white.

    Args:
        samples: array (H, W) or (H, W, C), C in 1…4, bool, uint8, uint16 or floating point.
        name: the image's name.
        source: named in error messages.

    Returns:
        The image.

    Raises:
        ValueError: if the samples are not such an array, or not finite, or negative.
    """
    _check_samples(samples, source)
    bits = {"u1": 8, "u2": 16, "b1": 8}.get(samples.dtype.str[1:])
    white = {8: 255.0, 16: 65535.0, None: 1.0}[bits]
    values = np.asarray(samples, np.float64)
    if bits is None:
        colours = values[..., : _colour_channels(values)] if values.ndim == 3 else values
        white = max(1.0, float(colours.max()))
    divisor = 1.0 if samples.dtype == bool else white
    if values.ndim == 3:
        values = _without_alpha(values, divisor, 1.0 if bits is None else divisor)
        divisor = 1.0
    return Image(values / divisor, bits, name, source, white)


def _colour_channels(values: np.ndarray) -> int:
    return 1 if values.shape[2] < 3 else 3


def _without_alpha(values: np.ndarray, white: float, opaque: float) -> np.ndarray:
    """Colours divided by `white`, composited on white where the last channel is alpha."""
    count = _colour_channels(values)
    colours = values[..., :count] / white
    if values.shape[2] in (2, 4):
        alpha = np.clip(values[..., count:] / opaque, 0.0, 1.0)
        colours = alpha * colours + (1.0 - alpha)
    return colours[..., 0] if count == 1 else colours


def _check_samples(samples: np.ndarray, source: str) -> None:
    shape = samples.shape
    if samples.dtype.kind == "c":
        raise ValueError(f"{source}: complex values, expected real ones; pass np.abs of the array")
    if samples.dtype.kind != "f" and samples.dtype.str[1:] not in ("b1", "u1", "u2"):
        raise ValueError(
            f"{source}: samples of type {samples.dtype}, expected uint8, uint16 or floating point; "
            "convert the array first"
        )
    if samples.ndim not in (2, 3):
        raise ValueError(
            f"{source}: an array of shape {shape}, expected (H, W) or (H, W, 3); "
            + ("pick one slice" if samples.ndim > 3 else "reshape it")
        )
    if 0 in shape:
        raise ValueError(f"{source}: no pixels, shape {shape}; expected at least one by one")
    if samples.ndim == 3 and shape[2] > 4:
        raise ValueError(
            f"{source}: {shape[2]} channels in shape {shape}, expected 1 (gray), 3 (colour) or "
            "these with alpha in the last axis"
        )
    if samples.dtype.kind == "f":
        _check_float_values(samples, source)


def _check_float_values(samples: np.ndarray, source: str) -> None:
    bad = samples.size - int(np.isfinite(samples).sum())
    if bad:
        raise ValueError(f"{source}: {bad} values are NaN or infinite; replace them first")
    largest = float(samples.max())
    if largest > _LARGEST:
        raise ValueError(
            f"{source}: values up to {largest:.3g}, expected at most {_LARGEST:g}; divide "
            "the array first"
        )
    if samples.ndim == 3 and samples.shape[2] in (2, 4) and samples[..., -1].max() > 1:
        raise ValueError(
            f"{source}: alpha up to {samples[..., -1].max():.3g}, expected [0, 1] in floating "
            "point; divide it first, or leave it out"
        )
    if samples.min() < 0:
        raise ValueError(
            f"{source}: negative values down to {samples.min():.3g}, expected values ≥ 0; "
            "shift or clip the array first"
        )
