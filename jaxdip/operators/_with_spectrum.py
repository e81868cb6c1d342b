"""Random operators whose singular values are chosen."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._random import check_key
from jaxdip._tree import is_concrete
from jaxdip._types import Array, Key, RealScalar
from jaxdip.operators._coordinates import conform, is_complex, real_dtype
from jaxdip.operators._decomposition import safe_reciprocal
from jaxdip.operators._spectral import AbstractClosedFormOperator
from jaxdip.operators._structure import flat_structure


class WithSpectrum(AbstractClosedFormOperator):
    """A = U diag(σ) V*, with given σ between two random orthonormal bases.

    U (m × r) and V (n × r) are independent and uniformly distributed (Haar), orthogonal or, for a
    complex dtype, unitary; r is the number of given values. Norm, σ_A, rank and A⁺ = V diag(1/σ) U*
    come from the factors.

    Reference: the operators of the experiments in arXiv 2403.05395.
    """

    left: Array
    values: Array
    right: Array
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(
        self,
        values: Any,
        *,
        m: int,
        n: int,
        key: Key,
        in_shape: tuple[int, ...] | None = None,
        dtype: Any = None,
    ):
        """Draw the bases.

        Args:
            values: the singular values σ ≥ 0 in any order, shape (r,) with r ≤ min(m, n); the
                others are zero.
            m: the number of observations.
            n: the number of entries of a signal.
            key: the random key.
            in_shape: the shape of a signal, with n entries; (n,) by default.
            dtype: of signals and data; the default real dtype if None.

        Raises:
            ValueError: if `values` is not a vector of at most min(m, n) numbers ≥ 0, or if
                `in_shape` has not n entries.
        """
        self.in_structure = flat_structure(n, in_shape, dtype)
        if is_concrete(values) and not np.all(np.asarray(values) >= 0):
            raise ValueError("singular values are numbers >= 0, got a negative one or NaN")
        values = jnp.asarray(values).astype(real_dtype(self.in_structure))
        if values.ndim != 1 or not 1 <= values.size <= min(m, n):
            raise ValueError(
                f"singular values are a vector of 1 to min(m, n)={min(m, n)} numbers, "
                f"got shape {values.shape}"
            )
        check_key(key)
        left_key, right_key = jax.random.split(key)
        self.left = _orthonormal(left_key, m, values.size, self.in_structure.dtype)
        self.right = _orthonormal(right_key, n, values.size, self.in_structure.dtype)
        self.values = values

    @classmethod
    def evenly_spaced(
        cls,
        n: int,
        key: Key,
        low: RealScalar = 1.0,
        high: RealScalar = 2.0,
        *,
        in_shape: tuple[int, ...] | None = None,
        dtype: Any = None,
    ) -> "WithSpectrum":
        """The square operator with n values evenly spaced from `low` to `high`.

        Reference: arXiv 2403.05395, Figure 3b (from 1 to 2).
        """
        values = jnp.linspace(low, high, n)
        return cls(values, m=n, n=n, key=key, in_shape=in_shape, dtype=dtype)

    @classmethod
    def inverse_square(
        cls, n: int, key: Key, *, in_shape: tuple[int, ...] | None = None, dtype: Any = None
    ) -> "WithSpectrum":
        """The square, ill-conditioned operator with σ_i = 1/(1 + i²), i = 0, ..., n−1.

        Reference: J. Fadili, Iterative regularization of NN-based inverse problems via gradient
        flow (talk, 2024).
        """
        values = 1 / (1 + jnp.arange(n, dtype=jnp.result_type(float)) ** 2)
        return cls(values, m=n, n=n, key=key, in_shape=in_shape, dtype=dtype)

    def __call__(self, x: Array) -> Array:
        """U diag(σ) V* x, shape (m,)."""
        x = conform(x, self.in_structure, "WithSpectrum")
        return _through(self.right, self.values, self.left, x.ravel())

    def adjoint(self, y: Array) -> Array:
        """V diag(σ) U* y."""
        y = conform(y, self.out_structure, "WithSpectrum.adjoint")
        x = _through(self.left, self.values, self.right, y)
        return x.reshape(self.in_structure.shape)

    def pseudo_inverse(self, y: Array) -> Array:
        """V diag(1/σ) U* y, leaving out the values that count as zero."""
        y = conform(y, self.out_structure, "WithSpectrum.pseudo_inverse")
        inverse = safe_reciprocal(self.values, self.rounding * jnp.max(self.values))
        return _through(self.left, inverse, self.right, y).reshape(self.in_structure.shape)

    def singular_values(self) -> Array:
        """The given values in descending order, then zeros."""
        missing = min(self.left.shape[0], self.right.shape[0]) - self.values.shape[0]
        return jnp.pad(jnp.sort(self.values, descending=True), (0, missing))

    @property
    def complex_linear(self) -> bool:
        """Signals are complex."""
        return is_complex(self.in_structure)

    @property
    def orthonormal_rows(self) -> bool:
        """False: it would depend on the numbers."""
        return False


def _orthonormal(key: Key, rows: int, columns: int, dtype: Any) -> Array:
    """A uniformly distributed matrix with orthonormal columns (Mezzadri, math-ph/0609050)."""
    q, r = jnp.linalg.qr(jax.random.normal(key, (rows, columns), dtype))
    diagonal = jnp.diagonal(r)
    # QR fixes its signs by convention; the phases of R's diagonal undo that.
    return q * (diagonal / jnp.abs(diagonal).astype(dtype))


def _through(source: Array, gains: Array, target: Array, x: Array) -> Array:
    highest = jax.lax.Precision.HIGHEST
    coefficients = jnp.matmul(source.conj().T, x, precision=highest)
    return jnp.matmul(target, gains.astype(x.dtype) * coefficients, precision=highest)
