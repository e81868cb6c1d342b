"""Every named image is there, in the wheel, and is an image."""

import importlib.metadata

import numpy as np
import pytest
import skimage.data
from matplotlib import cbook

import jaxdip.imaging as im


@pytest.mark.parametrize("name", im.image_names())
def test_each_name_is_an_image(name):
    image = im.named_image(name)
    assert image.name == name
    assert min(image.pixels.shape[:2]) >= 100
    assert image.pixels.min() >= 0
    assert 0.5 < image.pixels.max() <= 1
    assert image.pixels.std() > 0.03
    assert image.gray.ndim == 2


@pytest.mark.parametrize("name", ["camera", "astronaut", "coins", "text"])
def test_equal_to_scikit_image(name):
    stored = getattr(skimage.data, name)()
    np.testing.assert_array_equal(im.named_image(name).pixels * 255, stored)


def test_phantom_and_mri():
    phantom = im.named_image("phantom").pixels
    np.testing.assert_allclose(phantom, skimage.data.shepp_logan_phantom(), atol=1e-12)
    with cbook.get_sample_data("s1045.ima.gz") as file:
        values = np.frombuffer(file.read(), ">u2").reshape(256, 256)
    mri = im.named_image("mri")
    np.testing.assert_allclose(mri.pixels * mri.scale, values, rtol=1e-14)
    assert mri.pixels.max() == 1


def test_every_file_lies_in_the_wheel():
    shipped = {f.name for f in importlib.metadata.files("scikit-image") if "data" in f.parts}
    assert set(im._library._SCIKIT_IMAGE.values()) <= shipped


def test_gray_is_scikit_images_luma():
    astronaut = im.named_image("astronaut")
    expected = skimage.color.rgb2gray(astronaut.pixels)
    np.testing.assert_allclose(astronaut.gray, expected, atol=1e-12)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'camera'"):
        im.named_image("cameraman")
    with pytest.raises(ValueError, match="there are astronaut, brick"):
        im.named_image("zzz")
