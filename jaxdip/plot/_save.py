"""A figure in a file that says how it was made."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

_PNG_KEY = "jaxdip"
_KINDS = (".png", ".pdf", ".svg")


def save(figure: Figure, path: str | os.PathLike, config: Mapping[str, Any] | None = None) -> None:
    """Write a figure as PNG (200 dots per inch), PDF or SVG, with the configuration inside.

    The configuration is JSON: in a PNG the text entry 'jaxdip' (`read_config` reads it back), in a
    PDF the field Keywords, in an SVG the description. No date is written, so the same figure gives
    the same file.

    Args:
        figure: the figure.
        path: the file, ending in .png, .pdf or .svg; replaced where it exists.
        config: anything `json.dumps` takes.

    Raises:
        ValueError: if the ending is another, or the folder does not exist.
    """
    path = Path(path)
    kind = path.suffix.lower()
    text = json.dumps({} if config is None else dict(config), sort_keys=True)
    metadata = {
        ".png": {_PNG_KEY: text},
        ".pdf": {"Keywords": text, "CreationDate": None},
        ".svg": {"Description": text, "Date": None},
    }
    if kind not in metadata:
        raise ValueError(f"{path}: ending {path.suffix!r}, expected one of {', '.join(_KINDS)}")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}; make it first")
    # An SVG's inner names are random unless they are salted.
    with rc_context({"svg.hashsalt": "jaxdip"}):
        figure.savefig(path, format=kind[1:], dpi=200, metadata=metadata[kind])


def read_config(path: str | os.PathLike) -> dict[str, Any]:
    """The configuration that `save` put into a PNG file.

    Args:
        path: the PNG file.

    Returns:
        The configuration.

    Raises:
        ValueError: if the file is no PNG or has no configuration inside.
    """
    data = Path(path).read_bytes()
    marker = _PNG_KEY.encode() + b"\x00"
    # Text chunks are tEXt (Latin-1) or iTXt (UTF-8 after three empty fields), uncompressed here.
    position = 8
    while data[:8] == b"\x89PNG\r\n\x1a\n" and position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4])
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        if kind in (b"tEXt", b"iTXt") and body.startswith(marker):
            return json.loads(body[len(marker) :].lstrip(b"\x00").decode())
        position += 12 + length
    raise ValueError(f"{path}: no jaxdip configuration inside; expected a PNG written by save()")
