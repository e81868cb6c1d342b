"""What both drivers share: the start of a run, its records, and its end."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._result import RESULTS, Solution
from jaxdip._tree import is_concrete
from jaxdip._types import Array, Tree
from jaxdip.dynamics._checkpoint import Checkpoint
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Lift, Parameters, Problem, parametrize, reduce, unreduced


class Progress(NamedTuple):
    """What a watcher is told after each record.

    Attributes:
        done: records made so far, the first included.
        total: records that a full run makes.
        t: the time of the last record.
        observed: its observables.
        checkpoint: where a discrete run stands, to be saved and resumed; None for a flow.
    """

    done: int
    total: int
    t: Array
    observed: dict[str, Array]
    checkpoint: Checkpoint | None = None


#: Called between compiled stretches of a run; returning True stops the run there.
Watch = Callable[[Progress], bool | None]


@eqx.filter_jit
def start(
    problem: Problem, generator: AbstractGenerator, reducing: bool
) -> tuple[Lift, Parameters, Tree]:
    """The way back from the run's coordinates, f in those coordinates, and θ0."""
    smaller, first, lift = (reduce if reducing else unreduced)(problem, generator)
    f, theta = parametrize(smaller, first)
    return lift, f, theta


def blank(tree: Tree) -> Tree:
    """A record never reached: NaN, or zero where the dtype has no NaN."""

    def fill(x):
        inexact = jnp.issubdtype(x.dtype, jnp.inexact)
        return jnp.full(x.shape, jnp.nan if inexact else 0, x.dtype)

    return jax.tree.map(fill, tree)


def all_finite(tree: Tree) -> Array:
    """Whether every number of a tree is finite."""
    flags = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(flags))


def trim(ts: Array, observed: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Without the records never reached, where values can be looked at."""
    if not is_concrete(ts) or ts.ndim != 1:
        return ts, observed
    reached = int(np.sum(np.isfinite(np.asarray(ts))))
    if reached == ts.shape[0]:
        return ts, observed
    return ts[:reached], {name: rows[:reached] for name, rows in observed.items()}


def check_watch(watch: Watch | None) -> None:
    """Refuses a watcher that cannot be called.

    Raises:
        TypeError: unless it is a function, or None.
    """
    if watch is not None and not callable(watch):
        raise TypeError(f"watch is a function of a Progress, got {type(watch).__name__}")


def check_watchable(state: Tree) -> None:
    """Refuses to watch where JAX traces.

    Raises:
        ValueError: inside jit, vmap or grad.
    """
    if not is_concrete(state):
        raise ValueError(
            "watch is called between compiled stretches, so not inside jit, vmap or grad; call the "
            "driver outside, or leave watch out"
        )


def raise_if_failed(solution: Solution) -> None:
    """Turns a failed run into an exception, for callers who asked for that.

    Raises:
        RuntimeError: if the run diverged, ran out of steps, or the solver failed.
    """
    if not is_concrete(solution.ts):
        raise ValueError("throw=True cannot look at results inside jit or vmap; read .result")
    for bad in (RESULTS.diverged, RESULTS.out_of_steps, RESULTS.solver_failed):
        if bool(solution.result == bad):
            raise RuntimeError(RESULTS[bad])
