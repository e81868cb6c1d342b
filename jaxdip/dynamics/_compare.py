"""A discrete method beside the flow it follows: how far apart they are, and with which order."""

from typing import Any, Literal

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._result import RESULTS, Solution
from jaxdip._tree import is_concrete, tree_dtype
from jaxdip._types import Array, Float, RealScalar, Tree
from jaxdip.dynamics._checks import count, number
from jaxdip.dynamics._comparison import Comparison
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._lockstep import Lanes, Lockstep, Rows, Track, run_lockstep
from jaxdip.dynamics._moment import AbstractMotionObservable
from jaxdip.dynamics._pairs import FlowFor, check_halving, check_pair, flow_at, no_pair
from jaxdip.dynamics._path_length import with_path_length
from jaxdip.dynamics._recorder import Observe, Recorder, split_observables
from jaxdip.dynamics._run import blank, raise_if_failed, start
from jaxdip.dynamics._scales import Scales
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Lift, Parameters, Problem, check_generator
from jaxdip.problem.observables import AbstractObservable, Prediction, Signal

#: Tolerances of the flow's solve, far below the gaps to be measured: (relative, absolute).
_TOLERANCES = {"float64": (1e-10, 1e-12), "float32": (1e-5, 1e-7)}
_MAX_STEPS = 1_000_000


def compare(
    problem: Problem,
    flow: FlowFor,
    descent: AbstractDescent,
    generator: AbstractGenerator,
    steps: int,
    *,
    every: int | None = None,
    halvings: int = 0,
    observe: Observe | None = None,
    solver: dfx.AbstractSolver | Literal["auto", "explicit"] | None = None,
    rtol: RealScalar | None = None,
    atol: RealScalar | None = None,
    throw: bool = False,
) -> Comparison:
    """Runs a flow and a discrete method side by side and records how far apart they are.

    The gaps of the loss, the signal x ('signal'), the prediction F(x) ('prediction') and the
    parameters ('theta') are always recorded; ‖θ_flow − θ_method‖ is taken in reduced coordinates,
    which are isometric, while both run, so that no θ is ever stored. With `halvings` the method
    also runs with h/2, h/4, …, for `Comparison.order` and Richardson extrapolation: where the error
    has an expansion c h + O(h²), the combination 2·method_{h/2} − method_h has order 2.

    Works under jit and vmap (except `order`, which looks at numbers).

    Args:
        problem: what to minimise.
        flow: a flow, or a function from h to a flow, such as `ModifiedGradientFlow` itself.
        descent: the discrete method.
        generator: the network at its start.
        steps: how many steps of the method, at least 1.
        every: steps between records; by default a hundredth of `steps`.
        halvings: how often the step is halved; not for `Optax`, whose time step is a label, nor
            for random batches, whose paths differ by order √h (see `weak_gap`).
        observe: more observables, compared too, and functions of the motion (`Energy`,
            `PathLength`), recorded along both and not compared.
        solver: a diffrax solver for the flow; by default, and as "explicit" or "auto", `Tsit5` (the
            method itself is explicit, so the flow is no stiffer than its step size allows).
        rtol: relative tolerance of the flow's solve; by default 1e-10, in float32 1e-5.
        atol: absolute tolerance; by default 1e-12, in float32 1e-7.
        throw: raise if a run fails, instead of saying so in the `result` of either.

    Returns:
        Both trajectories and their gaps, at the records that both reached; `notes` says where the
            method is known not to tend to the flow.

    Raises:
        TypeError, ValueError: if an argument is wrong.
        RuntimeError: if a run fails and `throw` is set.
    """
    check_pair("compare", flow, descent)
    steps, halvings = count("steps", steps, 1), count("halvings", halvings, 0)
    every = _check_every(every, steps)
    solver = _explicit(solver)
    check_generator(problem, generator)
    if halvings:
        check_halving(descent, problem)
    observables, motions = _split(observe)
    flows, methods, notes = _resolve(Scales(problem, generator), flow, descent, steps, halvings)
    if motions:
        flows = tuple(with_path_length(one) for one in flows)
        methods = tuple(with_path_length(one) for one in methods)
    lift, f, theta = start(problem, generator, descent.linear)
    dtype = tree_dtype(theta)
    default = _TOLERANCES.get(str(dtype), _TOLERANCES["float32"])
    setting = Lockstep(
        recorder=Recorder(lift, f, observables, motions),
        flows=Lanes(flows),
        methods=Lanes(methods),
        refinement=2 ** jnp.arange(halvings + 1, dtype=jnp.int32),
        counts=jnp.asarray(np.diff(np.append(np.arange(0, steps, every), steps)), jnp.int32),
        solver=solver,
        rtol=_tolerance("rtol", rtol, default[0]),
        atol=_tolerance("atol", atol, default[1]),
        max_steps=_MAX_STEPS,
    )
    comparison = _comparison(setting, flows, methods, notes, *run_lockstep(setting, theta))
    if throw:
        for run in (comparison.flow, comparison.steps):
            raise_if_failed(run)
    return comparison


