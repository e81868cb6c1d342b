"""The Deep Image Prior's network: an encoder and a decoder with skips between them."""

import math
from collections.abc import Sequence
from typing import get_args

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._random import key_for
from jaxdip._types import Array, Float, Key, Tree
from jaxdip.generators._activations import AbstractActivation, Activation
from jaxdip.generators._activations import activation as _activation
from jaxdip.generators._base import AbstractGenerator
from jaxdip.generators._channels import signal
from jaxdip.generators._convolution import ChannelNorm, Convolution, Padding
from jaxdip.generators._resize import Upsampling, resized
from jaxdip.generators._sizes import odd, whole


def _leaky(h: Array) -> Array:
    return jax.nn.leaky_relu(h, 0.2)


#: max(h, 0) + 0.2 min(h, 0). Its smooth relative is `SmoothRectifier(temperature, leak=0.2)`.
LEAKY_RELU = Activation(
    name="leaky-relu",
    function=_leaky,
    sup_slope=1.0,
    lip_slope=math.inf,
    C_phi=math.sqrt((1 + 0.2**2) / 2),
    C_dphi=math.sqrt((1 + 0.2**2) / 2),
)


class _Step(eqx.Module):
    """φ(cn(W ∗ B)): a convolution, the channel normalisation, the activation."""

    convolution: Convolution
    norm: ChannelNorm

    def __call__(
        self, B: Array, activation: AbstractActivation, padding: Padding, stride: int = 1
    ) -> Array:
        return activation(self.norm(self.convolution(B, stride=stride, padding=padding)))


class _Scale(eqx.Module):
    """One scale of the network: down by two, (the scales below,) up again beside the skip."""

    down: tuple[_Step, _Step]
    skip: _Step | None
    joined: ChannelNorm
    up: tuple[_Step, _Step]


