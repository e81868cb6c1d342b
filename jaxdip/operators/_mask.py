"""Operators that keep some entries of a signal, or all of them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._random import check_key
from jaxdip._tree import is_concrete
from jaxdip._types import Array, Key
from jaxdip.operators._coordinates import conform, is_complex, real_dtype
from jaxdip.operators._spectral import AbstractClosedFormOperator
from jaxdip.operators._structure import signal_structure


class Mask(AbstractClosedFormOperator):
    """A x = the entries of x where `keep` is true, in row-major order, shape (m,).

    A A* = I, so every singular value is 1, and A⁺ = A* fills the missing entries with zeros.
    For a mask that is shared by channels, broadcast it: `jnp.broadcast_to(keep[..., None], shape)`.
    """

    index: Array
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, keep: Any, *, count: int | None = None, dtype: Any = None):
        """Store the positions of the entries that are kept.

        Args:
            keep: a boolean array of the signal's shape.
            count: how many of its entries are true; needed only where `keep` is traced (under jit
                or vmap), since the shape of the data must be known.
            dtype: of the signal; the default real dtype if None.

        Raises:
            TypeError: if `keep` is not boolean.
            ValueError: if nothing is kept, or if `count` is missing or wrong.
        """
        keep = as_mask(keep)
        self.index = jnp.flatnonzero(keep, size=_count(keep, count)).astype(jnp.int32)
        self.in_structure = signal_structure(keep.shape, dtype)

    @classmethod
    def random(
        cls, shape: int | tuple[int, ...], fraction: float, key: Key, *, dtype: Any = None
    ) -> "Mask":
        """Keep round(fraction·n) of the n entries, all such sets being equally likely.

        Args:
            shape: the shape of the signal.
            fraction: the share of entries kept, in ]0, 1].
            key: the random key.
            dtype: of the signal; the default real dtype if None.

        Raises:
            ValueError: if `fraction` is outside ]0, 1], or so small that nothing is kept.
        """
        structure = signal_structure(shape, dtype)
        if not 0 < fraction <= 1:
            raise ValueError(f"a mask keeps a fraction in ]0, 1] of the entries, got {fraction}")
        size = int(np.prod(structure.shape))
        count = round(fraction * size)
        check_key(key)
        keep = jax.random.permutation(key, jnp.arange(size) < count).reshape(structure.shape)
        return cls(keep, count=count, dtype=dtype)

    def __call__(self, x: Array) -> Array:
        """The kept entries, shape (m,)."""
        return conform(x, self.in_structure, "Mask").ravel()[self.index]

    def adjoint(self, y: Array) -> Array:
        """The signal that has the data at the kept entries and zeros elsewhere."""
        y = conform(y, self.out_structure, "Mask.adjoint")
        empty = jnp.zeros(self.n, self.in_structure.dtype)
        return empty.at[self.index].set(y, unique_indices=True).reshape(self.in_structure.shape)

    def pseudo_inverse(self, y: Array) -> Array:
        """A⁺ y = A* y."""
        return self.adjoint(y)

    def singular_values(self) -> Array:
        """m ones."""
        return jnp.ones(self.index.shape, real_dtype(self.in_structure))

    @property
    def complex_linear(self) -> bool:
        """Signals are complex."""
        return is_complex(self.in_structure)

    @property
    def orthonormal_rows(self) -> bool:
        """True."""
        return True


class Identity(AbstractClosedFormOperator):
    """A x = x."""

    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, shape: int | tuple[int, ...], *, dtype: Any = None):
        """Fix the shape of the signal, and its dtype (the default real dtype if None)."""
        self.in_structure = signal_structure(shape, dtype)

    def __call__(self, x: Array) -> Array:
        """The signal itself."""
        return conform(x, self.in_structure, "Identity")

    def adjoint(self, y: Array) -> Array:
        """The data themselves."""
        return conform(y, self.in_structure, "Identity.adjoint")

    def pseudo_inverse(self, y: Array) -> Array:
        """The data themselves."""
        return self.adjoint(y)

    def singular_values(self) -> Array:
        """n ones."""
        return jnp.ones(self.n, real_dtype(self.in_structure))

    @property
    def complex_linear(self) -> bool:
        """Signals are complex."""
        return is_complex(self.in_structure)

    @property
    def orthonormal_rows(self) -> bool:
        """True."""
        return True


def as_mask(keep: Any) -> Any:
    """A mask as an array, a NumPy array where it is not traced.

    Raises:
        TypeError: if it is not boolean, or no array at all.
    """
    if is_concrete(keep):
        try:
            keep = np.asarray(keep)
        except ValueError:
            raise TypeError("a mask is a boolean array, got rows of several lengths") from None
    if keep.dtype == np.bool_:
        return keep
    if keep.dtype.kind not in "iufc":
        raise TypeError(f"a mask is a boolean array, got {keep.dtype}; read it from its file first")
    raise TypeError(
        f"a mask is a boolean array, got {keep.dtype}; pass keep > 0, or keep == 1 if it is 0 or 1"
    )


def _count(keep: Any, count: int | None) -> int:
    if not is_concrete(keep):
        if count is None:
            raise ValueError("a traced mask needs count=, the number of its entries that are kept")
        return count
    found = int(np.sum(keep))
    if count is not None and count != found:
        raise ValueError(f"count={count}, but the mask keeps {found} entries; they must agree")
    if found == 0:
        raise ValueError("a mask keeps at least one entry, got none")
    return found
