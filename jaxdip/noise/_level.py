"""What the parameters and the data of a noise model must be."""

import math
from typing import Any

import jax.numpy as jnp

from jaxdip._tree import is_concrete
from jaxdip._types import Array


def as_level(value: Any, name: str, *, low: float = -math.inf, high: float = math.inf) -> Array:
    """The parameter as a real number between `low` and `high`, in its own precision.

    Raises:
        TypeError: if it is complex.
        ValueError: if it is not one number, or outside [low, high].
    """
    if jnp.iscomplexobj(value):
        raise TypeError(f"{name} of a noise is a real number, got a complex one")
    if jnp.shape(value) != ():
        raise ValueError(
            f"{name} of a noise is one number, got shape {jnp.shape(value)}; "
            "for several levels use jax.vmap"
        )
    if is_concrete(value) and not (low <= float(value) <= high and math.isfinite(float(value))):
        raise ValueError(f"{name} of a noise is a number in [{low}, {high}], got {float(value)}")
    dtype = jnp.result_type(value)
    # With its dtype named, a Python number gives the same program as an array.
    return jnp.asarray(value, dtype if jnp.issubdtype(dtype, jnp.floating) else float)


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
