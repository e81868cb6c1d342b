"""The verdicts of Figure 1 of arXiv 2005.03991 turn when its numbers are spoiled."""

import numpy as np
import pytest
import xarray as xr

from jaxdip.experiments import CS1

STEPS = np.arange(101)
EXPERIMENT = CS1.presets()["quick"]


def made(ratio=0.334):
    """Curves that fall and settle; the texture's error is ten times the other's."""
    operators, images = list(EXPERIMENT.operators), [EXPERIMENT.smooth, EXPERIMENT.texture]
    curve = 1e-3 + np.exp(-STEPS / 5)
    error = np.broadcast_to(curve, (3, 2, 2, 101)).copy()
    error[:, 1] += 9e-3
    train = error.copy()
    train[0, ..., 0] *= ratio
    train[1:, ..., 0] *= 4
    truth = np.random.default_rng(0).normal(size=(2, 8, 8))
    dims = ("operator", "image", "trial", "step")
    return xr.Dataset(
        {
            "train": (dims, train),
            "error": (dims, error),
            "truth": (("image", "row", "column"), truth / truth.std((1, 2), keepdims=True)),
            "low_share": ("image", [0.8, 0.2]),
        },
        coords={"operator": operators, "image": images, "step": STEPS},
    )


def verdicts(data):
    return {claim.name: claim.holds for claim in EXPERIMENT.claims(data)}


def test_settled_curves_need_no_stopping_and_show_the_mask():
    found = verdicts(made())
    assert not found.pop("the published curves are of a Gaussian A with m = n/4")
    assert len(found) == 10
    assert all(found.values())


def test_a_rise_after_the_minimum_is_seen():
    data = made()
    data["error"][1, 0, 0, 40] = 0.5e-3
    found = verdicts(data)
    assert not found["no early stopping is needed (gaussian)"]
    assert not found["no earlier stop is better (gaussian)"]
    assert found["no early stopping is needed (mask)"]


def test_a_spike_at_the_last_record_is_not_a_rise():
    data = made()
    data["error"][..., -1] = 1.0
    assert verdicts(data)["no early stopping is needed (mask)"]


def test_a_late_minimum_is_not_an_early_stop():
    data = made()
    data["error"][0, 0, 0, 95] = 0.5e-3
    found = verdicts(data)
    assert not found["no early stopping is needed (mask)"]
    assert found["no earlier stop is better (mask)"]


def test_a_texture_as_good_as_the_smooth_image_is_seen():
    data = made()
    data["error"][2, 1, :, 60:] = 1.5e-3
    assert not verdicts(data)["the smooth image is recovered better (hadamard)"]


def test_a_poor_stand_in_is_seen():
    data = made()
    data["error"][2] *= 1.4
    name = "a randomised Hadamard transform stands in for a Gaussian matrix"
    assert not verdicts(data)[name]


def test_another_forward_model_would_be_told():
    name = "the published curves are of a Gaussian A with m = n/4"
    data = made(ratio=40.0)
    assert verdicts(data)[name]
    (claim,) = [one for one in EXPERIMENT.claims(made()) if one.name == name]
    assert "0.334 (mask)" in claim.finds
    assert claim.number == pytest.approx(0.337)
