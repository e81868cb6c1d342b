"""Photon-counting noise."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Key, RealScalar
from jaxdip.noise._base import AbstractNoise
from jaxdip.noise._level import as_level, refuse_complex


class Poisson(AbstractNoise):
    """y = N/peak with independent counts N_i ~ Poisson(peak·x_i), for real x ≥ 0.

    E y = x and Var y_i = x_i/peak: `peak` is the expected number of counts where x = 1, and noise
    grows as it falls. Where x is negative there is no such law: a ValueError if the data can be
    looked at, and NaN at those entries under jit, never a silent zero.

    Draws need keys of JAX's default generator, threefry.
    """

    peak: Array

    def __init__(self, peak: RealScalar):
        """Fix the expected counts at x = 1; a ValueError if it is not positive."""
        self.peak = as_level(peak, "peak", low=math.ulp(0.0))

    def __call__(self, clean: Array, *, key: Key) -> Array:
        """Counts divided by `peak`."""
        clean = refuse_complex(clean, "Poisson")
        if is_concrete(clean) and np.any(np.asarray(clean) < 0):
            raise ValueError(
                f"Poisson noise takes data >= 0, got a minimum of {np.min(clean)}; "
                "make the operator or the generator non-negative, or shift the data"
            )
        peak = self.peak.astype(clean.dtype)
        counts = jax.random.poisson(key, peak * jnp.maximum(clean, 0)).astype(clean.dtype)
        return jnp.where(clean >= 0, counts / peak, math.nan)
