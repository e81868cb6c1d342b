"""Matrices: given, Gaussian, and what they do to real and complex signals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from operators.catalogue import gaussian

from jaxdip import operators as ops


def z_score(samples, mean, variance):
    """How many standard errors the samples' mean lies from the theoretical one."""
    return abs(float(np.mean(samples)) - mean) / (variance / np.size(samples)) ** 0.5


def test_dense_acts_as_numpy_does(key):
    matrix = np.asarray(jax.random.normal(key, (3, 4)))
    x, y = np.arange(4.0).reshape(2, 2), np.arange(3.0)
    operator = ops.Dense(matrix, in_shape=(2, 2))
    np.testing.assert_allclose(operator(x), matrix @ x.ravel(), rtol=1e-13)
    np.testing.assert_allclose(operator.adjoint(y), (matrix.T @ y).reshape(2, 2), rtol=1e-13)
    np.testing.assert_array_equal(operator.matrix(), matrix)
    assert (operator.m, operator.n) == (3, 4)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_spectrum_and_pseudo_inverse_agree_with_numpy_at_any_rank(rank, key):
    left, right = jax.random.normal(key, (2, 5, 3))
    matrix = np.asarray(left[:, :rank] @ right[:4, :rank].T)
    operator = ops.Dense(matrix)
    values = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(operator.singular_values(), values, atol=1e-14)
    np.testing.assert_allclose(operator.norm(), np.linalg.norm(matrix, 2), rtol=1e-13)
    np.testing.assert_allclose(operator.sigma_min(), values[rank - 1] if rank else 0, rtol=1e-10)
    assert int(operator.rank()) == np.linalg.matrix_rank(matrix) == rank
    y = np.linspace(-1, 2, 5)
    np.testing.assert_allclose(
        operator.pseudo_inverse(y), np.linalg.pinv(matrix) @ y, rtol=1e-9, atol=1e-13
    )


def test_a_complex_matrix_on_real_signals_has_the_spectrum_of_its_two_parts():
    # |x_1 + i x_2| = ‖x‖: an isometry of the plane, though M has one row.
    operator = ops.Dense(jnp.array([[1.0, 1j]]), in_dtype="float64")
    np.testing.assert_allclose(operator.singular_values(), [1.0, 1.0], rtol=1e-14)
    assert int(operator.rank()) == 2
    np.testing.assert_allclose(operator.pseudo_inverse(jnp.array([3 - 4j])), [3.0, -4.0])


def test_real_matrix_represents_the_operator_in_real_coordinates(key):
    operator = gaussian("complex128", m=2, n=3)
    x = jax.random.normal(key, (3,), "complex128")
    found = operator.real_matrix() @ jnp.concatenate([x.real, x.imag])
    expected = operator.values @ x
    np.testing.assert_allclose(found, jnp.concatenate([expected.real, expected.imag]), rtol=1e-13)


def test_the_matrix_of_a_map_from_complex_signals_to_real_data(key):
    jacobian = ops.PhaseRetrieval(gaussian("complex128")).linearize(jnp.ones(6, "complex128"))
    x = jax.random.normal(key, (6,), "complex128")
    np.testing.assert_allclose(jacobian(x), (jacobian.matrix() @ x).real, rtol=1e-12)


def test_gaussian_entries_have_the_stated_moments(key):
    real = np.asarray(gaussian("float64", m=200, n=300).values)
    assert z_score(real, 0, 1) < 5
    assert z_score(real**2, 1, 2) < 5
    normalized = ops.Gaussian(m=200, n=300, key=key, normalized=True)
    assert z_score(200 * np.asarray(normalized.values) ** 2, 1, 2) < 5


def test_complex_gaussian_entries_are_circular(key):
    entries = np.asarray(ops.Gaussian(m=200, n=300, key=key, dtype="complex128").values)
    # |z|² is exponential with mean 1 and variance 1; Re z² has mean 0 and variance 1.
    assert z_score(np.abs(entries) ** 2, 1, 1) < 5
    assert z_score((entries**2).real, 0, 1) < 5
    assert z_score((entries**2).imag, 0, 1) < 5


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
def test_the_first_rows_do_not_depend_on_m(dtype, key):
    few = ops.Gaussian(m=2, n=5, key=key, dtype=dtype).values
    many = ops.Gaussian(m=7, n=5, key=key, dtype=dtype).values
    np.testing.assert_array_equal(few, many[:2])


