"""The structural similarity index."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Float, Inexact, RealScalar
from jaxdip.imaging._metrics import check_same_shape

_K1, _K2 = 0.01, 0.03
_SIGMA = 1.5
#: The names of the pixel axes in messages.
_PIXELS = {1: "N", 2: "H, W", 3: "D, H, W"}


def ssim(
    x: Inexact[Array, "..."],
    reference: Inexact[Array, "..."],
    data_range: RealScalar,
    window: Literal["uniform", "gaussian"] = "uniform",
    *,
    axes: Literal[1, 2, 3] = 2,
) -> Float[Array, ""]:
    """Mean structural similarity of two images, 1 for equality.

    The mean, over all windows that lie within the image, of
    (2 μ_x μ_r + C1)(2 σ_xr + C2) / ((μ_x² + μ_r² + C1)(σ_x² + σ_r² + C2)), C1 = (0.01 R)²,
    C2 = (0.03 R)². With window 'uniform' it equals scikit-image's default: 7 pixels along each axis
    of equal weight and the sample covariance (divided by 48 in the plane). With 'gaussian' it is
    the index of Wang et al.: 11 pixels along each axis, Gaussian weights of standard deviation 1.5,
    population covariance (scikit-image's
    `gaussian_weights=True, sigma=1.5, use_sample_covariance=False`). Colour images give the mean
    over channels. Of complex images the magnitudes are compared.

    Args:
        x: the estimate, (H, W) or (H, W, C); for volumes (D, H, W) or (D, H, W, C).
        reference: the true image, of the same shape.
        data_range: R, the distance from black to white in the units of the images.
        window: 'uniform' or 'gaussian'.
        axes: how many axes are pixels: 2 for images, 3 for volumes, 1 for lines.

    Returns:
        A scalar in [−1, 1].

    Raises:
        ValueError: if the shapes differ, or the images are smaller than the window, or the window
            or the number of axes is unknown.

    Reference: Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Processing 13(4), 2004.
    """
    check_same_shape(x, reference)
    if axes not in _PIXELS:
        raise ValueError(f"axes is 1, 2 or 3, got {axes!r}")
    weights, correction = _window(window, axes)
    x, reference = (jnp.abs(a) if jnp.iscomplexobj(a) else jnp.asarray(a) for a in (x, reference))
    if x.ndim not in (axes, axes + 1) or min(x.shape[:axes]) < len(weights):
        pixels = _PIXELS[axes]
        raise ValueError(
            f"images of shape {x.shape}, expected ({pixels}) or ({pixels}, C) with each of "
            f"{pixels} at least {len(weights)}, the window's side; axes=3 is for volumes"
        )
    planes = jnp.moveaxis(x.reshape(*x.shape[:axes], -1), -1, 0)
    references = jnp.moveaxis(reference.reshape(*x.shape[:axes], -1), -1, 0)
    return jnp.mean(_similarity_map(planes, references, data_range, weights, correction))


def _window(name: str, axes: int) -> tuple[list[float], float]:
    """Weights along one axis, and the factor that turns a weighted covariance into the one used."""
    if name == "uniform":
        return [1.0 / 7] * 7, 7**axes / (7**axes - 1)
    if name == "gaussian":
        offsets = np.arange(-5, 6)
        weights = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
        return [float(w) for w in weights / math.fsum(weights)], 1.0
    raise ValueError(f"window is 'uniform' or 'gaussian', got {name!r}")


def _similarity_map(
    x: Array, r: Array, data_range: RealScalar, weights: list[float], correction: float
) -> Array:
    mean_x, mean_r = _smooth(x, weights), _smooth(r, weights)
    # Covariances do not change under a shift; without one float32 loses them in bright images.
    shift = jnp.mean(r)
    x, r = x - shift, r - shift
    low_x, low_r = mean_x - shift, mean_r - shift
    var_x = correction * (_smooth(x * x, weights) - low_x * low_x)
    var_r = correction * (_smooth(r * r, weights) - low_r * low_r)
    covariance = correction * (_smooth(x * r, weights) - low_x * low_r)
    data_range = jnp.asarray(data_range, x.dtype)
    c1, c2 = jnp.square(_K1 * data_range), jnp.square(_K2 * data_range)
    luminance = (2.0 * mean_x * mean_r + c1) / (jnp.square(mean_x) + jnp.square(mean_r) + c1)
    return luminance * (2.0 * covariance + c2) / (var_x + var_r + c2)


def _smooth(planes: Array, weights: list[float]) -> Array:
    """The weighted mean over each window that lies within the image, for (planes, *pixels)."""
    stack = planes[:, None]
    axes = planes.ndim - 1
    line = jnp.asarray(weights, planes.dtype)
    for axis in range(axes):
        kernel = line.reshape([-1 if a == axis else 1 for a in range(axes)])
        stack = jax.lax.conv_general_dilated(
            stack, kernel[None, None], (1,) * axes, "VALID", precision=jax.lax.Precision.HIGHEST
        )
    return stack[:, 0]
