"""Enlarging or shrinking grids by a fixed linear map of few taps, also in gradients.

The output pixel at i looks up two input pixels (one for 'nearest'), and the adjoint sends each
input pixel the sum of the few output pixels that looked it up. Autodiff would make that adjoint a
scatter, which takes twenty times as long on a CPU; so the map is a primitive of its own, whose
transpose is the same lookup in the table of the transposed map.
"""

import functools
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxdip._types import Array, Float

#: How a grid is enlarged.
Upsampling = Literal["linear", "nearest"]


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
    for axis, n in enumerate(grid):
        if x.shape[axis] != n:
            x = _lookup_p.bind(
                x, axis=axis, sizes=(x.shape[axis], int(n)), method=method, adjoint=False
            )
    return x


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


def _lookup(x: Array, *, axis: int, sizes: tuple[int, int], method: str, adjoint: bool) -> Array:
    index, weight = _taps(*sizes, method, adjoint)
    wide = (-1,) + (1,) * (x.ndim - axis - 1)
    # Whatever made x would otherwise be computed again for each tap.
    x = jax.lax.optimization_barrier(x)
    terms = [
        jnp.take(x, index[:, tap], axis=axis, mode="clip")
        * jnp.asarray(weight[:, tap], x.dtype).reshape(wide)
        for tap in range(index.shape[1])
    ]
    return jax.lax.optimization_barrier(functools.reduce(jnp.add, terms))


def _shape(x, *, axis: int, sizes: tuple[int, int], adjoint: bool, **_):
    shape = list(x.shape)
    shape[axis] = sizes[0] if adjoint else sizes[1]
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
_lookup_p.def_impl(jax.jit(_lookup, static_argnames=("axis", "sizes", "method", "adjoint")))
_lookup_p.def_abstract_eval(_shape)
ad.deflinear2(_lookup_p, _transposed)
batching.primitive_batchers[_lookup_p] = _batched
mlir.register_lowering(_lookup_p, mlir.lower_fun(_lookup, multiple_results=False))
