"""The report draws what it was given, and touches nothing else."""

import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba

from jaxdip.plot import RecoveryRun, dynamics_style, recovery_report
from jaxdip.plot._ticks import _text

SIDE = 16


def _run(name, stop=None, scale=1.0):
    time = np.concatenate([[0.0], np.geomspace(0.1, 10, 20)])
    error = 0.1 + np.abs(np.log(0.1 + time))
    image = scale * np.full((SIDE, SIDE), 0.5)
    return RecoveryRun(name, time, 3 * np.exp(-time), error, image, stop, f"note of {name}")


def _axes_by_title(figure):
    return {axes.get_title(): axes for axes in figure.findobj(mpl.axes.Axes)}


def _texts(figure):
    return [t.get_text() for t in figure.findobj(mpl.text.Text) if t.get_text()]


def _draw(figure):
    FigureCanvasAgg(figure).draw()
    return figure


def test_every_part_is_there():
    truth = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)
    runs = [_run("gf", stop=4), _run("igahd", scale=0.8)]
    figure = recovery_report(
        truth, truth, runs, noise_loss=0.01, observation_note="std", caption="cost $5 and $6"
    )
    _draw(figure)
    parts = _axes_by_title(figure)
    expected = ["truth", "observation", "gradient flow", "IGAHD", "error", "loss"]
    assert [title for title in parts if title][:6] == expected
    assert {"note of gf", "note of igahd", "std", "of gradient flow", "cost $5 and $6"} <= set(
        _texts(figure)
    )
    np.testing.assert_array_equal(parts["truth"].images[0].get_array(), truth)
    np.testing.assert_allclose(parts["error"].images[0].get_array(), np.abs(0.5 - truth))
    assert parts["loss"].get_xscale() == parts["loss"].get_yscale() == "log"
    legend = [text.get_text() for text in figure.findobj(mpl.legend.Legend)[0].get_texts()]
    assert legend == [
        "gradient flow",
        "IGAHD",
        "loss of the true signal",
        "least signal error",
        "discrepancy principle",
    ]


def test_curves_and_marks_stand_at_the_data():
    run = _run("gf", stop=4)
    figure = recovery_report(run.image, run.image, [run], noise_loss=0.01)
    axes = _axes_by_title(figure)["relative signal error"]
    curve, best, stop = axes.get_lines()
    np.testing.assert_array_equal(curve.get_xdata(), run.time[1:])
    np.testing.assert_array_equal(curve.get_ydata(), run.signal_error[1:])
    least = np.argmin(run.signal_error)
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (run.time[least], run.signal_error[least])
    assert (stop.get_xdata()[0], stop.get_ydata()[0]) == (run.time[4], run.signal_error[4])
    level = _axes_by_title(figure)["loss"].get_lines()[-1]
    assert set(level.get_ydata()) == {0.01}


def test_units_are_divided_by_white():
    truth = np.full((SIDE, SIDE), 100.0)
    run = _run("gd", scale=255.0)
    parts = _axes_by_title(_draw(recovery_report(truth, truth, [run], peak=255.0)))
    np.testing.assert_allclose(parts["gradient descent"].images[0].get_array(), 0.5)
    np.testing.assert_allclose(parts["error"].images[0].get_array(), 27.5 / 255)


def test_colour_images_vectors_and_unknown_truth():
    run = _run("gd")
    colour = np.zeros((SIDE, SIDE, 3))
    in_colour = RecoveryRun("gd", run.time, run.loss, None, colour)
    figure = _draw(recovery_report(None, np.arange(30.0), [in_colour]))
    parts = _axes_by_title(figure)
    assert "truth" not in parts
    assert "relative signal error" not in parts
    np.testing.assert_array_equal(parts["observation"].get_lines()[0].get_ydata(), np.arange(30.0))
    assert parts["gradient descent"].images[0].get_array().shape == colour.shape


def test_a_diverged_run_is_drawn():
    run = _run("gd")
    nan = np.full_like(run.time, np.nan)
    nan[0] = 1.0
    bad = RecoveryRun("gd", run.time, nan, nan, np.full((SIDE, SIDE), np.nan))
    figure = _draw(recovery_report(run.image, run.image, [bad, run]))
    assert "of gradient descent" in _texts(figure)


def test_a_run_without_positive_times_is_drawn():
    start = np.zeros(1)
    run = RecoveryRun("gd", start, start + 1, start + 1, np.zeros((SIDE, SIDE)))
    parts = _axes_by_title(_draw(recovery_report(run.image, run.image, [run], noise_loss=1.0)))
    assert parts["loss"].get_xscale() == "linear"


