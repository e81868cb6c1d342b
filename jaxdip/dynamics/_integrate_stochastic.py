"""The driver of stochastic flows: Itô solves by diffrax, records on the shared clock."""

from collections.abc import Callable, Mapping

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx

from jaxdip._random import check_key
from jaxdip._result import RESULTS, Solution
from jaxdip._tree import is_concrete, tree_dtype
from jaxdip._types import Array, Float, Key, RealScalar, Tree
from jaxdip.dynamics._checks import count, number
from jaxdip.dynamics._record_times import check_times
from jaxdip.dynamics._run import all_finite, blank, raise_if_failed, start, trim
from jaxdip.dynamics._small_noise_heun import SmallNoiseHeun
from jaxdip.dynamics._stochastic_gradient_flow import StochasticGradientFlow
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Lift, Parameters, Problem, check_generator, complete, record
from jaxdip.problem.observables import AbstractObservable, Snapshot

#: Steps of the solver in one step γ of the descent that the flow follows.
_STEPS_IN_GAMMA = 4
#: The Brownian path is drawn to this fraction of γ, and a step of the solver is at least
#: `_TOL_IN_STEP` times as long: then the path between drawn points does not matter.
_TOL_IN_GAMMA = 64
_TOL_IN_STEP = 4


class _Setting(eqx.Module):
    """All that does not change during a solve."""

    lift: Lift
    f: Parameters
    flow: StochasticGradientFlow
    observables: dict[str, AbstractObservable]
    solver: dfx.AbstractSolver
    dt: Array
    tol: Array
    max_steps: int = eqx.field(static=True)


class _State(eqx.Module):
    """All that does."""

    t: Array
    theta: Tree
    result: RESULTS
    steps: Array


def integrate_stochastic(
    problem: Problem,
    flow: StochasticGradientFlow,
    generator: AbstractGenerator,
    ts: Float[Array, " T"],
    *,
    key: Key,
    observe: Mapping[str, AbstractObservable | Callable] | None = None,
    reduce: bool = True,
    dt: RealScalar | None = None,
    tol: RealScalar | None = None,
    solver: dfx.AbstractSolver | None = None,
    max_steps: int = 1_000_000,
    throw: bool = False,
) -> Solution:
    """Integrates one path of a stochastic flow from θ(0) = the generator's own weights.

    Works under jit and vmap: `jax.vmap` over `key` makes independent paths. The noise is m numbers
    a step, whatever the number of weights. It lives on the data, which the reduction leaves as they
    are, so the same key gives the same path in both coordinates, up to rounding.

    Args:
        problem: what to minimise; its loss is a sum over the entries of the data.
        flow: `StochasticGradientFlow`.
        generator: the network at its start.
        ts: times of the records, shape (T,), increasing, the first at least 0; the solve always
            begins at t = 0. The solver steps onto each of them.
        key: the random key of the Brownian path, a `VirtualBrownianTree` from 0 to ts[-1]: the
            same key, last time and `tol` are the same path, whatever dt and the solver.
        observe: observables to record by name, or functions of (problem, generator); the loss is
            always recorded.
        reduce: run in reduced coordinates (exact; see `reduce`).
        dt: the solver's largest time step; by default γ/4.
        tol: the resolution in time of the Brownian path, at most dt/4; by default γ/64.
        solver: an Itô solver of diffrax for a `MultiTerm` of drift and diffusion, such as
            `diffrax.Euler()`; by default `SmallNoiseHeun`, whose weak error is O(dt² + γ dt).
        max_steps: how many steps the solver may take between two records.
        throw: raise if the run fails, instead of saying so in `result`.

    Returns:
        The trajectory; 'num_steps' in its `stats` counts the solver's steps.

    Raises:
        TypeError, ValueError: if an argument is wrong.
        RuntimeError: if the run fails and `throw` is set.
    """
    if not isinstance(flow, StochasticGradientFlow):
        raise TypeError(
            f"integrate_stochastic takes a StochasticGradientFlow, got {type(flow).__name__}; "
            "other flows go to integrate, descents to iterate"
        )
    check_generator(problem, generator)
    check_key(key)
    flow.sampling.check(problem)
    if solver is not None and not isinstance(solver, dfx.AbstractItoSolver):
        raise TypeError(f"solver is an Itô solver of diffrax, got {type(solver).__name__}")
    observables = complete(observe)
    lift, f, theta = start(problem, generator, reduce)
    dtype = tree_dtype(theta)
    step = number("dt", flow.step_size / _STEPS_IN_GAMMA if dt is None else dt, positive=True)
    assert step is not None
    setting = _Setting(
        lift=lift,
        f=f,
        flow=flow,
        observables=observables,
        solver=SmallNoiseHeun() if solver is None else solver,
        dt=step.astype(dtype),
        tol=_tolerance(tol, flow.step_size, step).astype(dtype),
        max_steps=count("max_steps", max_steps, 1),
    )
    state, ts, observed = _run(setting, theta, check_times(ts).astype(dtype), key)
    ts, observed = trim(ts, observed)
    solution = Solution(
        ts=ts,
        observed=observed,
        generator=_lifted(setting, state.theta),
        result=state.result,
        stats={"num_steps": state.steps, "dt": setting.dt, **flow.numbers()},
        notes=() if dt is not None else (f"dt: step_size/{_STEPS_IN_GAMMA}",),
    )
    if throw:
        raise_if_failed(solution)
    return solution


