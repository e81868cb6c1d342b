"""Additive white Gaussian noise."""

import jax

from jaxdip._types import Array, Key, RealScalar
from jaxdip.noise._base import AbstractNoise
from jaxdip.noise._level import as_level, refuse_integers


class Gaussian(AbstractNoise):
    """y = x + ε with independent ε_i ~ N(0, std²).

    On complex data ε is circular: real and imaginary part each have standard deviation std/√2, so
    that E|ε_i|² = std² in both cases and E‖ε‖² = m·std².
    """

    std: Array

    def __init__(self, std: RealScalar):
        """Fix the standard deviation, in units of the data; a ValueError if it is negative."""
        self.std = as_level(std, "std", low=0.0)

    def __call__(self, clean: Array, *, key: Key) -> Array:
        """The clean data plus noise."""
        clean = refuse_integers(clean, "Gaussian")
        # JAX draws complex normal numbers circular, of unit variance in all.
        noise = jax.random.normal(key, clean.shape, clean.dtype)
        return clean + self.std.astype(clean.dtype) * noise
