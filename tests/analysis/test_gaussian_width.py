"""Gaussian widths against known ones, and Gordon's theorem over random operators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.stats import chi

from jaxdip import analysis
from jaxdip._evidence import Quantity


def test_a_subspace_has_the_mean_of_chi():
    for r in (1, 2, 7, 500):
        assert float(analysis.subspace_width(r).value) == pytest.approx(chi.mean(r), rel=1e-10)
        a = analysis.chi_mean(r)
        assert r / np.sqrt(r + 1) <= a <= np.sqrt(r)
    big = 1_000_001
    assert analysis.chi_mean(big) == pytest.approx(analysis.chi_mean(big - 1), rel=1e-6)
    assert analysis.chi_mean(10**8) == pytest.approx(np.sqrt(10**8 - 0.5), rel=1e-12)


def test_gordon_holds_over_draws_and_not_without_the_width():
    m, r, t = 30, 8, 1.0
    bound = analysis.gordon_bound(m, analysis.subspace_width(r), t)
    rng = np.random.default_rng(0)
    least = np.array(
        [np.linalg.svd(rng.standard_normal((m, r)), compute_uv=False)[-1] for _ in range(400)]
    )
    promised = float(bound.probability.value)
    assert promised == pytest.approx(1 - np.exp(-0.5))
    assert bound.injectivity.evidence == "bound"
    assert np.mean(least >= float(bound.injectivity.value)) >= promised
    assert np.mean(least >= analysis.chi_mean(m) - t) < 0.1
    scaled = analysis.gordon_bound(m, analysis.subspace_width(r), t, normalized=True)
    ratio = float(bound.injectivity.value) / float(scaled.injectivity.value)
    assert ratio == pytest.approx(np.sqrt(m))
    # The limit √m (1 − √(r/m)), for large sizes.
    large = analysis.gordon_bound(40_000, analysis.subspace_width(10_000), 0.0, normalized=True)
    assert float(large.injectivity.value) == pytest.approx(0.5, rel=1e-4)


def test_too_few_measurements_promise_nothing():
    w = analysis.subspace_width(9)
    assert float(analysis.gordon_bound(5, w, 0.0).injectivity.value) == 0
    sampled = Quantity(w.value, "seen", "sampled")
    assert analysis.gordon_bound(5, sampled, 0.0).injectivity.grade == "estimated"
    needed = float(analysis.sample_bound(w).value)
    assert needed == pytest.approx(analysis.chi_mean(9) ** 2 + 1)
    assert analysis.chi_mean(int(np.ceil(needed))) > analysis.chi_mean(9)


def test_cones_with_known_widths(key):
    n = 12
    orthant = analysis.cone_width(jnp.eye(n), key=key, draws=600)
    # E‖g₊‖, whose square is close to the statistical dimension n/2.
    g = np.random.default_rng(0).standard_normal((100_000, n))
    exact = np.linalg.norm(np.maximum(g, 0), axis=1).mean()
    assert float(orthant.value) == pytest.approx(exact, abs=4 / np.sqrt(600))
    assert orthant.evidence == "sampled"
    D = jax.random.normal(key, (n, 4))
    span = analysis.cone_width(jnp.concatenate([D, -D], axis=1), key=key, draws=600)
    assert float(span.value) == pytest.approx(analysis.chi_mean(4), abs=4 / np.sqrt(600))


def test_projections_on_a_cone_are_scipys(key):
    D = jax.random.normal(key, (6, 9)) + 0.3
    draws = 20
    found = analysis.cone_width(D, key=key, draws=draws, steps=3000)
    g = np.asarray(jax.random.normal(key, (draws, 6)))
    expected = []
    for v in g:
        c, _ = nnls(np.asarray(D), v)
        expected.append(np.linalg.norm(np.asarray(D) @ c))
    assert float(found.value) == pytest.approx(np.mean(expected), rel=1e-5)


def test_the_descent_cone_of_the_l1_norm(key):
    n, s = 200, 10
    x = jnp.zeros(n).at[:s].set(jnp.linspace(-1, 2, s))
    width = analysis.l1_descent_width(x, key=key, draws=400)
    squared = float(width.value) ** 2
    assert 2 * s < squared <= 2 * s * np.log(n / s) + 1.25 * s
    # dist(g, τ∂‖x‖₁) minimised over a grid of τ instead of by bisection.
    g = np.asarray(jax.random.normal(key, (400, n)))
    sign = np.sign(np.asarray(x))
    live = sign != 0

    def distances(tau):
        gap = np.where(live, g - tau * sign, np.maximum(np.abs(g) - tau, 0))
        return np.linalg.norm(gap, axis=1)

    least = np.min([distances(tau) for tau in np.linspace(0, 4, 401)], axis=0)
    assert float(width.value) == pytest.approx(least.mean(), rel=1e-4)


def test_wrong_calls(key):
    with pytest.raises(ValueError, match="columns of a matrix"):
        analysis.cone_width(jnp.ones(3), key=key)
    with pytest.raises(ValueError, match="integer >= 1"):
        analysis.subspace_width(0)
