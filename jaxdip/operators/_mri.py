"""Magnetic resonance imaging: Fourier coefficients of an image, seen by one or several coils."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Bool, Inexact
from jaxdip.operators._centred_fourier import centred_fft, centred_ifft, complex_dtype
from jaxdip.operators._coordinates import conform, is_complex, real_dtype
from jaxdip.operators._decomposition import (
    dense_pseudo_inverse,
    dense_rounding,
    dense_singular_values,
    matrix_by_columns,
    safe_reciprocal,
)
from jaxdip.operators._mask import Mask, as_mask
from jaxdip.operators._spectral import AbstractSpectralOperator, closed_form_rounding
from jaxdip.operators._structure import signal_structure


class MRI(AbstractSpectralOperator):
    """A x = the measured entries of F(S_c x) for each coil c: F is `centred_fft`, S sensitivities.

    Data hold the measured entries only, in row-major order: (m,) without sensitivities, and
    (coils, m) with them; `sample` takes them from a full k-space, and `fill` puts them back into
    one. Images are complex, or real with complex data; then A* takes the real part.

    One coil of sensitivity one has a closed form: A* A multiplies the coefficient at k by w_k = 1
    where it is measured, and on real images by the mean of w at k and −k. Several coils decompose
    the dense matrix; where that is too large, `estimate_norm` helps. ‖A‖ ≤ 1 for sensitivities
    whose squares sum to 1.
    """

    mask: Mask
    sensitivities: Array | None
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(
        self,
        keep: Bool[Array, "*height W"],
        *,
        shape: tuple[int, int] | None = None,
        sensitivities: Inexact[Array, "coils H W"] | None = None,
        count: int | None = None,
        dtype: Any = None,
    ):
        """Store what is measured, and by which coils.

        Args:
            keep: what is measured, frequency zero at the entry (H // 2, W // 2): shape (H, W), or
                (W,) for a choice of columns (phase encodings), as `cartesian_mask` makes it.
            shape: the image's (H, W); that of `keep` or of the sensitivities by default.
            sensitivities: one map for each coil, (coils, H, W); None for one coil that sees all
                alike.
            count: how many entries of an image are measured; needed only where `keep` is traced.
            dtype: of the image, complex or real; the default complex dtype if None.

        Raises:
            ValueError: if the shapes disagree, or nothing is measured.
            TypeError: if `keep` is not boolean.
        """
        keep = as_mask(keep)
        dtype = complex_dtype(None) if dtype is None else dtype
        self.in_structure = signal_structure(_image_shape(keep, shape, sensitivities), dtype)
        full = jnp.broadcast_to(jnp.asarray(keep), self.in_structure.shape)
        coefficients = complex_dtype(self.in_structure.dtype)
        self.mask = Mask(full, count=count, dtype=coefficients)
        if sensitivities is not None:
            sensitivities = jnp.asarray(sensitivities).astype(coefficients)
        self.sensitivities = sensitivities

    def __call__(self, x: Array) -> Array:
        """The measured coefficients, (m,) or (coils, m)."""
        x = conform(x, self.in_structure, "MRI").astype(self.mask.in_structure.dtype)
        images = x if self.sensitivities is None else self.sensitivities * x
        return self.sample(centred_fft(images))

    def adjoint(self, y: Array) -> Array:
        """A* y = Σ_c conj(S_c) F* y_c, filled with zeros; its real part for real images."""
        images = centred_ifft(self.fill(y))
        if self.sensitivities is not None:
            images = jnp.sum(self.sensitivities.conj() * images, axis=0)
        return self._as_signal(images)

    def sample(self, kspace: Inexact[Array, "*coils H W"]) -> Inexact[Array, "*coils m"]:
        """The measured entries of a full k-space.

        Args:
            kspace: complex, (H, W), or (coils, H, W) with sensitivities.

        Raises:
            ValueError: for another shape.
            TypeError: for another dtype.
        """
        structure = self.mask.in_structure
        if self.sensitivities is None:
            return self.mask(kspace)
        full = jax.ShapeDtypeStruct(self.sensitivities.shape, structure.dtype)
        return jax.vmap(self.mask.__call__)(conform(kspace, full, "MRI.sample"))

    def fill(self, y: Inexact[Array, "*coils m"]) -> Inexact[Array, "*coils H W"]:
        """The full k-space that has the data where they were measured and zeros elsewhere."""
        y = conform(y, self.out_structure, "MRI.adjoint")
        put_back = self.mask.adjoint
        return put_back(y) if self.sensitivities is None else jax.vmap(put_back)(y)

    def pseudo_inverse(self, y: Array) -> Array:
        """A⁺ y: zero-filled reconstruction, weighted where real images count coefficients twice."""
        if self.sensitivities is not None:
            return dense_pseudo_inverse(self, y)
        x = self.adjoint(y)
        inverse = safe_reciprocal(self._weights, jnp.zeros((), self._weights.dtype))
        spectrum = centred_fft(x)
        return self._as_signal(centred_ifft(inverse.astype(spectrum.dtype) * spectrum))

    def singular_values(self) -> Array:
        """√w over all frequencies, or those of the dense matrix for several coils."""
        if self.sensitivities is not None:
            return dense_singular_values(self)
        count = min(self.n, self.m if self.complex_linear else 2 * self.m)
        return jnp.sqrt(jnp.sort(self._weights.ravel(), descending=True)[:count])

    def matrix(self) -> Array:
        """The dense matrix, by n applications of the operator (a ValueError beyond 2e8 entries)."""
        return matrix_by_columns(self)

    @property
    def rounding(self) -> float:
        """10·eps for one coil, whose spectrum is known; eps·n for a dense one."""
        single = self.sensitivities is None
        return closed_form_rounding(self) if single else dense_rounding(self)

    @property
    def complex_linear(self) -> bool:
        """Images are complex."""
        return is_complex(self.in_structure)

    @property
    def orthonormal_rows(self) -> bool:
        """True for complex images and one coil."""
        return self.sensitivities is None and self.complex_linear

    @property
    def _weights(self) -> Array:
        """The eigenvalues w of A* A at all frequencies, for one coil."""
        ones = jnp.ones(self.mask.out_structure.shape, self.mask.in_structure.dtype)
        weights = self.mask.adjoint(ones).real.astype(real_dtype(self.in_structure))
        if self.complex_linear:
            return weights
        # The opposite of entry i is 2c − i: reversed, and one further where the extent is even.
        steps = [2 * (extent // 2) + 1 for extent in weights.shape]
        opposite = jnp.roll(jnp.flip(weights), steps, axis=(0, 1))
        return (weights + opposite) / 2

    def _as_signal(self, image: Array) -> Array:
        return image if self.complex_linear else image.real


def _image_shape(keep: Any, shape: Any, sensitivities: Any) -> tuple[int, ...]:
    """The (H, W) on which mask, maps and `shape` agree."""
    keep_shape = jnp.shape(keep)
    if len(keep_shape) not in (1, 2):
        raise ValueError(f"MRI takes a mask of shape (H, W) or (W,), got {keep_shape}")
    if sensitivities is not None:
        maps = jnp.shape(sensitivities)
        if len(maps) != 3:
            raise ValueError(f"sensitivities have shape (coils, H, W), got {maps}")
        if is_concrete(sensitivities) and not np.all(np.isfinite(sensitivities)):
            raise ValueError("sensitivities hold NaN or infinite values; replace them, e.g. by 0")
        if is_concrete(sensitivities) and not np.any(sensitivities):
            raise ValueError(
                "sensitivities are zero everywhere, expected a coil that sees the image"
            )
        found = maps[1:]
    elif shape is not None:
        if np.ndim(shape) != 1:
            raise ValueError(f"shape is the image's (H, W), got {shape!r}")
        found = tuple(shape)
    elif len(keep_shape) == 2:
        found = keep_shape
    else:
        raise ValueError(f"a mask of columns {keep_shape} needs shape=(H, W), the image's")
    if len(found) != 2 or found[-len(keep_shape) :] != keep_shape or found != tuple(shape or found):
        raise ValueError(
            f"a mask of shape {keep_shape}, shape={shape} and images of shape {found} disagree; "
            "all are those of one image (H, W)"
        )
    return found
