"""PNG with 16 bits a sample, which Pillow reads and writes in colour as 8 bits without a word.

Reference: W3C, Portable Network Graphics (PNG) Specification, third edition.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_GRAY, _COLOUR = 0, 2
# Adam7: first column, first row, column step, row step of each pass.
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def is_png16(data: bytes) -> bool:
    """Whether the bytes are a PNG with 16 bits a sample."""
    return data[:8] == _SIGNATURE and len(data) > 24 and data[24] == 16


def decode_png16(data: bytes) -> np.ndarray:
    """The samples of a 16-bit PNG, all channels kept.

    Args:
        data: the file.

    Returns:
        uint16 array (H, W, C) with C = 1, 2, 3 or 4; a transparent colour (chunk tRNS) becomes an
        alpha channel.

    Raises:
        ValueError: if the file is damaged.
    """
    chunks = list(_chunks(data))
    header = dict(chunks).get(b"IHDR", b"")
    if len(header) != 13:
        raise ValueError("no PNG header")
    width, height, _, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if colour not in _CHANNELS or min(width, height) == 0:
        raise ValueError(f"PNG colour type {colour} of {width} × {height} pixels")
    channels = _CHANNELS[colour]
    try:
        stream = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    except zlib.error as error:
        raise ValueError(f"damaged PNG data ({error})") from None
    # Before the array is made: a damaged header can ask for more memory than there is.
    if len(stream) < 2 * height * width * channels:
        raise ValueError(
            f"{len(stream)} bytes of PNG data are too few for {width} × {height} pixels"
        )
    samples = np.zeros((height, width, channels), np.uint16)
    for x, y, dx, dy in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        block = samples[y::dy, x::dx]
        if block.size == 0:
            continue
        rows, columns = block.shape[:2]
        length = rows * (1 + 2 * channels * columns)
        if len(stream) < length:
            raise ValueError("PNG data end too early")
        block[...] = _unfilter(stream[:length], rows, columns, channels)
        stream = stream[length:]
    return _with_transparent_colour(samples, dict(chunks).get(b"tRNS", b""))


def encode_png16(samples: np.ndarray) -> bytes:
    """A PNG file of 16 bits a sample.

    Args:
        samples: uint16 array (H, W) or (H, W, 3).

    Returns:
        The file.
    """
    height, width = samples.shape[:2]
    colour = _GRAY if samples.ndim == 2 else _COLOUR
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    # Filter 2 (up) on every row: photographs shrink by a third, and it is one subtraction.
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), rows - above], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length
        if position > len(data):
            raise ValueError("the PNG ends within a chunk")
        if struct.unpack_from(">I", data, position - 4)[0] != zlib.crc32(kind + body):
            raise ValueError(f"damaged PNG chunk {kind.decode('latin-1')}")
        yield kind, body
        if kind == b"IEND":
            return
    raise ValueError("the PNG ends without its end chunk")


def _unfilter(stream: bytes, rows: int, columns: int, channels: int) -> np.ndarray:
    """Undo the row filters along anti-diagonals, where pixels do not depend on one another.

    `skew[i, j + i]` holds pixel (i, j), so a column of `skew` is an anti-diagonal; row 0 and the
    pixels left of the image are zeros, as the specification wants.
    """
    bytes_per_pixel = 2 * channels
    lines = np.frombuffer(stream, np.uint8).reshape(rows, 1 + bytes_per_pixel * columns)
    filters = lines[:, :1].astype(np.int16)
    if filters.max() > 4:
        raise ValueError(f"PNG row filter {int(filters.max())}")
    residuals = lines[:, 1:].reshape(rows, columns, bytes_per_pixel).astype(np.int16)
    skew = np.zeros((rows + 1, rows + columns + 1, bytes_per_pixel), np.int16)
    for diagonal in range(rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        place = diagonal + 2
        left = np.where((diagonal - i == 0)[:, None], 0, skew[i + 1, place - 1])
        up = skew[i, place - 1]
        corner = np.where((diagonal - i == 0)[:, None], 0, skew[i, place - 2])
        predicted = _prediction(filters[i], left, up, corner)
        skew[i + 1, place] = (residuals[i, diagonal - i] + predicted) % 256
    i, j = np.indices((rows, columns))
    pixels = skew[i + 1, i + j + 2].astype(np.uint8)
    return pixels.reshape(rows, -1).view(">u2").reshape(rows, columns, channels)


def _prediction(
    filters: np.ndarray, left: np.ndarray, up: np.ndarray, corner: np.ndarray
) -> np.ndarray:
    estimate = left + up - corner
    to_left, to_up, to_corner = (np.abs(estimate - near) for near in (left, up, corner))
    paeth = np.where(
        (to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner)
    )
    return np.select([filters == k for k in range(1, 5)], [left, up, (left + up) // 2, paeth], 0)


def _with_transparent_colour(samples: np.ndarray, colour: bytes) -> np.ndarray:
    channels = samples.shape[2]
    if len(colour) != 2 * channels or channels not in (1, 3):
        return samples
    opaque = (samples != np.frombuffer(colour, ">u2")).any(axis=2, keepdims=True)
    return np.concatenate([samples, np.uint16(65535) * opaque.astype(np.uint16)], axis=2)
