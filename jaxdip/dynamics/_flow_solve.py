"""The compiled solves of flows: one for all records, or one from record to record."""

from typing import Any, NamedTuple

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._result import RESULTS
from jaxdip._tree import tree_dtype
from jaxdip._types import Array, Tree
from jaxdip.dynamics._dense import Dense
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._marking_solver import MarkingSolver, Marks, noted
from jaxdip.dynamics._recorder import Recorder
from jaxdip.dynamics._run import Progress, Watch, all_finite, blank


class Solve(eqx.Module):
    """All that does not change during a solve."""

    recorder: Recorder
    flow: AbstractFlow
    solver: dfx.AbstractSolver
    rtol: Array
    atol: Array
    controller: dfx.AbstractStepSizeController | None
    adjoint: dfx.AbstractAdjoint
    max_steps: int = eqx.field(static=True)
    dense: bool = eqx.field(static=True)

    def look(self, state: Tree) -> dict[str, Array]:
        """Every observable at a state."""
        return self.recorder.look(self.flow, self.flow.parameters(state), state)


class Solved(NamedTuple):
    """What a solve returns: where it ended, its records, and what happened."""

    theta: Tree
    ts: Array
    observed: dict[str, Array]
    result: RESULTS
    stats: dict[str, Array]
    hits: dict[str, Array]
    dense: Dense | None = None


@eqx.filter_jit
def solve_whole(setting: Solve, theta: Tree, ts: Array) -> Solved:
    """One solve from 0 to the last time, with all records."""
    state0 = setting.flow.init(setting.recorder.f.gradient, theta)
    records = dfx.SubSaveAt(ts=ts, fn=lambda t, state, args: setting.look(state))
    solution, hits, (end, state) = _solve(
        setting, state0, jnp.zeros((), ts.dtype), ts[-1], _no_hits(setting, theta), [records]
    )
    assert solution.ys is not None
    assert solution.ts is not None
    times, observed = solution.ts[0], solution.ys[0]
    times = jnp.where(times <= end, times, jnp.inf)
    if setting.recorder.until:
        times, observed = _with_last(times, observed, end, setting.look(state))
    reached = jnp.isfinite(times)
    observed = jax.tree.map(lambda rows: _where(reached, rows, blank(rows)), observed)
    loss = jnp.where(reached, observed["loss"], 0)
    # An unfinished solve leaves infinities in its final state: give back the start instead.
    arrived = jnp.isfinite(end)
    last = jax.tree.map(lambda a, b: jnp.where(arrived, a, b), state, state0)
    finite = jnp.all(jnp.isfinite(loss)) & all_finite(last)
    dense = None
    if setting.dense:
        assert solution.interpolation is not None
        dense = Dense(end, solution.interpolation, setting.flow, setting.recorder)
    result = _result(setting, solution, hits, finite)
    theta = setting.flow.parameters(last)
    return Solved(theta, times, observed, result, _counts(solution), hits, dense)


def solve_watched(setting: Solve, theta: Tree, ts: Array, watch: Watch) -> Solved:
    """A solve from record to record, with the watcher in between."""
    state, hits, result = _begin(setting, theta)
    now = jnp.zeros((), ts.dtype)
    total = ts.shape[0]
    if not bool(result == RESULTS.completed):
        # An event at the start leaves nothing to solve and one moment to record.
        ts = now[None]
    rows, counts = [], {}
    for t in ts:
        observed = None
        if bool(t == 0):
            observed = _look(setting, state)
        else:
            went = _stretch(setting, state, hits, now, t)
            result = went.result
            counts = jax.tree.map(jnp.add, counts, went.counts) if counts else went.counts
            if not bool(went.sound):
                break
            now, state, hits, observed = went.end, went.state, went.hits, went.observed
        rows.append((now, observed))
        stop = watch(Progress(len(rows), total, now, observed))
        if not bool(result == RESULTS.completed):
            break
        if stop and len(rows) < total:
            result = RESULTS.stopped
            break
    if rows:
        times, table = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
    else:
        times, table = ts[:0], jax.tree.map(lambda x: x[None][:0], _look(setting, state))
    return Solved(setting.flow.parameters(state), times, table, result, counts, hits)


def _no_hits(setting: Solve, theta: Tree) -> dict[str, Array]:
    never = jnp.asarray(jnp.inf, tree_dtype(theta))
    return dict.fromkeys(setting.recorder.events, never)


