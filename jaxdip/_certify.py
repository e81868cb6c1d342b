"""Which theorem speaks of a dynamics: the one place where theorems and dynamics meet."""

from typing import get_args

import jax.numpy as jnp

from jaxdip._tree import is_concrete
from jaxdip.dynamics import (
    IGAHD,
    ISEHD,
    AbstractDescent,
    AbstractFlow,
    GradientDescent,
    GradientFlow,
    Scales,
)
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem
from jaxdip.theory import Certificate, Kind, gradient_descent, gradient_flow, igahd, isehd


def certify(
    problem: Problem,
    generator: AbstractGenerator,
    *,
    dynamics: AbstractFlow | AbstractDescent,
    kind: Kind | None = None,
) -> Certificate:
    """The convergence theorem of a dynamics, applied to one problem and one start.

    Args:
        problem: the problem.
        generator: the network at its start.
        dynamics: `GradientFlow`, `GradientDescent` with a constant step, `ISEHD`, or `IGAHD` with
            the gradient at θ; numbers left out are filled in as the drivers do.
        kind: the `Ground`, 'network' as in the papers, 'row space' or 'sketched'. By default all
            three, of which the certificate that holds with the largest margin is returned; inside
            jit or vmap, where margins cannot be compared, it must be given.

    Returns:
        The certificate; print it for a table.

    Raises:
        TypeError: if no theorem is known here for the dynamics.
        ValueError: if `kind` is left out inside jit or vmap.
    """
    if kind is not None:
        return _one(problem, generator, dynamics, kind)
    found = [_one(problem, generator, dynamics, each) for each in get_args(Kind)]
    if not is_concrete(found):
        raise ValueError("inside jit or vmap give kind='network', 'row space' or 'sketched'")
    return max(found, key=_rank)


def _rank(certificate: Certificate) -> tuple[bool, bool, float]:
    margin = float(certificate.margin)
    known = margin == margin
    return bool(certificate.holds), bool(certificate.applicable), margin if known else -1.0


def _one(problem: Problem, generator: AbstractGenerator, dynamics, kind: Kind) -> Certificate:
    if not isinstance(dynamics, AbstractFlow | AbstractDescent):
        raise TypeError(
            f"dynamics is a flow or a discrete method, got {type(dynamics).__name__}; for example "
            "jaxdip.GradientFlow()"
        )
    resolved, _ = dynamics.resolve(Scales(problem, generator))
    numbers = resolved.numbers()
    if isinstance(resolved, GradientFlow):
        return gradient_flow(problem, generator, kind)
    if isinstance(resolved, ISEHD):
        return isehd(problem, generator, numbers["alpha"], numbers["beta"], kind)
    if isinstance(resolved, GradientDescent) and "step_size" in numbers:
        return gradient_descent(problem, generator, numbers["step_size"], kind)
    if isinstance(resolved, IGAHD) and resolved.gradient_at == "theta":
        s, alpha, beta = (jnp.asarray(numbers[name]) for name in ("s", "alpha", "beta"))
        return igahd(problem, generator, s, alpha, beta, kind)
    raise TypeError(
        f"no convergence theorem is known here for {type(dynamics).__name__} as given; there are "
        "GradientFlow, ISEHD, GradientDescent with a constant step, and IGAHD with the gradient at "
        "theta"
    )
