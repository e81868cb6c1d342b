"""Composition, sum and multiple, and the derivative of what is not linear."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from operators.catalogue import gaussian, make

from jaxdip import operators as ops


def test_linear_operators_combine_as_matrices_do():
    a, b, c = gaussian("float64", 1), gaussian("float64", 2), gaussian("float64", 3, m=3, n=4)
    combined = c @ (2.0 * a - b) @ ops.Identity(6)
    expected = np.asarray(c.values @ (2 * a.values - b.values))
    assert isinstance(combined, ops.AbstractLinearOperator)
    np.testing.assert_allclose(combined.matrix(), expected, rtol=1e-12)
    values = np.linalg.svd(expected, compute_uv=False)
    np.testing.assert_allclose(combined.singular_values(), values, rtol=1e-12)


def test_a_factor_scales_the_whole_spectrum():
    a = gaussian("complex128")
    scaled = (3 - 4j) * a
    np.testing.assert_allclose(scaled.singular_values(), 5 * a.singular_values(), rtol=1e-14)
    np.testing.assert_allclose(scaled.matrix(), (3 - 4j) * a.values, rtol=1e-14)
    zero = 0.0 * a
    assert (int(zero.rank()), float(zero.sigma_min()), float(zero.norm())) == (0, 0.0, 0.0)
    np.testing.assert_array_equal(zero.pseudo_inverse(jnp.ones(4, "complex128")), np.zeros(6))


@pytest.mark.parametrize("factor", [2, 2.0, np.float64(2), np.float32(2), jnp.asarray(2.0)])
def test_any_number_on_either_side_is_a_factor(factor):
    a = gaussian("float32")
    x = jnp.ones(6, "float32")
    for scaled in (factor * a, a * factor):
        assert isinstance(scaled, ops.LinearScaled)
        np.testing.assert_array_equal(scaled(x), 2 * a(x))
        assert scaled(x).dtype == jnp.float32
    np.testing.assert_array_equal((-a)(x), -a(x))


def test_factors_under_vmap_do_not_recompile():
    a, traces = gaussian("float64"), []

    @jax.jit
    def norm(factor):
        traces.append(None)
        return (factor * a).norm()

    factors = jnp.array([1.0, -2.0, 0.5])
    expected = jnp.abs(factors) * a.norm()
    np.testing.assert_allclose(jax.vmap(norm)(factors), expected, rtol=1e-14)
    traces.clear()
    norm.clear_cache()
    for factor in factors:
        norm(factor)
    assert len(traces) == 1


@pytest.mark.parametrize(
    "name", ["callable module", "composition outer", "composition inner", "sum"]
)
def test_the_derivative_is_jaxs_jacobian(name, key):
    operator = make(name)
    x = jax.random.normal(key, operator.in_structure.shape)
    np.testing.assert_allclose(
        operator.linearize(x).matrix(), jax.jacobian(operator.__call__)(x), rtol=1e-12, atol=1e-14
    )


def test_phase_retrieval_and_its_derivative(key):
    a = gaussian("complex128")
    x, h = jax.random.normal(key, (2, 6), "complex128")
    operator = ops.PhaseRetrieval(a)
    np.testing.assert_allclose(operator(x), np.abs(np.asarray(a.values @ x)) ** 2, rtol=1e-13)
    expected = 2 * np.real(np.conj(a.values @ x) * (a.values @ h))
    np.testing.assert_allclose(operator.linearize(x)(h), expected, rtol=1e-12)
    np.testing.assert_allclose(operator(jnp.exp(0.3j) * x), operator(x), rtol=1e-13)


def test_the_adjoint_gives_the_gradient_of_a_real_loss(key):
    # JAX's gradient for complex signals is the conjugate of the direction of steepest ascent.
    operator = ops.PhaseRetrieval(gaussian("complex128"))
    x = jax.random.normal(key, (6,), "complex128")
    loss = lambda x: 0.5 * jnp.sum((operator(x) - 1.0) ** 2)  # noqa: E731
    gradient = operator.linearize(x).adjoint(operator(x) - 1.0)
    np.testing.assert_allclose(gradient, jax.grad(loss)(x).conj(), rtol=1e-12)


def test_a_modules_parameters_are_leaves(key):
    operator = make("callable module")
    x = jax.random.normal(key, (5,))
    slope = jax.grad(lambda f: jnp.sum(f(x)))(operator).fn.strength
    np.testing.assert_allclose(slope, jnp.sum(x * jnp.cos(0.7 * x)), rtol=1e-12)


def test_a_real_linear_map_between_complex_spaces_has_no_complex_matrix():
    operator = make("composition over the reals")
    with pytest.raises(ValueError, match="real_matrix"):
        operator.matrix()
    assert operator.real_matrix().shape == (8, 12)


A, B = gaussian("float64"), gaussian("float64", m=3, n=4)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: A @ B, ValueError, r"returns shape \(3,\), but A takes \(6,\)"),
        (lambda: gaussian("float32", m=3, n=4) @ A, TypeError, "returns float64, but A takes"),
        (lambda: A + B, ValueError, "take shapes"),
        (lambda: A + gaussian("float32"), TypeError, "take float64 and float32"),
        (lambda: A + gaussian("complex128", in_dtype="float64"), TypeError, "return float64 and"),
        (lambda: 1j * A, TypeError, "real number"),
        (lambda: jnp.ones(4) * A, TypeError, "jax.vmap"),
        (lambda: A + 1.0, TypeError, "unsupported operand"),
        (lambda: A * A, TypeError, "unsupported operand"),
        (lambda: A @ jnp.ones(6), TypeError, "unsupported operand"),
        (lambda: ops.PhaseRetrieval(ops.Callable(jnp.sin, 3)), TypeError, "linear operator"),
        (lambda: ops.Callable(3, 3), TypeError, "wraps a function"),
        (lambda: ops.Callable(lambda x: (x, x), 3), TypeError, "one floating-point array"),
        (lambda: ops.Callable(lambda x: x > 0, 3), TypeError, "one floating-point array"),
        (lambda: ops.Callable(jnp.sin, 3).linearize(jnp.ones(2)), ValueError, "linearize takes"),
    ],
)
def test_a_wrong_call_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()
