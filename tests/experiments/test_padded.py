"""Networks padded to one width are the narrow networks, at the start and along a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.experiments._gf_follow_ups import any_two_layer
from jaxdip.experiments._noisy_flow import at_time, noisy_flow, power, power_interval
from jaxdip.experiments._padded import padded_network

U = jnp.ones(1)


def narrow(padded, k):
    """The same network without its idle units."""
    scale = (padded.W.shape[0] / k) ** 0.5
    return jd.TwoLayer(weights=(padded.W[:k], padded.V[:, :k] / scale))


def test_idle_units_neither_speak_nor_move(key):
    padded = padded_network(key, 3, 7.0, 20)
    same = narrow(padded, 7)
    assert np.all(np.abs(same.V) == pytest.approx(1))
    np.testing.assert_allclose(padded(U), same(U), rtol=1e-12)
    A = jd.operators.Dense(jax.random.normal(jd.key_for(key, "A"), (2, 3)))
    problem = jd.Problem(u=U, operator=A, loss=jd.losses.MSE(), y=jnp.ones(2))
    runs = [jd.iterate(problem, jd.GradientDescent(0.3), g, 40) for g in (padded, same)]
    np.testing.assert_allclose(runs[0].loss, runs[1].loss, rtol=1e-10)
    np.testing.assert_array_equal(runs[0].generator.W[7:], padded.W[7:])


def test_a_wider_network_begins_with_the_units_of_a_narrower_one(key):
    small, large = padded_network(key, 3, 4.0, 4), padded_network(key, 3, 9.0, 12)
    np.testing.assert_array_equal(small.W, large.W[:4])
    np.testing.assert_array_equal(jnp.sign(small.V), jnp.sign(large.V[:, :4]))


@pytest.mark.parametrize("both", [False, True])
def test_the_open_questions_run_is_the_library_s_gradient_descent(key, both):
    k, steps = 12, 25
    point = {"n": 3, "m": 2, "widest": 20, "steps": steps}
    floats = {"activation": 1, "deviation": 0.5, "both": float(both), "k": k, "tolerance": 0}
    found = any_two_layer(key, point | {name: jnp.asarray(float(x)) for name, x in floats.items()})
    padded = padded_network(jd.key_for(key, "init"), 3, float(k), 20, deviation=0.5)
    scale = (20 / k) ** 0.5
    g = jd.TwoLayer(weights=(padded.W[:k], padded.V[:, :k] / scale), activation="tanh", both=both)
    A = jax.random.normal(jd.key_for(key, "operator"), (2, 3))
    y = A @ jax.random.normal(jd.key_for(key, "signal"), (3,))
    problem = jd.Problem(u=U, operator=jd.operators.Dense(A), loss=jd.losses.MSE(), y=y)
    step = 0.5 / jd.kernel_norm(problem, g).value
    run = jd.iterate(problem, jd.GradientDescent(step), g, steps)
    assert int(found["steps"]) == steps
    assert float(found["loss"]) == pytest.approx(float(run.loss[-1]), rel=1e-9)


def test_the_noisy_flow_s_theorem_is_the_logarithm_of_start_over_noise(key):
    point = {"n": 3, "k": 200, "cubic": False, "records": 40}
    floats = {"kappa": 2.0, "noise": 0.05, "end": 6.0}
    found = noisy_flow(key, point | {name: jnp.asarray(x) for name, x in floats.items()})
    expected = np.log(found["residual"][0] / found["noise_norm"])
    assert float(found["theorem"]) == pytest.approx(float(expected), rel=1e-9)
    crossing = at_time(
        np.asarray(found["tau"]), np.asarray(found["residual"]), np.asarray(found["discrepancy"])
    )
    assert float(crossing) == pytest.approx(float(found["noise_norm"]), rel=0.1)
    assert float(found["error"][-1]) <= 2 * 1.000001 * float(
        found["residual"][-1] + found["noise_norm"]
    )


def test_powers_and_their_intervals():
    x = np.array([1.0, 2.0, 5.0])
    assert power(x, 3 * x**1.5) == pytest.approx(1.5)
    spread = 3 * x[:, None] ** 1.5 * np.linspace(0.5, 2, 9) ** x[:, None]
    q, low, high = power_interval(x, spread)
    assert low < q < high


def test_curves_are_read_at_a_time_between_records():
    tau = np.array([[0.0, 1.0, 100.0], [0.0, 1.0, 100.0]])
    values = np.array([[9.0, 2.0, 4.0], [9.0, 2.0, 4.0]])
    found = at_time(tau, values, np.array([10.0, np.inf]))
    assert found[0] == pytest.approx(3)
    assert np.isnan(found[1])
