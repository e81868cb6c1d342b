"""What the decoder experiments measure along a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdip.experiments._decoder_fit import (
    ImageTrial,
    decibels,
    fit,
    least,
    least_before,
    low_share,
    real_image,
    record_steps,
    settled,
    trained,
)
from jaxdip.generators import DeepDecoder
from jaxdip.losses import MSE
from jaxdip.operators import Identity
from jaxdip.problem import Problem


def test_records_are_dense_at_both_ends():
    steps = record_steps(1000, 20)
    assert steps[0] == 0
    assert steps[-1] == 1000
    assert list(steps) == sorted(set(steps))
    assert {1, 2, 25, 975} <= set(steps)


def test_settled_is_a_late_median_and_least_the_least():
    steps = np.arange(0, 101)
    error = np.where(steps < 80, 1.0, 3.0)
    error[90] = 50.0
    error[3] = 0.5
    assert settled(error, steps.tolist()) == 3.0
    assert settled(np.stack([error, 2 * error]), steps.tolist()).tolist() == [3.0, 6.0]
    assert least(error) == 0.5
    assert least_before(error, steps.tolist()) == 0.5
    error[85] = 0.1
    assert least(error) == 0.1
    assert least_before(error, steps.tolist()) == 0.5


def test_the_share_at_low_frequencies():
    n = 64
    wave = np.cos(2 * np.pi * np.arange(n) / n)
    low, high = np.add.outer(wave, 0 * wave), np.cos(np.pi * np.arange(n))[:, None] * np.ones(n)
    assert low_share(low) == pytest.approx(1)
    assert low_share(high) == pytest.approx(0, abs=1e-12)
    assert low_share(low + high) == pytest.approx(1 / 3)
    # Four cycles are within n/16, five are not.
    for cycles, share in ((4, 1.0), (5, 0.0)):
        line = np.cos(2 * np.pi * cycles * np.arange(n) / n)
        assert low_share(line[:, None] * np.ones(n)) == pytest.approx(share, abs=1e-12)


def test_decibels():
    assert decibels(0.01) == pytest.approx(20)
    assert decibels(np.array([1.0, 4.0]), peak=2.0) == pytest.approx([6.0206, 0.0], abs=1e-4)


def test_a_crop_is_the_middle_pixel_by_pixel():
    whole = real_image("camera", 512, "float64")
    crop = real_image("camera", 64, "float64", crop=True)
    np.testing.assert_array_equal(crop, whole[224:288, 224:288])
    assert not np.allclose(crop, real_image("camera", 64, "float64"))


def test_images_share_a_program_and_reach_the_function():
    def scaled(key, point):
        return {"mean": jnp.mean(point["image"]) * point["gain"].astype("float32")}

    trial = ImageTrial(scaled)
    points = [
        {"image": name, "size": 32, "dtype": "float32", "gain": 2.0} for name in ("moon", "grass")
    ]
    assert trial.program(points[0]) == trial.program(points[1])
    for point in points:
        found = trial.run(jax.random.key(0), trial.program(point), trial.numbers(point))
        expected = 2 * np.mean(real_image(point["image"], 32, "float32"))
        assert float(found["mean"]) == pytest.approx(float(expected), rel=1e-5)


def test_the_named_image_alone_is_cropped():
    trial = ImageTrial(lambda key, point: {"mean": jnp.mean(point["image"])})
    point = {"size": 32, "dtype": "float32", "crop": "grass"}
    for name in ("moon", "grass"):
        pixels = trial.numbers({**point, "image": name})["image"]
        expected = real_image(name, 32, "float32", crop=name == "grass")
        np.testing.assert_array_equal(pixels, expected)


def test_a_fit_records_errors_of_the_images_it_returns():
    g = DeepDecoder(channels=4, start=(4,), grid=(8,), layers=1, key=jax.random.key(0))
    u = g.latent(jax.random.key(1))
    truth = jnp.linspace(0, 1, 8)
    problem = Problem(u=u, operator=Identity(8), loss=MSE(1 / 8), y=truth + 0.1)
    found = fit(problem, g, truth, steps=50, records=8, learning_rate=0.05)
    error = np.asarray(found["error"])
    assert error.shape == (len(record_steps(50, 8)),)
    assert float(jnp.mean((g(u) - truth) ** 2)) == pytest.approx(error[0])
    assert float(jnp.mean((found["best"] - truth) ** 2)) == pytest.approx(error.min())
    assert float(jnp.mean((found["last"] - truth) ** 2)) == pytest.approx(error[-1])
    least_loss = float(jnp.min(found["train"]))
    assert float(jnp.mean((found["kept"] - problem.y) ** 2)) == pytest.approx(least_loss)
    assert found["train"][-1] < found["train"][0]


def test_what_trains_is_counted():
    g = DeepDecoder(channels=4, start=(2, 2), grid=(8, 8), layers=2, key=jax.random.key(0))
    assert trained(g) == 2 * 16 + 2 * 8 + 4
    paper = DeepDecoder.paper(
        channels=4, start=(2, 2), grid=(8, 8), layers=2, key=jax.random.key(0)
    )
    assert trained(paper) == 2 * 16
