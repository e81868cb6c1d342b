"""The papers' experiment drawn: operator, network and signal of one trial from its key."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._random import keys_for
from jaxdip._types import Array, Float, Key
from jaxdip.generators import OUTPUT_BOUND
from jaxdip.trials._two_layer_point import Numbers, Program

_HIGHEST = jax.lax.Precision.HIGHEST
#: The standard normal cut at ±2, as `TwoLayer` draws it: P(|X| ≤ 2), and its standard deviation.
_CUT_MASS = math.erf(math.sqrt(2))
_CUT_STD = 2.0 / OUTPUT_BOUND["truncated-normal"]


class Data(NamedTuple):
    """A drawn trial; the padding of every array is 0.

    Attributes:
        M: A V/√k.
        y: A x̄ + ε.
        V: V/√k.
        signal: x̄.
        z: z0.
    """

    M: Float[Array, "m K"]
    y: Float[Array, " m"]
    V: Float[Array, "n K"]
    signal: Float[Array, " n"]
    z: Float[Array, " K"]


def draw(key: Key, program: Program, numbers: Numbers) -> Data:
    """The trial's data, the same whatever they are padded to."""
    dtype = jnp.dtype(program.dtype)
    m_max, n_max, K = program.observations, program.entries, program.width
    # One folding of purposes, one of rows, one draw and one inverse error function for all: each
    # takes long to compile. A row's first entries do not depend on its length, and rows
    # have keys of their own.
    keys = keys_for(key, ("operator", "output", "signal", "noise", "init"))
    rows, columns = _row_keys(keys[0], m_max, keys[1], n_max)
    length = max(m_max, n_max, K)
    drawn = _uniform(jnp.concatenate([rows, keys[2:4], columns, keys[4:]]), length, dtype)
    narrow, wide = drawn[: m_max + 2, : max(m_max, n_max)], drawn[m_max + 2 :, :K]
    narrow, z, V = _transform(program.output_law, narrow, wide)
    in_m, in_n, in_k = (
        jnp.arange(size, dtype=jnp.int32) < count
        for size, count in ((m_max, numbers.m), (n_max, numbers.n), (K, numbers.k))
    )
    A = jnp.where(in_m[:, None] & in_n, narrow[:m_max, :n_max], 0.0)
    signal = jnp.where(in_n, narrow[m_max, :n_max], 0.0)
    noise = jnp.where(in_m, narrow[m_max + 1, :m_max], 0.0)
    V = jnp.where(in_n[:, None] & in_k, V, 0.0) / jnp.sqrt(numbers.k.astype(dtype))
    return Data(
        M=jnp.matmul(A, V, precision=_HIGHEST),
        y=jnp.matmul(A, signal, precision=_HIGHEST) + numbers.noise * noise,
        V=V,
        signal=signal,
        z=jnp.where(in_k, z, 0.0),
    )


def _row_keys(one: Key, count: int, other: Key, others: int) -> tuple[Key, Key]:
    """The keys of the rows 0, 1, … of two matrices."""
    base = jnp.concatenate([jnp.broadcast_to(one, (count,)), jnp.broadcast_to(other, (others,))])
    index = np.concatenate([np.arange(count), np.arange(others)]).astype(np.uint32)
    keys = jax.vmap(jax.random.fold_in)(base, index)
    return keys[:count], keys[count:]


def _uniform(keys: Key, length: int, dtype: np.dtype) -> Array:
    """Uniform numbers in ]−1, 1[, from which `jax.random.normal` makes its own."""
    low = float(np.nextafter(dtype.type(-1), dtype.type(0)))
    return jax.vmap(lambda key: jax.random.uniform(key, (length,), dtype, low, 1.0))(keys)


def _transform(law: str, narrow: Array, wide: Array) -> tuple[Array, Array, Array]:
    """Normal narrow rows and z0, and V by its law, from uniform numbers."""
    V, z = wide[:-1], wide[-1]
    parts = [narrow.ravel(), z]
    if law == "truncated-normal":
        parts.append(_CUT_MASS * V.ravel())
    normal = math.sqrt(2.0) * jax.lax.erf_inv(jnp.concatenate(parts))
    if law == "truncated-normal":
        V = normal[narrow.size + z.size :].reshape(V.shape) / _CUT_STD
    elif law == "uniform":
        V = OUTPUT_BOUND["uniform"] * V
    else:
        # As `jax.random.rademacher` has it: 1 in the lower half.
        V = jnp.where(V < 0, 1.0, -1.0).astype(V.dtype)
    return normal[: narrow.size].reshape(narrow.shape), normal[narrow.size :][: z.size], V
