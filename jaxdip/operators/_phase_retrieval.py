"""Measurements that lose the phase."""

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array
from jaxdip.operators._base import AbstractLinearOperator, AbstractOperator
from jaxdip.operators._linearized import Linearized


class PhaseRetrieval(AbstractOperator):
    """F(x) = |A x|², entry by entry, for a linear A, real or complex; the data are real.

    J_F(x) h = 2 Re(conj(A x) ⊙ A h). A signal is determined up to a sign (real signals) or a global
    phase (complex ones) at best.
    """

    operator: AbstractLinearOperator
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, operator: AbstractLinearOperator):
        """Square the magnitudes of what `operator` measures; a TypeError if it is not linear."""
        if not isinstance(operator, AbstractLinearOperator):
            raise TypeError(
                f"PhaseRetrieval takes a linear operator, got {type(operator).__name__}"
            )
        self.operator = operator
        self.in_structure = operator.in_structure

    def __call__(self, x: Array) -> Array:
        """|A x|², of the shape of A's data."""
        image = self.operator(x)
        return image.real**2 + image.imag**2 if jnp.iscomplexobj(image) else image**2

    def linearize(self, x: Array) -> AbstractLinearOperator:
        """h ↦ 2 Re(conj(A x) ⊙ A h), matrix-free."""
        return Linearized(self, x)
