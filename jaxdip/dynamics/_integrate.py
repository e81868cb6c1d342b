"""The driver of flows: one ODE solve, records on the shared clock."""

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._result import RESULTS, Solution
from jaxdip._tree import is_concrete, tree_dtype
from jaxdip._types import Array, Float, RealScalar, Tree
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._flow import AbstractFlow
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
from jaxdip.dynamics._solver_choice import SolverChoice, check_solver, choose_solver
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Lift, Parameters, Problem, check_generator, complete
from jaxdip.problem.observables import AbstractObservable

#: Default tolerances of the ODE solver, by precision: (relative, absolute).
DEFAULT_TOLERANCES = {"float64": (1e-6, 1e-9), "float32": (1e-4, 1e-6)}


class _Setting(eqx.Module):
    """All that does not change during a solve."""

    lift: Lift
    f: Parameters
    flow: AbstractFlow
    observables: dict[str, AbstractObservable]
    solver: dfx.AbstractSolver
    rtol: Array
    atol: Array
    controller: dfx.AbstractStepSizeController | None
    adjoint: dfx.AbstractAdjoint
    max_steps: int = eqx.field(static=True)


def integrate(
    problem: Problem,
    flow: AbstractFlow,
    generator: AbstractGenerator,
    ts: Float[Array, " T"],
    *,
    observe: Observe | None = None,
    reduce: bool = True,
    solver: SolverChoice | None = None,
    rtol: RealScalar | None = None,
    atol: RealScalar | None = None,
    stepsize_controller: dfx.AbstractStepSizeController | None = None,
    max_steps: int = 1_000_000,
    adjoint: dfx.AbstractAdjoint | None = None,
    watch: Watch | None = None,
    throw: bool = False,
) -> Solution:
    """Integrates a flow from θ(0) = the generator's own weights.

    Works under jit, vmap and differentiation. Values at `ts` between solver steps come from the
    solver's own interpolant; with `watch`, the solver steps onto each of `ts` instead, so the two
    agree to the tolerance and not to rounding.

    Args:
        problem: what to minimise.
        flow: `GradientFlow` or `ISEHD`.
        generator: the network at its start.
        ts: times of the records, shape (T,), increasing, the first at least 0; the solve always
            begins at t = 0.
        observe: observables to record by name, or functions of (problem, generator); the loss is
            always recorded.
        reduce: run in reduced coordinates (exact; see `reduce`).
        solver: "explicit" is diffrax's `Tsit5`, of order 5. "implicit", for stiff flows, is the
            Rosenbrock method Rodas5P, also of order 5; for `TwoLayer` and `Linear` generators
            with at most 512 entries of the reduced signal its linear solves use the Hessian's
            structure, O(k q²) a step for k units and q entries, and never form k × k; for other
            generators and flows it is `Kvaerno5` with Newton and GMRES. "auto", also None,
            compares the fastest rate at the start times the horizon with the cost of a step and
            takes the cheaper (`Tsit5` where the generator has no such structure, values are traced
            by jit, vmap or grad, or with a `stepsize_controller`). Or any diffrax solver.
        rtol: relative tolerance of a step; by default 1e-6 in float64, 1e-4 in float32.
        atol: absolute tolerance of a step; by default 1e-9 in float64, 1e-6 in float32.
        stepsize_controller: a diffrax controller instead of the one made from rtol and atol.
        max_steps: how many steps the solver may take (between two records if watched).
        adjoint: how to differentiate; by default diffrax's `RecursiveCheckpointAdjoint`.
        watch: called with a `Progress` after every record, outside compiled code; returning True
            ends the run there.
        throw: raise if the run fails, instead of saying so in `result`.

    Returns:
        The trajectory; `stats` has diffrax's counts of steps and, where "auto" compared,
        'stiffness', the fastest rate at the start times the horizon; `notes` says why it did not
        choose `Tsit5`, or could not compare.

    Raises:
        TypeError, ValueError: if an argument is wrong.
        RuntimeError: if the run fails and `throw` is set.
    """
    if not isinstance(flow, AbstractFlow):
        raise TypeError(
            f"integrate takes a flow, got {type(flow).__name__}; discrete methods go to iterate"
        )
    check_generator(problem, generator)
    ts = _check_times(ts)
    check_solver(solver)
    if stepsize_controller is not None and (rtol is not None or atol is not None):
        raise ValueError("give rtol and atol, or a stepsize_controller, not both")
    observables = complete(observe)
    flow, notes = flow.resolve(Scales(problem, generator))
    lift, f, theta = start(problem, generator, reduce)
    default = DEFAULT_TOLERANCES.get(str(tree_dtype(theta)), DEFAULT_TOLERANCES["float32"])
    ts = ts.astype(tree_dtype(theta))
    relative = _tolerance("rtol", rtol, default[0])
    own = stepsize_controller is not None
    chosen = choose_solver(solver, flow, f, theta, ts[-1], relative, own_controller=own)
    setting = _Setting(
        lift=lift,
        f=f,
        flow=flow,
        observables=observables,
        solver=chosen.solver,
        rtol=relative,
        atol=_tolerance("atol", atol, default[1]),
        controller=stepsize_controller,
        adjoint=dfx.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
        max_steps=max_steps,
    )
    if watch is None:
        final, ts, observed, result, stats = _run_all(setting, theta, ts)
    else:
        final, ts, observed, result, stats = _run_watched(setting, theta, ts, watch)
    ts, observed = trim(ts, observed)
    solution = Solution(
        ts=ts,
        observed=observed,
        generator=_lifted(setting, final),
        result=result,
        stats={**stats, **chosen.stats, **flow.numbers()},
        notes=notes + chosen.notes,
    )
    if throw:
        raise_if_failed(solution)
    return solution


