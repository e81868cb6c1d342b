"""Blur kernels come from files as they are, or normalised; what is none is refused."""

import numpy as np
import pytest

import jaxdip.imaging as im


def test_numbers_come_as_they_are(tmp_path):
    kernel = np.array([[1.0, -2.0, 0.5], [0.0, 4.0, 1.0]])
    np.save(tmp_path / "k.npy", kernel.astype(np.float32))
    found = im.read_kernel(tmp_path / "k.npy")
    np.testing.assert_array_equal(found, kernel)
    assert found.dtype == np.float64
    np.testing.assert_allclose(im.read_kernel(tmp_path / "k.npy", normalize=True), kernel / 4.5)
    np.save(tmp_path / "line.npy", np.array([1, 2, 1]))
    np.testing.assert_array_equal(im.read_kernel(tmp_path / "line.npy"), [1.0, 2.0, 1.0])


def test_an_image_gives_its_luma(tmp_path):
    kernel = np.array([[0.0, 51.0], [204.0, 255.0]]) / 255
    im.write_image(tmp_path / "k.png", kernel)
    np.testing.assert_allclose(im.read_kernel(tmp_path / "k.png"), kernel)
    found = im.read_kernel(tmp_path / "k.png", normalize=True)
    np.testing.assert_allclose(found, kernel / 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.ones(0), "shape"),
        (np.array([1.0, np.nan]), "1 entries are NaN"),
        (np.array([1j]), "complex128"),
        (np.zeros((3, 3)), "zero everywhere"),
        (np.array([1.0, -1.0]), "sums to zero"),
    ],
)
def test_what_is_no_kernel_is_refused(tmp_path, values, message):
    np.save(tmp_path / "k.npy", values)
    with pytest.raises(ValueError, match=message):
        im.read_kernel(tmp_path / "k.npy", normalize=True)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        im.read_kernel(tmp_path / "k.npy")
    (tmp_path / "k.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(ValueError, match="damaged NPY"):
        im.read_kernel(tmp_path / "k.npy")
    (tmp_path / "k.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not an image"):
        im.read_kernel(tmp_path / "k.png")
