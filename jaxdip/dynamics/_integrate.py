"""The driver of flows: one ODE solve, records on the shared clock."""

import diffrax as dfx
import equinox as eqx

from jaxdip._result import Solution
from jaxdip._tree import is_concrete, tree_dtype
from jaxdip._types import Array, Float, RealScalar, Tree
from jaxdip.dynamics._checks import count, number
from jaxdip.dynamics._event import Events
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._flow_solve import Solve, solve_watched, solve_whole
from jaxdip.dynamics._path_length import with_path_length
from jaxdip.dynamics._reachable import check_reachable
from jaxdip.dynamics._record_times import check_times
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
from jaxdip.dynamics._solver_choice import Chosen, SolverChoice, check_solver, choose_solver
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem, check_generator

#: Default tolerances of the ODE solver, by precision: (relative, absolute).
DEFAULT_TOLERANCES = {"float64": (1e-6, 1e-9), "float32": (1e-4, 1e-6)}


_CARRIES_LENGTH = Chosen(
    dfx.Tsit5(),
    (
        "solver: Tsit5, because functions of the motion are recorded and the path length that the "
        "state then carries has no structured Jacobian",
    ),
)
#: Steps a solve may take: kept in memory one by one if it is dense.
_MAX_STEPS = 1_000_000
_MAX_DENSE_STEPS = 4096


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
    max_steps: int | None = None,
    adjoint: dfx.AbstractAdjoint | None = None,
    until: Events | None = None,
    mark: Events | None = None,
    dense: bool = False,
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
        observe: observables to record by name, functions of (problem, generator), or of the motion
            (`Energy`, `PathLength`; not with an implicit solver); the loss is always recorded.
        reduce: run in reduced coordinates (exact; see `reduce`).
        solver: "explicit" is diffrax's `Tsit5`, of order 5. "implicit", for stiff flows, is the
            Rosenbrock method Rodas5P, also of order 5; for `TwoLayer` and `Linear` generators
            with at most 512 entries of the reduced signal its linear solves use the Hessian's
            structure, O(k q²) a step for k units and q entries, and never form k × k; for other
            generators and flows it is `Kvaerno5` with Newton and GMRES. "auto", also None,
            compares the fastest rate at the start times the horizon with the cost of a step and
            takes the cheaper (`Tsit5` where the generator has no such structure, values are traced
            by jit, vmap or grad, or with a `stepsize_controller`); asked for by name, it always
            says why in `notes`. Or any diffrax solver.
        rtol: relative tolerance of a step; by default 1e-6 in float64, 1e-4 in float32.
        atol: absolute tolerance of a step; by default 1e-9 in float64, 1e-6 in float32.
        stepsize_controller: a diffrax controller instead of the one made from rtol and atol.
        max_steps: how many steps the solver may take (between two records if watched); by default
            a million, or 4096 if `dense`, which keeps all of them in memory.
        adjoint: how to differentiate; by default diffrax's `RecursiveCheckpointAdjoint`.
        until: events at the first of which the run ends; their time is located on the solver's
            interpolant, and the moment becomes the last record (inside jit or vmap, where arrays
            keep their length, the last one with a finite time).
        mark: events whose first time is noted in `hits` while the run goes on.
        dense: also return θ as a function of time, in `Solution.dense`.
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
    check_generator(problem, generator)
    ts = check_times(ts)
    _check_settings(flow, solver, stepsize_controller, rtol, atol, adjoint, dense, watch)
    if max_steps is None:
        max_steps = _MAX_DENSE_STEPS if dense else _MAX_STEPS
    max_steps = count("max_steps", max_steps, 1)
    observables, motions = split_observables(observe)
    ending, noted = split_events(until, mark)
    check_reachable(problem, ending | noted)
    flow, notes = flow.resolve(Scales(problem, generator))
    lift, f, theta = start(problem, generator, reduce)
    ts = ts.astype(tree_dtype(theta))
    rtol, atol = _tolerances(rtol, atol, str(tree_dtype(theta)))
    if motions and _is(solver, "implicit"):
        raise ValueError(
            "functions of the motion need the path length, whose Jacobian is singular where the "
            'motion is at rest, so no implicit solver carries it; take solver="explicit", or '
            "record them in a run of their own"
        )
    if motions and (solver is None or _is(solver, "auto")):
        chosen = _CARRIES_LENGTH
    else:
        own = stepsize_controller is not None
        chosen = choose_solver(solver, flow, f, theta, ts[-1], rtol, own_controller=own)
    setting = Solve(
        recorder=Recorder(lift, f, observables, motions, ending, noted),
        flow=with_path_length(flow) if motions else flow,
        solver=chosen.solver,
        rtol=rtol,
        atol=atol,
        controller=stepsize_controller,
        adjoint=dfx.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
        max_steps=max_steps,
        dense=dense,
    )
    if watch is None:
        solved = solve_whole(setting, theta, ts)
    else:
        check_watchable((theta, ts))
        solved = solve_watched(setting, theta, ts, watch)
    ts, observed = trim(solved.ts, solved.observed)
    solution = Solution(
        ts=ts,
        observed=observed,
        generator=_lifted(setting, solved.theta),
        result=solved.result,
        stats={**solved.stats, **chosen.stats, **flow.numbers()},
        notes=notes + chosen.notes,
        hits=solved.hits,
        dense=solved.dense,
    )
    if throw:
        raise_if_failed(solution)
    return solution


def _check_settings(flow, solver, controller, rtol, atol, adjoint, dense, watch) -> None:
    if not isinstance(flow, AbstractFlow):
        raise TypeError(
            f"integrate takes a flow, got {type(flow).__name__}; discrete methods go to iterate"
        )
    check_solver(solver)
    check_watch(watch)
    _check_diffrax("stepsize_controller", controller, dfx.AbstractStepSizeController)
    _check_diffrax("adjoint", adjoint, dfx.AbstractAdjoint)
    if controller is not None and (rtol is not None or atol is not None):
        raise ValueError("give rtol and atol, or a stepsize_controller, not both")
    if dense and watch is not None:
        raise ValueError("a watched run is solved in stretches; give dense=True or watch, not both")


def _check_diffrax(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(
            f"{name} is a diffrax object of the kind {kind.__name__}, got {value!r}; leave it out "
            "for the default"
        )


def _tolerances(rtol, atol, dtype: str) -> tuple[Array, Array]:
    """Those given, or the defaults of the precision."""
    default = DEFAULT_TOLERANCES.get(dtype, DEFAULT_TOLERANCES["float32"])
    rtol = number("rtol", default[0] if rtol is None else rtol, positive=False)
    atol = number("atol", default[1] if atol is None else atol, positive=False)
    assert rtol is not None
    assert atol is not None
    if is_concrete(rtol, atol) and float(rtol) == 0 and float(atol) == 0:
        raise ValueError("rtol and atol are both 0, which no step can meet; give one of them")
    return rtol, atol


def _is(solver: SolverChoice | None, name: str) -> bool:
    return isinstance(solver, str) and solver == name


@eqx.filter_jit
def _lifted(setting: Solve, theta: Tree) -> AbstractGenerator:
    return setting.recorder.lift(setting.recorder.f.generator(theta))
