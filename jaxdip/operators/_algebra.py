"""Composition, sum and multiple of operators; each is linear where its parts are."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array
from jaxdip.operators._base import AbstractLinearOperator, AbstractOperator, add, compose, scale
from jaxdip.operators._coordinates import is_complex, real_dtype
from jaxdip.operators._spectral import AbstractMatrixFreeOperator


class Composition(AbstractOperator):
    """F ∘ G: x ↦ F(G(x))."""

    outer: AbstractOperator
    inner: AbstractOperator
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, outer: AbstractOperator, inner: AbstractOperator):
        """Put `outer` after `inner`; a ValueError or TypeError if they do not fit."""
        _check_chain(outer, inner)
        self.outer, self.inner = outer, inner
        self.in_structure = inner.in_structure

    def __call__(self, x: Array) -> Array:
        """F(G(x))."""
        return self.outer(self.inner(x))

    def linearize(self, x: Array) -> AbstractLinearOperator:
        """J_F(G(x)) J_G(x), by the chain rule."""
        outer = self.outer.linearize(self.inner(x))
        return LinearComposition(outer, self.inner.linearize(x))


class LinearComposition(AbstractMatrixFreeOperator):
    """A B: x ↦ A(B x), for linear A and B."""

    outer: AbstractLinearOperator
    inner: AbstractLinearOperator
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, outer: AbstractLinearOperator, inner: AbstractLinearOperator):
        """Put `outer` after `inner`; a ValueError or TypeError if they do not fit."""
        _check_chain(outer, inner)
        self.outer, self.inner = outer, inner
        self.in_structure = inner.in_structure

    def __call__(self, x: Array) -> Array:
        """A(B x)."""
        return self.outer(self.inner(x))

    def adjoint(self, y: Array) -> Array:
        """B*(A* y)."""
        return self.inner.adjoint(self.outer.adjoint(y))

    @property
    def complex_linear(self) -> bool:
        """Both parts are complex-linear."""
        return self.outer.complex_linear and self.inner.complex_linear

    @property
    def orthonormal_rows(self) -> bool:
        """Both parts have orthonormal rows."""
        return self.outer.orthonormal_rows and self.inner.orthonormal_rows


class Sum(AbstractOperator):
    """F + G: x ↦ F(x) + G(x)."""

    first: AbstractOperator
    second: AbstractOperator
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, first: AbstractOperator, second: AbstractOperator):
        """Add the two; a ValueError or TypeError if signals or data differ."""
        _check_same(first, second)
        self.first, self.second = first, second
        self.in_structure = first.in_structure

    def __call__(self, x: Array) -> Array:
        """F(x) + G(x)."""
        return self.first(x) + self.second(x)

    def linearize(self, x: Array) -> AbstractLinearOperator:
        """J_F(x) + J_G(x)."""
        return LinearSum(self.first.linearize(x), self.second.linearize(x))


class LinearSum(AbstractMatrixFreeOperator):
    """A + B: x ↦ A x + B x, for linear A and B."""

    first: AbstractLinearOperator
    second: AbstractLinearOperator
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, first: AbstractLinearOperator, second: AbstractLinearOperator):
        """Add the two; a ValueError or TypeError if signals or data differ."""
        _check_same(first, second)
        self.first, self.second = first, second
        self.in_structure = first.in_structure

    def __call__(self, x: Array) -> Array:
        """A x + B x."""
        return self.first(x) + self.second(x)

    def adjoint(self, y: Array) -> Array:
        """A* y + B* y."""
        return self.first.adjoint(y) + self.second.adjoint(y)

    @property
    def complex_linear(self) -> bool:
        """Both parts are complex-linear."""
        return self.first.complex_linear and self.second.complex_linear

    @property
    def orthonormal_rows(self) -> bool:
        """False: it would depend on the numbers."""
        return False


class Scaled(AbstractOperator):
    """c F: x ↦ c F(x)."""

    factor: Array
    operator: AbstractOperator
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, factor: Any, operator: AbstractOperator):
        """Scale by a real number, or a complex one where the data are complex."""
        self.factor = _as_factor(factor, operator)
        self.operator = operator
        self.in_structure = operator.in_structure

    def __call__(self, x: Array) -> Array:
        """c F(x)."""
        return _times(self.factor, self.operator(x))

    def linearize(self, x: Array) -> AbstractLinearOperator:
        """c J_F(x)."""
        return LinearScaled(self.factor, self.operator.linearize(x))


class LinearScaled(AbstractLinearOperator):
    """c A: x ↦ c A x, for a linear A; its spectrum is |c| times that of A."""

    factor: Array
    operator: AbstractLinearOperator
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(self, factor: Any, operator: AbstractLinearOperator):
        """Scale by a real number, or a complex one where the data are complex."""
        self.factor = _as_factor(factor, operator)
        self.operator = operator
        self.in_structure = operator.in_structure

    def __call__(self, x: Array) -> Array:
        """c A x."""
        return _times(self.factor, self.operator(x))

    def adjoint(self, y: Array) -> Array:
        """A*(conj(c) y)."""
        return self.operator.adjoint(_times(self.factor.conj(), jnp.asarray(y)))

    def matrix(self) -> Array:
        """c M."""
        return _times(self.factor, self.operator.matrix())

    def singular_values(self) -> Array:
        """|c| times those of A."""
        return jnp.abs(self.factor) * self.operator.singular_values()

    def norm(self) -> Array:
        """|c| ‖A‖."""
        return jnp.abs(self.factor) * self.operator.norm()

    def sigma_min(self) -> Array:
        """|c| σ_A (0 if c = 0)."""
        return jnp.abs(self.factor) * self.operator.sigma_min()

    def rank(self) -> Array:
        """The rank of A, or 0 if c = 0."""
        rank = jnp.asarray(self.operator.rank())
        return jnp.where(self.factor == 0, jnp.zeros_like(rank), rank)

    def pseudo_inverse(self, y: Array) -> Array:
        """A⁺ y / c, or 0 if c = 0."""
        zero = self.factor == 0
        one = jnp.ones_like(self.factor)
        inverse = jnp.where(zero, jnp.zeros_like(one), 1 / jnp.where(zero, one, self.factor))
        return self.operator.pseudo_inverse(_times(inverse, jnp.asarray(y)))

    @property
    def complex_linear(self) -> bool:
        """A is complex-linear."""
        return self.operator.complex_linear

    @property
    def orthonormal_rows(self) -> bool:
        """False: it would depend on the factor."""
        return False


@compose.register
def _(outer: AbstractOperator, inner: AbstractOperator) -> AbstractOperator:
    if isinstance(outer, AbstractLinearOperator) and isinstance(inner, AbstractLinearOperator):
        return LinearComposition(outer, inner)
    return Composition(outer, inner)


@add.register
def _(first: AbstractOperator, second: AbstractOperator) -> AbstractOperator:
    if isinstance(first, AbstractLinearOperator) and isinstance(second, AbstractLinearOperator):
        return LinearSum(first, second)
    return Sum(first, second)


@scale.register
def _(operator: AbstractOperator, factor: Any) -> AbstractOperator:
    if isinstance(operator, AbstractLinearOperator):
        return LinearScaled(factor, operator)
    return Scaled(factor, operator)


def _check_chain(outer: AbstractOperator, inner: AbstractOperator) -> None:
    expected, given = outer.in_structure, inner.out_structure
    if expected.shape != given.shape:
        raise ValueError(
            f"A @ B: B returns shape {given.shape}, but A takes {expected.shape}; they must agree"
        )
    if expected.dtype != given.dtype:
        raise TypeError(
            f"A @ B: B returns {given.dtype}, but A takes {expected.dtype}; "
            "build them for the same dtype"
        )


def _check_same(first: AbstractOperator, second: AbstractOperator) -> None:
    pairs = {
        "take": (first.in_structure, second.in_structure),
        "return": (first.out_structure, second.out_structure),
    }
    for verb, (one, other) in pairs.items():
        if one.shape != other.shape:
            raise ValueError(f"A + B {verb} shapes {one.shape} and {other.shape}; they must agree")
        if one.dtype != other.dtype:
            raise TypeError(f"A + B {verb} {one.dtype} and {other.dtype}; they must agree")


def _as_factor(factor: Any, operator: AbstractOperator) -> Array:
    """The factor as a number of the data's precision, complex only if it is."""
    if not isinstance(factor, (int, float, complex)) and jnp.shape(factor) != ():
        raise TypeError(
            f"c * A takes a number, got an array of shape {jnp.shape(factor)}; "
            "for a batch of operators build them under jax.vmap"
        )
    data = operator.out_structure
    if jnp.iscomplexobj(factor) and not is_complex(data):
        raise TypeError("c * A takes a real number where the data are real, got a complex one")
    return jnp.asarray(factor).astype(data.dtype if jnp.iscomplexobj(factor) else real_dtype(data))


def _times(factor: Array, x: Array) -> Array:
    return factor.astype(x.dtype) * x
