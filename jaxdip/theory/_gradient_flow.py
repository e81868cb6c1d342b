"""Convergence of gradient flow: the main theorem of the gradient-flow papers."""

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._numbers import given
from jaxdip._types import Array, RealScalar
from jaxdip.analysis import AbstractJacobianLipschitz
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem
from jaxdip.theory._certificate import Certificate, Condition, Kind, not_applicable
from jaxdip.theory._ground import Ground, Inapplicable, ground
from jaxdip.theory._kl_bound import ConstantBound, DistanceBound, LossBound, residual_bound

_THEOREM = "convergence of gradient flow"
_SOURCE = "Buskulic, Fadili & Quéau, arXiv 2309.12128, Theorem 3.2; arXiv 2303.11265"


def gradient_flow(
    problem: Problem,
    generator: AbstractGenerator,
    kind: Kind | Ground = "network",
    *,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> Certificate:
    """Whether gradient flow is certain to fit the data, and how fast.

    With μ and R of the `Ground`, the theorem asks for

        R' = 2ψ(L0)/μ < R

    and then promises for all t ≥ 0 that θ(t) stays in B(θ0, R'), that

        L_y(y(t)) ≤ Ψ⁻¹(μ²t/4 + Ψ(L0)),    ‖θ(t) − θ∞‖ ≤ (2/μ) ψ(Ψ⁻¹(μ²t/4 + Ψ(L0))),

    and, for a convex loss whose only minimiser is y, ‖y(t) − y‖ ≤ ψ(Ψ⁻¹(…)). From the
    `stopping_time` (4/μ²)[Ψ(ψ⁻¹(‖ε‖)) − Ψ(L0)]₊ on, ‖y(t) − ȳ‖ ≤ 2‖ε‖ (the slides print the last
    term without 4/μ²).

    Args:
        problem: the problem.
        generator: the network at its start.
        kind: 'network' as in the papers, 'row space' or 'sketched'; see `Ground`; or one
            that is known already.
        lipschitz: a Lipschitz bound of the Jacobian of your own.

    Returns:
        The certificate with bounds 'loss', 'residual', 'parameters' (‖θ(t) − θ∞‖) and 'distance'
        (‖θ(t) − θ0‖).
    """
    try:
        base = ground(problem, generator, kind, lipschitz=lipschitz)
    except Inapplicable as why:
        return not_applicable(_THEOREM, _SOURCE, str(why))
    return certify_gradient_flow(base)


def certify_gradient_flow(base: Ground) -> Certificate:
    """The certificate from constants that are known already."""
    mu = base.mu.value
    reach = 2 * base.psi0 / mu
    loss = LossBound(base.psi, base.loss0.value, mu**2 / 4)
    zero = jnp.zeros_like(mu)
    moved = Quantity(reach, "2ψ(L0)/μ", base.mu.evidence)
    return Certificate(
        theorem=f"{_THEOREM} ({base.kind})",
        kind=base.kind,
        source=_SOURCE,
        conditions=(*base.hypotheses, Condition("R' < R", moved, base.radius)),
        numbers={**base.numbers(), "R'": moved, "rate μ²/4": _rate(base)},
        bounds={
            "loss": loss,
            **residual_bound(loss, base.fits_data),
            "parameters": DistanceBound(loss, 2 / mu, zero),
            "distance": ConstantBound(reach),
        },
    )


def _rate(base: Ground) -> Quantity:
    return Quantity(base.mu.value**2 / 4, "growth of Ψ(L) in time", base.mu.evidence)


def stopping_time(certificate: Certificate, noise_norm: RealScalar) -> Array:
    """When the loss bound reaches ψ⁻¹(‖ε‖): from then on ‖y(t) − ȳ‖ ≤ 2‖ε‖.

    (4/μ²)[Ψ(ψ⁻¹(‖ε‖)) − Ψ(L0)]₊ for gradient flow, and the same with the rate of descent; for MSE
    and gradient flow (4/μ²) ln(‖y(0) − y‖/‖ε‖).

    Args:
        certificate: of gradient flow or gradient descent.
        noise_norm: ‖ε‖, positive, in units of the data.

    Returns:
        The time on the shared clock; NaN where the certificate is not applicable, or y is not the
        loss's only minimiser.

    Raises:
        TypeError: if the certificate's loss bound is not of this kind.
        ValueError: unless ‖ε‖ is finite and positive.
    """
    bound = certificate.bounds.get("loss")
    if certificate.obstacle is not None:
        return jnp.asarray(jnp.nan)
    if "residual" not in certificate.bounds:
        # ψ(L_y) then bounds no distance to y.
        return jnp.asarray(jnp.nan)
    if not isinstance(bound, LossBound):
        raise TypeError(f"{certificate.theorem} has no stopping time of this kind")
    size = given("noise_norm", noise_norm, positive=True)
    level = bound.psi.psi_inv(size.astype(bound.loss0.dtype))
    return jnp.where(certificate.applicable, bound.time_to(level), jnp.nan)
