"""The lazy twin of a run: the dynamics of the network linearised at its start, in closed form."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._result import RESULTS, Solution
from jaxdip._tree import tree_axpy
from jaxdip._types import Array, Float, RealScalar, Tree
from jaxdip.dynamics._closed_form import AbstractClosedForm
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.generators import AbstractGenerator
from jaxdip.losses import MSE
from jaxdip.operators import AbstractLinearOperator
from jaxdip.problem import Lift, Parameters, Problem, parametrize, reduce
from jaxdip.problem._curvature import dense_jacobian


class Linearised(eqx.Module):
    """x_lin(θ) = g(u, θ0) + J_g(θ − θ0), on which every linear dynamics has a closed form.

    With K = 2w A J Jᵀ Aᵀ = U diag(λ) Uᵀ, a dynamics multiplies the i-th mode of the residual by its
    own factor q(λ_i, t), in O(m) for any t once K is decomposed:

        r(t) = U q(λ, t) Uᵀ r(0),    θ(t) − θ0 = −2w Jᵀ Aᵀ U [(1 − q)/λ] Uᵀ r(0).

    Reference: for gradient descent Proposition 2 of Heckel & Soltanolkotabi (2020).

    Attributes:
        eigenvalues: λ_i of K, shape (m,), in descending order, in units of 1/time² (1/time for
            gradient flow and gradient descent).
        vectors: U, shape (m, m).
        residual0: r(0) = A g(u, θ0) − y, shape (m,).
    """

    eigenvalues: Float[Array, " m"]
    vectors: Float[Array, "m m"]
    residual0: Float[Array, " m"]
    lift: Lift
    _f: Parameters
    _theta0: Tree
    _weight: Array

    def factors(self, dynamics: AbstractFlow | AbstractDescent, at: RealScalar) -> Array:
        """q(λ_i, t) for each mode; `at` is a time for a flow and a number of steps for a method."""
        return dynamics.mode(self.eigenvalues, jnp.asarray(at))

    def fitted(self, dynamics: AbstractFlow | AbstractDescent, at: RealScalar) -> Array:
        """1 − q(λ_i, t) for each mode, to rounding where the dynamics knows it so."""
        if isinstance(dynamics, AbstractClosedForm):
            return dynamics.fitted(self.eigenvalues, jnp.asarray(at))
        return 1 - self.factors(dynamics, at)

    def residual(self, dynamics: AbstractFlow | AbstractDescent, at: RealScalar) -> Array:
        """r(t), of the data's shape."""
        modes = self.factors(dynamics, at) * self._project(self.residual0)
        return _product(self.vectors, modes).reshape(self.lift.problem.y.shape)

    def loss(self, dynamics: AbstractFlow | AbstractDescent, at: RealScalar) -> Array:
        """w‖r(t)‖²."""
        r = self.residual(dynamics, at)
        return self._weight * jnp.sum(r * r)

    def displacement(self, dynamics: AbstractFlow | AbstractDescent, at: RealScalar) -> Tree:
        """θ(t) − θ0, in the run's reduced (isometric) coordinates."""
        fitted = self.fitted(dynamics, at)
        floor = self.eigenvalues[0] * (self.eigenvalues.size * _eps(self.eigenvalues))
        live = self.eigenvalues > floor
        # A mode with λ = 0 has no component in the range of J, so it moves nothing.
        gain = jnp.where(live, fitted / jnp.where(live, self.eigenvalues, 1), 0)
        cotangent = _product(self.vectors, gain * self._project(self.residual0))
        _, pullback = jax.vjp(self._f.predict, self._theta0)
        (moved,) = pullback(cotangent.reshape(self.lift.problem.y.shape))
        return jax.tree.map(lambda d: -2 * self._weight.astype(d.dtype) * d, moved)

    def signal(self, dynamics: AbstractFlow | AbstractDescent, at: RealScalar) -> Array:
        """x_lin(t) = g(u, θ0) + J (θ(t) − θ0)."""

        def x(theta):
            return self.lift.signal(self._f.generator(theta))

        start, moved = jax.jvp(x, (self._theta0,), (self.displacement(dynamics, at),))
        return start + moved

    def generator(self, dynamics: AbstractFlow | AbstractDescent, at: RealScalar) -> Any:
        """The network with the linearised parameters θ(t), W and V lifted back."""
        theta = tree_axpy(1.0, self.displacement(dynamics, at), self._theta0)
        return self.lift(self._f.generator(theta))

    def degrees_of_freedom(self, dynamics: AbstractFlow | AbstractDescent, at: RealScalar) -> Array:
        """df(t) = Σ (1 − q(λ_i, t)), the trace of the map from data to predictions."""
        return jnp.sum(self.fitted(dynamics, at))

    def sure(
        self, dynamics: AbstractFlow | AbstractDescent, at: RealScalar, *, noise: RealScalar
    ) -> Array:
        """Stein's unbiased estimate of E‖A x_lin(t) − ȳ‖² under Gaussian noise.

        ‖r(t)‖² − m σ² + 2σ² df(t). Exact for the linearised network, whose prediction is affine in
        the data; the start θ0 must not depend on them.

        Args:
            dynamics: a flow or a method.
            at: the time, or number of steps.
            noise: σ, the standard deviation of each entry of the noise.
        """
        r = self.residual(dynamics, at)
        variance = jnp.asarray(noise, r.dtype) ** 2
        df = self.degrees_of_freedom(dynamics, at)
        return jnp.sum(r * r) - r.size * variance + 2 * variance * df

    def trajectory(self, dynamics: AbstractFlow | AbstractDescent, at: Array) -> Solution:
        """The linearised run as a `Solution`, so that `gap` measures how lazy the true run was.

        Args:
            dynamics: a flow, or a method with its step size given.
            at: times for a flow, numbers of steps for a method, shape (T,).

        Returns:
            A solution with the observables 'loss', 'signal' and 'prediction'.
        """
        at = jnp.asarray(at)

        def one(a):
            return {
                "loss": self.loss(dynamics, a),
                "signal": self.signal(dynamics, a),
                "prediction": self.residual(dynamics, a) + self.lift.problem.y,
            }

        ts = at if isinstance(dynamics, AbstractFlow) else jax.vmap(dynamics.time)(at)
        return Solution(
            ts=ts.astype(self.residual0.dtype),
            observed=jax.lax.map(one, at),
            generator=self.generator(dynamics, at[-1]),
            result=RESULTS.completed,
            stats={},
            notes=("linearised at the start, in closed form",),
        )

    def _project(self, r: Array) -> Array:
        return _product(self.vectors.T, r)