def _tolerance(tol: RealScalar | None, gamma: Array, dt: Array) -> Array:
    """The resolution of the Brownian path, which does not depend on dt."""
    checked = number("tol", gamma / _TOL_IN_GAMMA if tol is None else tol, positive=True)
    assert checked is not None
    # A little more than the bound itself, for rounding.
    if is_concrete(checked, dt) and float(dt) * 1.001 < _TOL_IN_STEP * float(checked):
        raise ValueError(
            f"the Brownian path is drawn to tol={float(checked):g}, too coarse for dt="
            f"{float(dt):g}; give tol at most dt/{_TOL_IN_STEP}, the same in runs that share a path"
        )
    return checked


def _terms(setting: _Setting, brownian: dfx.AbstractPath) -> dfx.MultiTerm:
    f, flow = setting.f, setting.flow
    noise = jax.ShapeDtypeStruct(f.problem.y.shape, f.problem.y.real.dtype)

    def drift(t, theta, args):
        return flow.drift(f, theta)

    def diffusion(t, theta, args):
        return lx.FunctionLinearOperator(flow.diffusion(f, theta), noise)

    return dfx.MultiTerm(dfx.ODETerm(drift), dfx.ControlTerm(diffusion, brownian))


@eqx.filter_jit
def _run(setting: _Setting, theta: Tree, ts: Array, key: Key):
    y = setting.f.problem.y
    zero = jnp.zeros((), ts.dtype)
    brownian = dfx.VirtualBrownianTree(
        zero, ts[-1], setting.tol, jax.ShapeDtypeStruct(y.shape, y.real.dtype), key
    )
    terms = _terms(setting, brownian)

    def advance(state: _State, t1: Array):
        end, result, steps = _stretch(setting, terms, state, t1)
        observed = record(setting.observables, Snapshot(setting.f.generator(end), setting.lift))
        finite = all_finite(end) & jnp.isfinite(observed["loss"])
        result = RESULTS.where(finite, result, RESULTS.diverged)
        reached = result == RESULTS.completed
        theta = _select(reached, end, state.theta)
        observed = _select(reached | ~finite, observed, blank(observed))
        t = jnp.where(reached | ~finite, t1, jnp.inf)
        return _State(jnp.where(reached, t1, state.t), theta, result, state.steps + steps), (
            t,
            observed,
        )

    def rest(state: _State, t1: Array):
        shapes = jax.eval_shape(advance, state, t1)[1]
        return state, (jnp.full_like(t1, jnp.inf), blank(shapes[1]))

    def body(state, t1):
        return jax.lax.cond(state.result == RESULTS.completed, advance, rest, state, t1)

    begin = _State(zero, theta, RESULTS.completed, jnp.asarray(0, jnp.int32))
    state, (times, observed) = jax.lax.scan(body, begin, ts)
    return state, times, observed


def _stretch(setting: _Setting, terms: dfx.MultiTerm, state: _State, t1: Array):
    """Equal steps of at most dt from one record to the next."""
    length = t1 - state.t
    count = jnp.maximum(jnp.ceil(length / setting.dt * (1 - 1e-6)), 1)
    solution = dfx.diffeqsolve(
        terms,
        setting.solver,
        state.t,
        t1,
        jnp.where(length > 0, length / count, setting.dt),
        state.theta,
        saveat=dfx.SaveAt(t1=True),
        max_steps=setting.max_steps,
        throw=False,
    )
    end = jax.tree.map(lambda x: x[-1], solution.ys)
    ok = solution.result == dfx.RESULTS.successful
    full = solution.result == dfx.RESULTS.max_steps_reached
    failed = RESULTS.where(full, RESULTS.out_of_steps, RESULTS.solver_failed)
    # An unfinished solve leaves infinities in its final state.
    end = _select(ok, end, state.theta)
    steps = jnp.asarray(solution.stats["num_steps"], jnp.int32)
    return end, RESULTS.where(ok, RESULTS.completed, failed), steps


def _select(which: Array, a: Tree, b: Tree) -> Tree:
    return jax.tree.map(lambda x, y: jnp.where(which, x, y), a, b)


@eqx.filter_jit
def _lifted(setting: _Setting, theta: Tree) -> AbstractGenerator:
    return setting.lift(setting.f.generator(theta))
