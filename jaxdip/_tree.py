"""Arithmetic on pytrees of arrays, which is how θ is added, scaled and measured."""

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxdip._types import Array, RealScalar, Tree


def is_concrete(*trees: Tree) -> bool:
    """Whether values can be looked at, which they cannot while JAX traces.

    Look at them by NumPy: under jit, JAX traces what is computed from constants too.
    """
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def _scalar_like(a: RealScalar, leaf: Array) -> RealScalar:
    """`a` in the leaf's dtype: a float64 step size must not promote float32 weights."""
    return a.astype(leaf.dtype) if isinstance(a, jax.Array) else a


def tree_add(x: Tree, y: Tree) -> Tree:
    """x + y."""
    return jax.tree.map(lambda p, q: p + q, x, y)


def tree_sub(x: Tree, y: Tree) -> Tree:
    """x − y."""
    return jax.tree.map(lambda p, q: p - q, x, y)


def tree_scale(a: RealScalar, x: Tree) -> Tree:
    """a x."""
    return jax.tree.map(lambda p: _scalar_like(a, p) * p, x)


def tree_axpy(a: RealScalar, x: Tree, y: Tree) -> Tree:
    """a x + y."""
    return jax.tree.map(lambda p, q: _scalar_like(a, p) * p + q, x, y)


def tree_dot(x: Tree, y: Tree) -> Array:
    """⟨x, y⟩, summed over all leaves; real trees only."""
    highest = jax.lax.Precision.HIGHEST
    products = jax.tree.map(lambda p, q: jnp.vdot(p, q, precision=highest), x, y)
    return jnp.sum(jnp.stack(jax.tree.leaves(products)))


def tree_norm(x: Tree) -> Array:
    """‖x‖, the Euclidean norm over all leaves."""
    return jnp.sqrt(tree_dot(x, x))


def tree_dtype(x: Tree) -> jnp.dtype:
    """The widest dtype among the leaves."""
    return jnp.result_type(*jax.tree.leaves(x))
