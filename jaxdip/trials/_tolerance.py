"""The loss at which a trial ends: its default, and what rounding makes unreachable."""

import math

import jax.numpy as jnp

from jaxdip._numbers import RESIDUAL_ROUNDING

#: The papers' threshold.
_TOLERANCE = 1e-14


def tolerance_or_default(given: float | None, dtype: jnp.dtype, p: float, entries: int) -> float:
    """The tolerance, or its default: 1e-14, or the loss of a residual twenty times rounding.

    The loss is ‖r‖^{2(p+1)}/(2(p+1)); entries of y are of order √n, so ‖y‖ is of order √(m n).

    Args:
        given: the tolerance, if any.
        dtype: of the computation.
        p: of the loss.
        entries: m n.

    Raises:
        ValueError: for a tolerance below what rounding leaves.
    """
    reached = RESIDUAL_ROUNDING * float(jnp.finfo(dtype).eps) * math.sqrt(entries)
    double = 2.0 * (p + 1.0)
    least = reached**double / double
    if given is None:
        return max(_TOLERANCE, (20.0 * reached) ** double / double)
    if given < least:
        finer = "" if dtype == jnp.float64 else ", or compute in float64"
        raise ValueError(
            f"tolerance={given:g} is below what {dtype.name} rounding leaves of a loss of "
            f"this size, {least:.1e}; give a larger one{finer}"
        )
    return given
