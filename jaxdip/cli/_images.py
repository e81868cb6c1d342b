"""Images as the commands take them: a file or a name."""

from pathlib import Path

import jax.numpy as jnp

from jaxdip._types import Array
from jaxdip.imaging import Image, image_names, named_image, read_image, resample
from jaxdip.imaging._resample import target_shape


def load_image(name: str) -> Image:
    """A file, or a library image where no file has that name.

    Raises:
        UsageError: if there is neither.
    """
    path = Path(name)
    if name in image_names() and not path.is_file():
        return named_image(name)
    looks_like_a_name = path.suffix == "" and path.parent == Path() and not path.exists()
    return named_image(name) if looks_like_a_name else read_image(path)


def prepare(image: Image, size: int, gray: bool) -> Array:
    """The image's pixels in [0, 1] at the working size, in JAX's default precision."""
    pixels = jnp.asarray(image.gray if gray else image.pixels, jnp.result_type(float))
    return resample(pixels, size) if size else pixels


def working_shape(image: Image, size: int, gray: bool) -> tuple[int, ...]:
    """The shape that `prepare` makes, without making it."""
    shape = image.gray.shape if gray else image.pixels.shape
    return (*target_shape(shape[:2], size), *shape[2:]) if size else shape
