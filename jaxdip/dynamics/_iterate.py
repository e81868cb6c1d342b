"""The driver of discrete methods: one compiled loop, records on the shared clock."""

import itertools
import os
from collections.abc import Iterable, Sequence

import equinox as eqx
import jax.numpy as jnp

from jaxdip._fingerprint import Fingerprint, fingerprint
from jaxdip._result import Solution
from jaxdip._tree import is_concrete
from jaxdip._types import RealScalar
from jaxdip.dynamics._checkpoint import (
    Checkpoint,
    check_resumable,
    event_parts,
    load_checkpoint,
)
from jaxdip.dynamics._checks import count, number, whole
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._descent_loop import (
    Loop,
    State,
    Stretches,
    Uneven,
    first_state,
    run_watched,
    run_whole,
)
from jaxdip.dynamics._event import Events, LossBelow
from jaxdip.dynamics._path_length import with_path_length
from jaxdip.dynamics._reachable import check_reachable
from jaxdip.dynamics._recorder import Observe, Recorder, split_events, split_observables
from jaxdip.dynamics._run import (
    Watch,
    check_watch,
    check_watchable,
    raise_if_failed,
    start,
    trim,
)
from jaxdip.dynamics._scales import Scales
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem, check_generator


def iterate(
    problem: Problem,
    descent: AbstractDescent,
    generator: AbstractGenerator,
    steps: int,
    *,
    every: int | None = None,
    at: Sequence[int] | None = None,
    observe: Observe | None = None,
    reduce: bool | None = None,
    tolerance: RealScalar | None = None,
    until: Events | None = None,
    mark: Events | None = None,
    watch: Watch | None = None,
    resume: Checkpoint | str | os.PathLike | None = None,
    throw: bool = False,
) -> Solution:
    """Iterates a discrete dynamics from θ0 = the generator's own weights.

    Records are made at steps 0, `every`, 2·`every`, … and at the last step, or at the steps `at`.
    Works under jit and vmap. Differentiable in forward mode, and in reverse mode if no event is
    given: with `until`, `mark` or `tolerance` the number of steps is data, which reverse mode
    cannot go back through; take `jax.jvp` or `jax.jacfwd`.

    Args:
        problem: what to minimise.
        descent: `GradientDescent`, `IGAHD`, or `Optax` around any optax optimiser.
        generator: the network at its start.
        steps: how many steps in all, at least 1.
        every: steps between records; by default a hundredth of `steps`.
        at: the steps of the records instead, increasing, such as `log_steps(steps, 50)`; 0 and the
            last step are recorded in any case.
        observe: observables to record by name, functions of (problem, generator), or of the motion
            (`Energy`, `PathLength`); the loss is always recorded.
        reduce: run in reduced coordinates (exact; see `reduce`). By default whenever the method is
            linear in past gradients.
        tolerance: end the run at the first step whose loss is at most this; short for
            `until={"tolerance": events.LossBelow(...)}`.
        until: events, asked after every step, at the first of which the run ends.
        mark: events whose first time is noted in `hits` while the run goes on.
        watch: called with a `Progress` after every record, outside compiled code; returning True
            ends the run there. Its `checkpoint` may be saved.
        resume: go on from a `Solution.checkpoint`, or from the file of a saved one, instead of
            from step 0. All other arguments are those of the whole run, `steps` included; the
            first record is the checkpoint's.
        throw: raise if the run fails, instead of saying so in `result`.

    Returns:
        The trajectory; 'steps' in its `stats` counts the steps taken.

    Raises:
        TypeError, ValueError: if an argument is wrong, a threshold of the loss below what rounding
            leaves, or the checkpoint belongs to another run.
        FileNotFoundError: if there is no such checkpoint.
        RuntimeError: if the run fails and `throw` is set.
    """
    steps, every, at = _check(descent, steps, every, at, reduce)
    check_watch(watch)
    check_generator(problem, generator)
    observables, motions = split_observables(observe)
    limit = number("tolerance", tolerance, positive=False)
    ending, noted = split_events(until, mark)
    if limit is not None:
        if "tolerance" in ending | noted:
            raise ValueError("an event named 'tolerance' and tolerance= cannot both be given")
        ending = {"tolerance": LossBelow(limit)} | ending
    check_reachable(problem, ending | noted)
    chosen, notes = descent.resolve(Scales(problem, generator))
    if motions:
        chosen = with_path_length(chosen)
    lift, f, theta = start(problem, generator, descent.linear if reduce is None else reduce)
    loop = Loop(Recorder(lift, f, observables, motions, ending, noted), chosen)
    mine = fingerprint(
        problem=problem, generator=generator, method=descent, **event_parts(ending, noted)
    )
    state, done = _start(loop, first_state(loop, theta), steps, resume, mine)
    ends = _record_ends(steps, every, at, done)
    if watch is None:
        state, rows = run_whole(loop, state, _stretches(ends, done, spaced=at is None))
    else:
        check_watchable(state)
        state, rows = run_watched(loop, state, ends, watch, mine)
    ts, observed = trim(rows.t, rows.observed)
    solution = Solution(
        ts=ts,
        observed=observed,
        generator=_lifted(loop, state),
        result=state.result,
        stats={"steps": state.step, **chosen.numbers()},
        notes=notes,
        hits=state.hits,
        checkpoint=state.checkpoint(mine),
    )
    if throw:
        raise_if_failed(solution)
    return solution


