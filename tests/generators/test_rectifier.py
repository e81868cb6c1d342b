"""The smooth rectifiers: distance to their limit, slopes, Gaussian moments, no recompilation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

import jaxdip as jd
from jaxdip.generators import SmoothRectifier

CASES = [(tau, leak) for tau in (0.02, 0.3, 2.5) for leak in (0.0, 0.2, -1.0)]


@pytest.mark.parametrize(("tau", "leak"), CASES)
def test_distance_and_slopes_are_bounded_and_the_bounds_attained(tau, leak):
    phi = SmoothRectifier(tau, leak)
    h = jnp.linspace(-30 * tau, 30 * tau, 60_001)
    limit = np.where(h > 0, h, leak * h)
    np.testing.assert_allclose(np.max(np.abs(phi(h) - limit)), phi.gap, rtol=1e-12)
    slope = np.asarray(jax.vmap(jax.grad(phi))(h))
    bend = np.asarray(jax.vmap(jax.grad(jax.grad(phi)))(h))
    np.testing.assert_allclose(np.max(np.abs(slope)), phi.sup_slope, rtol=1e-9)
    np.testing.assert_allclose(np.max(np.abs(bend)), phi.lip_slope, rtol=1e-9)
    assert phi.smooth
    assert float(phi.B) == max(float(phi.sup_slope), float(phi.lip_slope))


@pytest.mark.parametrize(("tau", "leak"), CASES)
def test_gaussian_moments_by_adaptive_quadrature(tau, leak):
    phi = SmoothRectifier(tau, leak)

    def moment(function):
        def integrand(h):
            return function(h) ** 2 * scipy.stats.norm.pdf(h)

        parts = [scipy.integrate.quad(integrand, *ends, epsabs=1e-13, limit=400)[0]
                 for ends in ((-12, -6 * tau), (-6 * tau, 6 * tau), (6 * tau, 12))]  # fmt: skip
        return np.sqrt(sum(parts))

    def value(h):
        return leak * h + (1 - leak) * tau * np.logaddexp(0, h / tau)

    def slope(h):
        return leak + (1 - leak) / (1 + np.exp(-h / tau))

    np.testing.assert_allclose(phi.C_phi, moment(value), rtol=1e-9)
    np.testing.assert_allclose(phi.C_dphi, moment(slope), rtol=1e-9)


def test_the_limits_are_relu_and_softplus():
    cold = SmoothRectifier(1e-5)
    np.testing.assert_allclose(cold.C_phi, jd.generators.ACTIVATIONS["relu"].C_phi, atol=1e-4)
    np.testing.assert_allclose(cold.C_dphi, jd.generators.ACTIVATIONS["relu"].C_dphi, atol=1e-4)
    one, softplus = SmoothRectifier(1.0), jd.generators.ACTIVATIONS["softplus"]
    np.testing.assert_allclose(one.C_phi, softplus.C_phi, rtol=1e-10)
    np.testing.assert_allclose(one.C_dphi, softplus.C_dphi, rtol=1e-10)


def test_a_new_temperature_does_not_recompile_and_does_not_train(key):
    traces = []

    @eqx.filter_jit
    def run(g, u):
        traces.append(None)
        return g(u)

    u = jd.on_sphere(4, key=key)
    for tau in (0.1, 0.2):
        g = jd.TwoLayer(latent=4, width=6, out=3, key=key, activation=SmoothRectifier(tau))
        direct = g.V @ (tau * jax.nn.softplus(g.W @ u / tau)) / 6**0.5
        np.testing.assert_allclose(run(g, u), direct, rtol=1e-12)
        deep = jd.MLP(widths=(4, 6), out=3, key=key, activation=SmoothRectifier(tau))
        for network in (g, deep):
            marks = network.trainable().activation
            assert not any(jax.tree.leaves(marks))
            assert len(jax.tree.leaves(marks)) == 2
    assert len(traces) == 1


def test_single_precision_stays_and_vmap_runs_over_temperatures(key):
    h = jnp.linspace(-1, 1, 5, dtype=jnp.float32)
    assert SmoothRectifier(0.1)(h).dtype == jnp.float32
    taus = jnp.array([0.1, 0.7])
    batch = jax.vmap(lambda tau: SmoothRectifier(tau).C_phi)(taus)
    np.testing.assert_allclose(batch[1], SmoothRectifier(0.7).C_phi, rtol=1e-12)
    g = jd.TwoLayer(latent=4, width=6, out=3, key=key, activation=SmoothRectifier(0.1),
                    dtype=jnp.float32)  # fmt: skip
    A = jd.operators.Gaussian(m=2, n=3, key=key, dtype=jnp.float32)
    u = jd.on_sphere(4, key=key, dtype=jnp.float32)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(jnp.ones(3, jnp.float32)))
    bound = jd.lipschitz_bound(problem, g).value
    assert bound.dtype == jnp.float32
    assert float(bound) >= float(jd.lipschitz_local(problem, g).value)


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match="temperature is positive, got 0"):
        SmoothRectifier(0.0)
    with pytest.raises(ValueError, match="leak is finite"):
        SmoothRectifier(0.1, float("nan"))
    with pytest.raises(ValueError, match="one number, got shape"):
        SmoothRectifier(jnp.ones(2))
