"""Any experiment as a trial: its outcomes are those of the drivers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.sweeps import cell_key, sweep
from jaxdip.trials import RESULT_CODES, NetworkTrial

BASE = {"n": 3, "m": 2, "k": 20, "d": 4, "steps": 300, "tolerance": 1e-5}


def one(**point):
    found = sweep(NetworkTrial(), {**BASE, **point}, trials=2, key=jax.random.key(0))
    return {name: x[..., 1] for name, x in found.outcomes.items()}


def test_gradient_descent_is_that_of_the_driver():
    point = {**BASE, "noise": 0.1, "step": 0.5}
    found = one(noise=0.1, step=0.5)
    key = jax.random.fold_in(cell_key(jax.random.key(0), point), 1)
    A = jd.operators.Gaussian(m=2, n=3, key=jd.key_for(key, "operator"))
    g = jd.TwoLayer(latent=4, width=20, out=3, key=jd.key_for(key, "init"))
    x = jax.random.normal(jd.key_for(key, "signal"), (3,))
    data = jd.measure(A, x, noise=0.1, key=jd.key_for(key, "noise"))
    u = jd.on_sphere(4, key=jd.key_for(key, "latent"))
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=data.y)
    gamma = 0.5 / jd.gradient_lipschitz(problem, g).value
    observe = {"error": jd.observables.SignalError(x)}
    run = jd.iterate(
        problem, jd.GradientDescent(gamma), g, 300, every=300, tolerance=1e-5, observe=observe
    )
    np.testing.assert_allclose(found["loss"], run.loss[-1], rtol=1e-9)
    np.testing.assert_allclose(found["error"], run.observed["error"][-1] / jnp.linalg.norm(x))
    assert int(found["steps"]) == int(run.stats["steps"])
    assert bool(found["converged"]) == (float(run.loss[-1]) <= 1e-5)


@pytest.mark.parametrize("dynamics", ["gf", "igahd", "isehd"])
def test_every_dynamics_reaches_the_tolerance(dynamics):
    found = one(dynamics=dynamics, steps=20_000, k=1000, tolerance=1e-4)
    assert bool(found["converged"])
    assert int(found["result"]) == RESULT_CODES["converged"]
    assert 0 < float(found["loss"]) <= 1e-4 * (1 + 1e-9) < float(found["loss0"])


def test_certificates_are_outcomes():
    """Figure 1a: the share of draws at which the theorem holds, none where it is not applicable."""
    wide = one(k=200_000, signal="range", operator="even", steps=1, certify=True)
    assert bool(wide["applicable"])
    assert float(wide["margin"]) > 0
    relu = one(activation="relu", certify=True, steps=1)
    assert not bool(relu["applicable"])
    assert not bool(relu["holds"])
    assert np.isnan(float(relu["margin"]))


def test_a_run_that_fails_is_data():
    found = one(step=1e6, steps=100)
    assert int(found["result"]) in (RESULT_CODES["diverged"], RESULT_CODES["completed"])
    assert not bool(found["converged"])


@pytest.mark.parametrize("change", [{"network": "mlp"}, {"train": "both"}, {"loss": "log-cosh"}])
def test_other_networks_and_losses_run(change):
    found = one(**change, steps=50)
    assert float(found["loss"]) < float(found["loss0"])


@pytest.mark.parametrize(
    ("point", "says"),
    [
        ({"widht": 3}, "no parameter 'widht'"),
        ({"stepz": 3}, "did you mean step"),
        ({"operator": "gausian"}, "did you mean gaussian?"),
        ({"k": 0}, "k is a whole number, at least 1"),
        ({"k": 2.0}, "k is a whole number, at least 1"),
        ({"noise": -1.0}, "noise is a number, at least 0"),
        ({"certify": 1}, "certify is true or false"),
    ],
)
def test_wrong_points_are_refused(point, says):
    with pytest.raises(ValueError, match=says):
        sweep(NetworkTrial(), {**BASE, **point}, trials=1, key=jax.random.key(0))


def test_the_discrepancy_principle_ends_a_trial_and_more_is_observed():
    """The residual is just below τ‖ε‖."""
    point = {"noise": 0.05, "stop": "discrepancy", "tau": 1.5, "observe": "residual, sigma_min"}
    found = one(k=200, steps=3000, **point)
    assert bool(found["converged"])
    assert int(found["result"]) == RESULT_CODES["stopped"]
    assert 0 < int(found["steps"]) < 3000
    key = jax.random.fold_in(
        cell_key(jax.random.key(0), {**BASE, **point, "k": 200, "steps": 3000}), 1
    )
    x = jax.random.normal(jd.key_for(key, "signal"), (3,))
    A = jd.operators.Gaussian(m=2, n=3, key=jd.key_for(key, "operator"))
    data = jd.measure(A, x, noise=0.05, key=jd.key_for(key, "noise"))
    limit = 1.5 * float(data.noise_norm)
    assert 0.9 * limit < float(found["residual"]) <= limit
    assert float(found["residual"]) ** 2 / 2 == pytest.approx(float(found["loss"]))
    assert float(found["sigma_min"]) > 0
    with pytest.raises(ValueError, match="observe is 'sigma'; did you mean sigma_min"):
        one(observe="sigma")
