"""The width that the lazy condition R' < R asks for: of one draw, and of wide networks at large."""

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._types import RealScalar
from jaxdip.analysis import AbstractJacobianLipschitz, jacobian_lipschitz, spectrum
from jaxdip.generators import AbstractActivation, AbstractGenerator, TwoLayer
from jaxdip.losses import MSE, Power
from jaxdip.operators import AbstractLinearOperator
from jaxdip.problem import Problem
from jaxdip.theory._conditioning import smooth_activation
from jaxdip.theory._ground import Inapplicable, ground
from jaxdip.theory._required import (
    SOURCE,
    THEOREM,
    RequiredWidth,
    mean_square,
    nothing,
    positive,
    weaker,
)


def lazy_width(
    problem: Problem,
    generator: AbstractGenerator,
    *,
    nu1: RealScalar = 1.0,
    sigma_F: Quantity | None = None,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> RequiredWidth:
    """The width that R' < R asks for, at the constants of one given draw.

    With R' = 2ν₁ψ(L0)/(σ_A σ_n(J)) and √k Lip(J; B(θ0, R')) = ℓ, which does not depend on k,

        R' < R  ⟺  k > k* = (2 R' ℓ/σ_n(J))²,

    which is √k > 4ν₁ B₂ max_i‖v_i‖ ψ(L0)/(σ_A σ_n(J)²) where W trains alone. The condition holds of
    this draw exactly if its own k exceeds k*; for other widths k* tells what they would need if
    L0, σ_n(J) and max‖v_i‖ stayed as they are.

    Args:
        problem: the problem.
        generator: a `TwoLayer` of factor 1/√k at its start.
        nu1: ν₁ of gradient descent, see `nu`; 1 for gradient flow.
        sigma_F: for a nonlinear F, σ_F in place of σ_A: of `analysis.sigma_F_bound` on B(θ0, R').
        lipschitz: of J; by default `jacobian_lipschitz`.

    Returns:
        k*, of certain probability because the draw is given; not applicable where σ_n(J) = 0, A
        does not reach the data, or no constant is known.
    """
    if not isinstance(generator, TwoLayer) or generator.scaling != "ntk":
        return nothing("it is about two-layer networks V φ(W u)/√k")
    try:
        base = _start(problem, generator, sigma_F, lipschitz)
    except Inapplicable as why:
        return nothing(str(why))
    sigma, psi0, pull, hypotheses, lip = base
    reach = 2 * jnp.asarray(nu1, psi0.dtype) * psi0 / (pull.value * sigma.value)
    k = generator.width * (2 * reach * lip(reach) / sigma.value) ** 2
    evidence = weaker(sigma, pull)
    evidence = evidence if lip.evidence in ("closed form", "bound") else lip.evidence
    value = jnp.where(sigma.value > 0, k, jnp.nan)
    return RequiredWidth(
        theorem=f"{THEOREM}, at one draw",
        source=SOURCE,
        value=Quantity(value, "(2 R' √k Lip(R')/σ_n(J))²", evidence),
        probability=Quantity(jnp.ones_like(k), "the draw is given", "closed form"),
        conditions=hypotheses,
    )


def _start(problem, generator, sigma_F, lipschitz):
    """σ_n(J), ψ(L0), σ_A or σ_F, the hypotheses and Lip(J)."""
    if isinstance(problem.operator, AbstractLinearOperator):
        base = ground(problem, generator, lipschitz=lipschitz)
        sigma_A = jnp.asarray(problem.operator.sigma_min()).astype(base.sigma.value.dtype)
        pull = Quantity(sigma_A, "σ_A", "dense spectrum") if sigma_F is None else sigma_F
        lip = jacobian_lipschitz(problem, generator) if lipschitz is None else lipschitz
        return base.sigma, base.psi0, pull, base.hypotheses, lip
    if sigma_F is None:
        raise Inapplicable(f"{type(problem.operator).__name__} is not linear: give sigma_F=")
    try:
        psi = problem.loss.desingularizer(problem.y)
        lip = jacobian_lipschitz(problem, generator) if lipschitz is None else lipschitz
    except ValueError as error:
        raise Inapplicable(str(error)) from error
    sigma = spectrum(problem, generator, of="J").sigma_min_lower
    psi0 = psi.psi(problem.objective(generator))
    hypotheses = (
        positive("σ_n(J) > 0", sigma, "the Jacobian is singular at the start"),
        positive("σ_F > 0", sigma_F, "the derivative of F may be singular on the ball"),
    )
    return sigma, psi0, sigma_F, hypotheses, lip


def limit_width(
    problem: Problem,
    *,
    activation: str | AbstractActivation = "sigmoid",
    output_bound: float = 1.0,
    nu1: RealScalar = 1.0,
) -> Quantity:
    """What `lazy_width` is like for wide networks that train W alone, in closed form.

        k ≈ 16 ν₁² B₂² D² n (C_φ² ‖A‖_F² + ‖y‖²)/(σ_A² C_φ'⁴):

    with σ_n(J) → C_φ', ‖v_i‖ ≤ D√n, and ψ(L0) = ‖A g(0) − y‖ replaced by the root of its mean
    square, which is exact: E‖A g(0) − y‖² = C_φ²‖A‖_F² + ‖y‖², as E g(0) g(0)ᵀ = C_φ² I and
    E‖g(0)‖² = n C_φ². It is a size to expect, neither a bound nor with a probability;
    `required_width` is.

    Args:
        problem: a linear operator and `losses.MSE` or `Power`, with ‖u‖ = 1.
        activation: φ.
        output_bound: D.
        nu1: ν₁.

    Returns:
        k, or NaN where σ_A = 0.

    Raises:
        ValueError: for another operator or loss.
    """
    phi = smooth_activation(activation)
    A, loss = problem.operator, problem.loss
    if not isinstance(A, AbstractLinearOperator) or not isinstance(loss, MSE | Power):
        raise ValueError(
            f"this needs a linear operator and losses.MSE or Power, got {type(A).__name__} and "
            f"{type(loss).__name__}"
        )
    square = mean_square(A, problem.y, phi)
    sigma = jnp.asarray(A.sigma_min()).astype(square.dtype)
    factor = 16 * (phi.lip_slope * output_bound) ** 2 * A.n / phi.C_dphi**4
    k = factor * (jnp.asarray(nu1, square.dtype) / sigma) ** 2 * square
    value = jnp.where(sigma > 0, k, jnp.nan)
    return Quantity(value, "R' = R with means for L0 and σ_n(J)", "sampled")
