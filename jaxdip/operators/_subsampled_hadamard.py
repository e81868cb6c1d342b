"""A subsampled randomised Hadamard transform."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Key
from jaxdip.operators._randomized import AbstractRandomizedTransform, draw_signs_and_rows
from jaxdip.operators._structure import signal_structure

# Factors of 64 = 2⁶ make few, dense matrix products of the butterflies.
_DIGITS = 6


class SubsampledHadamard(AbstractRandomizedTransform):
    """m random rows of H D: H the orthonormal Walsh-Hadamard matrix (Sylvester's order), D signs.

    The entries of A are ±1/√n, so that it comes nearest to a matrix of independent signs. Signals
    have a power of two entries; complex signals are transformed in both parts.
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
            shape: the shape of a signal; its number of entries is a power of two.
            m: the number of observations, at most n.
            key: the random key.
            normalized: multiply by √(n/m), so that E‖A x‖² = ‖x‖²; orthonormal rows otherwise.
            dtype: of the signal; the default real dtype if None.

        Raises:
            ValueError: if n is no power of two, or m is not in 1 … n.
        """
        self.in_structure = signal_structure(shape, dtype)
        n = math.prod(self.in_structure.shape)
        if n & (n - 1):
            raise ValueError(
                f"a Hadamard transform takes a power of two entries, got {n} in shape "
                f"{self.in_structure.shape}; use SubsampledDCT, or one channel at a time"
            )
        self.signs, self.rows = draw_signs_and_rows(key, m, n, n)
        self.normalized = normalized

    @property
    def _coefficients(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((self.n,), self.in_structure.dtype)

    def _transform(self, x: Array) -> Array:
        return _hadamard(x)

    def _transposed(self, coefficients: Array) -> Array:
        # H is symmetric.
        return _hadamard(coefficients)


def _hadamard(x: Array) -> Array:
    """H x = (H_a ⊗ H_b ⊗ …) x, by one matrix product for each factor."""
    n = x.size
    digits = n.bit_length() - 1
    factors = [2 ** min(_DIGITS, digits - start) for start in range(0, digits, _DIGITS)]
    before = 1
    for size in factors:
        matrix = jnp.asarray(_matrix(size), x.dtype)
        blocks = x.reshape(before, size, -1)
        highest = jax.lax.Precision.HIGHEST
        x = jnp.einsum("ij,bjk->bik", matrix, blocks, precision=highest)
        before *= size
    return x.reshape(n)


def _matrix(size: int) -> np.ndarray:
    """Sylvester's matrix, orthonormal."""
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / size**0.5
