"""Cross entropy: of probabilities entry by entry, and of logits over classes."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdip._types import Array
from jaxdip.losses._base import AbstractDesingularizer, AbstractLoss
from jaxdip.losses._entropy import divergence, log_divergence
from jaxdip.losses._numbers import check_pair, check_values, concrete, parameter, real_dtype, refuse
from jaxdip.losses._power_desingularizer import PowerDesingularizer


class CrossEntropy(AbstractLoss):
    """Bernoulli: Σ y_i ln(y_i/v_i) + (1 − y_i) ln((1 − y_i)/(1 − v_i)), the entropy subtracted.

    Predictions are probabilities v in ]0, 1[ and targets are y in [0, 1]; 0 ln 0 = 0, so that a
    prediction which equals a target of 0 or 1 costs nothing. Elsewhere outside ]0, 1[ the loss is
    +inf with derivative 0, and such a run counts as diverged. It is strongly convex with modulus
    μ = min_i (y_i^{1/3} + (1 − y_i)^{1/3})³ in [1, 4], so ψ(s) = √(2s/μ); tight where y = 1/2.
    """

    takes_complex: ClassVar[bool] = False
    fits_data: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def __call__(self, v: Array, y: Array) -> Array:
        """Σ y_i ln(y_i/v_i) + (1 − y_i) ln((1 − y_i)/(1 − v_i))."""
        check_pair(v, y, takes_complex=False)
        entries = divergence(v, y) + divergence(1.0 - v, 1.0 - y)
        # Where one half is infinite, this cuts off the derivative of the other half.
        return jnp.sum(jnp.where(jnp.isfinite(entries), entries, jnp.inf))

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = √(2s/μ), for targets in ]0, 1[.

        Raises:
            ValueError: if a target is 0 or 1: its minimiser lies on the edge of the domain, where
                the derivative is not 0, so that a flow steps over the edge, to an infinite loss.
        """
        self.check_data(y)
        values = concrete(y)
        if values is not None and not np.all((values > 0) & (values < 1)):
            raise ValueError(
                "targets of 0 or 1 have their minimiser on the edge of the domain, where the "
                "derivative is not 0, so no theorem follows the dynamics over it; smooth the "
                "targets"
            )
        modulus = jnp.min((jnp.cbrt(y) + jnp.cbrt(1.0 - y)) ** 3)
        inside = jnp.all((y > 0) & (y < 1))
        return PowerDesingularizer(
            jnp.sqrt(2.0 / modulus),
            0.5,
            radius=jnp.where(inside, jnp.inf, 0.0).astype(real_dtype(y)),
            domain="probabilities, 0 < v < 1, with targets in ]0, 1[",
        )

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite real numbers in [0, 1]."""
        values = check_values(y, takes_complex=False)
        if values is not None:
            refuse((values < 0) | (values > 1), "in [0, 1]", "rescale them to probabilities")


class SoftmaxCrossEntropy(AbstractLoss):
    """Σ KL(q ‖ p), p = softmax(v) over the last axis: cross entropy with the entropy subtracted.

    The predictions v are logits, the targets q are probabilities that sum to 1 over the last axis.
    With min p ≥ δ and δ ≤ min q, KL(q ‖ p) ≤ ‖p − q‖²/(2δ), and the gradient is p − q, so
    ψ(s) = √(2s/δ); tight when two classes of a target have probability δ. The condition on p is
    guaranteed on the sublevel set L < r0 = min q ln(q/δ) + (1 − q) ln((1 − q)/(1 − δ)), the radius
    of the desingularizer: grouping all other classes into one cannot increase the divergence.

    The minimisers are a line for each target (add a constant to its logits), so what is said of
    distances holds for the distance to that line.

    Args:
        delta: δ, a scalar in ]0, 1/2[, smaller than every target that is to be fitted.

    Raises:
        ValueError: if δ is outside ]0, 1/2[ or is not a scalar.

    Reference: own derivation from y ln(y/p) − y + p ≤ (p − y)²/(2 min(p, y)).
    """

    delta: Array
    takes_complex: ClassVar[bool] = False
    fits_data: ClassVar[bool] = False
    smooth: ClassVar[bool] = True

    def __init__(self, delta: ArrayLike):
        self.delta = parameter(delta, "delta", lambda d: (d > 0) & (d < 0.5), "in ]0, 1/2[")

    def __call__(self, v: Array, y: Array) -> Array:
        """Σ KL(q ‖ softmax(v)), here q = y."""
        check_pair(v, y, takes_complex=False)
        return _softmax_divergence(v, y)

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = √(2s/δ) on L < r0.

        Raises:
            ValueError: if a target is 0 (one-hot targets among them): the infimum 0 is not
                attained, and ‖∇L‖ may be as small as 1 − e^{−L}, whose reciprocal has no primitive
                that vanishes at 0. Or if δ is not smaller than every target.
        """
        self.check_data(y)
        delta = self.delta.astype(real_dtype(y))
        self._check_targets(y)
        above = y > delta
        q = jnp.where(above, y, 1.0)
        split = divergence(delta, q) + divergence(1.0 - delta, 1.0 - q)
        return PowerDesingularizer(
            jnp.sqrt(2.0 / delta),
            0.5,
            radius=jnp.min(jnp.where(above, split, 0.0)),
            domain="softmax probabilities of at least delta, as they are wherever L < radius",
        )

    def check_data(self, y: Array) -> None:
        """Refuses targets that are not probabilities over the last axis."""
        if jnp.ndim(y) == 0 or jnp.shape(y)[-1] < 2:
            raise ValueError(
                f"targets have at least two classes on the last axis, got shape {jnp.shape(y)}; for"
                " one probability an entry use CrossEntropy"
            )
        values = check_values(y, takes_complex=False)
        if values is not None:
            refuse((values < 0) | (values > 1), "in [0, 1]", "normalise them to probabilities")
            miss = np.abs(values.astype(float).sum(-1) - 1.0)
            rounding = 8.0 * float(np.finfo(values.dtype).eps) * values.shape[-1]
            refuse(miss > rounding, "summing to 1 over the last axis", "normalise them")

    def _check_targets(self, y: Array) -> None:
        values, delta = concrete(y), concrete(self.delta)
        if values is None:
            return
        if np.any(values == 0):
            raise ValueError(
                "softmax cross entropy with a target of 0 (one-hot) has no desingularizing"
                " function: its infimum is not attained (argmin is empty) and ∫ ds/(1 − e^(−s))"
                " diverges at 0; smooth the targets"
            )
        if delta is not None and np.any(values <= delta):
            raise ValueError(
                f"delta must be smaller than every target, got {delta} and a target"
                f" {values.min():.3g}; take a smaller delta"
            )


@jax.custom_jvp
def _softmax_divergence(v: Array, q: Array) -> Array:
    return jnp.sum(log_divergence(jax.nn.log_softmax(v, axis=-1), q))


@_softmax_divergence.defjvp
def _softmax_divergence_jvp(primals, tangents):
    (v, q), (v_dot, q_dot) = primals, tangents
    log_p = jax.nn.log_softmax(v, axis=-1)
    positive = q > 0
    by_q = jnp.where(positive, jnp.log(jnp.where(positive, q, 1.0)) - log_p, 0.0)
    by_v = jnp.exp(log_p) * jnp.sum(q, axis=-1, keepdims=True) - q
    return _softmax_divergence(v, q), jnp.sum(by_v * v_dot) + jnp.sum(by_q * q_dot)
