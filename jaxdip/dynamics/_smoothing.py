"""How far the dynamics of a smoothed problem is from that of the non-smooth one."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip import losses
from jaxdip._result import Solution
from jaxdip._types import Array, Float, RealScalar
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._gradient_flow import GradientFlow
from jaxdip.dynamics._integrate import integrate
from jaxdip.dynamics._iterate import iterate
from jaxdip.generators import AbstractGenerator, Linear
from jaxdip.operators import AbstractLinearOperator
from jaxdip.problem import Problem, parametrize
from jaxdip.problem.observables import AbstractObservable, Prediction, Signal, Snapshot

#: Losses that are convex in the prediction.
_CONVEX = (losses.SmoothL1, losses.L1, losses.MSE, losses.WeightedMSE, losses.Huber, losses.LogCosh)
#: What `stats` counts or measures of a run, rather than the numbers it ran with.
_COUNTS = {"steps", "num_steps", "num_accepted_steps", "num_rejected_steps", "stiffness"}
#: Numbers that differ by less than this, relatively, are the same in either precision.
_SAME = 1e-6


@dataclasses.dataclass(frozen=True)
class SmoothingError:
    """Runs at decreasing smoothing levels δ, and how they come together.

    Attributes:
        levels: δ, decreasing, shape (J,).
        runs: one trajectory for each level.
        to_finest: sup over the records of the distance to the run of the finest level, for each
            observable ('loss', 'signal', 'prediction', 'theta'), shape (J − 1,).
        successive: the same between neighbouring levels, shape (J − 1,).
        orders: the exponent q of successive ∝ δ^q, fitted by least squares in logarithms; NaN
            where an observable does not change.
        bound: a proven bound on 'theta' in `to_finest`, and on the distance to the solution of the
            differential inclusion, shape (J,); None where none was asked for, or where it is not
            proven: for other dynamics than `GradientFlow`, generators than `Linear`, operators that
            are not linear, or losses that are not known to be convex.
    """

    levels: np.ndarray
    runs: tuple[Solution, ...]
    to_finest: dict[str, np.ndarray]
    successive: dict[str, np.ndarray]
    orders: dict[str, float]
    bound: np.ndarray | None


class _Theta(AbstractObservable):
    """θ in the run's coordinates, as one vector: these are isometric and alike at every level."""

    def __call__(self, snapshot: Snapshot) -> Array:
        """θ."""
        _, theta = parametrize(snapshot.lift.reduced_problem, snapshot.current)
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(theta)])


