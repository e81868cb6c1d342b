"""Thresholds of the loss that rounding keeps a run from reaching are refused."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._numbers import RESIDUAL_ROUNDING
from jaxdip._tree import is_concrete
from jaxdip.dynamics._event import AbstractEvent, LossBelow
from jaxdip.problem import Problem


def check_reachable(problem: Problem, events: Mapping[str, AbstractEvent]) -> None:
    """Refuses a `LossBelow` whose threshold lies below what the data's dtype can tell from a fit.

    Rounding leaves a residual of some eps ‖y‖, eps being the spacing of numbers at 1, and by the
    loss's desingularizing function L_y(v) ≥ ψ⁻¹(‖v − y‖): a threshold below ψ⁻¹(4 eps ‖y‖) is met
    by luck only (8 eps² ‖y‖² for the squared error: 1e-13 ‖y‖² in float32, 4e-31 ‖y‖² in float64).
    The threshold 0 stays allowed: an exact fit, or never. Nothing is said about losses
    without ψ, or with other minimisers than y, nor while JAX traces the problem.

    Raises:
        ValueError: for such a threshold.
    """
    for name, event in events.items():
        if isinstance(event, LossBelow) and is_concrete(problem, event):
            _check(problem, name, float(np.asarray(event.threshold)))


def _check(problem: Problem, name: str, threshold: float) -> None:
    dtype = jnp.finfo(problem.y.dtype).dtype
    least = _least_loss(problem, float(jnp.finfo(dtype).eps))
    if least is None or threshold == 0 or threshold >= least:
        return
    remedy = "give a larger one"
    if dtype != jnp.float64:
        remedy += ", or compute in float64: set JAX_ENABLE_X64=1 and give the data in it"
    raise ValueError(
        f"the loss threshold {threshold:g} of event {name!r} is below {least:.1e}, what {dtype} "
        f"rounding leaves of the loss for data of this size; {remedy}"
    )


def _least_loss(problem: Problem, eps: float) -> float | None:
    """ψ⁻¹(eps ‖y‖), or None where no ψ bounds the distance to y."""
    if not problem.loss.fits_data:
        return None
    residual = (
        RESIDUAL_ROUNDING * eps * float(np.linalg.norm(np.asarray(problem.y).astype(complex)))
    )
    # Inside jit too, constants are to be looked at.
    with jax.ensure_compile_time_eval():
        try:
            psi = problem.loss.desingularizer(problem.y)
        except ValueError:
            return None
        found = np.asarray(psi.psi_inv(jnp.asarray(residual, jnp.result_type(float))))
    return float(found)
