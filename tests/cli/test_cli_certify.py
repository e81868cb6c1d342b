"""`jaxdip certify` and `jaxdip spectrum`: what they print and leave."""

import json

import numpy as np
import pytest
import xarray as xr

from jaxdip.cli import main

SMALL = ["--m", "2", "--n", "3", "--spectrum", "even", "--signal", "range", "--seed", "1"]


def test_certify_prints_writes_and_draws(tmp_path, capsys):
    out = tmp_path / "certified"
    words = ["certify", *SMALL, "--width", "300000", "--dynamics", "gf,gd", "--steps", "60"]
    assert main([*words, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert text.count("holds (computed)") == 2
    record = json.loads((out / "certificates.json").read_text())
    assert record["certificates"]["gf"]["holds"] is True
    assert record["config"]["seed"] == 1
    runs = xr.open_zarr(out / "runs.zarr")
    for name in ("gf", "gd"):
        loss, bound = runs[f"{name}_loss"].values, runs[f"{name}_bound"].values
        live = loss > 1e-13
        assert (bound[live] >= loss[live] * (1 - 1e-9)).all()
        assert (runs[f"{name}_ball"].values < 1).all()
        assert (runs[f"{name}_kept"].values > 0.5).all()
    for ending in ("png", "pdf"):
        assert (out / f"certified.{ending}").stat().st_size > 10_000


def test_a_narrow_network_s_certificate_fails_and_is_drawn_all_the_same(tmp_path, capsys):
    out = tmp_path / "c"
    words = ["certify", *SMALL, "--width", "20", "--dynamics", "isehd,igahd", "--steps", "40"]
    assert main([*words, "--out", str(out)]) == 0
    assert "✗ R' < R" in capsys.readouterr().out
    assert (out / "certified.png").exists()


def test_a_loss_without_a_theorem_is_not_applicable(tmp_path, capsys):
    out = tmp_path / "c"
    words = ["certify", *SMALL, "--width", "50", "--activation", "relu", "--steps", "10"]
    assert main([*words, "--dynamics", "gf", "--out", str(out)]) == 0
    assert "not applicable" in capsys.readouterr().out
    record = json.loads((out / "certificates.json").read_text())
    assert record["certificates"]["gf"]["margin"] is None


def test_spectrum_prints_writes_and_draws(tmp_path, capsys):
    out = tmp_path / "spectrum"
    words = ["spectrum", "--n", "12", "--m", "7", "--spectrum", "inverse-square", "--width", "200"]
    assert main([*words, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "sigma_min(AJ)" in text
    data = xr.open_zarr(out / "spectrum.zarr")
    np.testing.assert_allclose(data["sigma_A"], 1 / (1 + np.arange(7.0) ** 2), rtol=1e-12)
    assert data["sigma_AJ"].shape == (7,)
    assert data["sigma_J"].shape == (12,)
    ends = json.loads((out / "spectrum.json").read_text())["ends"]
    assert ends["sigma_min(J)"]["value"] == pytest.approx(float(data["sigma_J"][-1]))
    assert (out / "spectrum.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "words",
    [
        ["certify", "--m", "0"],
        ["certify", "--noise", "-1"],
        ["certify", "--dynamics", "adam"],
        ["spectrum", "--width", "0"],
        ["spectrum", "--method", "magic"],
    ],
)
def test_wrong_options_are_one_line_and_a_status(words, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("jaxdip:")
    assert "Traceback" not in error


def test_the_early_warning_watches_what_the_certificate_stands_on(tmp_path):
    """A tall operator of full column rank: the r-th value, not the m-th, which is 0."""
    words = "--n 2 --m 4 --width 20000 --spectrum even --dynamics gf --steps 20"
    assert main(["certify", *words.split(), "--out", str(tmp_path)]) == 0
    runs = xr.open_zarr(tmp_path / "runs.zarr")
    np.testing.assert_allclose(runs.gf_kept.values[0], 1, rtol=1e-6)
    assert runs.gf_kept.values.min() > 0.5


@pytest.mark.parametrize("dynamics", ["isehd", "igahd"])
def test_inertial_dynamics_without_a_ground_get_a_verdict(dynamics, tmp_path, capsys):
    words = f"--activation relu --width 50 --dynamics {dynamics} --steps 20"
    assert main(["certify", *SMALL, *words.split(), "--out", str(tmp_path)]) == 0
    assert "not applicable" in capsys.readouterr().out


def test_with_noise_the_theorem_s_stop_is_told(tmp_path, capsys):
    words = ["certify", *SMALL, "--width", "100000", "--dynamics", "gf,isehd", "--steps", "20"]
    assert main([*words, "--noise", "0.01", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("from then on ‖y(t) − ȳ‖ ≤ 2‖ε‖") == 1
    record = json.loads((tmp_path / "certificates.json").read_text())["certificates"]
    assert record["gf"]["stopping_time"] > 0
    assert record["isehd"]["stopping_time"] is None
