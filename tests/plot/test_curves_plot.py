"""Panels of curves: colours that mean the same in every panel, readable ticks, marks and bars."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from jaxdip.plot import Curve, Panel, curves_plot
from jaxdip.plot._style import REFERENCE

X = np.array([1.0, 2.0, 3.0])


def family(count):
    return [Curve(f"c = {i}", X, X + i) for i in range(count)]


def colours(figure, place=0):
    lines = figure.axes[place].get_lines()
    return {str(line.get_label()): to_hex(line.get_color()) for line in lines}


def test_a_bound_does_not_shift_the_colours_of_a_family():
    edge = Curve("edge", X, np.ones(3), kind="bound")
    figure = curves_plot([Panel(family(5), y="y"), Panel([*family(5), edge], y="y")])
    plain, bounded = colours(figure, 0), colours(figure, 1)
    assert bounded.pop("edge") == REFERENCE.lower()
    assert bounded == plain
    assert len(set(plain.values())) == 5


def test_a_bound_of_a_member_has_its_colour():
    bound = Curve("c = 1", X, X, label="bound", kind="bound")
    drawn = colours(curves_plot([Panel([*family(4), bound], y="y")]))
    assert drawn["bound"] == drawn["c = 1"]


def test_a_few_names_differ_and_dynamics_keep_their_colours():
    drawn = colours(curves_plot([Panel([Curve("gf", X, X), *family(3)], y="y")]))
    assert drawn["gradient flow"] == "#0072b2"
    assert len(set(drawn.values())) == 4


@pytest.mark.parametrize("axis", ["x", "y"])
def test_ticks_within_a_decade_are_plain_numbers(axis):
    figure = curves_plot([Panel([Curve("a", 2 * X, 2 * X)], y="y", log_x=True)])
    figure.draw_without_rendering()
    own = getattr(figure.axes[0], f"{axis}axis")
    low, high = own.get_view_interval()
    ticks = zip(own.get_ticklocs(), own.get_ticklabels(), strict=True)
    shown = [tick.get_text() for at, tick in ticks if low <= at <= high]
    assert shown == ["2", "4", "6"]
    assert not any(tick.get_text() for tick in own.get_ticklabels(minor=True))


def test_a_linear_axis_keeps_its_ticks():
    figure = curves_plot([Panel([Curve("a", X, X - 2)], y="y", log_y=False)])
    figure.draw_without_rendering()
    assert figure.axes[0].get_ylim()[0] < 0


def test_a_mark_has_paper_behind_its_text():
    figure = curves_plot([Panel([Curve("a", X, X)], y="y", marks={"here": 2.0})])
    (text,) = figure.axes[0].texts
    assert text.get_text() == "here"
    box = text.get_bbox_patch()
    assert box is not None
    assert to_hex(box.get_facecolor()) == "#ffffff"


def test_a_legend_above_overlaps_neither_axes_nor_title():
    figure = curves_plot(
        [Panel(family(7), y="y", title="seven", legend_above=True), Panel(family(2), y="y")]
    )
    figure.draw_without_rendering()
    axes = figure.axes[0]
    legend = axes.get_legend().get_window_extent()
    assert legend.y0 >= axes.get_window_extent().y1
    assert axes.title.get_window_extent().y0 >= legend.y1
    assert figure.axes[1].get_legend().get_window_extent().y1 < figure.axes[1].bbox.y1


def test_bars_reach_from_low_to_high():
    curve = Curve("a", X, 10 * X, None, "points", 9 * X, 12 * X)
    (axes,) = curves_plot([Panel([curve], y="y")]).axes
    segments = np.array(axes.collections[0].get_segments())
    np.testing.assert_array_equal(segments[:, 0], np.stack([X, 9 * X], axis=-1))
    np.testing.assert_array_equal(segments[:, 1], np.stack([X, 12 * X], axis=-1))


@pytest.mark.parametrize(
    ("panels", "told"),
    [
        ([], "no panels"),
        ([Panel([], y="y", title="empty")], "'empty' has no curves"),
        ([Panel([Curve("a", X, X[:2])], y="y")], "two equal lists"),
        ([Panel([Curve("a", X, X, kind="dots")], y="y")], "unknown kind 'dots'"),
        ([Panel([Curve("a", X, X, None, "points", X)], y="y")], "give low and high"),
        ([Panel([Curve("a", X, X, None, "points", X[:2], X)], y="y")], "for 3 points"),
    ],
)
def test_wrong_calls(panels, told):
    with pytest.raises(ValueError, match=told):
        curves_plot(panels)
