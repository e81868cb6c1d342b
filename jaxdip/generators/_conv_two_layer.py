"""The two-layer convolutional generator ReLU(U C) v, with U a fixed circular convolution."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._random import key_for
from jaxdip._types import Array, Float, Key, RealScalar, Tree
from jaxdip.generators._activations import AbstractActivation
from jaxdip.generators._activations import activation as _activation
from jaxdip.generators._base import AbstractGenerator
from jaxdip.generators._convolution_kernels import box_kernel, gaussian_kernel, triangular_kernel
from jaxdip.generators._sizes import signal_shape, whole

#: How the convolution is computed: by Fourier transforms, or as a matrix of n × n entries.
Convolve = Literal["fft", "matrix"]
#: The kernels with a name.
KernelName = Literal["triangular", "gaussian", "box"]
_KERNELS = {"triangular": triangular_kernel, "gaussian": gaussian_kernel, "box": box_kernel}


class ConvTwoLayer(AbstractGenerator):
    """G(C) = φ(U C) v, with U c = u ⊛ c the circular convolution with the latent u, the kernel.

    Each of the k columns of C is an image that trains; U and v are fixed. For grids of one, two or
    three axes. With ReLU, iid centred Gaussian C and ‖v‖ = 1 the expectation of J Jᵀ is
    diag(s²) in the Fourier basis, s = `jaxdip.analysis.circulant_weights(u)`: eq. (11) of the
    paper. Columns of v are ±1/√k, half and half; the rows of several outputs (colours, real and
    imaginary parts) are Walsh functions, orthogonal when k is a multiple of the power of two above
    their number, so that in expectation no output disturbs another.

    The latent is the kernel, of the signal's grid and centred at index 0: draw it by `latent()`,
    `triangular_kernel`, `gaussian_kernel` or `box_kernel`, or give one of your own.

    Reference: R. Heckel & M. Soltanolkotabi, arXiv 2005.03991, eq. (3).

    Attributes:
        C: (k, *grid), the columns of the paper's matrix as images.
        v: (outputs, k), fixed.
        activation: φ; smooth ones let the theorems apply, eq. (11) holds for ReLU.
    """

    C: Float[Array, "k ..."]
    v: Float[Array, "o k"]
    activation: AbstractActivation
    out_shape: tuple[int, ...] = eqx.field(static=True)
    convolve: Convolve = eqx.field(static=True)
    complex: bool = eqx.field(static=True)

    def __init__(
        self,
        *,
        channels: int,
        grid: int | Sequence[int],
        key: Key,
        std: RealScalar = 1.0,
        colours: int | None = None,
        activation: str | AbstractActivation = "relu",
        convolve: Convolve = "fft",
        complex: bool = False,
        dtype=None,
    ):
        """Draws C from `key`: iid N(0, ω²).

        Args:
            channels: k.
            grid: the grid of the signal and of the kernel, such as 300 or (64, 64).
            key: the random key; C comes from its purpose 'C'.
            std: ω. The theorems start near zero, ω ~ ξ ‖y‖/(2 √n ‖U‖).
            colours: of the signal, whose shape is then (*grid, colours); None for shape `grid`.
            activation: a name or an `Activation`.
            convolve: 'fft', or 'matrix' to multiply by U itself (n² numbers): faster for short
                signals.
            complex: make real and imaginary parts, each from a row of v of its own.
            dtype: the real dtype of the weights; by default JAX's default float.

        Raises:
            TypeError, ValueError: if a size is wrong, a choice unknown, or there are too few
                channels for the outputs to differ.
        """
        k, shape = whole("channels", channels), signal_shape(grid)
        if convolve not in get_args(Convolve):
            raise ValueError(f"unknown convolve {convolve!r}; choose 'fft' or 'matrix'")
        outputs = (1 if colours is None else whole("colours", colours)) * (2 if complex else 1)
        dtype = jnp.dtype(dtype or jnp.result_type(float))
        self.C = jnp.asarray(std, dtype) * jax.random.normal(key_for(key, "C"), (k, *shape), dtype)
        self.v = jnp.asarray(_walsh(outputs, k) * k**-0.5, dtype)
        self.activation = _activation(activation)
        self.out_shape = shape if colours is None else (*shape, colours)
        self.convolve, self.complex = convolve, complex

    def __call__(self, u: Float[Array, "..."]) -> Array:
        """The signal, of shape `out_shape`, for the kernel u of the signal's grid."""
        if u.shape != self.grid:
            raise ValueError(
                f"this generator takes a kernel of shape {self.grid}, got {u.shape}; make one by "
                "latent() or triangular_kernel(grid, width)"
            )
        features = self.activation(self._convolved(u.astype(self.C.dtype)))
        highest = jax.lax.Precision.HIGHEST
        x = jnp.moveaxis(jnp.tensordot(self.v, features, 1, precision=highest), 0, -1)
        if self.complex:
            half = x.shape[-1] // 2
            x = jax.lax.complex(x[..., :half], x[..., half:])
        return x.reshape(self.out_shape)

    def _convolved(self, u: Array) -> Array:
        """U C, as images."""
        if self.convolve == "fft":
            axes = tuple(range(1, self.C.ndim))
            product = jnp.fft.rfftn(u[None], axes=axes) * jnp.fft.rfftn(self.C, axes=axes)
            return jnp.fft.irfftn(product, self.grid, axes=axes)
        U = u[self._differences()].reshape(u.size, u.size)
        flat = self.C.reshape(self.C.shape[0], u.size)
        return jnp.matmul(flat, U.T, precision=jax.lax.Precision.HIGHEST).reshape(self.C.shape)

    def _differences(self) -> tuple[np.ndarray, ...]:
        """Per axis, the index of u at which the entry of U for (pixel i, pixel j) stands."""
        axes = len(self.grid)
        found = []
        for axis, n in enumerate(self.grid):
            i = np.arange(n).reshape([n if a == axis else 1 for a in range(2 * axes)])
            j = np.arange(n).reshape([n if a == axes + axis else 1 for a in range(2 * axes)])
            found.append((i - j) % n)
        return tuple(np.broadcast_arrays(*found))

    @property
    def grid(self) -> tuple[int, ...]:
        """The signal's grid, without colours."""
        return self.C.shape[1:]

    def latent(self, kernel: KernelName = "triangular", width: float = 10.0) -> Float[Array, "..."]:
        """A kernel for this generator, of ℓ2 norm 1; nothing is drawn.

        Args:
            kernel: 'triangular', 'gaussian' or 'box'.
            width: in pixels, as `triangular_kernel`, `gaussian_kernel` and `box_kernel` say.

        Raises:
            ValueError: if the kernel is unknown or the width not positive.
        """
        if kernel not in _KERNELS:
            raise ValueError(f"unknown kernel {kernel!r}; choose one of {', '.join(_KERNELS)}")
        return _KERNELS[kernel](self.grid, width, dtype=self.C.dtype)

    def trainable(self) -> Tree:
        """True at C alone."""
        marks = jax.tree.map(lambda _: False, self)
        return eqx.tree_at(lambda g: g.C, marks, True)


def _walsh(rows: int, k: int) -> np.ndarray:
    """Signs (rows, k): the first Walsh functions but the constant one, the first half and half."""
    power = 2 ** math.ceil(math.log2(rows + 1))
    if k < power:
        raise ValueError(
            f"{rows} outputs need at least {power} channels to differ, got {k}; give more channels"
        )
    bits = power.bit_length() - 1
    block = np.arange(k) * power // k
    signs = np.ones((rows, k))
    for row in range(rows):
        for bit in range(bits):
            if (row + 1) >> bit & 1:
                signs[row] *= 1 - 2 * (block >> (bits - 1 - bit) & 1)
    return signs
