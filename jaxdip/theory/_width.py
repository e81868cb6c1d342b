"""A width that suffices with a given probability, with every constant."""

import jax.numpy as jnp
import numpy as np

from jaxdip._evidence import Evidence, Quantity
from jaxdip._tree import is_concrete
from jaxdip._types import Array, RealScalar
from jaxdip.generators import AbstractActivation
from jaxdip.losses import MSE, AbstractLoss, Power
from jaxdip.operators import AbstractLinearOperator
from jaxdip.problem import Problem
from jaxdip.theory._certificate import Condition
from jaxdip.theory._conditioning import check_probability, conditioning_width, smooth_activation
from jaxdip.theory._ground import Inapplicable
from jaxdip.theory._required import (
    SOURCE,
    THEOREM,
    RequiredWidth,
    mean_square,
    nothing,
    positive,
    weaker,
)


def required_width(
    problem: Problem,
    *,
    failure: RealScalar,
    activation: str | AbstractActivation = "sigmoid",
    output_bound: float = 1.0,
    both: bool = False,
    nu1: RealScalar = 1.0,
    smoothness: RealScalar | None = None,
    sigma_F: Quantity | None = None,
    forward: Quantity | None = None,
) -> RequiredWidth:
    """A width from which on R' < R with probability at least 1 − p over the draw of the network.

    The corollaries of the papers with every constant. Half of p pays for σ_n(J) ≥ τC, τ = ½
    (`conditioning_width`), half for the initial residual by Markov's inequality,

        ‖r0‖² ≤ ρ² = (2/p)(C_φ²‖A‖_F² + ‖y‖²),

    and R' = 2ν₁ψ/(σ_A τC) with ψ = ψ(L0) ≤ ψ(ℓ ρ²/2). Then k is the larger of the first and

        k = [(R'/(τC)) (cB₂ + √(c²B₂² + 4B₁²))]²,   c = D√n + R',   both layers,
        k = [(R'/(τC)) 2 B₂ D √n]²,                                   W alone.

    So k grows with n ψ²/σ_A² where W trains alone, as the papers' corollary does, and with
    max(n ψ²/σ_A², ψ⁴/σ_A⁴) for both, where theirs has n ψ⁴/σ_A⁴.

    For a nonlinear F, σ_F replaces σ_A and ρ = L_F C_φ√(2n/p) + ‖F(0) − y‖ the residual, with L_F
    a bound of ‖J_F‖ on the ball of radius C_φ√(2n/p); σ_F has to hold on the signals of B(θ0, R').

    Args:
        problem: with ‖u‖ = 1 (the bound is for that).
        failure: p in ]0, 1[.
        activation: φ.
        output_bound: D, the bound on the entries of V.
        both: both layers train.
        nu1: ν₁ of gradient descent, see `nu`; 1 for gradient flow.
        smoothness: ℓ, a Lipschitz constant of ∇L_y, for losses other than MSE and Power.
        sigma_F: σ_F, for a nonlinear F.
        forward: L_F, for a nonlinear F; see `analysis.forward_lipschitz`.

    Returns:
        The width; not applicable where A does not reach the data, the loss has no ψ, or a constant
        is missing.

    Raises:
        ValueError: for an activation that is not smooth, ‖u‖ ≠ 1, or numbers out of range.

    Reference: Corollary III.2 of arXiv 2403.05395 and its counterpart in arXiv 2309.12128.
    """
    phi = smooth_activation(activation)
    check_probability(failure)
    _check_unit(problem.u)
    try:
        rho, pull, hypotheses = _initial(problem, phi, failure, sigma_F, forward)
        psi = _psi(problem.loss, problem.y, rho, smoothness)
    except Inapplicable as why:
        return nothing(str(why))
    n = problem.operator.n
    p = jnp.asarray(failure, rho.dtype)
    floor = conditioning_width(
        n, p / 2, activation=phi, output_bound=output_bound, both=both, fraction=0.5
    )
    C = jnp.sqrt(jnp.asarray(phi.C_dphi**2 + both * phi.C_phi**2).astype(rho.dtype))
    sigma = C / 2
    reach = 2 * jnp.asarray(nu1, rho.dtype) * psi / (pull.value.astype(rho.dtype) * sigma)
    columns = output_bound * n**0.5 + (reach if both else 0)
    bend = columns * phi.lip_slope
    slope = bend + jnp.hypot(bend, 2 * phi.sup_slope * float(both))
    k = jnp.maximum((reach * slope / sigma) ** 2, floor.value.astype(rho.dtype))
    evidence: Evidence = "bound" if pull.grade == "proven" else pull.evidence
    how = "R' < R with Markov's bound on the residual and Chernoff's on σ_n(J)"
    return RequiredWidth(
        theorem=f"{THEOREM}, {'both layers' if both else 'W alone'}",
        source=SOURCE,
        value=Quantity(jnp.where(pull.value > 0, k, jnp.nan), how, evidence),
        probability=Quantity(1 - p, "over the draw of W and V, at least", "bound"),
        conditions=hypotheses,
    )


