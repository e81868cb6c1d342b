"""Which ODE solver runs a flow: explicit, implicit by structure, or implicit by Krylov spaces."""

import math
from typing import Literal, NamedTuple, TypeAlias

import diffrax as dfx
import equinox as eqx
import lineax as lx
import optimistix as optx

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Tree
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._flow_jacobian import AbstractFlowJacobian, flow_jacobian
from jaxdip.dynamics._hessian import LARGEST_RANK, signal_size, structured_hessian
from jaxdip.dynamics._rosenbrock import Rodas5P
from jaxdip.problem import Parameters

#: What `solver=` takes.
SolverChoice: TypeAlias = Literal["auto", "explicit", "implicit"] | dfx.AbstractSolver

_NAMES = ("auto", "explicit", "implicit")
#: Tsit5 is stable on the negative real axis up to about this |rate × step|.
_STABLE = 3.0
#: Steps of Rodas5P for each decade of rate × horizon at rtol 1e-6, as measured.
_STEPS_PER_DECADE = 15.0
#: The implicit solver must promise to be this much cheaper: it compiles longer.
_MARGIN = 5.0
#: Vectors kept by GMRES between restarts.
_KRYLOV = 40


class Chosen(NamedTuple):
    """A solver, why it was chosen in words, and the numbers that decided."""

    solver: dfx.AbstractSolver
    notes: tuple[str, ...] = ()
    stats: dict[str, Array] = {}  # noqa: RUF012


def check_solver(choice: SolverChoice | None) -> None:
    """Says what is wrong with `solver=`.

    Raises:
        ValueError: for an unknown name.
        TypeError: for something that is neither a name nor a diffrax solver.
    """
    if choice is None or isinstance(choice, dfx.AbstractSolver):
        return
    if not isinstance(choice, str):
        raise TypeError(
            f"solver is one of {', '.join(_NAMES)} or a diffrax solver, got "
            f"{type(choice).__name__}; for example diffrax.Dopri8() (an object, not the class)"
        )
    if choice not in _NAMES:
        raise ValueError(f"unknown solver {choice!r}; choose one of {', '.join(_NAMES)}")


def choose_solver(
    choice: SolverChoice | None,
    flow: AbstractFlow,
    f: Parameters,
    theta: Tree,
    horizon: Array,
    rtol: Array,
    *,
    own_controller: bool,
) -> Chosen:
    """The solver for a flow on f from θ to the horizon; see `integrate`."""
    if isinstance(choice, dfx.AbstractSolver):
        return Chosen(choice)
    hessian = structured_hessian(f, theta)
    jacobian = None if hessian is None else flow_jacobian(flow, hessian)
    if choice == "implicit":
        return _krylov() if jacobian is None else Chosen(Rodas5P(jacobian))
    # Steps that the caller fixes are not ours to compare, and Krylov solves rarely pay.
    if choice == "explicit":
        return Chosen(dfx.Tsit5())
    # By default what is usual goes without saying; who asks for "auto" by name is told.
    told = choice == "auto"
    if own_controller:
        return _explicit("the steps are those of the stepsize_controller", told)
    if jacobian is None:
        return _explicit("the Hessian has no structure here that an implicit step could use", told)
    if not is_concrete(theta, horizon, rtol, jacobian):
        note = (
            "solver: Tsit5, because values traced by jit, vmap or grad cannot tell whether the "
            'flow is stiff; pass solver="implicit" if it is'
        )
        return Chosen(dfx.Tsit5(), (note,))
    return _compare(jacobian, theta, horizon, rtol, signal_size(f, theta), told)


def _explicit(why: str, told: bool, stats: dict[str, Array] | None = None) -> Chosen:
    return Chosen(dfx.Tsit5(), (f"solver: Tsit5, because {why}",) if told else (), stats or {})


def _compare(
    jacobian: AbstractFlowJacobian,
    theta: Tree,
    horizon: Array,
    rtol: Array,
    rank: int,
    told: bool,
) -> Chosen:
    """The cheaper of the two, by the number of steps times the cost of a step."""
    stiffness = _rate(jacobian, theta) * horizon
    stats = {"stiffness": stiffness}
    ratio = float(stiffness)
    if not math.isfinite(ratio):
        return _explicit("the fastest rate at the start is not finite", told, stats)
    precision = (1e-6 / max(float(rtol), 1e-15)) ** 0.2
    implicit_steps = _STEPS_PER_DECADE * math.log10(10 + ratio) * max(precision, 1.0)
    # Against one step of Tsit5: eight solves and the q × q matrix, as measured.
    step_cost = 4 + rank / 6
    if ratio / _STABLE < _MARGIN * implicit_steps * step_cost:
        why = (
            "stability holds it to about stats['stiffness']/3 steps, stiffness being fastest rate "
            "x horizon, and implicit steps would cost more"
        )
        return _explicit(why, told, stats)
    note = (
        "solver: Rodas5P (implicit), because the flow is stiff: stability would hold Tsit5 to "
        "about stats['stiffness']/3 steps, stiffness being fastest rate x horizon"
    )
    return Chosen(Rodas5P(jacobian), (note,), stats)


def _krylov() -> Chosen:
    newton = dfx.with_stepsize_controller_tols(optx.Newton)(
        linear_solver=lx.GMRES(rtol=1e-8, atol=1e-12, restart=_KRYLOV, stagnation_iters=_KRYLOV)
    )
    note = (
        "solver: Kvaerno5 with Newton and GMRES, because the Hessian has no structure here that a "
        "direct solve could use (the flows of this package have it with TwoLayer and Linear "
        f"generators and at most {LARGEST_RANK} entries of the reduced signal)"
    )
    return Chosen(dfx.Kvaerno5(root_finder=newton), (note,))


@eqx.filter_jit
def _rate(jacobian: AbstractFlowJacobian, theta: Tree) -> Array:
    return jacobian.rate(theta)
