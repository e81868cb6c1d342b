"""Stochastic gradient descent beside its stochastic flow: the difference of expectations."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._random import check_key, key_for
from jaxdip._types import Array, Key
from jaxdip.dynamics._integrate_stochastic import integrate_stochastic
from jaxdip.dynamics._iterate import iterate
from jaxdip.dynamics._stochastic_gradient_descent import StochasticGradientDescent
from jaxdip.dynamics._stochastic_gradient_flow import StochasticGradientFlow
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem


@dataclasses.dataclass(frozen=True)
class WeakGap:
    """Means of the final loss over many runs, at several step sizes.

    Attributes:
        step_sizes: γ, shape (J,).
        descent: the mean over the runs of the descent, shape (J,).
        flow: the mean over the paths of the flow, by order, shape (J,) each.
        gaps: |descent − flow|, by order, shape (J,) each.
        standard_errors: of the differences, by order, shape (J,) each.
        diverged: runs and paths left out because they diverged; the means then mean little.
    """

    step_sizes: np.ndarray
    descent: np.ndarray
    flow: dict[int, np.ndarray]
    gaps: dict[int, np.ndarray]
    standard_errors: dict[int, np.ndarray]
    diverged: int

    def successive(self, order: int) -> np.ndarray:
        """The exponent of gap ∝ γ^q between neighbouring step sizes, shape (J − 1,)."""
        gaps, gamma = self.gaps[order], self.step_sizes
        return np.log(gaps[:-1] / gaps[1:]) / np.log(gamma[:-1] / gamma[1:])


def weak_gap(
    problem: Problem,
    generator: AbstractGenerator,
    batch: int,
    *,
    horizon: float,
    steps: Sequence[int],
    trials: int,
    key: Key,
    replace: bool = False,
    orders: Sequence[Literal[1, 2]] = (1, 2),
    block: int = 1000,
) -> WeakGap:
    """Measures |E f(θ_τ) − E f(Θ(γτ))| at the horizon by Monte Carlo, for γ = horizon/steps.

    Args:
        problem: what to minimise.
        generator: the network at its start, the same in every run.
        batch: b.
        horizon: the final time.
        steps: how many steps the descent takes there, one count for each γ.
        trials: runs of the descent, and paths of each flow.
        key: the random key.
        replace: draw batches with replacement.
        orders: which flows, see `StochasticGradientFlow`.
        block: how many run side by side.

    Raises:
        ValueError: if a count or the horizon is not positive.
    """
    check_key(key)
    if not steps or min(steps) < 1 or trials < 2 or block < 1 or not horizon > 0:
        raise ValueError(
            f"horizon, steps and block are positive and trials at least 2, got {horizon=}, "
            f"{steps=}, {block=}, {trials=}"
        )
    keys = {
        name: jax.random.split(key_for(key, f"weak gap {name}"), trials)
        for name in ("descent", *orders)
    }
    block = min(block, trials)
    ts = jnp.asarray([horizon], jnp.result_type(float))
    rows = []
    for count in steps:
        gamma = horizon / count
        method = StochasticGradientDescent(gamma, batch, key=key, replace=replace)
        losses: dict[str | int, Array] = {}
        losses["descent"] = _descend(problem, method, generator, count, keys["descent"], block)
        for q in orders:
            flow = StochasticGradientFlow(gamma, batch, order=q, replace=replace)
            losses[q] = _follow(problem, flow, generator, ts, keys[q], block)
        rows.append({name: _summary(np.asarray(found)) for name, found in losses.items()})
    descent = np.array([row["descent"][0] for row in rows])
    flow = {q: np.array([row[q][0] for row in rows]) for q in orders}
    errors = {q: np.array([np.hypot(row["descent"][1], row[q][1]) for row in rows]) for q in orders}
    return WeakGap(
        step_sizes=horizon / np.asarray(steps, float),
        descent=descent,
        flow=flow,
        gaps={q: np.abs(descent - flow[q]) for q in orders},
        standard_errors=errors,
        diverged=sum(entry[2] for row in rows for entry in row.values()),
    )


@eqx.filter_jit
def _descend(problem, method, generator, steps: int, keys: Array, block: int) -> Array:
    def one(key: Key) -> Array:
        run = eqx.tree_at(lambda m: m.key, method, key)
        return iterate(problem, run, generator, steps, every=steps).loss[-1]

    return jax.lax.map(one, keys, batch_size=block)


@eqx.filter_jit
def _follow(problem, flow, generator, ts: Array, keys: Array, block: int) -> Array:
    def one(key: Key) -> Array:
        return integrate_stochastic(problem, flow, generator, ts, key=key).loss[-1]

    return jax.lax.map(one, keys, batch_size=block)


def _summary(losses: np.ndarray) -> tuple[float, float, int]:
    """Mean, its standard error, and how many diverged."""
    finite = losses[np.isfinite(losses)]
    if finite.size < 2:
        return np.nan, np.nan, losses.size
    error = float(np.std(finite, ddof=1)) / finite.size**0.5
    return float(np.mean(finite)), error, losses.size - finite.size
