"""Which pixels of an image are known, from a file."""

from pathlib import Path

import numpy as np

from jaxdip._types import Bool
from jaxdip.cli._runtime import UsageError
from jaxdip.imaging import read_image
from jaxdip.imaging._npy import decode_npy, is_npy
from jaxdip.imaging._read import contents

_HALF = 0.5  # of white in an image, and between 0 and 1 in an array


def read_mask(path: Path, shape: tuple[int, ...]) -> Bool[np.ndarray, "H W *channels"]:
    """The entries of an image that are kept.

    Args:
        path: an image (PNG, JPEG, TIFF), whose pixels lighter than middle gray are kept; or an NPY
            file, whose entries above 0.5 are, of shape (H, W) or the image's own.
        shape: of the image, (H, W) or (H, W, channels).

    Returns:
        A boolean array of the image's shape; a mask (H, W) is the same for all channels.

    Raises:
        UsageError: if the mask has another size, which is never changed, or keeps nothing.
        ValueError: if the file cannot be read as one.
    """
    data = contents(path)
    if is_npy(data):
        try:
            values = decode_npy(data)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if values.dtype.kind not in "fiub":
            raise ValueError(f"{path}: entries of type {values.dtype}, expected 0 and 1")
    else:
        values = read_image(path).gray
    if values.shape not in (shape, shape[:2]):
        raise UsageError(
            f"--mask {path}: of shape {values.shape}, but the image at hand has {shape}; a mask is "
            "not resized: take --size 0 to keep the image's size, or a mask of that shape"
        )
    keep = values > _HALF
    if not keep.any():
        raise UsageError(
            f"--mask {path}: no pixel is kept; expected some lighter than middle gray, or entries "
            "above 0.5 in .npy"
        )
    return np.broadcast_to(keep if keep.shape == shape else keep.reshape((*shape[:2], -1)), shape)
