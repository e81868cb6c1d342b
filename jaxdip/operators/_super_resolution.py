"""Images at a coarser resolution: an antialiasing blur, then every factor-th pixel."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array
from jaxdip.operators._convolution import BOUNDARIES, Boundary
from jaxdip.operators._coordinates import conform, eps_of, is_complex, real_dtype
from jaxdip.operators._decomposition import matrix_by_columns, safe_reciprocal
from jaxdip.operators._spectral import AbstractSpectralOperator
from jaxdip.operators._structure import signal_structure

KERNELS = ("box", "triangle", "cubic")


class SuperResolution(AbstractSpectralOperator):
    """A x: blur x along each axis by one kernel k, and keep every `factor`-th pixel.

    (A x)_i = Σ_j k_j x_{f i + o + c − j} along each axis, with f the factor, c = K // 2 the centre
    of the kernel (a convolution, as `Blur`) and o = (f − 1) // 2: a symmetric kernel of as many
    entries as f, or more by an even number, is centred on the block of f × f pixels that a coarse
    pixel covers. 'box' is then the mean over the block, and 'triangle' and 'cubic' (Keys, a = −1/2)
    are what Pillow's antialiased bilinear and bicubic filters do away from the border.

    A = D₁ ⊗ D₂ for one small matrix along each axis, so norm, σ_A, rank and A⁺ come from the
    decompositions of these two at any size. For a kernel that is not separable, compose a `Mask`
    with a `Blur`.
    """

    factors: tuple[Array, ...]
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(
        self,
        shape: int | tuple[int, ...],
        factor: int,
        kernel: Any = "cubic",
        *,
        boundary: Boundary = "reflect",
        dtype: Any = None,
    ):
        """Build the matrix of each axis.

        Args:
            shape: of the fine signal: (N,), (H, W) or (H, W, channels); N, H and W are multiples
                of `factor`.
            factor: the ratio of fine to coarse pixels along each axis.
            kernel: 'box', 'triangle', 'cubic', or the entries of a kernel of one axis, which are
                used as they are.
            boundary: what lies beyond the border: 'periodic', 'zero' or 'reflect'.
            dtype: of the signal; the default real dtype if None.

        Raises:
            ValueError: if `factor` does not divide the extents, or for an unknown kernel or
                boundary.
        """
        self.in_structure = signal_structure(shape, dtype)
        extents = self.in_structure.shape[:2]
        if boundary not in BOUNDARIES:
            raise ValueError(f"boundary is one of {', '.join(BOUNDARIES)}, got {boundary!r}")
        if factor < 1 or any(extent % factor for extent in extents):
            raise ValueError(
                f"factor {factor} does not divide the extents {extents}; crop the image to "
                "multiples of it"
            )
        values = _kernel(kernel, factor)
        real = real_dtype(self.in_structure)
        self.factors = tuple(
            jnp.asarray(_matrix(values, extent, factor, boundary).astype(real))
            for extent in extents
        )

    def __call__(self, x: Array) -> Array:
        """The coarse signal: each of the first two extents divided by the factor."""
        return _along_axes(self.factors, conform(x, self.in_structure, "SuperResolution"))

    def adjoint(self, y: Array) -> Array:
        """A* y, exact at the border too."""
        y = conform(y, self.out_structure, "SuperResolution.adjoint")
        return _along_axes([matrix.T for matrix in self.factors], y)

    def pseudo_inverse(self, y: Array) -> Array:
        """A⁺ y by the decompositions along the axes."""
        y = conform(y, self.out_structure, "SuperResolution.pseudo_inverse")
        parts = [jnp.linalg.svd(matrix, full_matrices=False) for matrix in self.factors]
        gains = _outer([s for _, s, _ in parts])
        inverse = safe_reciprocal(gains, self.rounding * jnp.max(gains)).astype(y.dtype)
        coefficients = _along_axes([u.T for u, _, _ in parts], y)
        inverse = inverse.reshape(inverse.shape + (1,) * (y.ndim - inverse.ndim))
        return _along_axes([vh.T for _, _, vh in parts], inverse * coefficients)

    def singular_values(self) -> Array:
        """The products of those of the axes, once for each channel, in descending order."""
        gains = _outer([jnp.linalg.svd(a, compute_uv=False) for a in self.factors])
        return jnp.repeat(jnp.sort(gains.ravel(), descending=True), self.m // gains.size)

    def matrix(self) -> Array:
        """The dense matrix, by n applications of the operator (a ValueError beyond 2e8 entries)."""
        return matrix_by_columns(self)

    @property
    def rounding(self) -> float:
        """eps times the longest axis, which bounds the error of the decompositions."""
        return max(a.shape[1] for a in self.factors) * eps_of(self.in_structure)

    @property
    def complex_linear(self) -> bool:
        """Signals are complex."""
        return is_complex(self.in_structure)

    @property
    def orthonormal_rows(self) -> bool:
        """False: it would depend on the numbers."""
        return False


def _along_axes(matrices: Any, x: Array) -> Array:
    """Each matrix applied along its axis of x."""
    for axis, matrix in enumerate(matrices):
        product = jnp.tensordot(
            matrix.astype(x.dtype), x, axes=(1, axis), precision=jax.lax.Precision.HIGHEST
        )
        x = jnp.moveaxis(product, 0, axis)
    return x


def _outer(values: list[Array]) -> Array:
    return values[0] if len(values) == 1 else values[0][:, None] * values[1]


def _kernel(kernel: Any, factor: int) -> np.ndarray:
    """The kernel along one axis, named or given."""
    if not isinstance(kernel, str):
        values = np.asarray(kernel, np.float64)
        if values.ndim != 1 or not values.size or not np.all(np.isfinite(values)):
            raise ValueError(
                "a kernel of SuperResolution has one axis and finite entries, got shape "
                f"{values.shape}; for two axes compose Mask(...) @ Blur(kernel, shape=...)"
            )
        return values
    if kernel not in KERNELS:
        raise ValueError(f"kernel is one of {', '.join(KERNELS)} or an array, got {kernel!r}")
    # In coarse pixels, on as many fine pixels as lie within reach of the centre of a block.
    reach = {"box": 0.5, "triangle": 1, "cubic": 2}[kernel]
    size = int(2 * reach * factor)
    if (size - factor) % 2:
        size -= 1
    t = np.abs(np.arange(size) - (size - 1) / 2) / factor
    if kernel == "box":
        weights = np.ones(size)
    elif kernel == "triangle":
        weights = 1 - t
    else:
        near = (1.5 * t - 2.5) * t**2 + 1
        weights = np.where(t < 1, near, ((-0.5 * t + 2.5) * t - 4) * t + 2)
    return weights / weights.sum()


def _matrix(kernel: np.ndarray, extent: int, factor: int, boundary: Boundary) -> np.ndarray:
    """Convolution and subsampling along one axis, shape (extent / factor, extent)."""
    rows = np.arange(extent // factor)[:, None]
    centre = kernel.size // 2
    places = factor * rows + (factor - 1) // 2 + centre - np.arange(kernel.size)
    weights = np.broadcast_to(kernel, places.shape)
    if boundary == "zero":
        weights = np.where((places >= 0) & (places < extent), weights, 0.0)
        places = np.clip(places, 0, extent - 1)
    elif boundary == "periodic":
        places = places % extent
    else:
        turned = places % (2 * extent)
        places = np.minimum(turned, 2 * extent - 1 - turned)
    matrix = np.zeros((rows.size, extent))
    np.add.at(matrix, (np.broadcast_to(rows, places.shape), places), weights)
    return matrix
