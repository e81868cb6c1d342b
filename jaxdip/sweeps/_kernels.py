"""Programs that compute a batch of trials: one after another, in tiles, or in refilled lanes."""

from collections.abc import Callable, Hashable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Bool, Int, Key, Tree
from jaxdip.sweeps._trial import AbstractLoopTrial, AbstractPaddedTrial, AbstractTrial

#: Bytes of the states that wait to be continued.
_WAITING = 2**24


@eqx.filter_jit
def one_by_one(
    trial: AbstractTrial, program: Hashable, numbers: Tree, cell_key: Key, ids: Int[Array, " T"]
) -> dict[str, Array]:
    """Trials of one cell, one after another: each in cache, each with its own end.

    The body does not see how many there are, so the bits of a trial do not depend on its company;
    a batched program's would (its vector loops are other ones for another batch).

    Args:
        trial: the trial.
        program: of the cell.
        numbers: of the cell.
        cell_key: see `sweeps.cell_key`.
        ids: which trials.

    Returns:
        The outcomes, stacked.
    """

    def one(i: Array) -> dict[str, Array]:
        return trial.run(jax.random.fold_in(cell_key, i), program, numbers)

    return jax.lax.map(one, ids)


def begun_apart(
    trial: AbstractPaddedTrial,
    program: Hashable,
    numbers: Tree,
    cell_key: Key,
    ids: Int[Array, " T"],
) -> dict[str, Array]:
    """As `one_by_one`, in two programs: what begins the trials is shared by many of those that end.

    The states wait in memory in between, so they are made a few at a time.

    Args:
        trial: the trial.
        program: of the cell.
        numbers: of the cell.
        cell_key: see `sweeps.cell_key`.
        ids: which trials.

    Returns:
        The outcomes, stacked.
    """
    size = together(trial, program, numbers, cell_key, ids)
    first, parts = trial.beginning(program), []
    for start in range(0, len(ids), size):
        # As many every time, for one program; of the last, only those that are wanted.
        wanted = np.int32(min(size, len(ids) - start))
        some = ids[start + np.minimum(np.arange(size), wanted - 1)]
        states = begin_each(trial, first, numbers, cell_key, some, wanted)
        made = end_each(trial, program, states, wanted)
        parts.append(jax.tree.map(lambda x, n=wanted: x[:n], jax.device_get(made)))
    return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)


def together(
    trial: AbstractPaddedTrial,
    program: Hashable,
    numbers: Tree,
    cell_key: Key,
    ids: Int[Array, " T"],
) -> int:
    """How many states `begun_apart` makes at a time: as many as take 16 MiB, in equal parts."""
    # The compiled function's own trace, which is kept: this is asked for each unit.
    call = (trial, trial.beginning(program), numbers, cell_key, ids, np.int32(len(ids)))
    states = eqx.filter_eval_shape(begin_each, *call)
    whole = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(states))
    return -(-len(ids) // max(1, -(-whole // _WAITING)))


@eqx.filter_jit
def begin_each(
    trial: AbstractLoopTrial,
    program: Hashable,
    numbers: Tree,
    cell_key: Key,
    ids: Int[Array, " T"],
    wanted: Int[Array, ""] | np.int32,
) -> Tree:
    """The states of the first `wanted` trials, stacked; zeros beyond."""

    def one(i: Array) -> Tree:
        return trial.begin(jax.random.fold_in(cell_key, i), program, numbers)

    return _each(one, ids, wanted)


@eqx.filter_jit
def end_each(
    trial: AbstractPaddedTrial, program: Hashable, states: Tree, wanted: Int[Array, ""] | np.int32
) -> dict[str, Array]:
    """The outcomes of the first `wanted` of those states, one after another; zeros beyond."""

    def one(state: Tree) -> dict[str, Array]:
        state = trial.cut(program, state)
        state = jax.lax.while_loop(trial.running, partial(trial.step, program), state)
        return trial.outcome(program, state)

    return _each(one, states, wanted)


def _each(function: Callable[..., Tree], xs: Tree, wanted: Int[Array, ""] | np.int32) -> Tree:
    """`function` of the first so many of xs. The body does not see how many: see `one_by_one`."""
    size = jax.tree.leaves(xs)[0].shape[0]
    shapes = jax.eval_shape(function, jax.tree.map(lambda x: x[0], xs))
    out = jax.tree.map(lambda s: jnp.zeros((size, *s.shape), s.dtype), shapes)

    def body(i: Array, out: Tree) -> Tree:
        made = function(jax.tree.map(lambda x: x[i], xs))
        return jax.tree.map(lambda x, y: x.at[i].set(y), out, made)

    return jax.lax.fori_loop(0, wanted, body, out)


@eqx.filter_jit
def in_tile(
    trial: AbstractTrial,
    program: Hashable,
    numbers: Tree,
    cell_keys: Key,
    cell: Int[Array, " T"],
    ids: Int[Array, " T"],
    width: int,
) -> dict[str, Array]:
    """Trials of several cells of one program in tiles, all of a tile until its last has ended.

    For accelerators and trials that are no loop of steps. The bits of a trial depend on the width
    of a tile, but not on its company.

    Args:
        trial: the trial.
        program: of all cells.
        numbers: of the cells, stacked.
        cell_keys: of the cells, shape (C,).
        cell: of each trial, a position in `cell_keys`.
        ids: which trial of its cell; T is a multiple of `width`.
        width: how many are side by side.

    Returns:
        The outcomes in the order of `ids`.
    """

    def one(here: Array, i: Array) -> dict[str, Array]:
        key = jax.random.fold_in(cell_keys[here], i)
        return trial.run(key, program, jax.tree.map(lambda x: x[here], numbers))

    tiles = (cell.reshape(-1, width), ids.reshape(-1, width))
    made = jax.lax.map(lambda tile: jax.vmap(one)(*tile), tiles)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), made)


