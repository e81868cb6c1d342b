"""Sinograms are those of scikit-image and of the continuous object, to interpolation error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.transform import radon

from jaxdip import imaging as im
from jaxdip import operators as ops

ANGLES = np.array([0.0, 17.0, 45.0, 60.0, 90.0, 120.0, 163.0, -33.0])


def test_a_smooth_image_has_the_sinogram_of_scikit_image():
    down, right = np.indices((64, 64)) - 32
    x = np.exp(-((right - 5) ** 2 + 2 * (down + 8) ** 2) / 60.0)
    x[down**2 + right**2 > 31**2] = 0
    expected = radon(x, ANGLES, circle=True).T
    found = np.asarray(ops.Radon(64, ANGLES)(x))
    np.testing.assert_allclose(found, expected, atol=0.004 * expected.max())


def test_an_ellipse_has_its_analytic_sinogram():
    detectors = 97
    phantom = im.EllipsePhantom([[1.0, 0.5, 0.3, 0.2, -0.1, 30.0], [-0.5, 0.2, 0.2, 0.1, 0, 0]])
    expected = np.asarray(phantom.sinogram(128, ANGLES, detectors=detectors))
    found = np.asarray(ops.Radon(128, ANGLES, detectors=detectors)(phantom.image((128, 128))))
    assert np.linalg.norm(found - expected) < 0.012 * np.linalg.norm(expected)


def test_views_along_the_axes_are_sums_of_pixels():
    x = np.random.default_rng(0).random((5, 5))
    found = ops.Radon(5, [0.0, 90.0])(x)
    np.testing.assert_allclose(found[0], x.sum(axis=0), rtol=1e-13)
    # At 90 degrees the detector runs upwards.
    np.testing.assert_allclose(found[1], x.sum(axis=1)[::-1], rtol=1e-12)


def test_it_is_transposed_in_bounded_memory():
    operator = ops.Radon(64, np.arange(180.0), dtype="float32")
    adjoint = jax.jit(lambda a, y: a.adjoint(y))
    compiled = adjoint.lower(operator, jnp.ones((180, 64), "float32")).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 40 * 64 * 64 * 4


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ops.Radon(4, 30.0), "views >= 1"),
        (lambda: ops.Radon(4, [[30.0]]), "views >= 1"),
        (lambda: ops.Radon(4, [np.nan]), "NaN"),
        (lambda: ops.Radon(4, [0.0], detectors=0), "detectors >= 1"),
        (lambda: ops.Radon(0, [0.0]), "positive extents"),
        (lambda: ops.Radon(4, [0.0])(jnp.ones((4, 5))), r"shape \(4, 4\), got \(4, 5\)"),
    ],
)
def test_a_wrong_call_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
