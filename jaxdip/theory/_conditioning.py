"""How wide a two-layer network must be for its Jacobian to be well conditioned at the start."""

import math

import jax.numpy as jnp
import numpy as np

from jaxdip._evidence import Quantity
from jaxdip._tree import is_concrete
from jaxdip._types import Array, RealScalar
from jaxdip.generators import AbstractActivation, activation

_NODES = 80


def conditioning_failure(
    width: int,
    n: int,
    *,
    activation: str | AbstractActivation = "sigmoid",
    output_bound: float = 1.0,
    both: bool = False,
    fraction: RealScalar = 0.5,
) -> Quantity:
    """A bound on the probability that σ_n(J(θ0)) < τ C over the draws of a two-layer network.

    For factor 1/√k, ‖u‖ = 1, W iid N(0, 1) and V with iid columns of identity covariance and
    entries within ±D. With C = C_φ' where W trains alone, by the matrix Chernoff bound,

        P ≤ n exp(−c k),   c = (1 − τ² + τ² ln τ²) C_φ'²/(B₁² D² n),

    whose base is e^{−3/4}/4^{−1/4} = 0.668 at τ = ½. With C = √(C_φ'² + C_φ²) where both layers
    train, the lower tail of the mean of φ² (a mean of non-negative variables) is added:

        P ≤ n exp(−c k) + exp(−k (1 − τ²)² C_φ⁴/(2 E φ⁴)).

    Args:
        width: k.
        n: entries of the signal.
        activation: φ.
        output_bound: D, see `generators.OUTPUT_BOUND`.
        both: both layers train.
        fraction: τ in ]0, 1[; the papers take ½.

    Raises:
        ValueError: for an activation that is not smooth, or numbers out of range.

    Reference: J. Tropp, "User-friendly tail bounds for sums of random matrices", arXiv 1004.4389,
    Corollary 5.2; S. Boucheron, G. Lugosi & P. Massart, *Concentration Inequalities* (2013),
    Exercise 2.9. The papers say k/log k ≳ n log n.
    """
    rates = _tail_rates(n, activation, output_bound, both, fraction)
    k = jnp.asarray(float(width))
    tail = n * jnp.exp(-rates[0] * k)
    if both:
        tail = tail + jnp.exp(-rates[1] * k)
    return Quantity(jnp.minimum(tail, 1), "matrix Chernoff bound of P(σ_n(J) < τ C)", "bound")


def conditioning_width(
    n: int,
    failure: RealScalar,
    *,
    activation: str | AbstractActivation = "sigmoid",
    output_bound: float = 1.0,
    both: bool = False,
    fraction: RealScalar = 0.5,
) -> Quantity:
    """The width above which σ_n(J(θ0)) ≥ τ C except with probability `failure`.

    k = ln(n/p)/c with c of `conditioning_failure`: 2.48 (B₁D/C_φ')² n ln(n/p) at τ = ½, which is
    3.5 n ln(n/p) for the sigmoid and D = 1. For both layers, the larger of what the two terms need
    for p/2 each.

    Args:
        n: entries of the signal.
        failure: p in ]0, 1[.
        activation: φ.
        output_bound: D.
        both: both layers train.
        fraction: τ.
    """
    rates = _tail_rates(n, activation, output_bound, both, fraction)
    p = jnp.asarray(failure, rates[0].dtype)
    check_probability(failure)
    if not both:
        k = jnp.log(n / p) / rates[0]
    else:
        k = jnp.maximum(jnp.log(2 * n / p) / rates[0], jnp.log(2 / p) / rates[1])
    return Quantity(k, "matrix Chernoff bound solved for k", "bound")


def _tail_rates(n, phi, output_bound, both, fraction) -> tuple[Array, Array]:
    """The exponents per unit of k, of the Chernoff bound and of the mean of φ²."""
    phi = smooth_activation(phi)
    if n < 1:
        raise ValueError(f"n is the number of entries of the signal, at least 1, got {n}")
    if is_concrete(fraction) and not 0 < float(fraction) < 1:
        raise ValueError(f"fraction lies between 0 and 1, got {fraction}")
    if not 0 < output_bound < math.inf:
        raise ValueError(f"output_bound bounds the entries of V, positive, got {output_bound}")
    square = jnp.asarray(fraction, jnp.result_type(float)) ** 2
    shrink = 1 - square + square * jnp.log(square)
    chernoff = shrink * phi.C_dphi**2 / (phi.sup_slope**2 * output_bound**2 * n)
    second = (1 - square) ** 2 * phi.C_phi**4 / (2 * _fourth_moment(phi)) if both else 0 * square
    return chernoff, second


def _fourth_moment(phi: AbstractActivation) -> Array:
    """E φ(X)⁴ by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    x = jnp.asarray(nodes, jnp.result_type(float))
    w = jnp.asarray(weights / math.sqrt(2 * math.pi), x.dtype)
    return jnp.sum(w * phi(x) ** 4)


def smooth_activation(phi: str | AbstractActivation) -> AbstractActivation:
    """φ, refused where the theorems say nothing."""
    phi = activation(phi)
    if not phi.smooth:
        raise ValueError(
            f"the slope of {phi.name!r} is not Lipschitz, so the theorem says nothing; take one of "
            "sigmoid, tanh, softplus, gelu, silu, erf, sin, or SmoothRectifier"
        )
    return phi


def check_probability(p: RealScalar) -> None:
    """Refuses what is no probability strictly between 0 and 1."""
    if is_concrete(p) and not 0 < float(p) < 1:
        raise ValueError(f"failure is a probability between 0 and 1, got {p}")
