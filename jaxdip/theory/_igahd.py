"""Convergence of IGAHD, the discrete inertial method with the gradient at θ_ℓ."""

from typing import Literal, get_args

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._numbers import given
from jaxdip._types import Array, RealScalar
from jaxdip.analysis import AbstractJacobianLipschitz
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem, gradient_lipschitz
from jaxdip.theory._certificate import Certificate, Condition, Kind, not_applicable
from jaxdip.theory._ground import Ground, Inapplicable, squared_error_ground
from jaxdip.theory._two_step import (
    displacement_decay,
    longest_velocity_step,
    velocity_decay,
    velocity_level,
)

_THEOREM = "convergence of IGAHD"
_SOURCE = "derived here from the descent lemma and the PL inequality; cf. arXiv 2506.02986"

#: In what the kinetic part of the Lyapunov function is quadratic.
Energy = Literal["displacement", "velocity"]


def igahd(
    problem: Problem,
    generator: AbstractGenerator,
    s: RealScalar,
    alpha: RealScalar,
    beta: RealScalar,
    kind: Kind | Ground = "network",
    *,
    energy: Energy = "displacement",
    L: Quantity | None = None,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> Certificate:
    """Whether IGAHD is certain to fit the data, and how fast.

    Two proofs, with h = √s, f L-smooth, and ‖∇f‖² ≥ 2μ_s f on B(θ0, R), μ_s = wμ²/2 for w‖r‖²:

    - 'displacement': with a = 1 − αh ≥ 0 and b = βh,
      V_ℓ = f(θ_ℓ) + ((a + bL)/2s)‖θ_ℓ − θ_{ℓ−1}‖² falls iff β + h/2 < α/L, f(θ_ℓ) ≤ L0 q^{ℓ−1} with
      q² = G/(G + δ), and the path is no longer than R' = 2(P + Q)√L0/δ (`displacement_decay` has G,
      δ, P and Q). It serves β = 0, and proves a slower rate the smaller h is.
    - 'velocity': the energy of ISEHD's theorem, in v = (θ_ℓ − θ_{ℓ−1})/h + β∇f(θ_{ℓ−1})
      (`velocity_decay`). It asks for αβ < 1, β > 0 and h ≲ min(α, 1/β)/L, so it also certifies the
      talk's α = μ, β = 1/(2α) at every condition number, where β < α/L would need L < 2μ²; and its
      rate and path become those of `isehd` as h → 0.

    Either way, if R' < R, the iterates stay in the ball and the loss obeys the bound.

    Args:
        problem: with `losses.MSE`.
        generator: the network at its start.
        s: the squared time step, positive.
        alpha: α > 0.
        beta: β ≥ 0.
        kind: see `Ground`; or one that is known already.
        energy: which proof.
        L: the Lipschitz constant of ∇f where f ≤ f(θ0), or for the energy in the velocity where
            f ≤ V_0/κ (`velocity_level`); by default `gradient_lipschitz` there.
        lipschitz: a Lipschitz bound of the Jacobian of your own.

    Returns:
        The certificate with bounds 'loss', 'residual' and 'distance' at times t = ℓ√s; its numbers
        also say how large an eigenvalue the linearised method stands, 2(2 − αh)/(h² + 2βh).

    Raises:
        TypeError: unless s, α and β are real numbers.
        ValueError: unless s > 0, α > 0 and β ≥ 0, all finite, or for an unknown energy.
    """
    s, alpha = given("s", s, positive=True), given("alpha", alpha, positive=True)
    beta = given("beta", beta, positive=False)
    try:
        base, weight = squared_error_ground(problem, generator, kind, lipschitz=lipschitz)
    except Inapplicable as why:
        return not_applicable(_THEOREM, _SOURCE, str(why))
    if L is None:
        level = None
        if energy == "velocity":
            dtype = base.mu.value.dtype
            h2, a, b = (x.astype(dtype) for x in (s, alpha, beta))
            level = velocity_level(h2, a, b, base.loss0.value, base.gradient0.value)
        L = gradient_lipschitz(problem, generator, level=level)
    return certify_igahd(base, s, alpha, beta, L, weight, energy=energy)


def certify_igahd(
    base: Ground,
    s: RealScalar,
    alpha: RealScalar,
    beta: RealScalar,
    L: Quantity,
    weight: RealScalar = 0.5,
    *,
    energy: Energy = "displacement",
) -> Certificate:
    """The certificate from known constants, for a loss w‖·‖²; s > 0, α > 0, β ≥ 0."""
    if energy not in get_args(Energy):
        raise ValueError(f"unknown energy {energy!r}; choose 'displacement' or 'velocity'")
    dtype = base.mu.value.dtype
    s = given("s", s, positive=True).astype(dtype)
    alpha = given("alpha", alpha, positive=True).astype(dtype)
    beta = given("beta", beta, positive=False).astype(dtype)
    w = jnp.asarray(weight, dtype)
    smooth, h = L.value.astype(dtype), jnp.sqrt(s)
    mu_s, loss0 = w * base.mu.value**2 / 2, base.loss0.value
    asked, numbers = (_damping(alpha * h),), {}
    if energy == "displacement":
        one = jnp.ones_like(h)
        carried = 1 - alpha * h + beta * h * smooth
        decay, delta = displacement_decay(s, one, carried, smooth, mu_s, loss0)
        asked += (descent_condition(alpha, beta, h, smooth, L),)
        numbers["δ"] = Quantity(delta, "descent of V in ‖θ_ℓ+1 − θ_ℓ‖²", L.evidence)
    else:
        decay = velocity_decay(s, alpha, beta, smooth, mu_s, loss0, base.gradient0.value)
        asked += _velocity_conditions(alpha, beta, h, smooth, L)
    stable = 2 * (2 - alpha * h) / (s + 2 * beta * h)
    moved = Quantity(decay.reach, "length of the path", base.mu.evidence)
    return Certificate(
        theorem=f"{_THEOREM} ({base.kind}, energy in the {energy})",
        kind=base.kind,
        source=_SOURCE,
        conditions=(*base.hypotheses, *asked, Condition("R' < R", moved, base.radius)),
        numbers={
            **base.numbers(),
            "R'": moved,
            "L": L,
            **numbers,
            "1 − q": Quantity(decay.gap, "rate per step", L.evidence),
            "stable below": Quantity(stable, "eigenvalue of the linearised loss", "closed form"),
        },
        bounds=decay.bounds(h, w),
    )


def descent_condition(alpha: Array, beta: Array, h: Array, smooth: Array, L: Quantity) -> Condition:
    """Whether the energy in the displacement falls."""
    return Condition(
        "β + √s/2 < α/L",
        Quantity(beta + h / 2, "as given", "closed form"),
        Quantity(alpha / smooth, L.how, L.evidence),
    )


def _damping(momentum: Array) -> Condition:
    return Condition(
        "α√s ≤ 1",
        Quantity(momentum, "as given", "closed form"),
        Quantity(jnp.ones_like(momentum), "1", "closed form"),
        strict=False,
        otherwise="the step is too long for this damping: α√s > 1",
    )


def _velocity_conditions(
    alpha: Array, beta: Array, h: Array, smooth: Array, L: Quantity
) -> tuple[Condition, ...]:
    """Whether the energy in the velocity falls."""
    longest = longest_velocity_step(alpha, beta, smooth)
    given_numbers = Quantity(alpha * beta, "as given", "closed form")
    one, zero = jnp.ones_like(alpha), jnp.zeros_like(alpha)
    return (
        Condition(
            "0 < β",
            Quantity(zero, "zero", "closed form"),
            Quantity(beta, "as given", "closed form"),
            otherwise="β = 0 gives no rate in this energy; take energy='displacement'",
        ),
        Condition("αβ < 1", given_numbers, Quantity(one, "1", "closed form")),
        Condition(
            "√s below the longest",
            Quantity(h, "as given", "closed form"),
            Quantity(longest, f"about min(α, 1/β)/L; {L.how}", L.evidence),
        ),
    )
