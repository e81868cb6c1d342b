"""Convolution with a fixed kernel."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array, RealScalar
from jaxdip.operators._convolution import (
    BOUNDARIES,
    Boundary,
    centred,
    convolve,
    cosine_filter,
    cosine_gains,
    fourier_filter,
    fourier_gains,
)
from jaxdip.operators._coordinates import conform, is_complex, real_dtype
from jaxdip.operators._decomposition import (
    dense_pseudo_inverse,
    dense_rounding,
    dense_singular_values,
    matrix_by_columns,
    safe_reciprocal,
)
from jaxdip.operators._spectral import AbstractSpectralOperator, closed_form_rounding
from jaxdip.operators._structure import signal_structure


class Blur(AbstractSpectralOperator):
    """The convolution (A x)_i = Σ_j k_j x_{i+c−j} with a centred real kernel, c = K // 2.

    A convolution, not a correlation: an asymmetric kernel is the image of a point. It acts on the
    leading axes of the signal, one for each axis of the kernel; what remains counts channels, each
    blurred alike. Beyond the border the signal is periodic, zero, or mirrored about the outer face
    of the border pixels ('reflect', as SciPy names it). Observations have the signal's shape.

    A periodic blur has the singular values |k̂|, by the Fourier transform, and a reflecting one with
    a kernel that is symmetric along each axis those of the cosine transform; norm, σ_A, rank and A⁺
    then cost a transform. Other blurs decompose the dense matrix. Complex signals are blurred in
    their real and imaginary parts.
    """

    kernel: Array
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)
    boundary: Boundary = eqx.field(static=True)
    symmetric: bool = eqx.field(static=True)

    def __init__(
        self,
        kernel: Any,
        *,
        shape: int | tuple[int, ...],
        boundary: Boundary = "periodic",
        dtype: Any = None,
        symmetric: bool | None = None,
    ):
        """Store the kernel.

        Args:
            kernel: real, of one or two axes; its entry K // 2 along each axis is the centre.
            shape: the shape of the signal, e.g. (H, W) or (H, W, channels).
            boundary: 'periodic', 'zero' or 'reflect'.
            dtype: of the signal; that of the kernel by default.
            symmetric: whether the kernel equals its mirror image along each axis. Looked up by
                default; where the kernel is traced it counts as not symmetric unless said here.

        Raises:
            ValueError: for a kernel without one or two axes, a signal of fewer axes, an unknown
                boundary, or a kernel that is said to be symmetric and is not.
            TypeError: for a complex kernel.
        """
        self.symmetric = _symmetry(kernel, symmetric)
        kernel = jnp.asarray(kernel)
        if kernel.ndim not in (1, 2) or kernel.size == 0:
            raise ValueError(f"a blur kernel has one or two axes, got shape {kernel.shape}")
        if jnp.iscomplexobj(kernel):
            raise TypeError("a blur kernel is real, got a complex one; blur its parts and add them")
        if not jnp.issubdtype(kernel.dtype, jnp.floating):
            kernel = kernel.astype(jnp.result_type(float))
        if boundary not in BOUNDARIES:
            raise ValueError(f"boundary is one of {', '.join(BOUNDARIES)}, got {boundary!r}")
        self.in_structure = signal_structure(shape, kernel.dtype if dtype is None else dtype)
        if len(self.in_structure.shape) < kernel.ndim:
            raise ValueError(
                f"a kernel of {kernel.ndim} axes blurs signals of at least as many, "
                f"got shape {self.in_structure.shape}"
            )
        self.kernel = kernel.astype(real_dtype(self.in_structure))
        self.boundary = boundary

    @classmethod
    def gaussian(
        cls,
        shape: int | tuple[int, ...],
        std: RealScalar,
        radius: int | None = None,
        boundary: Boundary = "periodic",
        *,
        dtype: Any = None,
    ) -> "Blur":
        """Blur by a sampled Gaussian of standard deviation `std` pixels, cut off and summing to 1.

        σ_A depends strongly on where the kernel is cut off: for std 1 on a periodic 64 × 64 image
        it is 1.5e-5 for radius 1 (3 × 3), 5.4e-4 for radius 2 and 2e-4 from radius 3 on. The
        σ_min ≈ 1e-5 stated for the deblurring experiment of arXiv 2403.05395 fits the 3 × 3 kernel.

        Args:
            shape: (N,) for a signal, (H, W) or (H, W, channels) for an image.
            std: in pixels, > 0.
            radius: the kernel has 2·radius + 1 entries along each axis; ⌈4 std⌉ by default.
            boundary: 'periodic', 'zero' or 'reflect'.
            dtype: of the signal; the default real dtype if None.

        Raises:
            ValueError: if std is not positive, radius is negative, or radius is left out while std
                is traced.
        """
        structure = signal_structure(shape, dtype)
        if is_concrete(std) and not float(std) > 0:
            raise ValueError(f"a Gaussian blur has std > 0 pixels, got {std}")
        if radius is None:
            if not is_concrete(std):
                raise ValueError("a traced std needs radius=, which fixes the kernel's size")
            radius = math.ceil(4 * float(std))
        if radius < 0:
            raise ValueError(f"a kernel's radius is >= 0, got {radius}")
        real = real_dtype(structure)
        offsets = jnp.arange(radius + 1).astype(real)
        half = jnp.exp(-0.5 * (offsets / jnp.asarray(std).astype(real)) ** 2)
        # Mirrored, because a vectorised exp may round the same number differently at another place.
        bell = jnp.concatenate([half[:0:-1], half])
        bell = bell / jnp.sum(bell)
        kernel = bell if len(structure.shape) == 1 else jnp.outer(bell, bell)
        return cls(kernel, shape=shape, boundary=boundary, dtype=structure.dtype, symmetric=True)

    def __call__(self, x: Array) -> Array:
        """k * x, of the signal's shape."""
        channels = self._to_channels(conform(x, self.in_structure, "Blur"))
        return self._from_channels(self._convolve(channels))

    def adjoint(self, y: Array) -> Array:
        """A* y, exact at the border too."""
        channels = self._to_channels(conform(y, self.in_structure, "Blur.adjoint"))
        if self.boundary == "periodic":
            gains = fourier_gains(self.kernel, self._extents)
            return self._from_channels(fourier_filter(gains.conj(), channels))
        like = jax.ShapeDtypeStruct(channels.shape, channels.dtype)
        (transposed,) = jax.linear_transpose(self._convolve, like)(channels)
        return self._from_channels(transposed)

    def pseudo_inverse(self, y: Array) -> Array:
        """A⁺ y, leaving out the gains that count as zero."""
        if not self._diagonal:
            return dense_pseudo_inverse(self, y)
        channels = self._to_channels(conform(y, self.in_structure, "Blur.pseudo_inverse"))
        periodic = self.boundary == "periodic"
        gains = (fourier_gains if periodic else cosine_gains)(self.kernel, self._extents)
        inverse = safe_reciprocal(gains, self.rounding * jnp.max(jnp.abs(gains)))
        return self._from_channels(
            (fourier_filter if periodic else cosine_filter)(inverse, channels)
        )

    def singular_values(self) -> Array:
        """|k̂| over all frequencies, each once per channel, in descending order."""
        if not self._diagonal:
            return dense_singular_values(self)
        if self.boundary == "periodic":
            gains = jnp.abs(jnp.fft.fftn(centred(self.kernel, self._extents)))
        else:
            gains = jnp.abs(cosine_gains(self.kernel, self._extents))
        channels = self.n // gains.size
        return jnp.repeat(jnp.sort(gains.ravel(), descending=True), channels)

    def matrix(self) -> Array:
        """The dense matrix, by n applications of the operator (a ValueError beyond 2e8 entries)."""
        return matrix_by_columns(self)

    @property
    def rounding(self) -> float:
        """10·eps for a spectrum in closed form, eps·n for a dense one."""
        return closed_form_rounding(self) if self._diagonal else dense_rounding(self)

    @property
    def complex_linear(self) -> bool:
        """Signals are complex."""
        return is_complex(self.in_structure)

    @property
    def orthonormal_rows(self) -> bool:
        """False: it would depend on the numbers."""
        return False

    @property
    def _extents(self) -> tuple[int, ...]:
        return self.in_structure.shape[: self.kernel.ndim]

    @property
    def _diagonal(self) -> bool:
        """A known transform diagonalises the operator."""
        return self.boundary == "periodic" or (self.boundary == "reflect" and self.symmetric)

    def _convolve(self, channels: Array) -> Array:
        if self.boundary == "periodic":
            return fourier_filter(fourier_gains(self.kernel, self._extents), channels)
        return convolve(self.kernel, channels, self.boundary)

    def _to_channels(self, x: Array) -> Array:
        if jnp.iscomplexobj(x):
            x = jnp.stack([x.real, x.imag], axis=-1)
        return x.reshape(*self._extents, -1)

    def _from_channels(self, channels: Array) -> Array:
        shape = self.in_structure.shape
        if is_complex(self.in_structure):
            parts = channels.reshape(*shape, 2)
            return jax.lax.complex(parts[..., 0], parts[..., 1])
        return channels.reshape(shape)


def _symmetry(kernel: Any, claimed: bool | None) -> bool:
    if not is_concrete(kernel):
        return bool(claimed)
    values = np.asarray(kernel)
    odd = all(size % 2 for size in values.shape)
    found = odd and all(
        np.array_equal(values, np.flip(values, axis)) for axis in range(values.ndim)
    )
    if claimed and not found:
        raise ValueError("symmetric=True, but the kernel differs from its mirror image")
    return found if claimed is None else claimed
