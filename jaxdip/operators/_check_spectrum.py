"""What a linear operator says about its spectrum, against its action."""

import math
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Key
from jaxdip.operators._base import AbstractLinearOperator
from jaxdip.operators._check_draws import draw
from jaxdip.operators._coordinates import eps_of, real_size, to_real
from jaxdip.operators._estimate_norm import estimate_norm, length, ratio

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
        measured = estimate_norm(operator, key=key)
        error = ratio(jnp.abs(operator.norm() - measured), measured)
        yield "norm (power iteration)", float(error), POWER_GAP
        return
    tolerance = 10 * eps_of(operator.in_structure) * max(rows, columns)
    signals, data = draw(key, operator, 1)
    errors, condition = _measure(operator, signals[0], data[0])
    for claim, error in errors.items():
        # The pseudo-inverse amplifies rounding by the condition number.
        amplified = tolerance * float(condition) if claim == "pseudo-inverse" else tolerance
        yield claim, float(error), amplified


@eqx.filter_jit
def _measure(
    operator: AbstractLinearOperator, x: Array, y: Array
) -> tuple[dict[str, Array], Array]:
    """The error of each claim, and the condition number."""
    values = jnp.linalg.svd(operator.real_matrix(), full_matrices=False, compute_uv=False)
    if operator.complex_linear:
        values = values[::2]
    top, rank = values[0], jnp.asarray(operator.rank())
    smallest = jnp.where(rank > 0, values[rank - 1], jnp.zeros_like(top))
    errors = {
        "norm": ratio(jnp.abs(operator.norm() - top), top),
        "singular values": _largest_error(operator.singular_values(), values, top),
        # An error of eps ‖A‖ is all that a decomposition promises for its smallest value.
        "sigma_min": ratio(jnp.abs(operator.sigma_min() - smallest), top),
        "pseudo-inverse": _pseudo_inverse_error(operator, x, y),
    }
    if operator.orthonormal_rows:
        errors["orthonormal rows"] = length(operator(operator.adjoint(y)) - y) / length(y)
    return errors, jnp.where(rank > 0, ratio(top, smallest), jnp.ones_like(top))


def _largest_error(found: Array, expected: Array, scale: Array) -> Array:
    if found.shape != expected.shape:
        return jnp.full_like(scale, math.inf)
    return ratio(jnp.max(jnp.abs(found - expected)), scale)


def _pseudo_inverse_error(operator: AbstractLinearOperator, x: Array, y: Array) -> Array:
    """The largest violation of Penrose's four conditions, tried on one signal and one datum.

    A A⁺ A x = A x and A⁺ A A⁺ y = A⁺ y; A A⁺ and A⁺ A are orthogonal projections, so that the
    residuals y − A A⁺ y and x − A⁺ A x are orthogonal to what is projected.
    """
    image, solution = operator(x), operator.pseudo_inverse(y)
    fitted, seen = operator(solution), operator.pseudo_inverse(image)
    again, refitted = operator(seen), operator.pseudo_inverse(fitted)
    violations = [
        ratio(length(again - image), length(image)),
        ratio(length(refitted - solution), length(solution)),
        _cosine(y - fitted, fitted, y),
        _cosine(x - seen, seen, x),
    ]
    return jnp.max(jnp.stack(violations))


def _cosine(residual: Array, projected: Array, whole: Array) -> Array:
    inner = jnp.dot(to_real(residual), to_real(projected), precision=jax.lax.Precision.HIGHEST)
    return jnp.abs(inner) / length(whole) ** 2
