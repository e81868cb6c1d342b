"""What an operator is: the contract that every forward map of this package meets."""

import abc
import functools
import math
from typing import Any, ClassVar

import equinox as eqx
import jax
from equinox import AbstractVar

from jaxdip._types import Array, RealScalar
from jaxdip.operators._coordinates import real_columns


class AbstractOperator(eqx.Module):
    """A forward map F, from signals of one shape to observations of another.

    An operator is a pytree: its numbers are array leaves, so `jax.vmap` runs over a batch of random
    operators; its shapes are static. `in_structure` says which arrays it takes (their shape and
    dtype). A real operator also takes complex signals only where its docstring says so.

    Adjoints are taken for the real inner product Re⟨x, x'⟩ = Re Σ conj(x_i) x'_i. For a
    complex-linear operator between complex spaces this is the Hermitian adjoint; for an operator
    that takes real signals to complex data (the Fourier transform of a real image) it is the real
    part of the Hermitian adjoint, which is what the gradient of a real loss needs.

    `F @ G` is F after G, `F + G` and `F - G` act on the same signals, `c * F` scales the data. Each
    is linear where its parts are.
    """

    in_structure: AbstractVar[jax.ShapeDtypeStruct]

    # NumPy's scalars then leave `c * F` to this class.
    __array_ufunc__: ClassVar[None] = None

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

    def __matmul__(self, other: Any) -> "AbstractOperator":
        return compose(self, other) if isinstance(other, AbstractOperator) else NotImplemented

    def __add__(self, other: Any) -> "AbstractOperator":
        return add(self, other) if isinstance(other, AbstractOperator) else NotImplemented

    def __sub__(self, other: Any) -> "AbstractOperator":
        return (
            add(self, scale(other, -1.0)) if isinstance(other, AbstractOperator) else NotImplemented
        )

    def __mul__(self, factor: Any) -> "AbstractOperator":
        return NotImplemented if isinstance(factor, AbstractOperator) else scale(self, factor)

    def __rmul__(self, factor: Any) -> "AbstractOperator":
        return scale(self, factor)

    def __neg__(self) -> "AbstractOperator":
        return scale(self, -1.0)


class AbstractLinearOperator(AbstractOperator):
    """A linear forward map A, with what the theorems ask of it.

    σ_A is the *smallest non-zero* singular value. Norms are norms, never their squares. All of them
    belong to A as a map between spaces with the real inner product, so a complex matrix that acts
    on real signals has the singular values of [Re M; Im M]. A complex-linear map has its usual ones
    (over the reals each would count twice).
    """

    @property
    @abc.abstractmethod
    def complex_linear(self) -> bool:
        """Signals and data are complex and A(i x) = i A(x). Static."""

    @property
    @abc.abstractmethod
    def orthonormal_rows(self) -> bool:
        """A A* = I on the data, known without looking at the numbers. Static."""

    @abc.abstractmethod
    def adjoint(self, y: Array) -> Array:
        """A* y, for the real inner product (see `AbstractOperator`)."""

    @abc.abstractmethod
    def matrix(self) -> Array:
        """The dense matrix M, shape (m, n), that acts on flattened signals.

        A x = M x; where signals are complex and data real, A x = Re(M x).

        Raises:
            ValueError: if M would be too large to store, or if A takes complex signals to complex
                data without being complex-linear (see `real_matrix`).
        """

    @abc.abstractmethod
    def singular_values(self) -> Array:
        """All singular values, in descending order, zeros included.

        There are min(m, n) of them; where A mixes real and complex arrays, a complex entry counts
        as two in m and n.
        """

    @abc.abstractmethod
    def norm(self) -> RealScalar:
        """The largest singular value ‖A‖ (not its square)."""

    @abc.abstractmethod
    def sigma_min(self) -> RealScalar:
        """σ_A, the smallest singular value above the rounding threshold of `rank` (0 if A = 0)."""

    @abc.abstractmethod
    def rank(self) -> RealScalar:
        """The number of singular values above the rounding threshold.

        The threshold is eps·max(m, n)·‖A‖ for those of a dense decomposition, as NumPy counts, and
        10·eps·‖A‖ for those in closed form, whose error does not grow with the size.
        """

    @abc.abstractmethod
    def pseudo_inverse(self, y: Array) -> Array:
        """A⁺ y, the minimum-norm least-squares solution, with the threshold of `rank`."""

    def linearize(self, x: Array) -> "AbstractLinearOperator":
        """The operator itself: a linear map is its own derivative."""
        return self

    def real_matrix(self) -> Array:
        """The dense matrix between real coordinates, complex arrays stacked as (Re, Im).

        Its shape is (m, n) with each complex entry counted twice. It exists for every operator.

        Raises:
            ValueError: if it would be too large to store.
        """
        return real_columns(self.__call__, self.in_structure, self.out_structure)


@functools.singledispatch
def compose(outer: AbstractOperator, inner: AbstractOperator) -> AbstractOperator:
    """What `outer @ inner` means; the classes that answer register themselves."""
    raise TypeError(f"A @ B composes two operators, got {type(outer).__name__} on the left")


@functools.singledispatch
def add(first: AbstractOperator, second: AbstractOperator) -> AbstractOperator:
    """What `first + second` means; the classes that answer register themselves."""
    raise TypeError(f"A + B adds two operators, got {type(first).__name__} on the left")


@functools.singledispatch
def scale(operator: AbstractOperator, factor: Any) -> AbstractOperator:
    """What `factor * operator` means; the classes that answer register themselves."""
    raise TypeError(f"c * A scales an operator, got {type(operator).__name__}")
