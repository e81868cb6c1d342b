"""Random keys by purpose, so that one factor can be held while another varies."""

import zlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

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


def keys_for(key: Key, purposes: Sequence[str]) -> Key:
    """The keys of several purposes, each as `key_for` has it, in one operation.

    Args:
        key: a typed key.
        purposes: names.

    Returns:
        Keys of shape (len(purposes),).

    Raises:
        TypeError: if `key` is not a typed key.
    """
    check_key(key)
    names = np.array([zlib.crc32(purpose.encode()) for purpose in purposes], np.uint32)
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, names)


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
