"""Changing an image's size without aliasing."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float


def resample(pixels: Float[Array, "h w *c"], size: int | tuple[int, int]) -> Float[Array, "H W *c"]:
    """Resample an image to another size by the antialiased triangle filter.

    Each output pixel is Σ_j w_j p_j with w_j ∝ max(0, 1 − |s_j| / max(1, r)), s_j the distance to
    the input pixel's centre and r the input pixels per output pixel along that axis: bilinear
    interpolation when enlarging, a wider average when shrinking. The weights are ≥ 0 and sum to 1,
    so the values stay within the input's range.

    Args:
        pixels: array (H, W) or (H, W, C), floating point.
        size: (height, width), or an integer for the shorter side with the proportions kept.

    Returns:
        The resampled image, of the input's type; the input itself where the size is the same.

    Raises:
        ValueError: if the pixels are no image or the size is not positive.
    """
    pixels = jnp.asarray(pixels)
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise ValueError(f"pixels of shape {pixels.shape}, expected (H, W) or (H, W, C), not empty")
    shape = (*target_shape(pixels.shape[:2], size), *pixels.shape[2:])
    if shape == pixels.shape:
        return pixels
    return jax.image.resize(
        pixels, shape, "linear", antialias=True, precision=jax.lax.Precision.HIGHEST
    )


def target_shape(old: tuple[int, ...], size: int | tuple[int, int]) -> tuple[int, ...]:
    """The (height, width) that `resample` brings an image of (height, width) `old` to."""
    if isinstance(size, tuple):
        new, valid = size, len(size) == 2 and all(_is_positive_integer(side) for side in size)
    else:
        valid = _is_positive_integer(size)
        new = tuple(max(1, round(side * size / min(old))) for side in old) if valid else ()
    if not valid:
        raise ValueError(f"size is a positive integer or (height, width), got {size!r}")
    return new


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