def _check_times(ts) -> Array:
    ts = jnp.asarray(ts)
    if ts.ndim != 1 or ts.shape[0] == 0:
        raise ValueError(f"ts is a vector of at least one time, got shape {ts.shape}")
    if not jnp.issubdtype(ts.dtype, jnp.floating):
        ts = ts.astype(jnp.result_type(float))
    if is_concrete(ts):
        # NumPy, because even concrete arrays become tracers in jnp under jit.
        times = np.asarray(ts)
        if not (np.all(np.diff(times) > 0) and times[0] >= 0 and np.isfinite(times[-1])):
            raise ValueError("ts must be finite, increasing and at least 0, since θ0 is at t = 0")
        if times[-1] == 0:
            raise ValueError("ts ends at 0: there is nothing to integrate")
    return ts


def _tolerance(name: str, value: RealScalar | None, default: float) -> Array:
    checked = number(name, default if value is None else value, positive=False)
    assert checked is not None
    return checked


def _solve(setting: _Setting, state: Tree, t0: Array, t1: Array, saveat: dfx.SaveAt):
    grad = setting.f.gradient

    def velocity(t, state, args):
        return setting.flow.velocity(grad, t, state)

    controller = setting.controller
    if controller is None:
        dtype = tree_dtype(state)
        controller = dfx.PIDController(
            rtol=setting.rtol.astype(dtype), atol=setting.atol.astype(dtype)
        )
    return dfx.diffeqsolve(
        dfx.ODETerm(velocity),
        setting.solver,
        t0,
        t1,
        None,
        state,
        saveat=saveat,
        stepsize_controller=controller,
        max_steps=setting.max_steps,
        adjoint=setting.adjoint,
        throw=False,
    )


def _result(solution: dfx.Solution, finite: Array) -> RESULTS:
    ok = solution.result == dfx.RESULTS.successful
    full = solution.result == dfx.RESULTS.max_steps_reached
    failed = RESULTS.where(full, RESULTS.out_of_steps, RESULTS.solver_failed)
    ended = RESULTS.where(ok, RESULTS.completed, failed)
    return RESULTS.where(finite, ended, RESULTS.diverged)


