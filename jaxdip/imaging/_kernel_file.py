"""A blur kernel from a file."""

import os
from pathlib import Path

import numpy as np

from jaxdip.imaging._npy import decode_npy, is_npy
from jaxdip.imaging._read import contents, read_image


def read_kernel(path: str | os.PathLike, *, normalize: bool = False) -> np.ndarray:
    """Read a blur kernel from an NPY file, or from an image of it.

    An NPY file gives its numbers as they are, of any sign. An image (PNG, JPEG, TIFF) gives its
    luma in [0, 1], whose scale means nothing: normalise it.

    Args:
        path: the file.
        normalize: divide by the sum, so that a blur keeps the mean.

    Returns:
        A float64 array of one or two axes, for `operators.Blur`.

    Raises:
        ValueError: if the file is missing or damaged, or holds no kernel: complex or NaN values,
            another number of axes, all zeros, or a sum that cannot be normalised.
        ImportError: if the package that reads this kind of image is not installed.
    """
    path = Path(path)
    data = contents(path)
    kernel = _numbers(data, path) if is_npy(data) else read_image(path).gray
    _check(kernel, path)
    kernel = kernel.astype(np.float64)
    if not normalize:
        return kernel
    # Divided by the largest entry first: the sum of very large entries overflows.
    kernel = kernel / np.abs(kernel).max()
    total = kernel.sum()
    if abs(total) <= 1e-12 * np.abs(kernel).sum():
        raise ValueError(
            f"{path}: the kernel sums to zero, expected a sum to divide by; add to its centre"
        )
    return kernel / total


def _numbers(data: bytes, path: Path) -> np.ndarray:
    try:
        return decode_npy(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check(kernel: np.ndarray, path: Path) -> None:
    if kernel.dtype.kind not in "fiub":
        raise ValueError(f"{path}: entries of type {kernel.dtype}, expected real numbers")
    if kernel.ndim not in (1, 2) or kernel.size == 0:
        raise ValueError(
            f"{path}: an array of shape {kernel.shape}, expected a kernel of one or two axes"
        )
    bad = kernel.size - int(np.isfinite(kernel).sum())
    if bad:
        raise ValueError(f"{path}: {bad} entries are NaN or infinite; replace them first")
    if not kernel.any():
        raise ValueError(f"{path}: the kernel is zero everywhere; expected an entry that is not")
