"""The order with which a discrete method approaches its flow, measured."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from jaxdip._types import RealScalar
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._gap import gap
from jaxdip.dynamics._integrate import integrate
from jaxdip.dynamics._iterate import iterate
from jaxdip.dynamics._run import Observe
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem


@dataclasses.dataclass(frozen=True)
class Order:
    """Gaps against time steps, and their fitted power law.

    Attributes:
        time_steps: the steps h on the shared clock (γ for gradient descent, √s for IGAHD).
        gaps: sup over the records of ‖flow − method‖, for each observable, one for each h.
        fitted: the exponent q of gap ∝ h^q, for each observable: least squares in logarithms.
        successive: log2 of the ratio of successive gaps, for each observable.
    """

    time_steps: np.ndarray
    gaps: dict[str, np.ndarray]
    fitted: dict[str, float]
    successive: dict[str, np.ndarray]


def convergence_order(
    problem: Problem,
    flow: AbstractFlow,
    descent: AbstractDescent,
    generator: AbstractGenerator,
    *,
    horizon: RealScalar,
    steps: int,
    halvings: int = 4,
    records: int = 10,
    observe: Observe | None = None,
    rtol: float = 1e-10,
    atol: float = 1e-12,
) -> Order:
    """Measures the order in h of a discrete method against its flow.

    Runs the method with `steps`, 2·`steps`, 4·`steps`, … steps to the same horizon and compares
    each with one solve of the flow at `records` equally spaced times.

    Args:
        problem: what to minimise.
        flow: the limit, with its own numbers (α and β) given.
        descent: the method; its time step is replaced.
        generator: the network at its start.
        horizon: the final time.
        steps: number of steps of the coarsest run, a multiple of `records`.
        halvings: how often the time step is halved, at least 1.
        records: number of comparison times.
        observe: observables to compare besides the loss.
        rtol: relative tolerance of the flow's solve, far below the gaps to be measured.
        atol: its absolute tolerance.

    Raises:
        ValueError: if counts are not positive or do not divide, or a run did not complete.
    """
    if halvings < 1 or records < 1 or steps % records:
        raise ValueError(
            f"halvings and records are at least 1 and records divides steps; got {halvings=}, "
            f"{records=}, {steps=}"
        )
    ts = jnp.asarray(np.arange(1, records + 1) * (float(horizon) / records))
    exact = integrate(
        problem, flow, generator, ts, observe=observe, rtol=rtol, atol=atol, throw=True
    )
    time_steps, gaps = [], []
    for doubling in range(halvings + 1):
        count = steps * 2**doubling
        method = descent.with_time_step(float(horizon) / count)
        run = iterate(
            problem, method, generator, count, every=count // records, observe=observe, throw=True
        )
        time_steps.append(float(horizon) / count)
        gaps.append(gap(exact, run).sup)
    h = np.asarray(time_steps)
    table = {name: np.asarray([row[name] for row in gaps]) for name in gaps[0]}
    return Order(
        time_steps=h,
        gaps=table,
        fitted={k: float(np.polyfit(np.log(h), np.log(v), 1)[0]) for k, v in table.items()},
        successive={k: np.log2(v[:-1] / v[1:]) for k, v in table.items()},
    )
