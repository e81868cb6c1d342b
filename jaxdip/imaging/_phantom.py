"""Phantoms of ellipses, whose image, Fourier transform and projections are known exactly."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Float, Inexact
from jaxdip.imaging._bessel import jinc

# Intensity, half axes a and b, centre x and y, angle in degrees: Shepp and Logan's head with the
# contrast of P. Toft, The Radon Transform (1996), table B.3.
_SHEPP_LOGAN = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)


class EllipsePhantom(eqx.Module):
    """The sum of ellipses of constant intensity on a field of view [−1, 1]², x right and y up.

    Measurements taken from `kspace` or `sinogram` are those of the continuous object: recovering
    pixels from them does not invert the very model that made them (no inverse crime), and shows
    Gibbs ringing and partial volumes as a scanner does.

    The origin lies at the centre of the pixel (H // 2, W // 2), as `centred_fft` has it, so the
    field of view of an even image begins at the centre of its first pixel.
    """

    ellipses: Float[Array, "count 6"]

    def __init__(self, ellipses: Any, *, dtype: Any = None):
        """Store the ellipses.

        Args:
            ellipses: rows of intensity, half axes a and b, centre x and y (both in halves of the
                field of view), and the angle from the x axis to the axis a, counter-clockwise in
                degrees; shape (count, 6).
            dtype: real, that of what is computed; the default real dtype if None.

        Raises:
            ValueError: for another shape, or half axes that are not positive.
        """
        dtype = jnp.result_type(float) if dtype is None else dtype
        self.ellipses = jnp.asarray(ellipses).astype(dtype)
        if self.ellipses.ndim != 2 or self.ellipses.shape[1] != 6:
            raise ValueError(
                "ellipses are rows (intensity, a, b, x, y, degrees), shape (count, 6), got "
                f"{self.ellipses.shape}"
            )
        if is_concrete(ellipses) and not np.all(np.asarray(ellipses)[:, 1:3] > 0):
            raise ValueError("an ellipse has half axes a > 0 and b > 0")

    @classmethod
    def shepp_logan(cls, *, dtype: Any = None) -> "EllipsePhantom":
        """The Shepp-Logan head with Toft's higher contrast, values from 0 to 1.

        Reference: L. Shepp, B. Logan, The Fourier reconstruction of a head section, IEEE Trans.
        Nuclear Science 21 (1974).
        """
        return cls(np.array(_SHEPP_LOGAN), dtype=dtype)

    def image(self, shape: tuple[int, int], *, lines: int = 8) -> Float[Array, "H W"]:
        """The mean of the phantom over each pixel.

        Exact along rows, by the chord of each ellipse, and averaged over `lines` lines a pixel.

        Args:
            shape: (H, W).
            lines: how many lines across each pixel are averaged.

        Raises:
            ValueError: if an extent or `lines` is not positive.
        """
        height, width = _checked(shape)
        if lines < 1:
            raise ValueError(f"a pixel is averaged over lines >= 1, got {lines}")
        dtype = self.ellipses.dtype
        places = (jnp.arange(height * lines).astype(dtype) + 0.5) / lines - 0.5
        y = (-2 / height) * (places - height // 2)
        left = (2 / width) * (jnp.arange(width).astype(dtype) - 0.5 - width // 2)

        def add(total: Array, ellipse: Array) -> tuple[Array, None]:
            start, end = _chord(ellipse, y[:, None])
            covered = jnp.minimum(end, left + 2 / width) - jnp.maximum(start, left)
            share = jnp.maximum(covered, 0) * (width / 2)
            return total + ellipse[0] * share.reshape(height, lines, width).mean(axis=1), None

        return jax.lax.scan(add, jnp.zeros((height, width), dtype), self.ellipses)[0]

    def kspace(self, shape: tuple[int, int]) -> Inexact[Array, "H W"]:
        """The Fourier transform of the continuous phantom on the grid of `centred_fft`.

        √(HW) ∫∫ f(u) exp(−2πi k·u) du over the field of view, its sides having length one, at the
        integer frequencies k: what `centred_fft(image)` tends to as the pixels get smaller.

        Args:
            shape: (H, W).
        """
        height, width = _checked(shape)
        down = jnp.arange(height) - height // 2
        right = jnp.arange(width) - width // 2
        frequencies = jnp.stack(jnp.meshgrid(down, right, indexing="ij"), axis=-1)
        values = self.fourier(frequencies.astype(self.ellipses.dtype))
        return values * jnp.asarray((height * width) ** 0.5, values.dtype)

    def fourier(self, frequencies: Float[Array, "*shape 2"]) -> Inexact[Array, "*shape"]:
        """The Fourier transform ∫∫ f(u) exp(−2πi k·u) du at any frequencies.

        Args:
            frequencies: k = (down, right) in cycles per field of view, (..., 2), as rows and
                columns of an image run.

        Reference: M. Slaney, A. Kak, Principles of Computerized Tomographic Imaging (1988), 3.
        """
        dtype = self.ellipses.dtype
        frequencies = jnp.asarray(frequencies).astype(dtype)
        up, right = -frequencies[..., 0], frequencies[..., 1]

        def add(total: Array, ellipse: Array) -> tuple[Array, None]:
            intensity, a, b, x, y, degrees = ellipse
            cosine, sine = _direction(degrees)
            along = a * (right * cosine + up * sine)
            across = b * (up * cosine - right * sine)
            # The field of view has length 2 in the ellipses' units.
            size = (jnp.pi / 4) * intensity * a * b * jinc(jnp.pi * jnp.hypot(along, across))
            phase = -jnp.pi * (right * x + up * y)
            return total + jax.lax.complex(size * jnp.cos(phase), size * jnp.sin(phase)), None

        start = jnp.zeros(up.shape, jnp.dtype(np.result_type(dtype, np.complex64)))
        return jax.lax.scan(add, start, self.ellipses)[0]

    def sinogram(
        self, size: int, angles: Float[Array, " views"], *, detectors: int | None = None
    ) -> Float[Array, "views detectors"]:
        """Line integrals through the continuous phantom, as `operators.Radon` takes them.

        Args:
            size: the side of the image in pixels; lengths are in pixels.
            angles: in degrees; the line at angle θ and place s is x cos θ + y sin θ = s.
            detectors: the number of places, one pixel apart around the origin; `size` by default.
        """
        count = size if detectors is None else detectors
        _checked((size, count))
        dtype = self.ellipses.dtype
        places = (2 / size) * (jnp.arange(count).astype(dtype) - count // 2)
        cosines, sines = _direction(jnp.asarray(angles).astype(dtype)[:, None])

        def add(total: Array, ellipse: Array) -> tuple[Array, None]:
            intensity, a, b, x, y, degrees = ellipse
            cosine, sine = _direction(degrees)
            along = a * (cosines * cosine + sines * sine)
            across = b * (sines * cosine - cosines * sine)
            square = along**2 + across**2
            inside = jnp.maximum(square - (places - x * cosines - y * sines) ** 2, 0)
            return total + 2 * intensity * a * b * jnp.sqrt(inside) / square, None

        start = jnp.zeros((cosines.shape[0], count), dtype)
        return jax.lax.scan(add, start, self.ellipses)[0] * (size / 2)


def _checked(shape: tuple[int, int]) -> tuple[int, int]:
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"a phantom is drawn on two positive extents, got {shape}")
    return shape


def _direction(degrees: Array) -> tuple[Array, Array]:
    radians = degrees * (jnp.pi / 180)
    return jnp.cos(radians), jnp.sin(radians)


def _chord(ellipse: Array, y: Array) -> tuple[Array, Array]:
    """Where the line at height y enters and leaves the ellipse; an empty interval if it misses."""
    _, a, b, centre_x, centre_y, degrees = ellipse
    cosine, sine = _direction(degrees)
    up = y - centre_y
    quadratic = (cosine / a) ** 2 + (sine / b) ** 2
    linear = up * cosine * sine * (a**-2 - b**-2)
    constant = up**2 * ((sine / a) ** 2 + (cosine / b) ** 2) - 1
    half = jnp.sqrt(jnp.maximum(linear**2 - quadratic * constant, 0)) / quadratic
    middle = centre_x - linear / quadratic
    return middle - half, middle + half
