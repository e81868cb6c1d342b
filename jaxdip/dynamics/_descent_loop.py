"""The compiled loop of discrete methods: steps, records, events."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._fingerprint import Fingerprint
from jaxdip._result import RESULTS
from jaxdip._tree import tree_dtype
from jaxdip._types import Array, Float, Int, Tree
from jaxdip.dynamics._checkpoint import Checkpoint
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._recorder import Recorder
from jaxdip.dynamics._run import Progress, Watch, all_finite, blank


class Loop(eqx.Module):
    """All that does not change during a run."""

    recorder: Recorder
    descent: AbstractDescent


class State(eqx.Module):
    """All that does."""

    step: Int[Array, ""]
    theta: Tree
    memory: Tree
    hits: dict[str, Float[Array, ""]]
    result: RESULTS

    def checkpoint(self, fingerprint: Fingerprint) -> Checkpoint:
        """What it takes to go on from here."""
        return Checkpoint(self.step, self.theta, self.memory, self.hits, fingerprint)


class Row(NamedTuple):
    """One record."""

    t: Float[Array, ""]
    observed: dict[str, Array]


class Uneven(eqx.Module):
    """Stretches of different lengths.

    Attributes:
        ends: the steps of the records, shape (R,).
        bits: of the longest stretch, written in binary.
    """

    ends: Int[Array, " R"]
    bits: int = eqx.field(static=True)


#: Equal stretches between records, (steps in each, how many), or uneven ones.
Stretches = tuple[tuple[int, int], ...] | Uneven


@eqx.filter_jit
def first_state(loop: Loop, theta: Tree) -> State:
    """The state before the first step, its events not yet looked at."""
    never = jnp.asarray(jnp.inf, tree_dtype(theta))
    return State(
        step=jnp.asarray(0, jnp.int32),
        theta=theta,
        memory=loop.descent.init(loop.recorder.f, theta),
        hits=dict.fromkeys(loop.recorder.events, never),
        result=RESULTS.completed,
    )


@eqx.filter_jit
def run_whole(loop: Loop, state: State, stretches: Stretches) -> tuple[State, Row]:
    """The run as one program: the last state, and the records stacked."""
    state, first = _begin(loop, state)
    rows = [jax.tree.map(lambda x: x[None], first)]
    if isinstance(stretches, tuple):
        for length, count in stretches:

            def equal(state, _, length=length):
                return _advance(loop, state, length)

            # Reverse mode then stores one state a record instead of one a step.
            state, part = jax.lax.scan(jax.checkpoint(equal), state, length=count)
            rows.append(part)
    else:

        def up_to(state, end):
            # A length that is data: all stretches share one program.
            return _advance(loop, state, end - state.step, stretches.bits)

        state, part = jax.lax.scan(jax.checkpoint(up_to), state, stretches.ends)
        rows.append(part)
    return state, jax.tree.map(lambda *parts: jnp.concatenate(parts), *rows)


def run_watched(
    loop: Loop, state: State, ends: Sequence[int], watch: Watch, fingerprint: Fingerprint
) -> tuple[State, Row]:
    """The run as one program a record, with the watcher in between."""
    state, row = _jit_begin(loop, state)
    rows = [row]
    total = len(ends) + 1

    def stops() -> bool:
        told = Progress(len(rows), total, row.t, row.observed, state.checkpoint(fingerprint))
        return bool(watch(told))

    stop = stops()
    for end in ends:
        if stop or not bool(state.result == RESULTS.completed):
            break
        state, row = _jit_advance(loop, state, jnp.asarray(end, jnp.int32) - state.step)
        rows.append(row)
        stop = stops()
    if stop and len(rows) < total and bool(state.result == RESULTS.completed):
        state = eqx.tree_at(lambda s: s.result, state, RESULTS.stopped)
    return state, jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)


def _begin(loop: Loop, state: State) -> tuple[State, Row]:
    """The state with its events looked at, and the first record."""
    t = loop.descent.time(state.step, state.memory)
    seen = eqx.tree_at(lambda s: s.hits, state, _noted(loop, state.hits, state.theta, t)[0])
    return _record(loop, seen, seen)


def _advance(
    loop: Loop, state: State, length: int | Array, bits: int | None = None
) -> tuple[State, Row]:
    """`length` steps and one record; nothing at all once the run has ended."""

    def run(state):
        return _record(loop, _steps(loop, state, length, bits), state)

    def rest(state):
        t, observed = jax.eval_shape(run, state)[1]
        return state, Row(jnp.full_like(t, jnp.inf), blank(observed))

    return jax.lax.cond(state.result == RESULTS.completed, run, rest, state)


_jit_begin = eqx.filter_jit(_begin)
_jit_advance = eqx.filter_jit(_advance)


def _steps(loop: Loop, state: State, length: int | Array, bits: int | None) -> State:
    if loop.recorder.events:
        return _steps_until(loop, state, length)
    if bits is not None:
        return _steps_by_bits(loop, state, length, bits)

    # With a static length this is a scan, which reverse mode can go back through.
    theta, memory = _repeated(loop, length, (state.theta, state.memory))
    return State(state.step + length, theta, memory, state.hits, state.result)


def _repeated(loop: Loop, length: int | Array, carry: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
    """So many steps from (θ, memory)."""

    def body(_, flat):
        return _flat(loop.descent.step(loop.recorder.f, *_shaped(flat, carry)))

    return _shaped(jax.lax.fori_loop(0, length, body, _flat(carry)), carry)


def _flat(tree: Tree) -> Tree:
    """The leaves as vectors: XLA's copies of columns, (k, 1), take several times as long."""
    return jax.tree.map(jnp.ravel, tree)


