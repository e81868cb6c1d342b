"""How far F keeps signals apart, and how far its derivative keeps directions: μ_F and σ_F."""

import jax
import jax.numpy as jnp

from jaxdip._evidence import Evidence, Quantity
from jaxdip._types import Array, RealScalar
from jaxdip.analysis._jacobian_lipschitz import AbstractJacobianLipschitz, jacobian_lipschitz
from jaxdip.analysis._spectrum import spectrum
from jaxdip.generators import AbstractGenerator
from jaxdip.operators import AbstractLinearOperator, AbstractOperator, PhaseRetrieval
from jaxdip.problem import Problem


def secant_modulus(operator: AbstractOperator, signals: Array, anchor: Array) -> Quantity:
    """min ‖F(x) − F(x_Σ)‖/‖x − x_Σ‖ over some signals: μ_{F,Σ} from above.

    For a linear A it is the a-posteriori λ: put the iterates of a run for the signals, and with it
    the recovery bound holds at each of them, whatever the tangent cone; over the whole set Σ the
    infimum may be smaller. Signals equal to x_Σ say nothing and are left out.

    Args:
        operator: F, linear or not.
        signals: shape (s, *signal).
        anchor: x_Σ, one signal.

    Returns:
        The minimum, 'sampled'; NaN if every signal is x_Σ.

    Raises:
        ValueError: if the shapes disagree.

    Reference: μ_{F,Σ'} of arXiv 2309.12128; λ_min(A; T) of arXiv 2403.05395 where F is linear.
    """
    signals, anchor = jnp.asarray(signals), jnp.asarray(anchor)
    shape = operator.in_structure.shape
    if anchor.shape != shape or signals.shape[1:] != shape or signals.ndim != len(shape) + 1:
        raise ValueError(
            f"signals are of shape (s, *{shape}) and the anchor of shape {shape}, got "
            f"{signals.shape} and {anchor.shape}"
        )
    at = operator(anchor)

    def pair(x):
        return jnp.linalg.norm((operator(x) - at).ravel()), jnp.linalg.norm((x - anchor).ravel())

    image, apart = jax.vmap(pair)(signals)
    distinct = apart > 0
    ratio = jnp.where(distinct, image / jnp.where(distinct, apart, 1), jnp.inf)
    value = jnp.where(jnp.any(distinct), jnp.min(ratio), jnp.nan)
    return Quantity(value, f"least ratio over {signals.shape[0]} signals", "sampled")


def derivative_lipschitz(operator: AbstractOperator) -> Quantity:
    """Lip(J_F) over all signals: 0 for a linear F, 2 ‖A‖ max_i‖a_i‖ for |A x|².

    For `PhaseRetrieval`, ‖(J_F(x) − J_F(x'))h‖ ≤ 2 ‖A(x − x')‖_∞ ‖A h‖, with a_i the rows of A.

    Raises:
        ValueError: for other operators, of which nothing is known.
    """
    dtype = jnp.finfo(operator.in_structure.dtype).dtype
    if isinstance(operator, AbstractLinearOperator):
        return Quantity(jnp.zeros((), dtype), "the derivative of a linear map", "closed form")
    if isinstance(operator, PhaseRetrieval):
        A = operator.operator
        rows = A.matrix()
        tallest = jnp.sqrt(jnp.max(jnp.sum(rows.real**2 + rows.imag**2, axis=1)))
        norm = jnp.asarray(A.norm()).astype(dtype)
        return Quantity(2 * norm * tallest.astype(dtype), "2 ‖A‖ max‖a_i‖", "bound")
    raise ValueError(
        f"no Lipschitz constant of the derivative is known for {type(operator).__name__}; give one "
        "of your own by curvature="
    )


def forward_lipschitz(
    operator: AbstractOperator, radius: RealScalar, *, curvature: Quantity | None = None
) -> Quantity:
    """L_F ≥ sup ‖J_F(x)‖ over the ball B(0, ρ): ‖J_F(0)‖ + Lip(J_F) ρ.

    Args:
        operator: F.
        radius: ρ.
        curvature: Lip(J_F); by default `derivative_lipschitz`.
    """
    curvature = derivative_lipschitz(operator) if curvature is None else curvature
    zero = jnp.zeros(operator.in_structure.shape, operator.in_structure.dtype)
    norm = _derivative_values(operator, zero)[0]
    value = norm + curvature.value.astype(norm.dtype) * jnp.asarray(radius, norm.dtype)
    evidence: Evidence = "bound" if curvature.grade == "proven" else curvature.evidence
    return Quantity(value, f"‖J_F(0)‖ + Lip(J_F) ρ; {curvature.how}", evidence)


def sigma_F_bound(
    problem: Problem,
    generator: AbstractGenerator,
    radius: RealScalar,
    *,
    curvature: Quantity | None = None,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> Quantity:
    """σ_F = inf σ_min(J_F(x)) over x = g(u, θ), θ ∈ B(θ0, R'), from below.

        σ_F ≥ σ_min(J_F(x0)) − Lip(J_F) · sup‖J_g‖ · R',   sup‖J_g‖ ≤ ‖J_g(θ0)‖ + R' Lip(J_g),

    with σ_min the min(m, n)-th singular value, and 0 where that says nothing. It takes the place of
    σ_A in the convergence theorems of a nonlinear F.

    Args:
        problem: whose operator F and latent enter.
        generator: at θ0.
        radius: R'.
        curvature: Lip(J_F); by default `derivative_lipschitz`.
        lipschitz: of J_g; by default `jacobian_lipschitz`.

    Raises:
        ValueError: where a constant is needed that is not known.

    Reference: σ_F of arXiv 2309.12128.
    """
    curvature = derivative_lipschitz(problem.operator) if curvature is None else curvature
    lipschitz = jacobian_lipschitz(problem, generator) if lipschitz is None else lipschitz
    at_start = _derivative_values(problem.operator, problem.signal(generator))[-1]
    largest = spectrum(problem, generator, of="J").sigma_max
    dtype = at_start.dtype
    reach = jnp.asarray(radius, dtype)
    slope = largest.value.astype(dtype) + reach * lipschitz(reach).astype(dtype)
    value = jnp.maximum(at_start - curvature.value.astype(dtype) * slope * reach, 0)
    evidence = _weakest_evidence(curvature.evidence, lipschitz.evidence, largest.evidence)
    how = f"σ_min(J_F(x0)) − Lip(J_F) sup‖J_g‖ R'; {curvature.how}"
    return Quantity(value, how, evidence)


def sigma_F_sampled(operator: AbstractOperator, signals: Array) -> Quantity:
    """min σ_min(J_F(x)) over some signals: σ_F from above.

    Args:
        operator: F.
        signals: shape (s, *signal), such as those of a run.
    """
    signals = jnp.asarray(signals)
    values = jax.lax.map(lambda x: _derivative_values(operator, x)[-1], signals)
    how = f"least σ_min(J_F(x)) over {signals.shape[0]} signals"
    return Quantity(jnp.min(values), how, "sampled")


def _weakest_evidence(*given: Evidence) -> Evidence:
    """That of the first number in doubt, else that of a decomposition."""
    for evidence in given:
        if evidence not in ("closed form", "bound", "dense spectrum"):
            return evidence
    return "dense spectrum"


def _derivative_values(operator: AbstractOperator, x: Array) -> Array:
    matrix = operator.linearize(x).real_matrix()
    return jnp.linalg.svd(matrix, full_matrices=False, compute_uv=False)
