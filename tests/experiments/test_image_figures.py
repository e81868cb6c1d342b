"""The verdicts of the experiments on images turn when their numbers are spoiled."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from jaxdip.experiments import GD4, GD3a, GD3b, TalkDeblurring

SIDE = 20
TRUTH = 128 + 60 * np.sin(np.arange(SIDE * SIDE)).reshape(SIDE, SIDE)
PATTERN = np.where(np.add.outer(np.arange(SIDE), np.arange(SIDE)) % 2, 1.0, -1.0)
NORM = float(SIDE)  # of PATTERN


def at_distance(error):
    """An image at that distance from the truth."""
    return TRUTH + PATTERN * error / NORM


def recovery(steps, error, residual, kept, **numbers):
    picture = ("row", "column")
    error = np.asarray(error, float)
    images = np.stack([at_distance(error[list(steps).index(step)]) for step in kept])
    parts = {
        "truth": (picture, TRUTH),
        "images": (("snapshot", *picture), images),
        "error": ("step", error),
        "residual": ("step", np.asarray(residual, float)),
        **{name: ((), value) for name, value in numbers.items()},
    }
    return xr.Dataset(parts, coords={"step": list(steps), "snapshot": list(kept)})


def verdicts(experiment, data):
    found = {claim.name: claim.holds for claim in experiment.claims(data)}
    assert all(isinstance(holds, bool) for holds in found.values())
    return found


STEPS = (0, 10, 100, 4000)


def deblurred(clean=40.0, noisy=250.0, best=100.0, residual=20.0, sigma=1.5e-5):
    one = {"noise_norm": 50.0, "sigma_min": sigma}
    parts = [
        recovery(STEPS, (2000, 200, 90, clean), (2000, 50, 5, 1), (10, 100, 4000), **one),
        recovery(STEPS, (2000, best, 110, noisy), (2000, 60, 40, residual), (10, 100, 4000), **one),
    ]
    data = xr.concat(parts, xr.DataArray([0.0, 2.5], dims="noise", name="noise"))
    data["inverted"] = (("noise", "row", "column"), np.stack([TRUTH, at_distance(1e6)]))
    return data


def test_deblurring_as_stated():
    found = verdicts(GD3a(), deblurred())
    assert found == dict.fromkeys(found, True)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("name", "spoiled"),
    [
        ("the blur is badly conditioned", {"sigma": 2e-4}),
        ("without noise the image is recovered", {"clean": 60.0}),
        ("with noise the data are fitted", {"residual": 51.0}),
        ("a little noise degrades the image", {"noisy": 100.0}),
        ("early stopping is necessary", {"noisy": 180.0}),
    ],
)
def test_deblurring_spoiled(name, spoiled):
    assert not verdicts(GD3a(), deblurred(**spoiled))[name]


def series(best=0.3, last=0.31, half=0.31, gap=1e-4, data=None, clean=900.0):
    start = 4000.0
    error = start * np.array([1, best, 0.35, half, last])
    found = recovery((0, 8, 20, 700, 1000), error, error, (0, 8, 1000), noise_norm=1000.0)
    found["clean_norm"] = clean
    final = found.images.values[-1]
    found["inverted"] = (("row", "column"), final * (1 + gap))
    noise = np.random.default_rng(0).standard_normal((SIDE, SIDE)) if data is None else data
    found["data"] = (("row", "column"), noise)
    return found


def test_images_along_a_descent_as_stated():
    found = verdicts(GD3b(), series())
    assert found == dict.fromkeys(found, True)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("name", "spoiled"),
    [
        ("the observation is overwhelmed by noise", {"clean": 1100.0}),
        ("the observation shows nothing of the image", {"data": TRUTH}),
        ("the image gets better after a few iterations", {"best": 0.6, "last": 0.31}),
        ("it converges", {"half": 0.35}),
        ("the solution is A⁻¹y, noise and all", {"gap": 0.05}),
    ],
)
def test_images_along_a_descent_spoiled(name, spoiled):
    data = series(**spoiled)
    if name.startswith("the image"):
        data["error"][2] = 0.7 * data.error[0]
    assert not verdicts(GD3b(), data)[name]


def curve(best=10, least=0.97, half=1.0, plateau=2263.0, bound=1.4, reach=0.5, hessian=1.0):
    steps = [0, 2, best, 500, 1000]
    error = plateau * np.array([[4.0, 2.0, least, half, 1.0]])
    numbers = {"reach": reach, "radius": 1.0, "hessian_norm": hessian}
    parts: dict[str, Any] = {
        name: (("trial",), np.array([value])) for name, value in numbers.items()
    }
    parts["error"] = (("trial", "step"), error)
    parts["bound"] = (("trial", "step"), error * np.array([[1.0, 2.0, 2.0, 1.5, bound]]))
    return xr.Dataset(parts, coords={"step": steps, "trial": [0]})


def test_the_error_along_a_descent_as_stated():
    found = verdicts(GD4(), curve())
    assert found == dict.fromkeys(found, True)
    assert len(found) == 6


@pytest.mark.parametrize(
    ("name", "spoiled"),
    [
        ("the error decreases until τ ≈ 10", {"best": 40}),
        ("then it increases slightly", {"least": 0.7}),
        ("and stabilises", {"half": 1.01}),
        ("the plateau is the inverted noise", {"plateau": 3200.0}),
        ("the bound lies above the curve throughout", {"bound": 0.99}),
        ("the theorem applies to this run", {"reach": 1.1}),
        ("the theorem applies to this run", {"hessian": 4.0}),
    ],
)
def test_the_error_along_a_descent_spoiled(name, spoiled):
    assert not verdicts(GD4(), curve(**spoiled))[name]


def talk(good=350.0, least=340.0, last=900.0, residual=(4000, 1000, 990, 950), noise=1000.0):
    steps = (0, 80, 100, 1000)
    data = recovery(steps, (4000, good, least, last), residual, (0, 80, 1000), noise_norm=noise)
    data["data"] = (("row", "column"), at_distance(1200.0))
    return data


def test_the_talk_s_picture_as_stated():
    found = verdicts(TalkDeblurring(), talk())
    assert found == dict.fromkeys(found, True)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("name", "spoiled"),
    [
        ("the image at step 80 is good", {"good": 400.0}),
        ("the image at step 80 is good", {"good": 1000.0, "least": 950.0}),
        ("the image at step 1000 is noisy", {"last": 500.0}),
        ("the data are fitted better all the while", {"residual": (4000, 1000, 1001, 950)}),
        ("the data are fitted better all the while", {"noise": 900.0}),
    ],
)
def test_the_talk_s_picture_spoiled(name, spoiled):
    assert not verdicts(TalkDeblurring(), talk(**spoiled))[name]
