"""Events: conditions on θ at which a run ends, or whose first time it notes."""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from jaxdip._result import RESULTS
from jaxdip._types import Array, Float, RealScalar
from jaxdip.dynamics._checks import number
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Measurement, Problem
from jaxdip.problem.observables import PredictionError, ResidualNorm, Snapshot


class AbstractEvent(eqx.Module):
    """Something that happens when a number falls to zero.

    A discrete method is asked after every step. A flow is asked at the ends of the solver's steps,
    and the moment is then located on the solver's interpolant; a fall and rise within one step of
    the solver goes unseen.
    """

    @property
    @abc.abstractmethod
    def result(self) -> RESULTS:
        """The code of a run that it ends."""

    @abc.abstractmethod
    def __call__(self, snapshot: Snapshot) -> Float[Array, ""]:
        """A number, positive before the event, zero or negative from it on."""


class LossBelow(AbstractEvent):
    """The loss has fallen to a threshold: f(θ) ≤ ε. A run that it ends has converged.

    Attributes:
        threshold: ε, in units of the loss.
    """

    threshold: Array

    def __init__(self, threshold: RealScalar):
        """Takes ε.

        Raises:
            ValueError: unless ε is finite and at least 0.
        """
        self.threshold = _given("threshold", threshold, positive=False)

    @property
    def result(self) -> RESULTS:
        """Converged."""
        return RESULTS.converged

    def __call__(self, snapshot: Snapshot) -> Array:
        """f(θ) − ε."""
        loss = snapshot.loss()
        return loss - self.threshold.astype(loss.dtype)


class LossAbove(AbstractEvent):
    """The loss has risen to a threshold: f(θ) ≥ M. A run that it ends has diverged.

    Attributes:
        threshold: M, in units of the loss.
    """

    threshold: Array

    def __init__(self, threshold: RealScalar):
        """Takes M.

        Raises:
            ValueError: unless M is finite and positive.
        """
        self.threshold = _given("threshold", threshold, positive=True)

    @property
    def result(self) -> RESULTS:
        """Diverged."""
        return RESULTS.diverged

    def __call__(self, snapshot: Snapshot) -> Array:
        """M − f(θ)."""
        loss = snapshot.loss()
        return self.threshold.astype(loss.dtype) - loss


class ResidualBelow(AbstractEvent):
    """The residual has fallen to a multiple of the noise: ‖F(x) − y‖ ≤ c‖ε‖ (Morozov).

    Attributes:
        threshold: c‖ε‖, in units of the data.
    """

    threshold: Array

    def __init__(self, noise_norm: RealScalar, *, factor: RealScalar = 1.0):
        """Takes ‖ε‖ and c.

        Raises:
            ValueError: unless both are finite, ‖ε‖ at least 0 and c positive.
        """
        self.threshold = _scaled(noise_norm, factor)

    @property
    def result(self) -> RESULTS:
        """Stopped."""
        return RESULTS.stopped

    def __call__(self, snapshot: Snapshot) -> Array:
        """‖F(x) − y‖ − c‖ε‖."""
        residual = ResidualNorm()(snapshot)
        return residual - self.threshold.astype(residual.dtype)


class WithinNoise(AbstractEvent):
    """The prediction is as close to the clean data as the theorems promise: ‖F(x) − ȳ‖ ≤ 2‖ε‖.

    This needs the clean data of a simulation; with measured data use `ResidualBelow`.

    Reference: the early-stopping time of arXiv 2309.12128 is an upper bound on this moment.

    Attributes:
        y_clean: ȳ = F(x̄).
        threshold: c‖ε‖, in units of the data.
    """

    y_clean: Array
    threshold: Array

    def __init__(self, measurement: Measurement, *, factor: RealScalar = 2.0):
        """Takes ȳ and ‖ε‖ from a simulated measurement.

        Raises:
            TypeError: unless it is a `Measurement`.
            ValueError: unless the factor is finite and positive.
        """
        if not isinstance(measurement, Measurement):
            raise TypeError(
                f"WithinNoise takes what jaxdip.measure returned, got {type(measurement).__name__}"
            )
        self.y_clean = measurement.y_clean
        self.threshold = _scaled(measurement.noise_norm, factor)

    @property
    def result(self) -> RESULTS:
        """Stopped."""
        return RESULTS.stopped

    def __call__(self, snapshot: Snapshot) -> Array:
        """‖F(x) − ȳ‖ − c‖ε‖."""
        error = PredictionError(self.y_clean)(snapshot)
        return error - self.threshold.astype(error.dtype)


class When(AbstractEvent):
    """A rule of your own.

    Attributes:
        function: of (problem, generator), both in their own coordinates; returns a real number that
            falls to zero when the event happens.
    """

    function: Callable[[Problem, AbstractGenerator], Array]

    def __init__(self, function: Callable[[Problem, AbstractGenerator], Array]):
        """Takes the function.

        Raises:
            TypeError: if it cannot be called.
        """
        if not callable(function):
            raise TypeError(
                f"When takes a function of (problem, generator), got {type(function).__name__}"
            )
        self.function = function

    @property
    def result(self) -> RESULTS:
        """Stopped."""
        return RESULTS.stopped

    def __call__(self, snapshot: Snapshot) -> Array:
        """function(problem, generator)."""
        value = jnp.asarray(self.function(snapshot.problem, snapshot.generator()))
        if value.ndim or not jnp.issubdtype(value.dtype, jnp.floating):
            raise ValueError(
                "an event's function returns one real number that falls to zero, got "
                f"{value.dtype} of shape {value.shape}"
            )
        return value


#: What `until=` and `mark=` take.
Events = AbstractEvent | Mapping[str, AbstractEvent]


def named_events(argument: str, events: Any, default: str) -> dict[str, AbstractEvent]:
    """Events by name; a single one gets the default name.

    Raises:
        TypeError: if something is not an event.
    """
    if events is None:
        return {}
    if isinstance(events, AbstractEvent):
        return {default: events}
    if not isinstance(events, Mapping):
        raise TypeError(
            f"{argument} takes an event or a mapping of names to events, got "
            f"{type(events).__name__}; for example {argument}=jaxdip.events.LossBelow(1e-6)"
        )
    for name, event in events.items():
        if not isinstance(event, AbstractEvent):
            raise TypeError(
                f"{argument}[{name!r}] is an event such as jaxdip.events.LossBelow(1e-6), got "
                f"{type(event).__name__}; a function goes into jaxdip.events.When"
            )
    return dict(events)


def _given(name: str, value: RealScalar, *, positive: bool) -> Array:
    checked = number(name, value, positive=positive)
    if checked is None:
        raise TypeError(f"{name} is a real number, got None")
    return checked


def _scaled(noise_norm: RealScalar, factor: RealScalar) -> Array:
    level = _given("noise_norm", noise_norm, positive=False)
    return level * _given("factor", factor, positive=True)
