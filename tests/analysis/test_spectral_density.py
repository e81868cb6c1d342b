"""Stochastic Lanczos quadrature, against the spectrum itself."""

import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.analysis import spectral_density


@pytest.fixture
def case(key):
    """A square problem of size 40 with a spread-out spectrum."""
    A = jd.operators.WithSpectrum.evenly_spaced(40, key, 0.2, 1.0)
    g = jd.TwoLayer(latent=5, width=80, out=40, key=key, activation="tanh")
    y = jnp.zeros(40)
    problem = jd.Problem(u=jd.on_sphere(5, key=key), operator=A, loss=jd.losses.MSE(), y=y)
    return problem, g, np.asarray(jd.spectrum(problem, g).values) ** 2


def test_moments_and_shares_are_those_of_the_eigenvalues(case, key):
    problem, g, eigenvalues = case
    found = spectral_density(problem, g, key=key, probes=60, depth=12)
    assert found.nodes.shape == found.weights.shape == (60, 12)
    np.testing.assert_allclose(jnp.sum(found.weights, axis=1), 1, rtol=1e-12)
    for power in (1, 2, 3):
        mean, error = found.moment(power)
        true = np.mean(eigenvalues**power)
        assert 0 < error < 0.1 * true
        assert abs(mean - true) < 4.5 * error
    for level in np.quantile(eigenvalues, [0.25, 0.5, 0.75]):
        share, error = found.below(float(level))
        # A quadrature of depth q resolves the distribution to about 1/q.
        assert abs(share - np.mean(eigenvalues <= level)) < 1 / 12 + 4.5 * error


def test_each_probe_has_the_exact_moments_of_its_own_measure(case, key):
    """Gauss quadrature of depth q is exact for wᵀ K^j w up to degree 2q − 1, and not beyond."""
    problem, g, _ = case
    K = np.asarray(jd.analysis.kernel(problem, g))
    found = spectral_density(problem, g, key=key, probes=1, depth=3)
    start, _ = jax.random.split(jax.random.split(key, 1)[0])
    w = np.asarray(jax.random.rademacher(start, (40,), jnp.float64)) / np.sqrt(40)
    for power in range(6):
        true = w @ np.linalg.matrix_power(K, power) @ w
        np.testing.assert_allclose(found.moment(power)[0], true, rtol=1e-11)
    seventh = w @ np.linalg.matrix_power(K, 7) @ w
    assert abs(found.moment(7)[0] - seventh) > 1e-6 * seventh
    assert np.isnan(found.moment(1)[1])


def test_smoothed_density_is_that_of_the_eigenvalues(case, key):
    problem, g, eigenvalues = case
    found = spectral_density(problem, g, key=key, probes=60, depth=40)
    width = 0.1 * eigenvalues.max()
    density, error = found.smoothed(found.grid, width)
    bumps = np.exp(-0.5 * ((found.grid[:, None] - eigenvalues) / width) ** 2)
    true = np.mean(bumps, axis=1) / (width * np.sqrt(2 * np.pi))
    assert np.all(np.abs(density - true) < 5 * error + 1e-10)
    assert np.max(np.abs(density - true)) < 0.2 * true.max()
    mass = np.trapezoid(found.density, found.grid)
    np.testing.assert_allclose(mass, 1, atol=0.01)


def test_any_generator_and_rank_deficiency(key):
    """Rank 6 of 8: at full depth a quarter of the weight sits at zero."""
    problem, g, _ = examples.problem(key, "mlp", "tall")
    found = spectral_density(problem, g, key=key, probes=200, depth=8)
    share, error = found.below(1e-12)
    assert abs(share - 2 / 8) < 4.5 * error
    own = spectral_density(problem, g, of="J", key=key, probes=2, depth=50)
    assert own.nodes.shape == (2, 6)


def test_wrong_calls(key):
    problem, g, _ = examples.problem(key)
    with pytest.raises(TypeError, match="random key"):
        spectral_density(problem, g, key=0)
    with pytest.raises(ValueError, match="probes is an integer"):
        spectral_density(problem, g, key=key, probes=0)
    with pytest.raises(ValueError, match="of is 'AJ'"):
        spectral_density(problem, g, key=key, of="JA")
