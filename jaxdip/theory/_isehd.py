"""Convergence of the inertial system with Hessian damping."""

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._numbers import given
from jaxdip._types import Array, RealScalar
from jaxdip.analysis import AbstractJacobianLipschitz
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem
from jaxdip.theory._certificate import Certificate, Condition, Kind, not_applicable
from jaxdip.theory._ground import Ground, Inapplicable, squared_error_ground
from jaxdip.theory._kl_bound import ConstantBound, ExponentialBound

_THEOREM = "convergence of ISEHD"
_SOURCE = (
    "J. Fadili, Iterative regularization of NN-based inverse problems via gradient flow (talk, "
    "2024), whose exponent this reproduces with its constant; arXiv 2506.02986"
)


def isehd_parameters(mu: RealScalar, *, c: RealScalar = 0.5) -> tuple[Array, Array]:
    """α = √c μ/2 and β = c/α, the best pair with αβ = c < 1 for the certificate's rate √c μ.

    The talk's pair α = μ, β = 1/(2μ) has c = 1/2 too, and the rate μ/4. For a loss w‖·‖² take
    √(2w) μ.

    Args:
        mu: μ of the `Ground`.
        c: αβ, between 0 and 1.
    """
    alpha = jnp.sqrt(jnp.asarray(c, jnp.result_type(float))) * mu / 2
    return alpha, c / alpha


def isehd(
    problem: Problem,
    generator: AbstractGenerator,
    alpha: RealScalar,
    beta: RealScalar,
    kind: Kind | Ground = "network",
    *,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> Certificate:
    """Whether θ̈ + αθ̇ + β d/dt ∇f + ∇f = 0, θ̇(0) = 0, is certain to fit the data, and how fast.

    For w‖r‖², with μ_w = √(2w) μ, c = αβ < 1 and v = θ̇ + β∇f, the energy E = (1 − c)f + ½‖v‖² has
    Ė = −(1 − c)β‖∇f‖² − α‖v‖². On B(θ0, R) the loss obeys ‖∇f‖² ≥ (μ_w²/2) f, so there
    E(t) ≤ E0 e^{−ρt} with ρ = 2 min(βμ_w²/4, α), and the path is no longer than

        R' = (2/√ρ) √(1/α + β/(1 − c)) √E0,    E0 = (1 − c)L0 + ½β²‖∇f(θ0)‖².

    If R' < R, then f ≤ E0 e^{−ρt}/(1 − c) for all t, and ‖θ(t) − θ∞‖ ≤ R' e^{−ρt/2}.

    Args:
        problem: with `losses.MSE`.
        generator: the network at its start.
        alpha: α > 0.
        beta: β ≥ 0; β > 0 for a rate.
        kind: see `Ground`; or one that is known already.
        lipschitz: a Lipschitz bound of the Jacobian of your own.

    Returns:
        The certificate with bounds 'loss', 'residual', 'parameters' and 'distance'.

    Raises:
        TypeError: unless α and β are real numbers.
        ValueError: unless α > 0 and β ≥ 0, both finite.
    """
    alpha, beta = given("alpha", alpha, positive=True), given("beta", beta, positive=False)
    try:
        base, weight = squared_error_ground(problem, generator, kind, lipschitz=lipschitz)
    except Inapplicable as why:
        return not_applicable(_THEOREM, _SOURCE, str(why))
    return certify_isehd(base, alpha, beta, weight)


def certify_isehd(
    base: Ground, alpha: RealScalar, beta: RealScalar, weight: RealScalar = 0.5
) -> Certificate:
    """The certificate from constants that are known already, for a loss w‖·‖²; α > 0, β ≥ 0."""
    dtype = base.mu.value.dtype
    alpha = given("alpha", alpha, positive=True).astype(dtype)
    beta = given("beta", beta, positive=False).astype(dtype)
    w = jnp.asarray(weight, dtype)
    c = alpha * beta
    mu2 = 2 * w * base.mu.value**2
    rho = 2 * jnp.minimum(beta * mu2 / 4, alpha)
    rest = jnp.where(c < 1, 1 - c, jnp.nan)
    E0 = rest * base.loss0.value + 0.5 * (beta * base.gradient0.value) ** 2
    reach = 2 / jnp.sqrt(rho) * jnp.sqrt(1 / alpha + beta / rest) * jnp.sqrt(E0)
    one = jnp.ones_like(c)
    moved = Quantity(reach, "length of the path", base.mu.evidence)
    loss = ExponentialBound(E0 / rest, rho)
    return Certificate(
        theorem=f"{_THEOREM} ({base.kind})",
        kind=base.kind,
        source=_SOURCE,
        conditions=(
            *base.hypotheses,
            Condition("αβ < 1", Quantity(c, "as given", "closed form"), _one(one)),
            Condition(
                "0 < β",
                Quantity(0 * one, "zero", "closed form"),
                Quantity(beta, "as given", "closed form"),
                otherwise="β = 0 gives no rate here",
            ),
            Condition("R' < R", moved, base.radius),
        ),
        numbers={
            **base.numbers(),
            "R'": moved,
            "ρ": Quantity(rho, "rate of the energy and of the loss", base.mu.evidence),
            "E0": Quantity(E0, "energy at the start", "closed form"),
        },
        bounds={
            "loss": loss,
            "residual": ExponentialBound(jnp.sqrt(E0 / (rest * w)), rho / 2),
            "parameters": ExponentialBound(reach, rho / 2),
            "distance": ConstantBound(reach),
        },
    )


def _one(one: Array) -> Quantity:
    return Quantity(one, "1", "closed form")
