"""Operators that are given by a dense matrix."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from equinox import AbstractVar

from jaxdip._random import check_key
from jaxdip._types import Array, Key
from jaxdip.operators._coordinates import conform, is_complex
from jaxdip.operators._spectral import AbstractDenseSpectrum
from jaxdip.operators._structure import flat_structure


class AbstractDense(AbstractDenseSpectrum):
    """A x = M x for a stored matrix M."""

    values: AbstractVar[Array]

    def __call__(self, x: Array) -> Array:
        """M x, of shape (m,), for a signal of the operator's shape."""
        x = conform(x, self.in_structure, type(self).__name__)
        return _product(self.values, x.ravel())

    def adjoint(self, y: Array) -> Array:
        """M* y, its real part where signals are real."""
        y = conform(y, self.out_structure, f"{type(self).__name__}.adjoint")
        x = _product(self.values.conj().T, y)
        return (x if is_complex(self.in_structure) else x.real).reshape(self.in_structure.shape)

    def matrix(self) -> Array:
        """The stored matrix, shape (m, n)."""
        return self.values

    @property
    def complex_linear(self) -> bool:
        """Signals are complex."""
        return is_complex(self.in_structure)

    @property
    def orthonormal_rows(self) -> bool:
        """False: it would depend on the numbers."""
        return False


class Dense(AbstractDense):
    """A x = M x for a given matrix M of shape (m, n), acting on flattened signals.

    A complex matrix acts on complex signals unless `in_dtype` is real: then A* y = Re(M* y) and the
    singular values are those of [Re M; Im M]. A real matrix acts on complex signals if `in_dtype`
    is complex.
    """

    values: Array
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(
        self, matrix: Any, *, in_shape: tuple[int, ...] | None = None, in_dtype: Any = None
    ):
        """Store the matrix.

        Args:
            matrix: M, of shape (m, n); integers become floating-point numbers.
            in_shape: the shape of a signal, with n entries; (n,) by default.
            in_dtype: the dtype of a signal; that of the matrix by default.

        Raises:
            ValueError: if `matrix` is not a matrix, or `in_shape` has not n entries.
        """
        matrix = jnp.asarray(matrix)
        if not jnp.issubdtype(matrix.dtype, jnp.inexact):
            matrix = matrix.astype(jnp.result_type(float))
        self.values = matrix
        self.in_structure = _matrix_structure(matrix, in_shape, in_dtype)


class Gaussian(AbstractDense):
    """A x = M x for a random matrix M with independent entries N(0, 1), or N(0, 1/m).

    Complex entries are circular: E|M_ij|² is the stated variance, half of it in each part. The
    first rows do not depend on m (up to the factor 1/√m of a normalised matrix).

    Reference: the operators of the first experiments in arXiv 2403.05395.
    """

    values: Array
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(
        self,
        *,
        m: int,
        n: int,
        key: Key,
        normalized: bool = False,
        dtype: Any = None,
        in_shape: tuple[int, ...] | None = None,
        in_dtype: Any = None,
    ):
        """Draw the matrix.

        Args:
            m: the number of observations.
            n: the number of entries of a signal.
            key: the random key.
            normalized: divide by √m, so that E‖A x‖² = ‖x‖².
            dtype: of the entries; the default real dtype if None.
            in_shape: the shape of a signal, with n entries; (n,) by default.
            in_dtype: the dtype of a signal; that of the entries by default.

        Raises:
            ValueError: if m or n is not positive, or `in_shape` has not n entries.
        """
        check_key(key)
        if m < 1 or n < 1:
            raise ValueError(f"a Gaussian operator has m >= 1 and n >= 1, got m={m}, n={n}")
        dtype = jnp.result_type(float) if dtype is None else dtype
        matrix = jax.random.normal(key, (m, n), dtype)
        self.values = matrix * m**-0.5 if normalized else matrix
        self.in_structure = _matrix_structure(matrix, in_shape, in_dtype)


def _matrix_structure(
    matrix: Array, in_shape: tuple[int, ...] | None, in_dtype: Any
) -> jax.ShapeDtypeStruct:
    if matrix.ndim != 2:
        raise ValueError(
            f"an operator's matrix has shape (m, n), got {matrix.shape}; "
            "for a batch of operators build them under jax.vmap"
        )
    return flat_structure(matrix.shape[1], in_shape, matrix.dtype if in_dtype is None else in_dtype)


def _product(matrix: Array, x: Array) -> Array:
    dtype = np.promote_types(matrix.dtype, x.dtype)
    return jnp.matmul(matrix.astype(dtype), x.astype(dtype), precision=jax.lax.Precision.HIGHEST)
