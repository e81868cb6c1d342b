"""Stating problems: measurements, observables, and the two numbers that set the scales."""

import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip import theory
from jaxdip.problem import parametrize


def test_measure_keeps_the_noise_norm(key):
    A = jd.operators.Gaussian(m=4, n=3, key=key)
    x = jnp.arange(3.0)
    data = jd.measure(A, x, noise=0.1, key=key)
    np.testing.assert_allclose(data.y_clean, A(x))
    np.testing.assert_allclose(data.noise_norm, np.linalg.norm(data.y - data.y_clean), rtol=1e-14)
    model = jd.measure(A, x, noise=jd.noise.Gaussian(0.1), key=key)
    np.testing.assert_array_equal(model.y, data.y)
    clean = jd.measure(A, x)
    np.testing.assert_array_equal(clean.y, clean.y_clean)
    assert float(clean.noise_norm) == 0


def test_one_factor_is_held_while_another_varies():
    key = jax.random.key(3)
    assert not jnp.array_equal(
        jax.random.key_data(jd.key_for(key, "noise")), jax.random.key_data(jd.key_for(key, "init"))
    )
    assert jnp.array_equal(
        jax.random.key_data(jd.key_for(key, "noise")), jax.random.key_data(jd.key_for(key, "noise"))
    )
    with pytest.raises(TypeError, match="make one by jax"):
        jd.key_for(0, "noise")


def test_observables_are_what_they_say(key):
    problem, g, data = examples.problem(key, "two-layer-both", "wide")
    obs = jd.observables
    run = jd.iterate(
        problem,
        jd.GradientDescent(0.05),
        g,
        7,
        every=7,
        observe={
            "signal": obs.Signal(),
            "prediction": obs.Prediction(),
            "residual": obs.ResidualNorm(),
            "error": obs.SignalError(data.x_true),
            "clean": obs.PredictionError(data.y_clean),
            "distance": obs.ParameterDistance(),
            "gradient": obs.GradientNorm(),
            "own": lambda problem, generator: jnp.sum(generator.W) + jnp.sum(problem.y),
        },
    )
    end, x = run.generator, run.generator(problem.u)
    v = problem.operator(x)
    grads = jax.grad(problem.objective)(end)
    expected = {
        "loss": 0.5 * np.sum((v - problem.y) ** 2),
        "signal": x,
        "prediction": v,
        "residual": np.linalg.norm(v - problem.y),
        "error": np.linalg.norm(x - data.x_true),
        "clean": np.linalg.norm(v - data.y_clean),
        "distance": np.sqrt(np.sum((end.W - g.W) ** 2) + np.sum((end.V - g.V) ** 2)),
        "gradient": np.sqrt(np.sum(grads.W**2) + np.sum(grads.V**2)),
        "own": np.sum(end.W) + np.sum(problem.y),
    }
    assert run.observed.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(run.observed[name][-1], value, rtol=1e-11, err_msg=name)


def dense_hessian(problem, g):
    f, theta = parametrize(problem, g)
    flat, unravel = jax.flatten_util.ravel_pytree(theta)
    return np.asarray(jax.hessian(lambda z: f(unravel(z)))(flat))


@pytest.mark.parametrize("generator", ["two-layer", "two-layer-both", "mlp"])
def test_lipschitz_constant_against_the_dense_hessian(key, generator):
    problem, g, _ = examples.problem(key, generator, "wide")
    exact = np.abs(np.linalg.eigvalsh(dense_hessian(problem, g))).max()
    L = jd.gradient_lipschitz(problem, g)
    if "bound" in L.how:
        assert generator == "two-layer"
        assert exact <= float(L.value) < 20 * exact
    else:
        assert float(L.value) == pytest.approx(exact, rel=0.02)


