"""Convergence of gradient descent: Theorem III.1 of the gradient-descent paper."""

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._numbers import given
from jaxdip._types import Array, RealScalar
from jaxdip.analysis import AbstractJacobianLipschitz
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem, gradient_lipschitz
from jaxdip.theory._certificate import Certificate, Condition, Kind, not_applicable
from jaxdip.theory._ground import Ground, Inapplicable, ground
from jaxdip.theory._kl_bound import ConstantBound, DistanceBound, LossBound, residual_bound

_THEOREM = "convergence of gradient descent"
_SOURCE = "Buskulic, Fadili & Quéau, arXiv 2403.05395, Theorem III.1"


def nu(step_size: RealScalar, L: RealScalar, *, concave: bool = False) -> tuple[Array, Array]:
    """ν₁ and ν₂ of gradient descent with 0 < γ ≤ 1/L.

    ν₁ = (1 + γL)/(1 − γL/2) ∈ ]1, 4] and ν₂ = (1 + γL)²/(γ − γ²L/2), least at γ = 1/(2L), where it
    is 6L. The factors 1 + γL pay for a ψ that need not be concave; if it is, as for every loss
    here, ν₁' = 1/(1 − γL/2) ≤ 2 and ν₂' = 1/(γ − γ²L/2) ≥ 2L, least at γ = 1/L.

    Args:
        step_size: γ.
        L: the Lipschitz constant of ∇f.
        concave: take the sharper pair.
    """
    gamma, L = jnp.asarray(step_size), jnp.asarray(L)
    x = gamma * L.astype(gamma.dtype)
    growth = jnp.ones_like(x) if concave else 1 + x
    return growth / (1 - x / 2), growth**2 / (gamma * (1 - x / 2))


def gradient_descent(
    problem: Problem,
    generator: AbstractGenerator,
    step_size: RealScalar,
    kind: Kind | Ground = "network",
    *,
    L: Quantity | None = None,
    sharp: bool = True,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> Certificate:
    """Whether gradient descent with steps γ ≤ 1/L is certain to fit the data, and how fast.

    R' = 2ν₁ψ(L0)/μ < R, and then at time t = γτ

        L_y(y_τ) ≤ Ψ⁻¹(ξ_τ),  ξ_τ = μ²τ/(4ν₂) + Ψ(L0),    ‖θ_τ − θ∞‖ ≤ (2ν₁/μ) ψ(Ψ⁻¹(ξ_τ)).

    Args:
        problem: the problem.
        generator: the network at its start.
        step_size: γ, positive.
        kind: see `Ground`; or one that is known already.
        L: the Lipschitz constant of ∇f; by default `gradient_lipschitz`, for more than 512 data an
            estimate, where `lipschitz_bound` has the proof.
        sharp: the pair (ν₁', ν₂') for a concave ψ instead of the paper's.
        lipschitz: a Lipschitz bound of the Jacobian of your own.

    Returns:
        The certificate, with the bounds of `gradient_flow`, on the clock t = γτ.

    Raises:
        TypeError: unless γ is a real number.
        ValueError: unless γ is finite and positive.
    """
    gamma = given("step_size", step_size, positive=True)
    try:
        base = ground(problem, generator, kind, lipschitz=lipschitz)
    except Inapplicable as why:
        return not_applicable(_THEOREM, _SOURCE, str(why))
    L = gradient_lipschitz(problem, generator) if L is None else L
    return certify_gradient_descent(base, gamma, L, sharp=sharp)


def certify_gradient_descent(
    base: Ground, step_size: RealScalar, L: Quantity, *, sharp: bool = True
) -> Certificate:
    """The certificate from constants that are known already; γ > 0."""
    mu = base.mu.value
    gamma = given("step_size", step_size, positive=True).astype(mu.dtype)
    concave = sharp and base.psi.concave
    nu1, nu2 = nu(gamma, L.value, concave=concave)
    reach = 2 * nu1 * base.psi0 / mu
    loss = LossBound(base.psi, base.loss0.value, mu**2 / (4 * nu2 * gamma))
    zero = jnp.zeros_like(mu)
    moved = Quantity(reach, "2ν₁ψ(L0)/μ", base.mu.evidence)
    # A default γ is 1/L itself, computed once more by another program, whose sums over the width
    # round otherwise: equality up to √eps is equality (the proof has room up to 2/L).
    longest = (1 / L.value).astype(mu.dtype) * (1 + float(jnp.finfo(mu.dtype).eps) ** 0.5)
    step = Condition(
        "γ ≤ 1/L",
        Quantity(gamma, "the step size, as given", "closed form"),
        Quantity(longest, f"1/L; {L.how}", L.evidence),
        strict=False,
    )
    pair = "for a concave ψ" if concave else "of the paper"
    return Certificate(
        theorem=f"{_THEOREM} ({base.kind})",
        kind=base.kind,
        source=_SOURCE,
        conditions=(*base.hypotheses, step, Condition("R' < R", moved, base.radius)),
        numbers={
            **base.numbers(),
            "R'": moved,
            "L": L,
            "ν₁": Quantity(nu1, pair, L.evidence),
            "ν₂": Quantity(nu2, pair, L.evidence),
        },
        bounds={
            "loss": loss,
            **residual_bound(loss, base.fits_data),
            "parameters": DistanceBound(loss, 2 * nu1 / mu, zero),
            "distance": ConstantBound(reach),
        },
    )
