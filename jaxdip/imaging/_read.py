"""Reading an image file."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from jaxdip.imaging._extra import optional_module
from jaxdip.imaging._held_back import held_back
from jaxdip.imaging._image import Image, image_from_samples
from jaxdip.imaging._npy import decode_npy, is_npy
from jaxdip.imaging._png import decode_png16, is_png16

_TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_ZIP_START = b"PK\x03\x04"
_MINISWHITE, _MINISBLACK, _RGB, _PALETTE = 0, 1, 2, 3
#: A TIFF's kind of fourth channel: alpha that the colours have been multiplied by.
_PREMULTIPLIED = 1
_ORIENTATION = 274
#: How the stored rows and columns are turned upright, by the value of the tag; 1 is upright.
_UPRIGHT = {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a.swapaxes(0, 1), 2),
    8: np.rot90,
}
#: No compression of TIFF makes pixels from fewer bytes than this; a file that claims more lies.
_LARGEST_RATIO = 4096
# What tifffile raises for files whose tags or pixel data are nonsense.
_TIFF_DAMAGE = (LookupError, ArithmeticError, TypeError, RuntimeError, struct.error, zlib.error)


def read_image(path: str | os.PathLike) -> Image:
    """Read a PNG, JPEG, TIFF or NPY file as pixels in [0, 1].

    Gray, colour and palette images of 1 to 16 bits are read in full depth, and floating-point TIFF
    and NPY too (see `image_from_samples` for the scaling). Alpha is composited on white, and an
    image that its file says is turned or mirrored is put upright. The colour space is the file's
    own: no gamma or profile is applied.

    Args:
        path: the file; what it holds is told by its contents, NPY and TIFF by their signatures.

    Returns:
        The image.

    Raises:
        ValueError: if the file is missing, empty, damaged, of another kind (CMYK and Lab colours
            among them, which take a profile to become red, green and blue), a stack of pages, or
            holds values that are not an image.
        ImportError: if the package that reads this kind of file is not installed.
    """
    path = Path(path)
    samples = _decoded(contents(path), path)
    return image_from_samples(samples, name=path.stem, source=str(path))


def contents(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        ValueError: if there is none, or nothing in it, or it cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise ValueError(f"{path}: a folder, expected a file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise ValueError(f"{path}: the file is empty; fetch or save it again")
    return data


def _decoded(data: bytes, path: Path) -> np.ndarray:
    """The samples of an image file as they are stored, channels last.

    Raises:
        ValueError: in one line that begins with the path.
    """
    try:
        with held_back("tifffile"):
            return _samples(data)
    except ValueError as error:
        text = str(error).partition("\n")[0]
        raise ValueError(f"{path}: {text}") from None


def _samples(data: bytes) -> np.ndarray:
    if is_npy(data):
        return _array_samples(decode_npy(data))
    if data[:4] in _TIFF_STARTS:
        return _tiff_samples(data)
    if is_png16(data):
        return decode_png16(data)
    if data.startswith(_ZIP_START):
        raise ValueError("a ZIP archive such as NPZ, expected one image; save one array as NPY")
    return _pillow_samples(data)


def _damaged(kind: str, why: object) -> str:
    return f"a damaged {kind} file ({why}); fetch or save it again"


def _array_samples(values: np.ndarray) -> np.ndarray:
    """An array that was saved by itself: nothing says that a second channel is alpha."""
    if values.ndim == 3 and values.shape[2] == 2:
        raise ValueError(
            f"2 channels in shape {values.shape}, expected 1 (gray), 3 (colour) or 4 (with alpha) "
            "in the last axis; of a complex image save the magnitude"
        )
    return values


def _pillow_samples(data: bytes) -> np.ndarray:
    pillow = optional_module("PIL.Image")
    try:
        with pillow.open(io.BytesIO(data)) as picture:
            frames = getattr(picture, "n_frames", 1)
            if frames > 1:
                raise ValueError(f"{frames} frames, expected one; save one frame")
            picture.load()
            upright = optional_module("PIL.ImageOps").exif_transpose(picture)
            return np.asarray(_plain_mode(upright))
    except pillow.UnidentifiedImageError:
        raise ValueError("not an image this reads; expected PNG, JPEG, TIFF or NPY") from None
    except pillow.DecompressionBombError as error:
        raise ValueError(f"too many pixels to be opened safely ({error})") from None
    except (OSError, EOFError, SyntaxError, IndexError, struct.error) as error:
        raise ValueError(_damaged("image", error)) from None


def _plain_mode(picture):
    """The picture in a mode whose array is gray or red-green-blue, alpha last."""
    if picture.mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        raise ValueError(
            f"colours of kind {picture.mode}, expected gray, RGB or palette; convert the image to "
            "RGB first, by its colour profile"
        )
    if picture.mode in ("1", "L", "RGB", "F", "I") and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith("I"):
        return picture
    if picture.mode in ("L", "LA", "1"):
        return picture.convert("LA")
    transparent = "transparency" in picture.info or "A" in picture.mode or "a" in picture.mode
    if picture.mode == "P" and not transparent:
        return picture.convert("L" if _gray_palette(picture) else "RGB")
    return picture.convert("RGBA" if transparent else "RGB")


def _gray_palette(picture) -> bool:
    palette = np.asarray(picture.getpalette("RGB")).reshape(-1, 3)
    used = palette[[index for _, index in picture.getcolors()]]
    return bool((used == used[:, :1]).all())


def _tiff_samples(data: bytes) -> np.ndarray:
    tifffile = optional_module("tifffile")
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = _only_page(file, len(data))
            try:
                values = page.asarray()
            except (ValueError, RuntimeError) as error:
                if "imagecodecs" not in str(error):
                    raise ValueError(_damaged("TIFF", error)) from None
                # Pillow has the common compressions built in; deeper than 8 bits it reads gray.
                return _compressed_tiff_samples(data, page)
            return _upright(_tiff_channels_last(values, page), page)
    except (tifffile.TiffFileError, *_TIFF_DAMAGE) as error:
        raise ValueError(_damaged("TIFF", error)) from None


def _only_page(file, size: int):
    count = len(file.pages)
    if count == 0:
        raise ValueError(_damaged("TIFF", "no page in it"))
    if count > 1:
        raise ValueError(f"{count} pages, expected one; save one page")
    page = file.pages[0]
    if page.nbytes > _LARGEST_RATIO * size:
        why = f"its {size} bytes cannot hold an image of shape {page.shape}"
        raise ValueError(_damaged("TIFF", why))
    return page


def _compressed_tiff_samples(data: bytes, page) -> np.ndarray:
    if page.bitspersample > 8 and page.samplesperpixel > 1:
        raise ValueError(
            f"compressed colour TIFF of {page.bitspersample} bits needs the package "
            "imagecodecs; install it, or save the file uncompressed or as PNG"
        )
    return _pillow_samples(data)


def _tiff_channels_last(values: np.ndarray, page) -> np.ndarray:
    photometric = int(page.photometric)
    if photometric not in (_MINISWHITE, _MINISBLACK, _RGB, _PALETTE):
        raise ValueError(
            f"TIFF colours of kind {page.photometric.name}, expected gray, RGB or palette; convert "
            "the image to RGB first"
        )
    if photometric == _PALETTE:
        return np.moveaxis(page.colormap[:, values], 0, -1)
    if page.planarconfig == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    if values.dtype.kind == "u" and page.bitspersample not in (8, 16):
        values = _to_full_range(values, page.bitspersample)
    if photometric == _MINISWHITE and values.dtype.kind in "ub":
        values = ~values
    if values.ndim == 3 and tuple(page.extrasamples) == (_PREMULTIPLIED,):
        return _on_white(values)
    return values


def _on_white(values: np.ndarray) -> np.ndarray:
    """Colours that were multiplied by the alpha in the last channel, with white behind them."""
    opaque = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1.0
    colours, alpha = (part.astype(np.float64) for part in (values[..., :-1], values[..., -1:]))
    return np.clip(colours + (opaque - alpha), 0, opaque).astype(values.dtype)


def _upright(values: np.ndarray, page) -> np.ndarray:
    tag = page.tags.get(_ORIENTATION)
    return values if tag is None else _UPRIGHT.get(int(tag.value), np.asarray)(values)


def _to_full_range(values: np.ndarray, bits: int) -> np.ndarray:
    """Samples of an odd depth, stretched to the range of the type that holds them."""
    top = np.iinfo(values.dtype).max
    return np.round(values * (top / (2**bits - 1))).astype(values.dtype)
