"""The lazy twin of a run: the dynamics of the network linearised at its start, in closed form."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._result import RESULTS, Solution
from jaxdip._tree import tree_axpy
from jaxdip._types import Array, Float, RealScalar, Tree
from jaxdip.dynamics._checks import given
from jaxdip.dynamics._closed_form import AbstractClosedForm
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._linearised_calls import many_moments, one_moment, refuse_random
from jaxdip.dynamics._path_length import DescentWithPathLength, FlowWithPathLength
from jaxdip.dynamics._run import all_finite
from jaxdip.dynamics._scales import Scales
from jaxdip.generators import AbstractGenerator
from jaxdip.losses import MSE
from jaxdip.operators import AbstractLinearOperator
from jaxdip.problem import Lift, Parameters, Problem, parametrize, reduce
from jaxdip.problem._curvature import dense_jacobian

_Dynamics = AbstractFlow | AbstractDescent


class Linearised(eqx.Module):
    """x_lin(θ) = g(u, θ0) + J_g(θ − θ0), on which every linear dynamics has a closed form.

    With A J = U diag(σ) Vᵀ and λ = 2wσ², a dynamics multiplies the i-th mode of the residual by its
    own factor q(λ_i, t), in O(m) for any t once A J is decomposed:

        r(t) = U q(λ, t) Uᵀ r(0),    θ(t) − θ0 = −V [(1 − q)/σ] Uᵀ r(0).

    A σ_i that is zero to rounding, at most √(mp) ε σ_1, is exactly zero: its mode stays as it is in
    the residual, in θ and in x alike. So A x_lin(t) − y = r(t) up to κε, with κ = σ_1 over the
    least σ_i above zero.

    `at` is a time, at least 0 and perhaps infinite, for a flow, and a number of steps for a
    discrete method: one number, for several see `trajectory` or `jax.vmap`. Numbers that a dynamics
    leaves to the problem are filled in at every call, as the drivers do; for many calls
    `resolve` it once. Of `StochasticGradientDescent` all that is linear in the residual is the mean
    over its batches; the loss is not, so there is none.

    Reference: for gradient descent Proposition 2 of Heckel & Soltanolkotabi (2020).

    Attributes:
        singular_values: σ_i of A J, shape (m,), in descending order.
        vectors: U, shape (m, m).
        residual0: r(0) = A g(u, θ0) − y, shape (m,).
    """

    singular_values: Float[Array, " m"]
    vectors: Float[Array, "m m"]
    residual0: Float[Array, " m"]
    lift: Lift
    # Vᵀ, of shape (min(m, p), p). The detour θ(t) − θ0 = −2w (A J)ᵀU[(1 − q)/λ]Uᵀr(0) would save
    # it, but has errors of κ²ε.
    _directions: Float[Array, "q p"]
    _f: Parameters
    _theta0: Tree
    _weight: Array

    @property
    def eigenvalues(self) -> Float[Array, " m"]:
        """λ_i = 2wσ_i² of K = 2w A J Jᵀ Aᵀ, in units of 1/time² (1/time for gradient descent)."""
        return 2 * self._weight * self.singular_values**2

    def resolve(self, dynamics: _Dynamics) -> tuple[_Dynamics, tuple[str, ...]]:
        """The dynamics with its defaults filled in from the problem, and what was chosen."""
        if not isinstance(dynamics, _Dynamics):
            raise TypeError(
                f"the twin takes a flow or a discrete method, got {type(dynamics).__name__}; for "
                "example jaxdip.GradientFlow()"
            )
        if isinstance(dynamics, FlowWithPathLength | DescentWithPathLength):
            # The length plays no part here, and the method itself may know 1 − q to rounding.
            return self.resolve(dynamics.inner)
        return dynamics.resolve(Scales(self.lift.problem, self.lift.generator))

    def factors(self, dynamics: _Dynamics, at: RealScalar) -> Array:
        """q(λ_i, t) for each mode."""
        return self._factors(self.resolve(dynamics)[0], self._moment(dynamics, at))

    def fitted(self, dynamics: _Dynamics, at: RealScalar) -> Array:
        """1 − q(λ_i, t) for each mode, to rounding where the dynamics knows it so."""
        return self._fitted(self.resolve(dynamics)[0], self._moment(dynamics, at))

    def residual(self, dynamics: _Dynamics, at: RealScalar) -> Array:
        """r(t), of the data's shape."""
        return self._residual(self.resolve(dynamics)[0], self._moment(dynamics, at))

    def loss(self, dynamics: _Dynamics, at: RealScalar) -> Array:
        """w‖r(t)‖².

        Raises:
            ValueError: for stochastic gradient descent, as it is not that of the mean.
        """
        refuse_random(dynamics, "loss")
        return self._loss(self.residual(dynamics, at))

    def displacement(self, dynamics: _Dynamics, at: RealScalar) -> Tree:
        """θ(t) − θ0, in the run's reduced (isometric) coordinates."""
        return self._displacement(self.resolve(dynamics)[0], self._moment(dynamics, at))

    def signal(self, dynamics: _Dynamics, at: RealScalar) -> Array:
        """x_lin(t) = g(u, θ0) + J (θ(t) − θ0)."""
        return self._signal(self.displacement(dynamics, at))

    def generator(self, dynamics: _Dynamics, at: RealScalar) -> Any:
        """The network with the linearised parameters θ(t), W and V lifted back."""
        return self._lifted(self.displacement(dynamics, at))

    def degrees_of_freedom(self, dynamics: _Dynamics, at: RealScalar) -> Array:
        """df(t) = Σ (1 − q(λ_i, t)), the trace of the map from data to predictions."""
        return jnp.sum(self.fitted(dynamics, at))

    def sure(self, dynamics: _Dynamics, at: RealScalar, *, noise: RealScalar) -> Array:
        """Stein's unbiased estimate of E‖A x_lin(t) − ȳ‖² under Gaussian noise.

        ‖r(t)‖² − m σ² + 2σ² df(t). Exact for the linearised network, whose prediction is affine in
        the data; the start θ0 must not depend on them, nor a default filled in.

        Args:
            dynamics: a flow or a method.
            at: the time, or number of steps.
            noise: σ ≥ 0, the standard deviation of each entry of the noise.

        Raises:
            ValueError: unless σ is finite and at least 0; or for stochastic gradient descent.
        """
        refuse_random(dynamics, "risk")
        sigma = given("noise", noise, positive=False)
        dynamics, _ = self.resolve(dynamics)
        r = self.residual(dynamics, at)
        variance = sigma.astype(r.dtype) ** 2
        df = self.degrees_of_freedom(dynamics, at)
        return jnp.sum(r * r) - r.size * variance + 2 * variance * df

    def trajectory(self, dynamics: _Dynamics, at: Array) -> Solution:
        """The linearised run as a `Solution`, so that `gap` measures how lazy the true run was.

        Args:
            dynamics: a flow or a method.
            at: finite times for a flow, numbers of steps for a method, shape (T,).

        Returns:
            A solution with the observables 'loss', 'signal' and 'prediction'. Where a step is too
            long the numbers overflow: it then ends as diverged, its generator that of the last
            record before.

        Raises:
            TypeError, ValueError: if an argument is wrong; or for stochastic gradient descent, of
                which no run is that of the mean.
        """
        refuse_random(dynamics, "trajectory")
        at = many_moments(dynamics, at, self.residual0.dtype)
        dynamics, notes = self.resolve(dynamics)

        def one(a):
            r, moved = self._residual(dynamics, a), self._displacement(dynamics, a)
            observed = {
                "loss": self._loss(r),
                "signal": self._signal(moved),
                "prediction": r + self.lift.problem.y,
            }
            return observed, all_finite((observed, moved))

        observed, finite = jax.lax.map(one, at)
        reached = jnp.cumprod(finite.astype(jnp.int32)).sum()
        # Where not even the first record is finite, the start is what there was before.
        last = self._displacement(dynamics, at[jnp.maximum(reached - 1, 0)])
        last = jax.tree.map(lambda d: jnp.where(reached > 0, d, 0), last)
        ts = at if isinstance(dynamics, AbstractFlow) else jax.vmap(dynamics.time)(at)
        return Solution(
            ts=ts.astype(self.residual0.dtype),
            observed=observed,
            generator=self._lifted(last),
            result=RESULTS.where(jnp.all(finite), RESULTS.completed, RESULTS.diverged),
            stats=dynamics.numbers(),
            notes=(*notes, "linearised at the start, in closed form"),
        )

    def _moment(self, dynamics: _Dynamics, at: RealScalar) -> Array:
        return one_moment(dynamics, at, self.residual0.dtype)

    def _factors(self, dynamics: _Dynamics, at: Array) -> Array:
        return dynamics.mode(self.eigenvalues, at)

    def _fitted(self, dynamics: _Dynamics, at: Array) -> Array:
        if isinstance(dynamics, AbstractClosedForm):
            return dynamics.fitted(self.eigenvalues, at)
        return 1 - self._factors(dynamics, at)

    def _residual(self, dynamics: _Dynamics, at: Array) -> Array:
        modes = self._factors(dynamics, at) * _product(self.vectors.T, self.residual0)
        return _product(self.vectors, modes).reshape(self.lift.problem.y.shape)

    def _loss(self, residual: Array) -> Array:
        return self._weight * jnp.sum(residual * residual)

    def _displacement(self, dynamics: _Dynamics, at: Array) -> Tree:
        # A mode with λ = 0 has no component in the range of J, so it moves nothing.
        live = self.eigenvalues > 0
        gain = self._fitted(dynamics, at) / jnp.where(live, self.singular_values, 1)
        modes = jnp.where(live, gain * _product(self.vectors.T, self.residual0), 0)
        rows = self._directions.shape[0]
        return _unflatten(-_product(modes[:rows], self._directions), self._theta0)

    def _signal(self, displacement: Tree) -> Array:
        def x(theta):
            return self.lift.signal(self._f.generator(theta))

        start, moved = jax.jvp(x, (self._theta0,), (displacement,))
        return start + moved

    def _lifted(self, displacement: Tree) -> Any:
        return self.lift(self._f.generator(tree_axpy(1.0, displacement, self._theta0)))


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
    m, p = J.shape
    U, values, Vt = jnp.linalg.svd(J, full_matrices=m > p)
    # The rounding of J's entries perturbs σ by about ε√p σ_1, that of the decomposition by less.
    floor = values[0] * ((m * p) ** 0.5 * float(jnp.finfo(J.dtype).eps))
    values = jnp.pad(jnp.where(values > floor, values, 0), (0, m - values.size))
    return Linearised(
        singular_values=values,
        vectors=U,
        residual0=(f.predict(theta0) - smaller.y).ravel(),
        lift=lift,
        _directions=Vt,
        _f=f,
        _theta0=theta0,
        _weight=jnp.asarray(problem.loss.weight).astype(J.dtype),
    )


def _unflatten(flat: Array, like: Tree) -> Tree:
    """The tree whose leaves, raveled one after the other, are `flat`."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = jnp.split(flat, ends[:-1])
    shaped = [
        part.reshape(leaf.shape).astype(leaf.dtype)
        for part, leaf in zip(parts, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, shaped)


def _product(M: Array, v: Array) -> Array:
    return jnp.matmul(M, v, precision=jax.lax.Precision.HIGHEST)
