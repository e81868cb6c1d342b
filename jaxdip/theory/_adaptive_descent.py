"""Convergence of gradient descent whose step sizes adapt by Armijo's rule."""

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._numbers import fraction, given
from jaxdip._types import RealScalar
from jaxdip.analysis import AbstractJacobianLipschitz
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem, gradient_lipschitz
from jaxdip.theory._certificate import Certificate, Condition, Kind, not_applicable
from jaxdip.theory._ground import Ground, Inapplicable, ground
from jaxdip.theory._kl_bound import ConstantBound, DistanceBound, LossBound, residual_bound

_THEOREM = "convergence of gradient descent with Armijo's rule"
_SOURCE = "derived here; the argument of Buskulic, Fadili & Quéau, arXiv 2403.05395, Theorem III.1"


def adaptive_descent(
    problem: Problem,
    generator: AbstractGenerator,
    initial: RealScalar,
    kind: Kind | Ground = "network",
    *,
    decrease: RealScalar = 0.5,
    shrink: RealScalar = 0.5,
    L: Quantity | None = None,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> Certificate:
    """Whether gradient descent with Armijo's rule is certain to fit the data, and how fast.

    If every step obeys f(θ_{τ+1}) ≤ f(θ_τ) − cγ_τ‖∇f(θ_τ)‖² and ψ is concave, then
    ψ(f(θ_τ)) − ψ(f(θ_{τ+1})) ≥ c (μ/2)‖θ_{τ+1} − θ_τ‖ inside B(θ0, R). So if
    R' = 2ψ(L0)/(cμ) < R, at the times t = Σγ_τ

        L_y(y_τ) ≤ Ψ⁻¹(c μ² t/4 + Ψ(L0)),    ‖θ_τ − θ∞‖ ≤ (2/(cμ)) ψ(L_y(y_τ)).

    No Lipschitz constant enters: that of ∇f only says how fast the clock runs,
    γ_τ ≥ min(γ̂, 2ρ(1 − c)/L) for the first trial γ̂ and the shrinking factor ρ.

    Args:
        problem: the problem.
        generator: the network at its start.
        initial: γ̂, the first trial.
        kind: see `Ground`; or one that is known already.
        decrease: c, between 0 and 1.
        shrink: ρ, between 0 and 1.
        L: the Lipschitz constant of ∇f; by default `gradient_lipschitz`.
        lipschitz: a Lipschitz bound of the Jacobian of your own.

    Returns:
        The certificate, with the bounds of `gradient_flow`, on the clock t = Σγ_τ, and 'γ ≥', the
        least step, among its numbers.

    Raises:
        TypeError: unless γ̂, c and ρ are real numbers.
        ValueError: unless γ̂ is finite and positive, and c and ρ lie between 0 and 1.
    """
    first = given("initial", initial, positive=True)
    c, rho = fraction("decrease", decrease), fraction("shrink", shrink)
    try:
        base = ground(problem, generator, kind, lipschitz=lipschitz)
    except Inapplicable as why:
        return not_applicable(_THEOREM, _SOURCE, str(why))
    if not base.psi.concave:
        return not_applicable(_THEOREM, _SOURCE, "it needs a concave ψ")
    L = gradient_lipschitz(problem, generator) if L is None else L
    mu = base.mu.value
    first, c, rho = (x.astype(mu.dtype) for x in (first, c, rho))
    reach = 2 * base.psi0 / (c * mu)
    loss = LossBound(base.psi, base.loss0.value, c * mu**2 / 4)
    moved = Quantity(reach, "2ψ(L0)/(cμ)", base.mu.evidence)
    least = jnp.minimum(first, 2 * rho * (1 - c) / L.value.astype(mu.dtype))
    zero = jnp.zeros_like(mu)
    return Certificate(
        theorem=f"{_THEOREM} ({base.kind})",
        kind=base.kind,
        source=_SOURCE,
        conditions=(*base.hypotheses, Condition("R' < R", moved, base.radius)),
        numbers={
            **base.numbers(),
            "R'": moved,
            "L": L,
            "γ ≥": Quantity(least, "least step", L.evidence),
        },
        bounds={
            "loss": loss,
            **residual_bound(loss, base.fits_data),
            "parameters": DistanceBound(loss, 2 / (c * mu), zero),
            "distance": ConstantBound(reach),
        },
    )
