"""The order with which a discrete method approaches its flow, measured at a fixed horizon."""

import diffrax as dfx

from jaxdip._types import RealScalar
from jaxdip.dynamics._compare import FlowFor, compare
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._fit_order import Order as Order
from jaxdip.dynamics._recorder import Observe
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem


def convergence_order(
    problem: Problem,
    flow: FlowFor,
    descent: AbstractDescent,
    generator: AbstractGenerator,
    *,
    horizon: RealScalar,
    steps: int,
    halvings: int = 4,
    records: int = 10,
    observe: Observe | None = None,
    solver: dfx.AbstractSolver | None = None,
    rtol: RealScalar | None = None,
    atol: RealScalar | None = None,
) -> Order:
    """Measures the order in h of a discrete method against its flow, by `compare`.

    Runs the method with `steps`, 2·`steps`, 4·`steps`, … steps to the same horizon beside the flow
    and compares them at `records` equally spaced times.

    Args:
        problem: what to minimise.
        flow: the limit, with its own numbers (α and β) given; or a function from h to a flow.
        descent: the method; its time step is replaced.
        generator: the network at its start.
        horizon: the final time.
        steps: number of steps of the coarsest run, a multiple of `records`.
        halvings: how often the time step is halved, at least 1.
        records: number of comparison times.
        observe: observables to compare besides loss, signal, prediction and θ.
        solver: see `compare`.
        rtol: see `compare`.
        atol: see `compare`.

    Raises:
        ValueError: if counts are not positive or do not divide.
        RuntimeError: if a run failed.
    """
    if halvings < 1 or records < 1 or steps % records:
        raise ValueError(
            f"halvings and records are at least 1 and records divides steps; got {halvings=}, "
            f"{records=}, {steps=}"
        )
    return compare(
        problem,
        flow,
        descent.with_time_step(float(horizon) / steps),
        generator,
        steps,
        every=steps // records,
        halvings=halvings,
        observe=observe,
        solver=solver,
        rtol=rtol,
        atol=atol,
    ).order()