def linearised(problem: Problem, generator: AbstractGenerator) -> Linearised:
    """The network linearised at its start, with the kernel decomposed once.

    Args:
        problem: with a linear operator, real data, and the mean squared error w‖·‖².
        generator: the network at its start.

    Raises:
        TypeError: if the operator is not linear or the loss is not `MSE`.
        ValueError: if data are complex, or the Jacobian in reduced coordinates is too large to
            store.
    """
    if not isinstance(problem.operator, AbstractLinearOperator):
        raise TypeError(
            f"the linearised twin needs a linear operator, got {type(problem.operator).__name__}; "
            "linearise it first: operator.linearize(x)"
        )
    if not isinstance(problem.loss, MSE):
        raise TypeError(
            f"the linearised twin needs the squared error, got {type(problem.loss).__name__}: "
            "only its dynamics is linear in the residual"
        )
    smaller, start, lift = reduce(problem, generator)
    f, theta0 = parametrize(smaller, start)
    J = dense_jacobian(smaller, start)
    U, values, _ = jnp.linalg.svd(J, full_matrices=J.shape[0] > J.shape[1])
    values = jnp.pad(values, (0, J.shape[0] - values.size))
    weight = jnp.asarray(problem.loss.weight).astype(J.dtype)
    return Linearised(
        eigenvalues=2 * weight * values**2,
        vectors=U,
        residual0=(f.predict(theta0) - smaller.y).ravel(),
        lift=lift,
        _f=f,
        _theta0=theta0,
        _weight=weight,
    )


def _product(M: Array, v: Array) -> Array:
    return jnp.matmul(M, v, precision=jax.lax.Precision.HIGHEST)


def _eps(x: Array) -> float:
    return float(jnp.finfo(x.dtype).eps)
