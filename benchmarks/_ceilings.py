"""What this device can do at most: bytes a second by the size gone over, operations a second.

Measured in the run that compares a loop with them, so that both see the same machine. Each number
is the best of several blocks: a ceiling is what the hardware allows, not what it did on average.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks._report import interleaved


class Ceilings:
    """Of one dtype, on the default device.

    Attributes:
        products: operations a second of a large matrix product, 2 a multiplication and addition.
        tanh: hyperbolic tangents a second, from cache.
        bandwidths: bytes a second by the power of two of the bytes gone over, as far as asked for.
    """

    def __init__(self, dtype: str, *, quick: bool):
        self.dtype, self.repeats = dtype, 3 if quick else 9
        self.moved = 2**28 if quick else 2**32
        self.products = product_rate(dtype, 512 if quick else 2048, self.repeats)
        self.tanh = tanh_rate(dtype, 4096, 500 if quick else 5000, self.repeats)
        self.bandwidths: dict[int, float] = {}

    def bandwidth(self, working: float) -> float:
        """Bytes a second, read and written, of a loop over so many bytes, again and again."""
        power = max(14, round(working).bit_length() - 1)
        if power not in self.bandwidths:
            size = 2**power // 2 // jnp.dtype(self.dtype).itemsize
            passes = max(2, self.moved // (3 * 2 ** (power - 1)))
            self.bandwidths[power] = copy_rate(self.dtype, size, passes, self.repeats)
        return self.bandwidths[power]


def copy_rate(dtype: str, size: int, passes: int, repeats: int) -> float:
    """Bytes a second of z ← z + c w: two arrays read and one written, again and again.

    From what 3P passes take more than P: what a call does once does not enter.
    """
    z = jnp.zeros(size, dtype)
    w = jnp.ones(size, dtype)

    @jax.jit
    def run(z, w, count):
        return jax.lax.fori_loop(0, count, lambda i, z: z + w * (i + 1).astype(z.dtype), z)

    few, many = (jnp.asarray(count, jnp.int32) for count in (passes, 3 * passes))
    taken = interleaved({"P": partial(run, z, w, few), "3P": partial(run, z, w, many)}, repeats)
    return 3 * z.nbytes * 2 * passes / (min(taken["3P"]) - min(taken["P"]))


def product_rate(dtype: str, size: int, repeats: int) -> float:
    """Operations a second of a square product in full precision."""
    A = jax.random.normal(jax.random.key(0), (size, size), dtype)

    @jax.jit
    def run(A):
        return jnp.matmul(A, A, precision=jax.lax.Precision.HIGHEST)

    return 2 * size**3 / _best(partial(run, A), repeats)


def tanh_rate(dtype: str, size: int, passes: int, repeats: int) -> float:
    """Hyperbolic tangents a second."""
    z = jax.random.normal(jax.random.key(0), (size,), dtype)

    @jax.jit
    def run(z):
        def again(_, carry):
            # z moves by what cannot be foreseen, so that each tanh is evaluated anew.
            z, a = carry
            return z, jnp.tanh(z + a[0])

        return jax.lax.fori_loop(0, passes, again, (z, jnp.zeros_like(z)))[1]

    return size * passes / _best(partial(run, z), repeats)


def _best(run: Callable[[], Any], repeats: int) -> float:
    """The fewest seconds."""
    return min(interleaved({"run": run}, repeats)["run"])
