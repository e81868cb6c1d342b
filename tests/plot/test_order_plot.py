"""The order plot draws the gaps and the fitted slope."""

import numpy as np
import pytest

from jaxdip.plot import OrderSeries, order_plot

STEPS = 0.1 / 2.0 ** np.arange(4)


def _lines(figure):
    return figure.axes[0].get_lines()


def test_lines_have_the_slopes_they_say():
    gaps = 3 * STEPS**1.5
    figure = order_plot(
        [OrderSeries("igahd", "isehd", STEPS, gaps, order=1.5, expected=2.0)], caption="c"
    )
    points, fit, reference = _lines(figure)
    np.testing.assert_array_equal(points.get_ydata(), gaps)
    np.testing.assert_allclose(fit.get_ydata(), gaps, rtol=1e-12)
    slope = np.diff(np.log(reference.get_ydata())) / np.diff(np.log(reference.get_xdata()))
    np.testing.assert_allclose(slope, 2.0)
    assert points.get_label() == "IGAHD → ISEHD flow: order 1.50"
    assert reference.get_label() == "slope 2"


def test_the_fitted_line_passes_through_the_middle():
    gaps = 3 * STEPS * np.array([1.1, 0.9, 1.1, 0.9])
    fit = _lines(order_plot([OrderSeries("gd", "gf", STEPS, gaps, order=1.0)]))[1]
    np.testing.assert_allclose(np.mean(np.log(fit.get_ydata() / gaps)), 0, atol=1e-12)


def test_the_reference_lies_below_every_series():
    series = [
        OrderSeries("gd", "gf", STEPS, STEPS),
        OrderSeries("igahd", "isehd", 3 * STEPS, 0.2 * STEPS),
    ]
    lines = _lines(order_plot(series))
    reference = lines[-1]
    for points in lines[:-1]:
        at = np.interp(points.get_xdata(), reference.get_xdata(), reference.get_ydata())
        assert (at < points.get_ydata()).all()


def test_wrong_calls():
    with pytest.raises(ValueError, match="no series"):
        order_plot([])
    with pytest.raises(ValueError, match="gd: step_sizes of shape"):
        order_plot([OrderSeries("gd", "gf", STEPS, STEPS[1:])])
    with pytest.raises(ValueError, match=r"gd: .*positive and finite"):
        order_plot([OrderSeries("gd", "gf", STEPS, np.full(4, np.nan))])
