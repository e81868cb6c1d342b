"""The deep decoder: fixed upsampling, trained mixes of channels, nothing else."""

import math
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
from jaxdip.generators._channels import Normalised, mixed, mixed_after, normalisation, signal
from jaxdip.generators._resize import Upsampling, resized
from jaxdip.generators._sizes import whole


def decoder_sizes(start: Sequence[int], end: Sequence[int], layers: int) -> tuple:
    """The grids after each layer: ⌈n₀ sⁱ⌉ with s = (n/n₀)^{1/d}, and n after the last.

    The rule of the released code of arXiv 2005.03991: 16 → 28, 49, 85, 148, 256 for d = 5.

    Args:
        start: the grid of the input, such as (16, 16).
        end: the grid of the signal, of as many axes.
        layers: d.

    Raises:
        TypeError: unless the sizes are whole numbers.
        ValueError: if they are not positive, or the numbers of axes differ.
    """
    layers = whole("layers", layers)
    start = tuple(whole("start", n) for n in start)
    end = tuple(whole("end", n) for n in end)
    if len(start) != len(end) or not start:
        raise ValueError(f"start and end are grids of as many axes, got {start} and {end}")
    grown = [
        # The tolerance keeps 16·2² at 64 whatever the rounding of the power.
        tuple(
            math.ceil(a * (b / a) ** (i / layers) - 1e-9) for a, b in zip(start, end, strict=True)
        )
        for i in range(1, layers)
    ]
    return (*grown, end)


