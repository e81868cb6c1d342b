"""The verdicts on fitting speed and early stopping turn when the numbers are spoiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import jaxdip as jd
from jaxdip.experiments import CSNoise
from jaxdip.experiments._cs_noise import _gains, _network, pulled_back
from jaxdip.problem import dense_jacobian

STEPS = np.arange(101)
TASKS = ["image", "noise", "denoising", "sensing"]


def made():
    """Loss over variance: the image falls to 1e-4, noise to 0.05 late; 1 dB is lost by noise."""
    error = np.ones((2, 4, 1, 101))
    error[:, 0, :, 2:] = 1e-4
    error[:, 1, :, 50:] = 0.05
    error[1, 1, :, 50:] = 0.001
    error[:, 2, :, 10:] = 0.01
    error[:, 2, :, 50:] = 0.02
    error[:, 3, :, 10:] = 0.01
    dims = ("network", "task", "trial", "step")
    return xr.Dataset(
        {
            "error": (dims, 0.5 * error),
            "train": (dims, 0.5 * error),
            "variance": (dims[:3], np.full((2, 4, 1), 0.5)),
            "slope": (
                ("direction", "network", "start"),
                np.array([12.0, 8.0, 1.0])[:, None, None] * np.ones((3, 2, 5)),
            ),
        },
        coords={
            "network": ["fixed kernels", "trained kernels"],
            "task": TASKS,
            "step": STEPS,
            "direction": ["contrast", "image", "noise"],
        },
    )


def with_gains(data):
    """What `run` keeps of all runs of the two tasks that recover the image."""
    fixed = data.sel(network="fixed kernels")
    return data.assign(
        {f"gain_{task}": (f"run_{task}", _gains(fixed.sel(task=[task]))) for task in TASKS[2:]}
    )


def verdicts(data):
    return {claim.name: claim.holds for claim in CSNoise().claims(with_gains(data))}


def test_the_expected_curves_hold():
    assert list(verdicts(made()).values()) == [True] * 6


@pytest.mark.parametrize(
    ("task", "first", "value", "name"),
    [
        (0, 2, 1e-3, "noise is fitted orders of magnitude less than the image"),
        (1, 15, 0.05, "noise is fitted an order of magnitude later"),
        (1, 50, 0.0005, "it is the fixed kernels that resist noise"),
        (2, 50, 0.011, "denoising needs early stopping"),
        (3, 50, 0.0115, "compressive sensing needs none"),
    ],
)
def test_a_spoiled_curve_turns_a_verdict(task, first, value, name):
    data = made()
    data["error"][0, task, :, first:] = 0.5 * value
    assert verdicts(made())[name]
    assert not verdicts(data)[name]


@pytest.mark.parametrize(("gains", "holds"), [((0.1, 0.2, 3.0), True), ((0.1, 0.5, 3.0), False)])
def test_the_median_of_the_runs_decides_for_compressive_sensing(gains, holds):
    data = with_gains(made()).drop_vars("gain_sensing")
    data["gain_sensing"] = ("run_sensing", list(gains))
    told = CSNoise().claims(data)
    found = next(claim for claim in told if claim.name == "compressive sensing needs none")
    assert found.holds == holds
    assert found.number == gains[1]


def test_an_image_that_is_never_fitted_shows_nothing():
    data = made()
    data["error"][0, :2] = 0.5
    assert not verdicts(data)["noise is fitted an order of magnitude later"]


def test_parts_left_out_make_no_claims():
    data = with_gains(made()).sel(network=["fixed kernels"])
    names = [claim.name for claim in CSNoise(parts=("speed", "denoising")).claims(data)]
    assert "it is the fixed kernels that resist noise" not in names
    assert "compressive sensing needs none" not in names
    assert len(names) == 4


def test_the_gradient_is_judged_by_the_contrast_and_the_fixed_kernels():
    name = "the gradient at the start prefers the image"
    data = made()
    data["slope"][1:, 1] = 20.0
    assert verdicts(data)[name]
    data["slope"][0, 0, :3] = 9.0
    assert not verdicts(data)[name]


def test_what_is_pulled_back_is_that_of_the_dense_jacobian():
    kind, size, channels, layers = "fixed kernels", 16, 2, 1
    image = jax.random.uniform(jax.random.key(1), (size, size))
    key = jax.random.key(2)
    point = {"image": image, "network": kind, "size": size, "channels": channels}
    point |= {"layers": layers, "dtype": "float64"}
    found = jax.jit(lambda key: pulled_back(key, point))(key)
    generator, u = _network(key, kind, size, channels, layers, "float64")
    A = jd.operators.Identity(image.shape)
    J = dense_jacobian(jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=image), generator)
    white = jax.random.normal(jd.key_for(key, "target"), image.shape)
    for name, v in (("image", image), ("contrast", image - image.mean()), ("noise", white)):
        expected = jnp.linalg.norm(J.T @ v.ravel()) / jnp.linalg.norm(v)
        assert float(found[name]) == pytest.approx(float(expected), rel=1e-10)


def test_the_histogram_counts_every_start():
    data = made()
    figure = CSNoise(starts=5)._histogram(data)
    for axes in figure.axes:
        for line in axes.get_lines():
            x, y = line.get_data()
            assert np.sum(y[1:-1:2]) == pytest.approx(1.0)
            assert np.all(np.diff(x) >= 0)
