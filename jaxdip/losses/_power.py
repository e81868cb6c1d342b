"""The radial power loss, flatter than a square at its minimum."""

from typing import ClassVar

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdip._types import Array
from jaxdip.losses._base import AbstractDesingularizer, AbstractLoss
from jaxdip.losses._numbers import abs2, check_pair, check_values, parameter, real_dtype
from jaxdip.losses._power_desingularizer import PowerDesingularizer


class Power(AbstractLoss):
    """η(‖v − y‖²) with η(s) = s^{p+1}/(2(p+1)); p = 0 is ½ ‖v − y‖².

    ‖∇L‖ = ‖v − y‖^{2p+1} and ψ(L(v)) = ‖v − y‖ exactly, so ψ(s) = (2(p+1) s)^{1/(2(p+1))}: the
    flow's loss decays like t^{−(p+1)/p}. Complex predictions are compared by |·|².

    Args:
        p: the excess power, a scalar ≥ 0 (a number: a new p does not recompile).

    Raises:
        ValueError: if p < 0 or is not a scalar.

    Reference: the losses η(‖v − y‖²) of Fadili's talk *Iterative regularization of NN-based inverse
    problems via gradient flow* (2024), whose experiments use p = 0.2.
    """

    p: Array
    takes_complex: ClassVar[bool] = True
    fits_data: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def __init__(self, p: ArrayLike):
        self.p = parameter(p, "p", lambda p: (p >= 0) & (p < float("inf")), "at least 0 and finite")

    def __call__(self, v: Array, y: Array) -> Array:
        """‖v − y‖^{2(p+1)} / (2(p+1))."""
        check_pair(v, y, takes_complex=True)
        square = jnp.sum(abs2(v - y))
        power = self.p.astype(square.dtype) + 1.0
        return square**power / (2.0 * power)

    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ(s) = (2(p+1) s)^{1/(2(p+1))}."""
        double = 2.0 * (self.p.astype(real_dtype(y)) + 1.0)
        return PowerDesingularizer(double ** (1.0 / double), 1.0 / double)

    def check_data(self, y: Array) -> None:
        """Refuses data that are not finite floating numbers, real or complex."""
        check_values(y, takes_complex=True)
