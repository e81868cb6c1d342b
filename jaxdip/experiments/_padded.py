"""Two-layer networks of any width in one compiled program."""

import jax
import jax.numpy as jnp

from jaxdip._random import key_for
from jaxdip._types import Array, Key, RealScalar
from jaxdip.generators import TwoLayer


def padded_network(
    key: Key,
    n: int,
    k: RealScalar,
    widest: int,
    *,
    activation: str = "sigmoid",
    deviation: RealScalar = 1.0,
) -> TwoLayer:
    """The network V φ(W u)/√k that trains W, among `widest` units of which all but k are idle.

    An idle unit has a column of zeros in V, so that it neither speaks nor moves; V is scaled by
    √(widest/k), which turns the factor 1/√widest into 1/√k. So k may be traced. The latent is one
    number, for d does not enter: u = (1,).

    Args:
        key: of W and V = ±1; a wider network begins with the units of a narrower one.
        n: the size of the signal.
        k: the width, at most `widest`.
        widest: how many units are held.
        activation: by name.
        deviation: the standard deviation of the entries of W at the start.
    """
    units = jnp.arange(widest)
    # Unit by unit, for a draw of other length has other entries.
    keys = [jax.vmap(lambda i, one=one: jax.random.fold_in(key_for(key, one), i))(units)
            for one in ("W", "V")]  # fmt: skip
    W = deviation * jax.vmap(lambda one: jax.random.normal(one, (1,)))(keys[0])
    V = jax.vmap(lambda one: jax.random.rademacher(one, (n,), dtype=W.dtype))(keys[1]).T
    k = jnp.asarray(k, W.dtype)
    used: Array = (units.astype(W.dtype) < k).astype(W.dtype)
    return TwoLayer(weights=(W, V * used * jnp.sqrt(widest / k)), activation=activation)
