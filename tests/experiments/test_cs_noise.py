"""The verdicts on fitting speed and early stopping turn when the numbers are spoiled."""

import numpy as np
import pytest
import xarray as xr

from jaxdip.experiments import CSNoise

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
        },
        coords={"network": ["fixed kernels", "trained kernels"], "task": TASKS, "step": STEPS},
    )


def verdicts(data):
    return {claim.name: claim.holds for claim in CSNoise().claims(data)}


def test_the_expected_curves_hold():
    assert list(verdicts(made()).values()) == [True] * 5


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


def test_an_image_that_is_never_fitted_shows_nothing():
    data = made()
    data["error"][0, :2] = 0.5
    assert not verdicts(data)["noise is fitted an order of magnitude later"]


def test_parts_left_out_make_no_claims():
    data = made().sel(network=["fixed kernels"])
    names = [claim.name for claim in CSNoise(parts=("speed", "denoising")).claims(data)]
    assert "it is the fixed kernels that resist noise" not in names
    assert "compressive sensing needs none" not in names
    assert len(names) == 3
