"""What the parameters and the data of a noise model must be."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxdip._types import Array


def is_concrete(value: Any) -> bool:
    """Whether the numbers can be looked at: not while a transformation traces them."""
    return not isinstance(value, jax.core.Tracer)


def as_level(value: Any, name: str, *, low: float = -math.inf, high: float = math.inf) -> Array:
    """The parameter as a real number between `low` and `high`, in its own precision.

    Raises:
        TypeError: if it is complex.
        ValueError: if it is not one number, or outside [low, high].
    """
    if jnp.iscomplexobj(value):
        raise TypeError(f"{name} of a noise is a real number, got a complex one")
    level = jnp.asarray(value)
    if level.ndim != 0:
        raise ValueError(
            f"{name} of a noise is one number, got shape {level.shape}; "
            "for several levels use jax.vmap"
        )
    if not jnp.issubdtype(level.dtype, jnp.floating):
        level = level.astype(jnp.result_type(float))
    if is_concrete(level) and not (low <= float(level) <= high and math.isfinite(float(level))):
        raise ValueError(f"{name} of a noise is a number in [{low}, {high}], got {float(level)}")
    return level


def refuse_integers(clean: Any, who: str) -> Array:
    """The data as an array.

    Raises:
        TypeError: if they are not floating-point.
    """
    clean = jnp.asarray(clean)
    if not jnp.issubdtype(clean.dtype, jnp.inexact):
        raise TypeError(f"{who} noise takes floating-point data, got {clean.dtype}; cast them")
    return clean


def refuse_complex(clean: Any, who: str) -> Array:
    """The data as an array.

    Raises:
        TypeError: if they are not real floating-point.
    """
    clean = refuse_integers(clean, who)
    if jnp.iscomplexobj(clean):
        raise TypeError(f"{who} noise takes real data, got {clean.dtype}; use Gaussian noise")
    return clean
