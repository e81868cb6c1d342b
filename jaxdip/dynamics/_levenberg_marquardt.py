"""Gauss-Newton steps with damping, solved in the space of the data."""

from typing import ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._tree import tree_add
from jaxdip._types import Array, Float, Int, RealScalar, Tree
from jaxdip.dynamics._checks import count, given
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._scales import Scales
from jaxdip.losses import MSE
from jaxdip.problem import Parameters

#: With at most so many data and so many entries of the Jacobian, it is formed and factorised.
_DENSE_ROWS = 512
_DENSE_ENTRIES = 5 * 10**7


class Damping(NamedTuple):
    """λ, and the factor by which the next rejection raises it."""

    value: Float[Array, ""]
    growth: Float[Array, ""]


class LevenbergMarquardt(AbstractDescent):
    """Levenberg-Marquardt for w‖F(g(u, θ)) − y‖², at time t = (time step) × (number of steps).

        θ_{τ+1} = θ_τ − Jᵀ(J Jᵀ + λI)⁻¹ r,    r = F(g(u, θ_τ)) − y,    J = ∂r/∂θ,

    which equals the usual −(JᵀJ + λI)⁻¹Jᵀr, in m unknowns instead of p. A step that does not
    decrease f is not taken, and λ grows (by 2, 4, 8, … while it fails); after a step with gain
    ratio ρ (the decrease of f over that of its linear model) λ is multiplied by
    max(1/3, 1 − (2ρ − 1)³). Each step solves one system and looks at one trial. J Jᵀ is formed and
    factorised for m ≤ 512 (and mp ≤ 5·10⁷), otherwise the system is solved by conjugate gradients,
    each iteration of which costs a forward and a reverse derivative. Steps lie in the range of Jᵀ,
    so the exact reduction applies.

    Reference: K. Madsen, H. B. Nielsen & O. Tingleff, "Methods for non-linear least squares
    problems", 2004, algorithm 3.16.

    Attributes:
        damping: λ at the start as a multiple of ‖Jᵀr‖²/‖r‖², a mean eigenvalue of J Jᵀ.
        solver: 'auto', 'dense' or 'cg'.
        iterations: at most so many of conjugate gradients.
        tolerance: the relative residual at which they end.
        time_step: how much time one step stands for; 1 counts iterations.
    """

    linear: ClassVar[bool] = True
    damping: Float[Array, ""]
    solver: str = eqx.field(static=True)
    iterations: int = eqx.field(static=True)
    tolerance: Float[Array, ""]
    time_step: Float[Array, ""]

    def __init__(
        self,
        damping: RealScalar = 1e-3,
        *,
        solver: Literal["auto", "dense", "cg"] = "auto",
        iterations: int = 100,
        tolerance: RealScalar = 1e-6,
        time_step: RealScalar = 1.0,
    ):
        """Takes the numbers.

        Raises:
            TypeError: if one is of the wrong kind.
            ValueError: unless all are finite and positive, and the solver is a known one.
        """
        if solver not in ("auto", "dense", "cg"):
            raise ValueError(f"solver is 'auto', 'dense' or 'cg', got {solver!r}")
        self.damping = given("damping", damping, positive=True)
        self.solver = solver
        self.iterations = count("iterations", iterations, 1)
        self.tolerance = given("tolerance", tolerance, positive=True)
        self.time_step = given("time_step", time_step, positive=True)

    def resolve(self, scales: Scales) -> tuple["LevenbergMarquardt", tuple[str, ...]]:
        """Itself: nothing is left out."""
        return self, ()

    def numbers(self) -> dict[str, Array]:
        """The damping at the start, the tolerance and the time step."""
        return {
            "damping": self.damping,
            "tolerance": self.tolerance,
            "time_step": self.time_step,
        }

    def init(self, f: Parameters, theta: Tree) -> Tree:
        """λ at the start.

        Raises:
            TypeError: unless the loss is `MSE`.
        """
        if not isinstance(f.problem.loss, MSE):
            raise TypeError(
                f"Levenberg-Marquardt needs the squared error jaxdip.losses.MSE(), got "
                f"{type(f.problem.loss).__name__}; for another loss take LBFGS"
            )
        predicted, pullback = jax.vjp(f.predict, theta)
        r = predicted - f.problem.y
        (back,) = pullback(jnp.conj(r))
        below = _square(r)
        mean = sum(_square(leaf) for leaf in jax.tree.leaves(back)) / jnp.where(below > 0, below, 1)
        # At a perfect fit there is nothing to scale by, and nothing to do.
        value = jnp.where(mean > 0, mean, 1) * self.damping.astype(below.dtype)
        return Damping(value, jnp.asarray(2.0, below.dtype))

    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """One trial, taken if it decreases the loss."""
        y, damping = f.problem.y, state.value
        predicted, push = jax.linearize(f.predict, theta)
        pull = jax.linear_transpose(push, theta)
        r = predicted - y

        def back(z):
            # JAX transposes without conjugation; J* of a real θ takes the conjugate.
            return pull(jnp.conj(z))[0]

        z = self._solve(push, back, theta, r, damping)
        moved = jax.tree.map(jnp.negative, back(z))
        trial = tree_add(theta, moved)
        before, after = _square(r), _square(f.predict(trial) - y)
        gain = (before - after) / (before - _square(r + push(moved)))
        # A NaN compares false: a failed solve is a rejection.
        better = after < before
        factor = jnp.maximum(1 / 3, 1 - (2 * gain - 1) ** 3)
        # Far below the rounding of J Jᵀ a smaller λ changes nothing, and at 0 it could not grow.
        least = jnp.finfo(damping.dtype).tiny / jnp.finfo(damping.dtype).eps
        lower = jnp.maximum(damping * factor, least)
        new = Damping(
            jnp.where(better, lower, damping * state.growth),
            jnp.where(better, 2.0, 2 * state.growth),
        )
        return jax.tree.map(lambda old, now: jnp.where(better, now, old), theta, trial), new

    def _solve(self, push, back, theta: Tree, r: Array, damping: Array) -> Array:
        """(J J* + λI)⁻¹ r."""
        size = sum(leaf.size for leaf in jax.tree.leaves(theta))
        real = not jnp.issubdtype(r.dtype, jnp.complexfloating)
        small = real and r.size <= _DENSE_ROWS and r.size * size <= _DENSE_ENTRIES
        if self.solver == "dense" and not real:
            raise ValueError("the dense solver takes real data, got complex ones; use solver='cg'")
        if self.solver == "dense" or (self.solver == "auto" and small):
            rows = jax.vmap(back)(jnp.eye(r.size, dtype=r.dtype).reshape((-1, *r.shape)))
            J = jnp.concatenate([p.reshape((r.size, -1)) for p in jax.tree.leaves(rows)], axis=1)
            K = jnp.matmul(J, J.T, precision=jax.lax.Precision.HIGHEST)
            shifted = K + damping.astype(K.dtype) * jnp.eye(r.size, dtype=K.dtype)
            factor = jax.scipy.linalg.cho_factor(shifted)
            return jax.scipy.linalg.cho_solve(factor, r.ravel()).reshape(r.shape)

        def shifted_kernel(z):
            return push(back(z)) + damping.astype(r.dtype) * z

        # In real coordinates, because J J* is linear over the reals only.
        stacked = _stack(r)
        z, _ = jax.scipy.sparse.linalg.cg(
            lambda s: _stack(shifted_kernel(_unstack(s, r))),
            stacked,
            tol=self.tolerance.astype(stacked.dtype),  # pyright: ignore[reportArgumentType]
            maxiter=self.iterations,
        )
        return _unstack(z, r)

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """(time step) × (number of steps)."""
        return self.time_step * step.astype(self.time_step.dtype)

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """Refused: λ depends on the whole loss."""
        raise ValueError(
            "Levenberg-Marquardt has no closed form on a mode, because its damping depends on the "
            "whole loss; use GradientDescent or IGAHD"
        )

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """Refused: damping replaces the step size, the time step is a label."""
        raise ValueError(
            "Levenberg-Marquardt damps its steps, so none is too long; for a constant step use "
            "GradientDescent or IGAHD"
        )

    def with_time_step(self, h: RealScalar) -> "LevenbergMarquardt":
        """The same method, each step of which stands for time h."""
        return LevenbergMarquardt(
            self.damping,
            solver=self.solver,  # pyright: ignore[reportArgumentType]
            iterations=self.iterations,
            tolerance=self.tolerance,
            time_step=h,
        )


def _square(x: Array) -> Array:
    return jnp.sum(jnp.square(jnp.abs(x)))


def _stack(z: Array) -> Array:
    if not jnp.issubdtype(z.dtype, jnp.complexfloating):
        return z
    return jnp.stack([z.real, z.imag])


def _unstack(s: Array, like: Array) -> Array:
    if not jnp.issubdtype(like.dtype, jnp.complexfloating):
        return s
    return jax.lax.complex(s[0], s[1])
