"""Additive noise, uniform on an interval."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Key, RealScalar
from jaxdip.noise._base import AbstractNoise
from jaxdip.noise._level import as_level, refuse_integers


class Uniform(AbstractNoise):
    """y = x + ε with independent ε_i, uniform on [−half_width, half_width].

    Its variance is half_width²/3. On complex data real and imaginary part are drawn so each,
    independently: E|ε_i|² = 2·half_width²/3, uniform on a square.
    """

    half_width: Array

    def __init__(self, half_width: RealScalar):
        """Fix half the interval's length, in units of the data; a ValueError if negative."""
        self.half_width = as_level(half_width, "half_width", low=0.0)

    def __call__(self, clean: Array, *, key: Key) -> Array:
        """The clean data plus noise."""
        clean = refuse_integers(clean, "Uniform")
        width = self.half_width.astype(clean.real.dtype)
        if not jnp.iscomplexobj(clean):
            return clean + width * _symmetric(key, clean)
        real_key, imaginary_key = jax.random.split(key)
        re = clean.real + width * _symmetric(real_key, clean.real)
        im = clean.imag + width * _symmetric(imaginary_key, clean.imag)
        return jax.lax.complex(re, im)


def _symmetric(key: Key, like: Array) -> Array:
    return jax.random.uniform(key, like.shape, like.dtype, minval=-1.0, maxval=1.0)
