"""Energies of inertial methods: how fast they fall, and how long a path they allow."""

import equinox as eqx
import jax.numpy as jnp

from jaxdip._types import Array, Float
from jaxdip.theory._certificate import AbstractBound
from jaxdip.theory._kl_bound import ConstantBound


class GeometricBound(AbstractBound):
    """scale·q^{power·max(ℓ − lag, 0)} at the times t = ℓ√s.

    Attributes:
        scale: at the start.
        q: per step.
        time_step: √s, or the longest of steps that vary.
        power: 1 for the loss, ½ for distances.
        lag: steps before the decrease begins.
    """

    scale: Float[Array, ""]
    q: Float[Array, ""]
    time_step: Float[Array, ""]
    power: float = eqx.field(static=True, default=1.0)
    lag: int = eqx.field(static=True, default=1)

    def __call__(self, t: Array) -> Array:
        """The bound at time t."""
        steps = jnp.asarray(t, self.scale.dtype) / self.time_step
        return self.scale * jnp.exp(self.power * jnp.maximum(steps - self.lag, 0) * jnp.log(self.q))


class Decay(eqx.Module):
    """What an energy V of the iterates gives.

    Attributes:
        scale: f(θ_ℓ) ≤ scale·q^{ℓ − lag}.
        gap: 1 − q, q the factor of the loss per step.
        reach: R', the longest path.
        lag: 0 or 1.
    """

    scale: Array
    gap: Array
    reach: Array
    lag: int = eqx.field(static=True)

    def bound(self, time_step: Array, weight: Array | float = 1.0, power: float = 1.0):
        """(scale/weight · q^{ℓ − lag})^power on the clock t = ℓ·time_step."""
        scale = (self.scale / weight) ** power
        return GeometricBound(scale, 1 - self.gap, time_step, power, self.lag)

    def bounds(self, time_step: Array, weight: Array) -> dict[str, AbstractBound]:
        """Of the loss, of ‖r‖ = (loss/weight)^½, and of the distance travelled."""
        return {
            "loss": self.bound(time_step),
            "residual": self.bound(time_step, weight, 0.5),
            "distance": ConstantBound(self.reach),
        }


def displacement_decay(
    s: Array, ahead: Array, carried: Array, L: Array, mu_s: Array, loss0: Array
) -> tuple[Decay, Array]:
    """The decay of V_ℓ = f(θ_ℓ) + (carried/2s)‖θ_ℓ − θ_{ℓ−1}‖², and its δ.

    For methods with s∇f(θ_ℓ) = a d_ℓ − b(∇f(θ_ℓ) − ∇f(θ_{ℓ−1})) − ahead·d_{ℓ+1} in the
    displacements d_ℓ = θ_ℓ − θ_{ℓ−1}, d_0 = 0, and carried = a + bL: by the descent lemma

        V_{ℓ+1} ≤ V_ℓ − δ‖d_{ℓ+1}‖²,    δ = (ahead − carried)/s − L/2.

    If ‖∇f‖² ≥ 2μ_s f too, V_ℓ ≤ G(‖d_ℓ‖² + ‖d_{ℓ+1}‖²), G = max(ahead², carried²)/(μ_s s²) +
    carried/(2s), so V_{ℓ+2} ≤ q²V_ℓ with q² = G/(G + δ). The path is bounded without the rate:
    √V_ℓ ≤ P‖d_ℓ‖ + Q‖d_{ℓ+1}‖ with P = carried/(√(2μ_s) s) + √(carried/2s) and
    Q = ahead/(√(2μ_s) s), and √V_ℓ − √V_{ℓ+1} ≥ δ‖d_{ℓ+1}‖²/(2√V_ℓ), so that by the inequality of
    the means Σ‖d_ℓ‖ ≤ 2(P + Q)√V_0/δ. (Summing √(V_ℓ/δ) over the geometric decay instead, as one
    might, is longer by about 1/√(1 − q).)
    """
    delta = (ahead - carried) / s - L / 2
    good = jnp.where(delta > 0, delta, jnp.nan)
    G = jnp.maximum(ahead, carried) ** 2 / (mu_s * s**2) + carried / (2 * s)
    q = jnp.sqrt(G / (G + good))
    # 1 − q without cancellation: q² = 1 − δ/(G + δ).
    gap = good / (G + good) / (1 + q)
    P = carried / (jnp.sqrt(2 * mu_s) * s) + jnp.sqrt(carried / (2 * s))
    Q = ahead / (jnp.sqrt(2 * mu_s) * s)
    return Decay(loss0, gap, 2 * (P + Q) * jnp.sqrt(loss0) / good, 1), delta


