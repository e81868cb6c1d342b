"""Flows and discrete methods run side by side, so that their difference is never stored as θ."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._result import RESULTS
from jaxdip._tree import tree_dtype, tree_sub
from jaxdip._types import Array, Bool, Float, Int, Tree
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._recorder import Recorder
from jaxdip.dynamics._run import all_finite, blank
from jaxdip.problem import Parameters

Dynamics = TypeVar("Dynamics", AbstractFlow, AbstractDescent)


class Lanes(eqx.Module, Generic[Dynamics]):
    """Several dynamics of one kind that differ in their numbers only, stacked along a new axis."""

    arrays: Tree
    rest: Tree
    size: int = eqx.field(static=True)

    def __init__(self, dynamics: Sequence[Dynamics]):
        """Stacks the numbers of dynamics of equal structure."""
        parts = [eqx.partition(one, eqx.is_array) for one in dynamics]
        self.arrays = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(part[0] for part in parts))
        self.rest = parts[0][1]
        self.size = len(parts)

    def lane(self, arrays: Tree) -> Dynamics:
        """The dynamics with the numbers of one lane."""
        return eqx.combine(arrays, self.rest)


class Lockstep(eqx.Module):
    """All that does not change while flows and methods run side by side.

    Attributes:
        recorder: what is looked at; with functions of the motion, flows and methods carry their
            path length.
        flows: the flows, F of them.
        methods: the discrete methods, J of them.
        refinement: how many steps of each method stand for one step of the first, shape (J,).
        counts: how many steps of the first method lie between records, shape (T − 1,).
        solver: for the flows.
        rtol: its relative tolerance.
        atol: its absolute tolerance.
        max_steps: how many steps it may take between two records.
    """

    recorder: Recorder
    flows: Lanes[AbstractFlow]
    methods: Lanes[AbstractDescent]
    refinement: Int[Array, " J"]
    counts: Int[Array, " T-1"]
    solver: dfx.AbstractSolver
    rtol: Array
    atol: Array
    max_steps: int = eqx.field(static=True)

    @property
    def f(self) -> Parameters:
        """The loss as a function of θ."""
        return self.recorder.f


class Track(eqx.Module):
    """Where each lane stands, leaves with a leading axis of lanes."""

    theta: Tree
    state: Tree
    result: RESULTS
    work: Int[Array, " lanes"]


class Rows(eqx.Module):
    """The records of a lockstep, leaves of shape (T, …).

    Attributes:
        ts: the times, which are the first method's, shape (T,).
        flow: what the flows showed, leaves (T, F, …).
        steps: what the methods showed, leaves (T, J, …).
        flow_reached: whether the flows came this far, shape (T, F).
        steps_reached: whether the methods did, shape (T, J).
        distance: ‖θ_flow − θ_j‖, shape (T, J).
        extrapolated: ‖θ_flow − (2θ_{j+1} − θ_j)‖, shape (T, J − 1).
    """

    ts: Float[Array, " T"]
    flow: dict[str, Array]
    steps: dict[str, Array]
    flow_reached: Bool[Array, "T F"]
    steps_reached: Bool[Array, "T J"]
    distance: Float[Array, "T J"]
    extrapolated: Float[Array, "T J-1"]


@eqx.filter_jit
def run_lockstep(setting: Lockstep, theta: Tree) -> tuple[Track, Track, Rows]:
    """Runs every lane from θ, stopping all of them at the times of the first method's records.

    Memory is one state a lane, whatever the number of steps; records are kept as `Rows`.

    Returns:
        Where the flows and the methods ended, and the records.
    """
    flows, steps = _start_flows(setting, theta), _start_methods(setting, theta)
    start = jnp.zeros((), tree_dtype(theta))
    first = _record(setting, start, flows, steps)

    def body(carry, count):
        t0, flows, steps = carry
        steps = _advance_methods(setting, steps, count)
        # The clock is the method's: where it chooses its steps as it goes, the flow follows.
        led, t = _clock(setting, steps)
        t1 = jnp.where(led, t.astype(t0.dtype), t0)
        flows = _advance_flows(setting, flows, t0, t1, led)
        return (t1, flows, steps), _record(setting, t1, flows, steps)

    (_, flows, steps), rows = jax.lax.scan(body, (start, flows, steps), setting.counts)
    rows = jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), first, rows)
    return flows, steps, rows


def _clock(setting: Lockstep, steps: Track) -> tuple[Bool[Array, ""], Float[Array, ""]]:
    """Whether the first method still runs, and its time."""
    arrays, track = jax.tree.map(lambda x: x[0], (setting.methods.arrays, steps))
    t = setting.methods.lane(arrays).time(track.work, track.state)
    return track.result == RESULTS.completed, t


def _start_flows(setting: Lockstep, theta: Tree) -> Track:
    def one(lane):
        flow = setting.flows.lane(lane[0])
        state = flow.init(setting.f.gradient, theta)
        return Track(flow.parameters(state), state, RESULTS.completed, lane[1])

    # The counts also give lax.map an axis to run over where a dynamics has no numbers.
    return jax.lax.map(one, (setting.flows.arrays, _zeros(setting.flows)))


def _start_methods(setting: Lockstep, theta: Tree) -> Track:
    def one(lane):
        method = setting.methods.lane(lane[0])
        state = method.init(setting.f, theta)
        return Track(theta, state, RESULTS.completed, lane[1])

    return jax.lax.map(one, (setting.methods.arrays, _zeros(setting.methods)))


def _zeros(lanes: Lanes) -> Int[Array, " lanes"]:
    return jnp.zeros(lanes.size, jnp.int32)


def _if(going: Bool[Array, ""], advance: Callable[[Track], Track], track: Track) -> Track:
    """A lane that has failed rests: an ODE solver fed with NaN would search for a step in vain."""
    return jax.lax.cond(going, advance, lambda track: track, track)


def _advance_flows(setting: Lockstep, tracks: Track, t0: Array, t1: Array, led: Array) -> Track:
    rtol, atol = (x.astype(t0.dtype) for x in (setting.rtol, setting.atol))
    controller = dfx.PIDController(rtol=rtol, atol=atol)

    def one(lane):
        arrays, track = lane
        flow = setting.flows.lane(arrays)

        def velocity(t, state, args):
            return flow.velocity(setting.f.gradient, t, state)

        def advance(track):
            solution = dfx.diffeqsolve(
                dfx.ODETerm(velocity),
                setting.solver,
                t0,
                t1,
                None,
                track.state,
                saveat=dfx.SaveAt(t1=True),
                stepsize_controller=controller,
                max_steps=setting.max_steps,
                throw=False,
            )
            end = jax.tree.map(lambda x: x[-1], solution.ys)
            ok = solution.result == dfx.RESULTS.successful
            full = solution.result == dfx.RESULTS.max_steps_reached
            ended = RESULTS.where(full, RESULTS.out_of_steps, RESULTS.solver_failed)
            finite = RESULTS.where(all_finite(end), RESULTS.completed, RESULTS.diverged)
            result = RESULTS.where(ok, finite, ended)
            work = track.work + jnp.asarray(solution.stats["num_steps"], jnp.int32)
            return _arrived(track, flow.parameters(end), end, result, work)

        return _if(led & (track.result == RESULTS.completed), advance, track)

    return jax.lax.map(one, (setting.flows.arrays, tracks))


def _advance_methods(setting: Lockstep, tracks: Track, count: Array) -> Track:
    def one(lane):
        arrays, refinement, track = lane
        method = setting.methods.lane(arrays)

        def advance(track):
            # A length that is data: all lanes and stretches share one program.
            length = count * refinement
            theta, state = jax.lax.fori_loop(
                0,
                length,
                lambda _, carry: method.step(setting.f, *carry),
                (track.theta, track.state),
            )
            finite = all_finite(theta) & jnp.isfinite(setting.f(theta))
            result = RESULTS.where(finite, RESULTS.completed, RESULTS.diverged)
            return _arrived(track, theta, state, result, track.work + length)

        return _if(track.result == RESULTS.completed, advance, track)

    return jax.lax.map(one, (setting.methods.arrays, setting.refinement, tracks))


def _arrived(before: Track, theta: Tree, state: Tree, result: RESULTS, work: Array) -> Track:
    """The new track, still at the last good θ if the stretch failed."""
    good = result == RESULTS.completed

    def pick(new, old):
        return jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)

    return Track(pick(theta, before.theta), pick(state, before.state), result, work)


def _record(setting: Lockstep, t: Array, flows: Track, steps: Track) -> Rows:
    flow_reached, steps_reached = (x.result == RESULTS.completed for x in (flows, steps))
    both = flow_reached & steps_reached
    return Rows(
        ts=t,
        flow=_looks(setting, setting.flows, flows, flow_reached),
        steps=_looks(setting, setting.methods, steps, steps_reached),
        flow_reached=flow_reached,
        steps_reached=steps_reached,
        distance=jnp.where(both, _norms(tree_sub(flows.theta, steps.theta)), jnp.nan),
        extrapolated=_extrapolated(setting, flows.theta, steps.theta, both),
    )


def _extrapolated(setting: Lockstep, towards: Tree, theta: Tree, reached: Array) -> Array:
    if setting.flows.size > 1:
        # Extrapolation is in h towards one limit; with a flow for each h there is none.
        return jnp.full(setting.methods.size - 1, jnp.nan, tree_dtype(theta))
    better = jax.tree.map(lambda x: 2 * x[1:] - x[:-1], theta)
    return jnp.where(reached[1:] & reached[:-1], _norms(tree_sub(towards, better)), jnp.nan)


def _looks(setting: Lockstep, lanes: Lanes, tracks: Track, reached: Array) -> dict[str, Array]:
    def one(lane):
        arrays, track, here = lane
        seen = setting.recorder.look(lanes.lane(arrays), track.theta, track.state)
        return jax.tree.map(lambda now, never: jnp.where(here, now, never), seen, blank(seen))

    return jax.lax.map(one, (lanes.arrays, tracks, reached))


def _norms(trees: Tree) -> Float[Array, " lanes"]:
    """‖·‖ over all leaves, for each lane."""
    squares = [jnp.sum(x * x, axis=tuple(range(1, x.ndim))) for x in jax.tree.leaves(trees)]
    return jnp.sqrt(jnp.sum(jnp.stack(squares), axis=0))
