"""The ℓ_q loss for q > 1, and the ℓ₁ loss."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdip._types import Array
from jaxdip.losses._base import AbstractDesingularizer, AbstractLoss
from jaxdip.losses._numbers import check_pair, check_values, concrete, parameter, real_dtype
from jaxdip.losses._power_desingularizer import PowerDesingularizer


class Lq(AbstractLoss):
    """(1/q) Σ |v_i − y_i|^q, q > 1.

    ψ(s) = (q s)^{1/q}/K with K = min(1, m^{(2−q)/(2q)}) for m entries. The worst residual has one
    entry for q < 2, and equal entries for q > 2. For q < 2 the gradient is only Hölder at 0, so
    `smooth` is False there (and while q is traced, when it cannot be known).

    Args:
        q: the exponent, a scalar > 1 (a number: a new q does not recompile).

    Raises:
        ValueError: if q ≤ 1 or is not a scalar.
    """

    q: Array
    takes_complex: ClassVar[bool] = False
    fits_data: ClassVar[bool] = True

    def __init__(self, q: ArrayLike):
        self.q = parameter(
            q, "q", lambda q: (q > 1) & (q < float("inf")), "above 1 and finite (for 1 use L1)"
        )

    @property
    def smooth(self) -> bool:
        """q ≥ 2."""
        known = concrete(self.q)
        return known is not None and bool(np.all(known >= 2))

    def __call__(self, v: Array, y: Array) -> Array:
        """(1/q) Σ |v_i − y_i|^q."""
        check_pair(v, y, takes_complex=False)
        r = v - y
        q = self.q.astype(r.dtype)
        return jnp.sum(jnp.abs(r) ** q) / q

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = (q s)^{1/q}/K, with K of the number of entries of y."""
        q = self.q.astype(real_dtype(y))
        log_K = jnp.minimum(0.0, (2.0 - q) / (2.0 * q) * float(np.log(jnp.size(y))))
        return PowerDesingularizer(q ** (1.0 / q) * jnp.exp(-log_K), 1.0 / q)

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite real numbers."""
        check_values(y, takes_complex=False)


class L1(AbstractLoss):
    """Σ |v_i − y_i|: sharp, ψ(s) = s, and not smooth.

    Outside the hypotheses of the convergence theorems (the gradient jumps): the flow would end in
    finite time, a descent with a fixed step oscillates. At a zero residual the derivative is 0.
    """

    takes_complex: ClassVar[bool] = False
    fits_data: ClassVar[bool] = True
    smooth: ClassVar[bool] = False

    def __call__(self, v: Array, y: Array) -> Array:
        """Σ |v_i − y_i|."""
        check_pair(v, y, takes_complex=False)
        r = v - y
        # JAX differentiates |r| to 1 at 0; the sign gives the subgradient of least norm.
        return jnp.sum(r * jax.lax.stop_gradient(jnp.sign(r)))

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = s, for the gradient where no residual vanishes, and a subgradient elsewhere."""
        one = jnp.ones((), real_dtype(y))
        return PowerDesingularizer(one, one, domain="everywhere; the loss is not differentiable")

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite real numbers."""
        check_values(y, takes_complex=False)
