"""What a reconstruction minimises: the data's loss and penalties, with the gradient clipped."""

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._tree import tree_dot, tree_norm, tree_scale
from jaxdip._types import Array, Float, Tree
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Parameters, Problem
from jaxdip.reconstruction._penalty import TotalVariation


class Objective(eqx.Module):
    """f(θ) = L_y(F(g(u, θ))) + TV(g(u, θ)) + ½ω‖θ‖², as a dynamics sees it.

    It has the face of `Parameters`.

    Attributes:
        data: the data's loss as a function of θ.
        tv: the total variation, or None.
        weight_decay: ω, or None.
        clip: the largest norm of a gradient, or None.
    """

    data: Parameters
    tv: TotalVariation | None
    weight_decay: Float[Array, ""] | None
    clip: Float[Array, ""] | None

    @property
    def problem(self) -> Problem:
        """The problem whose data are fitted."""
        return self.data.problem

    def generator(self, theta: Tree) -> AbstractGenerator:
        """The generator with parameters θ."""
        return self.data.generator(theta)

    def signal(self, theta: Tree) -> Array:
        """x = g(u, θ)."""
        return self.problem.signal(self.generator(theta))

    def predict(self, theta: Tree) -> Array:
        """F(g(u, θ)), of the entries that are fitted."""
        return self.data.predict(theta)

    def __call__(self, theta: Tree) -> Array:
        """f(θ)."""
        x = self.signal(theta)
        value = self.problem.loss(self.problem.operator(x), self.problem.y)
        if self.tv is not None:
            value = value + self.tv(x).astype(value.dtype)
        if self.weight_decay is not None:
            square = tree_dot(theta, theta).astype(value.dtype)
            value = value + 0.5 * self.weight_decay.astype(value.dtype) * square
        return value

    def gradient(self, theta: Tree) -> Tree:
        """∇f(θ), scaled to the norm `clip` where it is longer."""
        g = jax.grad(self.__call__)(theta)
        if self.clip is None:
            return g
        norm = tree_norm(g)
        limit = self.clip.astype(norm.dtype)
        return tree_scale(jnp.where(norm > limit, limit / norm, 1), g)

    def at(self, *, u: Array | None = None, y: Array | None = None) -> "Objective":
        """The same with another latent or other data."""
        new = self
        if u is not None:
            new = eqx.tree_at(lambda f: f.data.problem.u, new, u)
        if y is not None:
            new = eqx.tree_at(lambda f: f.data.problem.y, new, y)
        return new
