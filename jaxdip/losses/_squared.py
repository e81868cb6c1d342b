"""Quadratic losses: plain, entrywise weighted, and with a full precision matrix."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdip._types import Array
from jaxdip.losses._base import AbstractDesingularizer, AbstractLoss
from jaxdip.losses._numbers import (
    abs2,
    check_pair,
    check_values,
    concrete,
    parameter,
    real_dtype,
)
from jaxdip.losses._power_desingularizer import PowerDesingularizer


def _quadratic_desingularizer(curvature: Array, y: Array) -> PowerDesingularizer:
    """ψ(s) = √(2s/μ), for a quadratic of smallest curvature μ."""
    return PowerDesingularizer(jnp.sqrt(2.0 / curvature).astype(real_dtype(y)), 0.5)


class MSE(AbstractLoss):
    """w ‖v − y‖², summed over all entries (never averaged), by default ½ ‖v − y‖².

    ψ(s) = √(s/w), exact everywhere. For the mean of squares over m entries take w = 1/m. Complex
    predictions are compared by |·|².

    Args:
        weight: w > 0, a scalar.

    Raises:
        ValueError: if w ≤ 0 or is not a scalar.

    Reference: the squared-error loss of arXiv 2403.05395.
    """

    weight: Array
    takes_complex: ClassVar[bool] = True
    fits_data: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def __init__(self, weight: ArrayLike = 0.5):
        self.weight = parameter(weight, "weight", lambda w: w > 0, "positive")

    def __call__(self, v: Array, y: Array) -> Array:
        """w ‖v − y‖²."""
        check_pair(v, y, takes_complex=True)
        square = jnp.sum(abs2(v - y))
        return self.weight.astype(square.dtype) * square

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = √(s/w); Ψ(s) = −ln(s)/(4w)."""
        return _quadratic_desingularizer(2.0 * self.weight, y)

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite floating numbers, real or complex."""
        check_values(y, takes_complex=True)


class WeightedMSE(AbstractLoss):
    """½ Σ q_i |v_i − y_i|² with one weight an entry, summed over all entries.

    For independent Gaussian noise of standard deviations σ_i, q_i = 1/σ_i² makes it the negative
    log-likelihood. ψ(s) = √(2s/min q), tight in the entry of the smallest weight.

    Args:
        weights: q > 0, of the data's shape or one that broadcasts to it.

    Raises:
        ValueError: if a weight is not positive and finite (mask entries in the operator instead).
    """

    weights: Array
    takes_complex: ClassVar[bool] = True
    fits_data: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def __init__(self, weights: ArrayLike):
        floating = hasattr(weights, "dtype") and jnp.issubdtype(
            jnp.result_type(weights), jnp.floating
        )
        self.weights = jnp.asarray(weights, None if floating else jnp.result_type(float))
        known = concrete(self.weights)
        if known is not None and not (known.size and np.all((known > 0) & np.isfinite(known))):
            raise ValueError(
                f"weights must be positive and finite, {np.count_nonzero(~(known > 0))} of"
                f" {known.size} are not positive; leave masked entries out by the operator"
            )

    def __call__(self, v: Array, y: Array) -> Array:
        """½ Σ q_i |v_i − y_i|²."""
        check_pair(v, y, takes_complex=True)
        self._check_shape(y)
        square = abs2(v - y)
        return 0.5 * jnp.sum(self.weights.astype(square.dtype) * square)

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = √(2s/min q)."""
        self._check_shape(y)
        return _quadratic_desingularizer(jnp.min(self.weights), y)

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite floating numbers of a shape that fits the weights."""
        check_values(y, takes_complex=True)
        self._check_shape(y)

    def _check_shape(self, y: Array) -> None:
        shape = jnp.shape(y)
        ndim = len(shape)
        if self.weights.ndim > ndim or any(
            size not in (1, wanted)
            for size, wanted in zip(
                self.weights.shape, shape[ndim - self.weights.ndim :], strict=True
            )
        ):
            raise ValueError(
                f"weights of shape {self.weights.shape} do not broadcast to data of shape {shape};"
                " give one weight an entry"
            )


class Mahalanobis(AbstractLoss):
    """½ r* Q r for r = v − y flattened and Q Hermitian positive definite.

    For Gaussian noise of covariance Q⁻¹ it is the negative log-likelihood.
    ψ(s) = √(2s/λ_min(Q)), tight along the eigenvector of λ_min.

    Args:
        Q: the precision matrix, shape (m, m) for data of m entries.

    Raises:
        ValueError: if Q is not square, not Hermitian or not positive definite.
    """

    Q: Array
    takes_complex: ClassVar[bool] = True
    fits_data: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def __init__(self, Q: ArrayLike):
        inexact = hasattr(Q, "dtype") and jnp.issubdtype(jnp.result_type(Q), jnp.inexact)
        self.Q = jnp.asarray(Q, None if inexact else jnp.result_type(float))
        if self.Q.ndim != 2 or self.Q.shape[0] != self.Q.shape[1] or self.Q.shape[0] == 0:
            raise ValueError(
                f"Q is a square matrix, got shape {self.Q.shape}; for one weight an entry use"
                " WeightedMSE"
            )
        known = concrete(self.Q)
        if known is not None:
            _check_positive_definite(known)

    def __call__(self, v: Array, y: Array) -> Array:
        """½ r* Q r."""
        check_pair(v, y, takes_complex=True)
        self._check_shape(y)
        r = jnp.ravel(v - y)
        Q = self._matrix(r)
        product = jnp.matmul(Q, r, precision=jax.lax.Precision.HIGHEST)
        return 0.5 * jnp.sum(jnp.real(jnp.conj(r) * product))

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = √(2s/λ_min(Q))."""
        self._check_shape(y)
        return _quadratic_desingularizer(jnp.linalg.eigvalsh(self.Q)[0], y)

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite floating numbers with one entry a row of Q."""
        check_values(y, takes_complex=True)
        self._check_shape(y)

    def _matrix(self, r: Array) -> Array:
        if jnp.iscomplexobj(self.Q) and not jnp.iscomplexobj(r):
            raise TypeError("a complex Q weighs complex data, got real data; pass Q.real")
        return self.Q.astype(r.dtype)

    def _check_shape(self, y: Array) -> None:
        if jnp.size(y) != self.Q.shape[0]:
            raise ValueError(
                f"Q of shape {self.Q.shape} weighs {self.Q.shape[0]} entries, got data of shape"
                f" {jnp.shape(y)}; give Q one row an entry"
            )


def _check_positive_definite(Q: np.ndarray) -> None:
    if not np.all(np.isfinite(Q)):
        raise ValueError("Q must be finite, got NaN or infinity; check how it was made")
    scale = np.max(np.abs(Q))
    if np.max(np.abs(Q - Q.conj().T)) > 64 * np.finfo(Q.dtype).eps * scale:
        raise ValueError("Q must be Hermitian, got a matrix that is not; pass (Q + Q*)/2")
    smallest = np.linalg.eigvalsh(Q)[0]
    if not smallest > 0:
        raise ValueError(
            f"Q must be positive definite, its smallest eigenvalue is {smallest:.3g}; add a"
            " multiple of the identity"
        )
