"""Random batches of the data's entries, with the mean and the covariance of their weights."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip import losses
from jaxdip._types import Array, Key
from jaxdip.dynamics._checks import count
from jaxdip.problem import Parameters, Problem


class RowSampling(eqx.Module):
    """b of the m entries of the data, each weighed m/b: the weights w have mean 1.

    Their covariance is c (I − 11ᵀ/m), with c = m(m − b)/(b(m − 1)) without replacement and
    c = m/b with replacement; I − 11ᵀ/m is a projection, so its square root is itself.

    Attributes:
        batch: b.
        replace: draw with replacement, counting an entry as often as it is drawn.
    """

    batch: int = eqx.field(static=True)
    replace: bool = eqx.field(static=True)

    def __init__(self, batch: int, replace: bool = False):
        """Takes b.

        Raises:
            TypeError, ValueError: unless b is a whole number, at least 1, and `replace` a bool.
        """
        if not isinstance(replace, bool):
            raise TypeError(f"replace is True or False, got {replace!r}")
        self.batch, self.replace = count("batch", batch, 1), replace

    def check(self, problem: Problem) -> None:
        """Refuses losses that are no sums over entries, and batches that are too large.

        Raises:
            ValueError: in these two cases.
        """
        if not losses.separable(problem.loss):
            raise ValueError(
                f"a batch needs a loss that is a sum over the data's entries, which "
                f"{type(problem.loss).__name__} is not known to be; take MSE, WeightedMSE, Huber "
                "or another, or register your own by jaxdip.losses.separable"
            )
        if not self.replace and self.batch > problem.y.size:
            raise ValueError(
                f"batch is at most the {problem.y.size} entries of the data, got {self.batch}; "
                "take a smaller one, or replace=True"
            )

    def weights(self, key: Key, shape: tuple[int, ...], dtype) -> Array:
        """m/b times how often each entry is drawn."""
        m = math.prod(shape)
        drawn = jax.random.choice(key, m, (self.batch,), replace=self.replace)
        counts = jnp.zeros(m, dtype).at[drawn].add(1)
        return (counts * (m / self.batch)).reshape(shape)

    def variance(self, m: int) -> float:
        """c, with which c (I − 11ᵀ/m) is the covariance of the weights."""
        b = self.batch
        if self.replace:
            return m / b
        return 0.0 if b == m else m * (m - b) / (b * (m - 1))


def weighted_pullback(f: Parameters, theta):
    """The function w ↦ Jᵀ(w ∘ ∇L_y), with J the Jacobian of the prediction at θ.

    At w = 1 it is ∇f(θ); a linear function of w, so it also makes noise of the right covariance.
    """
    predicted, pullback = jax.vjp(f.predict, theta)
    slope = jax.grad(f.problem.loss)(predicted, f.problem.y)

    def apply(w: Array):
        return pullback(w.astype(slope.dtype) * slope)[0]

    return apply
