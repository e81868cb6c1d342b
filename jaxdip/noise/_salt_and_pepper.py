"""Noise that replaces entries."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Key, RealScalar
from jaxdip.noise._base import AbstractNoise
from jaxdip.noise._level import as_level, refuse_complex


class SaltAndPepper(AbstractNoise):
    """Each entry is lost with probability `fraction`, and reads `low` or `high` equally often.

    For real data only; the mean of a lost entry is (low + high)/2.
    """

    fraction: Array
    low: Array
    high: Array

    def __init__(self, fraction: RealScalar, low: RealScalar = 0.0, high: RealScalar = 1.0):
        """Fix the share of lost entries in [0, 1] and what they read, in units of the data.

        Raises:
            ValueError: if `fraction` is outside [0, 1].
        """
        self.fraction = as_level(fraction, "fraction", low=0.0, high=1.0)
        self.low = as_level(low, "low")
        self.high = as_level(high, "high")

    def __call__(self, clean: Array, *, key: Key) -> Array:
        """The data with some entries replaced."""
        clean = refuse_complex(clean, "SaltAndPepper")
        fraction, low, high = (
            level.astype(clean.dtype) for level in (self.fraction, self.low, self.high)
        )
        draw = jax.random.uniform(key, clean.shape, clean.dtype)
        # One draw decides both: below fraction/2 pepper, from there to fraction salt.
        return jnp.where(draw < fraction / 2, low, jnp.where(draw < fraction, high, clean))
