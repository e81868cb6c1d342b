"""NPY files, read without trust: no pickled objects, no more memory than the file can fill."""

import io
import math
import tokenize

import numpy as np

_MAGIC = b"\x93NUMPY"
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def is_npy(data: bytes) -> bool:
    """Whether the bytes begin as an NPY file does."""
    return data.startswith(_MAGIC)


def decode_npy(data: bytes) -> np.ndarray:
    """The array of an NPY file, of any shape and of any type but Python objects.

    Args:
        data: the file.

    Returns:
        The array, read-only.

    Raises:
        ValueError: if the file is damaged or cut short, or holds Python objects, which are pickled
            and could run code.

    Reference: NumPy enhancement proposal 1.
    """
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f"format version {version[0]}.{version[1]}")
        shape, fortran, dtype = _HEADERS[version](stream)
    except (ValueError, EOFError, SyntaxError, TypeError, tokenize.TokenError) as error:
        why = str(error.args[0] if error.args else error).partition("\n")[0]
        raise ValueError(
            f"a damaged NPY file, or of a kind this does not read ({why}); save it again"
        ) from None
    if dtype.hasobject:
        raise ValueError(
            "pickled Python objects, expected numbers; such a file can run code and is not opened"
        )
    held, wanted = len(data) - stream.tell(), dtype.itemsize * math.prod(shape)
    if min(shape, default=0) < 0 or held < wanted:
        raise ValueError(
            f"a damaged NPY file: an array of shape {shape} and type {dtype} takes {wanted} bytes, "
            f"the file holds {held}; fetch or save it again"
        )
    values = np.frombuffer(data, dtype, math.prod(shape), stream.tell())
    return values.reshape(shape, order="F" if fortran else "C")
