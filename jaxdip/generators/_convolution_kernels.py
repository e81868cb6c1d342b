"""Kernels of convolutional generators: triangles, Gaussians and boxes on a periodic grid."""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Float
from jaxdip.generators._sizes import signal_shape


def triangular_kernel(
    grid: int | Sequence[int], width: float, *, dtype=None
) -> Float[Array, "..."]:
    """The kernel max(p − |i|, 0) of ℓ2 norm 1, with p its half-width in pixels.

    Args:
        grid: the number of pixels along each axis; kernels of several axes are products.
        width: p > 0; 1 is the identity.
        dtype: the default real dtype if None.

    Returns:
        The kernel, of shape `grid`, centred at index 0 and symmetric: index n − i holds offset −i.

    Raises:
        TypeError, ValueError: if an extent is no whole number ≥ 1, or the width is not positive.

    Reference: arXiv 2005.03991, Figure 3 (there p is 10 and 30 for n = 300).
    """
    return _product(grid, width, lambda i: np.maximum(width - i, 0.0), dtype)


def gaussian_kernel(grid: int | Sequence[int], width: float, *, dtype=None) -> Float[Array, "..."]:
    """The kernel exp(−i²/(2 s²)) of ℓ2 norm 1, with s its standard deviation in pixels.

    The released code of the paper writes exp(−(i/(c n))²): s = c n/√2.

    Args:
        grid: as in `triangular_kernel`.
        width: s > 0.
        dtype: the default real dtype if None.

    Returns:
        The kernel, of shape `grid`, centred at index 0 and symmetric.

    Raises:
        TypeError, ValueError: as `triangular_kernel`.
    """
    return _product(grid, width, lambda i: np.exp(-0.5 * (i / width) ** 2), dtype)


def box_kernel(grid: int | Sequence[int], width: float, *, dtype=None) -> Float[Array, "..."]:
    """The kernel that is constant for |i| < p and zero elsewhere, of ℓ2 norm 1.

    Args:
        grid: as in `triangular_kernel`.
        width: p > 0, the half-width in pixels; 1 is the identity, 2 the mean of three pixels.
        dtype: the default real dtype if None.

    Returns:
        The kernel, of shape `grid`, centred at index 0 and symmetric.

    Raises:
        TypeError, ValueError: as `triangular_kernel`.
    """
    return _product(grid, width, lambda i: (i < width).astype(float), dtype)


def _product(
    grid: int | Sequence[int], width: float, profile: Callable[[np.ndarray], np.ndarray], dtype
) -> Array:
    shape = signal_shape(grid)
    if not (math.isfinite(width) and width > 0):
        raise ValueError(f"width is a positive number of pixels, got {width!r}")
    kernel = np.ones(())
    for n in shape:
        i = np.arange(n)
        # The offset of an index is the shorter way round.
        line = profile(np.minimum(i, n - i).astype(float))
        kernel = np.multiply.outer(kernel, line / np.linalg.norm(line))
    return jnp.asarray(kernel, jnp.dtype(dtype or jnp.result_type(float)))
