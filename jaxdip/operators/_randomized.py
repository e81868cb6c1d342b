"""Fast random measurements: random signs, an orthonormal transform, some of its coefficients."""

import abc

import jax
import jax.numpy as jnp
from equinox import AbstractVar

from jaxdip._random import check_key
from jaxdip._types import Array, Key
from jaxdip.operators._coordinates import conform, is_complex, real_dtype, real_size
from jaxdip.operators._spectral import AbstractClosedFormOperator


class AbstractRandomizedTransform(AbstractClosedFormOperator):
    """A x = c · R Φ D x: random signs D, an orthonormal transform Φ and a random choice R of rows.

    Nothing of the size m·n is stored: the operator holds n signs and m positions, and costs a fast
    transform. The rows are orthonormal (c = 1), so that every singular value is 1; or,
    `normalized`, c = √(n/m), so that E‖A x‖² = ‖x‖² over the draws (n and m in real coordinates),
    and every singular value is c. The signs spread each signal over all coefficients, which is what
    makes a choice of them informative about sparse or smooth signals alike. The first rows do not
    depend on m (up to the factor c).

    References: N. Ailon, B. Chazelle, The fast Johnson-Lindenstrauss transform, SIAM J. Computing
    39 (2009); T. Do, L. Gan, N. Nguyen, T. Tran, Fast and efficient compressive sensing using
    structurally random matrices, IEEE Trans. Signal Processing 60 (2012).
    """

    signs: AbstractVar[Array]
    rows: AbstractVar[Array]
    normalized: AbstractVar[bool]

    @abc.abstractmethod
    def _transform(self, x: Array) -> Array:
        """The coefficients of a flat signal that rows are chosen from."""

    @abc.abstractmethod
    def _transposed(self, coefficients: Array) -> Array:
        """The adjoint of `_transform`."""

    @property
    @abc.abstractmethod
    def _coefficients(self) -> jax.ShapeDtypeStruct:
        """What `_transform` returns."""

    def __call__(self, x: Array) -> Array:
        """The chosen coefficients, shape (m,)."""
        x = conform(x, self.in_structure, type(self).__name__)
        chosen = self._transform(self._signed(x.ravel()))[self.rows]
        return self._factor.astype(chosen.dtype) * chosen

    def adjoint(self, y: Array) -> Array:
        """A* y = c · D Φ* R* y."""
        y = conform(y, self.out_structure, f"{type(self).__name__}.adjoint")
        structure = self._coefficients
        full = jnp.zeros(structure.shape, structure.dtype)
        full = full.at[self.rows].set(self._factor.astype(y.dtype) * y, unique_indices=True)
        return self._signed(self._transposed(full)).reshape(self.in_structure.shape)

    def pseudo_inverse(self, y: Array) -> Array:
        """A⁺ y = A* y / c²."""
        x = self.adjoint(y)
        return x / jnp.square(self._factor).astype(x.dtype)

    def singular_values(self) -> Array:
        """c, once for each real coordinate of the data (each entry, if A is complex-linear)."""
        count = self.m if self.complex_linear else real_size(self.out_structure)
        return jnp.broadcast_to(self._factor, (count,))

    @property
    def complex_linear(self) -> bool:
        """Signals are complex."""
        return is_complex(self.in_structure)

    @property
    def orthonormal_rows(self) -> bool:
        """True, unless the operator is normalised for the norm of its data."""
        return not self.normalized

    @property
    def _factor(self) -> Array:
        data = jax.ShapeDtypeStruct(self.rows.shape, self._coefficients.dtype)
        square = real_size(self.in_structure) / real_size(data)
        return jnp.asarray(square**0.5 if self.normalized else 1.0, real_dtype(self.in_structure))

    def _signed(self, flat: Array) -> Array:
        return self.signs.astype(flat.dtype) * flat


def draw_signs_and_rows(key: Key, m: int, n: int, choices: int) -> tuple[Array, Array]:
    """n random signs, and m different numbers among 0, ..., choices − 1.

    Raises:
        ValueError: if there are not that many to choose from.
    """
    check_key(key)
    if not 1 <= m <= choices:
        raise ValueError(
            f"a subsampled transform of signals with {n} entries keeps 1 to {choices} of its "
            f"coefficients, got m={m}"
        )
    key_signs, key_rows = jax.random.split(key)
    signs = jax.random.rademacher(key_signs, (n,), jnp.int8)
    return signs, jax.random.permutation(key_rows, jnp.arange(choices, dtype=jnp.int32))[:m]
