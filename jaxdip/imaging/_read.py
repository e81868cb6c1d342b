"""Reading an image file."""

import io
import os
from pathlib import Path

import numpy as np

from jaxdip.imaging._extra import optional_module
from jaxdip.imaging._image import Image, image_from_samples
from jaxdip.imaging._png import decode_png16, is_png16

_TIFF_ENDINGS = (".tif", ".tiff")
_MINISWHITE, _MINISBLACK, _RGB, _PALETTE = 0, 1, 2, 3


def read_image(path: str | os.PathLike) -> Image:
    """Read a PNG, JPEG, TIFF or NPY file as pixels in [0, 1].

    Gray, colour and palette images of 1 to 16 bits are read in full depth, and floating-point TIFF
    and NPY too (see `image_from_samples` for the scaling). Alpha is composited on white. The colour
    space is the file's own: no gamma or profile is applied.

    Args:
        path: the file; what it holds is told by its contents, NPY and TIFF by their signatures.

    Returns:
        The image.

    Raises:
        ValueError: if the file is missing, empty, damaged, of another kind, a stack of pages, or
            holds values that are not an image.
        ImportError: if the package that reads this kind of file is not installed.
    """
    path = Path(path)
    data = _contents(path)
    samples = _samples(data, path)
    return image_from_samples(samples, name=path.stem, source=str(path))


def _contents(path: Path) -> bytes:
    if path.is_dir():
        raise ValueError(f"{path}: a folder, expected an image file")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise ValueError(f"{path}: the file is empty")
    return data


def _samples(data: bytes, path: Path) -> np.ndarray:
    try:
        if data[:6] == b"\x93NUMPY":
            return np.load(io.BytesIO(data), allow_pickle=False)
        if data[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
            return _tiff_samples(data, path)
        if is_png16(data):
            return decode_png16(data)
    except (ValueError, EOFError) as error:
        text = str(error).splitlines()[0] if str(error) else "the file ends too early"
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    return _pillow_samples(data, path)


def _pillow_samples(data: bytes, path: Path) -> np.ndarray:
    pillow = optional_module("PIL.Image")
    try:
        with pillow.open(io.BytesIO(data)) as picture:
            if getattr(picture, "n_frames", 1) > 1:
                raise ValueError(f"{path}: {picture.n_frames} frames, expected one; save one frame")
            picture.load()
            return np.asarray(_plain_mode(picture))
    except pillow.UnidentifiedImageError:
        raise ValueError(
            f"{path}: not an image this reads; expected PNG, JPEG, TIFF or NPY"
        ) from None
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path}: a damaged image file ({error})") from None


def _plain_mode(picture):
    """The picture in a mode whose array is gray or red-green-blue, alpha last."""
    if picture.mode in ("1", "L", "RGB", "F") and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith("I;16"):
        return picture
    if picture.mode in ("L", "LA", "1"):
        return picture.convert("LA")
    transparent = "transparency" in picture.info or "A" in picture.mode or "a" in picture.mode
    if picture.mode == "P" and not transparent:
        return picture.convert("L" if _gray_palette(picture) else "RGB")
    return picture.convert("RGBA" if transparent and picture.mode != "LAB" else "RGB")


def _gray_palette(picture) -> bool:
    palette = np.asarray(picture.getpalette("RGB")).reshape(-1, 3)
    used = palette[[index for _, index in picture.getcolors()]]
    return bool((used == used[:, :1]).all())


def _tiff_samples(data: bytes, path: Path) -> np.ndarray:
    tifffile = optional_module("tifffile")
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            if len(file.pages) != 1:
                raise ValueError(f"{path}: {len(file.pages)} pages, expected one; save one page")
            page = file.pages[0]
            try:
                values = page.asarray()
            except (ValueError, RuntimeError) as error:
                if "imagecodecs" not in str(error):
                    raise
                # Pillow has the common compressions built in; deeper than 8 bits it reads gray.
                return _compressed_tiff_samples(data, path, page)
            return _tiff_channels_last(values, page, path)
    except (tifffile.TiffFileError, RuntimeError, IndexError, KeyError) as error:
        raise ValueError(f"{path}: a damaged TIFF file ({error})") from None


def _compressed_tiff_samples(data: bytes, path: Path, page) -> np.ndarray:
    if page.bitspersample > 8 and page.samplesperpixel > 1:
        raise ValueError(
            f"{path}: compressed colour TIFF of {page.bitspersample} bits needs the package "
            "imagecodecs; install it, or save the file uncompressed or as PNG"
        )
    return _pillow_samples(data, path)


def _tiff_channels_last(values: np.ndarray, page, path: Path) -> np.ndarray:
    photometric = int(page.photometric)
    if photometric not in (_MINISWHITE, _MINISBLACK, _RGB, _PALETTE):
        raise ValueError(
            f"{path}: TIFF colours of kind {page.photometric.name}, expected gray, RGB or palette"
        )
    if photometric == _PALETTE:
        return np.moveaxis(page.colormap[:, values], 0, -1)
    if page.planarconfig == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    if values.dtype.kind == "u" and page.bitspersample not in (8, 16):
        values = _to_full_range(values, page.bitspersample)
    if photometric == _MINISWHITE and values.dtype.kind in "ub":
        values = ~values
    return values


def _to_full_range(values: np.ndarray, bits: int) -> np.ndarray:
    """Samples of an odd depth, stretched to the range of the type that holds them."""
    top = np.iinfo(values.dtype).max
    return np.round(values * (top / (2**bits - 1))).astype(values.dtype)
