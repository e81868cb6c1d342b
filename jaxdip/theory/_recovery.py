"""How far the recovered signal ends from the true one: optimisation, noise, approximation."""

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._types import Array, Float
from jaxdip.theory._certificate import AbstractBound, Certificate, Condition, not_applicable

_SOURCE = "arXiv 2403.05395, (8); the slides' form has other units and is not used"


class RecoveryBound(AbstractBound):
    """ψ(bound on the loss)/λ + (1 + ‖A‖/λ) dist + ‖ε‖/λ.

    Attributes:
        residual: a bound on ‖y(t) − y‖.
        injectivity: λ, the restricted injectivity.
        approximation: (1 + ‖A‖/λ) dist(x̄, Σ).
        noise: ‖ε‖/λ.
    """

    residual: AbstractBound
    injectivity: Float[Array, ""]
    approximation: Float[Array, ""]
    noise: Float[Array, ""]

    def __call__(self, t: Array) -> Array:
        """The bound on ‖x(t) − x̄‖ at time t."""
        return self.optimisation(t) + self.approximation + self.noise

    def optimisation(self, t: Array) -> Array:
        """The part that vanishes with time."""
        return self.residual(t) / self.injectivity


def with_recovery(
    certificate: Certificate,
    *,
    injectivity: Quantity,
    norm: Quantity,
    noise_norm: Quantity,
    distance: Quantity,
) -> Certificate:
    """The certificate with the bound 'signal' on ‖x(t) − x̄‖, split in its three parts.

        ‖x(t) − x̄‖ ≤ ψ(Ψ⁻¹(ξ(t)))/λ + (1 + ‖A‖/λ) dist(x̄, Σ) + ‖ε‖/λ.

    Args:
        certificate: of any of the dynamics; its bound 'residual' is the optimisation part.
        injectivity: λ = λ_min(A; T_Σ) > 0; for m ≥ n and rank n it is at least σ_A. For m < n and a
            Jacobian of full row rank it is 0 and the bound says nothing, because the tangent space
            is all of R^n.
        norm: ‖A‖.
        noise_norm: ‖ε‖.
        distance: dist(x̄, Σ).

    Returns:
        The certificate, not applicable where λ = 0, where one of the others is no number, or where
        y is not the loss's only minimiser. It is no stronger than the weakest of the four.
    """
    lam = injectivity.value
    if certificate.obstacle is not None:
        return certificate
    if "residual" not in certificate.bounds:
        why = "the loss does not bound the distance to the data, which are not its only minimiser"
        return not_applicable(f"{certificate.theorem}, recovery", certificate.source, why)
    zero = Quantity(jnp.zeros_like(lam), "zero", "closed form")
    hypotheses = (
        Condition(
            "λ > 0",
            zero,
            injectivity,
            otherwise="A is not injective on the tangent set: the recovery bound is vacuous",
        ),
        *(
            Condition(
                f"0 ≤ {name}", zero, _from_above(q), strict=False, otherwise=f"{name} is {no}"
            )
            for name, q, no in (
                ("‖A‖", norm, "no number"),
                ("‖ε‖", noise_norm, "no number"),
                ("dist", distance, "no distance"),
            )
        ),
    )
    bound = RecoveryBound(
        residual=certificate.bounds["residual"],
        injectivity=lam,
        approximation=(1 + norm.value / lam) * distance.value,
        noise=noise_norm.value / lam,
    )
    return Certificate(
        theorem=f"{certificate.theorem}, recovery",
        kind=certificate.kind,
        source=f"{certificate.source}; {_SOURCE}",
        conditions=(*certificate.conditions, *hypotheses),
        numbers={
            **certificate.numbers,
            "λ": injectivity,
            "‖A‖": norm,
            "‖ε‖": noise_norm,
            "dist": distance,
        },
        bounds={**certificate.bounds, "signal": bound},
    )


def _from_above(q: Quantity) -> Quantity:
    """The number where it stands on the larger side: an estimate from above is then a bound."""
    return Quantity(q.value, q.how, "bound" if q.evidence == "estimate from above" else q.evidence)
