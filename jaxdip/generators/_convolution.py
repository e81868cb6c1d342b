"""Convolutions that train, and the channel normalisation after them. Channels come last."""

import itertools
import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float, Key
from jaxdip.generators._channels import mixed, normalised

#: What stands around the picture: zeros, or its mirror image without the border repeated.
Padding = Literal["zeros", "reflect"]
_PAD = {"zeros": "constant", "reflect": "reflect"}


class Convolution(eqx.Module):
    """A correlation with a stack of small odd windows, as neural networks say convolution.

    Attributes:
        weight: (outputs, channels, *window).
        bias: (outputs,), or None.
    """

    weight: Float[Array, "o k ..."]
    bias: Float[Array, " o"] | None

    @staticmethod
    def drawn(
        key: Key, channels: int, outputs: int, window: tuple[int, ...], dtype, *, bias: bool = False
    ) -> "Convolution":
        """Uniform on ±1/√(channels × window's pixels), as PyTorch's start."""
        bound = (channels * math.prod(window)) ** -0.5
        keys = jax.random.split(key)
        shape = (outputs, channels, *window)
        weight = jax.random.uniform(keys[0], shape, dtype, -bound, bound)
        shift = jax.random.uniform(keys[1], (outputs,), dtype, -bound, bound) if bias else None
        return Convolution(weight, shift)

    def __call__(
        self, B: Float[Array, "... k"], *, stride: int = 1, padding: Padding = "zeros"
    ) -> Float[Array, "... o"]:
        """The correlation at every `stride`-th pixel; of n pixels of an axis ⌈n/stride⌉ stay."""
        window = self.weight.shape[2:]
        pixels = B.shape[:-1]
        borders = [((w - 1) // 2, (w - 1) // 2) for w in window]
        padded = jnp.pad(B, [*borders, (0, 0)], mode=_PAD[padding])
        # A sum of products of matrices, one for each pixel of the window: XLA's convolutions on a
        # CPU are no faster in single precision and five times slower in double.
        total = jnp.zeros((), B.dtype)
        for at in itertools.product(*map(range, window)):
            cut = tuple(
                slice(a, a + (n - 1) // stride * stride + 1, stride)
                for a, n in zip(at, pixels, strict=True)
            )
            total = total + mixed(padded[cut], self.weight[(..., *at)])
        return total if self.bias is None else total + self.bias


class ChannelNorm(eqx.Module):
    """Each channel with mean 0 and variance 1 over the pixels, then scaled and shifted.

    Attributes:
        scale: (k,), ones at the start.
        shift: (k,), zeros at the start.
    """

    scale: Float[Array, " k"]
    shift: Float[Array, " k"]

    @staticmethod
    def plain(channels: int, dtype) -> "ChannelNorm":
        """Scale 1 and shift 0."""
        return ChannelNorm(jnp.ones(channels, dtype), jnp.zeros(channels, dtype))

    def __call__(self, B: Float[Array, "... k"]) -> Float[Array, "... k"]:
        """The normalised channels."""
        return normalised(B, self.scale, self.shift)
