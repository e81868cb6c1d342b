"""The stochastic differential equation that stochastic gradient descent follows."""

from collections.abc import Callable
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._tree import tree_axpy, tree_scale
from jaxdip._types import Array, Float, RealScalar, Tree
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._row_sampling import RowSampling, weighted_pullback
from jaxdip.problem import Parameters


class StochasticGradientFlow(eqx.Module):
    """dΘ = −∇f(Θ) dt + √γ Σ(Θ)^½ dB, in the sense of Itô, with Σ the covariance of the batches.

    Stochastic gradient descent with step γ has E h(θ_τ) = E h(Θ(γτ)) + O(γ) for smooth h, weak
    order 1. With `order=2` the drift is −∇(f + (γ/4)‖∇f‖²) and the weak order is 2. For weights w
    of covariance c (I − 11ᵀ/m) over the m entries of the data (see `RowSampling`), Σ = N Nᵀ with

        N = √c Jᵀ diag(∇L_y) (I − 11ᵀ/m),

    so an m-dimensional Brownian motion B drives it, and no p × p matrix is formed. For complex data
    B is real, one coordinate an entry.

    Not an `AbstractFlow`: `integrate_stochastic` is its driver.

    Reference: Q. Li, C. Tai & W. E, "Stochastic modified equations and dynamics of stochastic
    gradient algorithms I", arXiv 1811.01558, Theorem 9 (and arXiv 1511.06251).

    Attributes:
        step_size: γ > 0, the step of the stochastic gradient descent, in units of time.
        sampling: how its batches are drawn.
        order: the weak order with which it is followed, 1 or 2.
    """

    step_size: Float[Array, ""]
    sampling: RowSampling
    order: int = eqx.field(static=True)

    def __init__(
        self, step_size: RealScalar, batch: int, *, order: Literal[1, 2] = 1, replace: bool = False
    ):
        """Takes γ and b.

        Raises:
            TypeError: if γ or b is no number.
            ValueError: unless γ is finite and positive, b at least 1 and the order 1 or 2.
        """
        gamma = number("step_size", step_size, positive=True)
        if gamma is None:
            raise TypeError("step_size is that of the descent to follow, got None")
        if order not in (1, 2):
            raise ValueError(f"order is the weak order, 1 or 2, got {order!r}")
        self.step_size, self.sampling, self.order = gamma, RowSampling(batch, replace), order

    def numbers(self) -> dict[str, Array]:
        """γ and b."""
        batch = jnp.asarray(self.sampling.batch, jnp.int32)
        return {"step_size": self.step_size, "batch": batch}

    def drift(self, f: Parameters, theta: Tree) -> Tree:
        """−∇f, for order 2 less (γ/2)∇²f ∇f."""
        if self.order == 1:
            return tree_scale(-1.0, f.gradient(theta))
        g, hessian = jax.linearize(f.gradient, theta)
        return tree_scale(-1.0, tree_axpy(0.5 * self.step_size, hessian(g), g))

    def diffusion(self, f: Parameters, theta: Tree) -> Callable[[Array], Tree]:
        """The linear map z ↦ √γ N z, from arrays of the data's shape to θ."""
        pull = weighted_pullback(f, theta)
        c = self.sampling.variance(f.problem.y.size)

        def apply(z: Array) -> Tree:
            scale = c**0.5 * jnp.sqrt(self.step_size).astype(z.dtype)
            return pull(scale * (z - jnp.mean(z)))

        return apply
