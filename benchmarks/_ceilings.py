"""What this device can do at most: bytes a second by the size gone over, operations a second.

Measured right before and right after the loop that is compared with them, so that all see the same
machine. Each number is the best of several blocks: a ceiling is what the hardware allows, not what
it did on average.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks._report import interleaved, per_iteration


class Ceilings(NamedTuple):
    """Of one dtype and one size, on the default device.

    Attributes:
        products: operations a second of a large matrix product, 2 a multiplication and addition.
        tanh: hyperbolic tangents a second, from cache.
        bandwidth: bytes a second, read and written, of a loop over the given bytes, again and
            again.
    """

    products: float
    tanh: float
    bandwidth: float

    def or_higher(self, other: "Ceilings") -> "Ceilings":
        """The higher of each."""
        return Ceilings(*map(max, self, other))


def ceilings(dtype: str, working: float, *, quick: bool) -> Ceilings:
    """Measured now.

    Args:
        dtype: the dtype.
        working: the bytes that a loop goes over, rounded down to a power of two of 2^14 at least.
        quick: shorter and coarser.
    """
    repeats, moved = 3, 2**28 if quick else 2**30
    power = max(14, round(working).bit_length() - 1)
    size = 2**power // 2 // jnp.dtype(dtype).itemsize
    passes = max(2, moved // (3 * 2 ** (power - 1)))
    return Ceilings(
        product_rate(dtype, 512 if quick else 1024, repeats),
        tanh_rate(dtype, 4096, 500 if quick else 5000, repeats),
        copy_rate(dtype, size, passes, repeats),
    )


def copy_rate(dtype: str, size: int, passes: int, repeats: int) -> float:
    """Bytes a second of z ← z + c w: two arrays read and one written, again and again.

    From what 3P passes take more than P: what a call does once does not enter.
    """
    z = jnp.zeros(size, dtype)
    w = jnp.ones(size, dtype)

    @jax.jit
    def run(z, w, count):
        return jax.lax.fori_loop(0, count, lambda i, z: z + w * (i + 1).astype(z.dtype), z)

    return 3 * z.nbytes / _pass(run, (z, w), passes, repeats)


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


def _pass(run: Callable[..., Any], arrays: tuple, passes: int, repeats: int) -> float:
    """The fewest seconds of a pass."""

    def many(count: int) -> Any:
        return run(*arrays, jnp.asarray(count, jnp.int32))

    return min(per_iteration({"pass": many}, {"pass": passes}, repeats)["pass"]["step"])


def _best(run: Callable[[], Any], repeats: int) -> float:
    """The fewest seconds."""
    return min(interleaved({"run": run}, repeats)["run"])
