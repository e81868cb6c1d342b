"""What a linear operator says about its spectrum, against its action."""

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Key
from jaxdip.operators._base import AbstractLinearOperator
from jaxdip.operators._coordinates import eps_of, real_size, to_real
from jaxdip.operators._estimate_norm import estimate_norm, length

#: Dense matrices up to this many entries are decomposed.
DECOMPOSED = 4_000_000
#: The relative gap that 100 steps of power iteration may leave below the norm.
POWER_GAP = 0.05


def spectrum_errors(
    operator: AbstractLinearOperator, *, key: Key
) -> Iterator[tuple[str, float, float]]:
    """Name, relative error and tolerance of each claim about the spectrum.

    Args:
        operator: a linear operator.
        key: the random key of the draws.

    Yields:
        One row a claim: all of them for a small operator, the norm alone for a large one.
    """
    rows, columns = real_size(operator.out_structure), real_size(operator.in_structure)
    if rows * columns > DECOMPOSED:
        measured = float(estimate_norm(operator, key=key))
        claimed = float(operator.norm())
        yield "norm (power iteration)", _relative_number(measured, claimed), POWER_GAP
        return
    eps = eps_of(operator.in_structure)
    tolerance = 10 * eps * max(rows, columns)
    dense = operator.real_matrix()
    values = jnp.linalg.svd(dense, full_matrices=False, compute_uv=False)
    if operator.complex_linear:
        values = values[::2]
    top = float(values[0])
    yield "norm", _relative_number(float(operator.norm()), top), tolerance
    claimed_values = operator.singular_values()
    yield "singular values", _largest_error(claimed_values, values, top), tolerance
    rank = int(operator.rank())
    smallest = float(values[rank - 1]) if rank else 0.0
    # An error of eps ‖A‖ is all that a decomposition promises for its smallest value.
    yield "sigma_min", abs(float(operator.sigma_min()) - smallest) / (top or 1.0), tolerance
    condition = top / smallest if smallest > 0 else 1.0
    x_key, y_key = jax.random.split(key)
    x = jax.random.normal(x_key, operator.in_structure.shape, operator.in_structure.dtype)
    y = jax.random.normal(y_key, operator.out_structure.shape, operator.out_structure.dtype)
    yield "pseudo-inverse", _pseudo_inverse_error(operator, x, y), tolerance * condition
    if operator.orthonormal_rows:
        error = operator(operator.adjoint(y)) - y
        yield "orthonormal rows", float(length(error) / length(y)), tolerance


def _relative_number(found: float, expected: float) -> float:
    return abs(found - expected) / (abs(expected) if expected else 1.0)


def _largest_error(found: Array, expected: Array, scale: float) -> float:
    if found.shape != expected.shape:
        return math.inf
    return float(jnp.max(jnp.abs(found - expected))) / (scale or 1.0)


def _pseudo_inverse_error(operator: AbstractLinearOperator, x: Array, y: Array) -> float:
    """The largest violation of Penrose's four conditions, tried on one signal and one datum.

    A A⁺ A x = A x and A⁺ A A⁺ y = A⁺ y; A A⁺ and A⁺ A are orthogonal projections, so that the
    residuals y − A A⁺ y and x − A⁺ A x are orthogonal to what is projected.
    """
    image, solution = operator(x), operator.pseudo_inverse(y)
    fitted, seen = operator(solution), operator.pseudo_inverse(image)
    return max(
        _distance(operator(seen), image),
        _distance(operator.pseudo_inverse(fitted), solution),
        _cosine(y - fitted, fitted, y),
        _cosine(x - seen, seen, x),
    )


def _distance(found: Array, expected: Array) -> float:
    size = float(length(expected))
    return float(length(found - expected)) / (size if size > 0 else 1.0)


def _cosine(residual: Array, projected: Array, whole: Array) -> float:
    size = float(length(whole))
    inner = jnp.dot(to_real(residual), to_real(projected), precision=jax.lax.Precision.HIGHEST)
    return abs(float(inner)) / (size * size)
