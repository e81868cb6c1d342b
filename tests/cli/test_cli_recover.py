"""`jaxdip recover` end to end on small images."""

import json
import signal

import numpy as np
import pytest
import xarray as xr

import jaxdip as jd
import jaxdip.cli._runs as runs
from jaxdip.cli import _recovery, main
from jaxdip.imaging import psnr, read_image, ssim, write_image
from jaxdip.plot import read_config

SMALL = ["--size", "12", "--width", "60", "--latent", "3", "--records", "10"]


@pytest.fixture(autouse=True)
def _quick_figures(monkeypatch):
    """Drawing takes longer than these runs; the module's own fixture draws in full."""
    monkeypatch.setattr(_recovery, "save", lambda figure, path, config: path.touch())


def _recover(out, *words, image="camera"):
    return main(["recover", image, *SMALL, "--out", str(out), *map(str, words)])


def _open(out):
    return xr.open_zarr(out / "result.zarr").load()


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    out = tmp_path_factory.mktemp("full")
    status = _recover(
        out, "--dynamics", "gf,gd,isehd,igahd", "--steps", 60, "--noise", 0.05, "--step-size", 0.1
    )
    assert status == 0
    return out


def test_everything_is_written(full):
    names = {"gf", "gd", "isehd", "igahd"}
    expected = {"recovered.png", "report.png", "report.pdf", "result.zarr", "summary.json"}
    expected |= {f"recovered-{name}.png" for name in names}
    assert {path.name for path in full.iterdir()} == expected
    summary = json.loads((full / "summary.json").read_text())
    assert {run["dynamics"] for run in summary["runs"]} == names
    assert summary["interrupted"] is False
    assert summary["config"]["noise"] == 0.05
    assert summary["versions"]["jaxdip"]
    assert read_config(full / "report.png") == summary["config"]


def test_the_recovery_is_one(full):
    summary = json.loads((full / "summary.json").read_text())
    for run in summary["runs"]:
        assert run["end"] == "completed"
        assert run["best"]["psnr"] > 18
        assert run["best"]["relative_error"] < 0.3
        assert run["last"]["loss"] < 0.05 * _open(full).loss.values[0, 0]
    assert 0 < summary["gaps"]["gd-gf"] < 0.2
    assert 0 < summary["gaps"]["igahd-isehd"] < 0.5


def test_numbers_agree_with_the_arrays(full):
    data = _open(full)
    summary = json.loads((full / "summary.json").read_text())
    truth = data.truth.values
    error = np.linalg.norm(data.best.values - truth, axis=(1, 2)) / np.linalg.norm(truth)
    for i, run in enumerate(summary["runs"]):
        assert data.dynamics.values[i] == run["dynamics"]
        np.testing.assert_allclose(run["best"]["relative_error"], error[i], rtol=1e-12)
        shown = np.clip(data.best.values[i] / 255, 0, 1)
        np.testing.assert_allclose(run["best"]["psnr"], psnr(shown, truth / 255, 1.0), rtol=1e-12)
        np.testing.assert_allclose(run["best"]["ssim"], ssim(shown, truth / 255, 1.0), rtol=1e-12)
        stop = run["discrepancy_stop"]
        assert stop["residual"] <= summary["discrepancy_threshold"] == 0.05 * 255 * 12
        record = stop["record"]
        before = data.residual.values[i, record - 1]
        assert before > summary["discrepancy_threshold"]
        times = data.time.values[i, record - 1 : record + 1]
        assert times[0] < stop["crossing_time"] < times[1] == stop["time"]
        levels = -np.log(data.residual.values[i, record - 1 : record + 1])
        expected = np.interp(-np.log(summary["discrepancy_threshold"]), levels, times)
        np.testing.assert_allclose(stop["crossing_time"], expected, rtol=1e-12)
        np.testing.assert_allclose(stop["since_last_record"], times[1] - times[0])
        written = read_image(full / f"recovered-{run['dynamics']}.png").pixels
        expected = np.clip(data.recovered.values[i] / 255, 0, 1)
        np.testing.assert_allclose(written, expected, atol=0.51 / 255)
    noise = (data.observation.values - _blurred(truth)) / 255
    assert 0.03 < noise.std() < 0.07