def test_nothing_overlaps_and_nothing_sticks_out():
    runs = [_run(name, stop=4) for name in ("gf", "gd", "isehd", "igahd")]
    caption = "word " * 100
    figure = _draw(
        recovery_report(runs[0].image, runs[0].image, runs, noise_loss=1, caption=caption)
    )
    renderer, undrawn = figure.canvas.get_renderer(), _undrawn(figure)
    width, height = figure.canvas.get_width_height()
    texts = [t for t in figure.findobj(mpl.text.Text) if t.get_visible() and t.get_text().strip()]
    boxes = [t.get_window_extent(renderer) for t in texts]
    assert len(boxes) > 30
    for text, box in zip(texts, boxes, strict=True):
        inside = box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1
        assert inside or text in undrawn, text
    drawn = [b for t, b in zip(texts, boxes, strict=True) if t not in undrawn]
    for i, one in enumerate(drawn):
        assert not any(one.overlaps(other) for other in drawn[:i])


def _undrawn(figure):
    """Matplotlib keeps tick labels beyond the limits."""
    kept = []
    for axes in figure.findobj(mpl.axes.Axes):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            kept += [t.label1 for t in ticks if not low <= t.get_loc() <= high]
    return kept


# From two decades the powers of ten are labelled, and every span has two labels at least.
@pytest.mark.parametrize("decades", [0.02, 0.3, 0.65, 0.8, 1.25, 1.6, 1.95, 2.1, 7.0])
@pytest.mark.parametrize("start", [3.1e-7, 0.9, 2.3e3])
def test_labels_of_short_axes_do_not_overlap(decades, start):
    time = start * np.geomspace(1, 10**decades, 5)
    run = RecoveryRun("gd", time, 1e4 * time[::-1], time, np.zeros((SIDE, SIDE)))
    figure = _draw(recovery_report(run.image, run.image, [run]))
    renderer, undrawn = figure.canvas.get_renderer(), _undrawn(figure)
    for title in ("loss", "relative signal error"):
        axes = _axes_by_title(figure)[title]
        for axis in (axes.xaxis, axes.yaxis):
            ticks = axis.get_ticklabels(which="both")
            texts = [t for t in ticks if t.get_text() and t not in undrawn]
            boxes = [t.get_window_extent(renderer) for t in texts]
            assert len(boxes) >= 2
            for i, one in enumerate(boxes):
                assert not any(one.overlaps(other) for other in boxes[:i]), texts


@pytest.mark.parametrize("value", [1e-9, 0.001, 0.25, 1, 1500, 9999, 1e4, 2.5e32])
def test_a_tick_says_its_number(value):
    text = _text(value).replace(r"$\mathdefault{", "").removesuffix("}$")
    number = re.sub(r"e10\^\{(-?\d+)\}", r"e\1", text.replace(r"\times ", "e"))
    number = re.sub(r"^10\^\{(-?\d+)\}$", r"1e\1", number)
    assert float(number) == value


def test_marks_of_a_pair_do_not_hide_one_another():
    runs = [_run("gf", stop=4), _run("gd", stop=4)]
    figure = recovery_report(runs[0].image, runs[0].image, runs)
    marks = _axes_by_title(figure)["relative signal error"].get_lines()
    for shape in "*o":
        of_flow, of_steps = (line for line in marks if line.get_marker() == shape)
        assert of_flow.get_xdata()[0] == of_steps.get_xdata()[0]
        assert of_flow.get_markerfacecolor() == "none"
        assert of_steps.get_markerfacecolor() != "none"
        assert of_flow.get_markersize() > 1.5 * of_steps.get_markersize()


def test_styles_are_fixed_and_flows_are_solid():
    styles = {name: dynamics_style(name) for name in ("gf", "gd", "isehd", "igahd")}
    assert [style[2] for style in styles.values()] == ["-", "--", "-", "--"]
    assert len({to_rgba(style[1]) for style in styles.values()}) == 4
    assert dynamics_style("adam", 0)[1] != dynamics_style("other", 1)[1]


def test_settings_and_pyplot_are_left_alone():
    script = (
        "import sys, numpy as np, matplotlib\n"
        # Asking for the backend would itself load pyplot.
        "settings = lambda: {k: v for k in matplotlib.rcParams\n"
        "            if k != 'backend' for v in [matplotlib.rcParams[k]]}\n"
        "before = settings()\n"
        "from jaxdip.plot import RecoveryRun, recovery_report\n"
        "one = np.ones(3)\n"
        "recovery_report(None, np.eye(4), [RecoveryRun('gd', one, one, None, np.eye(4))])\n"
        "assert settings() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_wrong_calls():
    run = _run("gd")
    with pytest.raises(ValueError, match="at least one"):
        recovery_report(None, run.image, [])
    short = RecoveryRun("gd", run.time[:3], run.loss, None, run.image)
    with pytest.raises(ValueError, match=r"gd: .*\[3, 21\]"):
        recovery_report(None, run.image, [short])
    with pytest.raises(ValueError, match=r"gd: image of shape \(16, 16\).*\(4, 4\)"):
        recovery_report(np.eye(4), run.image, [run])
