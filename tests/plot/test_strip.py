"""Strips of images and curves with the marks of stopping rules."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

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


def marks_of(panel):
    """The marks of the rules, by name, and where each is drawn, in points."""
    lines = {line.get_label(): line for line in panel.lines if line.get_label()[0] != "_"}
    dots = 72 / panel.figure.dpi
    places = {
        name: dots * line.get_transform().transform(np.ravel(line.get_xydata()))
        for name, line in lines.items()
    }
    return lines, places


def test_marks_lie_on_the_median_of_seeds():
    step = np.array([[0.0, 1, 2, 3], [0, 1, 2, np.nan]])
    psnr = np.array([[1.0, 2, 3, 4], [3, 4, 5, np.nan]])
    figure = stopping_plot(
        step, 10 - psnr, psnr=psnr, marks={"emv": [1, 3], "sure": [-1, -1]}, noise_norm=5.0
    )
    quality, residual = figure.axes
    curve, bar, seeds, _ = quality.lines
    np.testing.assert_allclose(curve.get_ydata(), [2, 3, 4, 4])
    # Of two steps the earlier: a step that a seed chose. The bar and the pale marks tell of both.
    lines, _ = marks_of(quality)
    assert list(lines) == ["emv"]
    assert (lines["emv"].get_xdata()[0], lines["emv"].get_ydata()[0]) == (1, 3)
    np.testing.assert_array_equal(bar.get_xdata(), [1, 3])
    np.testing.assert_array_equal(seeds.get_xdata(), [1, 3])
    assert seeds.get_alpha() < 1
    assert [line.get_ydata()[0] for line in residual.lines if line.get_linestyle() == ":"] == [5.0]
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


def test_a_seed_that_ended_between_records_is_drawn_where_it_ended():
    """Records every ten steps, the last of the second seed at step 15 in the place of step 20."""
    step = np.array([[0.0, 10, 20, 30], [0, 10, 15, np.nan]])
    psnr = np.array([[0.0, 10, 20, 30], [2, 12, 17, np.nan]])
    figure = stopping_plot(step, 40 - psnr, psnr=psnr, marks={})
    quality = figure.axes[0]
    np.testing.assert_allclose(quality.lines[0].get_xdata(), [0, 10, 15, 20, 30])
    # Both seeds rise by one a step, so the median does until one ends.
    np.testing.assert_allclose(quality.lines[0].get_ydata(), [1, 11, 16, 20, 30])
    outline = quality.collections[0].get_paths()[0].vertices
    band = {at: sorted({y for x, y in outline if x == at}) for at in (15.0, 20.0)}
    assert band == {15.0: [15.0, 17.0], 20.0: [20.0]}


def test_marks_at_one_step_do_not_cover_one_another():
    step = np.arange(61.0)
    rules = {"emv": 60, "oracle": 60, "sure": 59, "wmv": 5, "plateau": -1}
    figure = stopping_plot(step, np.exp(-step / 20) + 1, psnr=step, marks=rules)
    FigureCanvasAgg(figure).draw()
    for panel in figure.axes:
        _, places = marks_of(panel)
        assert set(places) == {"emv", "oracle", "sure", "wmv"}
        positions = list(places.values())
        for i, one in enumerate(positions):
            for other in positions[:i]:
                assert np.linalg.norm(one - other) > 5  # of marks 7 points wide
        # The mark on the lowest level lies on the curve, and all within the panel.
        on = panel.transData.transform((60, np.interp(60, step, panel.lines[0].get_ydata())))
        np.testing.assert_allclose(places["emv"], on * 72 / figure.dpi, atol=1e-6)
        top = panel.get_window_extent().y1 * 72 / figure.dpi
        assert all(y < top for _, y in positions)
    assert "stacked above" in figure._supxlabel.get_text().replace("\n", " ")
    apart = stopping_plot(step, step + 1, marks={"emv": 60, "oracle": 5}, caption="a run")
    assert apart._supxlabel.get_text() == "a run"


@pytest.mark.parametrize("panels", [1, 2])
@pytest.mark.parametrize("more", [0, 5])
def test_the_legend_lies_within_the_figure(panels, more):
    rules = {
        "discrepancy": 1,
        "plateau": -1,
        **{f"variance of outputs {i}": -1 for i in range(more)},
    }
    psnr = [1.0, 2, 3] if panels == 2 else None
    figure = stopping_plot([0.0, 1, 2], [3.0, 2, 1], psnr=psnr, marks=rules, noise_norm=1.5)
    FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert box.y1 <= figure.bbox.height
    assert min(panel.get_window_extent().height for panel in figure.axes) > 2 * figure.dpi
    assert box.y0 >= max(panel.get_window_extent().y1 for panel in figure.axes) - 1


def test_the_axis_says_what_its_psnr_is_of():
    label = "PSNR in dB, before clipping"
    figure = stopping_plot([0.0, 1], [2.0, 1], psnr=[1.0, 2], psnr_label=label, marks={})
    assert [panel.get_ylabel() for panel in figure.axes] == [label, "residual ‖F(x) − y‖"]
    assert [panel.get_yscale() for panel in figure.axes] == ["linear", "log"]


def test_a_bad_image_may_be_left_out_of_the_scale_of_errors():
    near, far = StripImage("near", TRUTH + 0.1), TRUTH + 5.0

    def top(*images):
        figure = image_strip(images, truth=TRUTH)
        (scale,) = {a.images[0].get_clim()[1] for a in pictures(figure)[len(images) + 1 :]}
        return scale

    assert top(near, StripImage("average", far, scales=False)) == pytest.approx(0.1)
    assert top(near, StripImage("average", far)) > 4
    assert top(StripImage("average", far, scales=False)) == pytest.approx(5.0)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_titles_are_not_cut(count):
    one = StripImage("observation", np.ones((32, 32)), "step 60")
    figure = image_strip([one] * count, caption="a " * 200)
    FigureCanvasAgg(figure).draw()
    tops = [axes.title.get_window_extent().y1 for axes in pictures(figure)]
    assert max(tops) <= figure.bbox.height
