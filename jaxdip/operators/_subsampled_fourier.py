"""A subsampled randomised Fourier transform."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Key
from jaxdip.operators._centred_fourier import complex_dtype
from jaxdip.operators._coordinates import is_complex
from jaxdip.operators._randomized import AbstractRandomizedTransform, draw_signs_and_rows
from jaxdip.operators._structure import signal_structure


class SubsampledFourier(AbstractRandomizedTransform):
    """m random rows of F D: F the orthonormal Fourier transform of all n entries, D signs ±1.

    The data are complex. Of a real signal the coefficients at k and −k say the same, and those at 0
    and n/2 are real, so rows are drawn from 1 ≤ k < n/2 alone and multiplied by √2: A A* = I for
    the real inner product, and each of the m complex data counts as two real ones.
    """

    signs: Array
    rows: Array
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)
    normalized: bool = eqx.field(static=True)

    def __init__(
        self,
        shape: int | tuple[int, ...],
        m: int,
        key: Key,
        *,
        normalized: bool = False,
        dtype: Any = None,
    ):
        """Draw the signs and the rows.

        Args:
            shape: the shape of a signal; the transform runs over its entries in row-major order.
            m: the number of complex observations, at most n, or ⌈n/2⌉ − 1 for real signals.
            key: the random key.
            normalized: multiply by √(n/m), or √(n/(2m)) for real signals, so that E‖A x‖² = ‖x‖²;
                orthonormal rows otherwise.
            dtype: of the signal; the default real dtype if None.

        Raises:
            ValueError: if m is out of that range.
        """
        self.in_structure = signal_structure(shape, dtype)
        n = math.prod(self.in_structure.shape)
        choices = n if is_complex(self.in_structure) else (n - 1) // 2
        self.signs, self.rows = draw_signs_and_rows(key, m, n, choices)
        self.normalized = normalized

    @property
    def _coefficients(self) -> jax.ShapeDtypeStruct:
        count = self.n if self.complex_linear else (self.n - 1) // 2
        return jax.ShapeDtypeStruct((count,), complex_dtype(self.in_structure.dtype))

    def _transform(self, x: Array) -> Array:
        if self.complex_linear:
            return jnp.fft.fft(x, norm="ortho")
        interior = jnp.fft.rfft(x, norm="ortho")[1 : (self.n + 1) // 2]
        return jnp.asarray(2**0.5, interior.dtype) * interior

    def _transposed(self, coefficients: Array) -> Array:
        if self.complex_linear:
            return jnp.fft.ifft(coefficients, norm="ortho")
        # The inverse of real signals counts each interior coefficient twice: √2 = 2/√2.
        half = coefficients * jnp.asarray(0.5**0.5, coefficients.dtype)
        full = jnp.pad(half, (1, self.n // 2 - half.size))
        return jnp.fft.irfft(full, n=self.n, norm="ortho")
