"""The inertial gradient algorithm with Hessian damping."""

from typing import ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp

from jaxdip._tree import is_concrete, tree_add, tree_axpy, tree_scale
from jaxdip._types import Array, Float, Int, RealScalar, Tree
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._closed_form import AbstractClosedForm
from jaxdip.dynamics._constant_step import InverseL
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._inertia import known, resolve_alpha, resolve_beta, resolve_s, squared_step
from jaxdip.dynamics._modes import Factor, recurrence_mode
from jaxdip.dynamics._scales import Scales
from jaxdip.dynamics._stability import stable_at_eta, stable_at_theta
from jaxdip.problem import Parameters


class IGAHD(AbstractDescent, AbstractClosedForm):
    """IGAHD, the discrete counterpart of `ISEHD`, at time t = ℓ√s.

        η_ℓ = θ_ℓ + (1 − α√s)(θ_ℓ − θ_{ℓ−1}) − β√s(∇f(θ_ℓ) − ∇f(θ_{ℓ−1}))
        θ_{ℓ+1} = η_ℓ − s∇f(θ_ℓ),    θ_{−1} = θ_0.

    `gradient_at="theta"` is the form printed in the talk, one gradient a step;
    `gradient_at="eta"` takes the last gradient at η_ℓ, as in arXiv 1907.10536, two gradients a
    step. Both tend to ISEHD as s → 0. On a quadratic mode with eigenvalue λ the first is stable iff
    λ < 2(2 − α√s)/(s + 2β√s). Where ∇f is L-Lipschitz, it decreases

        V_ℓ = f(θ_ℓ) + (1 − α√s + β√s L)/(2s) ‖θ_ℓ − θ_{ℓ−1}‖²    if β + √s/2 < α/L.

    Defaults: s = 1/L; α = μ, the smallest non-zero singular value of A J_g(θ0), or 1/(4√s) if that
    is less; β = √s. The talk's β = 1/(2α) makes the largest stable √s proportional to μ/L: on a
    quadratic of condition number κ it then needs O(κ) steps, as gradient descent does, where
    β = √s and β = 0 need O(√κ).

    Attributes:
        s: squared step s > 0, in units of time², or `InverseL(c)` for c/L.
        alpha: viscous damping α > 0, in units of 1/time, with α√s ≤ 1.
        beta: Hessian damping β ≥ 0, in units of time.
    """

    linear: ClassVar[bool] = True
    s: Float[Array, ""] | InverseL | None
    alpha: Float[Array, ""] | None
    beta: Float[Array, ""] | None
    gradient_at: str = eqx.field(static=True)

    def __init__(
        self,
        s: RealScalar | InverseL | None = None,
        alpha: RealScalar | None = None,
        beta: RealScalar | None = None,
        *,
        gradient_at: Literal["theta", "eta"] = "theta",
    ):
        """Takes s, α and β; what is left out is filled in from the problem.

        Raises:
            ValueError: unless s > 0, α > 0 and β ≥ 0, all finite, and α√s ≤ 1.
        """
        self.s = squared_step(s)
        self.alpha = number("alpha", alpha, positive=True)
        self.beta = number("beta", beta, positive=False)
        if gradient_at not in ("theta", "eta"):
            raise ValueError(f"gradient_at is 'theta' or 'eta', got {gradient_at!r}")
        self.gradient_at = gradient_at
        _check_momentum(self.s, self.alpha)

    def resolve(self, scales: Scales) -> tuple["IGAHD", tuple[str, ...]]:
        """s = 1/L, α = μ and β = √s where left out."""
        s, note_s = resolve_s(self.s, scales)
        # With β = √s and α√s = ¼ modes are stable up to λ = 7/(6s), by the formula above: room for
        # an L that was estimated from below. At α√s = ½ the mode λ = 1/s would not decay at all.
        alpha, note_alpha = resolve_alpha(self.alpha, scales, s, at_most=0.25 / jnp.sqrt(s))
        beta, note_beta = resolve_beta(self.beta, s)
        filled = IGAHD(s, alpha, beta, gradient_at=self.gradient_at)  # pyright: ignore[reportArgumentType]
        return filled, note_s + note_alpha + note_beta

    def numbers(self) -> dict[str, Array]:
        """s, α and β."""
        s, alpha, beta = self._resolved()
        return {"s": s, "alpha": alpha, "beta": beta}

    def _resolved(self) -> tuple[Array, Array, Array]:
        return known(self.s, self.alpha, self.beta)

    # With a = 1 − α√s and b = β√s, all that the recurrence remembers of the past is the one tree
    # w_ℓ = a(θ_ℓ − θ_{ℓ−1}) + b∇f(θ_{ℓ−1}): η_ℓ = θ_ℓ + w_ℓ − b∇f(θ_ℓ). Carrying θ_{ℓ−1} and the
    # last gradient instead would move three times as much memory a step.

    def init(self, f: Parameters, theta: Tree) -> Tree:
        """w_0 = b∇f(θ_0), since θ_{−1} = θ_0."""
        return tree_scale(self._momentum()[1], f.gradient(theta))

    def _momentum(self) -> tuple[Array, Array]:
        s, alpha, beta = self._resolved()
        h = jnp.sqrt(s)
        return 1.0 - alpha * h, beta * h

    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """The new θ and the new w."""
        s, (a, b) = self._resolved()[0], self._momentum()
        g, w = f.gradient(theta), state
        if self.gradient_at == "theta":
            moved = tree_axpy(-(b + s), g, w)
            return tree_add(theta, moved), tree_axpy(a, w, tree_scale(b - a * (b + s), g))
        inertial = tree_axpy(-b, g, w)
        moved = tree_axpy(-s, f.gradient(tree_add(theta, inertial)), inertial)
        return tree_add(theta, moved), tree_axpy(a, moved, tree_scale(b, g))

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """ℓ√s."""
        s = self._resolved()[0]
        return jnp.sqrt(s) * step.astype(s.dtype)

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """The recurrence on one mode, by powers of its 2 × 2 matrix.

        With a = 1 − α√s, b = β√s and d_ℓ = q_ℓ − q_{ℓ−1}, q_{ℓ+1} = q_ℓ + (a − bλ) d_ℓ − sλ q_ℓ
        with the gradient at θ_ℓ, and (1 − sλ)[q_ℓ + (a − bλ) d_ℓ] at η_ℓ.
        """
        return self._factor(eigenvalue, steps).left

    def fitted(self, eigenvalue: Array, at: Int[Array, "..."]) -> Array:
        """1 − q_ℓ, by the same powers."""
        return self._factor(eigenvalue, at).gone

    def _factor(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Factor:
        s, alpha, beta = (x.astype(eigenvalue.dtype) for x in self._resolved())
        drop, leak = s * eigenvalue, jnp.sqrt(s) * (alpha + beta * eigenvalue)
        if self.gradient_at == "theta":
            return recurrence_mode(drop, 1 - leak, leak, steps)
        return recurrence_mode(drop, (1 - drop) * (1 - leak), drop + (1 - drop) * leak, steps)

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """The supremum of √s, whether or not α√s ≤ 1 there."""
        _, alpha, beta = self._resolved()
        limit = stable_at_theta if self.gradient_at == "theta" else stable_at_eta
        return limit(eigenvalue, alpha, beta)

    def with_time_step(self, h: RealScalar) -> "IGAHD":
        """IGAHD with √s = h and the same α and β."""
        return IGAHD(h * h, self.alpha, self.beta, gradient_at=self.gradient_at)  # pyright: ignore[reportArgumentType]


def _check_momentum(s: Array | InverseL | None, alpha: Array | None):
    if s is None or isinstance(s, InverseL) or alpha is None:
        return
    if not is_concrete(s, alpha) or s.ndim or alpha.ndim:
        return
    momentum = 1 - float(alpha) * float(s) ** 0.5
    # The defaults may put α√s at 1 up to rounding.
    if momentum < -1e-6:
        raise ValueError(
            f"alpha sqrt(s) is at most 1, got {1 - momentum:g} (alpha={float(alpha):g}, "
            f"s={float(s):g}); take a smaller s or alpha"
        )
