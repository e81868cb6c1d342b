"""A Gaussian matrix that is drawn anew whenever it is applied, a few rows at a time."""

import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._random import check_key
from jaxdip._types import Array, Key
from jaxdip.operators._coordinates import check_dense_size, conform, is_complex
from jaxdip.operators._spectral import AbstractDenseSpectrum
from jaxdip.operators._structure import signal_structure

#: The entries of a chunk unless told otherwise: 32 MB in double precision.
_CHUNK = 4_000_000


class ChunkedGaussian(AbstractDenseSpectrum):
    """A x = M x for a random matrix M with independent entries N(0, 1/m) that is never stored.

    Row i is drawn from the key folded with i whenever it is needed, `chunk` rows at a time: memory
    is bounded by a chunk, under differentiation too, and M does not depend on `chunk`. Time is what
    this costs: m·n random numbers for each application, some 20 ns each on a CPU core. Where that
    is too slow, `SubsampledHadamard` and its kin do the same job. Complex entries are circular,
    E|M_ij|² = 1/m. The first rows do not depend on m up to the factor 1/√m.

    `matrix()` and everything about the spectrum build M, and refuse to beyond 2e8 entries; then
    `estimate_norm` helps.
    """

    key: Key
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)
    data: int = eqx.field(static=True)
    chunk: int = eqx.field(static=True)

    def __init__(
        self,
        shape: int | tuple[int, ...],
        m: int,
        key: Key,
        *,
        chunk: int | None = None,
        dtype: Any = None,
    ):
        """Keep the key.

        Args:
            shape: the shape of a signal.
            m: the number of observations.
            key: the random key, of JAX's default kind, threefry2x32.
            chunk: how many rows are drawn together; as many as have 4e6 entries by default.
            dtype: of the entries and the signal; the default real dtype if None.

        Raises:
            ValueError: if m or `chunk` is not positive, or the key is of another kind.
        """
        check_key(key)
        kind = str(jax.random.key_impl(key))
        if "threefry2x32" not in kind:
            # Others draw differently in a batch than alone: M would depend on the chunk.
            raise ValueError(f"rows are drawn from keys of kind threefry2x32, got one of {kind}")
        self.in_structure = signal_structure(shape, dtype)
        n = math.prod(self.in_structure.shape)
        chunk = min(m, max(1, _CHUNK // n)) if chunk is None else chunk
        if m < 1 or chunk < 1:
            raise ValueError(
                f"a chunked Gaussian has m >= 1 and chunk >= 1, got m={m}, chunk={chunk}"
            )
        self.key, self.data, self.chunk = key, m, chunk

    def __call__(self, x: Array) -> Array:
        """M x, shape (m,)."""
        x = conform(x, self.in_structure, "ChunkedGaussian").ravel()
        return self._over_chunks(lambda rows: jnp.matmul(rows, x, precision="highest")).ravel()[
            : self.data
        ]

    def adjoint(self, y: Array) -> Array:
        """M* y."""
        y = conform(y, self.out_structure, "ChunkedGaussian.adjoint")
        chunks = self._starts.size
        pieces = jnp.pad(y, (0, chunks * self.chunk - y.size)).reshape(chunks, self.chunk)
        body = functools.partial(_add_rows, rows_from=self._rows)
        empty = jnp.zeros(self.n, self.in_structure.dtype)
        x, _ = jax.lax.scan(body, empty, (self._starts, pieces))
        return x.reshape(self.in_structure.shape)

    def matrix(self) -> Array:
        """M, shape (m, n), drawn as it is applied (a ValueError beyond 2e8 entries)."""
        check_dense_size(self.data, self.n)
        return self._over_chunks(lambda rows: rows).reshape(-1, self.n)[: self.data]

    @property
    def complex_linear(self) -> bool:
        """Signals are complex."""
        return is_complex(self.in_structure)

    @property
    def orthonormal_rows(self) -> bool:
        """False: they are so in the mean only."""
        return False

    @property
    def _starts(self) -> Array:
        return jnp.arange(0, self.data, self.chunk, dtype=jnp.int32)

    def _rows(self, start: Array) -> Array:
        """The rows start, ..., start + chunk − 1; rows beyond m are drawn and dropped later."""
        places = start + jnp.arange(self.chunk, dtype=jnp.int32)
        dtype = self.in_structure.dtype
        return _draw_rows(self.key, places, self.n, dtype) * jnp.asarray(self.data**-0.5, dtype)

    def _over_chunks(self, function: Callable[[Array], Array]) -> Array:
        # Without the checkpoint, reverse differentiation would keep every chunk.
        one = jax.checkpoint(lambda start: function(self._rows(start)))
        return jax.lax.map(one, self._starts)


# Its own program: it is traced once for all that is derived from it.
@functools.partial(jax.jit, static_argnums=(2, 3))
def _draw_rows(key: Key, places: Array, n: int, dtype: Any) -> Array:
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, places)
    return jax.vmap(lambda one: jax.random.normal(one, (n,), dtype))(keys)


def _add_rows(
    x: Array, piece: tuple[Array, Array], rows_from: Callable[[Array], Array]
) -> tuple[Array, None]:
    start, y = piece
    add = jax.checkpoint(lambda y: jnp.matmul(y, rows_from(start).conj(), precision="highest"))
    return x + add(y), None
