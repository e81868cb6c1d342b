"""The order with which a discrete method approaches its flow, measured at a fixed horizon."""

from typing import Literal

import diffrax as dfx

from jaxdip._types import RealScalar
from jaxdip.dynamics._checks import count, given
from jaxdip.dynamics._compare import compare
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._fit_order import Order as Order
from jaxdip.dynamics._pairs import FlowFor, check_halving, check_pair
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
    solver: dfx.AbstractSolver | Literal["auto", "explicit"] | None = None,
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
        TypeError: if flow and descent are none.
        ValueError: if a count or the horizon is not positive, records do not divide steps, or the
            method has no order (`Optax`, random batches).
        RuntimeError: if a run failed.
    """
    check_pair("convergence_order", flow, descent)
    check_halving(descent, problem)
    steps, records = count("steps", steps, 1), count("records", records, 1)
    halvings = count("halvings", halvings, 1)
    end = float(given("horizon", horizon, positive=True))
    if steps % records:
        raise ValueError(f"records divides steps; got {records=}, {steps=}")
    return compare(
        problem,
        flow,
        descent.with_time_step(end / steps),
        generator,
        steps,
        every=steps // records,
        halvings=halvings,
        observe=observe,
        solver=solver,
        rtol=rtol,
        atol=atol,
    ).order()
