"""Convergence of the inertial method whose step size adapts."""

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._numbers import fraction, given
from jaxdip._types import RealScalar
from jaxdip.analysis import AbstractJacobianLipschitz
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem, gradient_lipschitz
from jaxdip.theory._certificate import Certificate, Condition, Kind, not_applicable
from jaxdip.theory._ground import Ground, Inapplicable, squared_error_ground
from jaxdip.theory._two_step import Decay

_THEOREM = "convergence of IGAHDBacktracking"
_SOURCE = "derived here from the rule itself and the PL inequality; cf. arXiv 2506.02986"


def adaptive_inertia(
    problem: Problem,
    generator: AbstractGenerator,
    s: RealScalar,
    alpha: RealScalar,
    beta: RealScalar,
    kind: Kind | Ground = "network",
    *,
    decrease: RealScalar = 0.1,
    shrink: RealScalar = 0.5,
    growth: RealScalar = 1.0,
    L: Quantity | None = None,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> Certificate:
    """Whether `IGAHDBacktracking` is certain to fit the data, and how fast.

    Its rule makes E_ℓ = f(θ_ℓ) + ½‖v_ℓ‖² fall by cαh_ℓ‖v_{ℓ+1}‖² a step, with steps h_ℓ that, for
    growth 1, never grow, and, if β < (1 − c)α/L, never fall below

        h* = min(√s, 2ρ[(1 − c)α − βL]/[L(1 + β²L)]).

    The step itself gives ‖∇f(θ_ℓ)‖ ≤ (1/h_ℓ + βL)‖v_ℓ‖ + (1/h_ℓ + α)‖v_{ℓ+1}‖. Where
    ‖∇f‖² ≥ 2μ_s f, E_{ℓ+2} ≤ q²E_ℓ with

        q² = G/(G + cαh*),    G = ½ + [(1/h* + βL)² + (1/h* + α)²]/(2μ_s),

    and, as in `displacement_decay`, the path is at most R' = 2(P + Q)√L0/(cα) with
    P = (1/h* + βL)/√(2μ_s) + 1/√2 and Q = (1/h* + α)/√(2μ_s). If R' < R, then
    f(θ_ℓ) ≤ L0 q^{ℓ−1}, and ℓ is at least t/√s at time t = Σh_ℓ.

    Args:
        problem: with `losses.MSE`.
        generator: the network at its start.
        s: the square of the first trial, positive.
        alpha: α > 0.
        beta: β ≥ 0.
        kind: see `Ground`; or one that is known already.
        decrease: c, between 0 and 1.
        shrink: ρ, between 0 and 1.
        growth: of the trial step; the theorem asks for 1.
        L: the Lipschitz constant of ∇f on the segments between iterates; by default
            `gradient_lipschitz`, which is proven on the sublevel set at best, so 'assumed' here.
        lipschitz: a Lipschitz bound of the Jacobian of your own.

    Returns:
        The certificate with bounds 'loss', 'residual' and 'distance' at times t = Σh_ℓ.

    Raises:
        TypeError: unless s, α, β, c, ρ and the growth are real numbers.
        ValueError: unless s, α and the growth are positive, β ≥ 0, all finite, and c and ρ lie
            between 0 and 1.
    """
    s, alpha = given("s", s, positive=True), given("alpha", alpha, positive=True)
    beta = given("beta", beta, positive=False)
    c, rho = fraction("decrease", decrease), fraction("shrink", shrink)
    growth = given("growth", growth, positive=True)
    try:
        base, weight = squared_error_ground(problem, generator, kind, lipschitz=lipschitz)
    except Inapplicable as why:
        return not_applicable(_THEOREM, _SOURCE, str(why))
    if L is None:
        # Proven where f ≤ f(θ0) at best, and an accepted step may pass over higher ground.
        found = gradient_lipschitz(problem, generator)
        weaker = found.evidence if found.grade == "estimated" else "assumed"
        L = Quantity(found.value, f"{found.how}; assumed along the steps", weaker)
    dtype = base.mu.value.dtype
    s, alpha, beta, c, rho, w = (x.astype(dtype) for x in (s, alpha, beta, c, rho, weight))
    smooth, first = L.value.astype(dtype), jnp.sqrt(s)
    mu_s = w * base.mu.value**2 / 2
    room = (1 - c) * alpha - beta * smooth
    passes = jnp.where(room > 0, 2 * room / (smooth * (1 + beta**2 * smooth)), jnp.nan)
    h = jnp.minimum(first, rho * passes)
    before, after = 1 / h + beta * smooth, 1 / h + alpha
    G = 0.5 + (before**2 + after**2) / (2 * mu_s)
    fall = c * alpha * h / (G + c * alpha * h)
    reach = 2 * ((before + after) / jnp.sqrt(2 * mu_s) + 0.5**0.5) / (c * alpha)
    reach = reach * jnp.sqrt(base.loss0.value)
    decay = Decay(base.loss0.value, fall / (1 + jnp.sqrt(1 - fall)), reach, 1)
    moved = Quantity(reach, "length of the path", base.mu.evidence)
    ends = Condition(
        "β < (1 − c)α/L",
        Quantity(beta, "as given", "closed form"),
        Quantity((1 - c) * alpha / smooth, L.how, L.evidence),
    )
    steady = Condition(
        "growth ≤ 1",
        Quantity(growth, "as given", "closed form"),
        Quantity(jnp.ones_like(growth), "1", "closed form"),
        strict=False,
        otherwise="steps that grow again are not covered: take growth=1",
    )
    return Certificate(
        theorem=f"{_THEOREM} ({base.kind})",
        kind=base.kind,
        source=_SOURCE,
        conditions=(*base.hypotheses, steady, ends, Condition("R' < R", moved, base.radius)),
        numbers={
            **base.numbers(),
            "R'": moved,
            "L": L,
            "√s ≥": Quantity(h, "least step", L.evidence),
            "1 − q": Quantity(decay.gap, "rate per step", L.evidence),
        },
        bounds=decay.bounds(first, w),
    )
