"""Coarse images are those of the filters they are named after, and motion blurs along its line."""

import numpy as np
import pytest
from PIL import Image as Pillow

from jaxdip import operators as ops


@pytest.mark.parametrize("factor", [2, 3])
def test_a_box_is_the_mean_over_blocks(factor):
    x = np.random.default_rng(0).random((6, 12, 3))
    blocks = x.reshape(6 // factor, factor, 12 // factor, factor, 3)
    coarse = ops.SuperResolution((6, 12, 3), factor, "box")
    np.testing.assert_allclose(coarse(x), blocks.mean(axis=(1, 3)), rtol=1e-12)
    # Its rows are orthogonal, all of norm 1/factor.
    np.testing.assert_allclose(coarse.singular_values(), 1 / factor)


@pytest.mark.parametrize(
    ("kernel", "like"),
    [("triangle", Pillow.Resampling.BILINEAR), ("cubic", Pillow.Resampling.BICUBIC)],
)
@pytest.mark.parametrize("factor", [3, 4])
def test_inside_it_equals_pillow(kernel, like, factor):
    x = np.random.default_rng(1).random((36, 48))
    picture = Pillow.fromarray(x.astype(np.float32))
    expected = np.asarray(picture.resize((48 // factor, 36 // factor), like))
    found = np.asarray(ops.SuperResolution((36, 48), factor, kernel)(x))
    np.testing.assert_allclose(found[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1e-6)


@pytest.mark.parametrize("boundary", ["periodic", "zero", "reflect"])
def test_it_is_every_other_pixel_of_the_blur(boundary):
    line = np.array([1.0, 2.0, 4.0, 0.5])
    x = np.random.default_rng(2).random((8, 6))
    blurred = ops.Blur(np.outer(line, line), shape=(8, 6), boundary=boundary)(x)
    coarse = ops.SuperResolution((8, 6), 2, line, boundary=boundary)
    np.testing.assert_allclose(coarse(x), np.asarray(blurred)[::2, ::2], atol=1e-12)


def test_motion_spreads_a_point_along_the_line():
    np.testing.assert_array_equal(ops.motion_kernel(0, 45), [[1.0]])
    flat = ops.motion_kernel(6, 0)
    np.testing.assert_allclose(flat[3], [1 / 12, *[1 / 6] * 5, 1 / 12], atol=1e-4)
    np.testing.assert_allclose(np.delete(flat, 3, axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(ops.motion_kernel(6, 90), flat.T, atol=1e-12)
    kernel = ops.motion_kernel(9.5, 30)
    np.testing.assert_allclose(kernel.sum(), 1.0)
    down, right = np.indices(kernel.shape) - len(kernel) // 2
    covariance = (kernel * right * -down).sum() / (kernel * right**2).sum()
    # A line upwards to the right: the spread over pixels adds 1/6 or so to each variance.
    assert 0.5 < covariance < np.tan(np.pi / 6)
    np.testing.assert_allclose(
        (kernel * (right**2 + down**2)).sum(), 9.5**2 / 12 + 2 / 6, rtol=0.01
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ops.SuperResolution((6, 8), 4), "does not divide"),
        (lambda: ops.SuperResolution((6, 8), 0), "does not divide"),
        (lambda: ops.SuperResolution((6, 8), 2, "lanczos"), "kernel is one of"),
        (lambda: ops.SuperResolution((6, 8), 2, np.ones((2, 2))), "compose Mask"),
        (lambda: ops.SuperResolution((6, 8), 2, boundary="wrap"), "boundary is one of"),
        (lambda: ops.motion_kernel(-1, 0), "length >= 0"),
        (lambda: ops.motion_kernel(1, float("nan")), "finite angle"),
    ],
)
def test_a_wrong_call_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
