"""The Lipschitz constant that a run really met."""

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._iterate import iterate
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem
from jaxdip.problem.observables import HessianNorm


def lipschitz_along(
    problem: Problem,
    descent: AbstractDescent,
    generator: AbstractGenerator,
    steps: int,
    *,
    every: int | None = None,
) -> Quantity:
    """The largest ‖∇²f‖ over the points that a run visits, at every record.

    Between the records, and for the segments between the points, it proves nothing: it is an
    estimate from below of the constant that the theorems need.

    Args:
        problem: what to minimise.
        descent: the method.
        generator: the network at its start.
        steps: how many steps.
        every: steps between records; by default a hundredth of `steps`.

    Returns:
        The number with its evidence; records after a divergence do not count.
    """
    run = iterate(
        problem, descent, generator, steps, every=every, observe={"hessian": HessianNorm()}
    )
    rows = run.observed["hessian"]
    largest = jnp.max(jnp.where(jnp.isfinite(rows), rows, 0))
    count = rows.shape[0]
    return Quantity(
        largest,
        f"the largest norm of the Hessian at {count} points of a run, by power iteration",
        "estimate from below",
    )
