"""The run from record to record: compiled stretches, and what happens between them."""

import os
from collections.abc import Callable, Sequence
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._fingerprint import Fingerprint
from jaxdip._types import Array
from jaxdip.dynamics import Checkpoint, Progress, check_resumable, load_checkpoint
from jaxdip.reconstruction._lane import Lane, batch
from jaxdip.reconstruction._loop import (
    Loop,
    State,
    run_to,
    run_together,
    start,
    start_together,
)
from jaxdip.reconstruction._memory import Memory


class Runner:
    """Several starts: one after another through one program, or all in one batched program.

    On a CPU the first is faster: a core works on one start at a time either way, and in a batch
    each start waits for the slowest.
    """

    def __init__(self, lanes: Sequence[Lane], records: int, together: bool):
        """Compiles nothing yet."""
        self._lanes, self._records = lanes, records
        self._batch = batch(lanes) if together else None

    def first(self) -> list[State]:
        """The states at the start."""
        if self._batch is not None:
            own, shared, theta = self._batch
            return [start_together(own, shared, theta, self._records)]
        return [start(one.loop, one.theta, self._records) for one in self._lanes]

    def to(self, states: list[State], end: int) -> list[State]:
        """The states at the record of a step."""
        limit = jnp.asarray(end, jnp.int32)
        if self._batch is not None:
            return [run_together(self._batch.own, self._batch.shared, states[0], limit)]
        return [
            state if bool(state.done) else run_to(one.loop, state, limit)
            for one, state in zip(self._lanes, states, strict=True)
        ]

    def memory(self, states: list[State]) -> Memory:
        """What `to` takes; compiles the program that `to` then uses."""
        limit = jnp.asarray(0, jnp.int32)
        if self._batch is not None:
            own, shared, _ = self._batch
            program = cast(Any, run_together).lower(own, shared, states[0], limit)
        else:
            program = cast(Any, run_to).lower(self._lanes[0].loop, states[0], limit)
        analysis = program.compile().compiled.memory_analysis()
        step = 0 if analysis is None else analysis.temp_size_in_bytes
        leaves = jax.tree.leaves(eqx.filter(states, eqx.is_inexact_array))
        return Memory(step, 2 * sum(leaf.nbytes for leaf in leaves), len(self._lanes))

    def ended_by_caller(self, states: list[State]) -> list[State]:
        """Every unfinished run looked at where it stands, as its last step."""
        ended = []
        for loop, state in self._single(states):
            last = eqx.tree_at(lambda loop: loop.steps, loop, state.step)
            ended.append(state if bool(state.done) else run_to(last, state, state.step))
        return ended

    def apart(self, states: list[State]) -> list[State]:
        """One state a start."""
        if self._batch is None:
            return states
        return [jax.tree.map(lambda x, i=i: x[i], states[0]) for i in range(len(self._lanes))]

    def _single(self, states: list[State]) -> list[tuple[Loop, State]]:
        loops = [one.loop for one in self._lanes]
        return list(zip(loops, self.apart(states), strict=True))


def pack(states: list[State], step: int, mine: Fingerprint) -> Checkpoint:
    """A checkpoint of several states."""
    rest = [eqx.tree_at(lambda s: s.theta, state, None) for state in states]
    return Checkpoint(
        step=jnp.asarray(step, jnp.int32),
        theta=[state.theta for state in states],
        memory=rest,
        hits={},
        fingerprint=mine,
    )


def unpack(
    resume: Any, first: list[State], steps: int, mine: Fingerprint
) -> tuple[list[State], int]:
    """The states of a checkpoint, and the record that they have passed.

    Raises:
        TypeError, ValueError: if it is none, or belongs to another run.
        FileNotFoundError: if there is no such file.
    """
    blank = pack(first, 0, mine)
    if not isinstance(resume, Checkpoint):
        if not isinstance(resume, str | os.PathLike):
            raise TypeError(
                f"resume takes a Checkpoint or the path of a saved one, got {type(resume).__name__}"
            )
        resume = load_checkpoint(resume, blank)
    # A finished run may be asked for again: its answer is in the checkpoint.
    check_resumable(resume, blank, steps + 1)
    states = [
        eqx.tree_at(lambda s: s.theta, state, theta, is_leaf=lambda x: x is None)
        for state, theta in zip(resume.memory, resume.theta, strict=True)
    ]
    return states, int(resume.step)


def run(
    runner: Runner,
    states: list[State],
    ends: Sequence[int],
    mine: Fingerprint,
    *,
    several: bool,
    watch: Callable[[Progress], Any] | None,
    save: str | os.PathLike | None,
) -> tuple[list[State], Checkpoint | None, bool]:
    """From record to record: the last states, the last checkpoint, and if the caller ended it."""
    point = None
    for end in ends:
        states = runner.to(states, end)
        point = pack(states, end, mine)
        if save is not None:
            point.save(save)
        apart = runner.apart(states)
        if watch is not None and bool(watch(_progress(apart, end, point, several))):
            if all(bool(state.done) for state in apart):
                return apart, point, False
            return runner.ended_by_caller(states), point, True
        if all(bool(state.done) for state in apart):
            break
    return runner.apart(states), point, False


def _progress(states: list[State], end: int, point: Checkpoint, several: bool) -> Progress:
    total = states[0].rows["step"].shape[0]
    rows = [_last_row(state.rows) for state in states]
    done = max(int(np.sum(~np.isnan(np.asarray(state.rows["step"])))) for state in states)
    if several:
        last = {name: jnp.stack([row[name] for row in rows]) for name in rows[0]}
    else:
        last = rows[0]
    return Progress(done, total, last["t"], last, point)


def _last_row(rows: dict[str, Array]) -> dict[str, Array]:
    reached = np.flatnonzero(~np.isnan(np.asarray(rows["step"])))
    return {name: row[int(reached[-1])] for name, row in rows.items()}
