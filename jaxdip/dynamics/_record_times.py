"""When to look: times and steps that resolve every decade alike."""

import math

import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Float
from jaxdip.dynamics._checks import count


def log_times(first: float, last: float, records: int) -> Float[Array, " records+1"]:
    """0 and `records` times from the first to the last, evenly spaced in their logarithm.

    Args:
        first: the first positive time.
        last: the last time.
        records: how many positive times, at least 2.

    Raises:
        TypeError, ValueError: unless 0 < first < last and there are at least two.
    """
    if not 0 < first < last < math.inf:
        raise ValueError(f"log_times needs 0 < first < last, got {first:g} and {last:g}")
    records = count("records", records, 2)
    # The ends are set, not computed: exp(log(x)) is not x.
    inner = np.exp(np.linspace(math.log(first), math.log(last), records))[1:-1]
    return jnp.asarray(np.concatenate([[0.0, first], inner, [last]]))


def check_times(ts) -> Float[Array, " T"]:
    """The times of the records of a solve.

    Raises:
        TypeError: if they are complex.
        ValueError: unless they are a vector, finite, increasing, at least 0 and not 0 alone.
    """
    ts = jnp.asarray(ts)
    if jnp.issubdtype(ts.dtype, jnp.complexfloating):
        raise TypeError(f"ts holds real times, got {ts.dtype}; take their real part")
    if ts.ndim != 1 or ts.shape[0] == 0:
        raise ValueError(f"ts is a vector of at least one time, got shape {ts.shape}")
    if not jnp.issubdtype(ts.dtype, jnp.floating):
        ts = ts.astype(jnp.result_type(float))
    if is_concrete(ts):
        # NumPy, because even concrete arrays become tracers in jnp under jit.
        times = np.asarray(ts)
        if not (np.all(np.diff(times) > 0) and times[0] >= 0 and np.isfinite(times[-1])):
            raise ValueError("ts must be finite, increasing and at least 0, since θ0 is at t = 0")
        if times[-1] == 0:
            raise ValueError("ts ends at 0: there is nothing to integrate")
    return ts


def log_steps(steps: int, records: int) -> tuple[int, ...]:
    """0, 1, … and the last step: at most `records` + 1 of them, evenly spaced in their logarithm.

    Args:
        steps: the last step.
        records: how many positive steps at most; early ones coincide and are merged.

    Raises:
        TypeError, ValueError: unless steps is at least 1 and records at least 2.
    """
    steps, records = count("steps", steps, 1), count("records", records, 2)
    spaced = np.rint(np.geomspace(1, steps, records)).astype(int)
    return (0, *np.unique(spaced).tolist())
