"""What an operator is: the contract that every forward map of this package meets."""

import abc
import math

import equinox as eqx
import jax
from equinox import AbstractVar

from jaxdip._types import Array, RealScalar


class AbstractOperator(eqx.Module):
    """A forward map F, from signals of one shape to observations of another.

    An operator is a pytree: its numbers are array leaves, so `jax.vmap` runs over a batch of random
    operators; its shapes are static. `in_structure` says which arrays it takes (their shape and
    dtype). A real operator also takes complex signals only where its docstring says so.

    Adjoints are taken for the real inner product Re⟨x, x'⟩ = Re Σ conj(x_i) x'_i. For a
    complex-linear operator between complex spaces this is the Hermitian adjoint; for an operator
    that takes real signals to complex data (the Fourier transform of a real image) it is the real
    part of the Hermitian adjoint, which is what the gradient of a real loss needs.
    """

    in_structure: AbstractVar[jax.ShapeDtypeStruct]

    @abc.abstractmethod
    def __call__(self, x: Array) -> Array:
        """F(x)."""

    @abc.abstractmethod
    def linearize(self, x: Array) -> "AbstractLinearOperator":
        """The derivative J_F(x) as a linear operator (the operator itself where it is linear)."""

    @property
    def out_structure(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of the observation."""
        return jax.eval_shape(self.__call__, self.in_structure)

    @property
    def n(self) -> int:
        """The number of entries of a signal."""
        return math.prod(self.in_structure.shape)

    @property
    def m(self) -> int:
        """The number of entries of an observation."""
        return math.prod(self.out_structure.shape)


class AbstractLinearOperator(AbstractOperator):
    """A linear forward map A, with what the theorems ask of it.

    σ_A is the *smallest non-zero* singular value. Norms are norms, never their squares.
    """

    @abc.abstractmethod
    def adjoint(self, y: Array) -> Array:
        """A* y, for the real inner product (see `AbstractOperator`)."""

    @abc.abstractmethod
    def matrix(self) -> Array:
        """The dense matrix, shape (m, n), that acts on flattened signals."""

    @abc.abstractmethod
    def singular_values(self) -> Array:
        """All min(m, n) singular values, in descending order, zeros included."""

    @abc.abstractmethod
    def norm(self) -> RealScalar:
        """The largest singular value ‖A‖ (not its square)."""

    @abc.abstractmethod
    def sigma_min(self) -> RealScalar:
        """σ_A, the smallest singular value above the rounding threshold of `rank`."""

    @abc.abstractmethod
    def rank(self) -> RealScalar:
        """The number of singular values above eps·max(m, n)·‖A‖, as NumPy counts them."""

    @abc.abstractmethod
    def pseudo_inverse(self, y: Array) -> Array:
        """A⁺ y, the minimum-norm least-squares solution, with the threshold of `rank`."""
