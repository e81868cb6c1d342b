"""What the image networks do to channels, the last axis: mix, normalise, make the signal."""

import math

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float

#: Of the variance in the channel normalisation, as PyTorch's.
_EPS = 1e-5
_HIGHEST = jax.lax.Precision.HIGHEST


def mixed(B: Float[Array, "... k"], C: Float[Array, "o k"]) -> Float[Array, "... o"]:
    """C times the channels at each pixel: a 1×1 convolution."""
    # Flat, because a product of matrices is faster than one of a stack of them.
    x = jnp.matmul(B.reshape(-1, B.shape[-1]), C.T, precision=_HIGHEST)
    return x.reshape(*B.shape[:-1], -1)


def normalised(
    B: Float[Array, "... k"],
    scale: Float[Array, " k"] | None = None,
    shift: Float[Array, " k"] | None = None,
) -> Float[Array, "... k"]:
    """Each channel with mean 0 and (biased) variance 1 over the pixels, then scaled and shifted."""
    pixels = B.shape[:-1]
    count = math.prod(pixels)
    centred = B - _spread(_summed(B) / count, pixels)
    factor = jax.lax.rsqrt(_summed(centred**2) / count + _EPS)
    if scale is None or shift is None:
        return centred * _spread(factor, pixels)
    return centred * _spread(factor * scale, pixels) + _spread(shift, pixels)


# Sums over pixels and their adjoints, copies to all pixels, are written as products with ones, an
# axis at a time: on a CPU that is faster than a reduction over leading axes, and more exact than
# all pixels in one go.


def _summed(B: Float[Array, "... k"]) -> Float[Array, " k"]:
    """The sum over all pixels."""
    k = B.shape[-1]
    for n in B.shape[:-1]:
        B = jnp.matmul(jnp.ones((1, n), B.dtype), B.reshape(n, -1), precision=_HIGHEST)
    return B.reshape(k)


def _spread(row: Float[Array, " k"], pixels: tuple[int, ...]) -> Float[Array, "... k"]:
    """The row at every pixel."""
    B = row[None]
    for n in reversed(pixels):
        B = jnp.matmul(jnp.ones((n, 1), row.dtype), B.reshape(1, -1), precision=_HIGHEST)
    return B.reshape(*pixels, -1)


def signal(x: Float[Array, "... o"], shape: tuple[int, ...], *, complex: bool) -> Array:
    """The output channels as a signal: of complex ones the first half are the real parts."""
    if complex:
        half = x.shape[-1] // 2
        x = jax.lax.complex(x[..., :half], x[..., half:])
    return x.reshape(shape)