def _counts(solution: dfx.Solution) -> dict[str, Array]:
    names = ("num_steps", "num_accepted_steps", "num_rejected_steps")
    return {name: jnp.asarray(solution.stats[name]) for name in names}


@eqx.filter_jit
def _run_all(setting: _Setting, theta: Tree, ts: Array):
    def save(t, state, args):
        return look(setting.lift, setting.f, setting.observables, setting.flow.parameters(state))

    state0 = setting.flow.init(setting.f.gradient, theta)
    everything = dfx.SaveAt(
        subs=[dfx.SubSaveAt(ts=ts, fn=save), dfx.SubSaveAt(t1=True)],
    )
    solution = _solve(setting, state0, jnp.zeros((), ts.dtype), ts[-1], everything)
    assert solution.ys is not None
    assert solution.ts is not None
    (observed, ends), (times, ended) = solution.ys, solution.ts
    reached = jnp.isfinite(times)
    observed = _mask(observed, reached)
    loss = jnp.where(reached, observed["loss"], 0)
    last = jax.tree.map(lambda x: x[-1], ends)
    # An unfinished solve leaves infinities in its final state: give back the start instead.
    arrived = jnp.isfinite(ended[-1])
    theta = setting.flow.parameters(
        jax.tree.map(lambda a, b: jnp.where(arrived, a, b), last, state0)
    )
    finite = jnp.all(jnp.isfinite(loss)) & (all_finite(last) | ~arrived)
    return theta, times, observed, _result(solution, finite), _counts(solution)


def _mask(observed: dict[str, Array], reached: Array) -> dict[str, Array]:
    def keep(rows):
        shape = (-1, *(1,) * (rows.ndim - 1))
        return jnp.where(reached.reshape(shape), rows, blank(rows))

    return jax.tree.map(keep, observed)


@eqx.filter_jit
def _begin(setting: _Setting, theta: Tree):
    return setting.flow.init(setting.f.gradient, theta)


@eqx.filter_jit
def _look(setting: _Setting, state: Tree):
    return look(setting.lift, setting.f, setting.observables, setting.flow.parameters(state))


@eqx.filter_jit
def _stretch(setting: _Setting, state: Tree, t0: Array, t1: Array):
    solution = _solve(setting, state, t0, t1, dfx.SaveAt(t1=True))
    end = jax.tree.map(lambda x: x[-1], solution.ys)
    observed = look(setting.lift, setting.f, setting.observables, setting.flow.parameters(end))
    finite = all_finite(end) & jnp.isfinite(observed["loss"])
    return end, observed, _result(solution, finite), _counts(solution)


def _run_watched(setting: _Setting, theta: Tree, ts: Array, watch: Watch):
    state = _begin(setting, theta)
    now = jnp.zeros((), ts.dtype)
    rows, counts, result = [], None, RESULTS.completed
    total = ts.shape[0]
    for t in ts:
        if bool(t == 0):
            observed = _look(setting, state)
        else:
            end, observed, result, count = _stretch(setting, state, now, t)
            counts = count if counts is None else jax.tree.map(jnp.add, counts, count)
            if not bool(result == RESULTS.completed):
                break
            state, now = end, t
        rows.append((t, observed))
        if watch(Progress(len(rows), total, t, observed)) and len(rows) < total:
            result = RESULTS.stopped
            break
    if rows:
        times, table = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
    else:
        times, table = ts[:0], jax.tree.map(lambda x: x[None][:0], _look(setting, state))
    if counts is None:
        counts = {}
    return setting.flow.parameters(state), times, table, result, counts


@eqx.filter_jit
def _lifted(setting: _Setting, theta: Tree) -> AbstractGenerator:
    return setting.lift(setting.f.generator(theta))
