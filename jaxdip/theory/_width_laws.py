"""The papers' bounds on the width, which are scaling laws: their constants are not given."""

import math
from typing import Literal

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._types import Array, RealScalar
from jaxdip.losses import MSE, AbstractLoss, Power
from jaxdip.operators import AbstractLinearOperator
from jaxdip.problem import Problem
from jaxdip.theory._scaling_law import ScalingLaw, law

_SOURCES = {
    "corrected": "arXiv 2403.05395, Corollary III.2, and its form for W alone (power 2)",
    "paper": "arXiv 2403.05395, the remark after Corollary III.2, as printed",
    "slides": "J. Fadili's slides of 2024, as printed",
}


def corollary_width(
    problem: Problem,
    *,
    latent: int,
    clean_sup: RealScalar,
    noise_sup: RealScalar = 0.0,
    both: bool = False,
    version: Literal["corrected", "slides"] = "corrected",
    smoothness: RealScalar | None = None,
    sigma_F: Quantity | None = None,
    forward: Quantity | None = None,
) -> ScalingLaw:
    """The papers' corollary for any loss, up to its constants C and C'.

        k ≥ C' σ_A^{−q} n ψ( (ℓ/2) (C‖A‖√(n log d) + √m (‖Ax̄‖_∞ + ‖ε‖_∞))² )^q,

    q = 4 for both layers, q = 2 for W alone, with probability at least 1 − 2/n − 1/d, and
    ℓ = max ‖∇L(v)‖/‖v − y‖ on the ball of that radius. C and C' depend on the activation and on D
    and are not given, so this is a law and no width; `required_width` has constants. For a
    nonlinear F, σ_F, L_F and ‖F(x̄)‖_∞ take the places of σ_A, ‖A‖ and ‖Ax̄‖_∞.

    The slides print, for both layers, ψ(C(√(n log d) + √m)²), which has lost ‖A‖ and the data, with
    probability 1 − 1/n − 1/d: `version="slides"`.

    Args:
        problem: the problem.
        latent: d ≥ 2.
        clean_sup: ‖A x̄‖_∞.
        noise_sup: ‖ε‖_∞.
        both: both layers train.
        version: which.
        smoothness: ℓ, for losses other than MSE and Power.
        sigma_F: for a nonlinear F.
        forward: L_F, for a nonlinear F.

    Raises:
        ValueError: if a constant is missing, σ is zero, or the slides are asked about W alone.
    """
    if latent < 2:
        raise ValueError(f"the law has log d in it, so d is at least 2, got {latent}")
    if version == "slides" and not both:
        raise ValueError("the slides state their bound for both layers; give both=True")
    sigma, norm = _operator_numbers(problem, sigma_F, forward)
    n, m = problem.operator.n, problem.operator.m
    spread = (n * math.log(latent)) ** 0.5
    psi = problem.loss.desingularizer(problem.y).psi
    power = 4 if both else 2
    if version == "slides":
        argument = jnp.asarray((spread + m**0.5) ** 2, sigma.dtype)
        symbols, chance = "σ^-4 n ψ((√(n log d) + √m)²)^4", 1 - 1 / n - 1 / latent
    else:
        sup = jnp.asarray(clean_sup, sigma.dtype) + jnp.asarray(noise_sup, sigma.dtype)
        radius = norm * spread + m**0.5 * sup
        argument = _smoothness(problem.loss, problem.y, radius, smoothness) * radius**2 / 2
        symbols = f"σ^-{power} n ψ((ℓ/2)(‖A‖√(n log d) + √m(‖Ax̄‖_∞ + ‖ε‖_∞))²)^{power}"
        chance = 1 - 2 / n - 1 / latent
    value = n * (psi(argument) / sigma) ** power
    probability = Quantity(jnp.asarray(max(chance, 0.0)), "as stated, at least", "bound")
    return law(_name(both), _SOURCES[version], symbols, value, probability)


def squared_error_width(
    m: int,
    n: int,
    *,
    kappa: RealScalar = 1.0,
    both: bool = False,
    version: Literal["corrected", "paper", "slides"] = "corrected",
) -> ScalingLaw:
    """The papers' law for the squared error, up to its constant.

    From the corollary: k ≳ κ(A)² n² m where W trains alone, k ≳ κ(A)⁴ n³ m² where both do. The
    paper prints κ(A) n² m after its corollary for both layers (which is the law of W alone, with
    the square lost from κ); the slides print n² m for W alone and n³ m² for both, without κ.

    Args:
        m: data.
        n: entries of the signal.
        kappa: ‖A‖/σ_A.
        both: both layers train.
        version: which; 'paper' exists for both layers only.

    Raises:
        ValueError: for an unknown version, or 'paper' about W alone.
    """
    if version not in _SOURCES:
        raise ValueError(f"version is one of {', '.join(_SOURCES)}, got {version!r}")
    if version == "paper" and not both:
        raise ValueError("the paper prints its law for both layers; give both=True")
    kappa = jnp.asarray(kappa, jnp.result_type(float))
    rows = {
        ("corrected", False): ("κ² n² m", kappa**2 * n**2 * m),
        ("corrected", True): ("κ⁴ n³ m²", kappa**4 * n**3 * m**2),
        ("paper", True): ("κ n² m", kappa * n**2 * m),
        ("slides", False): ("n² m", jnp.ones_like(kappa) * n**2 * m),
        ("slides", True): ("n³ m²", jnp.ones_like(kappa) * n**3 * m**2),
    }
    symbols, value = rows[version, both]
    return law(f"{_name(both)}, squared error", _SOURCES[version], symbols, value)


def _name(both: bool) -> str:
    return f"overparametrisation, {'both layers' if both else 'W alone'}"


def _operator_numbers(
    problem: Problem, sigma_F: Quantity | None, forward: Quantity | None
) -> tuple[Array, Array]:
    F = problem.operator
    if isinstance(F, AbstractLinearOperator):
        sigma, norm = jnp.asarray(F.sigma_min()), jnp.asarray(F.norm())
    elif sigma_F is None or forward is None:
        raise ValueError(f"{type(F).__name__} is not linear: give sigma_F= and forward=")
    else:
        sigma, norm = sigma_F.value, forward.value
    # A zero would make the law infinite, or 0/0; it says nothing either way.
    return jnp.where(sigma > 0, sigma, jnp.nan), norm.astype(sigma.dtype)


def _smoothness(loss: AbstractLoss, y: Array, radius: Array, given: RealScalar | None) -> Array:
    if given is not None:
        return jnp.asarray(given, radius.dtype)
    if isinstance(loss, MSE):
        return 2 * jnp.asarray(loss.weight).astype(radius.dtype)
    if isinstance(loss, Power):
        farthest = radius + jnp.linalg.norm(y.ravel())
        return farthest ** (2 * jnp.asarray(loss.p).astype(radius.dtype))
    raise ValueError(
        f"for {type(loss).__name__} give smoothness=, the largest ‖∇L(v)‖/‖v − y‖ on the ball"
    )
