"""Convergence of the forward-damped inertial method, ISEHD-Disc."""

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._numbers import given
from jaxdip._types import RealScalar
from jaxdip.analysis import AbstractJacobianLipschitz
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem, gradient_lipschitz
from jaxdip.theory._certificate import Certificate, Condition, Kind, not_applicable
from jaxdip.theory._ground import Ground, Inapplicable, squared_error_ground
from jaxdip.theory._igahd import descent_condition
from jaxdip.theory._two_step import displacement_decay

_THEOREM = "convergence of IGAHDForward"
_SOURCE = (
    "the condition is that of Maulen-Soto, Fadili & Ochs, arXiv 2407.12518; the rate is derived "
    "here from the descent lemma and the PL inequality"
)


def igahd_forward(
    problem: Problem,
    generator: AbstractGenerator,
    s: RealScalar,
    alpha: RealScalar,
    beta: RealScalar,
    kind: Kind | Ground = "network",
    *,
    L: Quantity | None = None,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> Certificate:
    """Whether `IGAHDForward` with constant numbers is certain to fit the data, and how fast.

    With h = √s, V_ℓ = f(θ_ℓ) + ((1 + βhL)/2s)‖θ_ℓ − θ_{ℓ−1}‖² falls iff β + h/2 < α/L, whatever αh.
    `displacement_decay` with ahead = 1 + αh and carried = 1 + βhL has the rate and the path.

    Args:
        problem: with `losses.MSE`.
        generator: the network at its start.
        s: the squared time step, positive.
        alpha: α > 0.
        beta: β ≥ 0.
        kind: see `Ground`; or one that is known already.
        L: the Lipschitz constant of ∇f; by default `gradient_lipschitz`.
        lipschitz: a Lipschitz bound of the Jacobian of your own.

    Returns:
        The certificate with bounds 'loss', 'residual' and 'distance' at times t = ℓ√s.

    Raises:
        TypeError: unless s, α and β are real numbers.
        ValueError: unless s > 0, α > 0 and β ≥ 0, all finite.
    """
    s, alpha = given("s", s, positive=True), given("alpha", alpha, positive=True)
    beta = given("beta", beta, positive=False)
    try:
        base, weight = squared_error_ground(problem, generator, kind, lipschitz=lipschitz)
    except Inapplicable as why:
        return not_applicable(_THEOREM, _SOURCE, str(why))
    L = gradient_lipschitz(problem, generator) if L is None else L
    dtype = base.mu.value.dtype
    s, alpha, beta, w = (x.astype(dtype) for x in (s, alpha, beta, weight))
    smooth, h = L.value.astype(dtype), jnp.sqrt(s)
    mu_s = w * base.mu.value**2 / 2
    decay, delta = displacement_decay(
        s, 1 + alpha * h, 1 + beta * h * smooth, smooth, mu_s, base.loss0.value
    )
    moved = Quantity(decay.reach, "length of the path", base.mu.evidence)
    return Certificate(
        theorem=f"{_THEOREM} ({base.kind})",
        kind=base.kind,
        source=_SOURCE,
        conditions=(
            *base.hypotheses,
            descent_condition(alpha, beta, h, smooth, L),
            Condition("R' < R", moved, base.radius),
        ),
        numbers={
            **base.numbers(),
            "R'": moved,
            "L": L,
            "δ": Quantity(delta, "descent of V in ‖θ_ℓ+1 − θ_ℓ‖²", L.evidence),
            "1 − q": Quantity(decay.gap, "rate per step", L.evidence),
        },
        bounds=decay.bounds(h, w),
    )
