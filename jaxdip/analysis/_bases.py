"""Orthonormal bases of signals: trigonometric and cosine."""

import math
from collections.abc import Sequence

import jax.numpy as jnp

from jaxdip._types import Array, Float, Int
from jaxdip.analysis._jacobian import check_count


def trigonometric_basis(n: int, *, dtype=None) -> Float[Array, "n n"]:
    """The real Fourier basis, one vector a column.

    For i, j = 0, ..., n−1,

        [w_i]_j = n^{-1/2}·{1 (i = 0), √2 cos(2πij/n) (0 < i < n/2), (−1)^j (i = n/2),
                            √2 sin(2πij/n) (i > n/2)};

    for odd n there is no i = n/2. The frequency of w_i is min(i, n − i).

    Args:
        n: the number of entries of a signal.
        dtype: the default real dtype if None.

    Reference: the basis of the convolutional kernels in R. Heckel & M. Soltanolkotabi, "Denoising
    and regularization via exploiting the structural bias of convolutional generators",
    arXiv 1910.14634.
    """
    check_count("n", n)
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    i, j = jnp.arange(n)[None, :], jnp.arange(n)[:, None]
    # The angle from an integer below n: a large one would lose digits in cos and sin.
    angle = _turns(i, j, n).astype(dtype) * (2 * math.pi / n)
    wave = jnp.where(2 * i <= n, jnp.cos(angle), jnp.sin(angle))
    alone = (i == 0) | (2 * i == n)
    return wave * jnp.where(alone, 1.0, 2**0.5).astype(dtype) / n**0.5


def trigonometric_frequencies(n: int) -> Int[Array, " n"]:
    """The frequency min(i, n − i) of each vector of `trigonometric_basis`, in cycles per signal."""
    check_count("n", n)
    i = jnp.arange(n)
    return jnp.minimum(i, n - i)


def cosine_basis(shape: int | Sequence[int], *, dtype=None) -> Float[Array, "n n"]:
    """The orthonormal DCT-II basis of signals of any shape, one flattened vector a column.

    In one dimension [b_k]_j = c_k cos(π k (2j + 1)/(2n)), c_0 = n^{-1/2}, c_k = (2/n)^{1/2}; in
    more, products of these, with signals and frequencies both in row-major order.

    Args:
        shape: the shape of a signal.
        dtype: the default real dtype if None.
    """
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes:
        raise ValueError("shape has at least one dimension, got ()")
    basis = jnp.ones((1, 1), jnp.dtype(dtype or jnp.result_type(float)))
    for size in sizes:
        check_count("every size in shape", size)
        basis = jnp.kron(basis, _cosines(size, basis.dtype))
    return basis


def _cosines(n: int, dtype) -> Array:
    k, j = jnp.arange(n)[None, :], jnp.arange(n)[:, None]
    angle = _turns(k, 2 * j + 1, 4 * n).astype(dtype) * (math.pi / (2 * n))
    scale = jnp.where(k == 0, 1.0, 2**0.5).astype(dtype) / n**0.5
    return scale * jnp.cos(angle)


def _turns(a: Array, b: Array, period: int) -> Array:
    return (a * b) % period
