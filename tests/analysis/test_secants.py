"""μ_F, σ_F, Lipschitz constants of F and of its derivative, distance to the network's range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares

import jaxdip as jd
from jaxdip import analysis
from jaxdip._evidence import Quantity


def retrieval(key, m=7, n=3, **options):
    A = jd.operators.Gaussian(m=m, n=n, key=jd.key_for(key, "A"), **options)
    return jd.operators.PhaseRetrieval(A), np.asarray(A.matrix())


def test_secants_are_ratios_and_lie_above_the_conic_value(key):
    A = jd.operators.Gaussian(m=4, n=4, key=key)
    x = jax.random.normal(jd.key_for(key, "x"), (50, 4))
    found = analysis.secant_modulus(A, x, x[0])
    M, gaps = np.asarray(A.matrix()), np.asarray(x[1:] - x[0])
    ratios = np.linalg.norm(gaps @ M.T, axis=1) / np.linalg.norm(gaps, axis=1)
    assert float(found.value) == pytest.approx(ratios.min(), rel=1e-12)
    assert float(found.value) >= float(A.sigma_min())
    assert found.grade == "estimated"
    assert np.isnan(float(analysis.secant_modulus(A, x[:1], x[0]).value))
    with pytest.raises(ValueError, match="signals are of shape"):
        analysis.secant_modulus(A, x[0], x[0])


def test_secants_of_phase_retrieval_see_the_lost_sign(key):
    F, M = retrieval(key)
    x = jnp.array([[1.0, 2.0, -1.0], [-1.0, -2.0, 1.5]])
    found = analysis.secant_modulus(F, x[1:], x[0])
    a, b = (M @ np.asarray(v) for v in x)
    expected = np.linalg.norm(a**2 - b**2) / np.linalg.norm(x[0] - x[1])
    assert float(found.value) == pytest.approx(expected, rel=1e-12)
    assert float(analysis.secant_modulus(F, -x[:1], x[0]).value) == pytest.approx(0, abs=1e-12)


def test_the_derivative_of_phase_retrieval_is_lipschitz_with_this_constant(key):
    F, M = retrieval(key)
    L = float(analysis.derivative_lipschitz(F).value)
    rng = np.random.default_rng(0)
    seen = 0.0
    for _ in range(300):
        z = rng.standard_normal(3)
        seen = max(seen, np.linalg.norm(2 * np.diag(M @ z) @ M, 2) / np.linalg.norm(z))
    assert 0.3 * L < seen <= L
    rows = np.linalg.norm(M, axis=1)
    assert pytest.approx(2 * rows.max() * np.linalg.norm(M, 2)) == L
    # One row: |a·x|² has the derivative 2 (a·x) a, and the constant 2‖a‖² is attained.
    single, a = retrieval(key, m=1)
    expected = 2 * np.linalg.norm(a) ** 2
    assert float(analysis.derivative_lipschitz(single).value) == pytest.approx(expected)
    assert float(analysis.derivative_lipschitz(F.operator).value) == 0
    cube = jd.operators.Callable(lambda x: x**3, (3,))
    with pytest.raises(ValueError, match="no Lipschitz constant of the derivative"):
        analysis.derivative_lipschitz(cube)


def test_the_forward_map_is_lipschitz_on_a_ball(key):
    F, M = retrieval(key)
    bound = float(analysis.forward_lipschitz(F, 1.3).value)
    x = np.random.default_rng(1).standard_normal((200, 3))
    x = 1.3 * x / np.linalg.norm(x, axis=1, keepdims=True)
    norms = [np.linalg.norm(2 * np.diag(M @ v) @ M, 2) for v in x]
    assert 0.3 * bound < max(norms) <= bound
    linear = analysis.forward_lipschitz(F.operator, 1.3)
    assert float(linear.value) == pytest.approx(float(F.operator.norm()))


def test_sigma_F_bounds_what_is_seen_in_the_ball(key):
    F, _ = retrieval(key, m=2)
    g = jd.TwoLayer(latent=4, width=60, out=3, key=key, activation="tanh")
    u = jd.on_sphere(4, key=key)
    problem = jd.Problem(u=u, operator=F, loss=jd.losses.MSE(), y=jnp.ones(2))
    at = F.linearize(g(u)).real_matrix()
    start = np.linalg.svd(np.asarray(at), compute_uv=False)[-1]
    assert float(analysis.sigma_F_bound(problem, g, 0.0).value) == pytest.approx(start)
    L = float(analysis.derivative_lipschitz(F).value)
    R = 0.2 * start / L / 3
    bound = analysis.sigma_F_bound(problem, g, R)
    assert bound.grade == "computed"
    steps = jax.random.normal(key, (200, *g.W.shape))
    steps = R * steps / jnp.linalg.norm(steps, axis=(1, 2), keepdims=True)
    signals = jax.vmap(lambda d: jd.TwoLayer(weights=(g.W + d, g.V), activation="tanh")(u))(steps)
    seen = analysis.sigma_F_sampled(F, signals)
    assert seen.evidence == "sampled"
    assert 0 < float(bound.value) < start
    assert float(bound.value) <= float(seen.value) < 1.02 * start
    # By hand, from its parts.
    spread = float(analysis.spectrum(problem, g, of="J").sigma_max.value)
    lip = float(analysis.jacobian_lipschitz(problem, g)(R))
    by_hand = start - L * (spread + R * lip) * R
    assert float(bound.value) == pytest.approx(by_hand, rel=1e-10)
    assert float(analysis.sigma_F_bound(problem, g, 1e3).value) == 0
    assumed = Quantity(jnp.asarray(L), "given", "assumed")
    assert analysis.sigma_F_bound(problem, g, R, curvature=assumed).evidence == "assumed"


def test_the_distance_to_a_linear_range_is_the_projection_s(key):
    J = jax.random.normal(key, (6, 3))
    g = jd.Linear(J)
    x = jnp.arange(6.0)
    fit = analysis.distance_to_range(jnp.ones(2), g, x, steps=60)
    _, left, _, _ = np.linalg.lstsq(np.asarray(J), np.asarray(x), rcond=None)
    assert float(fit.distance.value) == pytest.approx(np.sqrt(left[0]), rel=1e-8)
    assert fit.distance.evidence == "estimate from above"
    np.testing.assert_allclose(fit.generator(jnp.ones(2)), fit.signal, rtol=1e-12)


@pytest.mark.parametrize("both", [False, True])
def test_a_wide_network_reaches_and_a_narrow_one_does_not(both, key):
    u = 1.3 * jd.on_sphere(4, key=key)
    x = jnp.array([0.2, -0.1, 0.3])
    wide = jd.TwoLayer(latent=4, width=60, out=3, key=key, both=both)
    fit = analysis.distance_to_range(u, wide, x)
    assert float(fit.distance.value) < 1e-10
    np.testing.assert_allclose(fit.generator(u), x, atol=1e-10)
    first = jnp.sum((fit.generator.W - wide.W) ** 2)
    moved = jnp.sqrt(first + jnp.sum((fit.generator.V - wide.V) ** 2))
    assert float(fit.moved) == pytest.approx(float(moved), rel=1e-9)
    # V φ(z)/√k with sigmoid φ stays within V [0, 1]^k/√k: SciPy's bounded fit.
    far = jnp.array([3.0, -2.0, 4.0])
    narrow = jd.TwoLayer(latent=4, width=6, out=3, key=key)
    fit = analysis.distance_to_range(u, narrow, far, steps=300)
    M = np.asarray(narrow.V) / np.sqrt(6)
    best = least_squares(
        lambda s: M @ s - np.asarray(far), np.full(6, 0.5), bounds=(0, 1), xtol=1e-12
    )
    assert float(fit.distance.value) == pytest.approx(np.sqrt(2 * best.cost), rel=2e-2)
    assert float(fit.distance.value) >= np.sqrt(2 * best.cost) * (1 - 1e-6)


def test_wrong_calls(key):
    g = jd.Linear(jnp.ones((3, 2)))
    with pytest.raises(ValueError, match="makes signals of shape"):
        analysis.distance_to_range(jnp.ones(2), g, jnp.ones(4))
    with pytest.raises(ValueError, match="integer >= 1"):
        analysis.distance_to_range(jnp.ones(2), g, jnp.ones(3), steps=0)
