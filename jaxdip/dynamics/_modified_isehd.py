"""The flow that IGAHD follows to second order."""

from collections.abc import Callable
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._tree import tree_axpy, tree_scale
from jaxdip._types import Array, Float, RealScalar, Tree
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._closed_form import AbstractClosedForm
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._modes import damped_mode, damped_slope
from jaxdip.dynamics._scales import Scales


class ModifiedISEHD(AbstractFlow, AbstractClosedForm):
    """The inertial flow that IGAHD with step h = √s follows to O(h²).

    IGAHD with the gradient at θ_ℓ is, with g_ℓ = ∇f(θ_ℓ),

        (θ_{ℓ+1} − 2θ_ℓ + θ_{ℓ−1})/h² + α(θ_ℓ − θ_{ℓ−1})/h + β(g_ℓ − g_{ℓ−1})/h + g_ℓ = 0.

    Ask of a curve Θ with Θ(ℓh) = θ_ℓ that it satisfy this: the second difference is Θ̈ + O(h²), but
    both dampings look backward, d/dt at t − h/2 to O(h²). So, with g = ∇f(Θ),

        Θ̈ + αΘ̇ + β ġ + g − (h/2) d/dt(αΘ̇ + β ġ) = O(h²).

    With v = Θ̇ + βg − (h/2)(αΘ̇ + βġ) this is v̇ = −g − αΘ̇, and, since Θ̇ = v − βg to leading order,

        w = v − βg,    Θ̇ = w + (h/2)(αw + β∇²f w),    v̇ = −g − αΘ̇:

    one Hessian–vector product a velocity. The start θ_{−1} = θ_0 means Θ(−h) = Θ(0), hence
    Θ̇(0) = (h/2)Θ̈(0) = −(h/2)∇f(θ0) to O(h²): the method starts with a velocity that ISEHD lacks.
    With the gradient at η_ℓ, ∇f(η_ℓ) = g_ℓ + hġ + O(h²), so the same holds with β + h instead of β.

    On a mode with eigenvalue λ the two roots of z² − (1 + a − bλ − sλ)z + (a − bλ) = 0, where
    a = 1 − αh and b = βh, are e^{ρh} with ρ the roots of this flow up to O(h²). Both roots belong
    to the flow; there is no spurious one. But the fast one, z ≈ 1 − (α + βλ)h, lies near 1 only
    if (α + βλ)h ≪ 1: where (α + βλ)h > 1 it is negative, the method flips sign at every step in
    an initial layer, and no flow describes that.

    Reference: derived here, as for one-step methods in E. Hairer, C. Lubich & G. Wanner,
    "Geometric Numerical Integration", Section IX.1; IGAHD from arXiv 1907.10536.

    Attributes:
        s: squared step s > 0 of IGAHD, in units of time².
        alpha: viscous damping α > 0, in units of 1/time.
        beta: Hessian damping β ≥ 0, in units of time.
    """

    s: Float[Array, ""]
    alpha: Float[Array, ""]
    beta: Float[Array, ""]
    gradient_at: str = eqx.field(static=True)

    def __init__(
        self,
        s: RealScalar,
        alpha: RealScalar,
        beta: RealScalar,
        *,
        gradient_at: Literal["theta", "eta"] = "theta",
    ):
        """Takes the numbers of the IGAHD to follow.

        Raises:
            ValueError: unless s > 0, α > 0 and β ≥ 0, all finite.
        """
        checked = (
            number("s", s, positive=True),
            number("alpha", alpha, positive=True),
            number("beta", beta, positive=False),
        )
        if any(value is None for value in checked):
            raise ValueError("s, alpha and beta are those of the IGAHD to follow, got None")
        if gradient_at not in ("theta", "eta"):
            raise ValueError(f"gradient_at is 'theta' or 'eta', got {gradient_at!r}")
        self.s, self.alpha, self.beta = checked  # pyright: ignore[reportAttributeAccessIssue]
        self.gradient_at = gradient_at

    def resolve(self, scales: Scales) -> tuple["ModifiedISEHD", tuple[str, ...]]:
        """Itself: nothing is left out."""
        return self, ()

    def numbers(self) -> dict[str, Array]:
        """s, α and β."""
        return {"s": self.s, "alpha": self.alpha, "beta": self.beta}

    def _damping(self) -> tuple[Array, Array, Array]:
        """h/2, α, and the β of the equation."""
        h = jnp.sqrt(self.s)
        return 0.5 * h, self.alpha, self.beta + h if self.gradient_at == "eta" else self.beta

    def init(self, grad: Callable[[Tree], Tree], theta: Tree) -> Tree:
        """(θ0, (β − h/2)∇f(θ0)), so that w(0) = −(h/2)∇f(θ0)."""
        half, _, beta = self._damping()
        return theta, tree_scale(beta - half, grad(theta))

    def velocity(self, grad: Callable[[Tree], Tree], t: Array, state: Tree) -> Tree:
        """(Θ̇, v̇)."""
        theta, v = state
        half, alpha, beta = self._damping()
        g, hessian = jax.linearize(grad, theta)
        w = tree_axpy(-beta, g, v)
        moved = tree_axpy(half * alpha, w, tree_axpy(half * beta, hessian(w), w))
        return moved, tree_scale(-1.0, tree_axpy(alpha, moved, g))

    def mode(self, eigenvalue: Array, t: Array) -> Array:
        """The solution of q̈ + cκ q̇ + cλ q = 0 with q(0) = 1, q̇(0) = −cλh/2.

        Here κ = α + βλ and c = 1 + κh/2. With d the solution that starts at rest, q = d + (h/2)ḋ:
        half a step ahead.
        """
        half, at_rest = self._at_rest(eigenvalue, t)
        return damped_mode(*at_rest).left + half * damped_slope(*at_rest)

    def fitted(self, eigenvalue: Array, at: Array) -> Array:
        """(1 − d) − (h/2)ḋ."""
        half, at_rest = self._at_rest(eigenvalue, at)
        return damped_mode(*at_rest).gone - half * damped_slope(*at_rest)

    def _at_rest(self, eigenvalue: Array, t: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        """h/2, and the damping, stiffness and time of d."""
        half, alpha, beta = (x.astype(eigenvalue.dtype) for x in self._damping())
        kappa = alpha + beta * eigenvalue
        c = 1 + half * kappa
        return half, (c * kappa, c * eigenvalue, jnp.asarray(t, eigenvalue.dtype))

    def parameters(self, state: Tree) -> Tree:
        """θ, the first part of the state."""
        return state[0]
