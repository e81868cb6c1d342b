"""Measurements that are held out of the fit."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._numbers import count, fraction
from jaxdip._random import check_key
from jaxdip._tree import is_concrete
from jaxdip._types import Array, Bool, Int, Key, Tree
from jaxdip.stopping._base import AbstractStopping, Seen
from jaxdip.stopping._patience import nothing


class HeldOut(AbstractStopping):
    """Chooses the step that predicts entries best that were not fitted; fires when it stagnates.

    A part of the entries of y, drawn at random or given as a mask, takes no part in the loss. The
    rule watches the mean of |F(x) − y|² over them, and fires after `patience` steps without a new
    least.

    Reference: B. Yaman et al., "Zero-shot self-supervised learning for MRI reconstruction",
    arXiv 2102.07737.

    Attributes:
        fraction: the share of the entries to hold out.
        mask: True at the entries to hold out, of the data's shape; None to draw them.
        patience: how many steps to wait.
    """

    fraction: float = eqx.field(static=True)
    mask: Bool[Array, "..."] | None
    patience: Int[Array, ""]

    def __init__(
        self,
        fraction: float = 0.1,
        *,
        mask: Bool[Array, "..."] | None = None,
        patience: int = 1000,
    ):
        """Takes the share or the mask, and the patience.

        Raises:
            TypeError: if one is of the wrong kind.
            ValueError: unless 0 < fraction < 1 and patience ≥ 1.
        """
        self.fraction = _share(fraction)
        if mask is not None and jnp.asarray(mask).dtype != jnp.bool_:
            raise TypeError(
                f"mask is boolean, True at the entries to hold out, got "
                f"{jnp.asarray(mask).dtype.name}; pass mask > 0"
            )
        self.mask = None if mask is None else jnp.asarray(mask)
        self.patience = jnp.asarray(count("patience", patience, 1), jnp.int32)

    def split(self, shape: tuple[int, ...], key: Key) -> Bool[np.ndarray, "..."]:
        """Which entries of data of this shape are held out.

        Args:
            shape: of the data.
            key: the random key by which they are drawn, round(fraction·m) of m, at least 1.

        Raises:
            ValueError: if the mask has another shape, or holds out none or all of the entries.
        """
        if self.mask is not None:
            held = np.asarray(self.mask)
            if held.shape != shape:
                raise ValueError(
                    f"the mask of HeldOut has shape {held.shape}, the data {shape}; give one "
                    "entry for each of the data's"
                )
        else:
            check_key(key)
            size = int(np.prod(shape))
            number = max(1, round(self.fraction * size))
            order = np.asarray(jax.random.permutation(key, size))
            held = (order < number).reshape(shape)
        if not held.any() or held.all():
            raise ValueError(
                f"HeldOut keeps {int(held.sum())} of {held.size} entries out of the fit; hold out "
                "some, but not all"
            )
        return held

    def init(self, template: Seen) -> Tree:
        """No error yet."""
        if template.held_out is None:
            raise ValueError("this run holds no entries out; give HeldOut to reconstruct as a rule")
        return nothing(template.held_out.dtype)

    def update(self, state: Tree, seen: Seen) -> Tree:
        """The error of one more step."""
        return state.after(seen.held_out, self.patience)

    def fired(self, state: Tree) -> Bool[Array, ""]:
        """Whether the patience has run out."""
        return state.fired

    def chosen(self, state: Tree) -> Bool[Array, ""]:
        """Whether the error is the least so far."""
        return state.now


def _share(value: float) -> float:
    checked = fraction("fraction", value)
    if not is_concrete(checked):
        raise TypeError("fraction decides shapes, so it is a Python number, not a traced one")
    return float(value)