def test_a_pair_shares_its_records(full):
    data = _open(full)
    stops = {
        run["dynamics"]: run["discrepancy_stop"]["crossing_time"]
        for run in json.loads((full / "summary.json").read_text())["runs"]
    }
    for discrete, flow, h in (("gd", "gf", 0.1), ("igahd", "isehd", 0.1**0.5)):
        times = data.time.sel(dynamics=discrete).values
        np.testing.assert_allclose(times, data.time.sel(dynamics=flow).values, rtol=1e-9)
        np.testing.assert_allclose(times[1], h)
        # Apart by the order of a step, which at ten records is less than theirs.
        assert 0 < abs(stops[discrete] - stops[flow]) < 2 * h


def _blurred(image):
    bell = np.exp(-0.5 * np.arange(-1, 2) ** 2)
    bell /= bell.sum()
    for axis in (0, 1):
        image = sum(w * np.roll(image, s, axis) for w, s in zip(bell, (-1, 0, 1), strict=True))
    return image


@pytest.mark.parametrize(
    ("name", "bits"), [("in.tif", 16), ("in.png", 16), ("in.npy", None), ("in.jpg", 8)]
)
def test_format_and_depth_are_kept(tmp_path, name, bits):
    pixels = np.linspace(0, 1, 12 * 15).reshape(12, 15)
    scale = 7.0 if bits is None else 1.0
    write_image(tmp_path / name, scale * pixels, bits)
    status = _recover(
        tmp_path / "out", "--steps", 40, "--noise", 0.0, "--operator", "identity",
        "--dynamics", "gd", "--step-size", 0.5, "--size", 0, image=str(tmp_path / name),
    )  # fmt: skip
    assert status == 0
    back = read_image((tmp_path / "out" / "recovered").with_suffix(f".{name[3:]}"))
    assert back.bits == bits
    assert back.pixels.shape == (12, 15)
    np.testing.assert_allclose(back.scale, {8: 255, 16: 65535, None: 7.0}[bits], rtol=1e-3)
    np.testing.assert_allclose(back.pixels, pixels, atol=0.02)


def test_colour(tmp_path):
    words = ["--dynamics", "gd", "--steps", 5, "--operator", "mask"]
    assert _recover(tmp_path, *words, image="astronaut") == 0
    data = _open(tmp_path)
    assert data.truth.shape == (12, 12, 3)
    assert data.observation.size == 12 * 12 * 3 / 2
    assert read_image(tmp_path / "recovered.png").pixels.shape == (12, 12, 3)


def test_a_given_measurement_has_no_truth(tmp_path):
    words = ["--observed", "--operator", "identity", "--dynamics", "gd", "--steps", 10]
    assert _recover(tmp_path, *words) == 0
    data = _open(tmp_path)
    assert "truth" not in data
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["runs"][0]["best"] is None


def test_the_same_seed_gives_the_same_result(tmp_path):
    words = ["--dynamics", "gd", "--steps", 10]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert _recover(tmp_path / name, *words, "--seed", seed) == 0
    a, b, c = (_open(tmp_path / name) for name in "abc")
    np.testing.assert_array_equal(a.recovered, b.recovered)
    assert not np.array_equal(a.observation, c.observation)
    assert (tmp_path / "a" / "recovered.png").read_bytes() == (
        tmp_path / "b" / "recovered.png"
    ).read_bytes()


