"""The laws that every operator obeys, measured on one operator."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Key
from jaxdip.operators._base import AbstractLinearOperator, AbstractOperator
from jaxdip.operators._check_draws import draw
from jaxdip.operators._check_spectrum import spectrum_errors
from jaxdip.operators._coordinates import eps_of, real_size
from jaxdip.operators._estimate_norm import length, ratio

#: How many random signals and data each law is tried on.
TRIALS = 4


@dataclasses.dataclass(frozen=True)
class LawCheck:
    """One law: its largest relative error over the trials, and what rounding may explain."""

    law: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """The error is a number and within the tolerance."""
        return self.error <= self.tolerance


@dataclasses.dataclass(frozen=True)
class OperatorReport:
    """The laws of one operator; `print` shows them as a table."""

    operator: str
    rows: tuple[LawCheck, ...]

    @property
    def ok(self) -> bool:
        """Every law holds."""
        return all(row.ok for row in self.rows)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the laws that do not hold."""
        return tuple(row.law for row in self.rows if not row.ok)

    def __str__(self) -> str:
        lines = [f"{self.operator}: {'ok' if self.ok else 'FAILED'}"]
        lines.append(f"  {'law':<28} {'error':>9} {'tolerance':>9}")
        for row in self.rows:
            verdict = "" if row.ok else "  FAILED"
            lines.append(f"  {row.law:<28} {row.error:9.1e} {row.tolerance:9.1e}{verdict}")
        return "\n".join(lines)


def check_operator(operator: AbstractOperator, *, key: Key) -> OperatorReport:
    """Measure on random signals whether an operator obeys the laws it claims.

    For every operator: shape and dtype of the data; the derivative against finite differences, its
    adjoint against the derivative and against reverse differentiation; equality under jit and vmap.
    For a linear one also: linearity, over the complex numbers where it is claimed; Re⟨A x, y⟩ =
    Re⟨x, A* y⟩ (with complex draws wherever signals or data are complex); and what it says about
    its spectrum, against a dense decomposition of its action, or, beyond 4e6 entries of the dense
    matrix, against power iteration.

    Errors are relative to norms, and each row is the largest over several draws, so that errors
    cannot cancel. Floating-point tolerances scale with the operator's precision.

    Args:
        operator: the operator to check; small enough to apply a few dozen times.
        key: the random key of the draws.

    Returns:
        An `OperatorReport`, true `ok` if every law holds. Wrong shapes or dtypes end the check.
    """
    shapes = _shape_row(operator)
    if not shapes.ok:
        return OperatorReport(type(operator).__name__, (shapes,))
    signals, data = draw(key, operator, TRIALS)
    images, errors = _measure(operator, signals, data)
    errors["jit"] = _relative(images[0], operator(signals[0]))
    tolerances = _tolerances(operator)
    rows = [LawCheck(law, float(error), tolerances[law]) for law, error in errors.items()]
    if isinstance(operator, AbstractLinearOperator):
        rows += [LawCheck(*row) for row in spectrum_errors(operator, key=key)]
    return OperatorReport(type(operator).__name__, (shapes, *rows))


def _shape_row(operator: AbstractOperator) -> LawCheck:
    def apply(x: Array, y: Array) -> tuple[Array, Array, Array]:
        derivative = operator.linearize(x)
        return operator(x), derivative(x), derivative.adjoint(y)

    signal, data = operator.in_structure, operator.out_structure
    found = jax.eval_shape(apply, signal, data)
    wrong = sum(
        (one.shape, one.dtype) != (other.shape, other.dtype)
        for one, other in zip(found, (data, data, signal), strict=True)
    )
    return LawCheck("shapes and dtypes", float(wrong), 0.0)


def _tolerances(operator: AbstractOperator) -> dict[str, float]:
    eps = eps_of(operator.in_structure)
    coordinates = max(real_size(operator.in_structure), real_size(operator.out_structure))
    rounding = 10 * eps * coordinates**0.5
    return {
        "derivative (differences)": 300 * eps ** (2 / 3),
        "adjoint (inner products)": rounding,
        "adjoint (reverse mode)": rounding,
        "linearity": rounding,
        "vmap": rounding,
        "jit": rounding,
    }


# One program: an operator is an argument, so that its leaves are traced as they are in use.
@eqx.filter_jit
def _measure(
    operator: AbstractOperator, signals: Array, data: Array
) -> tuple[Array, dict[str, Array]]:
    """The images of the signals, and the largest error of each law over the draws."""

    def one(drawn: tuple[Array, Array, Array]) -> tuple[Array, dict[str, Array]]:
        x, h, y = drawn
        errors = {
            "derivative (differences)": _difference_error(operator, x, h),
            "adjoint (inner products)": _adjoint_error(operator.linearize(x), h, y),
            "adjoint (reverse mode)": _reverse_error(operator, x, y),
        }
        if isinstance(operator, AbstractLinearOperator):
            factors: list[complex] = [-1.7, 0.6 - 1.1j] if operator.complex_linear else [-1.7]
            by_factor = [_linearity_error(operator, x, h, factor) for factor in factors]
            errors["linearity"] = jnp.max(jnp.stack(by_factor))
        return operator(x), errors

    images, errors = jax.lax.map(one, (signals, jnp.roll(signals, 1, axis=0), data))
    batched = jax.vmap(operator.__call__)(signals)
    worst = {law: jnp.max(error) for law, error in errors.items()}
    return images, worst | {"vmap": _relative(batched, images)}


def _relative(found: Array, expected: Array) -> Array:
    """‖found − expected‖ / ‖expected‖, and the absolute error where the expected one is zero."""
    return ratio(length(found - expected), length(expected))


def _inner(x: Array, y: Array) -> Array:
    """Re Σ conj(x_i) y_i."""
    return jnp.sum(x.conj() * y).real


def _adjoint_error(operator: AbstractLinearOperator, x: Array, y: Array) -> Array:
    image, pulled = operator(x), operator.adjoint(y)
    scale = length(image) * length(y) + length(x) * length(pulled)
    return ratio(jnp.abs(_inner(image, y) - _inner(x, pulled)), scale)


def _reverse_error(operator: AbstractOperator, x: Array, y: Array) -> Array:
    _, pull_back = jax.vjp(operator.__call__, x)
    return _relative(operator.linearize(x).adjoint(y), pull_back(y.conj())[0].conj())


def _linearity_error(operator: AbstractLinearOperator, x: Array, h: Array, c: complex) -> Array:
    factor = jnp.asarray(c)
    image, other = operator(x), operator(h)
    combined = operator(x + factor.astype(x.dtype) * h)
    expected = image + factor.astype(image.dtype) * other
    # Relative to the terms: their sum may cancel.
    return ratio(length(combined - expected), length(image) + abs(c) * length(other))


def _difference_error(operator: AbstractOperator, x: Array, h: Array) -> Array:
    """The best of several step sizes: a wrong derivative is wrong for all of them."""
    derivative = operator.linearize(x)(h)
    base = eps_of(operator.in_structure) ** (1 / 3)

    def error(step: Array) -> Array:
        shift = step.astype(x.dtype) * h
        difference = operator(x + shift) - operator(x - shift)
        return _relative(difference / (2 * step).astype(difference.dtype), derivative)

    steps = jnp.asarray([0.1 * base, base, 10 * base])
    # A NaN at one step is a NaN of the minimum.
    return jnp.min(jax.lax.map(error, steps))