def test_random_operators_under_vmap(key):
    keys = jax.random.split(key, 3)
    make = lambda k: ops.Gaussian(m=3, n=4, key=k)  # noqa: E731
    batch = jax.vmap(make)(keys)
    y = jnp.arange(3.0)
    norms = jax.vmap(lambda a: a.norm())(batch)
    inverses = jax.vmap(lambda a: a.pseudo_inverse(y))(batch)
    for i, k in enumerate(keys):
        np.testing.assert_allclose(norms[i], make(k).norm(), rtol=1e-12)
        np.testing.assert_allclose(inverses[i], make(k).pseudo_inverse(y), rtol=1e-10)


def test_ranks_under_vmap_differ_between_members(key):
    basis = jax.random.normal(key, (3, 4))
    matrices = jnp.stack([basis, basis.at[2].set(basis[0]), jnp.zeros((3, 4))])
    y = jnp.arange(3.0)
    batch = jax.vmap(ops.Dense)(matrices)
    np.testing.assert_array_equal(jax.vmap(lambda a: a.rank())(batch), [3, 2, 0])
    inverses = jax.vmap(lambda a: a.pseudo_inverse(y))(batch)
    expected = [np.linalg.pinv(matrix, rcond=1e-12) @ y for matrix in np.asarray(matrices)]
    np.testing.assert_allclose(inverses, np.stack(expected), rtol=1e-9, atol=1e-13)


def test_another_draw_does_not_recompile(key):
    traces = []

    @jax.jit
    def apply(operator, x):
        traces.append(None)
        return operator(x)

    for k in jax.random.split(key, 3):
        apply(ops.Gaussian(m=3, n=4, key=k), jnp.ones(4))
    assert len(traces) == 1


def test_what_is_too_large_for_a_dense_matrix_says_what_to_do():
    operator = ops.Callable(jnp.sin, 20_000).linearize(jnp.zeros(20_000))
    for ask in (operator.norm, operator.matrix, operator.real_matrix):
        with pytest.raises(ValueError, match=r"20000 x 20000.*estimate_norm"):
            ask()


def test_estimate_norm_is_a_lower_estimate_that_converges(key):
    operator = ops.WithSpectrum([5.0, 4.0, 1.0], m=6, n=4, key=key, dtype="complex128")
    first = float(ops.estimate_norm(operator, key=key, iterations=1))
    last = float(ops.estimate_norm(operator, key=key, iterations=200))
    assert first < last <= 5.0 * (1 + 1e-14)
    assert last == pytest.approx(5.0, rel=1e-12)
    assert float(ops.estimate_norm(ops.Dense(jnp.zeros((2, 3))), key=key)) == 0


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ops.Dense(jnp.ones(3)), ValueError, r"shape \(m, n\), got \(3,\)"),
        (lambda: ops.Dense(jnp.ones((2, 3)), in_shape=(2, 2)), ValueError, "has 4 entries"),
        (lambda: ops.Dense(jnp.ones((2, 3)), in_dtype=int), TypeError, "floating-point"),
        (lambda: gaussian("float64", m=0), ValueError, "m >= 1"),
        (lambda: gaussian("float64")(jnp.ones(5)), ValueError, r"shape \(6,\), got \(5,\)"),
        (lambda: gaussian("float64")(jnp.ones(6, "float32")), TypeError, "float64, got float32"),
        (lambda: gaussian("float64").adjoint(jnp.ones(6)), ValueError, "adjoint takes"),
        (lambda: ops.Identity((2, 0)), ValueError, "positive extents"),
        (
            lambda: ops.estimate_norm(ops.Callable(jnp.sin, 3), key=jax.random.key(0)),
            TypeError,
            "linearize",
        ),
    ],
)
def test_a_wrong_call_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()
