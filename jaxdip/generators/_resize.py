"""Enlarging or shrinking grids by a fixed linear map of few taps, also in gradients.

The output pixel at i looks up two input pixels (one for 'nearest'), and the adjoint sends each
input pixel the sum of the few output pixels that looked it up. Autodiff would make that adjoint a
scatter, which takes twenty times as long on a CPU; so the map is a primitive of its own, whose
transpose is the same lookup in the table of the transposed map.
"""

import functools
import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxdip._types import Array, Float

#: How a grid is enlarged.
Upsampling = Literal["linear", "nearest"]

#: Of each axis of pixels, the extent before and after.
_Sizes: TypeAlias = tuple[tuple[int, int], ...]

#: Bytes of the new grid that are made at a time on a CPU: a few such buffers fit its cache.
_CACHED = 2**20


def resized(x: Float[Array, "..."], grid: Sequence[int], method: Upsampling) -> Float[Array, "..."]:
    """The same picture on another grid: the first axes of `x` are pixels, the rest stay.

    Pixels sit at half-integers. 'linear' interpolates between the two nearest in each axis (bi- or
    trilinear; PyTorch's align_corners=False), with ends replicated and no smoothing when shrinking;
    'nearest' takes the nearest, of two equally near ones the right.

    Args:
        x: shape (*pixels, ...), with as many pixel axes as `grid` has.
        grid: the new extents.
        method: 'linear' or 'nearest'.
    """
    sizes = tuple((x.shape[axis], int(n)) for axis, n in enumerate(grid))
    if all(start == end for start, end in sizes):
        return x
    return _lookup_p.bind(x, axis=0, sizes=sizes, method=method, adjoint=False)


def _matrix(start: int, end: int, method: str) -> np.ndarray:
    """The map along one axis, shape (end, start)."""
    at = (np.arange(end) + 0.5) * start / end - 0.5
    left = np.floor(at if method == "linear" else at + 0.5).astype(int)
    weight = at - left if method == "linear" else np.zeros(end)
    matrix = np.zeros((end, start))
    rows = np.arange(end)
    np.add.at(matrix, (rows, np.clip(left, 0, start - 1)), 1 - weight)
    np.add.at(matrix, (rows, np.clip(left + 1, 0, start - 1)), weight)
    return matrix


@functools.cache
def _taps(start: int, end: int, method: str, adjoint: bool) -> tuple[np.ndarray, np.ndarray]:
    """Per output pixel, the input pixels that it looks up and their weights, padded by zeros."""
    matrix = _matrix(start, end, method)
    matrix = matrix.T if adjoint else matrix
    count = max(1, int((matrix != 0).sum(1).max()))
    index = np.zeros((len(matrix), count), int)
    weight = np.zeros((len(matrix), count))
    for i, row in enumerate(matrix):
        found = np.flatnonzero(row)
        index[i, : len(found)] = found
        index[i, len(found) :] = found[-1] if len(found) else 0
        weight[i, : len(found)] = row[found]
    return index, weight


def _taken(x: Array, axis: int, index: np.ndarray, weight: np.ndarray) -> Array:
    """Σ_t weight[i, t] · x[index[i, t]] along one axis."""
    # By rows of what follows the axis, which lie together: a lookup along an inner axis would be
    # laid out with that axis first, and turned round afterwards.
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    count = math.prod(before)
    rows = x.reshape(count * x.shape[axis], *after)
    shift = x.shape[axis] * np.arange(count)[:, None]
    return _weighted(
        rows,
        [(shift + tap).reshape(-1) for tap in index.T],
        [jnp.tile(jnp.asarray(tap, x.dtype), count) for tap in weight.T],
    ).reshape(*before, len(index), *after)


def _weighted(rows: Array, index: Sequence, weight: Sequence[Array]) -> Array:
    """Σ_t weight[t] · rows[index[t]]."""
    wide = (-1,) + (1,) * (rows.ndim - 1)
    terms = [
        rows.at[i].get(mode="promise_in_bounds") * w.reshape(wide)
        for i, w in zip(index, weight, strict=True)
    ]
    return functools.reduce(jnp.add, terms)


def _lookup(x: Array, *, axis: int, sizes: _Sizes, method: str, adjoint: bool) -> Array:
    """One axis after the other."""
    for i, (start, end) in enumerate(sizes, start=axis):
        if start != end:
            # Whatever made x would otherwise be computed again for each tap.
            x = jax.lax.optimization_barrier(x)
            x = _taken(x, i, *_taps(start, end, method, adjoint))
    return jax.lax.optimization_barrier(x)


def _lookup_on_cpu(x: Array, *, axis: int, sizes: _Sizes, method: str, adjoint: bool) -> Array:
    """All axes at once, a few rows of the new grid after the other.

    The buffers of the taps then stay in cache. And what a loop returns is stored, while a sum of
    taps would be computed again by each that reads it, for this platform keeps no barriers.
    """
    batch, pixels = x.shape[:axis], x.shape[axis:]
    if batch:
        whole = functools.partial(
            _lookup_on_cpu, axis=0, sizes=sizes, method=method, adjoint=adjoint
        )
        made = jax.lax.map(whole, x.reshape(-1, *pixels))
        return made.reshape(*batch, *made.shape[1:])
    ends = [start if adjoint else end for start, end in sizes]
    index, weight = _taps(*sizes[0], method, adjoint)
    row = math.prod([*ends[1:], *pixels[len(sizes) :]]) * x.dtype.itemsize
    count = max(1, min(ends[0], _CACHED // row))
    parts = -(-ends[0] // count)
    # The last part may repeat the last row: all have as many.
    order = np.minimum(np.arange(parts * count), ends[0] - 1).reshape(parts, count)

    def some(taps):
        rows = _weighted(x, *(list(table.T) for table in taps))
        for i, (start, end) in enumerate(sizes[1:], start=1):
            if start != end:
                rows = _taken(rows, i, *_taps(start, end, method, adjoint))
        return rows

    made = jax.lax.map(some, (jnp.asarray(index[order]), jnp.asarray(weight[order], x.dtype)))
    return made.reshape(parts * count, *made.shape[2:])[: ends[0]]


def _shape(x, *, axis: int, sizes: _Sizes, adjoint: bool, **_):
    shape = list(x.shape)
    shape[axis : axis + len(sizes)] = [start if adjoint else end for start, end in sizes]
    return x.update(shape=tuple(shape))


def _transposed(cotangent, x, *, adjoint: bool, **how):
    del x
    if type(cotangent) is ad.Zero:
        return [cotangent]
    return [_lookup_p.bind(cotangent, adjoint=not adjoint, **how)]


def _batched(arguments, dims, *, axis: int, **how):
    x = jnp.moveaxis(arguments[0], dims[0], 0)
    return _lookup_p.bind(x, axis=axis + 1, **how), 0


_lookup_p = Primitive("resize_lookup")
_lookup_p.def_impl(jax.jit(_lookup_p.bind, static_argnames=("axis", "sizes", "method", "adjoint")))
_lookup_p.def_abstract_eval(_shape)
ad.deflinear2(_lookup_p, _transposed)
batching.primitive_batchers[_lookup_p] = _batched
mlir.register_lowering(_lookup_p, mlir.lower_fun(_lookup, multiple_results=False))
mlir.register_lowering(
    _lookup_p, mlir.lower_fun(_lookup_on_cpu, multiple_results=False), platform="cpu"
)
