"""Which theorem speaks of a dynamics: the one place where theorems and dynamics meet."""

import contextlib
from typing import get_args

from jaxdip._tree import is_concrete
from jaxdip._types import Array
from jaxdip.dynamics import (
    IGAHD,
    ISEHD,
    AbstractDescent,
    AbstractFlow,
    GradientDescent,
    GradientFlow,
    IGAHDBacktracking,
    IGAHDForward,
    Scales,
)
from jaxdip.dynamics.steps import Armijo, Constant
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem
from jaxdip.theory import (
    Certificate,
    Energy,
    Ground,
    Inapplicable,
    Kind,
    adaptive_descent,
    adaptive_inertia,
    gradient_descent,
    gradient_flow,
    ground,
    igahd,
    igahd_forward,
    isehd,
    not_applicable,
)


def certify(
    problem: Problem,
    generator: AbstractGenerator,
    *,
    dynamics: AbstractFlow | AbstractDescent,
    kind: Kind | Ground | None = None,
) -> Certificate:
    """The convergence theorem of a dynamics, applied to one problem and one start.

    Args:
        problem: the problem.
        generator: the network at its start.
        dynamics: `GradientFlow`, `ISEHD`, `GradientDescent` with a constant step or Armijo's rule,
            `IGAHD` with the gradient at θ (both its energies), `IGAHDForward`, or
            `IGAHDBacktracking`; numbers left out are filled in as the drivers do.
        kind: the `Ground`, 'network' as in the papers, 'row space' or 'sketched', or one that is
            known already. By default all three, of which the certificate that holds with the
            largest margin is returned; inside jit or vmap, where margins cannot be compared, it
            must be given.

    Returns:
        The certificate; print it for a table.

    Raises:
        TypeError: if no theorem is known here for the dynamics.
        ValueError: if `kind` is left out inside jit or vmap.
    """
    if not isinstance(dynamics, AbstractFlow | AbstractDescent):
        raise TypeError(
            f"dynamics is a flow or a discrete method, got {type(dynamics).__name__}; for example "
            "jaxdip.GradientFlow()"
        )
    kinds = get_args(Kind) if kind is None else (kind,)
    found = [c for each in kinds for c in _of_kind(problem, generator, dynamics, each)]
    if len(found) == 1:
        return found[0]
    if not is_concrete(found):
        raise ValueError(
            "inside jit or vmap margins cannot be compared: give kind='network', 'row space' or "
            "'sketched', and for IGAHD call theory.igahd with an energy"
        )
    return max(found, key=_rank)


def _rank(certificate: Certificate) -> tuple[bool, bool, float]:
    margin = float(certificate.margin)
    known = margin == margin
    return bool(certificate.holds), bool(certificate.applicable), margin if known else -1.0


def _of_kind(
    problem: Problem, generator: AbstractGenerator, dynamics, kind: Kind | Ground
) -> list[Certificate]:
    """The certificates of a dynamics that stand on one ground."""
    try:
        resolved, _ = dynamics.resolve(Scales(problem, generator))
    except ValueError as why:
        # A dead network has no μ from which numbers left out could be filled in.
        return [not_applicable(f"convergence of {type(dynamics).__name__}", "", str(why))]
    numbers = resolved.numbers()
    here = (problem, generator)
    if isinstance(resolved, GradientFlow):
        return [gradient_flow(*here, kind)]
    if isinstance(resolved, ISEHD):
        return [isehd(*here, numbers["alpha"], numbers["beta"], kind)]
    if isinstance(resolved, GradientDescent) and isinstance(resolved.step_size, Constant):
        return [gradient_descent(*here, numbers["step_size"], kind)]
    if isinstance(resolved, GradientDescent) and isinstance(resolved.step_size, Armijo):
        c, rho = numbers["decrease"], numbers["shrink"]
        return [adaptive_descent(*here, numbers["initial"], kind, decrease=c, shrink=rho)]
    if isinstance(resolved, IGAHD) and resolved.gradient_at == "theta":
        # Where there is no ground, the theorem says why.
        with contextlib.suppress(Inapplicable):
            kind = ground(*here, kind)
        return [igahd(*here, *_inertial(numbers), kind, energy=each) for each in get_args(Energy)]
    if isinstance(resolved, IGAHDForward):
        return [igahd_forward(*here, *_inertial(numbers), kind)]
    if isinstance(resolved, IGAHDBacktracking):
        c, rho, growth = (numbers[name] for name in ("decrease", "shrink", "growth"))
        rule = adaptive_inertia(
            *here, *_inertial(numbers), kind, decrease=c, shrink=rho, growth=growth
        )
        return [rule]
    raise TypeError(
        f"no convergence theorem is known here for {type(dynamics).__name__} as given; there are "
        "GradientFlow, ISEHD, GradientDescent with a constant step or Armijo's rule, IGAHD with "
        "the gradient at theta, IGAHDForward and IGAHDBacktracking"
    )


def _inertial(numbers: dict[str, Array]) -> tuple[Array, Array, Array]:
    return numbers["s"], numbers["alpha"], numbers["beta"]