def longest_velocity_step(alpha: Array, beta: Array, L: Array) -> Array:
    """The √s below which the energy of `velocity_decay` falls; NaN unless αβ < 1 and β > 0."""
    c = alpha * beta
    rest = jnp.where((c < 1) & (beta > 0), 1 - c, jnp.nan)
    trace, det = (1 + c) / (2 * alpha) + beta / (2 * rest), beta**2 / (4 * rest)
    return 2 / (L * (trace + jnp.sqrt(trace**2 - 4 * det)))


def velocity_level(s: Array, alpha: Array, beta: Array, loss0: Array, gradient0: Array) -> Array:
    """V_0/κ = f(θ_0) + β²‖∇f(θ_0)‖²/(2κ), below which `velocity_decay` keeps the loss.

    Along the segments between the iterates too: with F = f(θ_ℓ) + ⟨∇f(θ_ℓ), d⟩ + (L/2)‖d‖² the
    descent lemma gives f(θ_ℓ + τd) ≤ max(f(θ_ℓ), F) for 0 ≤ τ ≤ 1, and κF is among what is shown
    to be at most V_0. So L need only hold on {f ≤ V_0/κ}, by continuity in τ.
    """
    a = jnp.where(alpha * jnp.sqrt(s) < 1, 1 - alpha * jnp.sqrt(s), jnp.nan)
    rest = jnp.where(alpha * beta < 1, 1 - alpha * beta, jnp.nan)
    return loss0 + (beta * gradient0) ** 2 * a / (2 * rest)


def velocity_decay(
    s: Array, alpha: Array, beta: Array, L: Array, mu_s: Array, loss0: Array, gradient0: Array
) -> Decay:
    """The decay of IGAHD in the energy of ISEHD's theorem.

    With h = √s, a = 1 − αh, c = αβ < 1, κ = (1 − c)/a, d_ℓ = θ_ℓ − θ_{ℓ−1} and the velocity
    v_ℓ = d_ℓ/h + β∇f(θ_{ℓ−1}), IGAHD reads

        v_{ℓ+1} = (1 − αh)v_ℓ + ch∇f(θ_{ℓ−1}) − h∇f(θ_ℓ),    d_{ℓ+1} = h(v_{ℓ+1} − β∇f(θ_ℓ)),

    and V_ℓ = κf(θ_ℓ) + ½‖v_ℓ‖² + (cL/2a)‖d_ℓ‖² obeys, with (v, g) = (v_{ℓ+1}, ∇f(θ_ℓ)),

        V_{ℓ+1} ≤ V_ℓ − ⟨(v, g), P (v, g)⟩,    V_{ℓ+1} ≤ ⟨(v, g), N (v, g)⟩,
        P = (h/a)[α − hL(1 + c)/2, hβL/2; ·, (1 − c)β − hβ²L/2],
        N = [½ + M, κh/2 − Mβ; ·, κ/(2μ_s) − κhβ + Mβ²],    M = h²L/(2a),

    the first by the descent lemma, the second by ‖∇f‖² ≥ 2μ_s f as well. So V_{ℓ+1} ≤ V_ℓ/(1 + r)
    where 1/r is the largest eigenvalue of P⁻¹N, and with w = (1, −β)

        Σ‖d_ℓ‖ ≤ h √(wᵀP⁻¹w) √((1 + q)/(1 − q)) √V_0,    q = (1 + r)^{−1/2}.

    As h → 0 the rate and the path become those of ISEHD's theorem, for every β; the energy of
    `displacement_decay` asks for β < α/L.
    """
    h = jnp.sqrt(s)
    c = alpha * beta
    a = jnp.where(alpha * h < 1, 1 - alpha * h, jnp.nan)
    kappa = (1 - c) / a
    M = s * L / (2 * a)
    p11, p12 = (h / a) * (alpha - h * L * (1 + c) / 2), M * beta
    p22 = (h / a) * ((1 - c) * beta - h * beta**2 * L / 2)
    n11, n12 = 0.5 + M, kappa * h / 2 - M * beta
    n22 = kappa / (2 * mu_s) - kappa * h * beta + M * beta**2
    falls = h < longest_velocity_step(alpha, beta, L)
    det = jnp.where(falls, p11 * p22 - p12**2, jnp.nan)
    trace = (p22 * n11 + p11 * n22 - 2 * p12 * n12) / det
    root = jnp.sqrt(jnp.maximum(trace**2 - 4 * (n11 * n22 - n12**2) / det, 0))
    r = 2 / (trace + root)
    q = 1 / jnp.sqrt(1 + r)
    stride = h * jnp.sqrt((p22 + 2 * beta * p12 + beta**2 * p11) / det)
    start = kappa * loss0 + 0.5 * (beta * gradient0) ** 2
    # (1 + q)/(1 − q) = (1 + q)²/(1 − q²), and 1 − q² = r/(1 + r).
    reach = stride * (1 + q) * jnp.sqrt((1 + r) / r) * jnp.sqrt(start)
    return Decay(start / kappa, r / (1 + r), reach, 0)
