"""IGAHD with vanishing viscous damping."""

from typing import ClassVar

import jax.numpy as jnp

from jaxdip._tree import tree_add, tree_axpy, tree_scale, tree_sub
from jaxdip._types import Array, Float, Int, RealScalar, Tree
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._constant_step import InverseL
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._inertia import known, resolve_beta, resolve_s, squared_step
from jaxdip.dynamics._scales import Scales
from jaxdip.dynamics._stability import stable_at_eta
from jaxdip.problem import Parameters


class IGAHDVanishing(AbstractDescent):
    """IGAHD with damping α/k, two gradients a step, at time t = (k − 1)√s, k = 1, 2, …

        η_k = θ_k + (1 − α/k)(θ_k − θ_{k−1}) − β√s(∇f(θ_k) − ∇f(θ_{k−1})) − (β√s/k)∇f(θ_{k−1})
        θ_{k+1} = η_k − s∇f(η_k),    θ_0 = θ_1 = the start.

    For convex f with L-Lipschitz gradient, s ≤ 1/L, α ≥ 3 and 0 ≤ β < 2√s it has
    f(θ_k) − min f = O(k⁻²), and for β > 0 also Σ k²‖∇f(θ_k)‖² < ∞. With β = 0 and α = 3 it is
    Nesterov's method. It follows θ̈ + (α/τ)θ̇ + β d/dτ ∇f + (1 + β/τ)∇f = 0 at τ = t + √s; `ISEHD`,
    whose damping is constant, is not its limit.

    The energy t_k²(f(θ_k) − min f) + ‖v_k‖²/(2s), with t_k = (k − 1)/(α − 1) and
    v_k = θ_{k−1} − θ* + t_k(θ_k − θ_{k−1} + β√s∇f(θ_{k−1})), decreases only from some k on.

    Defaults: s = 1/L, α = 3, β = √s.

    Reference: Theorem 6 of Attouch, Chbani, Fadili & Riahi, arXiv 1907.10536.

    Attributes:
        s: squared step s > 0, in units of time², or `InverseL(c)` for c/L.
        alpha: viscous damping α > 0, without unit.
        beta: Hessian damping β ≥ 0, in units of time.
    """

    linear: ClassVar[bool] = True
    s: Float[Array, ""] | InverseL | None
    alpha: Float[Array, ""] | None
    beta: Float[Array, ""] | None

    def __init__(
        self,
        s: RealScalar | InverseL | None = None,
        alpha: RealScalar = 3.0,
        beta: RealScalar | None = None,
    ):
        """Takes s, α and β; s and β are filled in from the problem where left out.

        Raises:
            ValueError: unless s > 0, α > 0 and β ≥ 0, all finite.
        """
        self.s = squared_step(s)
        self.alpha = number("alpha", alpha, positive=True)
        self.beta = number("beta", beta, positive=False)

    def resolve(self, scales: Scales) -> tuple["IGAHDVanishing", tuple[str, ...]]:
        """s = 1/L and β = √s where left out."""
        s, note_s = resolve_s(self.s, scales)
        beta, note_beta = resolve_beta(self.beta, s)
        return IGAHDVanishing(s, self.alpha, beta), note_s + note_beta  # pyright: ignore[reportArgumentType]

    def numbers(self) -> dict[str, Array]:
        """s, α and β."""
        s, alpha, beta = known(self.s, self.alpha, self.beta)
        return {"s": s, "alpha": alpha, "beta": beta}

    def init(self, f: Parameters, theta: Tree) -> Tree:
        """k = 1, θ_1 − θ_0 = 0 and ∇f(θ_0)."""
        return jnp.asarray(1, jnp.int32), tree_scale(0.0, theta), f.gradient(theta)

    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """θ_{k+1}, and k + 1, θ_{k+1} − θ_k and ∇f(θ_k)."""
        k, d, before = state
        s, alpha, beta = known(self.s, self.alpha, self.beta)
        b, count = beta * jnp.sqrt(s), k.astype(s.dtype)
        g = f.gradient(theta)
        inertial = tree_axpy(1 - alpha / count, d, tree_scale(-b, tree_sub(g, before)))
        inertial = tree_axpy(-b / count, before, inertial)
        moved = tree_axpy(-s, f.gradient(tree_add(theta, inertial)), inertial)
        return tree_add(theta, moved), (k + 1, moved, g)

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """√s for each step."""
        s = known(self.s, self.alpha, self.beta)[0]
        return jnp.sqrt(s) * step.astype(s.dtype)

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """Refused: with coefficients that change the factor is no matrix power."""
        raise ValueError(
            "IGAHDVanishing has no closed form on a mode, because its damping alpha/k changes; "
            "use IGAHD, IGAHDForward or IGAHDStronglyConvex"
        )

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """The supremum of √s for the limit k → ∞, where the viscous damping is gone."""
        s, _, beta = known(self.s, self.alpha, self.beta)
        return stable_at_eta(eigenvalue, jnp.zeros_like(s), beta)

    def with_time_step(self, h: RealScalar) -> "IGAHDVanishing":
        """The same α and β with √s = h."""
        return IGAHDVanishing(h * h, self.alpha, self.beta)  # pyright: ignore[reportArgumentType]
