"""Restricted injectivity: on the tangent space, the lazy subspace, and a cone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import jaxdip as jd
from jaxdip import analysis


def stated(key, m, n, g, u=None):
    A = jd.operators.Gaussian(m=m, n=n, key=jd.key_for(key, "A"), normalized=True)
    u = jd.on_sphere(4, key=key) if u is None else u
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=jnp.zeros(m))


def network(key, n, k=40, **options):
    return jd.TwoLayer(latent=4, width=k, out=n, key=jd.key_for(key, "g"), **options)


def of_rank(key, n, r, k=40):
    """V = Φ V' has a Jacobian of rank r."""
    g = network(key, r, k)
    Phi = jnp.linalg.qr(jax.random.normal(jd.key_for(key, "Phi"), (n, r)))[0]
    return jd.TwoLayer(weights=(g.W, Phi @ g.V)), Phi


def test_it_is_the_least_ratio_over_the_tangent_space(key):
    g, Phi = of_rank(key, 8, 3)
    problem = stated(key, 5, 8, g)
    found = analysis.restricted_injectivity(problem, g)
    A = np.asarray(problem.operator.matrix())
    expected = np.linalg.svd(A @ np.asarray(Phi), compute_uv=False)[-1]
    assert float(found.value) == pytest.approx(expected, rel=1e-10)
    assert found.evidence == "dense spectrum"
    assert "3 of 8 dimensions" in found.how
    z = np.random.default_rng(0).standard_normal((3, 2000))
    ratios = np.linalg.norm(A @ Phi @ z, axis=0) / np.linalg.norm(Phi @ z, axis=0)
    assert ratios.min() >= float(found.value)
    assert ratios.min() < 1.3 * float(found.value) + 0.05


def test_full_rank_and_few_data_exclude_one_another(key):
    """With σ_n(J) > 0 the tangent space is R^n: 0 for m < n, σ_A for m ≥ n, for both layers too."""
    for both in (False, True):
        g = network(key, 4, both=both)
        few = stated(key, 3, 4, g)
        found = analysis.restricted_injectivity(few, g)
        assert float(found.value) == 0
        assert "vacuous" in found.how
        many = stated(key, 6, 4, g)
        found = analysis.restricted_injectivity(many, g)
        assert float(found.value) == pytest.approx(float(many.operator.sigma_min()), rel=1e-8)


def test_a_dead_network_has_no_number(key):
    g = network(key, 4)
    dead = jd.TwoLayer(weights=(g.W, 0 * g.V))
    found = analysis.restricted_injectivity(stated(key, 3, 4, g), dead)
    assert np.isnan(float(found.value))
    assert "no number" in found.how
    assert np.isnan(float(analysis.lazy_injectivity(stated(key, 3, 4, g), dead).value))


def test_the_lazy_subspace_says_something_for_few_data(key):
    g = network(key, 6, activation="tanh")
    problem = stated(key, 3, 6, g)
    found = analysis.lazy_injectivity(problem, g)
    A = np.asarray(problem.operator.matrix())
    h = np.asarray(g.W @ problem.u)
    J = np.asarray(g.V) * (1 - np.tanh(h) ** 2) / np.sqrt(g.width)
    S = np.linalg.qr(J @ J.T @ A.T)[0]
    assert float(found.value) == pytest.approx(np.linalg.svd(A @ S, compute_uv=False)[-1], rel=1e-9)
    assert float(found.value) > 0


def test_the_bound_of_the_lazy_signal_holds(key):
    """‖x_lin − x̄‖ at convergence, against the bound with λ_S, and without noise."""
    g = network(key, 6)
    problem = stated(key, 3, 6, g)
    x_true = jax.random.normal(jd.key_for(key, "x"), (6,))
    problem = jd.Problem(
        u=problem.u, operator=problem.operator, loss=problem.loss, y=problem.operator(x_true)
    )
    lam = float(analysis.lazy_injectivity(problem, g).value)
    J = np.asarray(g.V) * np.asarray(jax.nn.sigmoid(g.W @ problem.u)) / np.sqrt(g.width)
    J = J * (1 - np.asarray(jax.nn.sigmoid(g.W @ problem.u)))
    A = np.asarray(problem.operator.matrix())
    S = np.linalg.qr(J @ J.T @ A.T)[0]
    x0 = np.asarray(g(problem.u))
    x_lin = x0 + J @ J.T @ A.T @ np.linalg.solve(A @ J @ J.T @ A.T, np.asarray(problem.y) - A @ x0)
    gap = np.asarray(x_true) - x0
    dist = np.linalg.norm(gap - S @ (S.T @ gap))
    error = np.linalg.norm(x_lin - np.asarray(x_true))
    assert dist <= error <= (1 + np.linalg.norm(A, 2) / lam) * dist


def test_it_runs_under_jit_and_vmap(key):
    def one(key):
        g, _ = of_rank(key, 8, 3)
        return analysis.restricted_injectivity(stated(key, 5, 8, g), g).value

    keys = jax.random.split(key, 3)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(one))(keys), [float(one(k)) for k in keys], rtol=1e-8
    )


def test_the_cone_from_above(key):
    """Never below σ_min over its span, never above the least direction; near what SciPy finds."""
    n, m, q = 7, 4, 5
    A = jd.operators.Gaussian(m=m, n=n, key=key)
    D = jax.random.normal(jd.key_for(key, "D"), (n, q)) + 1.0
    found = analysis.cone_injectivity(A, D, key=key)
    assert found.evidence == "estimate from above"
    M, C = np.asarray(A.matrix()), np.asarray(D / jnp.linalg.norm(D, axis=0))
    alone = np.linalg.norm(M @ C, axis=0).min()
    value = float(found.value)
    basis = np.linalg.qr(C)[0]
    span = np.linalg.svd(M @ basis, compute_uv=False)
    assert (span[-1] if q <= m else 0) - 1e-12 <= value <= alone + 1e-12
    rng = np.random.default_rng(0)

    def ratio(w):
        z = C @ w**2
        return np.linalg.norm(M @ z) / np.linalg.norm(z)

    best = min(minimize(ratio, rng.random(q)).fun for _ in range(12))
    assert value == pytest.approx(min(best, alone), rel=2e-3)
    # A line has one ratio.
    line = analysis.cone_injectivity(A, D[:, :1], key=key)
    assert float(line.value) == pytest.approx(np.linalg.norm(M @ C[:, 0]), rel=1e-12)
    with pytest.raises(ValueError, match="columns of a matrix"):
        analysis.cone_injectivity(A, D.T, key=key)
