"""The numbers that a descent leaves open, for networks and data of the size of images."""

import jax
import jax.numpy as jnp

from jaxdip.dynamics import IGAHD, AbstractDescent, Scales
from jaxdip.dynamics.steps import InverseL
from jaxdip.generators import AbstractGenerator, TwoLayer
from jaxdip.problem import Problem, parametrize, reduce

#: Beyond so many data, or entries of A J, the singular values take longer than many steps.
_MOST_DATA, _LARGEST_JACOBIAN = 512, 10_000_000


def resolve(
    descent: AbstractDescent, problem: Problem, generator: AbstractGenerator
) -> tuple[AbstractDescent, tuple[str, ...]]:
    """The descent with every number filled in, and what was chosen, in words.

    IGAHD's default α = min(μ, 1/(4√s)) takes the singular values of the dense Jacobian of the data.
    Where these are out of reach, α is 1/(4√s): a momentum of ¾, with which the mode of eigenvalue L
    decays, and more damping than the slow modes ask for.

    Args:
        descent: as it was asked for.
        problem: the problem.
        generator: the network at its start.
    """
    scales = Scales(problem, generator)
    if not isinstance(descent, IGAHD) or descent.alpha is not None or _small(problem, generator):
        return descent.resolve(scales)
    s, notes = descent.s, ()
    if s is None or isinstance(s, InverseL):
        s, words = (s or InverseL()).of(scales)
        notes = (f"s: {words}",)
    alpha = 0.25 / jnp.sqrt(s)
    note = (
        "alpha: 1/(4 sqrt(s)); mu, which may be less, is computed for two-layer networks with at "
        f"most {_MOST_DATA} real data alone"
    )
    damped = IGAHD(s, alpha, descent.beta, gradient_at=descent.gradient_at)  # pyright: ignore[reportArgumentType]
    filled, more = damped.resolve(scales)
    return filled, (*notes, note, *more)


def _small(problem: Problem, generator: AbstractGenerator) -> bool:
    """Whether the dense Jacobian is real and takes less than the run."""
    data = problem.operator.out_structure
    if not isinstance(generator, TwoLayer) or jnp.issubdtype(data.dtype, jnp.complexfloating):
        return False
    if problem.y.size > _MOST_DATA:
        return False
    smaller, start, _ = reduce(problem, generator)
    parameters = sum(p.size for p in jax.tree.leaves(parametrize(smaller, start)[1]))
    return problem.y.size * parameters <= _LARGEST_JACOBIAN
