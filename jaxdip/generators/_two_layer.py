"""The two-layer network of the papers, V φ(W u)/√k, and its mean-field scaling V φ(W u)/k."""

import math
from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._random import key_for
from jaxdip._types import Array, Float, Key, Tree
from jaxdip.generators._activations import AbstractActivation
from jaxdip.generators._activations import activation as _activation
from jaxdip.generators._layered import AbstractLayeredGenerator, LastLayer
from jaxdip.generators._sizes import signal_shape, whole

#: How the entries of V are drawn: all centred, of unit variance and bounded.
OutputLaw = Literal["rademacher", "uniform", "truncated-normal"]
#: The factor before V: "ntk" is 1/√k, "mean-field" is 1/k.
Scaling = Literal["ntk", "mean-field"]
_EXPONENT = {"ntk": -0.5, "mean-field": -1.0}

# The standard normal cut at ±2 has this standard deviation; dividing by it restores unit variance.
_CUT = 2.0
_CUT_STD = math.sqrt(
    1 - 2 * _CUT * math.exp(-(_CUT**2) / 2) / math.sqrt(2 * math.pi) / math.erf(_CUT / math.sqrt(2))
)

#: D, the bound on the entries of V, by law.
OUTPUT_BOUND = {"rademacher": 1.0, "uniform": math.sqrt(3), "truncated-normal": _CUT / _CUT_STD}


def _draw_output(law: str, k: int, n: int, key: Key, dtype) -> Float[Array, "n k"]:
    # Drawn as (k, n) because JAX's draws are prefix-stable along the leading axis: a network padded
    # to a larger width then begins with the same columns of V.
    if law == "rademacher":
        V = jax.random.rademacher(key, (k, n), dtype=dtype)
    elif law == "uniform":
        V = jax.random.uniform(key, (k, n), dtype, -math.sqrt(3), math.sqrt(3))
    elif law == "truncated-normal":
        V = jax.random.truncated_normal(key, -_CUT, _CUT, (k, n), dtype) / _CUT_STD
    else:
        raise ValueError(f"unknown law of V {law!r}; choose one of {', '.join(OUTPUT_BOUND)}")
    return V.T


