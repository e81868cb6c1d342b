"""An ODE solver that notes, while it solves, when each event first happens."""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Tree


class Marks(NamedTuple):
    """What has happened so far.

    Attributes:
        hits: the first time of each event; inf where there is none.
        landing: the state at the first event that ends the run, and anything before it.
    """

    hits: dict[str, Array]
    landing: Tree


class MarkingSolver(dfx.AbstractWrappedSolver):
    """Another solver, whose state also holds the first time of each event.

    After each step the events are asked; one that has fallen to zero is located by bisection on
    the solver's own interpolant. A rejected step is forgotten with the rest of the solver's state.
    Differentiable: the time follows the implicit function theorem.

    Attributes:
        solver: the solver itself, whose steps are unchanged.
        falling: from a time and a state to the events' numbers, positive before they happen.
        hits: first times so far, inf where there is none, for solves in several stretches.
        ending: the names of the events at which the solve ends.
    """

    solver: dfx.AbstractSolver
    falling: Callable[[Array, Tree], dict[str, Array]]
    hits: dict[str, Array]
    ending: tuple[str, ...] = eqx.field(static=True)

    @property
    def term_structure(self):
        """The solver's."""
        return self.solver.term_structure

    @property
    def interpolation_cls(self):  # pyright: ignore[reportIncompatibleMethodOverride]
        """The solver's."""
        return self.solver.interpolation_cls

    @property
    def term_compatible_contr_kwargs(self):
        """The solver's."""
        return self.solver.term_compatible_contr_kwargs

    @property
    def root_finder(self) -> Any:
        """The solver's, if it is implicit."""
        return self.solver.root_finder  # pyright: ignore[reportAttributeAccessIssue]

    def order(self, terms):
        """The solver's."""
        return self.solver.order(terms)

    def strong_order(self, terms):
        """The solver's."""
        return self.solver.strong_order(terms)

    def error_order(self, terms):
        """The solver's."""
        return self.solver.error_order(terms)

    def init(self, terms, t0: Any, t1: Any, y0, args):
        """The solver's start, and what has happened already."""
        happened = noted(self.hits, self.falling(t0, y0), t0)
        return self.solver.init(terms, t0, t1, y0, args), Marks(happened, y0)

    def step(self, terms, t0: Any, t1: Any, y0, args, solver_state, made_jump):
        """The solver's step, and the events that happen on it."""
        inner, marks = solver_state
        y1, error, dense, inner, result = self.solver.step(
            terms, t0, t1, y0, args, inner, made_jump
        )
        marks = self._mark(marks, self.interpolation_cls(t0=t0, t1=t1, **dense), t1, y1)
        return y1, error, dense, (inner, marks), result

    def _mark(self, marks: Marks, step, t1: Array, y1: Tree) -> Marks:
        values = self.falling(t1, y1)
        hits = {}
        for name, old in marks.hits.items():
            happens = jnp.isinf(old) & (values[name] <= 0)

            def number(t, name=name):
                return self.falling(t, step.evaluate(t))[name]

            at = _locate(number, step.t0, t1, happens)
            hits[name] = jnp.where(happens, at.astype(old.dtype), old)
        end, before = self.end(hits), self.end(marks.hits)
        lands = jnp.isinf(before) & jnp.isfinite(end)
        y_end = step.evaluate(jnp.where(lands, end, t1).astype(t1.dtype))
        # What happens later in the same step happens after the end of the run.
        hits = {name: jnp.where(at > end, jnp.inf, at) for name, at in hits.items()}
        return Marks(hits, jax.tree.map(lambda a, b: jnp.where(lands, a, b), y_end, marks.landing))

    def end(self, hits: dict[str, Array]) -> Array:
        """When the run ends, inf if it does not."""
        times = [hits[name] for name in self.ending]
        return (
            jnp.min(jnp.stack(times))
            if times
            else jnp.full_like(next(iter(hits.values())), jnp.inf)
        )

    def func(self, terms, t0, y0, args):
        """The solver's."""
        return self.solver.func(terms, t0, y0, args)


def noted(hits: dict[str, Array], values: dict[str, Array], t: Array) -> dict[str, Array]:
    """First times, with those added whose numbers are no longer positive at t."""
    return {
        name: jnp.where(jnp.isinf(old) & (values[name] <= 0), jnp.asarray(t, old.dtype), old)
        for name, old in hits.items()
    }


def _locate(number: Callable[[Array], Array], t0: Array, t1: Array, happens: Array) -> Array:
    """The time in [t0, t1] at which `number` falls to zero, if it does: by bisection."""
    resolution = 2 * float(jnp.finfo(t1.dtype).eps)

    def apart(bracket):
        low, high = bracket
        middle = low + 0.5 * (high - low)
        return (
            happens & (high - low > resolution * jnp.abs(high)) & (low < middle) & (middle < high)
        )

    def halve(bracket):
        low, high = bracket
        middle = low + 0.5 * (high - low)
        before = number(middle) > 0
        return jnp.where(before, middle, low), jnp.where(before, high, middle)

    bracket = jax.lax.stop_gradient((t0, t1))
    _, t = jax.lax.stop_gradient(jax.lax.while_loop(apart, halve, bracket))
    # Bisection has no derivative; the implicit function theorem gives dt = −d(number)/slope.
    value, slope = jax.jvp(number, (t,), (jnp.ones_like(t),))
    slope = jax.lax.stop_gradient(jnp.where(happens & (slope != 0), slope, 1))
    return t - ((value - jax.lax.stop_gradient(value)) / slope).astype(t.dtype)
