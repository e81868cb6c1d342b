"""What is looked at along a run: functions of θ, functions of the motion, and events."""

from collections.abc import Callable, Mapping

import equinox as eqx
import jax.numpy as jnp

from jaxdip._result import RESULTS
from jaxdip._types import Array, Tree
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._event import AbstractEvent, named_events
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._moment import AbstractMotionObservable, Moment
from jaxdip.dynamics._path_length import DescentWithPathLength, FlowWithPathLength
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Lift, Parameters, Problem, complete, record
from jaxdip.problem.observables import AbstractObservable, Snapshot

#: What `observe=` takes: observables, or functions of (problem, generator), by name.
Observe = Mapping[
    str,
    AbstractObservable | AbstractMotionObservable | Callable[[Problem, AbstractGenerator], Array],
]


class Recorder(eqx.Module):
    """All that a driver looks at, in the coordinates of the run.

    Attributes:
        lift: the way back to the generator's own coordinates.
        f: the loss as a function of θ.
        observables: what is recorded of θ.
        motions: what is recorded of the state; the dynamics then carries its path length.
        until: events that end the run.
        mark: events whose first time is noted.
    """

    lift: Lift
    f: Parameters
    observables: dict[str, AbstractObservable]
    motions: dict[str, AbstractMotionObservable]
    until: dict[str, AbstractEvent] = eqx.field(default_factory=dict)
    mark: dict[str, AbstractEvent] = eqx.field(default_factory=dict)

    def look(
        self, dynamics: AbstractFlow | AbstractDescent, theta: Tree, state: Tree
    ) -> dict[str, Array]:
        """Every observable at one moment."""
        seen = record(self.observables, self._snapshot(theta))
        if not isinstance(dynamics, FlowWithPathLength | DescentWithPathLength):
            return seen
        moment = Moment(self.f, dynamics.inner, theta, state.state, state.length, state.stride)
        return seen | {name: jnp.asarray(what(moment)) for name, what in self.motions.items()}

    def falling(self, events: dict[str, AbstractEvent], theta: Tree) -> dict[str, Array]:
        """The numbers of events, positive before they happen."""
        snapshot = self._snapshot(theta)
        return {name: event(snapshot) for name, event in events.items()}

    @property
    def events(self) -> dict[str, AbstractEvent]:
        """Those that end the run, and those that are only noted."""
        return self.until | self.mark

    def ended(self, hits: dict[str, Array]) -> RESULTS:
        """The code of the first event, in the order given, among those that end the run."""
        result = RESULTS.completed
        for name in reversed(self.until):
            result = RESULTS.where(jnp.isfinite(hits[name]), self.until[name].result, result)
        return result

    def _snapshot(self, theta: Tree) -> Snapshot:
        return Snapshot(self.f.generator(theta), self.lift)


def split_observables(
    observe: Observe | None,
) -> tuple[dict[str, AbstractObservable], dict[str, AbstractMotionObservable]]:
    """Functions of θ, with 'loss' always among them, and functions of the motion.

    Raises:
        TypeError, ValueError: if something cannot be recorded.
    """
    if observe is not None and not isinstance(observe, Mapping):
        return complete(observe), {}
    motions = {k: v for k, v in (observe or {}).items() if isinstance(v, AbstractMotionObservable)}
    if "loss" in motions:
        raise ValueError("'loss' is always the loss f(θ); record yours under another name")
    rest = {k: v for k, v in (observe or {}).items() if k not in motions}
    return complete(rest), motions


def split_events(until, mark) -> tuple[dict[str, AbstractEvent], dict[str, AbstractEvent]]:
    """Both kinds of events by name.

    Raises:
        TypeError: if something is not an event.
        ValueError: if a name is given twice.
    """
    ending, noted = named_events("until", until, "until"), named_events("mark", mark, "mark")
    twice = sorted(ending.keys() & noted.keys())
    if twice:
        raise ValueError(f"until and mark share the name {twice[0]!r}; every event has its own")
    return ending, noted