class _Lanes(NamedTuple):
    """The carry of `in_lanes`.

    Attributes:
        states: one a lane.
        job: the position of the lane's trial in the list, or −1.
        next: the first position not yet begun.
        out: outcomes by position.
    """

    states: Tree
    job: Int[Array, " W"]
    next: Int[Array, ""]
    out: dict[str, Array]


@eqx.filter_jit
def in_lanes(
    trial: AbstractLoopTrial,
    program: Hashable,
    numbers: Tree,
    cell_keys: Key,
    cell: Int[Array, " T"],
    ids: Int[Array, " T"],
    width: int,
    chunk: int = 64,
    count: Int[Array, ""] | None = None,
) -> dict[str, Array]:
    """Trials of several cells of one program in `width` lanes; a lane that ends takes the next.

    For accelerators, which are idle while one trial of a batch runs on. A lane is refilled when a
    quarter of all has ended. The bits of a trial depend on `width`, but neither on its lane nor on
    its company (healthy lanes do not see a NaN in another: values are selected, not multiplied).

    Args:
        trial: the trial, as a loop.
        program: of all cells.
        numbers: of the cells, stacked.
        cell_keys: of the cells, shape (C,).
        cell: of each trial, a position in `cell_keys`.
        ids: which trial of its cell.
        width: W ≥ 1.
        chunk: steps between looks at who has ended.
        count: how many of `ids` are wanted, from the first; by default all. A number, so that
            lists of one length share a program.

    Returns:
        The outcomes in the order of `ids`; zeros beyond `count`.
    """
    size = ids.shape[0]
    total = jnp.asarray(size if count is None else count, jnp.int32)

    def begin(j: Array) -> Tree:
        here = cell[j]
        key = jax.random.fold_in(cell_keys[here], ids[j])
        return trial.begin(key, program, jax.tree.map(lambda x: x[here], numbers))

    running = jax.vmap(trial.running)

    def live(states: Tree, job: Array) -> Bool[Array, " W"]:
        return running(states) & (job >= 0)

    def step(state: Tree, on: Array) -> Tree:
        new = trial.step(program, state)
        return jax.tree.map(lambda a, b: jnp.where(on, a, b), new, state)

    def some_steps(carry):
        states, job = carry
        for_each = jax.vmap(step)
        body = lambda _, s: for_each(s, live(s, job))  # noqa: E731
        return jax.lax.fori_loop(0, chunk, body, states), job

    def busy(carry):
        on = live(*carry)
        held = jnp.sum(carry[1] >= 0, dtype=jnp.int32)
        ended = held - jnp.sum(on, dtype=jnp.int32)
        return jnp.any(on) & (4 * ended < held)

    def refill(lanes: _Lanes) -> _Lanes:
        states, job = jax.lax.while_loop(busy, some_steps, (lanes.states, lanes.job))
        ended = (job >= 0) & ~running(states)
        made = jax.vmap(partial(trial.outcome, program))(states)
        place = jnp.where(ended, job, size)
        out = jax.tree.map(lambda x, y: x.at[place].set(y, mode="drop"), lanes.out, made)
        rank = jnp.cumsum(ended, dtype=jnp.int32) - 1
        following = lanes.next + rank
        job = jnp.where(ended, jnp.where(following < total, following, -1), job)
        renewed = ended & (job >= 0)

        def renew(states):
            fresh = jax.vmap(begin)(jnp.clip(job, 0, size - 1))
            return jax.tree.map(lambda a, b: _where(renewed, a, b), fresh, states)

        # Trials take long to draw: not for the last ones, after which there is nothing to begin.
        states = jax.lax.cond(jnp.any(renewed), renew, lambda states: states, states)
        return _Lanes(states, job, lanes.next + jnp.sum(ended, dtype=jnp.int32), out)

    lane = jnp.arange(width, dtype=jnp.int32)
    states = jax.vmap(begin)(jnp.minimum(lane, size - 1))
    shapes = jax.eval_shape(jax.vmap(partial(trial.outcome, program)), states)
    out = jax.tree.map(lambda s: jnp.zeros((size, *s.shape[1:]), s.dtype), shapes)
    first = _Lanes(states, jnp.where(lane < total, lane, -1), jnp.minimum(width, total), out)
    return jax.lax.while_loop(lambda x: jnp.any(x.job >= 0), refill, first).out


def _where(on: Bool[Array, " W"], a: Array, b: Array) -> Array:
    return jnp.where(on.reshape(on.shape + (1,) * (a.ndim - 1)), a, b)
