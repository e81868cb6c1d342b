"""Phantoms of ellipses agree with themselves in pixels, in k-space and in projections."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import jaxdip.imaging as im
from jaxdip.imaging._bessel import jinc

TILTED = [[1.0, 0.5, 0.3, 0.2, -0.3, 30.0], [-0.4, 0.1, 0.25, -0.3, 0.2, -70.0]]


def test_the_bessel_function_equals_scipys():
    small = [0.0, 1e-300, 1e-8]
    z = np.concatenate([small, np.linspace(0.01, 60, 5001), np.linspace(60, 5000, 5001)])
    found = np.asarray(jax.jit(jinc)(z))
    np.testing.assert_allclose(found * z / 2, scipy.special.j1(z), rtol=0, atol=1e-14)
    np.testing.assert_allclose(found[:3], 1.0, rtol=1e-15)
    assert jax.eval_shape(jinc, jnp.ones(3, "float32")).dtype == "float32"


def test_kspace_is_that_of_ever_smaller_pixels():
    phantom = im.EllipsePhantom(TILTED)
    fine = 12
    height, width = shape = (48, 37)
    large = np.asarray(phantom.image((fine * height, fine * width)))
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(large), norm="ortho")) / fine
    top, left = fine * height // 2 - height // 2, fine * width // 2 - width // 2
    spectrum = spectrum[top : top + height, left : left + width]
    exact = np.asarray(phantom.kspace(shape))
    np.testing.assert_allclose(exact, spectrum, atol=1e-4 * np.abs(exact).max())
    # A coarse image's own transform is another one: nothing is inverted by what made it.
    coarse = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(phantom.image(shape)), norm="ortho"))
    assert np.linalg.norm(coarse - exact) > 0.005 * np.linalg.norm(exact)


def test_a_projection_is_a_slice_of_the_fourier_transform():
    phantom = im.EllipsePhantom(TILTED)
    angle, size = 25.0, 2048
    line = np.asarray(phantom.sinogram(size, [angle]))[0] * (2 / size)
    places = (np.arange(size) - size // 2) / size
    cycles = np.array([0.0, 1.0, 2.5, -4.0])
    expected = np.exp(-2j * np.pi * np.outer(cycles, places)) @ line / size / 2
    radians = np.deg2rad(angle)
    # The line's direction is (right, up) = (cos, sin), and frequencies count downwards.
    k = cycles[:, None] * np.array([-np.sin(radians), np.cos(radians)])
    np.testing.assert_allclose(phantom.fourier(k), expected, atol=5e-6)


def test_pixels_hold_shares_of_the_ellipse():
    disc = im.EllipsePhantom([[2.0, 0.5, 0.5, 0.0, 0.0, 0.0]])
    image = np.asarray(disc.image((32, 32), lines=64))
    # The centre lies in the middle of pixel (16, 16), so the image without its first row and
    # column is symmetric.
    np.testing.assert_allclose(image[1:, 1:], image[:0:-1, :0:-1], atol=1e-12)
    np.testing.assert_allclose(image[1:, 1:], image[1:, 1:].T, atol=0.02)
    np.testing.assert_allclose(image.sum() / 256, 2 * np.pi / 4, rtol=1e-4)
    assert image[16, 16] == pytest.approx(2.0)
    assert 0 < image[16, 24] < 2
    assert image[16, 25] == 0


def test_the_head_is_that_of_scikit_image():
    # scikit-image's origin lies between four pixels: half a pixel of shift, at edges only.
    image = np.asarray(im.EllipsePhantom.shepp_logan().image((400, 400), lines=2))
    expected = im.named_image("phantom").pixels
    assert np.mean(np.abs(image - expected)) < 0.01
    assert np.mean(np.abs(image - expected) > 0.05) < 0.05
    single = im.EllipsePhantom.shepp_logan(dtype="float32")
    assert jax.eval_shape(lambda: single.kspace((4, 4))).dtype == "complex64"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: im.EllipsePhantom([1.0, 0.5, 0.3, 0.2, -0.3, 30.0]), r"shape \(count, 6\)"),
        (lambda: im.EllipsePhantom([[1.0, 0.0, 0.3, 0.2, -0.3, 30.0]]), "a > 0"),
        (lambda: im.EllipsePhantom(TILTED).image((4, 4), lines=0), "lines >= 1"),
        (lambda: im.EllipsePhantom(TILTED).image((4, 0)), "positive extents"),
        (lambda: im.EllipsePhantom(TILTED).kspace((4,)), "positive extents"),
    ],
)
def test_a_wrong_call_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