def _solve(
    setting: Solve,
    state: Tree,
    t0: Array,
    t1: Array,
    hits: dict[str, Array],
    records: list[dfx.SubSaveAt],
) -> tuple[dfx.Solution, dict[str, Array], tuple[Array, Tree]]:
    """diffrax's solution, the events' first times, and where it ended: time and state."""
    recorder, flow = setting.recorder, setting.flow
    grad = recorder.f.gradient

    def velocity(t, state, args):
        return flow.velocity(grad, t, state)

    def falling(t, state):
        return recorder.falling(recorder.events, flow.parameters(state))

    def over(t, state, args, **_):
        values = recorder.falling(recorder.until, flow.parameters(state))
        return jnp.any(jnp.stack([value <= 0 for value in values.values()]))

    solver, event = setting.solver, None
    if recorder.events:
        solver = MarkingSolver(solver, falling, hits, tuple(recorder.until))
    if recorder.until:
        event = dfx.Event(over)
    saveat = dfx.SaveAt(
        subs=[*records, dfx.SubSaveAt(t1=True)],
        dense=setting.dense,
        solver_state=bool(recorder.events),
    )
    solution = dfx.diffeqsolve(
        dfx.ODETerm(velocity),
        solver,
        t0,
        t1,
        None,
        state,
        saveat=saveat,
        stepsize_controller=_controller(setting, state),
        max_steps=setting.max_steps,
        adjoint=setting.adjoint,
        event=event,
        throw=False,
    )
    assert solution.ts is not None
    assert solution.ys is not None
    end, last = jax.tree.map(lambda x: x[-1], (solution.ts[-1], solution.ys[-1]))
    if not recorder.events:
        return solution, {}, (end, last)
    marks: Any = solution.solver_state[1]  # pyright: ignore[reportOptionalSubscript]
    return solution, marks.hits, _landed(solver, marks, end, last)


def _landed(solver: Any, marks: Marks, end: Array, last: Tree) -> tuple[Array, Tree]:
    at = solver.end(marks.hits).astype(end.dtype)
    lands = jnp.isfinite(at)
    state = jax.tree.map(lambda a, b: jnp.where(lands, a, b), marks.landing, last)
    return jnp.where(lands, at, end), state


def _controller(setting: Solve, state: Tree) -> dfx.AbstractStepSizeController:
    if setting.controller is not None:
        return setting.controller
    dtype = tree_dtype(state)
    return dfx.PIDController(rtol=setting.rtol.astype(dtype), atol=setting.atol.astype(dtype))


def _result(
    setting: Solve, solution: dfx.Solution, hits: dict[str, Array], finite: Array
) -> RESULTS:
    happened = solution.result == dfx.RESULTS.event_occurred
    ok = (solution.result == dfx.RESULTS.successful) | happened
    full = solution.result == dfx.RESULTS.max_steps_reached
    failed = RESULTS.where(full, RESULTS.out_of_steps, RESULTS.solver_failed)
    ended = RESULTS.where(ok, setting.recorder.ended(hits), failed)
    return RESULTS.where(finite, ended, RESULTS.diverged)


def _counts(solution: dfx.Solution) -> dict[str, Array]:
    names = ("num_steps", "num_accepted_steps", "num_rejected_steps")
    return {name: jnp.asarray(solution.stats[name]) for name in names}


def _with_last(ts: Array, rows: dict[str, Array], end: Array, last: dict[str, Array]):
    """The records with one more, of the moment at which an event ended the run."""
    place = jnp.sum(jnp.isfinite(ts))
    # A run that no event ended has its last record already.
    extra = jnp.where(jnp.any(ts == end), jnp.inf, end)

    def put(rows, row):
        return jnp.concatenate([rows, rows[-1:]]).at[place].set(row)

    # Whatever lies behind it has not been reached: its time says so.
    ts = jnp.where(jnp.arange(ts.size + 1) > place, jnp.inf, put(ts, extra))
    return ts, jax.tree.map(put, rows, last)


def _where(keep: Array, rows: Array, other: Array) -> Array:
    return jnp.where(keep.reshape((-1, *(1,) * (rows.ndim - 1))), rows, other)


@eqx.filter_jit
def _begin(setting: Solve, theta: Tree):
    state = setting.flow.init(setting.recorder.f.gradient, theta)
    recorder = setting.recorder
    values = recorder.falling(recorder.events, theta)
    hits = noted(_no_hits(setting, theta), values, jnp.zeros(()))
    return state, hits, recorder.ended(hits)


@eqx.filter_jit
def _look(setting: Solve, state: Tree):
    return setting.look(state)


class _Stretch(NamedTuple):
    """What one stretch returns; where it is not sound, its state is not to be used."""

    end: Array
    state: Tree
    observed: dict[str, Array]
    hits: dict[str, Array]
    result: RESULTS
    sound: Array
    counts: dict[str, Array]


@eqx.filter_jit
def _stretch(setting: Solve, state: Tree, hits: dict[str, Array], t0: Array, t1: Array) -> _Stretch:
    solution, hits, (end, state) = _solve(setting, state, t0, t1, hits, [])
    observed = setting.look(state)
    finite = all_finite(state) & jnp.isfinite(observed["loss"])
    result = _result(setting, solution, hits, finite)
    return _Stretch(
        end=end,
        state=state,
        observed=observed,
        hits=hits,
        result=result,
        sound=finite & jnp.isfinite(end),
        counts=_counts(solution),
    )
