"""The derivative of any operator at a point, matrix-free."""

import equinox as eqx
import jax

from jaxdip._types import Array
from jaxdip.operators._base import AbstractOperator
from jaxdip.operators._coordinates import conform
from jaxdip.operators._spectral import AbstractMatrixFreeOperator


class Linearized(AbstractMatrixFreeOperator):
    """J_F(x): h ↦ F'(x) h by forward differentiation, its adjoint by reverse differentiation.

    Between complex arrays the derivative is linear over the reals only (F need not be holomorphic),
    and its singular values are those between real coordinates.
    """

    operator: AbstractOperator
    point: Array
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, operator: AbstractOperator, point: Array):
        """Differentiate `operator` at `point`; a ValueError or TypeError if it is no signal."""
        self.operator = operator
        self.point = conform(point, operator.in_structure, "linearize")
        self.in_structure = operator.in_structure

    def __call__(self, x: Array) -> Array:
        """F'(point) x."""
        x = conform(x, self.in_structure, "Linearized")
        return jax.jvp(self.operator.__call__, (self.point,), (x,))[1]

    def adjoint(self, y: Array) -> Array:
        """F'(point)* y, for the real inner product."""
        y = conform(y, self.out_structure, "Linearized.adjoint")
        _, pull_back = jax.vjp(self.operator.__call__, self.point)
        # JAX pairs cotangents without conjugation; conjugating twice gives the adjoint.
        return pull_back(y.conj())[0].conj()

    @property
    def complex_linear(self) -> bool:
        """False: F need not be holomorphic."""
        return False

    @property
    def orthonormal_rows(self) -> bool:
        """False: it would depend on the numbers."""
        return False
