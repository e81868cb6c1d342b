"""Writing an image file."""

import io
import os
from pathlib import Path

import numpy as np

from jaxdip.imaging._extra import optional_module
from jaxdip.imaging._png import encode_png16

_KINDS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".npy": "NPY",
}
_DEPTHS = {"PNG": (8, 16), "JPEG": (8,), "TIFF": (8, 16, None), "NPY": (8, 16, None)}


def write_image(path: str | os.PathLike, pixels, bits: int | None = 8) -> None:
    """Write pixels in [0, 1] as PNG, JPEG, TIFF or NPY, told by the path's ending.

    Values are clipped to [0, 1], multiplied by 2^bits − 1 and rounded; `bits=None` writes the
    floating-point values unclipped (TIFF and NPY only). The depth asked for is what is written:
    a kind of file that cannot hold it is refused. JPEG is lossy (quality 95).

    Args:
        path: the file to write, replaced where it exists.
        pixels: array (H, W) or (H, W, 3).
        bits: 8, 16 or None for floating point.

    Raises:
        ValueError: if the pixels are no image, or not finite, or the kind of file cannot hold them,
            or the folder does not exist.
        ImportError: if the package that writes this kind of file is not installed.
    """
    path = Path(path)
    kind = _kind(path, bits)
    values = np.asarray(pixels)
    _check_pixels(values, path)
    if bits is not None:
        values = np.round(np.clip(values.astype(np.float64), 0.0, 1.0) * (2**bits - 1))
        values = values.astype(np.uint8 if bits == 8 else np.uint16)
    data = _encode(values, kind, bits)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror})") from None


def _kind(path: Path, bits: int | None) -> str:
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(
            f"{path}: ending {path.suffix or 'missing'!r}, expected one of {', '.join(_KINDS)}"
        )
    if bits not in (8, 16, None):
        raise ValueError(f"bits is 8, 16 or None for floating point, got {bits!r}")
    if bits not in _DEPTHS[kind]:
        depth = "floating point" if bits is None else f"{bits} bits"
        other = ".tiff or .npy" if bits is None else ".png, .tiff or .npy"
        raise ValueError(f"{path}: {kind} cannot hold {depth}; write {other}, or pass bits=8")
    return kind


def _check_pixels(values: np.ndarray, path: Path) -> None:
    shaped = values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 3)
    if not shaped or values.size == 0:
        raise ValueError(
            f"{path}: pixels of shape {values.shape}, expected (H, W) or (H, W, 3), not empty"
        )
    if values.dtype.kind != "f":
        raise ValueError(
            f"{path}: pixels of type {values.dtype}, expected floating point in [0, 1]"
        )
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise ValueError(f"{path}: {bad} pixels are NaN or infinite; replace them first")


def _encode(values: np.ndarray, kind: str, bits: int | None) -> bytes:
    if kind == "PNG" and bits == 16:
        return encode_png16(values)
    buffer = io.BytesIO()
    if kind == "NPY":
        np.save(buffer, values)
    elif kind == "TIFF":
        tifffile = optional_module("tifffile")
        tifffile.imwrite(buffer, values, photometric="rgb" if values.ndim == 3 else "minisblack")
    else:
        options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
        optional_module("PIL.Image").fromarray(values).save(buffer, format=kind, **options)
    return buffer.getvalue()
