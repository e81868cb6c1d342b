"""Discrete runs recorded at chosen steps, and which steps to choose."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import jaxdip as jd
from jaxdip._types import Array, Int, RealScalar, Tree
from jaxdip.dynamics import AbstractDescent
from jaxdip.problem import Parameters, Problem


def record_steps(steps: int, records: int) -> list[int]:
    """0 and at most `records` steps, up to the last: dense early, evenly spaced late.

    Their density is half geometric, which resolves the descent, and half even, which keeps any two
    within 2·steps/records of one another.
    """
    every = np.arange(steps + 1)
    if records >= steps:
        return every.tolist()
    share = (np.log1p(every) / np.log1p(steps) + every / steps) / 2
    wanted = np.interp(np.linspace(0, 1, records + 1), share, every)
    return np.unique(wanted.round()).astype(int).tolist()


def crossing_time(time: np.ndarray, residual: np.ndarray, stop: int, threshold: float) -> float:
    """When the residual falls to the threshold, between the records before and at `stop`.

    log ‖r‖ is interpolated linearly in t, which is exact for a single decaying mode.
    """
    if stop == 0 or residual[stop] <= 0:
        return float(time[stop])
    above, below = np.log(residual[stop - 1 : stop + 1])
    share = (above - np.log(threshold)) / (above - below)
    return float(time[stop - 1] + share * (time[stop] - time[stop - 1]))


def iterate_at(
    problem: Problem, descent: AbstractDescent, generator, steps: list[int], *, observe, watch
) -> jd.Solution:
    """`jaxdip.iterate` with records at these steps, of which the first is 0."""
    ends = jnp.asarray(steps, jnp.int32)
    stretches = _Stretches(descent, ends)
    solution = jd.iterate(
        problem, stretches, generator, len(steps) - 1, every=1, observe=observe, watch=watch
    )
    taken = ends[solution.stats["steps"]]
    return dataclasses.replace(solution, stats={**solution.stats, "steps": taken})


class _Stretches(AbstractDescent):
    """Another method, of which each step takes as many as there are between two records."""

    descent: AbstractDescent
    ends: Int[Array, " R"]
    linear: bool = eqx.field(static=True)

    def __init__(self, descent: AbstractDescent, ends: Int[Array, " R"]):
        """Takes the method and the steps at its records, the first 0."""
        self.descent = descent
        self.ends = ends
        self.linear = descent.linear

    def resolve(self, scales) -> tuple["_Stretches", tuple[str, ...]]:
        """With the inner method's defaults filled in."""
        descent, notes = self.descent.resolve(scales)
        return _Stretches(descent, self.ends), notes

    def numbers(self) -> dict[str, Array]:
        """Those of the inner method."""
        return self.descent.numbers()

    def init(self, f: Parameters, theta: Tree) -> Tree:
        """Which record comes next, and what the inner method remembers."""
        return jnp.asarray(1, jnp.int32), self.descent.init(f, theta)

    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """The steps up to the next record."""
        record, memory = state

        def one(_, carry):
            return self.descent.step(f, *carry)

        count = self.ends[record] - self.ends[record - 1]
        # The count is a value, not a size, so that stretches of all lengths share one program.
        theta, memory = jax.lax.fori_loop(0, count, one, (theta, memory))
        return theta, (record + 1, memory)

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """The inner method's time at that record."""
        return self.descent.time(self.ends[step], None if state is None else state[1])

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """The inner method's factor."""
        return self.descent.mode(eigenvalue, self.ends[steps])

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """The inner method's."""
        return self.descent.stable_time_step(eigenvalue)

    def with_time_step(self, h: RealScalar) -> "_Stretches":
        """With the inner method's steps of time h."""
        return _Stretches(self.descent.with_time_step(h), self.ends)