def _initial(problem, phi, failure, sigma_F, forward):
    """ρ, σ_A or σ_F, and the hypotheses."""
    F, y = problem.operator, problem.y
    if isinstance(F, AbstractLinearOperator):
        square = mean_square(F, y, phi)
        rho = jnp.sqrt(square * 2 / jnp.asarray(failure, square.dtype))
        sigma_A = jnp.asarray(F.sigma_min()).astype(rho.dtype)
        pull = Quantity(sigma_A, "σ_A", "dense spectrum")
        return rho, pull, _attainable(F, y, pull)
    if sigma_F is None or forward is None:
        raise Inapplicable(f"{type(F).__name__} is not linear: give sigma_F= and forward=")
    zero = jnp.zeros(F.in_structure.shape, F.in_structure.dtype)
    offset = jnp.linalg.norm((F(zero) - y).ravel())
    size = phi.C_phi * jnp.sqrt(2 * F.n / jnp.asarray(failure, offset.dtype))
    rho = forward.value.astype(offset.dtype) * size + offset
    hypothesis = positive("σ_F > 0", sigma_F, "the derivative of F may be singular on the ball")
    pull = Quantity(sigma_F.value, sigma_F.how, weaker(sigma_F, forward))
    return rho, pull, (hypothesis,)


def _attainable(A: AbstractLinearOperator, y: Array, pull: Quantity) -> tuple[Condition, ...]:
    left = jnp.linalg.norm((y - A(A.pseudo_inverse(y))).ravel())
    slack = jnp.linalg.norm(y.ravel()) * float(jnp.finfo(left.dtype).eps) ** 0.75
    reached = Condition(
        "y ∈ Im A",
        Quantity(left, "‖y − A A⁺y‖", "dense spectrum"),
        Quantity(slack, "rounding", "closed form"),
        strict=False,
        otherwise="y is not in the range of A: the loss has a floor above zero",
    )
    return positive("σ_A > 0", pull, "A is zero"), reached


def _psi(loss: AbstractLoss, y: Array, rho: Array, smoothness: RealScalar | None) -> Array:
    """A bound of ψ(L0) where ‖y(0) − y‖ ≤ ρ."""
    if isinstance(loss, MSE | Power):
        return rho
    if smoothness is None:
        raise Inapplicable(
            f"for {type(loss).__name__} give smoothness=, a Lipschitz constant of its gradient"
        )
    try:
        psi = loss.desingularizer(y)
    except ValueError as error:
        raise Inapplicable(str(error)) from error
    return psi.psi(jnp.asarray(smoothness, rho.dtype) * rho**2 / 2)


def _check_unit(u: Array) -> None:
    if is_concrete(u):
        norm = float(np.linalg.norm(np.asarray(u)))
        if abs(norm - 1) > 1e-3:
            raise ValueError(f"this bound is for ‖u‖ = 1, got {norm:.3g}; draw u by on_sphere(d)")
