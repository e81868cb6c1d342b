"""Real images that installed packages bring along, by name; nothing is downloaded."""

import dataclasses
import difflib
import gzip

import numpy as np

from jaxdip.imaging._extra import package_folder
from jaxdip.imaging._image import Image
from jaxdip.imaging._read import read_image

# Files of scikit-image's wheel.
_SCIKIT_IMAGE = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "cell": "cell.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "moon": "moon.png",
    "page": "page.png",
    "phantom": "phantom.png",
    "text": "text.png",
}
# A head slice in matplotlib's wheel: 256 × 256, big-endian, 16 bits.
_MRI, _MRI_SHAPE = "mpl-data/sample_data/s1045.ima.gz", (256, 256)


def image_names() -> tuple[str, ...]:
    """The names that `named_image` knows, in alphabetical order."""
    return tuple(sorted([*_SCIKIT_IMAGE, "mri"]))


def named_image(name: str) -> Image:
    """A real image by name: photographs, textures, the Shepp-Logan phantom, an MR head slice.

    All but 'mri' are files of the installed scikit-image; 'mri' is a file of the installed
    matplotlib, divided by its maximum (its 16 bits are hardly used).

    Args:
        name: one of `image_names()`.

    Returns:
        The image.

    Raises:
        ValueError: for another name, with the nearest right one.
        ImportError: if the package that brings the image is not installed.
    """
    if name == "mri":
        return _mri()
    if name not in _SCIKIT_IMAGE:
        near = difflib.get_close_matches(name, image_names(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"no image named {name!r}; {hint}there are {', '.join(image_names())}")
    image = read_image(package_folder("skimage") / "data" / _SCIKIT_IMAGE[name])
    if name == "phantom":
        # Stored as colour with three equal channels.
        return dataclasses.replace(image, pixels=image.pixels[..., 0])
    return image


def _mri() -> Image:
    path = package_folder("matplotlib") / _MRI
    if not path.is_file():
        raise ValueError(f"the installed matplotlib has no {_MRI}; choose another image")
    values = np.frombuffer(gzip.decompress(path.read_bytes()), ">u2").reshape(_MRI_SHAPE)
    white = float(values.max())
    return Image(values / white, 16, "mri", str(path), white)
