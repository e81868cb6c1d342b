"""What a trajectory records: functions of the state, never the parameters themselves."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, cast

import equinox as eqx
import jax.numpy as jnp

from jaxdip._tree import tree_norm, tree_sub
from jaxdip._types import Array
from jaxdip.generators import AbstractGenerator
from jaxdip.problem._problem import Problem, parametrize
from jaxdip.problem._reduce import Lift


class Snapshot(eqx.Module):
    """One moment of a run; what it offers does not depend on the coordinates it runs in.

    Attributes:
        current: the generator now, in the run's coordinates.
        lift: the way back to the generator's own coordinates.
    """

    current: AbstractGenerator
    lift: Lift

    def loss(self) -> Array:
        """f(θ) = L_y(F(g(u, θ)))."""
        return self.lift.reduced_problem.objective(self.current)

    def prediction(self) -> Array:
        """F(g(u, θ))."""
        return self.lift.reduced_problem.predict(self.current)

    def signal(self) -> Array:
        """x = g(u, θ)."""
        return self.lift.signal(self.current)

    def distance(self) -> Array:
        """‖θ − θ0‖; the reduced coordinates are isometric."""
        _, theta = parametrize(self.lift.reduced_problem, self.current)
        _, start = parametrize(self.lift.reduced_problem, self.lift.reduced_start)
        return tree_norm(tree_sub(theta, start))

    def gradient_norm(self) -> Array:
        """‖∇f(θ)‖; the gradient has no component that the reduction drops."""
        f, theta = parametrize(self.lift.reduced_problem, self.current)
        return tree_norm(f.gradient(theta))

    @property
    def problem(self) -> Problem:
        """The problem as it was stated."""
        return self.lift.problem

    def generator(self) -> AbstractGenerator:
        """The generator in its own coordinates; costs the size of W and V."""
        return self.lift(self.current)


class AbstractObservable(eqx.Module):
    """A function of a snapshot, recorded along a trajectory."""

    @abc.abstractmethod
    def __call__(self, snapshot: Snapshot) -> Array:
        """The value to record, an array of fixed shape."""


class Loss(AbstractObservable):
    """The loss f(θ)."""

    def __call__(self, snapshot: Snapshot) -> Array:
        """f(θ)."""
        return snapshot.loss()


class Signal(AbstractObservable):
    """The signal x itself."""

    def __call__(self, snapshot: Snapshot) -> Array:
        """g(u, θ)."""
        return snapshot.signal()


class Prediction(AbstractObservable):
    """The prediction F(x)."""

    def __call__(self, snapshot: Snapshot) -> Array:
        """F(g(u, θ))."""
        return snapshot.prediction()


class SignalError(AbstractObservable):
    """The distance ‖x − x̄‖ to a known signal.

    Attributes:
        x_true: x̄.
    """

    x_true: Array

    def __call__(self, snapshot: Snapshot) -> Array:
        """‖g(u, θ) − x̄‖."""
        return _distance(snapshot.signal(), self.x_true, "SignalError: x_true")


class PredictionError(AbstractObservable):
    """The distance ‖F(x) − ȳ‖ to a clean observation.

    Attributes:
        y_clean: ȳ = F(x̄).
    """

    y_clean: Array

    def __call__(self, snapshot: Snapshot) -> Array:
        """‖F(g(u, θ)) − ȳ‖."""
        return _distance(snapshot.prediction(), self.y_clean, "PredictionError: y_clean")


class ResidualNorm(AbstractObservable):
    """The residual ‖F(x) − y‖."""

    def __call__(self, snapshot: Snapshot) -> Array:
        """‖F(g(u, θ)) − y‖."""
        return _distance(snapshot.prediction(), snapshot.lift.reduced_problem.y, "data")


class ParameterDistance(AbstractObservable):
    """The distance ‖θ − θ0‖ from the start."""

    def __call__(self, snapshot: Snapshot) -> Array:
        """‖θ − θ0‖."""
        return snapshot.distance()


class GradientNorm(AbstractObservable):
    """The norm ‖∇f(θ)‖."""

    def __call__(self, snapshot: Snapshot) -> Array:
        """‖∇f(θ)‖."""
        return snapshot.gradient_norm()


class Custom(AbstractObservable):
    """A function of (problem, generator) of your own, both in their own coordinates.

    Attributes:
        function: takes the problem and the generator, returns an array of fixed shape.
    """

    function: Callable[[Problem, AbstractGenerator], Array]

    def __call__(self, snapshot: Snapshot) -> Array:
        """function(problem, generator)."""
        return self.function(snapshot.problem, snapshot.generator())


def _distance(x: Array, reference: Array, name: str) -> Array:
    # Broadcasting would make a number of any two shapes that happen to fit.
    if jnp.shape(reference) != x.shape:
        raise ValueError(f"{name} has shape {jnp.shape(reference)}, the run makes {x.shape}")
    return jnp.linalg.norm((x - reference).ravel())


def complete(observe: Mapping[str, Any] | None) -> dict[str, AbstractObservable]:
    """The observables to record: those asked for, with 'loss' always among them.

    Raises:
        TypeError: if something is neither an observable nor a function.
        ValueError: if 'loss' is asked to be something else.
    """
    if observe is not None and not isinstance(observe, Mapping):
        raise TypeError(
            f"observe maps names to observables, got {type(observe).__name__}; for example "
            'observe={"signal": jaxdip.observables.Signal()}'
        )
    observe = dict(observe or {})
    if not isinstance(observe.setdefault("loss", Loss()), Loss):
        raise ValueError("'loss' is always the loss f(θ); record yours under another name")
    return {name: _as_observable(name, what) for name, what in observe.items()}


def _as_observable(name: str, what: Any) -> AbstractObservable:
    if isinstance(what, AbstractObservable):
        return what
    if not callable(what):
        raise TypeError(
            f"observable {name!r} is a jaxdip observable or a function of (problem, generator), "
            f"got {type(what).__name__}"
        )
    return Custom(cast(Callable[[Problem, AbstractGenerator], Array], what))


def record(observables: dict[str, AbstractObservable], snapshot: Snapshot) -> dict[str, Array]:
    """Every observable at one moment."""
    return {name: jnp.asarray(what(snapshot)) for name, what in observables.items()}
