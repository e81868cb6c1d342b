"""What the lazy twin is asked for: moments of a flow or a method, and no more than the mean."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._path_length import DescentWithPathLength
from jaxdip.dynamics._stochastic_gradient_descent import StochasticGradientDescent


def one_moment(dynamics: AbstractFlow | AbstractDescent, at: Any, dtype) -> Array:
    """A time, as a number of this dtype, or a number of steps.

    Raises:
        TypeError: if a time is no real number, or a number of steps no whole number.
        ValueError: unless it is one number, at least 0.
    """
    moment = _moments(dynamics, at, dtype)
    if moment.ndim:
        raise ValueError(
            f"at is one number, got shape {moment.shape}; for several use trajectory, or jax.vmap"
        )
    return moment


def many_moments(dynamics: AbstractFlow | AbstractDescent, at: Any, dtype) -> Array:
    """Finite times, or numbers of steps, as a vector.

    Raises:
        TypeError: if a time is no real number, or a number of steps no whole number.
        ValueError: unless they are a vector of at least one finite number, all at least 0.
    """
    moments = _moments(dynamics, at, dtype)
    if moments.ndim != 1 or moments.size == 0:
        raise ValueError(
            f"at is a vector of times or numbers of steps, got shape {moments.shape}; for one "
            "moment use loss, signal or residual"
        )
    if is_concrete(moments) and not np.all(np.isfinite(np.asarray(moments))):
        raise ValueError("the times of a trajectory are finite, got inf; for t = inf use signal")
    return moments


def _moments(dynamics: AbstractFlow | AbstractDescent, at: Any, dtype) -> Array:
    array = jnp.asarray(at)
    steps = isinstance(dynamics, AbstractDescent)
    kinds = (jnp.integer,) if steps else (jnp.integer, jnp.floating)
    if not any(jnp.issubdtype(array.dtype, kind) for kind in kinds):
        what = "a whole number of steps for a method, such as 100" if steps else "a time for a flow"
        raise TypeError(f"at is {what}, got {at!r}")
    array = array if steps else array.astype(dtype)
    # NumPy, because even concrete arrays become tracers in jnp under jit.
    if is_concrete(array) and not np.all(np.asarray(array) >= 0):
        raise ValueError(f"at is at least 0, where the run starts, got {at!r}")
    return array


def refuse_random(dynamics: Any, what: str) -> None:
    """Refuses what is not linear in the residual for a method whose factor is only the mean.

    Raises:
        ValueError: for stochastic gradient descent.
    """
    if isinstance(dynamics, DescentWithPathLength):
        dynamics = dynamics.inner
    if isinstance(dynamics, StochasticGradientDescent):
        raise ValueError(
            f"stochastic gradient descent has no {what} in closed form, only the mean over its "
            "batches: residual, signal and displacement; for that of the full gradient take "
            "GradientDescent"
        )
