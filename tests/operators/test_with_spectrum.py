"""Operators with a chosen spectrum between random bases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdip import operators as ops


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(("m", "n"), [(4, 6), (6, 4)])
def test_the_dense_matrix_has_the_chosen_spectrum(dtype, m, n, key):
    operator = ops.WithSpectrum([0.5, 3.0, 2.0], m=m, n=n, key=key, dtype=dtype)
    dense = np.asarray(operator.matrix())
    expected = np.linalg.svd(dense, compute_uv=False)
    np.testing.assert_allclose(operator.singular_values(), [3.0, 2.0, 0.5, 0.0])
    np.testing.assert_allclose(expected, [3.0, 2.0, 0.5, 0.0], atol=1e-13)
    assert float(operator.norm()) == 3.0
    assert float(operator.sigma_min()) == 0.5
    assert int(operator.rank()) == 3
    y = np.asarray(jax.random.normal(key, (m,), dtype))
    inverse = np.linalg.pinv(dense, rcond=1e-10)
    np.testing.assert_allclose(operator.pseudo_inverse(y), inverse @ y, rtol=1e-10, atol=1e-12)


def test_evenly_spaced_is_the_operator_of_the_deblurring_experiment(key):
    operator = ops.WithSpectrum.evenly_spaced(7, key)
    expected = np.linspace(1, 2, 7)[::-1]
    np.testing.assert_allclose(operator.singular_values(), expected, rtol=1e-14)
    np.testing.assert_allclose(np.linalg.svd(operator.matrix())[1], expected, rtol=1e-12)


def test_inverse_square_is_the_ill_conditioned_operator(key):
    operator = ops.WithSpectrum.inverse_square(100, key)
    np.testing.assert_allclose(operator.sigma_min(), 1 / (1 + 99**2), rtol=1e-14)
    single = ops.WithSpectrum.inverse_square(100, key, dtype="float32")
    # Not lost below the threshold eps·n·‖A‖ of a dense decomposition.
    np.testing.assert_allclose(single.sigma_min(), 1 / (1 + 99**2), rtol=1e-6)
    assert int(single.rank()) == 100


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_bases_are_uniformly_distributed(dtype, key):
    count, n = 4000, 3

    def corner(k):
        operator = ops.WithSpectrum(jnp.ones(n), m=n, n=n, key=k, dtype=dtype)
        return operator.left[0, 0], operator.right[1, 2]

    for entries in jax.vmap(corner)(jax.random.split(key, count)):
        entries = np.asarray(entries)
        # E u = 0 fails for a QR whose signs are not mended; E|u|² = 1/n, Var|u|² from Dirichlet.
        assert abs(np.mean(entries)) < 5 * (1 / n / count) ** 0.5
        spread = 2 * (n - 1) / (n**2 * (n + 2)) if dtype == "float64" else (n - 1) / n**2 / (n + 1)
        assert abs(np.mean(np.abs(entries) ** 2) - 1 / n) < 5 * (spread / count) ** 0.5


def test_spectra_under_vmap(key):
    highs = jnp.array([2.0, 5.0])
    batch = jax.vmap(lambda high: ops.WithSpectrum.evenly_spaced(4, key, 1.0, high))(highs)
    np.testing.assert_allclose(jax.vmap(lambda a: a.norm())(batch), highs)
    np.testing.assert_allclose(jax.vmap(lambda a: a.sigma_min())(batch), [1.0, 1.0])


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0, -1.0], ">= 0"), ([float("nan")], "NaN"), ([[1.0]], "vector"), ([1.0] * 4, "shape")],
)
def test_a_wrong_spectrum_is_refused(values, message, key):
    with pytest.raises(ValueError, match=message):
        ops.WithSpectrum(values, m=3, n=5, key=key)
