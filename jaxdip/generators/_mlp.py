"""The fully connected network of Definition II.1."""

import itertools
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._random import key_for
from jaxdip._types import Array, Float, Key, Tree
from jaxdip.generators._activations import AbstractActivation
from jaxdip.generators._activations import activation as _activation
from jaxdip.generators._layered import AbstractLayeredGenerator, LastLayer
from jaxdip.generators._sizes import signal_shape, whole


class MLP(AbstractLayeredGenerator):
    """The L-layer network, all of whose matrices train.

    g⁰ = u, gˡ = φ(s_l W_l gˡ⁻¹) for l < L, and x = s_L W_L g^{L−1}.

    Definition II.1 of arXiv 2403.05395 has no factors: s_l = 1. W_1 is drawn with variance 1 (the
    latent is expected on the unit sphere) and W_l with 1/N_{l−1} for l ≥ 2, so that signals keep
    their size. With `ntk=True` every W_l is drawn with variance 1 and s_l = 1/√N_{l−1} for l ≥ 2:
    the same function at the start, another dynamics.

    Attributes:
        weights: (W_1, …, W_L), W_l of shape (N_l, N_{l−1}).
        scales: (s_1, …, s_L).
    """

    weights: tuple[Float[Array, "..."], ...]
    scales: tuple[float, ...] = eqx.field(static=True)
    activation: AbstractActivation
    out_shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        *,
        widths: Sequence[int] = (),
        out: int | Sequence[int] | None = None,
        key: Key | None = None,
        weights: Sequence[Array] | None = None,
        scales: Sequence[float] | None = None,
        activation: str | AbstractActivation = "sigmoid",
        ntk: bool = False,
        dtype=None,
    ):
        """Draws the weights from `key`, or takes them from `weights`.

        Args:
            widths: (d, N_1, …, N_{L−1}), the latent's length and the hidden widths; L ≥ 2.
            out: N_L = n, or the shape of the signal.
            key: the random key; W_l comes from its purpose 'W_l'.
            weights: the matrices instead of widths and key.
            scales: the factors s_l for given `weights`; by default 1.
            activation: a name or an `Activation`.
            ntk: unit-variance weights with explicit factors 1/√N_{l−1}.
            dtype: the real dtype of drawn weights; by default JAX's default float.

        Raises:
            ValueError: if sizes are missing, not positive, or do not chain.
        """
        self.activation = _activation(activation)
        if weights is not None:
            if len(weights) < 2 or any(jnp.ndim(W) != 2 for W in weights):
                raise ValueError(
                    f"weights are at least two matrices (N_l, N_(l-1)), got shapes "
                    f"{[jnp.shape(W) for W in weights]}"
                )
            if widths or key is not None or ntk:
                raise ValueError("give either weights or widths, key and ntk, not both")
            self.weights = tuple(weights)
            self.scales = (1.0,) * len(self.weights) if scales is None else tuple(scales)
            n = self.weights[-1].shape[0]
        else:
            if out is None or key is None or len(widths) < 2 or scales is not None:
                raise ValueError(
                    "an MLP needs widths=(d, N_1, ...) with at least one hidden layer, out and "
                    "key; factors of your own go with weights of your own"
                )
            shape = signal_shape(out)
            n = math.prod(shape)
            sizes = (*(whole("width", size) for size in widths), n)
            # The latent has norm 1, not √d, so the first layer needs no factor.
            factors = (1.0, *(size**-0.5 for size in sizes[1:-1]))
            self.scales = factors if ntk else (1.0,) * len(factors)
            dtype = jnp.dtype(dtype or jnp.result_type(float))
            self.weights = tuple(
                (1.0 if ntk else factor)
                * jax.random.normal(key_for(key, f"W_{layer}"), (rows, columns), dtype)
                for layer, (rows, columns, factor) in enumerate(
                    zip(sizes[1:], sizes[:-1], factors, strict=True), start=1
                )
            )
        self.out_shape = signal_shape(out, n)
        self._check()

    def _check(self):
        shapes = [W.shape for W in self.weights]
        chained = all(a[0] == b[1] for a, b in itertools.pairwise(shapes))
        if len(shapes) < 2 or len(self.scales) != len(shapes) or not chained:
            raise ValueError(
                f"weights are at least two matrices (N_l, N_(l-1)) that chain, one scale each; got "
                f"shapes {shapes} and {len(self.scales)} scales"
            )

    def __call__(self, u: Float[Array, " d"]) -> Array:
        """The signal, of shape `out_shape`."""
        if u.shape != (self.weights[0].shape[1],):
            raise ValueError(
                f"this network takes a latent of shape {(self.weights[0].shape[1],)}, got {u.shape}"
            )
        x = u
        last = len(self.weights) - 1
        for layer, (W, scale) in enumerate(zip(self.weights, self.scales, strict=True)):
            x = scale * jnp.matmul(W, x, precision=jax.lax.Precision.HIGHEST)
            if layer < last:
                x = self.activation(x)
        return x.reshape(self.out_shape)

    def trainable(self) -> Tree:
        """True at every weight matrix."""
        marks = jax.tree.map(lambda _: False, self)
        return eqx.tree_at(lambda g: g.weights, marks, (True,) * len(self.weights))

    @property
    def first_layer(self) -> Float[Array, "k d"]:
        """W_1."""
        return self.weights[0]

    @property
    def last_layer(self) -> LastLayer:
        """W_L."""
        return LastLayer(self.weights[-1], True)

    def with_layers(
        self,
        *,
        first: Float[Array, "k d"] | None = None,
        last: Float[Array, "n k"] | None = None,
        out_shape: tuple[int, ...] | None = None,
    ) -> "MLP":
        """The same network with another W_1, W_L or signal shape; the factors stay."""
        weights = list(self.weights)
        if first is not None:
            weights[0] = first
        if last is not None:
            weights[-1] = last
        return MLP(
            weights=weights,
            scales=self.scales,
            activation=self.activation,
            out=self.out_shape if out_shape is None else out_shape,
        )
