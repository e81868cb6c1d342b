"""Linear operators by how they know their spectrum."""

import abc
import math

import jax
import jax.numpy as jnp

from jaxdip._types import Array
from jaxdip.operators._base import AbstractLinearOperator
from jaxdip.operators._coordinates import eps_of
from jaxdip.operators._decomposition import (
    dense_pseudo_inverse,
    dense_rounding,
    dense_singular_values,
    matrix_by_columns,
)


# One program instead of eight, which is what it is without jit.
@jax.jit
def _least_above(values: Array, rounding: float) -> Array:
    """The smallest value above `rounding` times the largest; 0 if there is none."""
    above = values > rounding * jnp.max(values)
    smallest = jnp.min(jnp.where(above, values, jnp.full_like(values, math.inf)))
    return jnp.where(jnp.any(above), smallest, jnp.zeros_like(smallest))


class AbstractSpectralOperator(AbstractLinearOperator):
    """A linear operator that knows all its singular values."""

    @property
    @abc.abstractmethod
    def rounding(self) -> float:
        """The size of a singular value, relative to ‖A‖, up to which it counts as zero."""

    def norm(self) -> Array:
        """The largest singular value ‖A‖ (not its square)."""
        return jnp.max(self.singular_values())

    def sigma_min(self) -> Array:
        """σ_A, the smallest singular value above the threshold of `rank` (0 if A = 0)."""
        return _least_above(self.singular_values(), self.rounding)

    def rank(self) -> Array:
        """The number of singular values above `rounding`·‖A‖, an integer."""
        values = self.singular_values()
        return jnp.sum(values > self.rounding * jnp.max(values))


class AbstractClosedFormOperator(AbstractSpectralOperator):
    """A linear operator whose singular values have a closed form."""

    @property
    def rounding(self) -> float:
        """10·eps: the error of a closed form does not grow with the size of the operator."""
        return closed_form_rounding(self)

    def matrix(self) -> Array:
        """The dense matrix, by n applications of the operator (a ValueError beyond 2e8 entries)."""
        return matrix_by_columns(self)


class AbstractDenseSpectrum(AbstractSpectralOperator):
    """A linear operator whose spectrum is that of its dense matrix.

    Where signals or data are complex and the operator is not complex-linear, that is the matrix
    between real coordinates. Each method raises a ValueError beyond 2e8 entries.
    """

    @property
    def rounding(self) -> float:
        """eps·max(m, n), as NumPy counts the rank."""
        return dense_rounding(self)

    def singular_values(self) -> Array:
        """All singular values in descending order, by a dense decomposition."""
        return dense_singular_values(self)

    def pseudo_inverse(self, y: Array) -> Array:
        """A⁺ y by a dense decomposition, with the threshold of `rank`."""
        return dense_pseudo_inverse(self, y)


class AbstractMatrixFreeOperator(AbstractDenseSpectrum):
    """A linear operator that is given by its action; its matrix is built column by column."""

    def matrix(self) -> Array:
        """The dense matrix, by n applications of the operator (a ValueError beyond 2e8 entries)."""
        return matrix_by_columns(self)


def closed_form_rounding(operator: AbstractLinearOperator) -> float:
    """10·eps, relative to ‖A‖."""
    return 10 * eps_of(operator.in_structure)
