"""Resampling equals Pillow's antialiased bilinear filter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image as Pillow

import jaxdip.imaging as im


@pytest.mark.parametrize("size", [(7, 5), (20, 31), (40, 50), (13, 60), (1, 1)], ids=str)
def test_equals_pillow(size):
    pixels = np.random.default_rng(0).random((20, 31))
    picture = Pillow.fromarray(pixels.astype(np.float32))
    expected = np.asarray(picture.resize(size[::-1], Pillow.Resampling.BILINEAR))
    np.testing.assert_allclose(im.resample(pixels, size), expected, atol=2e-6)


def test_channels_are_independent():
    pixels = np.random.default_rng(0).random((20, 31, 3))
    alone = np.stack([im.resample(pixels[..., c], 9) for c in range(3)], axis=-1)
    np.testing.assert_allclose(im.resample(pixels, 9), alone, atol=1e-15)


@pytest.mark.parametrize(
    ("shape", "expected"), [((512, 512), (64, 64)), ((400, 600), (64, 96)), ((90, 30), (192, 64))]
)
def test_an_integer_is_the_shorter_side(shape, expected):
    assert im.resample(jnp.zeros(shape), 64).shape == expected


def test_no_aliasing_and_no_overshoot():
    checks = np.indices((64, 64)).sum(0) % 2.0
    np.testing.assert_allclose(im.resample(checks, 8)[1:-1, 1:-1], 0.5, atol=0.01)
    larger = im.resample(checks, 200)
    assert larger.min() >= -1e-12
    assert larger.max() <= 1 + 1e-12


def test_type_is_kept_under_jit():
    pixels = jnp.ones((8, 8), jnp.float32)
    assert jax.jit(lambda p: im.resample(p, 4))(pixels).dtype == jnp.float32
    assert im.resample(pixels, 8) is pixels


@pytest.mark.parametrize("size", [0, -3, 2.5, True, (4,), (4, 0), (4, 5, 6)], ids=str)
def test_wrong_sizes(size):
    with pytest.raises(ValueError, match="positive integer"):
        im.resample(jnp.ones((8, 8)), size)


def test_wrong_pixels():
    with pytest.raises(ValueError, match="shape"):
        im.resample(jnp.ones(8), 4)
