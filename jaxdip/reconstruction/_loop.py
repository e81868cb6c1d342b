"""The compiled loop of a reconstruction: look, judge by every rule, move."""

from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._result import RESULTS
from jaxdip._types import Array, Float, Inexact, Int, Key, Tree
from jaxdip.dynamics import AbstractDescent
from jaxdip.imaging import psnr
from jaxdip.operators import AbstractOperator
from jaxdip.problem import Parameters
from jaxdip.reconstruction._objective import Objective
from jaxdip.stopping import AbstractStopping, Seen


class Held(eqx.Module):
    """The entries held out of the fit.

    Attributes:
        operator: F, whole.
        y: the data, whole.
        fitted: positions of the entries that are fitted, in row-major order.
        held: those of the others.
    """

    operator: AbstractOperator
    y: Array
    fitted: Int[Array, " k"]
    held: Int[Array, " h"]


class Probes(eqx.Module):
    """The perturbed runs by which a divergence is measured.

    Attributes:
        directions: b, shape (probes, *y) of the data that are fitted.
        size: η.
    """

    directions: Array
    size: Array


class Loop(eqx.Module):
    """All that does not change during a run."""

    f: Objective
    descent: AbstractDescent
    rules: dict[str, AbstractStopping]
    act: tuple[str, ...] = eqx.field(static=True)
    held: Held | None
    probes: Probes | None
    truth: Array | None
    peak: Array | None
    average: Array | None
    jitter: Array | None
    key: Key
    steps: Int[Array, ""]
    every: Int[Array, ""]


class Kept(NamedTuple):
    """The image that a rule would return.

    Attributes:
        step: its step; −1 if none has been chosen.
        fired_at: the step at which the rule fired; −1 if it has not.
        x: the image; NaN if none has been chosen.
        x_average: the averaged image there; None without averaging.
    """

    step: Int[Array, ""]
    fired_at: Int[Array, ""]
    x: Inexact[Array, "..."]
    x_average: Inexact[Array, "..."] | None


class State(eqx.Module):
    """All that does.

    θ has made `step` steps and has not been looked at yet, unless the run has ended: then it is
    the one looked at last.
    """

    step: Int[Array, ""]
    theta: Tree
    memory: Tree
    twins: Tree
    rules: dict[str, Tree]
    kept: dict[str, Kept]
    x: Inexact[Array, "..."]
    x_average: Inexact[Array, "..."] | None
    safe: Tree
    acted: Int[Array, ""]
    result: RESULTS
    done: Array
    rows: dict[str, Float[Array, " T"]]


def first_state(loop: Loop, theta: Tree, records: int) -> State:
    """The state before the start has been looked at."""
    f = cast(Parameters, loop.f)
    memory = loop.descent.init(f, theta)
    twins = None
    if loop.probes is not None:
        twins = jax.vmap(lambda y: (theta, loop.descent.init(_twin(loop.f, y), theta)))(
            _perturbed(loop)
        )
    template, x = jax.eval_shape(lambda: _look(loop, theta, memory, twins, jnp.asarray(0)))
    blank = jnp.full(x.shape, jnp.nan, x.dtype)
    average = None if loop.average is None else blank
    none = jnp.asarray(-1, jnp.int32)
    row = jax.eval_shape(lambda seen: _row(loop, seen), template)
    return State(
        step=jnp.asarray(0, jnp.int32),
        theta=theta,
        memory=memory,
        twins=twins,
        rules={name: rule.init(template) for name, rule in loop.rules.items()},
        kept={name: Kept(none, none, blank, average) for name in loop.rules},
        x=blank,
        x_average=average,
        safe=theta,
        acted=none,
        result=RESULTS.completed,
        done=jnp.asarray(False),
        rows={name: jnp.full((records,), jnp.nan, value.dtype) for name, value in row.items()},
    )


def advance(loop: Loop, state: State, end: Int[Array, ""]) -> State:
    """Goes on until the θ of step `end` has been looked at, or the run has ended."""
    safe = _choose(_all_finite(state.theta), state.theta, state.safe)
    state = eqx.tree_at(lambda s: s.safe, state, safe)

    def unfinished(state: State) -> Array:
        return ~state.done & (state.step <= end)

    return jax.lax.while_loop(unfinished, lambda state: _body(loop, state), state)


def _body(loop: Loop, state: State) -> State:
    seen, x = _look(loop, state.theta, state.memory, state.twins, state.step)
    # Computed even where the run ends, and from the very θ that was looked at: the compiler then
    # merges the forward pass of the look with that of the gradient.
    theta, memory, twins = _moved(loop, state)
    state = _judged(loop, state, seen, x)
    going = ~state.done
    return State(
        step=state.step + going.astype(state.step.dtype),
        theta=_choose(going, theta, state.theta),
        memory=_choose(going, memory, state.memory),
        twins=_choose(going, twins, state.twins),
        rules=state.rules,
        kept=state.kept,
        x=state.x,
        x_average=state.x_average,
        safe=state.safe,
        acted=state.acted,
        result=state.result,
        done=state.done,
        rows=state.rows,
    )


