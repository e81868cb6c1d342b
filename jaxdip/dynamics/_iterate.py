"""The driver of discrete methods: one compiled loop, records on the shared clock."""

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._result import RESULTS, Solution
from jaxdip._types import Array, Int, RealScalar, Tree
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._run import (
    Observe,
    Progress,
    Watch,
    all_finite,
    blank,
    look,
    raise_if_failed,
    start,
    trim,
)
from jaxdip.dynamics._scales import Scales
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Lift, Parameters, Problem, check_generator, complete
from jaxdip.problem.observables import AbstractObservable


class _Setting(eqx.Module):
    """All that does not change during a run."""

    lift: Lift
    f: Parameters
    descent: AbstractDescent
    observables: dict[str, AbstractObservable]
    tolerance: Array | None


class _State(eqx.Module):
    """All that does."""

    step: Int[Array, ""]
    theta: Tree
    memory: Tree
    result: RESULTS


def iterate(
    problem: Problem,
    descent: AbstractDescent,
    generator: AbstractGenerator,
    steps: int,
    *,
    every: int | None = None,
    observe: Observe | None = None,
    reduce: bool | None = None,
    tolerance: RealScalar | None = None,
    watch: Watch | None = None,
    throw: bool = False,
) -> Solution:
    """Iterates a discrete dynamics from θ0 = the generator's own weights.

    Records are made at steps 0, `every`, 2·`every`, … and at the last step. Works under jit and
    vmap; differentiable in both modes without `tolerance`, in forward mode with it.

    Args:
        problem: what to minimise.
        descent: `GradientDescent`, `IGAHD`, or `Optax` around any optax optimiser.
        generator: the network at its start.
        steps: how many steps, at least 1.
        every: steps between records; by default a hundredth of `steps`.
        observe: observables to record by name, or functions of (problem, generator); the loss is
            always recorded.
        reduce: run in reduced coordinates (exact; see `reduce`). By default whenever the method is
            linear in past gradients.
        tolerance: end the run at the first step whose loss is at most this.
        watch: called with a `Progress` after every record, outside compiled code; returning True
            ends the run there.
        throw: raise if the run fails, instead of saying so in `result`.

    Returns:
        The trajectory; 'steps' in its `stats` counts the steps taken.

    Raises:
        TypeError, ValueError: if an argument is wrong.
        RuntimeError: if the run fails and `throw` is set.
    """
    _check(descent, steps, every, reduce)
    check_generator(problem, generator)
    every = every or max(1, steps // 100)
    observables = complete(observe)
    descent, notes = descent.resolve(Scales(problem, generator))
    reducing = descent.linear if reduce is None else reduce
    lift, f, theta = start(problem, generator, reducing)
    limit = number("tolerance", tolerance, positive=False)
    setting = _Setting(lift, f, descent, observables, limit)
    lengths = [every] * (steps // every) + ([steps % every] if steps % every else [])
    if watch is None:
        state, ts, observed = _run_all(setting, theta, every, steps // every, steps % every)
    else:
        state, ts, observed = _run_watched(setting, theta, lengths, watch)
    ts, observed = trim(ts, observed)
    solution = Solution(
        ts=ts,
        observed=observed,
        generator=_lifted(setting, state),
        result=state.result,
        stats={"steps": state.step, **descent.numbers()},
        notes=notes,
    )
    if throw:
        raise_if_failed(solution)
    return solution


def _check(descent, steps, every, reduce):
    if not isinstance(descent, AbstractDescent):
        raise TypeError(
            f"iterate takes a discrete dynamics, got {type(descent).__name__}; flows go to "
            "integrate, optax optimisers into jaxdip.Optax(...)"
        )
    for name, count in (("steps", steps), ("every", every)):
        if count is None and name == "every":
            continue
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ValueError(f"{name} is a whole number, at least 1, got {count!r}")
    if every is not None and every > steps:
        raise ValueError(f"every is at most steps, got every={every} with steps={steps}")
    if reduce and not descent.linear:
        raise ValueError(
            f"{type(descent).__name__} is not linear in past gradients, so the reduction would "
            "change its trajectory; leave reduce out, or declare Optax(..., linear=True) if it is"
        )


def _first(setting: _Setting, theta: Tree):
    state = _State(
        step=jnp.asarray(0, jnp.int32),
        theta=theta,
        memory=setting.descent.init(setting.f, theta),
        result=RESULTS.completed,
    )
    return _record(setting, state, state)


def _advance(setting: _Setting, state: _State, length: int):
    """`length` steps and one record; nothing at all once the run has ended."""

    def run(state):
        moved = _steps(setting, state, length)
        return _record(setting, moved, state)

    def rest(state):
        shapes = jax.eval_shape(run, state)
        return state, jnp.full_like(shapes[1], jnp.inf), blank(shapes[2])

    return jax.lax.cond(state.result == RESULTS.completed, run, rest, state)


def _steps(setting: _Setting, state: _State, length: int) -> _State:
    def one(theta, memory):
        return setting.descent.step(setting.f, theta, memory)

    if setting.tolerance is None:

        def body(carry, _):
            return one(*carry), None

        carry = (state.theta, state.memory)
        (theta, memory), _ = jax.lax.scan(body, carry, length=length)
        return _State(state.step + length, theta, memory, state.result)

    limit = setting.tolerance

    def above(theta):
        # A NaN compares false, so a diverged run leaves the loop at once.
        loss = setting.f(theta)
        return loss > limit.astype(loss.dtype)

    def unfinished(carry):
        taken, _, _, going = carry
        return (taken < length) & going

    def body_until(carry):
        taken, theta, memory, _ = carry
        theta, memory = one(theta, memory)
        return taken + 1, theta, memory, above(theta)

    begin = (jnp.asarray(0, jnp.int32), state.theta, state.memory, above(state.theta))
    taken, theta, memory, _ = jax.lax.while_loop(unfinished, body_until, begin)
    return _State(state.step + taken, theta, memory, state.result)


def _record(setting: _Setting, state: _State, before: _State):
    """The record at a state, and the state with its result; a diverged θ falls back to `before`."""
    observed = look(setting.lift, setting.f, setting.observables, state.theta)
    loss = observed["loss"]
    finite = jnp.isfinite(loss) & all_finite(state.theta)
    result = RESULTS.where(finite, RESULTS.completed, RESULTS.diverged)
    if setting.tolerance is not None:
        reached = finite & (loss <= setting.tolerance.astype(loss.dtype))
        result = RESULTS.where(reached, RESULTS.converged, result)
    t = setting.descent.time(state.step, state.memory).astype(loss.dtype)
    # A conditional, not a selection: θ may be large, and this happens at every record.
    theta = jax.lax.cond(finite, lambda now, _: now, lambda _, old: old, state.theta, before.theta)
    return _State(state.step, theta, state.memory, result), t, observed


@eqx.filter_jit
def _run_all(setting: _Setting, theta: Tree, every: int, records: int, remainder: int):
    state, t0, first = _first(setting, theta)

    def body(state, _):
        state, t, observed = _advance(setting, state, every)
        return state, (t, observed)

    # Reverse mode then stores one state a record instead of one a step.
    state, (ts, observed) = jax.lax.scan(jax.checkpoint(body), state, length=records)
    parts = [(t0[None], jax.tree.map(lambda x: x[None], first)), (ts, observed)]
    if remainder:
        state, t, last = _advance(setting, state, remainder)
        parts.append((t[None], jax.tree.map(lambda x: x[None], last)))
    ts, observed = jax.tree.map(lambda *rows: jnp.concatenate(rows), *parts)
    return state, ts, observed


_jit_first = eqx.filter_jit(_first)
_jit_advance = eqx.filter_jit(_advance)


def _run_watched(setting: _Setting, theta: Tree, lengths: list[int], watch: Watch):
    state, t, observed = _jit_first(setting, theta)
    rows = [(t, observed)]
    total = len(lengths) + 1
    stop = watch(Progress(1, total, t, observed))
    for length in lengths:
        if stop or not bool(state.result == RESULTS.completed):
            break
        state, t, observed = _jit_advance(setting, state, length)
        rows.append((t, observed))
        stop = watch(Progress(len(rows), total, t, observed))
    if stop and len(rows) < total and bool(state.result == RESULTS.completed):
        state = eqx.tree_at(lambda s: s.result, state, RESULTS.stopped)
    ts, table = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
    return state, ts, table


@eqx.filter_jit
def _lifted(setting: _Setting, state: _State) -> AbstractGenerator:
    return setting.lift(setting.f.generator(state.theta))
