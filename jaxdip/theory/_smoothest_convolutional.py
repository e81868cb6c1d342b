"""Compressive sensing by a two-layer convolutional network: Theorems 2 and 3."""

import equinox as eqx
import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._types import Array, Float, RealScalar
from jaxdip.theory._certificate import Certificate, not_applicable
from jaxdip.theory._scaling_law import ScalingLaw, law
from jaxdip.theory._smoothest_linear import smoothest_linear

_THEOREM = "smoothest approximation by a convolutional network"
_PAPER = "Heckel & Soltanolkotabi, arXiv 2005.03991"


class ConvolutionalRecovery(eqx.Module):
    """What the theorem states of G(C) = ReLU(U C) v fitted to m Gaussian measurements.

    It all hangs on a width whose constant is not given, so nothing here is a promise about a
    network of given width: `certificate` is 'not applicable'.

    Attributes:
        width: the law k ≳ κ²⁶ m/ξ⁸.
        largest_accuracy: ξ ≤ 1/√(8 log(2n/δ)).
        init_std: ω, the standard deviation of C0.
        largest_step: η ≤ m/(4n‖U‖²).
        error: ξ‖x*‖ + (C Σ c_i²/s_i² Σ_{i>2m/3} s_i²)^½ for all sufficiently late iterations.
        probability: 1 − 3e^{−m/6} − n e^{−k²} − δ at k = ∞.
    """

    width: ScalingLaw
    largest_accuracy: Quantity
    init_std: Quantity
    largest_step: Quantity
    error: Quantity
    probability: Quantity
    obstacle: str | None = eqx.field(static=True, default=None)

    def certificate(self, width: int) -> Certificate:
        """Not applicable, whatever the width, with the reason."""
        if self.obstacle is not None:
            return not_applicable(_THEOREM, self.width.source, self.obstacle)
        return self.width.certificate(width)


def convolutional_width(
    m: int, accuracy: RealScalar, *, kappa: RealScalar | None = None
) -> ScalingLaw:
    """k ≳ κ²⁶ m/ξ⁸ channels (Theorem 3), or k ≳ C_u m/ξ⁸ for a fixed kernel u (Theorem 2).

    κ = ‖U‖/s_n, with s_n² the least eigenvalue of Σ(U). Neither C nor C_u is given.

    Args:
        m: measurements.
        accuracy: ξ in ]0, 1].
        kappa: κ, for Theorem 3; without it the law of Theorem 2, which compares only networks of
            the same kernel.

    Reference: (12) and (21) of arXiv 2005.03991.
    """
    xi = jnp.asarray(accuracy, jnp.result_type(float))
    if kappa is None:
        return law(f"{_THEOREM}, one kernel", f"{_PAPER}, Theorem 2", "m/ξ⁸", m / xi**8)
    value = jnp.asarray(kappa, xi.dtype) ** 26 * m / xi**8
    return law(_THEOREM, f"{_PAPER}, Theorem 3", "κ²⁶ m/ξ⁸", value)


def convolutional_recovery(
    weights: Float[Array, " n"],
    coefficients: Float[Array, " n"],
    m: int,
    *,
    accuracy: RealScalar,
    failure: RealScalar,
    kernel_norm: RealScalar,
    data_norm: RealScalar,
) -> ConvolutionalRecovery:
    """The statement of Theorem 3 for one U and one signal, with all that it leaves open typed so.

    The bound on the error is that of (23); (13), in the statement of Theorem 2, squares it with
    ξ²‖x*‖² added inside. Its C is that of `smoothest_linear`, and the probability that of its
    proof. The printed law of k has no constant.

    Args:
        weights: s, the square roots of the eigenvalues of Σ(U), positive, in any order: of
            `analysis.circulant_weights` for a convolution.
        coefficients: c_i = ⟨w_i, x*⟩ in the same order, w_i the eigenvectors of Σ(U): of
            `analysis.trigonometric_basis` for a convolution.
        m: measurements, 12 ≤ m ≤ n/9 (the bound on m for which the singular values of A used in the
            proof are certain; the printed one is not legible).
        accuracy: ξ.
        failure: δ.
        kernel_norm: ‖U‖.
        data_norm: ‖y‖.

    Reference: Theorem 3 of arXiv 2005.03991.
    """
    s, c = jnp.asarray(weights), jnp.asarray(coefficients)
    order = jnp.argsort(-s)
    linear = smoothest_linear(s[order], c[order], m)
    dtype, n = s.dtype, s.shape[0]
    xi, delta = jnp.asarray(accuracy, dtype), jnp.asarray(failure, dtype)
    U, y = jnp.asarray(kernel_norm, dtype), jnp.asarray(data_norm, dtype)
    largest = 1 / jnp.sqrt(8 * jnp.log(2 * n / delta))
    why = linear.obstacle
    if why is None and 9 * m > n:
        why = f"it needs m <= n/9, got m = {m} and n = {n}"
    fits = (xi <= largest) & linear.applicable & (why is None)
    late = (
        jnp.nan
        if linear.obstacle is not None
        else linear.bound("limit signal", jnp.asarray(jnp.inf, dtype))
    )
    error = jnp.where(fits, xi * jnp.linalg.norm(c) + late, jnp.nan)
    chance = 1 - 3 * jnp.exp(-jnp.asarray(m / 6, dtype)) - delta
    assumed = "if the network is wide enough, by an unknown constant"
    return ConvolutionalRecovery(
        width=convolutional_width(m, xi, kappa=U / jnp.min(s)),
        largest_accuracy=Quantity(largest, "1/√(8 log(2n/δ))", "closed form"),
        init_std=Quantity(xi * y / (2 * n**0.5 * U), "ω = ξ‖y‖/(2√n ‖U‖)", "closed form"),
        largest_step=Quantity(m / (4 * n * U**2), "m/(4n‖U‖²)", "closed form"),
        error=Quantity(error, assumed, "assumed"),
        probability=Quantity(jnp.where(fits, chance, jnp.nan), assumed, "assumed"),
        obstacle=why,
    )
