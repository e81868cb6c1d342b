"""A subsampled randomised cosine transform."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Key
from jaxdip.operators._randomized import AbstractRandomizedTransform, draw_signs_and_rows
from jaxdip.operators._structure import signal_structure


class SubsampledDCT(AbstractRandomizedTransform):
    """m random rows of C D: C the orthonormal second cosine transform of all n entries, D signs.

    Any number of entries will do; A's entries are at most √(2/n). Complex signals are transformed
    in both parts.
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
            m: the number of observations, at most n.
            key: the random key.
            normalized: multiply by √(n/m), so that E‖A x‖² = ‖x‖²; orthonormal rows otherwise.
            dtype: of the signal; the default real dtype if None.

        Raises:
            ValueError: if m is not in 1 … n.
        """
        self.in_structure = signal_structure(shape, dtype)
        n = math.prod(self.in_structure.shape)
        self.signs, self.rows = draw_signs_and_rows(key, m, n, n)
        self.normalized = normalized

    @property
    def _coefficients(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((self.n,), self.in_structure.dtype)

    def _transform(self, x: Array) -> Array:
        return _in_parts(jax.scipy.fft.dct, x)

    def _transposed(self, coefficients: Array) -> Array:
        return _in_parts(jax.scipy.fft.idct, coefficients)


def _in_parts(transform: Any, x: Array) -> Array:
    if not jnp.iscomplexobj(x):
        return transform(x, norm="ortho")
    parts = transform(jnp.stack([x.real, x.imag]), norm="ortho", axis=-1)
    return jax.lax.complex(parts[0], parts[1])
