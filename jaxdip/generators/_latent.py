"""The latent u, drawn once and then fixed."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float, Key


def on_sphere(d: int, *, key: Key, dtype=None) -> Float[Array, " d"]:
    """A point drawn uniformly from the unit sphere of R^d, as the theorems assume of u.

    Args:
        d: the dimension, at least 1.
        key: the random key.
        dtype: the real dtype; by default JAX's default float.

    Raises:
        ValueError: if d < 1.
    """
    if d < 1:
        raise ValueError(f"the latent dimension is at least 1, got d={d}")
    direction = jax.random.normal(key, (d,), dtype or jnp.result_type(float))
    return direction / jnp.linalg.norm(direction)