class TwoLayer(AbstractLayeredGenerator):
    """The two-layer network g(u, θ) = V φ(W u)/√k, or V φ(W u)/k.

    W has iid N(0, 1) entries; V has iid centred entries of unit variance, bounded by D (1 for
    Rademacher, √3 for uniform, 2.27 for the standard normal cut at ±2 and rescaled), so its columns
    have identity covariance. By default only W trains; `both=True` trains V too.

    With the papers' factor 1/√k the kernel of the prediction tends to a constant as k grows and the
    weights hardly move: ‖θ − θ0‖/√k → 0, the lazy regime. With `scaling="mean-field"` the factor is
    1/k: the gradient of each unit is O(1/k), so the unit of time is k: at equal t/k each unit moves
    by an amount that does not depend on k, and features are learned. Run flows to t = k·s and give
    descents steps γ = k·η, for s and η that do not depend on k.

    Reference: Section III-C of arXiv 2403.05395 (there u is uniform on the sphere: `on_sphere`);
    for 1/k, S. Mei, A. Montanari & P.-M. Nguyen, arXiv 1804.06561, and L. Chizat, E. Oyallon &
    F. Bach, "On lazy training in differentiable programming", arXiv 1812.07956.

    Attributes:
        W: hidden weights, shape (k, d).
        V: output weights, shape (n, k).
    """

    W: Float[Array, "k d"]
    V: Float[Array, "n k"]
    activation: AbstractActivation
    both: bool = eqx.field(static=True)
    scaling: str = eqx.field(static=True)
    out_shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        *,
        latent: int | None = None,
        width: int | None = None,
        out: int | Sequence[int] | None = None,
        key: Key | None = None,
        weights: tuple[Array, Array] | None = None,
        activation: str | AbstractActivation = "sigmoid",
        both: bool = False,
        output_law: OutputLaw = "rademacher",
        scaling: Scaling = "ntk",
        dtype=None,
    ):
        """Draws the weights from `key`, or takes them from `weights`.

        Args:
            latent: d, the length of u.
            width: k, the number of hidden units.
            out: n, or the shape of the signal, such as (64, 64).
            key: the random key; W and V come from its purposes 'W' and 'V'.
            weights: (W, V) instead of latent, width and key; `out` then only shapes the signal.
            activation: a name or an `Activation`.
            both: train V as well as W.
            output_law: 'rademacher', 'uniform' or 'truncated-normal'.
            scaling: 'ntk' for the factor 1/√k, 'mean-field' for 1/k.
            dtype: the real dtype of drawn weights; by default JAX's default float.

        Raises:
            ValueError: if sizes are missing, not positive, or disagree with `weights`, or the
                scaling is unknown.
        """
        if scaling not in _EXPONENT:
            raise ValueError(f"unknown scaling {scaling!r}; choose one of {', '.join(_EXPONENT)}")
        self.activation = _activation(activation)
        self.both, self.scaling = both, scaling
        if weights is not None:
            if latent is not None or width is not None or key is not None:
                raise ValueError("give either weights=(W, V) or latent, width and key, not both")
            self.W, self.V = weights
        else:
            if latent is None or width is None or out is None or key is None:
                raise ValueError(
                    "a two-layer network needs latent, width, out and key, or weights=(W, V)"
                )
            latent, width = whole("latent", latent), whole("width", width)
            n = math.prod(signal_shape(out))
            dtype = jnp.dtype(dtype or jnp.result_type(float))
            self.W = jax.random.normal(key_for(key, "W"), (width, latent), dtype)
            self.V = _draw_output(output_law, width, n, key_for(key, "V"), dtype)
        self._check()
        self.out_shape = signal_shape(out, self.V.shape[0])

    def _check(self):
        if self.W.ndim != 2 or self.V.ndim != 2 or self.V.shape[1] != self.W.shape[0]:
            raise ValueError(
                f"W is (k, d) and V is (n, k); got W {self.W.shape} and V {self.V.shape}, whose k "
                "disagree"
            )

    def __call__(self, u: Float[Array, " d"]) -> Array:
        """The signal V φ(W u)/√k (V φ(W u)/k in mean-field scaling), of shape `out_shape`."""
        if u.shape != (self.W.shape[1],):
            raise ValueError(
                f"this network takes a latent of shape {(self.W.shape[1],)}, got {u.shape}; draw "
                f"it by on_sphere({self.W.shape[1]}, key=...)"
            )
        highest = jax.lax.Precision.HIGHEST
        features = self.activation(jnp.matmul(self.W, u, precision=highest))
        x = jnp.matmul(self.V, features, precision=highest) * self.factor
        return x.reshape(self.out_shape)

    @property
    def width(self) -> int:
        """k, the number of hidden units."""
        return self.W.shape[0]

    @property
    def factor(self) -> float:
        """1/√k, or 1/k in mean-field scaling."""
        return self.width ** _EXPONENT[self.scaling]

    def trainable(self) -> Tree:
        """True at W, and at V when both layers train."""
        marks = jax.tree.map(lambda _: False, self)
        return eqx.tree_at(lambda g: (g.W, g.V), marks, (True, self.both))

    @property
    def first_layer(self) -> Float[Array, "k d"]:
        """W."""
        return self.W

    @property
    def last_layer(self) -> LastLayer:
        """V."""
        return LastLayer(self.V, self.both)

    def with_layers(
        self,
        *,
        first: Float[Array, "k d"] | None = None,
        last: Float[Array, "n k"] | None = None,
        out_shape: tuple[int, ...] | None = None,
    ) -> "TwoLayer":
        """The same network with another W, V or signal shape; the factor stays."""
        return TwoLayer(
            weights=(self.W if first is None else first, self.V if last is None else last),
            activation=self.activation,
            both=self.both,
            scaling=self.scaling,  # pyright: ignore[reportArgumentType]
            out=self.out_shape if out_shape is None else out_shape,
        )
