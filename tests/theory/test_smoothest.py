"""Compressive sensing: Theorem 1 and Proposition 1 by Monte Carlo, Proposition 2, Theorems 2, 3."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip import analysis, theory


def problem_of(rng, n=60, decay=0.8, smooth=10):
    """J with s_i² = γ^i, and the coefficients of a signal mostly in its leading vectors."""
    s = decay ** (0.5 * np.arange(1, n + 1))
    c = rng.standard_normal(n) * np.where(np.arange(n) < smooth, 1, 1e-3)
    return s, c


def ratios(rng, s, c, m, draws=150):
    """‖x − x*‖ over random A, in the basis of the left singular vectors (A's law allows it)."""
    found = []
    for _ in range(draws):
        A = rng.standard_normal((m, s.size)) / np.sqrt(m)
        M = A * s
        found.append(np.linalg.norm(s * np.linalg.lstsq(M, A @ c, rcond=None)[0] - c))
    return np.array(found)


@pytest.mark.parametrize("m", [12, 18, 30])
def test_theorem_1_holds_as_often_as_promised(m):
    rng = np.random.default_rng(m)
    s, c = problem_of(rng)
    certificate = theory.smoothest_linear(s, c, m)
    assert bool(certificate.holds)
    bound = float(certificate.bound("limit signal", jnp.inf))
    promised = float(certificate.numbers["probability"].value)
    assert promised == pytest.approx(1 - 3 * np.exp(-m / 6))
    errors = ratios(rng, s, c, m)
    assert np.mean(errors <= bound) >= promised
    # Far from attained, as bounds of this kind are; without C and the energy it would fail.
    assert errors.max() < 0.5 * bound
    tail = float(certificate.numbers["Σ s² beyond"].value)
    assert tail == pytest.approx((s[2 * m // 3 :] ** 2).sum(), rel=1e-10)
    assert np.mean(errors <= np.sqrt(tail) * 0.02) < 0.5
    by_hand = theory.smoothest_constant(m) * (c**2 / s**2).sum() * tail
    assert bound**2 == pytest.approx(by_hand, rel=1e-10)


def test_proposition_1_and_its_constant():
    rng = np.random.default_rng(0)
    s, c = problem_of(rng)
    for m, p, u in ((15, 5, 1.5), (30, 10, 2.0), (20, 16, 3.0)):
        certificate = theory.minimum_norm_error(s, c, m, oversampling=p, deviation=u)
        bound = float(certificate.bound("limit signal", jnp.inf))
        promised = float(certificate.numbers["probability"].value)
        assert promised == pytest.approx(1 - 2 * np.exp(-p) - np.exp(-(u**2) / 2))
        assert np.mean(ratios(rng, s, c, m) <= bound) >= promised
        k, a = m - p, np.e**2 * np.sqrt(m) / (p + 1)
        tail = np.sqrt((s[k:] ** 2).sum())
        inner = s[k] * (np.e * np.sqrt(3 * k / (p + 1)) + u * a) + a * tail
        expected = (c**2 / s**2).sum() * (s[k] ** 2 + inner**2)
        assert bound**2 == pytest.approx(expected, rel=1e-10)
    # Theorem 1 is Proposition 1 with s_{k+1} put into the tail.
    for m in (12, 18, 33):
        p = m // 3
        first = theory.minimum_norm_error(s, c, m, oversampling=p, deviation=p**0.5)
        second = theory.smoothest_linear(s, c, m)
        assert float(first.bound("limit signal", 0.0)) <= float(second.bound("limit signal", 0.0))
    flat = np.concatenate([np.ones(9), 1e-9 * np.ones(3)])
    flat = theory.minimum_norm_error(flat, np.ones(12), 12, oversampling=4, deviation=2.0)
    assert float(flat.numbers["Σ s² beyond"].value) == pytest.approx(1)
    constants = [theory.smoothest_constant(m) for m in range(12, 3000)]
    assert min(constants) > 370
    assert max(constants) <= 471


def test_the_deviation_bounds_behind_it():
    """P(‖G⁺‖ > t e√(k+p)/(p+1)) ≤ t^{−(p+1)} and P(‖G⁺‖_F > t√(3k/(p+1))) ≤ t^{−p}."""
    rng = np.random.default_rng(2)
    k, p, t = 6, 4, 1.3
    values = np.array(
        [np.linalg.svd(rng.standard_normal((k, k + p)), compute_uv=False) for _ in range(4000)]
    )
    spectral = 1 / values[:, -1] > t * np.e * np.sqrt(k + p) / (p + 1)
    frobenius = np.sqrt((values**-2.0).sum(1)) > t * np.sqrt(3 * k / (p + 1))
    assert spectral.mean() <= t ** -(p + 1)
    assert frobenius.mean() <= t**-p


def test_example_8():
    gamma, m, n = 0.7, 15, 80
    s = gamma ** (0.5 * np.arange(1, n + 1))
    rng = np.random.default_rng(3)
    c = np.where(np.arange(n) < m // 3, rng.standard_normal(n), 0)
    relative = float(theory.smoothest_linear(s, c, m).bound("limit signal", 0.0)) ** 2 / (c @ c)
    example = float(theory.geometric_example(m, gamma).value)
    assert relative <= example
    worst = np.where(np.arange(n) == m // 3 - 1, 1.0, 0)
    worst = float(theory.smoothest_linear(s, worst, m).bound("limit signal", 0.0)) ** 2
    # γ^{2m/3+1}/(1−γ) over γ^{m/3}: the example drops a factor γ.
    assert worst == pytest.approx(example * gamma, rel=1e-4)
    with pytest.raises(ValueError, match="m >= 12"):
        theory.geometric_example(11, gamma)


def test_theorem_1_where_it_says_nothing():
    s, c = np.array([2.0, 1.0, 0.0] + [0.0] * 17), np.ones(20)
    few = theory.smoothest_linear(s[:2], c[:2], 11)
    assert "m >= 12" in few.verdict
    singular = theory.smoothest_linear(s, c, 12)
    assert "singular value of J is zero" in singular.verdict
    assert np.isnan(float(singular.bound("limit signal", 0.0)))
    rising = theory.smoothest_linear(np.arange(1.0, 21), c, 12)
    assert "descending" in rising.verdict
    narrow = theory.minimum_norm_error(np.ones(20), c, 12, oversampling=3, deviation=1.0)
    assert "p >= 4" in narrow.verdict
    bold = theory.minimum_norm_error(np.ones(20), c, 12, oversampling=4, deviation=0.1)
    assert "probability it promises is not positive" in bold.verdict
    with pytest.raises(ValueError, match="one length"):
        theory.smoothest_linear(s, c[:3], 12)


def test_proposition_2_is_the_closed_form_of_the_linearised_twin(key):
    A = jd.operators.Gaussian(m=4, n=6, key=key, normalized=True)
    g = jd.Linear(jax.random.normal(key, (6, 9)), jnp.linspace(-1, 1, 9))
    u = jnp.ones(1)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=jnp.arange(4.0))
    steps, gamma = np.array([0, 1, 2, 17, 300]), 0.04
    J = np.asarray(A.matrix()) @ np.asarray(g.J)
    r0 = np.asarray(problem.predict(g) - problem.y)
    found = theory.linear_iterates(J, r0, gamma, steps)
    twin = jd.linearised(problem, g).trajectory(jd.GradientDescent(gamma), jnp.asarray(steps))
    predicted = np.asarray(twin.observed["prediction"]) - np.asarray(problem.y)
    np.testing.assert_allclose(found.residual, predicted, atol=1e-12)
    # And the iteration itself.
    theta, rows = np.zeros(9), {}
    for t in range(301):
        rows[t] = (J @ theta + r0, np.linalg.norm(theta))
        theta = theta - gamma * J.T @ (J @ theta + r0)
    np.testing.assert_allclose(found.residual, [rows[t][0] for t in steps], atol=1e-12)
    np.testing.assert_allclose(found.distance, [rows[t][1] for t in steps], atol=1e-12)


def test_proposition_2_for_tall_singular_and_unstable_cases():
    rng = np.random.default_rng(0)
    J = rng.standard_normal((7, 2)) @ rng.standard_normal((2, 4))
    r0 = rng.standard_normal(7)
    for gamma in (1e-9, 0.01, 0.5):
        theta = np.zeros(4)
        for _ in range(5):
            theta = theta - gamma * J.T @ (J @ theta + r0)
        found = theory.linear_iterates(J, r0, gamma, 5)
        np.testing.assert_allclose(found.residual[0], J @ theta + r0, rtol=1e-9)
        assert float(found.distance[0]) == pytest.approx(np.linalg.norm(theta), rel=1e-9)
    single = theory.linear_iterates(J.astype("f4"), r0.astype("f4"), 0.01, 5)
    assert single.residual.dtype == jnp.float32
    with pytest.raises(ValueError, match="J is"):
        theory.linear_iterates(J, r0[:3], 0.1, 5)


def triangular(n, p):
    u = np.maximum(p - np.abs(np.arange(-n // 2, n // 2)), 0.0)
    return jnp.asarray(u / np.linalg.norm(u))


def test_theorem_3_states_all_but_the_width():
    n, m, xi, delta = 120, 12, 0.1, 0.3
    u = triangular(n, 5)
    weights = analysis.circulant_weights(u)
    x = np.cos(2 * np.pi * np.arange(n) / n)
    c = analysis.trigonometric_basis(n).T @ jnp.asarray(x)
    U = analysis.circulant(u)
    size = float(jnp.linalg.norm(U, ord=2))
    found = theory.convolutional_recovery(
        weights, c, m, accuracy=xi, failure=delta, kernel_norm=size, data_norm=2.0
    )
    assert float(found.largest_accuracy.value) == pytest.approx(
        1 / np.sqrt(8 * np.log(2 * n / delta))
    )
    assert float(found.init_std.value) == pytest.approx(xi * 2 / (2 * np.sqrt(n) * size))
    assert float(found.largest_step.value) == pytest.approx(m / (4 * n * size**2))
    s = np.sort(np.asarray(weights))[::-1]
    kappa = size / s[-1]
    assert float(found.width.up_to_constant.value) == pytest.approx(kappa**26 * m / xi**8, rel=1e-9)
    # The cosine lies in the span of one w_i, of weight s_1 up to order.
    energy = float(jnp.sum((c / weights) ** 2))
    linear = np.sqrt(theory.smoothest_constant(m) * energy * (s[2 * m // 3 :] ** 2).sum())
    assert float(found.error.value) == pytest.approx(xi * np.linalg.norm(x) + linear, rel=1e-9)
    assert found.error.evidence == "assumed"
    verdict = found.certificate(10**9).verdict
    assert verdict.startswith("not applicable")
    assert "without the constant" in verdict
    chance = 1 - 3 * np.exp(-m / 6) - delta
    assert float(found.probability.value) == pytest.approx(chance)


def test_theorem_3_outside_its_hypotheses():
    weights, c = jnp.linspace(2, 1, 40), jnp.ones(40)
    numbers = {"failure": 0.1, "kernel_norm": 3.0, "data_norm": 1.0}
    crowded = theory.convolutional_recovery(weights, c, 12, accuracy=0.01, **numbers)
    assert "m <= n/9" in crowded.certificate(10).verdict
    assert np.isnan(float(crowded.error.value))
    few = theory.convolutional_recovery(weights, c, 4, accuracy=0.01, **numbers)
    assert "m >= 12" in few.certificate(10).verdict
    weights, c = jnp.linspace(2, 1, 120), jnp.ones(120)
    coarse = theory.convolutional_recovery(weights, c, 12, accuracy=0.9, **numbers)
    assert np.isnan(float(coarse.error.value))


def test_the_powers_of_the_channel_laws():
    base = theory.convolutional_width(20, 0.2, kappa=3.0)
    assert float(theory.convolutional_width(40, 0.2, kappa=3.0).ratio(base)) == pytest.approx(2)
    assert float(theory.convolutional_width(20, 0.1, kappa=3.0).ratio(base)) == pytest.approx(256)
    more = theory.convolutional_width(20, 0.2, kappa=6.0)
    assert float(more.ratio(base)) == pytest.approx(2.0**26)
    kernel = theory.convolutional_width(20, 0.2)
    assert float(kernel.up_to_constant.value) == pytest.approx(20 / 0.2**8)
    with pytest.raises(ValueError, match="one law"):
        kernel.ratio(base)
