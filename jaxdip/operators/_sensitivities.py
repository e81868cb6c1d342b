"""How sensitive each coil of a scanner is to each pixel, simulated or estimated."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Float, Inexact
from jaxdip.operators._centred_fourier import centred_ifft, complex_dtype

# Where the coils stand, in halves of the field of view.
_RADIUS = 1.5


def birdcage_maps(
    coils: int, shape: tuple[int, int], *, dtype: Any = None
) -> Inexact[Array, "coils H W"]:
    """Sensitivities of coils that stand evenly around the image, at 1.5 times its half width.

    S_c = exp(i φ_c)/r_c with r_c the distance to coil c and φ_c the direction to it, divided by the
    root sum of squares: Σ_c |S_c|² = 1 at every pixel. The maps of sigpy's `birdcage_maps` with one
    ring.

    Args:
        coils: how many, ≥ 1.
        shape: (H, W).
        dtype: complex; the default complex dtype if None.

    Raises:
        ValueError: if an extent or the number of coils is not positive.
        TypeError: if dtype is not complex.
    """
    if coils < 1 or len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"coils >= 1 and shape (H, W), both positive; got {coils} and {shape}")
    dtype = jnp.dtype(complex_dtype(None) if dtype is None else dtype)
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        raise TypeError(f"sensitivities are complex, got dtype {dtype.name}")
    height, width = shape
    angle = (2 * np.pi / coils) * np.arange(coils)[:, None, None]
    x = (np.arange(width) - width / 2) / (width / 2) - _RADIUS * np.cos(angle)
    y = ((np.arange(height) - height / 2) / (height / 2))[:, None] - _RADIUS * np.sin(angle)
    maps = np.exp(1j * (np.arctan2(x, -y) - angle)) / np.hypot(x, y)
    return jnp.asarray((maps / np.linalg.norm(maps, axis=0)).astype(dtype))


def estimate_sensitivities(
    kspace: Inexact[Array, "coils H W"], calibration: int | tuple[int, int]
) -> Inexact[Array, "coils H W"]:
    """Sensitivities from the fully measured centre of k-space: each coil's low-pass image over RSS.

    The centre is tapered by a Hann window, and each coil's image of it divided by the root sum of
    squares over the coils. This is the simplest estimate there is: it carries the image's own
    phase (so images become real up to noise), noise where there is no signal, and blur at edges. It
    knows no support, unlike ESPIRiT, whose maps are better at high acceleration.

    Args:
        kspace: complex, (coils, H, W), frequency zero at (H // 2, W // 2).
        calibration: the extent of the centre in samples, one number for both axes (cut to the
            image's extent) or (rows, columns). `cartesian_mask` keeps round(center_fraction · W)
            columns.

    Returns:
        Maps of the shape of `kspace` with Σ_c |S_c|² = 1, or 0 where no coil has any signal.

    Raises:
        ValueError: for another number of axes, or a calibration region that is empty.

    Reference: C. McKenzie, E. Yeh, M. Ohliger, M. Price, D. Sodickson, Self-calibrating parallel
    imaging with automatic coil sensitivity extraction, Magn. Reson. Med. 47 (2002).
    """
    kspace = jnp.asarray(kspace)
    if kspace.ndim != 3:
        raise ValueError(f"k-space of several coils has shape (coils, H, W), got {kspace.shape}")
    if not jnp.iscomplexobj(kspace):
        raise TypeError(f"k-space is complex, got dtype {kspace.dtype.name}")
    extents = (calibration, calibration) if isinstance(calibration, int) else tuple(calibration)
    if len(extents) != 2 or min(extents) < 1:
        raise ValueError(f"calibration is a positive extent or two of them, got {calibration}")
    windows = [_window(n, size) for n, size in zip(kspace.shape[1:], extents, strict=True)]
    window = jnp.asarray(np.outer(*windows).astype(kspace.dtype))
    images = centred_ifft(window * kspace)
    size = root_sum_of_squares(images)
    divisor = jnp.where(size > 0, size, jnp.ones_like(size))
    return images / divisor.astype(images.dtype)


def root_sum_of_squares(images: Inexact[Array, "coils *shape"]) -> Float[Array, "*shape"]:
    """√(Σ_c |x_c|²), the image that several coils make without knowing their sensitivities.

    Args:
        images: one for each coil along the first axis, real or complex.
    """
    images = jnp.asarray(images)
    squares = images.real**2 + images.imag**2 if jnp.iscomplexobj(images) else images**2
    return jnp.sqrt(jnp.sum(squares, axis=0))


def _window(extent: int, size: int) -> np.ndarray:
    """A Hann window over the `size` central entries, largest at extent // 2, zero outside."""
    offset = np.abs(np.arange(extent) - extent // 2)
    half = min(size, extent) / 2
    # The block of an even extent has one entry more below the centre; its window is cut alike.
    return np.where(offset < half, np.cos(np.pi * offset / (2 * half)) ** 2, 0.0)
