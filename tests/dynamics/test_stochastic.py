"""Stochastic gradients and their SDE: by enumeration, by exact moments, and by Monte Carlo."""

import itertools

import diffrax as dfx
import equinox as eqx
import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from jax.flatten_util import ravel_pytree

import jaxdip as jd
from jaxdip.dynamics import SmallNoiseHeun
from jaxdip.dynamics._row_sampling import RowSampling, weighted_pullback
from jaxdip.problem import parametrize

BATCHES = [(2, False), (2, True), (1, False)]


def batches(m, b, replace):
    """The weights of every batch, all equally likely, by enumeration."""
    draws = (
        itertools.product(range(m), repeat=b) if replace else itertools.combinations(range(m), b)
    )
    return np.array([np.bincount(list(draw), minlength=m) * (m / b) for draw in draws])


@pytest.mark.parametrize(("b", "replace"), [*BATCHES, (4, False), (4, True)])
def test_the_weights_have_mean_one_and_the_stated_covariance(b, replace):
    m = 4
    every = batches(m, b, replace)
    np.testing.assert_allclose(every.mean(0), 1, rtol=1e-14)
    stated = RowSampling(b, replace).variance(m) * (np.eye(m) - 1 / m)
    np.testing.assert_allclose(np.cov(every.T, bias=True), stated, atol=1e-14)


@pytest.mark.parametrize(("b", "replace"), BATCHES)
def test_every_batch_is_drawn_as_often(key, b, replace):
    keys = jax.random.split(key, 6000)
    draw = RowSampling(b, replace).weights
    drawn = np.asarray(jax.vmap(lambda k: draw(k, (2, 2), jnp.float64))(keys)).reshape(-1, 4)
    every, counts = np.unique(drawn, axis=0, return_counts=True)
    expected, chances = np.unique(batches(4, b, replace), axis=0, return_counts=True)
    np.testing.assert_allclose(every, expected)
    chances = chances / chances.sum()
    deviation = (counts / 6000 - chances) / np.sqrt(chances * (1 - chances) / 6000)
    assert np.max(np.abs(deviation)) < 4.5


