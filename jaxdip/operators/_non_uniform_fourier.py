"""Fourier coefficients at any frequencies, by a non-uniform fast Fourier transform."""

import functools
import itertools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array
from jaxdip.operators._centred_fourier import complex_dtype
from jaxdip.operators._coordinates import conform, is_complex, real_dtype
from jaxdip.operators._spectral import AbstractMatrixFreeOperator
from jaxdip.operators._structure import signal_structure

# The fine grid has twice the points of the signal, for which this is the kernel's best shape.
_OVERSAMPLING = 2
_SHAPE = 2.3


class NonUniformFourier(AbstractMatrixFreeOperator):
    """(A x)_j = n^(−1/2) Σ_i x_i exp(−2πi Σ_a k_ja (i_a − N_a // 2)/N_a), at frequencies k_j.

    At integers it is `centred_fft`. Signals are complex, or real with complex data; then A* takes
    the real part. A fast Fourier transform on a grid of twice the size is interpolated by a kernel
    of w points along each axis, w the digits asked for and two more: each application costs
    m·w^axes products besides the transform, in memory for m·w·axes numbers. It is written in JAX
    alone, so that vmap, both kinds of differentiation and any device will do.

    Reference: A. Barnett, J. Magland, L. af Klinteberg, A parallel nonuniform fast Fourier
    transform library based on an "exponential of semicircle" kernel, SIAM J. Sci. Comput. 41
    (2019), section 3.
    """

    frequencies: Array
    window: Array
    places: Array
    points: tuple[Array, ...]
    weights: tuple[Array, ...]
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)
    fine: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        shape: int | tuple[int, ...],
        frequencies: Any,
        *,
        tolerance: float | None = None,
        dtype: Any = None,
    ):
        """Store the frequencies.

        Args:
            shape: of the signal, one to three axes.
            frequencies: in cycles per extent of the signal along each of its axes, (m, axes): an
                image's k = (down, right), as `imaging.EllipsePhantom.fourier` takes them. They are
                periodic with the extents.
            tolerance: the relative error of the transform, in [1e-14, 0.1]; 1e-6 in single and
                1e-12 in double precision by default. The adjoint is exact for the transform as it
                is computed.
            dtype: of the signal, complex or real; the default complex dtype if None.

        Raises:
            ValueError: for more than three axes, frequencies of another shape or not finite, or a
                tolerance out of range.
        """
        dtype = complex_dtype(None) if dtype is None else dtype
        self.in_structure = signal_structure(shape, dtype)
        axes = len(self.in_structure.shape)
        if axes not in (1, 2, 3):
            raise ValueError(f"a non-uniform transform has one to three axes, got {axes}")
        if is_concrete(frequencies) and not np.all(np.isfinite(frequencies)):
            raise ValueError("frequencies are finite numbers, got NaN or infinite ones")
        self.frequencies = jnp.asarray(frequencies).astype(real_dtype(self.in_structure))
        found = self.frequencies.shape
        if len(found) != 2 or found[1] != axes or found[0] < 1:
            raise ValueError(
                f"frequencies for signals of shape {self.in_structure.shape} have shape "
                f"(m, {axes}), got {found}"
            )
        double = jnp.finfo(self.frequencies.dtype).bits == 64
        tolerance = (1e-12 if double else 1e-6) if tolerance is None else tolerance
        if not 1e-14 <= tolerance <= 0.1:
            raise ValueError(f"tolerance is within [1e-14, 0.1], got {tolerance}")
        width = math.ceil(-math.log10(tolerance)) + 2
        extents = self.in_structure.shape
        self.fine = tuple(_OVERSAMPLING * max(n, width) for n in extents)
        modes = [np.arange(n) - n // 2 for n in extents]
        flat = np.ravel_multi_index(np.meshgrid(*modes, indexing="ij"), self.fine, mode="wrap")
        self.places = jnp.asarray(flat.astype(np.int32))
        windows = [
            _transform(mode / fine, width) for mode, fine in zip(modes, self.fine, strict=True)
        ]
        product = functools.reduce(np.multiply.outer, windows)
        self.window = jnp.asarray((self.n**-0.5 / product).astype(self._complex))
        spread = [
            _spread(self.frequencies[:, axis] / extents[axis], self.fine[axis], width)
            for axis in range(axes)
        ]
        self.points = tuple(points for points, _ in spread)
        self.weights = tuple(weights for _, weights in spread)

    def __call__(self, x: Array) -> Array:
        """The coefficients, (m,)."""
        x = conform(x, self.in_structure, "NonUniformFourier").astype(self._complex)
        grid = jnp.zeros(math.prod(self.fine), x.dtype).at[self.places].set(self.window * x)
        coefficients = jnp.fft.fftn(grid.reshape(self.fine)).ravel()

        # Without the checkpoint, differentiation would keep the weights of all steps.
        @jax.checkpoint
        def add(total: Array, offset: Array) -> tuple[Array, None]:
            index, weight = self._at(offset)
            return total + weight * coefficients[index], None

        start = jnp.zeros(self.frequencies.shape[0], x.dtype)
        return jax.lax.scan(add, start, self._offsets)[0]

    def adjoint(self, y: Array) -> Array:
        """A* y, of the transform as it is computed; its real part for real signals."""
        y = conform(y, self.out_structure, "NonUniformFourier.adjoint")

        def add(grid: Array, offset: Array) -> tuple[Array, None]:
            index, weight = self._at(offset)
            return grid.at[index].add(weight * y), None

        empty = jnp.zeros(math.prod(self.fine), y.dtype)
        grid = jax.lax.scan(add, empty, self._offsets)[0].reshape(self.fine)
        x = self.window * jnp.fft.ifftn(grid, norm="forward").ravel()[self.places]
        return x if self.complex_linear else x.real

    @property
    def complex_linear(self) -> bool:
        """Signals are complex."""
        return is_complex(self.in_structure)

    @property
    def orthonormal_rows(self) -> bool:
        """False: it would depend on the numbers."""
        return False

    @property
    def _complex(self) -> Any:
        return complex_dtype(self.in_structure.dtype)

    @property
    def _offsets(self) -> Array:
        """The numbers of the kernel's points on all axes, (w^axes, axes)."""
        width, axes = self.points[0].shape[0], len(self.points)
        return jnp.asarray(list(itertools.product(range(width), repeat=axes)), jnp.int32)

    def _at(self, offset: Array) -> tuple[Array, Array]:
        """Of one of the kernel's points, the flat index for each frequency and the weight."""
        index, weight = self.points[0][offset[0]], self.weights[0][offset[0]]
        for axis in range(1, len(self.points)):
            index = index * self.fine[axis] + self.points[axis][offset[axis]]
            weight = weight * self.weights[axis][offset[axis]]
        return index, weight.astype(self._complex)


def _spread(turns: Array, fine: int, width: int) -> tuple[Array, Array]:
    """Along one axis, the kernel's points around each frequency and its values there: (w, m)."""
    place = (turns - jnp.floor(turns)) * fine
    steps = jnp.arange(width).astype(place.dtype)[:, None]
    point = jnp.ceil(place - width / 2) + steps
    return point.astype(jnp.int32) % fine, _kernel((point - place) * (2 / width), width)


def _kernel(z: Array, width: int) -> Array:
    """exp(β (√(1 − z²) − 1)) on [−1, 1], zero outside."""
    inside = jnp.maximum(1 - jnp.square(z), 0)
    return jnp.where(jnp.abs(z) <= 1, jnp.exp(_SHAPE * width * (jnp.sqrt(inside) - 1)), 0)


def _transform(turns: np.ndarray, width: int) -> np.ndarray:
    """∫ of the kernel, w points wide, times cos(2π turns u), by Gauss' rule."""
    nodes, weights = np.polynomial.legendre.leggauss(100)
    values = weights * np.exp(_SHAPE * width * (np.sqrt(1 - nodes**2) - 1))
    return (width / 2) * np.cos(np.pi * width * turns[:, None] * nodes) @ values
