"""Random keys by purpose, so that one factor can be held while another varies."""

import zlib

import jax
import jax.numpy as jnp

from jaxdip._types import Key


def key_for(key: Key, purpose: str) -> Key:
    """A key for one named purpose, independent of the order in which purposes are asked for.

    The same `key` with another `purpose` gives an independent stream, so the noise can be redrawn
    while operator, signal and initialisation stay as they are.

    Args:
        key: a typed key, `jax.random.key(seed)`.
        purpose: any name; the toolkit uses 'operator', 'signal', 'noise', 'init' and 'latent'.

    Returns:
        The key `fold_in(key, crc32(purpose))`.

    Raises:
        TypeError: if `key` is not a typed key.
    """
    if not (hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)):
        raise TypeError(
            f"a random key is a typed key, got {type(key).__name__}; make one by jax.random.key(0)"
        )
    return jax.random.fold_in(key, zlib.crc32(purpose.encode()))