class SkipNet(AbstractGenerator):
    """The encoder-decoder with skips of the Deep Image Prior.

    At each scale the picture is halved by a convolution of stride 2, convolved again, taken through
    the scales below and enlarged to the grid it had before (so any grid will do); a 1×1 convolution
    of the picture before the halving, the skip, is laid beside it; both are normalised and mixed by
    a convolution and a 1×1 convolution. Every convolution is followed by the channel normalisation
    and φ; a 1×1 convolution with bias makes the signal, after which a sigmoid may follow. For grids
    of one, two or three axes. The latent u has shape (inputs, *grid): noise of the signal's size.

    The released code adds a bias to every convolution, which the normalisation after it removes:
    here only the last has one. Where a grid is odd it cuts the skip down; here the deeper picture
    is enlarged to the skip's grid.

    Reference: D. Ulyanov, A. Vedaldi & V. Lempitsky, "Deep image prior", arXiv 1711.10925.

    Attributes:
        scales: the layers, the finest scale first.
        output: the last convolution.
        grid: the signal's grid, without colours.
        activation: φ, by default leaky ReLU of slope 0.2; smooth ones let the theorems apply.
    """

    scales: tuple[_Scale, ...]
    output: Convolution
    activation: AbstractActivation
    grid: tuple[int, ...] = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    out_shape: tuple[int, ...] = eqx.field(static=True)
    upsampling: Upsampling = eqx.field(static=True)
    padding: Padding = eqx.field(static=True)
    sigmoid: bool = eqx.field(static=True)
    complex: bool = eqx.field(static=True)

    def __init__(
        self,
        *,
        grid: Sequence[int],
        key: Key,
        inputs: int = 32,
        down: Sequence[int] = (128,) * 5,
        up: Sequence[int] | None = None,
        skip: Sequence[int] | None = None,
        window: int = 3,
        colours: int | None = None,
        activation: str | AbstractActivation = LEAKY_RELU,
        upsampling: Upsampling = "linear",
        padding: Padding = "reflect",
        sigmoid: bool = False,
        complex: bool = False,
        dtype=None,
    ):
        """Draws the weights from `key`: uniform on ±1/√(channels × window's pixels), as PyTorch's.

        Args:
            grid: the grid of the signal and of the latent, such as (256, 256).
            key: the random key; scale i comes from its purpose 'scale_i', the output from 'v'.
            inputs: channels of the latent.
            down: channels on the way down, the finest scale first; as many as there are scales.
            up: channels on the way up, likewise; those of `down` if None.
            skip: channels of the skips, likewise, 0 for none; 4 at each scale if None.
            window: the side of the convolutions' windows in pixels, odd.
            colours: of the signal, whose shape is then (*grid, colours); None for shape `grid`.
            activation: a name or an `Activation`.
            upsampling: 'linear' (bi- or trilinear) or 'nearest'.
            padding: 'reflect' or 'zeros'.
            sigmoid: whether a sigmoid follows, so that the signal lies in ]0, 1[.
            complex: make real and imaginary parts, each an output channel of its own.
            dtype: the real dtype of the weights; by default JAX's default float.

        Raises:
            TypeError, ValueError: if a size is wrong, the lists of channels differ in length, a
                choice is unknown, the grid is too small for so many scales, or a sigmoid is asked
                for on a complex signal.
        """
        if upsampling not in get_args(Upsampling):
            raise ValueError(f"unknown upsampling {upsampling!r}; choose 'linear' or 'nearest'")
        if padding not in get_args(Padding):
            raise ValueError(f"unknown padding {padding!r}; choose 'reflect' or 'zeros'")
        if sigmoid and complex:
            raise ValueError("a complex signal has no sigmoid; leave sigmoid out")
        self.grid = tuple(whole("grid", n) for n in grid)
        self.inputs = whole("inputs", inputs)
        downs = [whole("down", k) for k in down]
        ups = downs if up is None else [whole("up", k) for k in up]
        # A skip may have no channels at all.
        skips = [4] * len(downs) if skip is None else [whole("skip + 1", k + 1) - 1 for k in skip]
        if not downs or not len(downs) == len(ups) == len(skips):
            raise ValueError(
                "down, up and skip have one entry for each scale, got "
                f"{len(downs)}, {len(ups)} and {len(skips)}"
            )
        side = (odd("window", window),) * len(self.grid)
        _check_coarsest(self.grid, len(downs), side, padding)
        dtype = jnp.dtype(dtype or jnp.result_type(float))
        before = [self.inputs, *downs[:-1]]
        below = [*ups[1:], downs[-1]]
        self.scales = tuple(
            _drawn(key_for(key, f"scale_{i}"), *channels, side, dtype)
            for i, channels in enumerate(zip(before, downs, below, ups, skips, strict=True), 1)
        )
        outputs = (1 if colours is None else whole("colours", colours)) * (2 if complex else 1)
        one = (1,) * len(self.grid)
        self.output = Convolution.drawn(key_for(key, "v"), ups[0], outputs, one, dtype, bias=True)
        self.activation = _activation(activation)
        self.out_shape = self.grid if colours is None else (*self.grid, colours)
        self.upsampling, self.padding = upsampling, padding
        self.sigmoid, self.complex = sigmoid, complex

    def __call__(self, u: Float[Array, "k ..."]) -> Array:
        """The signal, of shape `out_shape`."""
        if u.shape != (self.inputs, *self.grid):
            raise ValueError(
                f"this network takes a latent of shape {(self.inputs, *self.grid)}, got {u.shape}; "
                "draw it by latent(key)"
            )
        B = jnp.moveaxis(u.astype(self.output.weight.dtype), 0, -1)
        # Down through the scales, keeping what each saw, and up again.
        seen = []
        for scale in self.scales:
            seen.append(B)
            first, second = scale.down
            B = first(B, self.activation, self.padding, stride=2)
            B = second(B, self.activation, self.padding)
        for scale, before in zip(reversed(self.scales), reversed(seen), strict=True):
            B = resized(B, before.shape[:-1], self.upsampling)
            if scale.skip is not None:
                beside = scale.skip(before, self.activation, self.padding)
                B = jnp.concatenate([beside, B], axis=-1)
            B = scale.joined(B)
            for step in scale.up:
                B = step(B, self.activation, self.padding)
        x = signal(self.output(B), self.out_shape, complex=self.complex)
        return jax.nn.sigmoid(x) if self.sigmoid else x

    def latent(self, key: Key, scale: float = 0.1) -> Float[Array, "k ..."]:
        """A latent as the released code draws it: uniform on [0, scale[.

        Args:
            key: the random key.
            scale: 0.1 in the released code.
        """
        shape = (self.inputs, *self.grid)
        return jax.random.uniform(key, shape, self.output.weight.dtype, 0, scale)

    def trainable(self) -> Tree:
        """True at every convolution and at the normalisations' numbers."""
        marks = jax.tree.map(lambda _: False, self)
        parts = (self.scales, self.output)
        return eqx.tree_at(
            lambda g: (g.scales, g.output), marks, jax.tree.map(lambda _: True, parts)
        )


def _drawn(key: Key, before: int, down: int, below: int, up: int, skip: int, side, dtype) -> _Scale:
    one = (1,) * len(side)

    def step(name: str, channels: int, outputs: int, window: tuple[int, ...]) -> _Step:
        convolution = Convolution.drawn(key_for(key, name), channels, outputs, window, dtype)
        return _Step(convolution, ChannelNorm.plain(outputs, dtype))

    return _Scale(
        down=(step("halve", before, down, side), step("down", down, down, side)),
        skip=step("skip", before, skip, one) if skip else None,
        joined=ChannelNorm.plain(skip + below, dtype),
        up=(step("up", skip + below, up, side), step("mix", up, up, one)),
    )


def _check_coarsest(
    grid: tuple[int, ...], scales: int, side: tuple[int, ...], padding: Padding
) -> None:
    coarsest = tuple(-(-n // 2**scales) for n in grid)
    if math.prod(coarsest) < 2:
        raise ValueError(
            f"a grid of {grid} halved {scales} times has one pixel, which a normalisation over "
            "pixels makes zero; give fewer scales"
        )
    mirrored = [n for n, w in zip(coarsest, side, strict=True) if n <= (w - 1) // 2]
    if padding == "reflect" and mirrored:
        raise ValueError(
            f"a grid of {grid} halved {scales} times is {coarsest}, too small to mirror around a "
            f"window of {side[0]}; give fewer scales, or padding='zeros'"
        )
