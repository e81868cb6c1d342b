"""When to look: times and steps that resolve every decade alike."""

import math

import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Float


def log_times(first: float, last: float, records: int) -> Float[Array, " records+1"]:
    """0 and `records` times from the first to the last, evenly spaced in their logarithm.

    Args:
        first: the first positive time.
        last: the last time.
        records: how many positive times, at least 2.

    Raises:
        ValueError: unless 0 < first < last and there are at least two.
    """
    if not 0 < first < last < math.inf:
        raise ValueError(f"log_times needs 0 < first < last, got {first:g} and {last:g}")
    _check_count(records)
    # The ends are set, not computed: exp(log(x)) is not x.
    inner = np.exp(np.linspace(math.log(first), math.log(last), records))[1:-1]
    return jnp.asarray(np.concatenate([[0.0, first], inner, [last]]))


def log_steps(steps: int, records: int) -> tuple[int, ...]:
    """0, 1, … and the last step: at most `records` + 1 of them, evenly spaced in their logarithm.

    Args:
        steps: the last step.
        records: how many positive steps at most; early ones coincide and are merged.

    Raises:
        ValueError: unless steps is at least 1 and records at least 2.
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"steps is a whole number, at least 1, got {steps!r}")
    _check_count(records)
    spaced = np.rint(np.geomspace(1, steps, records)).astype(int)
    return (0, *np.unique(spaced).tolist())


def _check_count(records: int) -> None:
    if not isinstance(records, int) or isinstance(records, bool) or records < 2:
        raise ValueError(f"records is a whole number, at least 2, got {records!r}")
