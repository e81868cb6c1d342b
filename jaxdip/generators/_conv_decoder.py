"""ConvDecoder: the deep decoder with 3×3 convolutions after each upsampling."""

from collections.abc import Sequence
from typing import get_args

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._random import key_for
from jaxdip._types import Array, Float, Key, Tree
from jaxdip.generators._activations import AbstractActivation
from jaxdip.generators._activations import activation as _activation
from jaxdip.generators._base import AbstractGenerator
from jaxdip.generators._channels import signal
from jaxdip.generators._convolution import ChannelNorm, Convolution
from jaxdip.generators._deep_decoder import decoder_sizes
from jaxdip.generators._resize import Upsampling, resized
from jaxdip.generators._sizes import odd, whole


class ConvDecoder(AbstractGenerator):
    """x = h(v ∗ B_d), with layers B_i = cn(φ(W_i ∗ U_i B_{i−1})) and the latent B_0.

    U_i is a fixed upsampling, W_i a convolution of all channels with all channels (3×3, zeros
    around the picture), cn normalises each channel over the pixels and scales and shifts it by
    numbers that train, v is a 1×1 convolution; no biases. For grids of one, two or three axes. The
    latent u is B_0, of shape (channels, *start).

    The released code's `num_layers` is d + 1, and its `need_last` is `extra`. Its 'nearest' for
    grids that do not double takes the pixel at or before; ours the nearest by centres (PyTorch's
    'nearest-exact').

    Reference: M. Z. Darestani & R. Heckel, "Accelerated MRI with un-trained neural networks",
    arXiv 2007.02471.

    Attributes:
        convolutions: (W_1, …, W_d); one more if `extra`, without upsampling.
        norms: the channel normalisation after each.
        output: v.
        grids: the grid after each layer.
        activation: φ; smooth ones let the theorems apply.
    """

    convolutions: tuple[Convolution, ...]
    norms: tuple[ChannelNorm, ...]
    output: Convolution
    activation: AbstractActivation
    start: tuple[int, ...] = eqx.field(static=True)
    grids: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    out_shape: tuple[int, ...] = eqx.field(static=True)
    upsampling: Upsampling = eqx.field(static=True)
    sigmoid: bool = eqx.field(static=True)
    complex: bool = eqx.field(static=True)

    def __init__(
        self,
        *,
        channels: int,
        start: Sequence[int],
        grid: Sequence[int],
        layers: int,
        key: Key,
        window: int = 3,
        colours: int | None = None,
        activation: str | AbstractActivation = "relu",
        upsampling: Upsampling = "nearest",
        sigmoid: bool = False,
        extra: bool = False,
        complex: bool = False,
        dtype=None,
    ):
        """Draws the weights from `key`: uniform on ±1/√(k × window's pixels), as PyTorch's.

        Args:
            channels: k.
            start: the grid of the latent, such as (4, 4).
            grid: the grid of the signal, such as (256, 256).
            layers: d ≥ 1, the layers that enlarge; the grids between are those of `decoder_sizes`.
            key: the random key; W_i comes from its purpose 'W_i', v from 'v'.
            window: the side of the convolutions' windows in pixels, odd.
            colours: of the signal, whose shape is then (*grid, colours); None for shape `grid`.
            activation: a name or an `Activation`.
            upsampling: 'nearest' or 'linear' (bi- or trilinear).
            sigmoid: whether a sigmoid follows, so that the signal lies in ]0, 1[.
            extra: one more layer at the final grid.
            complex: make real and imaginary parts, each an output channel of its own.
            dtype: the real dtype of the weights; by default JAX's default float.

        Raises:
            TypeError, ValueError: if a size is wrong, a choice unknown, or a sigmoid is asked for
                on a complex signal.
        """
        k = whole("channels", channels)
        if upsampling not in get_args(Upsampling):
            raise ValueError(f"unknown upsampling {upsampling!r}; choose 'linear' or 'nearest'")
        if sigmoid and complex:
            raise ValueError("a complex signal has no sigmoid; leave sigmoid out")
        self.start = tuple(whole("start", n) for n in start)
        grids = decoder_sizes(start, grid, layers)
        self.grids = (*grids, grids[-1]) if extra else grids
        dtype = jnp.dtype(dtype or jnp.result_type(float))
        axes = len(self.start)
        side = (odd("window", window),) * axes
        self.convolutions = tuple(
            Convolution.drawn(key_for(key, f"W_{i}"), k, k, side, dtype)
            for i in range(1, len(self.grids) + 1)
        )
        self.norms = tuple(ChannelNorm.plain(k, dtype) for _ in self.grids)
        outputs = (1 if colours is None else whole("colours", colours)) * (2 if complex else 1)
        self.output = Convolution.drawn(key_for(key, "v"), k, outputs, (1,) * axes, dtype)
        self.activation = _activation(activation)
        self.out_shape = self.grids[-1] if colours is None else (*self.grids[-1], colours)
        self.upsampling, self.sigmoid, self.complex = upsampling, sigmoid, complex

    def __call__(self, u: Float[Array, "k ..."]) -> Array:
        """The signal, of shape `out_shape`."""
        if u.shape != self._latent_shape:
            raise ValueError(
                f"this decoder takes a latent of shape {self._latent_shape}, got {u.shape}; draw "
                "it by latent(key)"
            )
        B = jnp.moveaxis(u.astype(self.output.weight.dtype), 0, -1)
        for convolution, norm, grid in zip(self.convolutions, self.norms, self.grids, strict=True):
            B = norm(self.activation(convolution(resized(B, grid, self.upsampling))))
        x = signal(self.output(B), self.out_shape, complex=self.complex)
        return jax.nn.sigmoid(x) if self.sigmoid else x

    @property
    def _latent_shape(self) -> tuple[int, ...]:
        return (self.output.weight.shape[1], *self.start)

    def latent(self, key: Key, scale: float = 0.1) -> Float[Array, "k ..."]:
        """A latent uniform on [0, scale[, fixed for all time.

        Args:
            key: the random key.
            scale: the upper end; the released code draws standard normal numbers instead.
        """
        return jax.random.uniform(key, self._latent_shape, self.output.weight.dtype, 0, scale)

    def trainable(self) -> Tree:
        """True at the convolutions, the normalisations' numbers and v."""
        marks = jax.tree.map(lambda _: False, self)
        parts = (self.convolutions, self.norms, self.output)
        return eqx.tree_at(
            lambda g: (g.convolutions, g.norms, g.output),
            marks,
            jax.tree.map(lambda _: True, parts),
        )
