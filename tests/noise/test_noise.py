"""Moments of every noise against theory, and what each refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdip import noise

COUNT = 100_000


def z_score(samples, mean, variance):
    """How many standard errors the samples' mean lies from the theoretical one."""
    return abs(float(np.mean(np.asarray(samples, float))) - mean) / (variance / COUNT) ** 0.5


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gaussian_moments(dtype, key):
    clean = jnp.full(COUNT, 2.0, dtype)
    error = np.asarray(noise.Gaussian(0.5)(clean, key=key) - clean, float)
    assert z_score(error, 0, 0.25) < 5
    assert z_score(error**2, 0.25, 2 * 0.25**2) < 5
    assert z_score(error**4, 3 * 0.25**2, 96 * 0.25**4) < 5


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_complex_gaussian_noise_is_circular_with_the_stated_power(dtype, key):
    error = np.asarray(noise.Gaussian(0.5)(jnp.zeros(COUNT, dtype), key=key))
    assert z_score(np.abs(error) ** 2, 0.25, 0.25**2) < 5
    for part in (error.real, error.imag):
        assert z_score(part, 0, 0.125) < 5
        assert z_score(part**2, 0.125, 2 * 0.125**2) < 5
    assert z_score(error.real * error.imag, 0, 0.125**2) < 5


def test_uniform_moments(key):
    clean = jnp.full(COUNT, -1.0)
    error = np.asarray(noise.Uniform(3.0)(clean, key=key) - clean)
    assert np.max(np.abs(error)) <= 3.0
    assert z_score(error, 0, 3.0) < 5
    assert z_score(error**2, 3.0, 81 / 5 - 9) < 5
    assert z_score(error**3, 0, 3.0**6 / 7) < 5


def test_complex_uniform_noise_fills_a_square(key):
    error = np.asarray(noise.Uniform(3.0)(jnp.zeros(COUNT, "complex128"), key=key))
    for part in (error.real, error.imag):
        assert z_score(part, 0, 3.0) < 5
        assert z_score(part**2, 3.0, 81 / 5 - 9) < 5
    assert z_score(error.real * error.imag, 0, 9.0) < 5


@pytest.mark.parametrize(("level", "peak"), [(0.5, 4.0), (3.0, 1000.0), (0.0, 5.0)])
def test_poisson_moments(level, peak, key):
    noisy = np.asarray(noise.Poisson(peak)(jnp.full(COUNT, level), key=key))
    counts = noisy * peak
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    rate = level * peak
    tiny = np.finfo(float).tiny
    assert z_score(counts, rate, max(rate, tiny)) < 5
    assert z_score((counts - rate) ** 2, rate, max(rate + 2 * rate**2, tiny)) < 5


def test_poisson_refuses_negative_data_and_marks_them_where_it_cannot_look(key):
    clean = jnp.array([1.0, -0.1, 0.0])
    with pytest.raises(ValueError, match=r">= 0, got a minimum of -0\.1"):
        noise.Poisson(10.0)(clean, key=key)
    traced = jax.jit(lambda x: noise.Poisson(10.0)(x, key=key))(clean)
    np.testing.assert_array_equal(np.isnan(traced), [False, True, False])


def test_salt_and_pepper_frequencies(key):
    clean = jnp.full(COUNT, 0.25)
    noisy = np.asarray(noise.SaltAndPepper(0.3, -1.0, 2.0)(clean, key=key))
    for value, probability in [(-1.0, 0.15), (2.0, 0.15), (0.25, 0.7)]:
        assert z_score(noisy == value, probability, probability * (1 - probability)) < 5
    assert set(np.unique(noisy)) == {-1.0, 0.25, 2.0}


def test_salt_and_pepper_at_its_extremes(key):
    clean = jnp.full(100, 0.25)
    np.testing.assert_array_equal(noise.SaltAndPepper(0.0)(clean, key=key), clean)
    assert set(np.unique(noise.SaltAndPepper(1.0)(clean, key=key))) == {0.0, 1.0}


ALL = [
    lambda level: noise.Gaussian(level),
    lambda level: noise.Uniform(level),
    lambda level: noise.Poisson(level),
    lambda level: noise.SaltAndPepper(level, 0.0, 1.0),
]


@pytest.mark.parametrize("make", ALL)
def test_levels_are_numbers_that_batch_and_do_not_recompile(make, key):
    clean, levels, traces = jnp.ones((2, 3), "float32"), jnp.array([0.2, 0.9]), []

    @jax.jit
    def apply(model, key):
        traces.append(None)
        return model(clean, key=key)

    batch = jax.vmap(lambda level: make(level)(clean, key=key))(levels)
    assert batch.dtype == jnp.float32
    for i, level in enumerate(levels):
        np.testing.assert_allclose(apply(make(level), key), batch[i], rtol=1e-6)
    apply(make(0.5), key)
    assert len(traces) == 1


@pytest.mark.parametrize("make", ALL)
def test_the_key_alone_decides_the_draw(make, key):
    clean = jnp.linspace(0.1, 0.9, 200)
    model, other = make(0.7), jax.random.fold_in(key, 1)
    np.testing.assert_array_equal(model(clean, key=key), model(clean, key=key))
    assert np.any(np.asarray(model(clean, key=key)) != np.asarray(model(clean, key=other)))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda k: noise.Gaussian(-1.0), ValueError, "std"),
        (lambda k: noise.Gaussian(float("nan")), ValueError, "std"),
        (lambda k: noise.Gaussian(jnp.ones(2)), ValueError, "jax.vmap"),
        (lambda k: noise.Gaussian(1j), TypeError, "real number"),
        (lambda k: noise.Uniform(-1.0), ValueError, "half_width"),
        (lambda k: noise.Poisson(0.0), ValueError, "peak"),
        (lambda k: noise.SaltAndPepper(1.5), ValueError, "fraction"),
        (lambda k: noise.Gaussian(1.0)(jnp.arange(3), key=k), TypeError, "floating-point"),
        (lambda k: noise.Poisson(1.0)(jnp.ones(3, complex), key=k), TypeError, "real data"),
        (lambda k: noise.SaltAndPepper(0.1)(jnp.ones(3, complex), key=k), TypeError, "real data"),
    ],
)
def test_a_wrong_call_is_refused(build, error, message, key):
    with pytest.raises(error, match=message):
        build(key)
