"""Early stopping by the exponential moving variance of the outputs (ES-EMV)."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from jaxdip._numbers import count, fraction
from jaxdip._tree import is_concrete
from jaxdip._types import Array, Bool, Float, Inexact, Int, RealScalar, Tree
from jaxdip.stopping._base import AbstractStopping, Seen
from jaxdip.stopping._patience import Best, nothing


class Moving(NamedTuple):
    """The moving mean and variance, and the least variance so far.

    Attributes:
        mean: μ, of the signal's shape.
        variance: v.
        total: how many images were seen.
        best: the least of the variances compared.
    """

    mean: Inexact[Array, "..."]
    variance: Float[Array, ""]
    total: Int[Array, ""]
    best: Best


class ExponentialVariance(AbstractStopping):
    """Chooses the step with the least moving variance of the outputs; fires when it stagnates.

        d = x_k − μ,    μ ← μ + a d,    v ← (1 − a)(v + a‖d‖²),

    from μ = x_0 and v = 0: one image and one number, so that many runs fit side by side. It fires
    after `patience` steps without a new least v. Because v starts at 0 whatever the images do, its
    first ⌈3/a⌉ values, in which more than 5 % of that start is left, are not compared; the paper
    compares them too, and so does a rule whose `a` is traced.

    Reference: ES-EMV of H. Wang et al., "Early stopping for Deep Image Prior", arXiv 2112.06074.

    Attributes:
        a: the weight of the newest image, between 0 and 1.
        patience: how many steps to wait.
    """

    a: Float[Array, ""]
    patience: Int[Array, ""]
    warm_up: int = eqx.field(static=True)

    def __init__(self, a: RealScalar = 0.1, patience: int = 1000):
        """Takes the weight and the patience.

        Raises:
            TypeError: if one is of the wrong kind.
            ValueError: unless 0 < a < 1, and patience ≥ 1.
        """
        self.a = fraction("a", a)
        self.patience = jnp.asarray(count("patience", patience, 1), jnp.int32)
        # A traced weight has no value to count by.
        self.warm_up = int(np.ceil(3 / float(a) - 1e-9)) if is_concrete(a) else 0

    def init(self, template: Seen) -> Tree:
        """No image yet."""
        x = template.x
        real = jnp.finfo(x.dtype).dtype
        zero = jnp.asarray(0, jnp.int32)
        return Moving(jnp.zeros(x.shape, x.dtype), jnp.zeros((), real), zero, nothing(real))

    def update(self, state: Tree, seen: Seen) -> Tree:
        """Mean and variance with one more image."""
        first = state.total == 0
        away = seen.x - jnp.where(first, seen.x, state.mean)
        square = jnp.sum(jnp.square(jnp.abs(away)))
        a = self.a.astype(square.dtype)
        mean = jnp.where(first, seen.x, state.mean + a.astype(away.dtype) * away)
        variance = (1 - a) * (state.variance + a * square)
        best = state.best.after(variance, self.patience, counts=state.total > self.warm_up)
        return Moving(mean, variance, state.total + 1, best)

    def fired(self, state: Tree) -> Bool[Array, ""]:
        """Whether the patience has run out."""
        return state.best.fired

    def chosen(self, state: Tree) -> Bool[Array, ""]:
        """Whether the variance is the least so far."""
        return state.best.now
