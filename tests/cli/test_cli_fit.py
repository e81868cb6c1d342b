"""`jaxdip recover --optimizer`: what it writes, prints and refuses."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import jaxdip as jd
from jaxdip.cli import main
from jaxdip.cli._architecture import Architecture
from jaxdip.cli._fit_report import _observation
from jaxdip.cli._fit_run import FitProblem
from jaxdip.cli._forward import _OPTIONS, Forward
from jaxdip.cli._network import Network
from jaxdip.imaging import psnr, read_image
from jaxdip.plot import read_config

SMALL = ["--size", "16", "--gray", "--generator", "deep-decoder", "--channels", "4"]
SMALL += ["--layers", "1", "--records", "4", "--precision", "float64"]


def recover(out, *words):
    # Optax mixes precisions, which the tests forbid elsewhere.
    with jax.numpy_dtype_promotion("standard"):
        return main(["recover", *words, "--out", str(out)])


@pytest.fixture(scope="module")
def recovered(tmp_path_factory):
    out = tmp_path_factory.mktemp("fit") / "out"
    words = ["camera", *SMALL, "--operator", "mask", "--noise", "0.05", "--steps", "60"]
    words += ["--stop", "discrepancy,emv,oracle", "--act", "none", "--seeds", "2", "--vectors", "3"]
    assert recover(out, *words) == 0
    return out, words


def test_every_rule_has_its_image_and_numbers(recovered):
    out, _ = recovered
    summary = json.loads((out / "summary.json").read_text())
    data = xr.open_zarr(out / "result.zarr").load()
    assert set(summary["stops"]) == {"discrepancy", "emv", "oracle"}
    assert not any(stop["acts"] for stop in summary["stops"].values())
    truth = jnp.asarray(data["truth"].values)
    for name in ("recovered", "last", "average", "oracle"):
        shown = jnp.clip(jnp.asarray(data[name].values), 0, 1)
        assert summary["images"][name]["psnr"] == pytest.approx(float(psnr(shown, truth, 1.0)))
    np.testing.assert_array_equal(data["recovered"], data["last"])
    # The oracle's image is the nearest of all, and the trace passes through it.
    best = summary["images"]["oracle"]["psnr"]
    assert best >= summary["images"]["last"]["psnr"]
    chosen = int(data["stop_oracle"].values[0])
    assert summary["stops"]["oracle"]["steps"][0] == chosen
    steps, error = data["trace_step"].values[0], data["trace_error"].values[0]
    distance = float(np.linalg.norm(data["oracle"].values - data["truth"].values))
    assert distance <= error.min() + 1e-12
    assert steps[-1] == 60
    assert data["trace_residual"].dims == ("seed", "record")


def test_seeds_are_summed_up(recovered):
    summary = json.loads((recovered[0] / "summary.json").read_text())
    values = summary["seeds"]["psnr"]["values"]
    assert len(set(values)) == 2
    assert summary["seeds"]["psnr"]["mean"] == pytest.approx(np.mean(values))
    assert summary["seeds"]["psnr"]["std"] == pytest.approx(np.std(values, ddof=1))
    assert values[0] == summary["images"]["recovered"]["psnr"]
    assert summary["seeds"]["failures"] == 0
    assert summary["seeds"]["results"] == ["completed", "completed"]


def test_images_and_figures_are_written(recovered):
    out, _ = recovered
    data = xr.open_zarr(out / "result.zarr")
    for name in ("recovered", "recovered-average", "recovered-oracle"):
        pixels = read_image(out / f"{name}.png").pixels
        shown = np.clip(data[name.removeprefix("recovered-")].values, 0, 1)
        np.testing.assert_allclose(pixels.reshape(shown.shape), shown, atol=0.6 / 255)
    for name in ("report", "curves", "vectors"):
        assert read_config(out / f"{name}.png")["seeds"] == 2
        assert (out / f"{name}.pdf").stat().st_size > 5000


def test_a_finished_run_is_resumed_to_the_same_numbers(recovered):
    out, words = recovered
    before = xr.open_zarr(out / "result.zarr").load()
    assert recover(out, *words, "--resume") == 0
    xr.testing.assert_identical(
        before.drop_attrs(), xr.open_zarr(out / "result.zarr").load().drop_attrs()
    )


def test_tiles_cover_the_image(tmp_path, capsys):
    words = ["camera", *SMALL, "--operator", "identity", "--noise", "0", "--steps", "40"]
    tiles = ["--tile", "10", "--overlap", "3", "--size", "14"]
    assert recover(tmp_path, *words, *tiles) == 0
    told = capsys.readouterr().out
    assert "for a tile of 10 × 10 pixels" in told
    data = xr.open_zarr(tmp_path / "result.zarr").load()
    assert np.isfinite(data["recovered"]).all()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["images"]["recovered"]["psnr"] > 12
    assert summary["tiles_of_the_image"] == len(summary["tiles"]) == 4
    assert "4 of 4 tiles: all 40 steps were taken" in told
    assert recover(tmp_path, *words, *tiles, "--resume") == 0
    again = xr.open_zarr(tmp_path / "result.zarr").load()
    xr.testing.assert_identical(data.drop_attrs(), again.drop_attrs())


def test_tiles_refuse_an_operator_that_mixes(tmp_path, capsys):
    words = ["camera", *SMALL, "--operator", "blur", "--tile", "10", "--overlap", "3"]
    assert recover(tmp_path / "out", *words) == 2
    assert "--tile takes --operator identity or mask" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--optimizer", "adam", "--dynamics", "gf"], "--dynamics says nothing with --optimizer"),
        (["--tv", "0.1"], "--tv says nothing with --dynamics"),
        (["--optimizer", "adam", "--stop", "luck"], "--stop luck: expected some of discrepancy"),
        (["--optimizer", "adam", "--rate", "0"], "--rate 0.0: expected > 0 and finite"),
        (["--optimizer", "adam", "--average", "1"], "--average 1.0: expected in [0, 1["),
        (["--optimizer", "adam", "--seeds", "0"], "--seeds 0: expected at least 1"),
        (["--optimizer", "adam", "--tile", "8", "--overlap", "4"], "--overlap 4: expected under"),
        (["--optimizer", "adam", "--tile", "40", "--seeds", "2"], "--tile and --seeds do not go"),
        (["--optimizer", "adam", "--resume"], "--resume: there is no"),
        (["--optimizer", "adam", "--noise", "0", "--stop", "sure"], "the rule sure needs --noise"),
        (
            ["--optimizer", "adam", "--observed", "--stop", "oracle"],
            "the rule oracle needs the true image",
        ),
        (["--operator", "coded-diffraction"], "is not linear"),
        (["--operator", "mri", "--size", "0", "--acceleration", "0.5"], "--acceleration 0.5"),
        (["--generator", "dip", "--layers", "9"], "--layers 9: expected at most 3"),
        (["--generator", "deep-decoder", "--start", "99"], "--start 99: expected at most the im"),
        (["--operator", "blur", "--blur-kernel", "nowhere.npy", "--optimizer", "adam"], "nowhere"),
    ],
)
def test_wrong_calls_are_one_line(words, line, tmp_path, capsys):
    assert (
        main(["recover", "camera", "--size", "16", "--gray", *words, "--out", str(tmp_path)]) == 2
    )
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_colour_is_refused_where_the_operator_is_gray(capsys, tmp_path):
    words = ["recover", "astronaut", "--size", "16", "--optimizer", "adam", "--operator", "mri"]
    assert main([*words, "--out", str(tmp_path)]) == 2
    assert "takes gray images; add --gray" in capsys.readouterr().err


@pytest.mark.parametrize("kind", Forward.__annotations__["operator"].__args__)
def test_every_operator_is_built_and_described(kind, key):
    forward = Forward(operator=kind, measurements=5, factor=2, coils=2, views=3, patterns=2)
    forward.check()
    operator = forward.build((8, 8), key)
    assert operator.in_structure.shape == (8, 8)
    assert not jnp.issubdtype(operator.in_structure.dtype, jnp.complexfloating)
    assert len(forward.describe((8, 8))) > 5


@pytest.mark.parametrize("kind", ["two-layer", "mlp", "deep-decoder", "conv-decoder", "dip"])
@pytest.mark.parametrize("shape", [(12, 9), (9, 12, 3)])
def test_every_network_makes_images_of_the_shape(kind, shape, key):
    architecture = Architecture(generator=kind, layers=2, channels=4)
    network = Network(width=7, latent=5)
    made = jax.eval_shape(
        lambda key: (lambda g, u: g(u))(*architecture.build(shape, network, key)), key
    )
    assert made.shape == shape
    assert architecture.describe(network)


@pytest.mark.parametrize("kind", ["mlp", "deep-decoder", "conv-decoder", "dip"])
def test_the_activation_is_the_one_asked_for(kind, key):
    architecture = Architecture(generator=kind, layers=1, channels=4)
    smooth = Network(width=7, latent=5, activation="softplus")
    made, _ = architecture.build((12, 9), smooth, key)
    usual, _ = architecture.build((12, 9), Network(width=7, latent=5), key)
    assert made.activation.name == "softplus" != usual.activation.name
    assert "softplus" in architecture.describe(smooth)


def test_every_operator_s_options_are_options():
    fields = {"--" + field.name.replace("_", "-") for field in dataclasses.fields(Forward)}
    kinds = set(Forward.__annotations__["operator"].__args__)
    assert set(_OPTIONS) | {"--operator", "--noise"} == fields
    assert {kind for kinds_of in _OPTIONS.values() for kind in kinds_of} <= kinds


def test_a_square_sinogram_is_shown_within_white():
    operator = jd.operators.Radon(6, jnp.arange(6.0) * 30)
    x = jnp.ones((6, 6))
    shown = _observation(FitProblem(operator, operator(x), x, 0.01))
    assert shown.max() == pytest.approx(1)
    assert float(operator(x).max()) > 1.5


def test_files_of_a_run_with_other_rules_do_not_stay(tmp_path):
    words = ["camera", *SMALL, "--operator", "identity", "--steps", "4"]
    assert recover(tmp_path, *words, "--stop", "emv,oracle", "--act", "none") == 0
    assert (tmp_path / "recovered-oracle.png").exists()
    assert recover(tmp_path, *words, "--stop", "emv", "--act", "none") == 0
    assert not (tmp_path / "recovered-oracle.png").exists()
    assert (tmp_path / "curves.png").exists()