LOSSES = {
    "mse": jd.losses.MSE(0.7),
    "weighted": jd.losses.WeightedMSE(jnp.array([1.0, 3.0, 0.5])),
    "huber": jd.losses.Huber(0.1),
    "lq": jd.losses.Lq(3.0),
    "smooth-l1": jd.losses.SmoothL1(0.2),
    "log-cosh": jd.losses.LogCosh(),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_of_a_batch_is_that_of_its_terms(key, loss):
    """The loss on the chosen rows alone, differentiated; and the mean over batches is ∇f."""
    problem, g, _ = examples.problem(key, "two-layer-both", loss=LOSSES[loss])
    f, theta = parametrize(problem, g)
    flat, unravel = ravel_pytree(theta)
    pull = jax.jit(lambda w: ravel_pytree(weighted_pullback(f, theta)(w))[0])
    every = batches(3, 2, False)
    found = np.array([pull(jnp.asarray(w)) for w in every])
    np.testing.assert_allclose(found.mean(0), ravel_pytree(f.gradient(theta))[0], atol=1e-13)
    rows = np.array([0, 2])
    if loss == "weighted":
        part = jd.losses.WeightedMSE(jnp.array([1.0, 0.5]))
    else:
        part = LOSSES[loss]

    def terms(flat):
        return part(f.predict(unravel(flat))[rows], problem.y[rows])

    index = next(i for i, w in enumerate(every) if w[1] == 0)
    np.testing.assert_allclose(found[index], 1.5 * jax.grad(terms)(flat), atol=1e-13)


def test_a_full_batch_is_gradient_descent(key):
    problem, g, _ = examples.problem(key, "two-layer-both", "tall")
    m = problem.y.size
    ours = jd.iterate(problem, jd.StochasticGradientDescent(0.05, m, key=key), g, 40)
    plain = jd.iterate(problem, jd.GradientDescent(0.05), g, 40)
    np.testing.assert_allclose(ours.loss, plain.loss, rtol=1e-14)
    np.testing.assert_array_equal(ours.ts, plain.ts)
    one = jd.iterate(problem, jd.StochasticGradientDescent(0.05, 1, key=key), g, 40)
    assert float(jnp.max(jnp.abs(one.loss - plain.loss))) > 1e-3


@pytest.mark.parametrize("generator", ["two-layer", "two-layer-both"])
def test_the_reduction_stays_exact(key, generator):
    problem, g, _ = examples.problem(key, generator, "wide")
    observe = {"x": jd.observables.Signal(), "d": jd.observables.ParameterDistance()}
    method = jd.StochasticGradientDescent(0.05, 2, key=key)
    flow = jd.StochasticGradientFlow(0.05, 2, order=2)
    ts = jnp.array([0.0, 0.5, 1.0])
    for run in (
        lambda reduce: jd.iterate(problem, method, g, 60, observe=observe, reduce=reduce),
        lambda reduce: jd.integrate_stochastic(
            problem, flow, g, ts, key=key, observe=observe, reduce=reduce
        ),
    ):
        reduced, full = run(True), run(False)
        assert jd.gap(reduced, full).ts.size == full.ts.size
        assert max(jd.gap(reduced, full).sup.values()) < 1e-10
        for p, q in zip(
            jax.tree.leaves(reduced.generator), jax.tree.leaves(full.generator), strict=True
        ):
            np.testing.assert_allclose(p, q, atol=1e-10)


@pytest.mark.parametrize(("b", "replace"), BATCHES)
def test_the_diffusion_has_the_covariance_of_the_gradients(key, b, replace):
    problem, g, _ = examples.problem(key, "two-layer-both")
    f, theta = parametrize(problem, g)
    gamma = 0.3
    pull = jax.jit(lambda w: ravel_pytree(weighted_pullback(f, theta)(w))[0])
    gradients = np.array([pull(jnp.asarray(w)) for w in batches(3, b, replace)])
    noise = jd.StochasticGradientFlow(gamma, b, replace=replace).diffusion(f, theta)
    N = np.asarray(jax.vmap(lambda z: ravel_pytree(noise(z))[0])(jnp.eye(3))).T
    exact = gamma * np.cov(gradients.T, bias=True)
    np.testing.assert_allclose(N @ N.T, exact, atol=1e-12 * np.abs(exact).max())


# A linear generator, data 0 and the squared error: second moments E θθᵀ evolve linearly.


def linear_case(key):
    J = jax.random.normal(jd.key_for(key, "J"), (5, 3))
    A = jd.operators.Dense(jax.random.normal(jd.key_for(key, "A"), (4, 5)) / 4)
    g = jd.Linear(J, jax.random.normal(jd.key_for(key, "c"), (3,)))
    loss = jd.losses.MSE(0.6)
    return jd.Problem(u=jnp.ones(1), operator=A, loss=loss, y=jnp.zeros(4)), g


def quadratic_form(problem, g):
    """Q with f(θ) = tr(Q θθᵀ)."""
    K = np.asarray(problem.operator.matrix() @ g.J)
    return 0.6 * K.T @ K


def matrix_of(function, p):
    return np.asarray(jax.vmap(function)(jnp.eye(p))).T


def descent_moments(f, theta, gamma, b, replace):
    """The matrix by which a step multiplies vec E θθᵀ: the mean over all batches."""
    flat, unravel = ravel_pytree(theta)
    total, every = 0.0, batches(f.problem.y.size, b, replace)
    for w in every:

        def step(x, w=w):
            return x - gamma * ravel_pytree(weighted_pullback(f, unravel(x))(jnp.asarray(w)))[0]

        S = matrix_of(step, flat.size)
        total = total + np.kron(S, S)
    return total / len(every)


def flow_moments(f, theta, flow):
    """The generator of vec E ΘΘᵀ: by the drift, and by each column of the noise."""
    flat, unravel = ravel_pytree(theta)
    p, m = flat.size, f.problem.y.size
    D = matrix_of(lambda x: ravel_pytree(flow.drift(f, unravel(x)))[0], p)
    generator = np.kron(D, np.eye(p)) + np.kron(np.eye(p), D)
    for z in jnp.eye(m):
        B = matrix_of(lambda x, z=z: ravel_pytree(flow.diffusion(f, unravel(x))(z))[0], p)
        generator = generator + np.kron(B, B)
    return generator


def expected_loss(problem, g, power):
    c = np.asarray(g.c)
    return quadratic_form(problem, g).ravel() @ power @ np.kron(c, c)


def exact_losses(key, b, replace, steps, horizon=1.0):
    """E f at the horizon: of the descent, and of the flows of both orders."""
    problem, g = linear_case(key)
    f, theta = parametrize(problem, g)
    gamma = horizon / steps
    powers = [np.linalg.matrix_power(descent_moments(f, theta, gamma, b, replace), steps)]
    for order in (1, 2):
        flow = jd.StochasticGradientFlow(gamma, b, order=order, replace=replace)
        powers.append(scipy.linalg.expm(horizon * flow_moments(f, theta, flow)))
    return np.array([expected_loss(problem, g, power) for power in powers])


@pytest.mark.parametrize(("b", "replace"), BATCHES)
def test_weak_orders_one_and_two_by_exact_moments(key, b, replace):
    table = np.array([exact_losses(key, b, replace, steps) for steps in (100, 200, 400)])
    for order in (1, 2):
        gaps = np.abs(table[:, 0] - table[:, order])
        np.testing.assert_allclose(np.log2(gaps[:-1] / gaps[1:]), order, atol=0.06)


def mean_and_error(losses):
    losses = np.asarray(losses)
    return losses.mean(), losses.std(ddof=1) / np.sqrt(losses.size)


def test_both_samplers_have_the_exact_mean(key):
    problem, g = linear_case(key)
    keys, steps, (b, replace) = jax.random.split(key, 4000), 10, (1, True)
    exact = exact_losses(key, b, replace, steps)

    def descend(k):
        method = jd.StochasticGradientDescent(1.0 / steps, b, key=k, replace=replace)
        return jd.iterate(problem, method, g, steps, every=steps).loss[-1]

    mean, error = mean_and_error(jax.jit(jax.vmap(descend))(keys))
    assert abs(mean - exact[0]) < 4 * error < 0.1 * exact[0]
    flow = jd.StochasticGradientFlow(1.0 / steps, b, order=2, replace=replace)

    def path(k):
        return jd.integrate_stochastic(problem, flow, g, jnp.array([1.0]), key=k).loss[-1]

    mean, error = mean_and_error(jax.jit(jax.vmap(path))(keys))
    assert abs(mean - exact[2]) < 4 * error
    # The error bars can tell the dynamics from the gradient flow, so the test above bites.
    quiet = jd.integrate(problem, jd.ModifiedGradientFlow(0.1), g, jnp.array([1.0])).loss[-1]
    assert abs(exact[2] - float(quiet)) > 6 * error


def test_the_small_noise_solver_has_its_weak_order():
    """dX = −aX dt + √γ s X dB: the scheme's own second moment a step, against the exact one."""
    a, s = 1.3, 0.8

    def error(h, gamma):
        x, z = np.array([1.0]), np.sqrt(3.0) * np.array([-1.0, 0.0, 1.0])
        step = _moment_factor(a, s * np.sqrt(gamma), h, z, np.array([1, 4, 1]) / 6)
        return abs(step ** round(1 / h) - np.exp(-2 * a + gamma * s * s)) * x[0]

    along = [error(h, h) for h in (0.05, 0.025, 0.0125)]
    np.testing.assert_allclose(np.log2(along[0] / along[1]), 2, atol=0.25)
    np.testing.assert_allclose(np.log2(along[1] / along[2]), 2, atol=0.12)


def _moment_factor(a, noise, h, points, weights):
    """E X₁² for X₀ = 1 by the package's solver, with increments from a three-point law."""
    factor = 0.0
    for z, weight in zip(points, weights, strict=True):
        increments = dfx.LinearInterpolation(jnp.array([0.0, h]), jnp.array([0.0, z * h**0.5]))
        terms = dfx.MultiTerm(
            dfx.ODETerm(lambda t, y, args: -a * y),
            dfx.ControlTerm(lambda t, y, args: noise * y, increments),
        )
        y1 = SmallNoiseHeun().step(terms, 0.0, h, jnp.asarray(1.0), None, None, False)[0]
        factor += weight * float(y1) ** 2
    return factor


def test_the_weak_gap_of_a_network(key):
    """By Monte Carlo: order 1 leaves a gap, which the second drift closes."""
    problem, g, _ = examples.problem(jax.random.key(3))
    found = jd.weak_gap(problem, g, 2, horizon=0.25, steps=(4, 8), trials=6000, key=key)
    assert found.diverged == 0
    assert np.all(found.gaps[1] > 6 * found.standard_errors[1])
    assert np.all(found.gaps[2] < 0.5 * found.gaps[1])
    assert abs(found.successive(1)[0] - 1) < 0.5


def test_full_batches_leave_the_modified_flow(key):
    problem, g, _ = examples.problem(key, "two-layer-both", "tall")
    ts = jnp.array([0.0, 0.3, 0.5])
    flow = jd.StochasticGradientFlow(0.1, problem.y.size, order=2)
    ours = jd.integrate_stochastic(problem, flow, g, ts, key=key, dt=0.002, tol=0.0005)
    exact = jd.integrate(problem, jd.ModifiedGradientFlow(0.1), g, ts, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ours.loss, exact.loss, rtol=1e-5)


def test_one_path_at_every_dt_and_solver(key):
    """The same Brownian path: Euler and Heun come together, and so do halved steps."""
    problem, g, _ = examples.problem(key)
    flow = jd.StochasticGradientFlow(0.2, 1)
    ts = jnp.array([0.5, 1.0])

    def loss(dt, solver=None):
        return jd.integrate_stochastic(
            problem, flow, g, ts, key=key, dt=dt, solver=solver, tol=1 / 4096
        ).loss

    fine = loss(1 / 1024)
    assert float(jnp.max(jnp.abs(loss(1 / 1024, dfx.Euler()) / fine - 1))) < 0.02
    assert float(jnp.max(jnp.abs(loss(1 / 256) / fine - 1))) < 0.05
    assert float(jnp.abs(loss(0.05)[-1] - fine[-1])) > 0


def test_records_clock_and_failure(key):
    problem, g, _ = examples.problem(key)
    flow = jd.StochasticGradientFlow(0.1, 2)
    run = jd.integrate_stochastic(problem, flow, g, jnp.array([0.0, 0.25, 1.0]), key=key)
    np.testing.assert_allclose(run.loss[0], problem.objective(g))
    assert run.result == jd.RESULTS.completed
    assert int(run.stats["num_steps"]) == 40
    assert float(problem.objective(run.generator)) == pytest.approx(float(run.loss[-1]))
    short = jd.integrate_stochastic(problem, flow, g, jnp.array([1.0]), key=key, max_steps=3)
    assert short.result == jd.RESULTS.out_of_steps
    assert short.ts.size == 0


def test_a_diverged_path_is_data(key):
    problem, g = linear_case(key)
    wild = jd.integrate_stochastic(
        problem, jd.StochasticGradientFlow(1e6, 1), g, jnp.array([1.0, 5e7, 6e7]), key=key
    )
    assert wild.result == jd.RESULTS.diverged
    assert wild.ts.size == 2
    np.testing.assert_allclose(problem.objective(wild.generator), wild.loss[0], rtol=1e-12)


def test_numbers_do_not_recompile_and_vmap_runs_over_keys(key):
    problem, g, _ = examples.problem(key)
    traces = []

    @eqx.filter_jit
    def run(flow, method, key):
        traces.append(None)
        ts = jnp.array([0.5])
        return (
            jd.integrate_stochastic(problem, flow, g, ts, key=key, dt=0.05).loss[-1],
            jd.iterate(problem, method, g, 5).loss[-1],
        )

    for gamma in (0.05, 0.1):
        seen = run(
            jd.StochasticGradientFlow(gamma, 2),
            jd.StochasticGradientDescent(gamma, 2, key=key),
            key,
        )
    assert len(traces) == 1
    keys = jax.random.split(key, 3)
    batch = eqx.filter_vmap(
        lambda k: run(
            jd.StochasticGradientFlow(0.1, 2), jd.StochasticGradientDescent(0.1, 2, key=k), k
        )
    )(keys)
    assert np.unique(np.asarray(batch[0])).size == 3
    alone = run(
        jd.StochasticGradientFlow(0.1, 2),
        jd.StochasticGradientDescent(0.1, 2, key=keys[1]),
        keys[1],
    )
    np.testing.assert_allclose([batch[0][1], batch[1][1]], alone, rtol=1e-12)
    assert np.isfinite(seen[0])


def test_single_precision_stays(key):
    problem, g, _ = examples.problem(key, dtype=jnp.float32)
    flow = jd.StochasticGradientFlow(0.1, 2, order=2)
    run = jd.integrate_stochastic(problem, flow, g, jnp.array([0.5, 1.0]), key=key)
    steps = jd.iterate(problem, jd.StochasticGradientDescent(0.1, 2, key=key), g, 10)
    assert run.loss.dtype == steps.loss.dtype == run.generator.W.dtype == jnp.float32


def test_the_linearised_mean_is_the_mean_over_batches(key):
    problem, g = linear_case(key)
    every = batches(4, 2, False)
    f, theta = parametrize(problem, g)
    steps = [
        ravel_pytree(theta)[0] - 0.1 * ravel_pytree(weighted_pullback(f, theta)(jnp.asarray(w)))[0]
        for w in every
    ]
    method = jd.StochasticGradientDescent(0.1, 2, key=key)
    K = problem.operator.matrix() @ g.J
    values, vectors = np.linalg.eigh(np.asarray(1.2 * K.T @ K))
    factor = method.mode(jnp.asarray(values), jnp.asarray(1, jnp.int32))
    expected = vectors @ (factor * (vectors.T @ np.asarray(g.c)))
    np.testing.assert_allclose(np.mean(steps, axis=0), expected, rtol=1e-12)


def test_wrong_calls_say_what_to_do(key):
    problem, g, _ = examples.problem(key)
    stated = eqx.tree_at(lambda p: p.loss, problem, jd.losses.Power(0.5))
    method = jd.StochasticGradientDescent(0.1, 2, key=key)
    with pytest.raises(ValueError, match=r"Power is not known to be.*losses\.separable"):
        jd.iterate(stated, method, g, 2)
    with pytest.raises(ValueError, match="batch is at most the 3 entries"):
        jd.iterate(problem, jd.StochasticGradientDescent(0.1, 4, key=key), g, 2)
    jd.iterate(problem, jd.StochasticGradientDescent(0.1, 4, key=key, replace=True), g, 2)
    with pytest.raises(ValueError, match="batch is a whole number, at least 1"):
        jd.StochasticGradientFlow(0.1, 0)
    with pytest.raises(ValueError, match="order is the weak order, 1 or 2"):
        jd.StochasticGradientFlow(0.1, 1, order=3)
    with pytest.raises(TypeError, match="other flows go to integrate"):
        jd.integrate_stochastic(problem, jd.GradientFlow(), g, jnp.array([1.0]), key=key)
    with pytest.raises(TypeError, match="one typed key"):
        jd.StochasticGradientDescent(0.1, 2, key=0)
    with pytest.raises(ValueError, match="Armijo backtracks along the full gradient"):
        jd.StochasticGradientDescent(jd.steps.Armijo(), 2, key=key)
    with pytest.raises(ValueError, match="no stability limit mode by mode"):
        method.stable_time_step(jnp.asarray(1.0))


def test_the_path_does_not_depend_on_dt(key):
    """θ̇ = noise alone is its end: with one mode and Euler, two dt agree up to the drift."""
    problem, g, _ = examples.problem(key)
    flow = jd.StochasticGradientFlow(0.2, 1)
    ts = jnp.array([0.2])

    def end(dt, **options):
        return jd.integrate_stochastic(problem, flow, g, ts, key=key, dt=dt, **options).generator.W

    coarse, fine = end(0.025), end(0.0125)
    other = end(0.0125, tol=0.0125 / 64)
    np.testing.assert_allclose(coarse, fine, atol=0.02)
    assert float(jnp.max(jnp.abs(other - fine))) > 0
    with pytest.raises(ValueError, match=r"too coarse for dt=0\.001; give tol at most dt/4"):
        end(0.001)
    with pytest.raises(TypeError, match="max_steps is a whole number"):
        end(0.025, max_steps=1.5)
