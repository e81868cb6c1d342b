"""What the image networks do to channels, the last axis: mix, normalise, make the signal."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float
from jaxdip.generators._pixel_product import pixel_product

#: Of the variance in the channel normalisation, as PyTorch's.
_EPS = 1e-5
_HIGHEST = jax.lax.Precision.HIGHEST


def mixed(B: Float[Array, "... k"], C: Float[Array, "o k"]) -> Float[Array, "... o"]:
    """C times the channels at each pixel: a 1×1 convolution."""
    # Flat, because a product of matrices is faster than one of a stack of them.
    dtype = jnp.result_type(B, C)
    x = pixel_product(B.reshape(-1, B.shape[-1]).astype(dtype), C.astype(dtype))
    return x.reshape(*B.shape[:-1], -1)


class Normalised(NamedTuple):
    """Normalised channels, slope · centred + offset, with the last step not yet taken.

    Attributes:
        centred: (..., k), the channels less their means.
        slope: (k,).
        offset: (k,).
    """

    centred: Float[Array, "... k"]
    slope: Float[Array, " k"]
    offset: Float[Array, " k"]


def normalisation(
    B: Float[Array, "... k"],
    scale: Float[Array, " k"] | None = None,
    shift: Float[Array, " k"] | None = None,
) -> Normalised:
    """Each channel with mean 0 and (biased) variance 1 over the pixels, then scaled and shifted."""
    pixels = B.shape[:-1]
    count = math.prod(pixels)
    mean = _summed(B) / count
    # Any constant may be taken from B if mean and variance are then those of what is left. With
    # the mean as that constant nothing cancels, and no derivative goes through the centring.
    fixed = jax.lax.stop_gradient(mean)
    centred = B - _spread(fixed, pixels)
    rest = mean - fixed
    slope = jax.lax.rsqrt(_summed(centred**2) / count - rest**2 + _EPS)
    if scale is not None and shift is not None:
        slope = slope * scale
        return Normalised(centred, slope, shift - rest * slope)
    return Normalised(centred, slope, -rest * slope)


def normalised(
    B: Float[Array, "... k"],
    scale: Float[Array, " k"] | None = None,
    shift: Float[Array, " k"] | None = None,
) -> Float[Array, "... k"]:
    """The channels of `normalisation`, written out."""
    centred, slope, offset = normalisation(B, scale, shift)
    return centred * _spread(slope, B.shape[:-1]) + _spread(offset, B.shape[:-1])


def mixed_after(norm: Normalised, C: Float[Array, "o k"]) -> Float[Array, "... o"]:
    """C times the normalised channels at each pixel, without making those.

    C (slope · B + offset) = (C diag(slope)) B + C offset: the scaling goes into the small matrix,
    so that it takes no pass over the pixels, forward or backward. The centring does not: in single
    precision its cancellation would be left to the product.
    """
    offset = jnp.matmul(C, norm.offset, precision=_HIGHEST)
    return mixed(norm.centred, C * norm.slope) + offset


# Sums over pixels and their adjoints, copies to all pixels, go an axis at a time: that is more
# exact than all pixels in one go, and on a CPU no slower.


def _summed(B: Float[Array, "... k"]) -> Float[Array, " k"]:
    """The sum over all pixels."""
    for _ in B.shape[:-1]:
        B = jnp.sum(B, axis=0)
    return B


def _spread(row: Float[Array, " k"], pixels: tuple[int, ...]) -> Float[Array, "... k"]:
    """The row at every pixel."""
    for n in reversed(pixels):
        row = jnp.broadcast_to(row, (n, *row.shape))
    return row


def signal(x: Float[Array, "... o"], shape: tuple[int, ...], *, complex: bool) -> Array:
    """The output channels as a signal: of complex ones the first half are the real parts."""
    if complex:
        half = x.shape[-1] // 2
        x = jax.lax.complex(x[..., :half], x[..., half:])
    return x.reshape(shape)
