"""`jaxdip compare` finds order one."""

import json

import numpy as np
import pytest
import xarray as xr

import jaxdip as jd
from jaxdip.cli import main
from jaxdip.cli.compare import Compare


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("compared")
    words = [
        "--width",
        "40",
        "--latent",
        "3",
        "--train",
        "hidden",
        "--steps",
        "40",
        "--halvings",
        "3",
        "--n",
        "4",
        "--m",
        "2",
    ]
    assert main(["compare", *words, "--out", str(out)]) == 0
    return out


def test_orders_are_near_one(compared):
    orders = json.loads((compared / "gaps.json").read_text())["orders"]
    assert set(orders) == {"gd", "igahd"}
    for order in orders.values():
        assert 0.8 < order["fitted_order"]["signal"] < 1.25
        assert 0.85 < order["successive_orders"]["signal"][-1] < 1.15
        steps = np.array(order["time_steps"])
        np.testing.assert_allclose(steps[:-1] / steps[1:], 2, rtol=1e-12)


def test_files_agree(compared):
    data = xr.open_zarr(compared / "gaps.zarr").load()
    orders = json.loads((compared / "gaps.json").read_text())["orders"]
    np.testing.assert_array_equal(data["gd_signal_gap"], orders["gd"]["gaps"]["signal"])
    assert {path.name for path in compared.iterdir()} == {
        "gaps.json", "gaps.zarr", "order.png", "order.pdf",
    }  # fmt: skip


def test_an_image_and_a_synthetic_problem(key):
    operator, pixels = Compare(image="camera", size=8, peak=2.0)._forward(key)
    assert isinstance(operator, jd.operators.Blur)
    assert operator.in_structure.shape == pixels.shape == (8, 8)
    assert 1 < pixels.max() <= 2
    operator, x_true = Compare(n=7, m=4)._forward(key)
    assert (operator.m, operator.n, x_true.shape) == (4, 7, (7,))