@pytest.mark.parametrize("after", [1, 4])
def test_an_interrupt_keeps_what_was_computed(tmp_path, monkeypatch, capsys, after):
    class Bar:
        n = 0
        calls = 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def update(self, _):
            self.calls += 1
            if self.calls == after:
                signal.raise_signal(signal.SIGINT)

        def set_postfix(self, **_):
            return None

    monkeypatch.setattr(runs, "progress_bar", lambda name, total: Bar())
    before = signal.getsignal(signal.SIGINT)
    assert _recover(tmp_path, "--dynamics", "gd,igahd", "--steps", 20) == 130
    assert signal.getsignal(signal.SIGINT) is before
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["interrupted"] is True
    assert [run["dynamics"] for run in summary["runs"]] == ["gd"]
    assert summary["runs"][0]["end"] == "interrupted"
    assert _open(tmp_path).sizes["record"] == after
    assert (tmp_path / "report.png").is_file()
    assert "interrupted" in capsys.readouterr().out


@pytest.mark.parametrize("stage", ["measure", "gradient_lipschitz"])
def test_an_interrupt_before_any_run_leaves_the_measurement(tmp_path, monkeypatch, capsys, stage):
    called = []

    def interrupted(name, work):
        def call(*args, **options):
            called.append(name)
            if name == stage:
                signal.raise_signal(signal.SIGINT)
            return work(*args, **options)

        return call

    for name in ("measure", "gradient_lipschitz"):
        monkeypatch.setattr(jd, name, interrupted(name, getattr(jd, name)))
    assert _recover(tmp_path, "--dynamics", "gd", "--operator", "identity") == 130
    # What had not begun when the interrupt came does not begin.
    assert called[-1] == stage
    told = capsys.readouterr()
    assert told.out == f"interrupted before any dynamics ran; measurement written to {tmp_path}/\n"
    assert {path.name for path in tmp_path.iterdir()} == {"result.zarr", "summary.json"}
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["interrupted"], summary["runs"], summary["shape"]) == (True, [], [12, 12])
    data = _open(tmp_path)
    assert set(data) == {"truth", "observation"}
    noise = (data.observation.values - data.truth.values) / 255
    assert 0.005 < noise.std() < 0.02


def test_a_diverged_run_is_written_and_said(tmp_path, capsys):
    words = ["--dynamics", "gd", "--steps", 40, "--step-size", 1e9, "--loss", "power"]
    assert _recover(tmp_path, *words, "--loss-parameter", 1) == 1
    error = capsys.readouterr().err
    assert error.startswith("jaxdip: error: gd: ")
    assert "step" in error
    assert len(error.splitlines()) == 1
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["runs"][0]["end"] == "diverged"
    assert (tmp_path / "recovered.png").is_file()


def test_certificates_are_carried_along(tmp_path, capsys):
    words = ["--dynamics", "gd,igahd", "--steps", 20, "--certify"]
    assert _recover(tmp_path, *words) == 0
    printed = capsys.readouterr().out
    assert "convergence of gradient descent (network): fails" in printed
    assert "convergence of IGAHD (network" in printed
    summary = json.loads((tmp_path / "summary.json").read_text())
    data = _open(tmp_path)
    for i, run in enumerate(summary["runs"]):
        certificate = run["certificate"]
        assert certificate["holds"] is False
        assert certificate["numbers"]["μ"]["evidence"] == "dense spectrum"
        used = data.ball_used.values[i]
        used = used[np.isfinite(data.time.values[i])]
        assert used[0] == 0 < used[-1]
        assert certificate["ball_used"] == used.max()


def test_no_ball_is_watched_where_the_theorem_says_nothing(tmp_path, capsys):
    words = ["--dynamics", "gd", "--steps", 5, "--certify", "--activation", "relu"]
    assert _recover(tmp_path, *words) == 0
    assert "not applicable" in capsys.readouterr().out
    (run,) = json.loads((tmp_path / "summary.json").read_text())["runs"]
    assert run["certificate"]["ball_used"] is None
    assert "ball_used" not in _open(tmp_path)
