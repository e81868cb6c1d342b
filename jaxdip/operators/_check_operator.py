"""The laws that every operator obeys, measured on one operator."""

import dataclasses
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Key
from jaxdip.operators._base import AbstractLinearOperator, AbstractOperator
from jaxdip.operators._check_spectrum import spectrum_errors
from jaxdip.operators._coordinates import eps_of, real_size
from jaxdip.operators._estimate_norm import length

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
    rows = [_shape_row(operator)]
    if rows[0].ok:
        signals_key, data_key, spectrum_key = jax.random.split(key, 3)
        signals = _draw(signals_key, operator.in_structure)
        data = _draw(data_key, operator.out_structure)
        rows += _general_laws(operator, signals, data)
        if isinstance(operator, AbstractLinearOperator):
            rows += _linear_laws(operator, signals, data)
            rows += [LawCheck(*row) for row in spectrum_errors(operator, key=spectrum_key)]
    return OperatorReport(type(operator).__name__, tuple(rows))


def _draw(key: Key, structure: jax.ShapeDtypeStruct) -> Array:
    return jax.random.normal(key, (TRIALS, *structure.shape), structure.dtype)


def _shape_row(operator: AbstractOperator) -> LawCheck:
    signal = jnp.zeros(operator.in_structure.shape, operator.in_structure.dtype)
    derivative = operator.linearize(signal)
    found = [
        (eqx.filter_eval_shape(derivative, signal), operator.out_structure),
        (jax.eval_shape(derivative.adjoint, operator.out_structure), operator.in_structure),
    ]
    wrong = sum((a.shape, a.dtype) != (b.shape, b.dtype) for a, b in found)
    return LawCheck("shapes and dtypes", float(wrong), 0.0)


def _general_laws(operator: AbstractOperator, signals: Array, data: Array) -> Iterator[LawCheck]:
    eps = eps_of(operator.in_structure)
    rounding = 10 * eps * _coordinates(operator) ** 0.5
    pairs = list(zip(signals, jnp.roll(signals, 1, axis=0), data, strict=True))
    yield LawCheck(
        "derivative (differences)",
        max(_difference_error(operator, x, h) for x, h, _ in pairs),
        300 * eps ** (2 / 3),
    )
    yield LawCheck(
        "adjoint (derivative)",
        max(_adjoint_error(operator.linearize(x), h, y) for x, h, y in pairs),
        rounding,
    )
    yield LawCheck(
        "adjoint (reverse mode)",
        max(_reverse_error(operator, x, y) for x, _, y in pairs),
        rounding,
    )
    separately = jnp.stack([operator(x) for x in signals])
    # As an argument, not a constant: its leaves are traced then, as they are in use.
    jitted = eqx.filter_jit(lambda f, x: f(x))
    together = jnp.stack([jitted(operator, x) for x in signals])
    yield LawCheck("jit", _relative(together, separately), rounding)
    batched = jax.vmap(operator.__call__)(signals)
    yield LawCheck("vmap", _relative(batched, separately), rounding)


def _linear_laws(
    operator: AbstractLinearOperator, signals: Array, data: Array
) -> Iterator[LawCheck]:
    rounding = 10 * eps_of(operator.in_structure) * _coordinates(operator) ** 0.5
    factors: list[complex] = [-1.7, 0.6 - 1.1j] if operator.complex_linear else [-1.7]
    pairs = list(zip(signals, jnp.roll(signals, 1, axis=0), strict=True))
    yield LawCheck(
        "linearity",
        max(_linearity_error(operator, x, h, c) for x, h in pairs for c in factors),
        rounding,
    )
    yield LawCheck(
        "adjoint (inner products)",
        max(_adjoint_error(operator, x, y) for x, y in zip(signals, data, strict=True)),
        rounding,
    )


def _coordinates(operator: AbstractOperator) -> int:
    return max(real_size(operator.in_structure), real_size(operator.out_structure))


def _relative(found: Array, expected: Array) -> float:
    """‖found − expected‖ / ‖expected‖, and the absolute error where the expected one is zero."""
    size = float(length(expected))
    return float(length(found - expected)) / (size if size > 0 else 1.0)


def _inner(x: Array, y: Array) -> float:
    """Re Σ conj(x_i) y_i."""
    return float(jnp.sum(x.conj() * y).real)


def _adjoint_error(operator: AbstractLinearOperator, x: Array, y: Array) -> float:
    image, pulled = operator(x), operator.adjoint(y)
    scale = float(length(image) * length(y) + length(x) * length(pulled))
    return abs(_inner(image, y) - _inner(x, pulled)) / (scale if scale > 0 else 1.0)


def _reverse_error(operator: AbstractOperator, x: Array, y: Array) -> float:
    _, pull_back = jax.vjp(operator.__call__, x)
    return _relative(operator.linearize(x).adjoint(y), pull_back(y.conj())[0].conj())


def _linearity_error(operator: AbstractLinearOperator, x: Array, h: Array, c: complex) -> float:
    factor = jnp.asarray(c)
    image, other = operator(x), operator(h)
    combined = operator(x + factor.astype(x.dtype) * h)
    expected = image + factor.astype(image.dtype) * other
    # Relative to the terms: their sum may cancel.
    scale = float(length(image) + abs(c) * length(other))
    return float(length(combined - expected)) / (scale if scale > 0 else 1.0)


def _difference_error(operator: AbstractOperator, x: Array, h: Array) -> float:
    """The best of several step sizes: a wrong derivative is wrong for all of them."""
    derivative = operator.linearize(x)(h)
    base = eps_of(operator.in_structure) ** (1 / 3)
    steps = [base * ratio for ratio in (0.1, 1.0, 10.0)]
    errors = []
    for step in steps:
        difference = (operator(x + step * h) - operator(x - step * h)) / (2 * step)
        errors.append(_relative(difference, derivative))
    return min(errors)
