"""Arithmetic on pytrees of arrays, which is how θ is added, scaled and measured."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array, RealScalar, Tree


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
    products = jax.tree.leaves(
        jax.tree.map(
            lambda p, q: jnp.vdot(p, q, precision=jax.lax.Precision.HIGHEST),
            x,
            y,
        )
    )
    return sum(products[1:], start=products[0])


def tree_norm(x: Tree) -> Array:
    """‖x‖, the Euclidean norm over all leaves."""
    return jnp.sqrt(tree_dot(x, x))


def tree_where(condition: Array, x: Tree, y: Tree) -> Tree:
    """x where the scalar `condition` holds, else y; never multiplies, so NaN cannot leak."""
    return jax.tree.map(lambda p, q: jnp.where(condition, p, q), x, y)


def tree_dtype(x: Tree) -> jnp.dtype:
    """The widest dtype among the leaves."""
    return jnp.result_type(*jax.tree.leaves(x))