def _check(descent, steps, every, at, reduce) -> tuple[int, int | None, list[int] | None]:
    if not isinstance(descent, AbstractDescent):
        raise TypeError(
            f"iterate takes a discrete dynamics, got {type(descent).__name__}; flows go to "
            "integrate, optax optimisers into jaxdip.Optax(...)"
        )
    steps = count("steps", steps, 1)
    if every is not None:
        every = count("every", every, 1)
        if every > steps:
            raise ValueError(f"every is at most steps, got every={every} with steps={steps}")
        if at is not None:
            raise ValueError("give every, the steps between records, or at, their steps, not both")
    if at is not None:
        at = _check_steps(at, steps)
    if reduce and not descent.linear:
        raise ValueError(
            f"{type(descent).__name__} is not linear in past gradients, so the reduction would "
            "change its trajectory; leave reduce out, or declare Optax(..., linear=True) if it is"
        )
    return steps, every, at


def _check_steps(at, steps: int) -> list[int]:
    if not isinstance(at, Iterable) or getattr(at, "ndim", 1) != 1:
        raise TypeError(f"at is an increasing list of whole numbers, got {at!r}")
    given = [whole(step) for step in at]
    found = [step for step in given if step is not None]
    if len(found) < len(given) or not all(a < b for a, b in itertools.pairwise(found)):
        raise ValueError(f"at is an increasing list of whole numbers, got {at!r}")
    if found and not 0 <= found[0] <= found[-1] <= steps:
        raise ValueError(f"at lies between 0 and steps={steps}, got {found[0]} to {found[-1]}")
    return found


def _start(loop: Loop, state: State, steps: int, resume, mine: Fingerprint) -> tuple[State, int]:
    """The state to start from, and the steps that it has taken."""
    if resume is None:
        return state, 0
    blank = state.checkpoint(mine)
    if not isinstance(resume, Checkpoint):
        if not isinstance(resume, str | os.PathLike):
            raise TypeError(
                f"resume takes a Checkpoint or the path of a saved one, got {type(resume).__name__}"
            )
        resume = load_checkpoint(resume, blank)
    check_resumable(resume, blank, steps)
    if not is_concrete(resume.step):
        raise ValueError("a run resumes outside jit and vmap, where the checkpoint has values")
    there = State(resume.step, resume.theta, resume.memory, resume.hits, state.result)
    return there, int(resume.step)


def _record_ends(steps: int, every: int | None, at: Sequence[int] | None, done: int) -> list[int]:
    """The steps of the records after the first."""
    if at is None:
        every = every or max(1, steps // 100)
        at = range((done // every + 1) * every, steps, every)
    return [step for step in at if done < step < steps] + [steps]


def _stretches(ends: list[int], done: int, *, spaced: bool) -> Stretches:
    if not spaced:
        longest = max(b - a for a, b in itertools.pairwise([done, *ends]))
        return Uneven(jnp.asarray(ends, jnp.int32), longest.bit_length())
    groups: list[tuple[int, int]] = []
    for before, end in itertools.pairwise([done, *ends]):
        length = end - before
        if groups and groups[-1][0] == length:
            groups[-1] = (length, groups[-1][1] + 1)
        else:
            groups.append((length, 1))
    return tuple(groups)


@eqx.filter_jit
def _lifted(loop: Loop, state: State) -> AbstractGenerator:
    return loop.recorder.lift(loop.recorder.f.generator(state.theta))
