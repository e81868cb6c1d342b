"""Files that a command leaves: each whole or absent."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from jaxdip._source import source_digest
from jaxdip.cli._runtime import UsageError, device_name, versions


def check_folder(path: Path) -> None:
    """Refuse an output folder that cannot be made, without making it.

    Raises:
        UsageError: if the path, or the nearest thing on the way to it, is no folder.
    """
    nearest = next((one for one in (path, *path.parents) if one.exists()), Path())
    if not nearest.is_dir():
        raise UsageError(f"--out {path}: cannot be a folder ({nearest} is a file)")


def make_folder(path: Path) -> None:
    """Make the output folder, or say why it cannot be.

    Raises:
        UsageError: if the path is a file, or not writable.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {path}: cannot be a folder ({error.strerror})") from None


def provenance(config: Mapping[str, object]) -> dict[str, Any]:
    """What a result's reader needs to repeat it, as JSON."""
    return {
        "config": plain(config),
        "versions": versions(),
        "source": source_digest(),
        "device": device_name(),
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, by a temporary name first."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(plain(content), indent=2, allow_nan=False) + "\n")
    partial.replace(path)


def write_zarr(path: Path, dataset: xr.Dataset, attributes: Mapping[str, Any]) -> None:
    """Write a dataset as a Zarr folder, by a temporary name first; attributes become JSON text."""
    texts = {
        key: value if isinstance(value, str) else json.dumps(plain(value))
        for key, value in attributes.items()
    }
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    # Zarr 3 has no settled type for text, which names the dynamics.
    dataset.assign_attrs(texts).to_zarr(partial, mode="w", zarr_format=2)
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


def plain(value: Any) -> Any:
    """A value as JSON knows it; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    number = float(value)
    return number if math.isfinite(number) else None


def table(rows: list[list[str]], left: int = 1) -> str:
    """Text in columns, the first so many flush left and the rest right; the first row is a head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
