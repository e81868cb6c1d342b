"""Differential inclusions by smoothing: exact solutions, proven bounds, measured orders."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.generators import SmoothRectifier

LEVELS = (0.2, 0.1, 0.05, 0.025)
OPTIONS = {"rtol": 1e-9, "atol": 1e-11, "solver": "explicit"}


def linear(A, y, c):
    A, y, c = (jnp.asarray(x, float) for x in (A, y, c))

    def make(delta):
        loss = jd.losses.SmoothL1(delta)
        problem = jd.Problem(u=jnp.ones(1), operator=jd.operators.Dense(A), loss=loss, y=y)
        return problem, jd.Linear(jnp.eye(A.shape[1]), c)

    return make, lambda delta: jd.losses.SmoothL1(delta).envelope_gap(y)


def test_the_l1_flow_of_one_entry_reaches_the_data_in_finite_time_and_stays():
    """θ̇ ∈ −∂|θ − y|: the smoothed flow is late by δ/e at most, when the exact one arrives."""
    make, gap = linear(np.eye(2), [0.0, -1.0], [1.0, -3.0])
    ts = jnp.linspace(0, 4, 401)
    found = jd.smoothing_error(make, jd.GradientFlow(), LEVELS, ts=ts, envelope_gap=gap, **OPTIONS)
    t = np.asarray(ts)
    exact = np.stack([np.maximum(1 - t, 0), -1 - np.maximum(2 - t, 0)], axis=1)
    for level, run, bound in zip(LEVELS, found.runs, found.bound, strict=True):
        late = np.max(np.abs(np.asarray(run.observed["signal"]) - exact), axis=0)
        # Both entries arrive at times on the grid.
        np.testing.assert_allclose(late, level / np.e, rtol=1e-4)
        distance = np.linalg.norm(np.asarray(run.observed["theta"]) - exact, axis=1)
        assert np.max(distance) < bound
        smoothed = np.asarray(run.loss)
        kinked = np.sum(np.abs(np.asarray(run.observed["signal"]) - [0, -1]), axis=1)
        assert np.all(kinked - smoothed >= -1e-12)
        assert np.all(kinked - smoothed <= 2 * level / 2 + 1e-12)
    np.testing.assert_allclose(found.bound, np.sqrt(2 * np.array(LEVELS) * 4), rtol=1e-12)
    for name in ("signal", "theta"):
        assert found.orders[name] == pytest.approx(1, abs=0.03)
        assert np.all(found.to_finest[name] <= found.bound[:-1])


def test_a_sliding_mode_in_two_dimensions():
    """r₁ reaches 0 first and stays, by a subgradient of modulus below 1, while r₂ goes on."""
    G = np.array([[1.0, 0.5], [0.5, 2.0]])
    A = np.linalg.cholesky(G)
    r0 = np.array([1.0, 3.0])
    make, gap = linear(A, [0.0, 0.0], np.linalg.solve(A, r0))
    ts = jnp.linspace(0, 2, 201)
    found = jd.smoothing_error(make, jd.GradientFlow(), LEVELS, ts=ts, envelope_gap=gap, **OPTIONS)
    t = np.asarray(ts)
    first, second = 2 / 3, 2 / 3 + (3 - 2.5 * 2 / 3) / 1.75
    exact = np.stack(
        [
            np.maximum(1 - 1.5 * t, 0),
            np.where(t < first, 3 - 2.5 * t, np.maximum(1.75 * (second - t), 0)),
        ],
        axis=1,
    )
    errors = [np.max(np.abs(np.asarray(run.observed["prediction"]) - exact)) for run in found.runs]
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1, atol=0.15)
    theta = np.linalg.solve(A, exact.T).T
    for run, bound in zip(found.runs, found.bound, strict=True):
        distance = np.linalg.norm(np.asarray(run.observed["theta"]) - theta, axis=1)
        assert np.max(distance) < bound
    # While sliding, the clipped residual is the subgradient −G₁₂/G₁₁.
    middle = int(np.searchsorted(t, 1.2))
    multiplier = np.asarray(found.runs[-1].observed["prediction"])[middle, 0] / LEVELS[-1]
    np.testing.assert_allclose(multiplier, -0.5, atol=1e-4)


def network(temperature, key):
    A = jd.operators.Gaussian(m=3, n=5, key=jd.key_for(key, "A"), normalized=True)
    y = A(jax.random.normal(jd.key_for(key, "x"), (5,)))
    g = jd.TwoLayer(
        latent=6, width=64, out=5, key=jd.key_for(key, "g"), activation=SmoothRectifier(temperature)
    )
    u = jd.on_sphere(6, key=jd.key_for(key, "u"))
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y), g


def test_relu_networks_by_temperature(key):
    """The smoothed runs come together, and near the run with ReLU itself."""
    ts = jnp.linspace(0, 3, 31)
    levels = (0.2, 0.1, 0.05, 0.025)
    found = jd.smoothing_error(
        lambda tau: network(tau, key), jd.GradientFlow(), levels, ts=ts, solver="explicit"
    )
    for name in ("loss", "signal", "theta"):
        assert np.all(np.diff(found.to_finest[name]) < 0)
        assert found.orders[name] > 0.7
    problem, g = network(0.1, key)
    kinked = jd.TwoLayer(weights=(g.W, g.V), activation="relu", out=5)
    limit = jd.integrate(
        problem, jd.GradientFlow(), kinked, ts, observe={"signal": jd.observables.Signal()}
    )
    away = [jd.gap(run, limit).sup["signal"] for run in found.runs]
    assert away[-1] < 0.1 * away[0]


def test_descents_too_and_levels_do_not_recompile(key):
    traces = []

    @eqx.filter_jit
    def objective(problem, g):
        traces.append(None)
        return problem.objective(g)

    for tau in (0.3, 0.1):
        problem, g = network(tau, key)
        stated = eqx.tree_at(lambda p: p.loss, problem, jd.losses.SmoothL1(tau))
        objective(stated, g)
    assert len(traces) == 1
    found = jd.smoothing_error(
        lambda tau: network(tau, key), jd.GradientDescent(0.1), (0.2, 0.1, 0.05), steps=20, every=5
    )
    assert found.runs[0].ts.size == 5
    assert found.bound is None
    assert found.to_finest["theta"].shape == (2,)
    np.testing.assert_array_equal(found.to_finest["loss"][-1], found.successive["loss"][-1])


def test_wrong_calls(key):
    make, _ = linear(np.eye(2), [0.0, -1.0], [1.0, -3.0])
    for levels in ((0.1, 0.2, 0.4), (0.2, 0.1), (0.2, 0.1, 0.01), (0.2, 0.1, -0.1)):
        with pytest.raises(ValueError, match="decrease by one factor"):
            jd.smoothing_error(make, jd.GradientFlow(), levels, ts=jnp.ones(1))
    with pytest.raises(ValueError, match="give ts="):
        jd.smoothing_error(make, jd.GradientFlow(), LEVELS)
    with pytest.raises(ValueError, match="give steps="):
        jd.smoothing_error(make, jd.GradientDescent(0.1), LEVELS)
    with pytest.raises(TypeError, match="a flow or a descent"):
        jd.smoothing_error(make, "gf", LEVELS, ts=jnp.ones(1))


def test_the_bound_is_told_only_where_it_is_proven(key):
    make, gap = linear(np.eye(2), [0.0, -1.0], [1.0, -3.0])
    ts = jnp.array([0.1])
    levels = LEVELS[:3]
    found = jd.smoothing_error(make, jd.GradientFlow(), levels, ts=ts, envelope_gap=gap)
    assert found.bound is not None
    inertial = jd.smoothing_error(make, jd.ISEHD(1.0, 0.1), levels, ts=ts, envelope_gap=gap)
    assert inertial.bound is None
    curved = jd.smoothing_error(
        lambda tau: network(tau, key), jd.GradientFlow(), levels, ts=ts, envelope_gap=gap
    )
    assert curved.bound is None


def test_runs_that_differ_in_more_than_their_level_are_refused(key):
    make, _ = linear(np.eye(2), [0.0, -1.0], [1.0, -3.0])
    with pytest.raises(ValueError, match=r"step_size differs between the levels.*give the step"):
        jd.smoothing_error(lambda tau: network(tau, key), jd.GradientDescent(), LEVELS, steps=10)
    # The loss starts at 3 − δ and falls by 0.3 a step.
    ending = jd.events.LossBelow(1.65)
    with pytest.raises(ValueError, match=r"records at different times.*constant step size"):
        jd.smoothing_error(make, jd.GradientDescent(0.15), LEVELS, steps=20, until=ending)
    with pytest.raises(ValueError, match="'theta' is always"):
        jd.smoothing_error(
            make, jd.GradientDescent(0.1), LEVELS, steps=3, observe={"theta": lambda p, g: g.c}
        )


def test_a_level_that_arithmetic_takes_for_zero_is_refused():
    with pytest.raises(ValueError, match="smallest normal number"):
        jd.losses.SmoothL1(1e-320)
    r = jnp.array([0.0, 0.5, -2.0], jnp.float32)
    for delta in (1e-60, 1e-30):
        loss = jd.losses.SmoothL1(delta)
        np.testing.assert_allclose(loss(r, jnp.zeros_like(r)), 2.5, rtol=1e-6)
        np.testing.assert_allclose(jax.grad(loss)(r, jnp.zeros_like(r)), [0, 1, -1], rtol=1e-6)
