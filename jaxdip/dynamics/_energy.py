"""Lyapunov functions: what each dynamics dissipates."""

import jax.numpy as jnp

from jaxdip._tree import tree_dot
from jaxdip._types import Array, Float, RealScalar
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._gradient_descent import GradientDescent
from jaxdip.dynamics._gradient_flow import GradientFlow
from jaxdip.dynamics._igahd import IGAHD
from jaxdip.dynamics._isehd import ISEHD
from jaxdip.dynamics._modified_gradient_flow import ModifiedGradientFlow
from jaxdip.dynamics._moment import AbstractMotionObservable, Moment


class Energy(AbstractMotionObservable):
    """The function that a dynamics dissipates, along its own motion.

    - `GradientFlow`: f, with ḟ = −‖∇f‖². `GradientDescent`: f, which decreases if γ < 2/L.
    - `ModifiedGradientFlow`: f + (γ/4)‖∇f‖², whose gradient flow it is.
    - `ISEHD` with αβ < 1: E = (1 − αβ)f + ½‖v‖², v = θ̇ + β∇f, with
      Ė = −(1 − αβ)β‖∇f‖² − α‖v‖²; with αβ ≥ 1 it is NaN.
    - `IGAHD` with the gradient at θ_ℓ: V = f + ((a + bL)/(2s))‖θ_ℓ − θ_{ℓ−1}‖² with a = 1 − α√s ≥ 0
      and b = β√s. Where ∇f is L-Lipschitz,

          V_{ℓ+1} ≤ V_ℓ − δ‖θ_{ℓ+1} − θ_ℓ‖²,    δ = (1 − a − bL)/s − L/2,

      by the descent lemma and ab ≤ (a² + b²)/2, and δ > 0 iff β + √s/2 < α/L; f need not be convex.

    Reference: for E, Attouch, Chbani, Fadili & Riahi, arXiv 1907.10536, and arXiv 2506.02986; V is
    derived here in the same way.

    Attributes:
        lipschitz: L for IGAHD, such as `gradient_lipschitz(problem, generator).value`.
    """

    lipschitz: Float[Array, ""] | None

    def __init__(self, lipschitz: RealScalar | None = None):
        """Takes L, which only IGAHD needs.

        Raises:
            ValueError: unless L is finite and positive.
        """
        self.lipschitz = number("lipschitz", lipschitz, positive=True)

    def __call__(self, moment: Moment) -> Array:
        """The energy now.

        Raises:
            TypeError: if no such function is known for the dynamics.
            ValueError: if it needs L and has none.
        """
        f, dynamics = moment.f(moment.theta), moment.dynamics
        numbers = {name: x.astype(f.dtype) for name, x in dynamics.numbers().items()}
        if isinstance(dynamics, GradientFlow | GradientDescent):
            return f
        if isinstance(dynamics, ModifiedGradientFlow):
            g = moment.f.gradient(moment.theta)
            return f + 0.25 * numbers["step_size"] * tree_dot(g, g)
        if isinstance(dynamics, ISEHD):
            v = moment.state[1]
            rest = 1 - numbers["alpha"] * numbers["beta"]
            # With αβ ≥ 1 it bounds nothing: it need neither be positive nor hold f.
            return jnp.where(rest > 0, rest, jnp.nan) * f + 0.5 * tree_dot(v, v)
        if isinstance(dynamics, IGAHD) and dynamics.gradient_at == "theta":
            return f + self._inertia(numbers) * moment.stride**2
        raise TypeError(
            f"no Lyapunov function is known here for {type(dynamics).__name__}; it is for "
            "GradientFlow, ModifiedGradientFlow, ISEHD, GradientDescent and IGAHD with the "
            "gradient at theta"
        )

    def _inertia(self, numbers: dict[str, Array]) -> Array:
        """(a + bL)/(2s)."""
        if self.lipschitz is None:
            raise ValueError(
                "the energy of IGAHD needs the Lipschitz constant L of the gradient; "
                "Energy(gradient_lipschitz(problem, generator).value)"
            )
        s, L = numbers["s"], self.lipschitz.astype(numbers["s"].dtype)
        h = jnp.sqrt(s)
        return 0.5 * (1 - numbers["alpha"] * h + numbers["beta"] * h * L) / s
