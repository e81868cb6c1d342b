"""Parallel-beam tomography."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array
from jaxdip.operators._coordinates import conform, is_complex, real_dtype
from jaxdip.operators._spectral import AbstractMatrixFreeOperator
from jaxdip.operators._structure import signal_structure


class Radon(AbstractMatrixFreeOperator):
    """Line integrals of a square image: (A x)_{θ, s} = ∫ x over the line u cos θ + v sin θ = s.

    u runs to the right and v upwards from the centre of the pixel (N // 2, N // 2), as in
    scikit-image's `radon`, whose sinogram is the transpose of this one. Lengths are in pixels. By
    Joseph's method: a ray takes one step for each row, or column where it is nearer to the
    horizontal, and interpolates linearly between the two pixels there; beyond the image all is
    zero. The adjoint is the exact transpose of that sum.

    Reference: P. Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE
    Trans. Medical Imaging 1 (1982).
    """

    angles: Array
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)
    detectors: int = eqx.field(static=True)

    def __init__(self, size: int, angles: Any, *, detectors: int | None = None, dtype: Any = None):
        """Fix the geometry.

        Args:
            size: the side N of the image in pixels.
            angles: of the views in degrees, shape (views,).
            detectors: how many rays, one pixel apart, the ray detectors // 2 through the centre; N
                by default, which sees the disc inscribed in the image whole.
            dtype: of the image; the default real dtype if None.

        Raises:
            ValueError: for angles of another shape or not finite, or no detector.
        """
        self.in_structure = signal_structure((size, size), dtype)
        self.detectors = size if detectors is None else detectors
        if self.detectors < 1:
            raise ValueError(f"tomography takes detectors >= 1, got {detectors}")
        if is_concrete(angles):
            angles = np.asarray(angles, np.float64)
            if not np.all(np.isfinite(angles)):
                raise ValueError("angles are finite numbers in degrees, got NaN or infinite ones")
        angles = jnp.asarray(angles).astype(real_dtype(self.in_structure))
        if angles.ndim != 1 or angles.size == 0:
            raise ValueError(f"angles have shape (views,), views >= 1, got {angles.shape}")
        self.angles = angles

    def __call__(self, x: Array) -> Array:
        """The sinogram, (views, detectors)."""
        return self._project(conform(x, self.in_structure, "Radon"))

    def adjoint(self, y: Array) -> Array:
        """The unfiltered back-projection A* y."""
        y = conform(y, self.out_structure, "Radon.adjoint")
        # All weights are real, so the transpose is the adjoint of complex images too.
        (x,) = jax.linear_transpose(self._project, self.in_structure)(y)
        return x

    @property
    def complex_linear(self) -> bool:
        """Images are complex."""
        return is_complex(self.in_structure)

    @property
    def orthonormal_rows(self) -> bool:
        """False: pixels overlap in the rays."""
        return False

    def _project(self, x: Array) -> Array:
        # Without the checkpoint, differentiation would keep the weights of all views.
        one = jax.checkpoint(lambda angle: _view(x, angle, self.detectors))
        return jax.lax.map(one, self.angles)


# Its own program: it is traced once for all that is derived from it.
@functools.partial(jax.jit, static_argnums=2)
def _view(x: Array, angle: Array, detectors: int) -> Array:
    """The sums along the rays of one angle."""
    size = x.shape[0]
    radians = angle * (jnp.pi / 180)
    cosine, sine = jnp.cos(radians), jnp.sin(radians)
    upright = jnp.abs(cosine) >= jnp.abs(sine)
    lines = jnp.where(upright, x, x.T)
    # Row i lies at v = −(i − N // 2). On it u = (s − v sin θ)/cos θ; on column j, where
    # u = j − N // 2, −v = (u cos θ − s)/sin θ.
    divisor = jnp.where(upright, cosine, -sine)
    slope = jnp.where(upright, sine, -cosine) / divisor
    step = (jnp.arange(size) - size // 2).astype(angle.dtype)[:, None]
    place = (jnp.arange(detectors) - detectors // 2).astype(angle.dtype)
    position = jnp.clip(place / divisor + slope * step + size // 2, -1, size)
    start = jnp.floor(position)
    share = (position - start).astype(x.dtype)
    index = start.astype(jnp.int32) + 1
    # Zeros on both sides stand for what lies beyond the border.
    padded = jnp.pad(lines, ((0, 0), (1, 2)))
    near = jnp.take_along_axis(padded, index, axis=1)
    far = jnp.take_along_axis(padded, index + 1, axis=1)
    total = jnp.sum((1 - share) * near + share * far, axis=0)
    return total / jnp.abs(divisor).astype(x.dtype)
