"""Metrics equal scikit-image's, in and out of jit and vmap, in both precisions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.metrics as sk

import jaxdip.imaging as im

SHAPES = [(16, 23), (31, 14, 3)]
# Shape, number of pixel axes, peak: images, colours, volumes, coloured volumes, lines.
IMAGES = [
    ((16, 23), 2, 255.0),
    ((31, 14, 3), 2, 1.0),
    ((12, 13, 14), 3, 255.0),
    ((11, 12, 11, 2), 3, 1.0),
    ((60,), 1, 1.0),
]


def _pair(shape, dtype=np.float64, peak=1.0):
    rng = np.random.default_rng(3)
    ramp = np.linspace(0.3, 0.9, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    reference = ramp + 0.1 * rng.random(shape)
    x = reference + 0.1 * rng.standard_normal(shape)
    return (peak * x).astype(dtype), (peak * reference).astype(dtype)


@pytest.mark.parametrize(("shape", "axes", "peak"), IMAGES, ids=str)
@pytest.mark.parametrize("window", ["uniform", "gaussian"])
def test_ssim_equals_scikit_image(shape, axes, window, peak):
    x, r = _pair(shape, peak=peak)
    options = {} if window == "uniform" else {"gaussian_weights": True, "sigma": 1.5}
    expected = sk.structural_similarity(
        x,
        r,
        data_range=peak,
        channel_axis=axes if len(shape) > axes else None,
        use_sample_covariance=window == "uniform",
        **options,
    )
    assert 0.1 < expected < 0.95
    np.testing.assert_allclose(im.ssim(x, r, peak, window, axes=axes), expected, atol=1e-10)
    x32, r32 = jnp.asarray(x, jnp.float32), jnp.asarray(r, jnp.float32)
    single = im.ssim(x32, r32, peak, window, axes=axes)
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_images(dtype):
    """SSIM sees magnitudes; the others the distance in the complex plane."""
    x, r = _pair((16, 23))
    turn = np.exp(1j * np.arange(23))
    x, r = (x * turn).astype(dtype), (r * turn).astype(dtype)
    tolerance = 1e-5 if dtype == np.complex64 else 1e-10
    similarity = im.ssim(x, r, 1.0)
    assert jnp.isrealobj(similarity)
    expected = sk.structural_similarity(abs(x), abs(r), data_range=1.0)
    np.testing.assert_allclose(similarity, expected, rtol=tolerance)
    pair = (np.stack([z.real, z.imag]) for z in (x, r))
    x2, r2 = pair
    ratio = (np.linalg.norm(x - r) / np.linalg.norm(r)) ** 2
    np.testing.assert_allclose(im.nmse(x, r), ratio, rtol=tolerance)
    np.testing.assert_allclose(im.snr(x, r), im.snr(x2, r2), rtol=tolerance)
    # The mean is over pixels, of which real and imaginary parts are two.
    lower = 10 * math.log10(2)
    np.testing.assert_allclose(im.psnr(x, r, 1.0), im.psnr(x2, r2, 1.0) - lower, rtol=tolerance)
    assert jnp.isfinite(jax.grad(lambda z: im.nmse(z, jnp.asarray(r)).real)(jnp.asarray(r))).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_psnr_and_nmse_equal_scikit_image(shape):
    x, r = _pair(shape)
    expected = sk.peak_signal_noise_ratio(r, x, data_range=0.8)
    np.testing.assert_allclose(im.psnr(x, r, 0.8), expected, rtol=1e-12)
    np.testing.assert_allclose(im.nmse(x, r), sk.normalized_root_mse(r, x) ** 2, rtol=1e-12)
    expected = 20 * np.log10(np.linalg.norm(r) / np.linalg.norm(x - r))
    np.testing.assert_allclose(im.snr(x, r), expected, rtol=1e-12)


def test_equality():
    _, r = _pair((16, 16))
    assert im.nmse(r, r) == 0
    assert jnp.isposinf(im.psnr(r, r, 1.0))
    assert jnp.isposinf(im.snr(r, r))
    for window in ("uniform", "gaussian"):
        np.testing.assert_allclose(im.ssim(r, r, 1.0, window), 1.0, atol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_under_jit_vmap_and_grad(dtype):
    x, r = _pair((12, 15))
    batch = jnp.asarray(np.stack([x, r, 0.5 * x]), dtype)
    r = jnp.asarray(r, dtype)
    for metric in (
        im.nmse,
        im.snr,
        lambda a, b: im.psnr(a, b, 1.0),
        lambda a, b: im.ssim(a, b, 1.0),
        lambda a, b: im.ssim(a, b, 1.0, "gaussian"),
    ):
        together = jax.jit(jax.vmap(metric, (0, None)))(batch, r)
        assert together.dtype == dtype
        alone = jnp.stack([jax.jit(metric)(one, r) for one in batch])
        np.testing.assert_allclose(together, alone, rtol=2e-5 if dtype == jnp.float32 else 1e-12)
        assert jnp.isfinite(jax.jit(jax.grad(metric))(batch[0], r)).all()


def test_the_data_range_may_be_traced():
    x, r = _pair((12, 15))
    value = jax.jit(im.ssim, static_argnames="window")(x, r, jnp.asarray(1.0))
    np.testing.assert_allclose(value, im.ssim(x, r, 1.0), rtol=1e-12)


def test_wrong_calls():
    x = np.ones((9, 9))
    with pytest.raises(ValueError, match=r"\(9, 9\).*\(9, 1\)"):
        im.psnr(x, np.ones((9, 1)), 1.0)
    with pytest.raises(ValueError, match="at least 11"):
        im.ssim(x, x, 1.0, "gaussian")
    with pytest.raises(ValueError, match="'uniform' or 'gaussian'"):
        im.ssim(x, x, 1.0, "box")
    with pytest.raises(ValueError, match="expected \\(H, W\\)"):
        im.ssim(np.ones(20), np.ones(20), 1.0)
    with pytest.raises(ValueError, match="axes is 1, 2 or 3, got 4"):
        im.ssim(x, x, 1.0, axes=4)
