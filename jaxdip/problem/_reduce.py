"""The exact change of coordinates in which the latent dimension, and often n, is gone."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float
from jaxdip.generators import AbstractGenerator, AbstractLayeredGenerator
from jaxdip.operators import AbstractLinearOperator, AbstractOperator, Dense, Identity
from jaxdip.problem._problem import Problem, check_generator

#: Largest m n for which a basis of the row space of A is computed and stored.
_LARGEST_BASIS = 30_000_000


class Lift(eqx.Module):
    """The way back from reduced coordinates: the inverse of `reduce` on generators.

    Attributes:
        problem: the problem as it was stated.
        generator: the generator as it was given, the start of the dynamics.
        reduced_problem: the problem in reduced coordinates.
        reduced_start: `generator` in reduced coordinates.
    """

    problem: Problem
    generator: AbstractGenerator
    reduced_problem: Problem
    reduced_start: AbstractGenerator
    direction: Float[Array, " d"] | None
    basis: Float[Array, "n r"] | None
    last: str = eqx.field(static=True)

    def __call__(self, reduced: AbstractGenerator) -> AbstractGenerator:
        """The generator in its own coordinates, W and V included."""
        if self.direction is None and self.last == "kept":
            return reduced
        first = None
        if self.direction is not None:
            moved = _first(reduced) - _first(self.reduced_start)
            first = _first(self.generator) + moved * self.direction
        last = None
        if self.last == "fused":
            last = _last(self.generator)
        elif self.last == "row-space":
            moved = _last(reduced) - _last(self.reduced_start)
            last = _last(self.generator) + self._expand_columns(moved)
        return _layered(reduced).with_layers(
            first=first, last=last, out_shape=self.generator.out_shape
        )

    def signal(self, reduced: AbstractGenerator) -> Array:
        """The signal x = g(u, θ), without rebuilding W or V."""
        u = self.reduced_problem.u
        if self.last == "kept":
            return reduced(u)
        shape = self.generator.out_shape
        at_start = _layered(reduced).with_layers(last=_last(self.generator), out_shape=shape)(u)
        if self.last == "fused":
            return at_start
        # x is linear in the last matrix V = V0 + Q (V' − V0'), so x = x[V0] + Q (x'[V'] − x'[V0']).
        start = _layered(reduced).with_layers(last=_last(self.reduced_start))
        moved = reduced(u) - start(u)
        return at_start + self._expand(moved.ravel()).reshape(shape)

    def _expand(self, y: Float[Array, " r"]) -> Float[Array, " n"]:
        """Q y, from coordinates on the row space of A to signals."""
        if self.basis is not None:
            return jnp.matmul(self.basis, y, precision=jax.lax.Precision.HIGHEST)
        operator = _linear(self.problem.operator)
        return operator.adjoint(y.reshape(self.problem.y.shape)).ravel()

    def _expand_columns(self, Y: Float[Array, "r k"]) -> Float[Array, "n k"]:
        if self.basis is not None:
            return jnp.matmul(self.basis, Y, precision=jax.lax.Precision.HIGHEST)
        return jax.vmap(self._expand, in_axes=1, out_axes=1)(Y)


class Reduction(NamedTuple):
    """What `reduce` returns: an equal problem in fewer coordinates, and the way back."""

    problem: Problem
    generator: AbstractGenerator
    lift: Lift


def reduce(problem: Problem, generator: AbstractGenerator) -> Reduction:
    """The same problem in coordinates that the gradients cannot leave.

    With a fixed latent u, every dynamics that is linear in past gradients (gradient flow, ISEHD,
    gradient descent, IGAHD, momentum) keeps the first matrix in W0 + R^k uᵀ/‖u‖. In the isometric
    coordinate z = W u/‖u‖ the problem is the same and d is gone. If the operator is real and
    linear and m ≤ n, the last matrix V reduces too: a fixed V is fused with A into the m × k matrix
    A V; a trained V moves only along the row space of A, V = V0 + Q B, and B = Qᵀ(V − V0) replaces
    it. All of these coordinates are isometric: distances, norms of gradients and trajectories
    agree up to rounding.

    Optimisers that are not linear in past gradients (Adam) leave these subspaces; the drivers
    refuse to reduce for them.

    Args:
        problem: the problem.
        generator: the generator at the start of the dynamics.

    Returns:
        (problem', generator', lift): `lift(generator')` is the generator in its own coordinates.
        Where nothing can be reduced, problem and generator come back as they are.

    Raises:
        TypeError, ValueError: if the generator does not fit the problem.
    """
    check_generator(problem, generator)
    if not isinstance(generator, AbstractLayeredGenerator):
        return _unreduced(problem, generator)
    u, reduced, direction = _reduce_first(problem.u, generator)
    operator, reduced, basis, last = _reduce_last(problem, generator, reduced)
    smaller = eqx.tree_at(lambda p: (p.u, p.operator), problem, (u, operator))
    lift = Lift(
        problem=problem,
        generator=generator,
        reduced_problem=smaller,
        reduced_start=reduced,
        direction=direction,
        basis=basis,
        last=last,
    )
    return Reduction(smaller, reduced, lift)


def unreduced(problem: Problem, generator: AbstractGenerator) -> Reduction:
    """The problem as it is, with the lift that changes nothing."""
    check_generator(problem, generator)
    return _unreduced(problem, generator)


def _unreduced(problem: Problem, generator: AbstractGenerator) -> Reduction:
    lift = Lift(
        problem=problem,
        generator=generator,
        reduced_problem=problem,
        reduced_start=generator,
        direction=None,
        basis=None,
        last="kept",
    )
    return Reduction(problem, generator, lift)


def _reduce_first(u: Array, generator: AbstractLayeredGenerator):
    W = generator.first_layer
    if W is None:
        return u, generator, None
    norm = jnp.linalg.norm(u)
    direction = u / norm
    z = jnp.matmul(W, direction, precision=jax.lax.Precision.HIGHEST)
    return norm[None], generator.with_layers(first=z[:, None]), direction


def _reduce_last(problem: Problem, generator: AbstractLayeredGenerator, reduced):
    A, layer = problem.operator, generator.last_layer
    kept = (A, reduced, None, "kept")
    if not isinstance(A, AbstractLinearOperator) or A.m > A.n:
        return kept
    if jnp.issubdtype(A.out_structure.dtype, jnp.complexfloating):
        return kept
    shape = problem.y.shape
    identity = Identity(shape, dtype=A.out_structure.dtype)
    if not layer.trains:
        fused = reduced.with_layers(last=_observe_columns(A, layer.matrix), out_shape=shape)
        return identity, fused, None, "fused"
    if A.m == A.n:
        return kept
    if A.orthonormal_rows:
        rows = reduced.with_layers(last=_observe_columns(A, layer.matrix), out_shape=shape)
        return identity, rows, None, "row-space"
    if A.m * A.n > _LARGEST_BASIS or len(shape) != 1:
        return kept
    Q, R = jnp.linalg.qr(A.matrix().T)
    coordinates = jnp.matmul(Q.T, layer.matrix, precision=jax.lax.Precision.HIGHEST)
    rows = reduced.with_layers(last=coordinates, out_shape=shape)
    return Dense(R.T), rows, Q, "row-space"


def _observe_columns(A: AbstractOperator, V: Float[Array, "n k"]) -> Float[Array, "m k"]:
    columns = V.T.reshape((V.shape[1], *A.in_structure.shape))
    return jax.vmap(A)(columns).reshape((V.shape[1], A.m)).T


def _layered(generator: AbstractGenerator) -> AbstractLayeredGenerator:
    assert isinstance(generator, AbstractLayeredGenerator)
    return generator


def _linear(operator: AbstractOperator) -> AbstractLinearOperator:
    assert isinstance(operator, AbstractLinearOperator)
    return operator


def _first(generator: AbstractGenerator) -> Array:
    first = _layered(generator).first_layer
    assert first is not None
    return first


def _last(generator: AbstractGenerator) -> Array:
    return _layered(generator).last_layer.matrix