class DeepDecoder(AbstractGenerator):
    """x = h(B_d v), with layers B_i = cn(φ(U_i C_i B_{i−1})) and the latent B_0.

    C_i mixes channels at each pixel (a 1×1 convolution), U_i is a fixed upsampling, cn normalises
    each channel over the pixels to mean 0 and variance 1 and then, if `affine`, scales and shifts
    it by numbers that train. v combines the channels; h is the identity or a sigmoid. For grids of
    one, two or three axes. The latent u is B_0, of shape (channels, *start).

    Two settings are in use. `DeepDecoder.paper`: eq. (4) of arXiv 2005.03991, where cn has no
    numbers to train, the last layer is not normalised, and v is fixed at ±1/√k. The constructor's
    defaults: the released code, where every layer is normalised with numbers to train, v trains,
    and a sigmoid may follow; entries start uniform on ±1/√k, as PyTorch's convolutions do.

    Attributes:
        mixes: (C_1, …, C_d), each (k, k); one more if `extra`, without upsampling.
        scales: of the channel normalisations that train, each (k,).
        shifts: likewise.
        v: (outputs, k).
        grids: the grid after each layer.
        activation: φ; smooth ones let the theorems apply.
    """

    mixes: tuple[Float[Array, "k k"], ...]
    scales: tuple[Float[Array, " k"], ...]
    shifts: tuple[Float[Array, " k"], ...]
    v: Float[Array, "o k"]
    activation: AbstractActivation
    start: tuple[int, ...] = eqx.field(static=True)
    grids: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    out_shape: tuple[int, ...] = eqx.field(static=True)
    upsampling: Upsampling = eqx.field(static=True)
    normalize_last: bool = eqx.field(static=True)
    train_output: bool = eqx.field(static=True)
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
        colours: int | None = None,
        activation: str | AbstractActivation = "relu",
        upsampling: Upsampling = "linear",
        affine: bool = True,
        normalize_last: bool = True,
        train_output: bool = True,
        sigmoid: bool = False,
        extra: bool = False,
        complex: bool = False,
        dtype=None,
    ):
        """Draws the weights from `key`.

        Args:
            channels: k.
            start: the grid of the latent, such as (16, 16).
            grid: the grid of the signal, such as (256, 256).
            layers: d ≥ 1; the grids between are those of `decoder_sizes`.
            key: the random key; C_i comes from its purpose 'C_i', v from 'v'.
            colours: of the signal, whose shape is then (*grid, colours); None for shape `grid`.
            activation: a name or an `Activation`.
            upsampling: 'linear' (bi- or trilinear, pixels at half-integers, ends replicated: the
                stencil is ¼, ¾ for a factor 2) or 'nearest'.
            affine: whether cn has scales and shifts that train.
            normalize_last: whether cn follows the last layer too.
            train_output: whether v trains.
            sigmoid: whether a sigmoid follows, so that the signal lies in ]0, 1[.
            extra: one more layer at the final grid.
            complex: make real and imaginary parts, each from a row of v of its own.
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
        bound = k**-0.5

        def draw(name: str, shape: tuple[int, ...]) -> Array:
            return jax.random.uniform(key_for(key, name), shape, dtype, -bound, bound)

        self.mixes = tuple(draw(f"C_{i}", (k, k)) for i in range(1, len(self.grids) + 1))
        normalised = len(self.grids) if normalize_last else len(self.grids) - 1
        count = normalised if affine else 0
        self.scales = (jnp.ones(k, dtype),) * count
        self.shifts = (jnp.zeros(k, dtype),) * count
        outputs = (1 if colours is None else whole("colours", colours)) * (2 if complex else 1)
        self.v = draw("v", (outputs, k))
        self.activation = _activation(activation)
        self.out_shape = self.grids[-1] if colours is None else (*self.grids[-1], colours)
        self.upsampling, self.normalize_last = upsampling, normalize_last
        self.train_output, self.sigmoid, self.complex = train_output, sigmoid, complex

    @staticmethod
    def paper(
        *,
        channels: int,
        start: Sequence[int],
        grid: Sequence[int],
        layers: int,
        key: Key,
        activation: str | AbstractActivation = "relu",
        dtype=None,
    ) -> "DeepDecoder":
        """Eq. (4) of arXiv 2005.03991: v is half +1/√k, half −1/√k, and only C_1, …, C_d train.

        Raises:
            TypeError, ValueError: as the constructor.
        """
        made = DeepDecoder(
            channels=channels,
            start=start,
            grid=grid,
            layers=layers,
            key=key,
            activation=activation,
            affine=False,
            normalize_last=False,
            train_output=False,
            dtype=dtype,
        )
        signs = jnp.where(jnp.arange(channels) < (channels + 1) // 2, 1, -1).astype(made.v.dtype)
        return eqx.tree_at(lambda g: g.v, made, signs[None] * channels**-0.5)

    def __call__(self, u: Float[Array, "k ..."]) -> Array:
        """The signal, of shape `out_shape`."""
        k = self.v.shape[1]
        if u.shape != (k, *self.start):
            raise ValueError(
                f"this decoder takes a latent of shape {(k, *self.start)}, got {u.shape}; draw it "
                "by latent(key)"
            )
        # Channels last inside: lookups, sums over pixels and products all run along them.
        B = jnp.moveaxis(u.astype(self.v.dtype), 0, -1)
        for i, (C, grid) in enumerate(zip(self.mixes, self.grids, strict=True)):
            # The mix commutes with the upsampling and is cheaper before it.
            B = self._layer(i, resized(_mix(B, C), grid, self.upsampling))
        x = signal(_mix(B, self.v), self.out_shape, complex=self.complex)
        return jax.nn.sigmoid(x) if self.sigmoid else x

    def _layer(self, i: int, B: Float[Array, "... k"]) -> Float[Array, "... k"] | Normalised:
        B = self.activation(B)
        if i == len(self.mixes) - 1 and not self.normalize_last:
            return B
        return normalisation(B, *((self.scales[i], self.shifts[i]) if self.scales else ()))

    def latent(self, key: Key, scale: float = 0.1) -> Float[Array, "k ..."]:
        """A latent as the released code draws it: uniform on [0, scale[, fixed for all time.

        Args:
            key: the random key.
            scale: 0.1 in the released code for images, 1 in its 1-D example.
        """
        shape = (self.v.shape[1], *self.start)
        return jax.random.uniform(key, shape, self.v.dtype, 0, scale)

    def trainable(self) -> Tree:
        """True at the mixes, at scales and shifts, and at v if it trains."""
        marks = jax.tree.map(lambda _: False, self)
        parts = (self.mixes, self.scales, self.shifts)
        marks = eqx.tree_at(
            lambda g: (g.mixes, g.scales, g.shifts), marks, jax.tree.map(lambda _: True, parts)
        )
        return eqx.tree_at(lambda g: g.v, marks, self.train_output)


def _mix(B: Float[Array, "... k"] | Normalised, C: Float[Array, "o k"]) -> Float[Array, "... o"]:
    return mixed_after(B, C) if isinstance(B, Normalised) else mixed(B, C)