def _shaped(flat: Tree, like: Tree) -> Tree:
    return jax.tree.map(lambda x, y: x.reshape(y.shape), flat, like)


def _steps_by_bits(loop: Loop, state: State, length: int | Array, bits: int) -> State:
    """Steps in stretches of powers of two: static lengths, which reverse mode goes back through."""

    def by(power):
        return lambda carry: _repeated(loop, power, carry)

    carry = (state.theta, state.memory)
    for bit in range(bits):
        wanted = (length >> bit) & 1 == 1
        carry = jax.lax.cond(wanted, by(2**bit), lambda carry: carry, carry)
    theta, memory = carry
    return State(state.step + length, theta, memory, state.hits, state.result)


def _steps_until(loop: Loop, state: State, length: int | Array) -> State:
    """Steps that look for events, and stop at the first that ends the run."""
    last, like = state.step + length, (state.theta, state.memory)

    def unfinished(carry):
        step, *_, going = carry
        return (step < last) & going

    def body(carry):
        step, flat, hits, _ = carry
        theta, memory = loop.descent.step(loop.recorder.f, *_shaped(flat, like))
        hits, going = _noted(loop, hits, theta, loop.descent.time(step + 1, memory))
        return step + 1, _flat((theta, memory)), hits, going

    first = (state.step, _flat(like), state.hits, jnp.asarray(True))
    step, flat, hits, _ = jax.lax.while_loop(unfinished, body, first)
    theta, memory = _shaped(flat, like)
    return State(step, theta, memory, hits, state.result)


def _noted(loop: Loop, hits: dict[str, Array], theta: Tree, t: Array):
    """The first times of the events so far, and whether the run goes on."""
    values = loop.recorder.falling(loop.recorder.events, theta)
    new, going = {}, jnp.asarray(True)
    for name, value in values.items():
        old = hits[name]
        new[name] = jnp.where(jnp.isinf(old) & (value <= 0), t.astype(old.dtype), old)
        # A NaN compares false, so a diverged run leaves the loop at once.
        if name in loop.recorder.until:
            going &= value > 0
        else:
            going &= ~jnp.isnan(value)
    return new, going


def _record(loop: Loop, state: State, before: State) -> tuple[State, Row]:
    """The state with its result, and the record there; a diverged θ falls back to `before`."""
    observed = loop.recorder.look(loop.descent, state.theta, state.memory)
    loss = observed["loss"]
    finite = jnp.isfinite(loss) & all_finite(state.theta)
    result = RESULTS.where(finite, loop.recorder.ended(state.hits), RESULTS.diverged)
    t = loop.descent.time(state.step, state.memory).astype(loss.dtype)
    # A conditional, not a selection: θ may be large, and this happens at every record.
    theta = jax.lax.cond(finite, lambda now, _: now, lambda _, old: old, state.theta, before.theta)
    return State(state.step, theta, state.memory, state.hits, result), Row(t, observed)
