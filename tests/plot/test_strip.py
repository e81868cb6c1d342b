"""Strips of images and curves with the marks of stopping rules."""

import numpy as np
import pytest

from jaxdip.plot import StripImage, image_grid, image_strip, stopping_plot

TRUTH = np.linspace(0, 1, 12).reshape(3, 4)


def pictures(figure):
    return [axes for axes in figure.axes if axes.images]


def test_errors_are_drawn_below_their_images_on_one_scale():
    near, far = TRUTH + 0.1, TRUTH - 0.4
    figure = image_strip(
        [
            StripImage("data", np.ones((2, 2)), compared=False),
            StripImage("near", near, "1 dB"),
            StripImage("far", far),
        ],
        truth=TRUTH,
        caption="a run",
    )
    shown = pictures(figure)
    assert [axes.get_title() for axes in shown[:4]] == ["truth", "data", "near", "far"]
    assert shown[2].get_xlabel() == "1 dB"
    maps = [axes.images[0] for axes in shown[4:]]
    np.testing.assert_allclose(maps[0].get_array(), 0.1, atol=1e-12)
    np.testing.assert_allclose(maps[1].get_array(), 0.4, atol=1e-12)
    assert {image.get_clim() for image in maps} == {(0.0, maps[0].get_clim()[1])}
    assert figure._supxlabel.get_text() == "a run"


def test_many_images_take_rows_and_no_truth_no_errors():
    figure = image_strip([StripImage(str(i), TRUTH) for i in range(9)])
    assert len(pictures(figure)) == 9
    assert len(figure.axes) == 10  # two rows of five
    with pytest.raises(ValueError, match="no images to show"):
        image_strip([])
    with pytest.raises(ValueError, match=r"wide: image of shape \(2, 2\), expected the truth's"):
        image_strip([StripImage("wide", np.ones((2, 2)))], truth=TRUTH)


def test_complex_and_colour_images_are_shown():
    figure = image_strip([StripImage("z", TRUTH * 1j)], truth=TRUTH * 1j)
    np.testing.assert_allclose(pictures(figure)[1].images[0].get_array(), TRUTH)
    colour = np.stack([TRUTH] * 3, axis=-1)
    wrong = image_strip([StripImage("c", colour + np.array([0.3, 0, 0]))], truth=colour)
    np.testing.assert_allclose(pictures(wrong)[2].images[0].get_array(), 0.1)


def test_signed_images_have_scales_of_their_own():
    figure = image_grid(np.stack([TRUTH, -3 * TRUTH]), ["a", "b"], label="vectors")
    assert [axes.images[0].get_clim() for axes in pictures(figure)] == [(-1, 1), (-3, 3)]
    assert figure._supxlabel.get_text().startswith("vectors: blue is negative")
    with pytest.raises(ValueError, match="1 images with 2 titles"):
        image_grid(TRUTH[None], ["a", "b"], label="vectors")


def test_marks_lie_on_the_median_of_seeds():
    step = np.array([[0.0, 1, 2, 3], [0, 1, 2, np.nan]])
    psnr = np.array([[1.0, 2, 3, 4], [3, 4, 5, np.nan]])
    figure = stopping_plot(
        step, 10 - psnr, psnr=psnr, marks={"emv": [1, 3], "sure": [-1, -1]}, noise_norm=5.0
    )
    quality, residual = figure.axes
    (curve, mark), level = quality.lines, residual.lines[-1]
    np.testing.assert_allclose(curve.get_ydata(), [2, 3, 4, 4])
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (2, 4)
    assert level.get_ydata()[0] == 5.0
    assert residual.get_yscale() == "log"
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["median and range of seeds", "noise level ‖ε‖", "emv", "sure (chose none)"]


def test_one_run_without_a_truth_has_its_residual_alone():
    figure = stopping_plot([0.0, 1, 2], [3.0, 2, 1], marks={"plateau": 1})
    assert len(figure.axes) == 1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["run", "plateau"]
    with pytest.raises(
        ValueError, match=r"residual .* of shape \(1, 2\) for steps of shape \(1, 3\)"
    ):
        stopping_plot([0.0, 1, 2], [3.0, 2], marks={})
