"""The forward-damped inertial method with a step size that adapts."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from jaxdip._tree import tree_axpy, tree_dot, tree_scale, tree_sub
from jaxdip._types import Array, Float, Int, RealScalar, Tree
from jaxdip.dynamics._backtracking import check_numbers, frozen, reductions, slack
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._clock import start_clock
from jaxdip.dynamics._constant_step import InverseL
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._igahd_forward import IGAHDForward
from jaxdip.dynamics._inertia import known, resolve_alpha, resolve_s, squared_step
from jaxdip.dynamics._scales import Scales
from jaxdip.dynamics._stability import stable_forward
from jaxdip.problem import Parameters


class IGAHDBacktracking(AbstractDescent):
    """`IGAHDForward` with √s halved until its energy decreases, at time t = Σ √s_ℓ.

    In the velocity v_ℓ = (θ_ℓ − θ_{ℓ−1})/h_{ℓ−1}, a step of length h is

        v_{ℓ+1} = [v_ℓ − h(β(∇f(θ_ℓ) − ∇f(θ_{ℓ−1}))/h_{ℓ−1} + ∇f(θ_ℓ))]/(1 + αh)
        θ_{ℓ+1} = θ_ℓ + h v_{ℓ+1},    v_0 = 0,

    which is `IGAHDForward` where h stays, and keeps to `ISEHD` where it changes. The trial h is
    `growth` times the last h, and is multiplied by `shrink` until

        E_{ℓ+1} ≤ E_ℓ − c α h ‖v_{ℓ+1}‖²,    E = f(θ) + ½‖v‖².

    E needs no Lipschitz constant, so ∇f need only be locally Lipschitz. Where it is L-Lipschitz,
    every h ≤ 2[(1 − c)α − βL]/[L(1 + β²L)] passes: the search ends if β < (1 − c)α/L, and Σ h‖v‖²
    is then finite. Where f is convex along the run it also ends for larger β. The inequality is
    asked for up to the rounding of f; after `most` reductions the step is taken as it is.

    Defaults: s = 1/L for the first trial, α = μ, and β = αs/2, which meets that condition.

    Reference: arXiv 2407.12518 (Maulen-Soto, Fadili & Ochs) backtracks in ISEHD-Disc, arXiv
    2506.02986 adapts the step for networks; their rules may differ from this one, which follows
    from the descent lemma for f along the step and ⟨v_ℓ, v_{ℓ+1}⟩ by polarisation.

    Attributes:
        s: square of the first trial, in units of time², or `InverseL(c)` for c/L.
        alpha: viscous damping α > 0, in units of 1/time.
        beta: Hessian damping β ≥ 0, in units of time.
        decrease: c, between 0 and 1.
        shrink: between 0 and 1.
        growth: at least 1; with 1 the steps never grow again.
        most: how many reductions a step may make.
    """

    linear: ClassVar[bool] = True
    s: Float[Array, ""] | InverseL | None
    alpha: Float[Array, ""] | None
    beta: Float[Array, ""] | None
    decrease: Float[Array, ""]
    shrink: Float[Array, ""]
    growth: Float[Array, ""]
    most: int = eqx.field(static=True)

    def __init__(
        self,
        s: RealScalar | InverseL | None = None,
        alpha: RealScalar | None = None,
        beta: RealScalar | None = None,
        *,
        decrease: RealScalar = 0.1,
        shrink: RealScalar = 0.5,
        growth: RealScalar = 1.0,
        most: int = 60,
    ):
        """Takes the numbers; s, α and β are filled in from the problem where left out.

        Raises:
            ValueError: if one is out of range.
        """
        self.s = squared_step(s)
        self.alpha = number("alpha", alpha, positive=True)
        self.beta = number("beta", beta, positive=False)
        checked = check_numbers(decrease, shrink, growth, most)
        self.decrease, self.shrink, self.growth, self.most = checked

    def resolve(self, scales: Scales) -> tuple["IGAHDBacktracking", tuple[str, ...]]:
        """s = 1/L, α = μ and β = αs/2 where left out."""
        s, notes = resolve_s(self.s, scales)
        alpha, note_alpha = resolve_alpha(self.alpha, scales, s)
        beta, notes = self.beta, notes + note_alpha
        if beta is None:
            beta = alpha * s / 2
            notes += ("beta: alpha s/2",)
        filled = IGAHDBacktracking(
            s,
            alpha,
            beta,
            decrease=self.decrease,
            shrink=self.shrink,
            growth=self.growth,
            most=self.most,
        )
        return filled, notes

    def numbers(self) -> dict[str, Array]:
        """s, α, β, c, the shrinking factor and the growth."""
        s, alpha, beta = known(self.s, self.alpha, self.beta)
        return {
            "s": s,
            "alpha": alpha,
            "beta": beta,
            "decrease": self.decrease,
            "shrink": self.shrink,
            "growth": self.growth,
        }

    def init(self, f: Parameters, theta: Tree) -> Tree:
        """v_0 = 0, ∇f(θ_{−1}) = ∇f(θ_0), h_{−1}, the next trial and t."""
        h = jnp.sqrt(known(self.s, self.alpha, self.beta)[0])
        return tree_scale(0.0, theta), f.gradient(theta), h, h, start_clock(h)

    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """θ_{ℓ+1}, and what to remember of it."""
        v, before, last, trial, clock = state
        g = f.gradient(theta)
        _, alpha, beta = known(self.s, self.alpha, self.beta)
        push = tree_axpy(beta / last, tree_sub(g, before), g)

        def moved(theta, v, push, h, alpha):
            faster = tree_scale(1 / (1 + alpha * h), tree_axpy(-h, push, v))
            return tree_axpy(h, faster, theta), faster

        objective, at, speed, force, first, rho, drag, c = frozen(
            (f, theta, v, push, trial, self.shrink, alpha, self.decrease)
        )
        energy = objective(at) + 0.5 * tree_dot(speed, speed)
        dtype = energy.dtype

        def enough(i):
            h = first * rho ** i.astype(rho.dtype)
            there, faster = moved(at, speed, force, h, drag)
            square = tree_dot(faster, faster)
            # ½‖v‖² + c α h ‖v‖² on one side, so that both sides are of the size of E.
            kinetic = (0.5 + c * drag * h).astype(dtype) * square
            return objective(there) + kinetic <= energy + slack(energy)

        count = reductions(enough, self.most)
        h = trial * self.shrink ** count.astype(self.shrink.dtype)
        theta, v = moved(theta, v, push, h, alpha)
        grown = jnp.where(tree_dot(v, v) > 0, h * self.growth, h)
        return theta, (v, g, h, grown, clock.after(h))

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """Σ h, as accumulated."""
        if state is None:
            raise ValueError(
                "the time of a backtracking method is known only from a run: read Solution.ts"
            )
        return state[-1].t

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """Refused: √s depends on f."""
        raise ValueError(
            "backtracking has no closed form on a mode, because its steps depend on the whole "
            "loss; use IGAHDForward"
        )

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """That of the forward-damped method with constant steps."""
        _, alpha, beta = known(self.s, self.alpha, self.beta)
        return stable_forward(eigenvalue, alpha, beta)

    def with_time_step(self, h: RealScalar) -> IGAHDForward:
        """The forward-damped method with the same α and β and √s = h throughout."""
        return IGAHDForward(h * h, self.alpha, self.beta)
