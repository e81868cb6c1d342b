"""Raw data of magnetic resonance scanners in the layout of the fastMRI files."""

import dataclasses
import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

# The images that multi-coil and single-coil files bring along.
_TARGETS = ("reconstruction_rss", "reconstruction_esc")


@dataclasses.dataclass(frozen=True, eq=False)
class FastMRI:
    """What a fastMRI file holds, or one slice of it.

    Attributes:
        kspace: complex (slices, coils, H, W), or (coils, H, W) for one slice; one coil where the
            file is single-coil. Centred, as `operators.centred_fft` has it.
        mask: the measured columns, boolean (W,), or None where all were measured.
        target: the reference image that comes along, (slices, h, w) or (h, w) cut to the centre, in
            the file's units; or None.
        attributes: the file's attributes, such as 'acquisition', 'patient_id', 'max', 'norm'.
        name: the file's name without its ending.
        source: the file, for the record.
    """

    kspace: np.ndarray
    mask: np.ndarray | None
    target: np.ndarray | None
    attributes: dict[str, Any]
    name: str
    source: str


def read_fastmri(path: str | os.PathLike, slice: int | None = None) -> FastMRI:
    """Read an HDF5 file in fastMRI's layout.

    The dataset `kspace` is complex, (slices, coils, H, W), or (slices, H, W) in single-coil files.
    `reconstruction_rss` or `reconstruction_esc`, `mask` and the attributes are read where there are
    any. From the file to an image:

        scan = jd.imaging.read_fastmri("file1.h5", slice=10)
        kspace = jnp.asarray(scan.kspace)
        keep = jd.operators.cartesian_mask(kspace.shape[-2:], 8, None, key)
        maps = jd.operators.estimate_sensitivities(kspace, calibration=14)
        A = jd.operators.MRI(keep, sensitivities=maps, dtype=kspace.dtype)
        found = jd.reconstruct(A.sample(kspace), A, network, key=key, steps=2000, optimizer="adam")

    Args:
        path: the file.
        slice: the number of one slice, from the end where negative; only that one is read. All by
            default.

    Returns:
        The data, as NumPy arrays of the file's precision.

    Raises:
        ValueError: if the file is missing or no HDF5 file, has no `kspace`, or holds arrays of
            other axes or types, a mask of another width, no such slice, or NaN.
        ImportError: if h5py is not installed.

    Reference: J. Zbontar et al., fastMRI: An open dataset and benchmarks for accelerated MRI, arXiv
    1811.08839.
    """
    path = Path(path)
    h5py = _h5py()
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: not an HDF5 file ({error})") from None
    with file:
        dataset = _dataset(file, path)
        place = _slice(slice, dataset.shape[0], path)
        kspace = _finite(dataset[place], "kspace", path)
        if dataset.ndim == 3:
            kspace = np.expand_dims(kspace, -3)
        targets = [name for name in _TARGETS if name in file]
        target = _target(file[targets[0]], dataset, place, path) if targets else None
        mask = _mask(file["mask"][()], kspace.shape[-1], path) if "mask" in file else None
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
    return FastMRI(kspace, mask, target, attributes, path.stem, str(path))


def _h5py() -> Any:
    if importlib.util.find_spec("h5py") is None:
        raise ImportError(
            "this needs the package h5py, which is not installed: install it by "
            'pip install "jaxdip[mri]"'
        )
    return importlib.import_module("h5py")


def _dataset(file: Any, path: Path) -> Any:
    if "kspace" not in file:
        found = ", ".join(sorted(file)) or "nothing"
        raise ValueError(f"{path}: no dataset 'kspace', found {found}; expected fastMRI's layout")
    dataset = file["kspace"]
    shape = getattr(dataset, "shape", None)
    if shape is None or len(shape) not in (3, 4) or 0 in shape:
        raise ValueError(
            f"{path}: kspace of shape {shape}, expected (slices, coils, H, W), or (slices, H, W) "
            "for one coil"
        )
    if dataset.dtype.kind != "c":
        raise ValueError(f"{path}: kspace of type {dataset.dtype}, expected complex numbers")
    return dataset


def _slice(number: int | None, count: int, path: Path) -> Any:
    if number is None:
        return ()
    if not -count <= number < count:
        raise ValueError(f"{path}: no slice {number}, there are {count}: 0 to {count - 1}")
    return number % count


def _target(target: Any, kspace: Any, place: Any, path: Path) -> np.ndarray:
    if target.ndim != 3 or target.shape[0] != kspace.shape[0]:
        raise ValueError(
            f"{path}: {target.name[1:]} of shape {target.shape}, expected "
            f"({kspace.shape[0]}, h, w), one image for each slice"
        )
    return _finite(target[place], target.name[1:], path)


def _mask(values: Any, width: int, path: Path) -> np.ndarray:
    mask = np.asarray(values)
    if mask.size != width:
        raise ValueError(f"{path}: a mask of shape {mask.shape}, expected ({width},), kspace's W")
    return _finite(mask, "mask", path).reshape(width) != 0


def _finite(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise ValueError(f"{path}: {bad} values of {name} are NaN or infinite; replace them first")
    return values


def _plain(value: Any) -> Any:
    """A Python number or string, where it is one."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value
