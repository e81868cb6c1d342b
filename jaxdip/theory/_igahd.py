"""Convergence of IGAHD, the discrete inertial method with the gradient at θ_ℓ."""

import equinox as eqx
import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._numbers import given
from jaxdip._types import Array, Float, RealScalar
from jaxdip.analysis import AbstractJacobianLipschitz
from jaxdip.generators import AbstractGenerator
from jaxdip.losses import MSE
from jaxdip.problem import Problem, gradient_lipschitz
from jaxdip.theory._certificate import AbstractBound, Certificate, Condition, not_applicable
from jaxdip.theory._ground import Ground, Inapplicable, Kind, ground
from jaxdip.theory._kl_bound import ConstantBound

_THEOREM = "convergence of IGAHD"
_SOURCE = "derived here from the descent lemma and the PL inequality; cf. arXiv 2506.02986"


class GeometricBound(AbstractBound):
    """scale·q^{power·max(ℓ − 1, 0)} at the times t = ℓ√s.

    Attributes:
        scale: at the first two steps.
        q: per step.
        time_step: √s.
        power: 1 for the loss, ½ for distances.
    """

    scale: Float[Array, ""]
    q: Float[Array, ""]
    time_step: Float[Array, ""]
    power: float = eqx.field(static=True, default=1.0)

    def __call__(self, t: Array) -> Array:
        """The bound at time t."""
        steps = jnp.asarray(t, self.scale.dtype) / self.time_step
        return self.scale * jnp.exp(self.power * jnp.maximum(steps - 1, 0) * jnp.log(self.q))


def igahd(
    problem: Problem,
    generator: AbstractGenerator,
    s: RealScalar,
    alpha: RealScalar,
    beta: RealScalar,
    kind: Kind = "network",
    *,
    L: Quantity | None = None,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> Certificate:
    """Whether IGAHD is certain to fit the data, and how fast.

    With h = √s, a = 1 − αh ≥ 0, b = βh and f L-smooth,
    V_ℓ = f(θ_ℓ) + ((a + bL)/2s)‖θ_ℓ − θ_{ℓ−1}‖² falls by δ‖θ_{ℓ+1} − θ_ℓ‖² at least,
    δ = (1 − a − bL)/s − L/2, and δ > 0 iff β + h/2 < α/L. Where ‖∇f‖² ≥ 2μ_s f, which holds on
    B(θ0, R) with μ_s = w μ²/2 for w‖r‖², V_{ℓ+2} ≤ q²V_ℓ with

        q² = G/(G + δ),    G = max(1, (a + bL)²)/(μ_s s²) + (a + bL)/(2s),

    and the path is no longer than R' = 2√(L0/δ)/(1 − q). If R' < R, then f(θ_ℓ) ≤ L0 q^{ℓ−1}.

    The talk's β = 1/(2α) with α = μ satisfies β < α/L only if L < 2μ²: it cannot be certified, and
    is slow, where A J is ill-conditioned.

    Args:
        problem: with `losses.MSE`.
        generator: the network at its start.
        s: the squared time step, positive.
        alpha: α > 0.
        beta: β ≥ 0.
        kind: see `Ground`.
        L: the Lipschitz constant of ∇f; by default `gradient_lipschitz`.
        lipschitz: a Lipschitz bound of the Jacobian of your own.

    Returns:
        The certificate with bounds 'loss', 'residual' and 'distance' at times t = ℓ√s; its numbers
        also say how large an eigenvalue the linearised method stands, 2(2 − αh)/(h² + 2βh).

    Raises:
        TypeError: unless s, α and β are real numbers.
        ValueError: unless s > 0, α > 0 and β ≥ 0, all finite.
    """
    s, alpha = given("s", s, positive=True), given("alpha", alpha, positive=True)
    beta = given("beta", beta, positive=False)
    if not isinstance(problem.loss, MSE):
        why = f"it needs the squared error, got {type(problem.loss).__name__}"
        return not_applicable(_THEOREM, _SOURCE, why)
    try:
        base = ground(problem, generator, kind, lipschitz=lipschitz)
    except Inapplicable as why:
        return not_applicable(_THEOREM, _SOURCE, str(why))
    L = gradient_lipschitz(problem, generator) if L is None else L
    return certify_igahd(base, s, alpha, beta, L, jnp.asarray(problem.loss.weight))


def certify_igahd(
    base: Ground,
    s: RealScalar,
    alpha: RealScalar,
    beta: RealScalar,
    L: Quantity,
    weight: RealScalar = 0.5,
) -> Certificate:
    """The certificate from known constants, for a loss w‖·‖²; s > 0, α > 0, β ≥ 0."""
    dtype = base.mu.value.dtype
    s = given("s", s, positive=True).astype(dtype)
    alpha = given("alpha", alpha, positive=True).astype(dtype)
    beta = given("beta", beta, positive=False).astype(dtype)
    w = jnp.asarray(weight, dtype)
    smooth = L.value.astype(dtype)
    h = jnp.sqrt(s)
    a, b = 1 - alpha * h, beta * h
    carried = a + b * smooth
    delta = (1 - carried) / s - smooth / 2
    convex = w * base.mu.value**2 / 2
    G = jnp.maximum(1, carried**2) / (convex * s**2) + carried / (2 * s)
    good = jnp.where(delta > 0, delta, jnp.nan)
    q = jnp.sqrt(G / (G + good))
    # 1 − q without cancellation: q² = 1 − δ/(G + δ).
    gap = good / (G + good) / (1 + q)
    reach = 2 * jnp.sqrt(base.loss0.value / good) / gap
    moved = Quantity(reach, "length of the path", base.mu.evidence)
    stable = 2 * (2 - alpha * h) / (s + 2 * beta * h)
    descent = Condition(
        "β + √s/2 < α/L",
        Quantity(beta + h / 2, "as given", "closed form"),
        Quantity(alpha / smooth, L.how, L.evidence),
    )
    damping = Condition(
        "α√s ≤ 1",
        Quantity(alpha * h, "as given", "closed form"),
        Quantity(jnp.ones_like(h), "1", "closed form"),
        strict=False,
        otherwise="the step is too long for this damping: α√s > 1",
    )
    return Certificate(
        theorem=f"{_THEOREM} ({base.kind})",
        source=_SOURCE,
        conditions=(*base.hypotheses, damping, descent, Condition("R' < R", moved, base.radius)),
        numbers={
            **base.numbers(),
            "R'": moved,
            "L": L,
            "δ": Quantity(delta, "descent of V in ‖θ_ℓ+1 − θ_ℓ‖²", L.evidence),
            "1 − q": Quantity(gap, "rate per step", L.evidence),
            "stable below": Quantity(stable, "eigenvalue of the linearised loss", "closed form"),
        },
        bounds={
            "loss": GeometricBound(base.loss0.value, q, h),
            "residual": GeometricBound(jnp.sqrt(base.loss0.value / w), q, h, 0.5),
            "distance": ConstantBound(reach),
        },
    )
