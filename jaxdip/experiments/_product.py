"""The product of the experiments' own loops."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array


def product(a: Array, b: Array) -> Array:
    """a @ b in full precision, which GPUs and TPUs give only to those who ask."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
