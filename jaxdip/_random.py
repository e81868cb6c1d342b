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
    check_key(key)
    return jax.random.fold_in(key, zlib.crc32(purpose.encode()))


def check_key(key: Key) -> None:
    """Refuses what is not one typed random key.

    Raises:
        TypeError: for an integer, an old-style uint32 key, or a batch of keys.
    """
    typed = hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed or key.shape != ():
        found = f"{type(key).__name__} of shape {key.shape}" if typed else type(key).__name__
        raise TypeError(
            f"a random key is one typed key, got {found}; make one by jax.random.key(0), and run "
            "over a batch of them by jax.vmap"
        )
