"""The Jacobian of each flow's vector field, by the structure of the Hessian of f."""

import abc

import jax.numpy as jnp

from jaxdip._tree import tree_axpy, tree_scale, tree_sub
from jaxdip._types import Array, Float, Tree
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._gradient_flow import GradientFlow
from jaxdip.dynamics._hessian import AbstractShiftedHessian, AbstractStructuredHessian
from jaxdip.dynamics._isehd import ISEHD
from jaxdip.dynamics._rosenbrock import AbstractFactorization, AbstractJacobian


class AbstractFlowJacobian(AbstractJacobian):
    """The Jacobian of a flow, which also knows how fast the flow can be."""

    @abc.abstractmethod
    def rate(self, theta: Tree) -> Float[Array, ""]:
        """A bound on the modulus of its eigenvalues where the parameters are θ, in 1/time."""


class GradientFlowJacobian(AbstractFlowJacobian):
    """J = −∇²f."""

    hessian: AbstractStructuredHessian

    def factorize(self, state: Tree, h: Array) -> "ShiftedGradientFlow":
        """I + h ∇²f."""
        return ShiftedGradientFlow(self.hessian.shifted(state, h))

    def rate(self, theta: Tree) -> Float[Array, ""]:
        """‖∇²f‖."""
        return self.hessian.norm(theta)


class ShiftedGradientFlow(AbstractFactorization):
    """I + h ∇²f, factorised."""

    shifted: AbstractShiftedHessian

    @property
    def sound(self) -> Array:
        """Whether it is positive definite."""
        return self.shifted.sound

    def solve(self, b: Tree) -> Tree:
        """(I + h ∇²f)⁻¹ b."""
        return self.shifted.solve(b)


class ISEHDJacobian(AbstractFlowJacobian):
    """J = [[−β∇²f, I], [−(1 − αβ)∇²f, −αI]], for the state (θ, v) of `ISEHD`."""

    hessian: AbstractStructuredHessian
    alpha: Float[Array, ""]
    beta: Float[Array, ""]

    def factorize(self, state: Tree, h: Array) -> "ShiftedISEHD":
        """I − h J, for which eliminating v leaves I + c ∇²f with c = h(h + β)/(1 + αh)."""
        alpha, beta = self.alpha.astype(h.dtype), self.beta.astype(h.dtype)
        c = h * (h + beta) / (1 + alpha * h)
        return ShiftedISEHD(self.hessian.shifted(state[0], c), h, alpha, beta)

    def rate(self, theta: Tree) -> Float[Array, ""]:
        """The largest modulus of a root of λ² + (α + βσ)λ + σ = 0 for |σ| ≤ ‖∇²f‖.

        Negative curvature grows by ½(√(b² + 4|σ|) + |b|) at most, where b = α − β|σ|.
        """
        sigma = self.hessian.norm(theta)
        alpha, beta = self.alpha.astype(sigma.dtype), self.beta.astype(sigma.dtype)
        drag = alpha + beta * sigma
        overdamped = 0.5 * (drag + jnp.sqrt(jnp.maximum(drag * drag - 4 * sigma, 0.0)))
        b = jnp.maximum(alpha, beta * sigma - alpha)
        growing = 0.5 * (b + jnp.sqrt(b * b + 4 * sigma))
        return jnp.maximum(jnp.maximum(overdamped, jnp.sqrt(sigma)), growing)


class ShiftedISEHD(AbstractFactorization):
    """I − h J of ISEHD, factorised."""

    shifted: AbstractShiftedHessian
    h: Float[Array, ""]
    alpha: Float[Array, ""]
    beta: Float[Array, ""]

    @property
    def sound(self) -> Array:
        """Whether I + c ∇²f is positive definite."""
        return self.shifted.sound

    def solve(self, b: Tree) -> Tree:
        """(θ, v) with θ + hβ∇²f θ − h v = b_θ and (1 + αh) v + h(1 − αβ)∇²f θ = b_v."""
        first, second = b
        drag = 1 + self.alpha * self.h
        right = tree_axpy(self.h / drag, second, first)
        theta = self.shifted.solve(right)
        # c ∇²f θ is what the solve took away: no product with the Hessian is needed.
        taken = tree_sub(right, theta)
        # Under vmap a run that has arrived takes steps h = 0 while others go on: nothing is taken,
        # and a 0/0 would reach the derivatives of all.
        width = self.h + self.beta
        push = (self.alpha * self.beta - 1) / jnp.where(width > 0, width, 1)
        return theta, tree_axpy(push, taken, tree_scale(1 / drag, second))


def flow_jacobian(
    flow: AbstractFlow, hessian: AbstractStructuredHessian
) -> AbstractFlowJacobian | None:
    """The Jacobian of a flow of this package; None for any other."""
    if isinstance(flow, GradientFlow):
        return GradientFlowJacobian(hessian)
    if isinstance(flow, ISEHD):
        numbers = flow.numbers()
        return ISEHDJacobian(hessian, numbers["alpha"], numbers["beta"])
    return None