def test_lipschitz_bound_holds_over_the_sublevel_set(key):
    problem, g, _ = examples.problem(key, "two-layer", "wide")
    L = float(jd.gradient_lipschitz(problem, g).value)
    start = float(problem.objective(g))
    inside = 0
    lower = jd.iterate(problem, jd.GradientDescent(0.3), g, 30).generator
    for size in np.linspace(0.0, 1.0, 10):
        W = lower.W + size * jax.random.normal(key, g.W.shape)
        moved = jd.TwoLayer(weights=(W, g.V), activation="tanh")
        if float(problem.objective(moved)) <= start:
            inside += 1
            assert np.abs(np.linalg.eigvalsh(dense_hessian(problem, moved))).max() <= L
    assert inside >= 3


def test_many_data_have_a_bound_where_it_is_asked_for(key):
    """The default estimates there, so a certificate is only as good until L is given."""
    n, k, d = 600, 700, 3
    g = jd.TwoLayer(latent=d, width=k, out=n, key=key, activation="tanh")
    u = 1.5 * jd.on_sphere(d, key=key)
    y = 0.01 * jax.random.normal(jd.key_for(key, "signal"), (n,))
    problem = jd.Problem(u=u, operator=jd.operators.Identity((n,)), loss=jd.losses.MSE(1.0), y=y)
    assert jd.gradient_lipschitz(problem, g).evidence == "estimate from below"
    bound = jd.lipschitz_bound(problem, g)
    assert bound.evidence == "bound"
    M = np.asarray(g.V) / k**0.5
    columns = np.linalg.norm(M, axis=0).max()
    lip = 4 / 3**1.5  # of tanh'
    for level in (None, 3.0):
        residual = np.linalg.norm(g(u) - y) if level is None else level**0.5
        formula = 2 * (np.linalg.norm(M, 2) ** 2 + lip * residual * columns) * 1.5**2
        bound = jd.lipschitz_bound(problem, g, level=level)
        np.testing.assert_allclose(bound.value, formula, rtol=1e-12)
        assert float(bound.value) >= float(jd.lipschitz_local(problem, g).value)
    estimated = theory.gradient_descent(problem, g, 1 / bound.value)
    proven = theory.gradient_descent(problem, g, 1 / bound.value, L=bound)
    assert (estimated.grade, proven.grade) == ("estimated", "computed")


@pytest.mark.parametrize("generator", ["two-layer", "two-layer-both", "mlp", "linear"])
def test_smallest_singular_value_against_numpy(key, generator):
    problem, g, _ = examples.problem(key, generator, "wide")
    f, theta = parametrize(problem, g)
    flat, unravel = jax.flatten_util.ravel_pytree(theta)
    J = jax.jacrev(lambda z: f.predict(unravel(z)))(flat)
    expected = np.linalg.svd(J, compute_uv=False).min()
    assert float(jd.jacobian_sigma_min(problem, g)) == pytest.approx(expected, rel=1e-10)


def test_smallest_singular_value_skips_zeros(key):
    problem, g, _ = examples.problem(key, "linear", "tall")
    J = np.asarray(problem.operator.matrix() @ g.J)
    values = np.linalg.svd(J, compute_uv=False)
    expected = values[values > 1e-10].min()
    assert float(jd.jacobian_sigma_min(problem, g)) == pytest.approx(expected, rel=1e-10)


def test_lipschitz_estimate_does_not_stop_on_a_plateau(key):
    """A few large eigenvalues among very many small ones: a random start hardly sees them."""
    g = jd.TwoLayer(latent=4, width=60, out=50, key=key, both=True)
    A = jd.operators.Identity(50)
    y = 255 * jax.random.uniform(key, (50,))
    problem = jd.Problem(u=jd.on_sphere(4, key=key), operator=A, loss=jd.losses.MSE(), y=y)
    f, theta = parametrize(*jd.reduce(problem, g)[:2])
    flat, unravel = jax.flatten_util.ravel_pytree(theta)
    H = jax.hessian(lambda z: f(unravel(z)))(flat)
    exact = np.abs(np.linalg.eigvalsh(H)).max()
    assert float(jd.gradient_lipschitz(problem, g).value) == pytest.approx(exact, rel=0.01)