def _look(loop: Loop, theta: Tree, memory: Tree, twins: Tree, step: Array) -> tuple[Seen, Array]:
    """What the rules are shown; the signal once more, by itself."""
    problem = loop.f.problem
    x = loop.f.signal(theta)
    scale, held_out = 1.0, None
    if loop.held is None:
        prediction = problem.operator(x)
    else:
        whole = loop.held.operator(x).ravel()
        prediction = whole[loop.held.fitted]
        missed = whole[loop.held.held] - loop.held.y.ravel()[loop.held.held]
        held_out = jnp.mean(jnp.square(jnp.abs(missed)))
        scale = (whole.size / prediction.size) ** 0.5
    divergence = None
    if loop.probes is not None:
        others = jax.vmap(loop.f.predict)(twins[0])
        inner = jnp.real(jnp.conj(loop.probes.directions) * (others - prediction))
        divergence = jnp.sum(inner) / (others.shape[0] * loop.probes.size)
    seen = Seen(
        step=step,
        t=loop.descent.time(step, memory),
        loss=problem.loss(prediction, problem.y),
        residual=scale * jnp.linalg.norm(jnp.ravel(prediction - problem.y)),
        x=x,
        prediction=prediction,
        y=problem.y,
        held_out=held_out,
        divergence=divergence,
        truth=loop.truth,
    )
    return seen, x


def _row(loop: Loop, seen: Seen) -> dict[str, Array]:
    """The numbers that are recorded."""
    row = {"step": seen.step.astype(seen.loss.dtype), "t": seen.t}
    row |= {"loss": seen.loss, "residual": seen.residual}
    if seen.held_out is not None:
        row["held_out"] = seen.held_out
    if seen.divergence is not None:
        row["divergence"] = seen.divergence
    if seen.truth is not None:
        row["error"] = jnp.linalg.norm(jnp.ravel(seen.x - seen.truth))
        row["psnr"] = psnr(_magnitude(seen.x), _magnitude(seen.truth), cast(Array, loop.peak))
    return row


def _judged(loop: Loop, state: State, seen: Seen, x: Array) -> State:
    """The state with every rule's verdict on a step, its images kept and its numbers recorded."""
    fine = jnp.isfinite(seen.loss) & jnp.all(jnp.isfinite(x)) & _all_finite(state.theta)
    x = jnp.where(fine, x, state.x)
    average = state.x_average
    if loop.average is not None and average is not None:
        a = loop.average.astype(x.dtype)
        mixed = jnp.where(seen.step == 0, x, a * average + (1 - a) * x)
        average = jnp.where(fine, mixed, average)
    rules, kept = {}, {}
    acted = jnp.asarray(-1, jnp.int32)
    for name, rule in loop.rules.items():
        before, held = rule.fired(state.rules[name]), state.kept[name]
        # A diverged step is shown to no rule: a NaN would spoil what it remembers.
        rules[name] = _choose(fine, rule.update(state.rules[name], seen), state.rules[name])
        fired = rule.fired(rules[name])
        here = fine & ~before & rule.chosen(rules[name])
        kept[name] = Kept(
            jnp.where(here, seen.step, held.step),
            jnp.where(fired & ~before, seen.step, held.fired_at),
            jnp.where(here, x, held.x),
            _choose(here, average, held.x_average),
        )
        if name in loop.act:
            index = jnp.asarray(loop.act.index(name), jnp.int32)
            first = (acted < 0) | (index < acted)
            acted = jnp.where(fired & first, index, acted)
    stopped = fine & (acted >= 0)
    result = RESULTS.where(stopped, RESULTS.stopped, state.result)
    result = RESULTS.where(fine, result, RESULTS.diverged)
    done = ~fine | stopped | (seen.step >= loop.steps)
    write = done | (seen.step % loop.every == 0)
    place = (seen.step + loop.every - 1) // loop.every
    row = _row(loop, seen)
    rows = {
        name: jnp.where(write, old.at[place].set(row[name]), old)
        for name, old in state.rows.items()
    }
    return State(
        step=state.step,
        theta=_choose(fine, state.theta, state.safe),
        memory=state.memory,
        twins=state.twins,
        rules=rules,
        kept=kept,
        x=x,
        x_average=average,
        safe=state.safe,
        acted=jnp.where(stopped, acted, state.acted),
        result=result,
        done=done,
        rows=rows,
    )


def _moved(loop: Loop, state: State) -> tuple[Tree, Tree, Tree]:
    f = loop.f
    if loop.jitter is not None:
        u = f.problem.u
        key = jax.random.fold_in(loop.key, state.step)
        f = f.at(u=u + loop.jitter.astype(u.dtype) * jax.random.normal(key, u.shape, u.dtype))
    theta, memory = loop.descent.step(cast(Parameters, f), state.theta, state.memory)
    twins = state.twins
    if loop.probes is not None:
        twins = jax.vmap(lambda y, twin: loop.descent.step(_twin(f, y), *twin))(
            _perturbed(loop), twins
        )
    return theta, memory, twins


def _perturbed(loop: Loop) -> Array:
    """y + ηb, one a probe."""
    assert loop.probes is not None
    y = loop.f.problem.y
    return y + loop.probes.size.astype(y.dtype) * loop.probes.directions


def _twin(f: Objective, y: Array) -> Any:
    return f.at(y=y)


def _choose(condition: Array, new: Tree, old: Tree) -> Tree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _all_finite(theta: Tree) -> Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(theta)]))


def _magnitude(x: Array) -> Array:
    return jnp.abs(x) if jnp.issubdtype(x.dtype, jnp.complexfloating) else x


start = eqx.filter_jit(first_state)
run_to = eqx.filter_jit(advance)


@eqx.filter_jit
def start_together(own: Loop, shared: Loop, theta: Tree, records: int) -> State:
    """The first states of several runs, along the first axis of `own` and `theta`."""
    return jax.vmap(lambda own, theta: first_state(eqx.combine(own, shared), theta, records))(
        own, theta
    )


@eqx.filter_jit
def run_together(own: Loop, shared: Loop, state: State, end: Array) -> State:
    """`run_to` for several runs at once; each loop lasts as long as the slowest."""
    return jax.vmap(lambda own, state: advance(eqx.combine(own, shared), state, end))(own, state)
