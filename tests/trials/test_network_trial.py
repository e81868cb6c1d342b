"""Any experiment as a trial: its outcomes are those of the drivers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdip as jd
from jaxdip.sweeps import cell_key, sweep
from jaxdip.trials import RESULT_CODES, NetworkTrial, TwoLayerTrial

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


def test_a_tolerance_that_rounding_hides_is_refused_and_the_default_follows_the_dtype():
    trial, point = NetworkTrial(), {name: x for name, x in BASE.items() if name != "tolerance"}
    assert float(trial.numbers(point)["tolerance"]) == 1e-14
    assert float(trial.numbers({**point, "tolerance": 0.0})["tolerance"]) == 0.0
    with pytest.raises(ValueError, match="below what float64 rounding leaves"):
        trial.numbers({**point, "tolerance": 1e-31})
    # What is not asked for cannot be wrong.
    trial.numbers({**point, "tolerance": 1e-31, "stop": "discrepancy"})
    with jax.enable_x64(False):
        # Ten times 8 eps √(m n), squared and halved.
        reached = 8 * np.finfo(np.float32).eps * 6**0.5
        found = float(trial.numbers(point)["tolerance"])
        np.testing.assert_allclose(found, (10 * reached) ** 2 / 2, rtol=1e-5)
        with pytest.raises(ValueError, match="below what float32 rounding leaves"):
            trial.numbers({**point, "tolerance": 1e-14})


def test_adam_is_that_of_the_driver():
    found = one(dynamics="adam", step=0.01, steps=40)
    point = {**BASE, "dynamics": "adam", "step": 0.01, "steps": 40}
    key = jax.random.fold_in(cell_key(jax.random.key(0), point), 1)
    A = jd.operators.Gaussian(m=2, n=3, key=jd.key_for(key, "operator"))
    g = jd.TwoLayer(latent=4, width=20, out=3, key=jd.key_for(key, "init"))
    x = jax.random.normal(jd.key_for(key, "signal"), (3,))
    data = jd.measure(A, x, noise=0.0, key=jd.key_for(key, "noise"))
    u = jd.on_sphere(4, key=jd.key_for(key, "latent"))
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=data.y)
    run = jd.iterate(problem, jd.Optax(optax.adam(0.01)), g, 40, every=40, tolerance=1e-5)
    np.testing.assert_allclose(found["loss"], run.loss[-1], rtol=1e-6)
    trial = NetworkTrial()
    with pytest.raises(ValueError, match="give step, the learning rate"):
        trial.program({"dynamics": "adam"})
    with pytest.raises(ValueError, match="no theorem speaks of adam"):
        trial.program({"dynamics": "adam", "step": 0.1, "certify": True})


@pytest.mark.parametrize("operator", ["dct", "hadamard"])
def test_a_linear_network_fits_rows_of_a_transform(operator):
    """A quadratic with a step of 1/L: the loss falls to nothing where J has full rank."""
    found = one(network="linear", operator=operator, n=4, m=2, k=8, signal="range")
    assert bool(found["converged"])
    assert float(found["loss"]) <= 1e-5 < float(found["loss0"])
    with pytest.raises(ValueError, match="keeps m of n rows, got m=5 of n=4"):
        NetworkTrial().program({"operator": operator, "n": 4, "m": 5})


def test_a_hadamard_transform_needs_a_power_of_two():
    with pytest.raises(ValueError, match="a power of two entries, got n=6"):
        NetworkTrial().program({"operator": "hadamard", "n": 6, "m": 2})


def test_no_finer_type_is_advised_than_there_is():
    with pytest.raises(ValueError, match=r"give a larger one$"):
        NetworkTrial().numbers({**BASE, "tolerance": 1e-40})
    with pytest.raises(ValueError, match=r"give a larger one$"):
        TwoLayerTrial().numbers({"n": 3, "m": 2, "k": 20, "tolerance": 1e-40})
    with pytest.raises(ValueError, match=r"or compute in float64$"):
        TwoLayerTrial().numbers({"n": 3, "m": 2, "k": 20, "tolerance": 1e-14, "dtype": "float32"})