def smoothing_error(
    make: Callable[[Array], tuple[Problem, AbstractGenerator]],
    dynamics: AbstractFlow | AbstractDescent,
    levels: Sequence[float],
    *,
    ts: Float[Array, " T"] | None = None,
    steps: int | None = None,
    every: int | None = None,
    envelope_gap: Callable[[float], RealScalar] | None = None,
    observe: Mapping[str, AbstractObservable] | None = None,
    **options: Any,
) -> SmoothingError:
    """Runs one dynamics on a smoothed problem at every level and measures how the runs approach.

    A non-smooth loss or activation turns gradient flow into the inclusion θ̇ ∈ −∂f(θ), which is
    run through smooth functions f_δ → f: `losses.SmoothL1(δ)` for the ℓ₁ loss,
    `generators.SmoothRectifier(δ)` for ReLU and its kin.

    Where f and f_δ are convex in θ with 0 ≤ f − f_δ ≤ ε(δ) (a linear generator and operator with
    SmoothL1: ε = mδ/2), their gradient flows from one start satisfy

        ‖θ(t) − θ_δ(t)‖ ≤ √(2 ε(δ) t),

    since by convexity the derivative of ½‖θ − θ_δ‖² is at most
    (f − f_δ)(θ_δ) − (f − f_δ)(θ) ≤ ε. The same holds between two levels if f_δ increases as δ
    falls.

    Args:
        make: δ ↦ (problem, generator at its start), alike at all levels but for the smoothing.
        dynamics: a flow, with `ts`, or a descent, with `steps`.
        levels: δ, at least 3, decreasing by one factor.
        ts: times of a flow's records.
        steps: how many steps a descent takes.
        every: steps between its records.
        envelope_gap: ε(δ), to have the bound; for gradient flow of convex f alone.
        observe: more observables, measured like the others; 'theta' is θ itself.
        options: further keywords of `integrate` or `iterate`, such as rtol and reduce.

    Raises:
        TypeError: if the dynamics is neither flow nor descent.
        ValueError: if levels are not as above, `ts` or `steps` is missing, an observable is named
            'theta', or the runs differ in the dynamics' numbers or in their times (a default that
            comes from each level's own problem).
        RuntimeError: if a run failed.
    """
    levels = _check_levels(levels)
    if "theta" in (observe or {}):
        raise ValueError("'theta' is always θ of the run; record yours under another name")
    proven = envelope_gap is not None and isinstance(dynamics, GradientFlow)
    observe = {
        "signal": Signal(), "prediction": Prediction(), **(observe or {}), "theta": _Theta()
    }  # fmt: skip

    def run(level: float) -> Solution:
        nonlocal proven
        problem, generator = make(jnp.asarray(level, jnp.result_type(float)))
        proven = proven and _convex(problem, generator)
        common = {"observe": observe, "throw": True, **options}
        if isinstance(dynamics, AbstractFlow):
            if ts is None:
                raise ValueError("a flow is recorded at times: give ts=")
            return integrate(problem, dynamics, generator, ts, **common)
        if not isinstance(dynamics, AbstractDescent):
            raise TypeError(f"dynamics is a flow or a descent, got {type(dynamics).__name__}")
        if steps is None:
            raise ValueError("a descent takes a number of steps: give steps=")
        return iterate(problem, dynamics, generator, steps, every=every, **common)

    runs = tuple(run(level) for level in levels)
    _check_alike(runs, levels)
    names = ["loss", *observe]
    to_finest = {n: np.array([_sup(r, runs[-1], n) for r in runs[:-1]]) for n in names}
    successive = {n: np.array([_sup(a, b, n) for a, b in itertools.pairwise(runs)]) for n in names}
    bound = None
    if proven and envelope_gap is not None:
        gaps = np.array([float(envelope_gap(float(level))) for level in levels])
        bound = np.sqrt(2 * gaps * float(runs[0].ts[-1]))
    orders = {n: _order(np.asarray(levels)[:-1], gaps) for n, gaps in successive.items()}
    return SmoothingError(np.asarray(levels), runs, to_finest, successive, orders, bound)


def _check_levels(levels: Sequence[float]) -> list[float]:
    numbers = [float(level) for level in levels]
    fine = len(numbers) >= 3 and all(math.isfinite(x) and x > 0 for x in numbers)
    factors = np.divide(numbers[1:], numbers[:-1]) if fine else np.array([2.0])
    if not fine or factors[0] >= 1 or not np.allclose(factors, factors[0], rtol=1e-6):
        raise ValueError(
            f"levels are at least three positive numbers that decrease by one factor, got {numbers}"
        )
    return numbers


def _convex(problem: Problem, generator: AbstractGenerator) -> bool:
    """Whether f is known to be convex in θ."""
    linear = isinstance(generator, Linear) and isinstance(problem.operator, AbstractLinearOperator)
    return linear and isinstance(problem.loss, _CONVEX)


def _check_alike(runs: Sequence[Solution], levels: Sequence[float]) -> None:
    """Refuses runs that differ in more than their level."""
    first = runs[0]
    for run, level in zip(runs[1:], levels[1:], strict=True):
        for name in sorted((first.stats.keys() & run.stats.keys()) - _COUNTS):
            a, b = np.asarray(first.stats[name]), np.asarray(run.stats[name])
            if a.shape != b.shape or not np.allclose(a, b, rtol=_SAME, atol=0):
                raise ValueError(
                    f"{name} differs between the levels {levels[0]:g} and {level:g}, because its "
                    "default comes from each level's own problem; give the step size (γ or s) and "
                    "the other numbers of the dynamics"
                )
        a, b = np.asarray(first.ts), np.asarray(run.ts)
        if a.shape != b.shape or not np.allclose(a, b, rtol=_SAME, atol=0):
            raise ValueError(
                f"the runs at the levels {levels[0]:g} and {level:g} have records at different "
                f"times ({a.size} up to t={a[-1]:g}, {b.size} up to t={b[-1]:g}); give a constant "
                "step size, and no event that ends a run"
            )


def _sup(a: Solution, b: Solution, name: str) -> float:
    x, y = np.asarray(a.observed[name]), np.asarray(b.observed[name])
    return float(np.max(np.linalg.norm((x - y).reshape(x.shape[0], -1), axis=1)))


def _order(levels: np.ndarray, gaps: np.ndarray) -> float:
    if not np.all(gaps > 0):
        return math.nan
    return float(np.polyfit(np.log(levels), np.log(gaps), 1)[0])
