"""The Jacobian of the signal or of the prediction, as a linear map between real vectors."""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxdip._types import Array, Float, Tree
from jaxdip.generators import AbstractGenerator
from jaxdip.losses import MSE
from jaxdip.operators import Identity
from jaxdip.operators._coordinates import real_size, to_real
from jaxdip.problem import Problem, check_generator, parametrize, reduce
from jaxdip.problem.observables import Snapshot

#: Which Jacobian: "AJ" of the prediction F(g(u, θ)), "J" of the signal g(u, θ).
Of = Literal["AJ", "J"]
#: The most entries of a matrix that is stored (1.6 GB in double precision).
LARGEST = 200_000_000


class Product(NamedTuple):
    """J as a pair of products.

    Attributes:
        push: δθ ↦ J δθ.
        pull: w ↦ Jᵀ w.
    """

    push: Callable[[Array], Array]
    pull: Callable[[Array], Array]


class Jacobian(eqx.Module):
    """J at one θ: from the p' coordinates in which θ moves to m real coordinates.

    Where it was reduced, the coordinates are isometric and contain every row of J, so its non-zero
    singular values and its left vectors are those of the full Jacobian.

    Attributes:
        problem: whose prediction is differentiated.
        generator: at θ.
        of: which Jacobian of the stated problem it is.
        parameters: p, the number of trained numbers before any reduction.
        signal_size: the number of real coordinates of the signal.
    """

    problem: Problem
    generator: AbstractGenerator
    of: Of = eqx.field(static=True)
    parameters: int = eqx.field(static=True)
    signal_size: int = eqx.field(static=True)

    @property
    def rows(self) -> int:
        """m: a complex entry has two real coordinates."""
        return real_size(self.problem.operator.out_structure)

    @property
    def columns(self) -> int:
        """p', the number of coordinates."""
        return _size(self.generator)

    @property
    def rank_bound(self) -> int:
        """min(m, n, p'), known from the shapes alone."""
        return min(self.rows, self.signal_size, self.columns)

    @property
    def dtype(self) -> jnp.dtype:
        """That of the products."""
        return jnp.finfo(self.problem.operator.out_structure.dtype).dtype

    def product(self) -> Product:
        """J and Jᵀ by forward and reverse differentiation."""
        f, theta = parametrize(self.problem, self.generator)
        flat, unravel = ravel_pytree(theta)

        def value(x: Array) -> Array:
            return to_real(f.predict(unravel(x)))

        _, push = jax.linearize(value, flat)
        _, pull = jax.vjp(value, flat)
        return Product(push, lambda w: pull(w)[0])

    def pull_tree(self, w: Float[Array, " m"]) -> Tree:
        """Jᵀ w, as a tree like θ."""
        f, theta = parametrize(self.problem, self.generator)
        return jax.vjp(lambda t: to_real(f.predict(t)), theta)[1](w)[0]

    def dense(self, chunk: int) -> Float[Array, "m p"]:
        """J itself, by reverse differentiation of `chunk` rows at a time.

        Raises:
            ValueError: if it has more than 2e8 entries.
        """
        if self.rows * self.columns > LARGEST:
            raise ValueError(
                f"a dense {self.rows} x {self.columns} Jacobian exceeds {LARGEST:.0e} entries; "
                "use method='krylov' for the ends of its spectrum, spectral_density for the bulk, "
                "or eigenvalues of kernel(...), which needs m x m entries"
            )
        return _dense(self, chunk)


def jacobian(problem: Problem, generator: AbstractGenerator, of: Of) -> tuple[Jacobian, Jacobian]:
    """J in its own coordinates, and in reduced ones.

    Raises:
        ValueError: for an unknown `of`, complex parameters, or shapes that do not fit.
    """
    check_of(of)
    check_generator(problem, generator)
    stated = problem if of == "AJ" else _observe_all(problem.u, problem.operator.in_structure)
    sizes = of, _size(generator), real_size(problem.operator.in_structure)
    smaller, start, _ = reduce(stated, generator)
    return Jacobian(stated, generator, *sizes), Jacobian(smaller, start, *sizes)


def jacobian_now(snapshot: Snapshot, of: Of) -> Jacobian:
    """J at one moment of a run, in reduced coordinates whatever those of the run."""
    check_of(of)
    lift, current = snapshot.lift, snapshot.current
    stated, structure = lift.reduced_problem, lift.problem.operator.in_structure
    if of == "J":
        # J_g also moves V outside the row space of A, so V comes back in full; W need not.
        current = dataclasses.replace(lift, direction=None)(current)
        stated = _observe_all(stated.u, structure)
    smaller, moved, _ = reduce(stated, current)
    return Jacobian(smaller, moved, of, _size(lift.generator), real_size(structure))


def check_of(of: str) -> None:
    """Refuses a name that is no Jacobian.

    Raises:
        ValueError: if it is none.
    """
    if of not in ("AJ", "J"):
        raise ValueError(f"of is 'AJ' (of the prediction) or 'J' (of the signal), got {of!r}")


def check_count(name: str, value: int) -> None:
    """Refuses what is no positive integer.

    Raises:
        ValueError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is an integer >= 1, got {value!r}")


def _observe_all(u: Array, structure: jax.ShapeDtypeStruct) -> Problem:
    """The problem whose prediction is the signal."""
    identity = Identity(structure.shape, dtype=structure.dtype)
    zero = jnp.zeros(structure.shape, structure.dtype)
    return Problem(u=u, operator=identity, loss=MSE(), y=zero)


def _size(generator: AbstractGenerator) -> int:
    trained = jax.tree.leaves(eqx.filter(generator, generator.trainable()))
    if any(jnp.issubdtype(leaf.dtype, jnp.complexfloating) for leaf in trained):
        raise ValueError(
            "the generator trains complex arrays; train their real and imaginary parts instead"
        )
    return sum(math.prod(leaf.shape) for leaf in trained)


@eqx.filter_jit
def _dense(J: Jacobian, chunk: int) -> Array:
    _, pull = J.product()

    def row(i: Array) -> Array:
        return pull(jnp.zeros(J.rows, J.dtype).at[i].set(1))

    return jax.lax.map(row, jnp.arange(J.rows), batch_size=min(chunk, J.rows))
