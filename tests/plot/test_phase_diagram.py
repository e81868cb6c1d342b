"""A phase diagram stands where the cells are, tells what is missing, and hides nothing."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection, QuadMesh

from jaxdip.plot import phase_diagram

M = np.arange(1, 6)
K = np.unique(np.round(np.geomspace(10, 1e4, 13)).astype(int))
NAMES = ["relu", "softplus", "tanh"]
LABELS = {"x_label": "measurements m", "y_label": "width k"}


def smooth(m, k):
    """A probability that is ½ on the line k = 40·e^{0.5 m}, linear there in m and log k."""
    distance = np.log(np.asarray(k))[None] - np.log(40) - 0.5 * np.asarray(m)[:, None]
    return np.clip(0.5 + 0.1 * distance, 0, 1)


def drawn(figure):
    FigureCanvasAgg(figure).draw()
    return figure


def contours(figure, starts="probability"):
    lines = figure.axes[0].get_lines()
    return [line for line in lines if str(line.get_label()).startswith(starts)]


def legend(figure):
    return [text.get_text() for each in figure.legends for text in each.get_texts()]


def hatched(figure):
    found = figure.findobj(PatchCollection)
    return [box.get_extents().extents for each in found for box in each.get_paths()]


def test_cells_reach_half_way_to_their_neighbours():
    x, y = [1, 2, 4, 5], [10, 1000, 100]
    p = np.arange(12).reshape(4, 3) / 11
    figure = drawn(phase_diagram(x, y, p, **LABELS))
    (mesh,) = figure.axes[0].findobj(QuadMesh)
    corners = mesh.get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], [0.5, 1.5, 3, 4.5, 5.5])
    # Geometric means on the logarithmic axis, and in rising order.
    np.testing.assert_allclose(corners[:, 0, 1], 10 ** np.array([0.5, 1.5, 2.5, 3.5]))
    np.testing.assert_array_equal(mesh.get_array(), p[:, [0, 2, 1]].T)
    assert (mesh.get_clim(), mesh.get_cmap().name) == ((0, 1), "viridis")
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    assert axes.get_xlim() == (0.5, 5.5)
    np.testing.assert_allclose(axes.get_ylim(), corners[[0, -1], 0, 1])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("measurements m", "width k")
    assert figure.axes[1].get_ylabel() == "probability"


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1, 2, 3, 4, 5], "linear"),
        ([1, 2, 4, 8], "log"),
        ([10, 30, 100, 316, 1000], "log"),
        ([0, 1, 10, 100], "linear"),
        ([-1, 10, 1000], "linear"),
        ([3, 24], "log"),
        ([3, 20], "linear"),
        ([7], "linear"),
        (np.linspace(0.1, 10, 50), "linear"),
        (np.geomspace(0.1, 10, 50), "log"),
    ],
)
def test_the_scale_is_found(values, scale):
    figure = phase_diagram(values, M, np.zeros((len(values), 5)), **LABELS)
    assert figure.axes[0].get_xscale() == scale
    if min(values) > 0:
        for log in (False, True):
            figure = phase_diagram(values, None, np.zeros(len(values)), x_label="x", x_log=log)
            assert figure.axes[0].get_xscale() == ("log" if log else "linear")


def test_the_contour_lies_where_the_probability_is_a_half():
    p = smooth(M, K)
    figure = drawn(phase_diagram(M, K, p, low=p - p / 10, high=p + (1 - p) / 10, **LABELS))
    (line,) = contours(figure)
    m, k = line.get_data()
    np.testing.assert_allclose(k, 40 * np.exp(0.5 * m), rtol=1e-10)
    assert (m.min(), m.max()) == (1, 5)
    assert legend(figure) == ["probability ½ (interpolated)"]
    # On request, where the ends of the intervals are at ½: 0.9 p and 0.9 p + 0.1.
    figure = phase_diagram(
        M, K, p, low=0.9 * p, high=0.9 * p + 0.1, intervals=True, contour=0.45, **LABELS
    )
    assert legend(figure) == ["probability 0.45 (interpolated)", "its interval, cell by cell"]
    shifts = []
    for line in [*contours(figure), *contours(figure, "its interval")]:
        m, k = line.get_data()
        shift = 0.1 * (np.log(k / 40) - 0.5 * m)
        np.testing.assert_allclose(shift, shift[0], atol=1e-12)
        shifts.append(shift[0])
    np.testing.assert_allclose(shifts, [-0.05, 0, 0.35 / 0.9 - 0.5], atol=1e-12)
    (thick, *thin) = [*contours(figure), *contours(figure, "its interval")]
    assert all(line.get_linewidth() < thick.get_linewidth() / 2 for line in thin)


def test_no_contour_where_there_is_none():
    for p in (np.zeros((5, 13)), np.ones((5, 13)), np.full((5, 13), np.nan)):
        assert contours(drawn(phase_diagram(M, K, p, **LABELS))) == []
    assert contours(phase_diagram(M, K, smooth(M, K), contour=None, **LABELS)) == []
    assert contours(drawn(phase_diagram([1], K, smooth([1], K), **LABELS))) == []


def test_cells_that_are_not_known_are_hatched_and_kept_clear_of():
    p = smooth(M, K)
    p[3:, 4:] = np.nan
    low, high = np.where(np.isnan(p), 0, p), np.where(np.isnan(p), 1, p)
    figure = drawn(phase_diagram(M, K, p, low=low, high=high, intervals=True, **LABELS))
    assert len(hatched(figure)) == np.isnan(p).sum()
    assert legend(figure)[-1] == "not computed"
    for line in [*contours(figure), *contours(figure, "its interval")]:
        assert line.get_xdata().max() <= 3 or line.get_ydata().max() <= K[3]
    assert "not computed" not in legend(phase_diagram(M, K, smooth(M, K), **LABELS))


def test_a_theory_is_drawn_over_the_cells_and_moves_no_limits():
    m = np.linspace(0, 100, 50)
    figure = drawn(
        phase_diagram(M, K, smooth(M, K), lines=[("theorem", m, 40 * m - 100)], **LABELS)
    )
    (line,) = contours(figure, "theorem")
    assert line.get_ydata().min() > 0
    np.testing.assert_array_equal(line.get_ydata(), 40 * line.get_xdata() - 100)
    assert figure.axes[0].get_xlim() == (0.5, 5.5)
    assert legend(figure)[-1] == "theorem"


def test_names_have_marks_in_their_own_cells():
    p = smooth([1, 2, 3], K)
    figure = drawn(phase_diagram(NAMES, K, p, lines=[("theory", NAMES, [40, 70, 99])], **LABELS))
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == NAMES
    for i, line in enumerate(contours(figure)):
        assert (np.abs(line.get_xdata() - i) < 0.5).all()
        np.testing.assert_allclose(line.get_ydata(), 40 * np.exp(0.5 * (i + 1)), rtol=1e-10)
    assert len(contours(figure)) == 3
    (theory,) = contours(figure, "theory")
    np.testing.assert_array_equal(theory.get_xdata(), [0, 1, 2])
    assert theory.get_linestyle() == "None"
    # The same on its side.
    turned = drawn(phase_diagram(K, NAMES, p.T, x_label="k", y_label="activation"))
    for line, same in zip(contours(figure), contours(turned), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), same.get_ydata())
        np.testing.assert_array_equal(line.get_ydata(), same.get_xdata())
    both = drawn(phase_diagram([True, False], NAMES, [[0, 1, 0], [1, 0, 1]], **LABELS))
    assert contours(both) == []
    assert [t.get_text() for t in both.axes[0].get_xticklabels()] == ["True", "False"]


def test_a_crossing_among_names_skips_what_is_not_known():
    figure = phase_diagram(["a"], [0, 1, 2], [[0, np.nan, 1]], **LABELS)
    (line,) = contours(figure)
    np.testing.assert_array_equal(line.get_ydata(), [1, 1])


def test_one_axis_is_a_curve_with_bars():
    order = np.random.default_rng(0).permutation(13)
    p = smooth([2], K)[0]
    low, high = 0.9 * p, 0.9 * p + 0.1
    p[-2] = np.nan
    figure = drawn(
        phase_diagram(
            K[order], None, p[order], low=low[order], high=high[order], trials=50, x_label="k"
        )
    )
    axes = figure.axes[0]
    level, curve = axes.get_lines()
    assert set(level.get_ydata()) == {0.5}
    np.testing.assert_array_equal(curve.get_xdata(), K)
    np.testing.assert_array_equal(curve.get_ydata(), p)
    bars = np.array(axes.collections[0].get_segments())
    known = np.isfinite(p)
    np.testing.assert_allclose(bars[:, :, 0].T, [K[known], K[known]])
    np.testing.assert_allclose(bars[:, :, 1].T, [low[known], high[known]])
    (box,) = hatched(figure)
    np.testing.assert_allclose(box[[0, 2]], np.sqrt(K[-2] * K[[-3, -1]]))
    assert axes.get_ylabel() == "probability  (50 trials)"
    assert legend(figure) == ["observed", "its interval", "probability ½", "not computed"]
    named = phase_diagram(NAMES, None, [0, 0.5, 1], x_label="activation", contour=None)
    assert [line.get_linestyle() for line in named.axes[0].get_lines()] == ["None"]


def test_trials_are_told_where_there_were_any():
    p = np.array([0.0, 0.5, np.nan])
    for trials, text in [
        (20, "(20 trials)"),
        ([20, 50, 0], "(20 to 50 trials)"),
        ([20, 20, 0], "(20 trials)"),
    ]:
        figure = phase_diagram(M[:3], None, p, trials=trials, x_label="m", label="found")
        assert figure.axes[0].get_ylabel() == f"found  {text}"
    figure = phase_diagram(M[:1], None, [np.nan], trials=[0], x_label="m")
    assert figure.axes[0].get_ylabel() == "probability"


def diagram(name):
    p = smooth(M, K)
    p[3:, 10:] = np.nan
    full = {
        "low": 0.9 * p,
        "high": 0.9 * p + 0.1,
        "intervals": True,
        "trials": 50,
        "title": "Recovery",
        "caption": "cost $5 and $6 " * 20,
    }
    theory = [(f"theory {i}", M, 10**i * M) for i in range(1, 4)]
    long = [f"a rather long name {i}" for i in range(5)]
    uneven = np.array([0, 0.01, 0.02, 0.5, 1])
    match name:
        case "full":
            return phase_diagram(M, K, p, lines=theory, **LABELS, **full)
        case "names":
            return phase_diagram(long, K, p, **LABELS, **full)
        case "turned":
            return phase_diagram(K, long, p.T, x_label="k", y_label="activation")
        case "curve":
            return phase_diagram(long, None, p[:, 0], x_label="activation")
        case "uneven":
            return phase_diagram(uneven, 0.1 + uneven, np.eye(5), **LABELS)
        case "many":
            return phase_diagram(np.arange(60), K, np.zeros((60, 13)), **LABELS)


@pytest.mark.parametrize("name", ["full", "names", "turned", "curve", "uneven", "many"])
def test_nothing_overlaps_and_nothing_sticks_out(name):
    figure = drawn(diagram(name))
    renderer = figure.canvas.get_renderer()
    width, height = figure.canvas.get_width_height()
    beyond = []
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            beyond += [t.label1 for t in ticks if not low <= t.get_loc() <= high]
    texts = figure.findobj(mpl.text.Text)
    texts = [t for t in texts if t.get_visible() and t.get_text().strip() and t not in beyond]
    assert len(texts) > 5
    boxes = [t.get_window_extent(renderer) for t in texts]
    for text, box in zip(texts, boxes, strict=True):
        inside = box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1
        assert inside, text
    # The boxes of turned text overlap though the text does not.
    level = [box for t, box in zip(texts, boxes, strict=True) if t.get_rotation() % 90 == 0]
    for i, one in enumerate(level):
        assert not any(one.overlaps(other) for other in level[:i]), texts[i]
    for each in figure.legends:
        box = each.get_window_extent(renderer)
        assert not any(box.overlaps(a.get_window_extent(renderer)) for a in figure.axes)


def test_arguments_settings_and_pyplot_are_left_alone():
    p, order = smooth(M, K), np.arange(5)[::-1]
    before = p.copy()
    phase_diagram(M[order], K, p, **LABELS)
    np.testing.assert_array_equal(p, before)
    script = (
        "import sys, numpy as np, matplotlib\n"
        # Asking for the backend would itself load pyplot.
        "settings = lambda: {k: v for k in matplotlib.rcParams\n"
        "            if k != 'backend' for v in [matplotlib.rcParams[k]]}\n"
        "before = settings()\n"
        "from jaxdip.plot import phase_diagram\n"
        "phase_diagram([1, 2], [1, 2], [[0, 1], [1, np.nan]], x_label='x', y_label='y')\n"
        "assert settings() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert 'jaxdip.sweeps' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("x", "y", "p", "more", "text"),
    [
        ([1, 2], [1, 2, 3], np.zeros((3, 2)), {}, r"\(3, 2\) over axes of shape \(2, 3\)"),
        ([1, 2], None, [0, 1.1], {}, r"leaves \[0, 1\]: from 0 to 1.1"),
        ([1, 2], None, [-np.inf, 1], {}, r"leaves \[0, 1\]"),
        ([1, 1], None, [0, 1], {}, "x repeats"),
        ([1, "a"], None, [0, 1], {}, "x is a list of numbers or of names"),
        ([], None, [], {}, "x is a list of numbers or of names"),
        ([1, np.nan], None, [0, 1], {}, "x is a list of finite numbers"),
        ([0, 1], None, [0, 1], {"x_log": True}, "no logarithm"),
        (["a", "b"], None, [0, 1], {"x_log": True}, "holds names"),
        ([0, 1], None, [0, 1], {"low": [0, 0]}, "two ends"),
        ([0, 1], [0, 1], np.eye(2), {"intervals": True}, "two ends"),
        ([0, 1], [0, 1], np.eye(2), {"y_label": ""}, "no label; give y_label"),
        ([0, 1], None, [0, 1], {"contour": 1}, "contour"),
        ([0, 1], None, [0, 1], {"trials": [1, 2, 3]}, "trials of shape"),
        ([0, 1], None, [0, 1], {"lines": [("law", [0, 1], [1])]}, "line 'law'"),
        (["a"], None, [0], {"lines": [("law", ["c"], [1])]}, "'c'; the axis has a"),
    ],
)
def test_wrong_calls(x, y, p, more, text):
    with pytest.raises(ValueError, match=text):
        phase_diagram(x, y, p, **{**LABELS, **more})