def _check_every(every: int | None, steps: int) -> int:
    if every is None:
        return max(1, steps // 100)
    between = count("every", every, 1)
    if between > steps:
        raise ValueError(f"every is a whole number from 1 to steps={steps}, got {every!r}")
    return between


def _explicit(solver: Any) -> dfx.AbstractSolver:
    if solver is None or (isinstance(solver, str) and solver in ("auto", "explicit")):
        return dfx.Tsit5()
    if isinstance(solver, str):
        raise ValueError(
            f"compare solves the flow explicitly or by a diffrax solver, got solver={solver!r}; "
            'leave it out, or pass one such as diffrax.Kvaerno5(), or use integrate(solver="'
            'implicit") and gap'
        )
    if not isinstance(solver, dfx.AbstractSolver):
        raise TypeError(
            f"solver is a diffrax solver, got {solver!r}; for example diffrax.Dopri8() (an object, "
            "not the class)"
        )
    return solver


def _split(observe) -> tuple[dict[str, AbstractObservable], dict[str, AbstractMotionObservable]]:
    observables, motions = split_observables(observe)
    if "theta" in observables | motions:
        raise ValueError("'theta' is always the gap of the parameters; record yours otherwise")
    always = {"signal": Signal(), "prediction": Prediction()}
    return {k: v for k, v in always.items() if k not in motions} | observables, motions


def _resolve(
    scales: Scales, flow: FlowFor, descent: AbstractDescent, steps: int, halvings: int
) -> tuple[tuple[AbstractFlow, ...], tuple[AbstractDescent, ...], tuple[str, ...]]:
    """Flows and methods with their numbers filled in, and what was chosen in words."""
    descent, notes = descent.resolve(scales)
    time_steps: list[Array] = []
    if halvings or not isinstance(flow, AbstractFlow):
        h = _constant_time_step(descent, steps)
        time_steps = [h * 0.5**j for j in range(halvings + 1)]
    # The first method stays as it is given, to the last bit.
    methods = (descent, *(descent.with_time_step(h) for h in time_steps[1:]))
    given = [flow] if isinstance(flow, AbstractFlow) else [flow_at(flow, h) for h in time_steps]
    flows, chosen = zip(*(one.resolve(scales) for one in given), strict=True)
    notes += tuple(note for note in chosen[0] if note not in notes)
    return flows, methods, notes + no_pair(flows[0], descent) + _differing(flows[0], descent)


def _constant_time_step(descent: AbstractDescent, steps: int) -> Array:
    one, last = (descent.time(jnp.asarray(count, jnp.int32)) for count in (1, steps))
    if is_concrete(one, last) and not np.allclose(np.asarray(last), steps * np.asarray(one)):
        raise ValueError(
            f"halving steps, and flows that depend on them, need steps of one size; got a first "
            f"step of {float(one):g} and {steps} steps of {float(last):g} in all"
        )
    return one


def _differing(flow: AbstractFlow, descent: AbstractDescent) -> tuple[str, ...]:
    """A word of warning where flow and method disagree on a number that both have."""
    ours, theirs = flow.numbers(), descent.numbers()
    notes = ()
    for name in ours:
        if name not in theirs or not is_concrete(ours[name], theirs[name]):
            continue
        a, b = np.asarray(ours[name]), np.asarray(theirs[name])
        if not np.allclose(a, b, rtol=1e-6, atol=0):
            notes += (f"{name}: the flow has {a:g}, the method {b:g}, so it does not tend to it",)
    return notes


def _tolerance(name: str, value: RealScalar | None, default: float) -> Array:
    checked = number(name, default if value is None else value, positive=False)
    assert checked is not None
    return checked


def _comparison(
    setting: Lockstep,
    flows: tuple[AbstractFlow, ...],
    methods: tuple[AbstractDescent, ...],
    notes: tuple[str, ...],
    flow_track: Track,
    steps_track: Track,
    rows: Rows,
) -> Comparison:
    names = [
        name
        for name in setting.recorder.observables
        if jnp.issubdtype(rows.flow[name].dtype, jnp.inexact)
    ]
    gaps = {"theta": rows.distance}
    extrapolated = {"theta": rows.extrapolated}
    lone = len(flows) == 1
    for name in names:
        a, b = rows.flow[name], rows.steps[name]
        gaps[name] = _norm(a - b)
        richer = 2 * b[:, 1:] - b[:, :-1]
        towards = _norm((a if lone else a[:, 1:]) - richer)
        extrapolated[name] = towards if lone else jnp.full_like(towards, jnp.nan)
    reached = rows.flow_reached[:, 0] & rows.steps_reached[:, 0]
    ts = jnp.where(reached, rows.ts, jnp.inf)
    mean = rows.ts[-1] / steps_track.work[0].astype(rows.ts.dtype)
    time_steps = mean / setting.refinement.astype(mean.dtype)
    flow = Solution(
        ts=ts,
        observed=_shown(rows.flow, reached),
        generator=_lifted(setting, flow_track),
        result=_result(flow_track),
        stats={"num_steps": flow_track.work[0], **flows[0].numbers()},
        notes=notes,
    )
    steps = Solution(
        ts=ts,
        observed=_shown(rows.steps, reached),
        generator=_lifted(setting, steps_track),
        result=_result(steps_track),
        stats={"steps": steps_track.work[0], **methods[0].numbers()},
        notes=notes,
    )
    return _trimmed(Comparison(flow, steps, time_steps, gaps, extrapolated))


def _shown(rows: dict[str, Array], reached: Array) -> dict[str, Array]:
    """The first lane's records, blank where the two are not both there."""
    first = jax.tree.map(lambda x: x[:, 0], rows)
    return jax.tree.map(
        lambda now, never: jnp.where(reached.reshape((-1, *(1,) * (now.ndim - 1))), now, never),
        first,
        blank(first),
    )


def _norm(x: Array) -> Float[Array, "T lanes"]:
    if x.ndim == 2:
        return jnp.abs(x)
    return jnp.sqrt(jnp.sum(jnp.abs(x) ** 2, axis=tuple(range(2, x.ndim))))


def _result(track: Track) -> RESULTS:
    """How the first lane ended, or, if it did not fail, the first failure among the others."""
    result: Any = jax.tree.map(lambda x: x[0], track.result)
    for lane in range(1, track.work.shape[0]):
        other: Any = jax.tree.map(lambda x, lane=lane: x[lane], track.result)
        result = RESULTS.where(result == RESULTS.completed, other, result)
    return result


def _lifted(setting: Lockstep, track: Track) -> AbstractGenerator:
    return _lift(
        setting.recorder.lift, setting.recorder.f, jax.tree.map(lambda x: x[0], track.theta)
    )


@eqx.filter_jit
def _lift(lift: Lift, f: Parameters, theta: Tree) -> AbstractGenerator:
    return lift(f.generator(theta))


def _trimmed(comparison: Comparison) -> Comparison:
    """Without the records that either run never reached, where values can be looked at."""
    ts = comparison.ts
    if not is_concrete(ts) or ts.ndim != 1:
        return comparison
    reached = int(np.sum(np.isfinite(np.asarray(ts))))

    def cut(x):
        return x[:reached]

    def where(c: Comparison):
        return (c.flow.ts, c.flow.observed, c.steps.ts, c.steps.observed, c.gaps, c.extrapolated)

    return eqx.tree_at(where, comparison, jax.tree.map(cut, where(comparison)))
