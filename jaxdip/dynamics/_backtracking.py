"""Backtracking: how often a trial step must shrink until it is good enough."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Tree
from jaxdip.dynamics._checks import count, fraction, given

#: A decrease below this many units of rounding of f cannot be seen, so it is not asked for.
_ROUNDING = 8.0


class Numbers(NamedTuple):
    """The checked numbers of a backtracking rule."""

    decrease: Array
    shrink: Array
    growth: Array
    most: int


def check_numbers(decrease, shrink, growth, most) -> Numbers:
    """The numbers as arrays, in range where that can be seen.

    Raises:
        TypeError, ValueError: unless 0 < decrease < 1, 0 < shrink < 1, growth ≥ 1 and most ≥ 1.
    """
    c, rho = fraction("decrease", decrease), fraction("shrink", shrink)
    grow = given("growth", growth, positive=True)
    if is_concrete(grow) and not float(grow) >= 1:
        raise ValueError(f"growth is at least 1, got {float(grow):g}")
    return Numbers(c, rho, grow, count("most", most, 1))


def slack(value: Array) -> Array:
    """The rounding of f, below which decrease and increase cannot be told apart."""
    return _ROUNDING * float(jnp.finfo(value.dtype).eps) * jnp.abs(value)


def frozen(tree: Tree) -> Tree:
    """The tree without derivatives, so that reverse mode passes a loop that only counts."""
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(jax.lax.stop_gradient, arrays), rest)


def reductions(good: Callable[[Array], Array], most: int) -> Array:
    """The least i for which good(i), at most `most`."""

    def body(carry):
        i, _ = carry
        return i + 1, good(i + 1)

    def unfinished(carry):
        i, done = carry
        return ~done & (i < most)

    zero = jnp.asarray(0, jnp.int32)
    return jax.lax.while_loop(unfinished, body, (zero, good(zero)))[0]
