"""What a run's own Jacobians certify: a bound without the lazy assumption, and early warnings."""

import equinox as eqx
import jax.numpy as jnp

from jaxdip._types import Array, Float, RealScalar
from jaxdip.losses import AbstractDesingularizer
from jaxdip.problem.observables import AbstractObservable, Snapshot
from jaxdip.theory._ground import Ground, pull


def a_posteriori_loss(
    psi: AbstractDesingularizer, loss0: RealScalar, ts: Array, sigma_min: Array
) -> Float[Array, " T"]:
    """L_y(y(t)) ≤ Ψ⁻¹(∫₀ᵗ σ_min(A J(θ(s)))² ds + Ψ(L0)) along a gradient flow, at its records.

    No radius and no laziness is asked for: only the smallest singular value that the run really
    met. It is an estimate, not a proof: between two records the smaller of the two stands for all
    between (record densely), and a σ_min by Krylov steps is itself an estimate from above, which
    puts the bound too low: record `SigmaMin(lower=True)`, which is 0 there. μ²/4 of the theorem is
    a lower bound of the integrand.

    Args:
        psi: the loss's desingularizing function.
        loss0: L0, at ts[0].
        ts: the records' times, shape (T,), increasing.
        sigma_min: σ_min of A J there, as `analysis.SigmaMin` records it, shape (T,).

    Raises:
        ValueError: if the shapes differ.
    """
    ts, sigma = jnp.asarray(ts), jnp.asarray(sigma_min)
    if ts.ndim != 1 or ts.shape != sigma.shape:
        raise ValueError(f"ts and sigma_min are two equal lists, got {ts.shape} and {sigma.shape}")
    least = jnp.minimum(sigma[1:], sigma[:-1]) ** 2
    grown = jnp.concatenate([jnp.zeros(1, ts.dtype), jnp.cumsum(least * jnp.diff(ts))])
    loss0 = jnp.asarray(loss0, ts.dtype)
    return jnp.minimum(psi.Psi_inv(grown + psi.Psi(loss0)), loss0)


class StillKept(AbstractObservable):
    """σ(θ(t))/σ(θ0): above ½ the theorem's pull still holds; below, it no longer describes the run.

    σ is the singular value on which the ground stands: σ_n(J), σ_r(P J) or σ_r(F' J), less what
    rounding may have added to it.

    Attributes:
        base: the certificate's ground, at θ0.
    """

    base: Ground

    def __call__(self, snapshot: Snapshot) -> Array:
        """The ratio."""
        now, _ = pull(snapshot.problem, snapshot.generator(), self.base.kind)
        return now.value / self.base.sigma.value.astype(now.value.dtype)


class BallUsed(AbstractObservable):
    """‖θ(t) − θ0‖/R: below 1 the run is inside the ball on which the theorem argues.

    Attributes:
        radius: R, such as `Ground.radius.value`.
    """

    radius: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def __call__(self, snapshot: Snapshot) -> Array:
        """The ratio."""
        moved = snapshot.distance()
        return moved / self.radius.astype(moved.dtype)
