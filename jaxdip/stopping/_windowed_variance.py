"""Early stopping by the windowed moving variance of the outputs (ES-WMV)."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp

from jaxdip._numbers import count
from jaxdip._types import Array, Bool, Inexact, Int, Tree
from jaxdip.stopping._base import AbstractStopping, Seen
from jaxdip.stopping._patience import Best, nothing


class Window(NamedTuple):
    """The last W images, the next place to write, and the least variance so far.

    Attributes:
        images: shape (W, *signal).
        total: how many images were seen.
        variance: of the last W images; infinite before there are so many.
        best: the least of these.
    """

    images: Inexact[Array, "W ..."]
    total: Int[Array, ""]
    variance: Array
    best: Best


class WindowedVariance(AbstractStopping):
    """Chooses the step with the least variance of the last W outputs; fires when it stagnates.

        (1/W) Σ_{i<W} ‖x_{k−i} − x̃_k‖²,    x̃_k the mean of these W images,

    compared from the W-th image on. It fires after `patience` steps without a new least. The
    image chosen is the last of the window. It keeps W images: 100 colour images of 512 × 512 in
    float32 take 315 MB; `ExponentialVariance` keeps one. It may fire too early where the outputs
    come to rest before they change again (arXiv 2605.25299).

    Reference: ES-WMV of H. Wang et al., "Early stopping for Deep Image Prior", arXiv 2112.06074.

    Attributes:
        window: W.
        patience: how many steps to wait.
    """

    window: int = eqx.field(static=True)
    patience: Int[Array, ""]

    def __init__(self, window: int = 100, patience: int = 1000):
        """Takes W and the patience.

        Raises:
            TypeError: unless both are whole numbers.
            ValueError: unless W ≥ 2 and patience ≥ 1.
        """
        self.window = count("window", window, 2)
        self.patience = jnp.asarray(count("patience", patience, 1), jnp.int32)

    def init(self, template: Seen) -> Tree:
        """An empty window."""
        x = template.x
        real = jnp.finfo(x.dtype).dtype
        images = jnp.zeros((self.window, *x.shape), x.dtype)
        zero = jnp.asarray(0, jnp.int32)
        return Window(images, zero, jnp.asarray(jnp.inf, real), nothing(real))

    def update(self, state: Tree, seen: Seen) -> Tree:
        """The window with one more image."""
        images = state.images.at[state.total % self.window].set(seen.x)
        total = state.total + 1
        away = images - jnp.mean(images, axis=0)
        full = total >= self.window
        variance = jnp.sum(jnp.square(jnp.abs(away))) / self.window
        variance = jnp.where(full, variance, jnp.inf)
        best = state.best.after(variance, self.patience, counts=full)
        return Window(images, total, variance, best)

    def fired(self, state: Tree) -> Bool[Array, ""]:
        """Whether the patience has run out."""
        return state.best.fired

    def chosen(self, state: Tree) -> Bool[Array, ""]:
        """Whether the variance is the least so far."""
        return state.best.now
