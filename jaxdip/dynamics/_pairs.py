"""Which discrete methods follow which flows, and which cannot be asked for an order."""

import inspect
from collections.abc import Callable
from typing import Any

from jaxdip._types import Array
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._gradient_descent import GradientDescent
from jaxdip.dynamics._gradient_flow import GradientFlow
from jaxdip.dynamics._igahd import IGAHD
from jaxdip.dynamics._igahd_backtracking import IGAHDBacktracking
from jaxdip.dynamics._igahd_forward import IGAHDForward
from jaxdip.dynamics._igahd_strongly_convex import IGAHDStronglyConvex
from jaxdip.dynamics._igahd_vanishing import IGAHDVanishing
from jaxdip.dynamics._isehd import ISEHD
from jaxdip.dynamics._modified_gradient_flow import ModifiedGradientFlow
from jaxdip.dynamics._modified_isehd import ModifiedISEHD
from jaxdip.dynamics._optax import Optax
from jaxdip.dynamics._path_length import DescentWithPathLength, FlowWithPathLength
from jaxdip.dynamics._stochastic_gradient_descent import StochasticGradientDescent
from jaxdip.problem import Problem

#: A flow, or a function that gives the flow for each time step h (a modified flow).
FlowFor = AbstractFlow | Callable[[Array], AbstractFlow]

_FIRST_ORDER = (GradientDescent, StochasticGradientDescent)
_INERTIAL = (IGAHD, IGAHDForward, IGAHDStronglyConvex, IGAHDBacktracking)
#: The methods that tend to each flow as their step goes to zero.
_FOLLOWERS = {
    GradientFlow: _FIRST_ORDER,
    ModifiedGradientFlow: _FIRST_ORDER,
    ISEHD: _INERTIAL,
    ModifiedISEHD: _INERTIAL,
}
#: The methods of which it is known what they tend to, which is none of these flows for the last.
_KNOWN = (*_FIRST_ORDER, *_INERTIAL, IGAHDVanishing)


def check_pair(caller: str, flow: Any, descent: Any) -> None:
    """Says which of the two is none.

    Raises:
        TypeError: unless the first is a flow or a function from h to one, the second a method.
    """
    if isinstance(flow, AbstractDescent) or not (isinstance(flow, AbstractFlow) or callable(flow)):
        raise TypeError(
            f"{caller} takes the flow first, got {type(flow).__name__}; a flow is GradientFlow(), "
            "ISEHD(...), or a function from h to a flow"
        )
    # ISEHD(h) would take h for its damping.
    if flow in (GradientFlow, ISEHD):
        raise TypeError(
            f"{caller} takes the flow {flow.__name__}(...), an object, got the class itself"
        )
    if not isinstance(descent, AbstractDescent):
        raise TypeError(
            f"{caller} takes a discrete dynamics after the flow, got {type(descent).__name__}; for "
            "example GradientDescent()"
        )


def flow_at(make: Callable[[Array], AbstractFlow], h: Array) -> AbstractFlow:
    """The flow for one time step.

    Raises:
        TypeError: unless the function takes h alone and returns a flow.
    """
    try:
        inspect.signature(make).bind(h)
    except TypeError as error:
        raise TypeError(
            f"a function from h to a flow takes the time step alone, and {make!r} does not "
            f"({error}); for example lambda h: ModifiedISEHD(h * h, alpha, beta)"
        ) from error
    flow = make(h)
    if not isinstance(flow, AbstractFlow):
        raise TypeError(
            f"the function from h to a flow returned {type(flow).__name__}; for example "
            "lambda h: ModifiedGradientFlow(h)"
        )
    return flow


def check_halving(descent: AbstractDescent, problem: Problem) -> None:
    """Refuses methods of which a halved step shows no order.

    Raises:
        ValueError: for `Optax`, and for random batches.
    """
    inner = descent.inner if isinstance(descent, DescentWithPathLength) else descent
    if isinstance(inner, Optax):
        raise ValueError(
            "the time step of an optax optimiser is a label: halving it leaves the learning rate "
            "as it is, so no order can be fitted; compare each learning rate by itself"
        )
    if isinstance(inner, StochasticGradientDescent):
        sampling = inner.sampling
        if sampling.replace or sampling.batch < problem.y.size:
            raise ValueError(
                "runs with random batches do not converge path by path, so halved steps show no "
                "order; jaxdip.weak_gap measures the difference of expectations"
            )


def no_pair(flow: AbstractFlow, descent: AbstractDescent) -> tuple[str, ...]:
    """A word of warning where the method is known not to tend to the flow."""
    flow = flow.inner if isinstance(flow, FlowWithPathLength) else flow
    descent = descent.inner if isinstance(descent, DescentWithPathLength) else descent
    followers = _FOLLOWERS.get(type(flow))
    if followers is None or not isinstance(descent, _KNOWN) or isinstance(descent, followers):
        return ()
    ours, theirs = type(flow).__name__, type(descent).__name__
    return (f"{ours} and {theirs} are no pair: the gap does not vanish with the step",)
