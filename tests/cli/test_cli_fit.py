"""`jaxdip recover --optimizer`: what it writes, prints and refuses."""

import contextlib
import dataclasses
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import jaxdip as jd
from jaxdip.cli import _memory, main
from jaxdip.cli import recover as command
from jaxdip.cli._architecture import Architecture
from jaxdip.cli._fit import HELD_OUT, RULES, Fit
from jaxdip.cli._fit_report import FitRecovery, _figures, _observation, fit_text
from jaxdip.cli._fit_run import FitProblem, FitRun
from jaxdip.cli._forward import _OPTIONS, Forward
from jaxdip.cli._network import Network
from jaxdip.cli._runtime import UsageError
from jaxdip.imaging import psnr, read_image, write_image
from jaxdip.plot import read_config

SMALL = ["--size", "16", "--gray", "--generator", "deep-decoder", "--channels", "4"]
SMALL += ["--layers", "1", "--records", "4", "--precision", "float64"]


def recover(out, *words):
    # Optax mixes precisions, which the tests forbid elsewhere.
    with jax.numpy_dtype_promotion("standard"):
        return main(["recover", *words, "--out", str(out)])


@pytest.fixture(scope="module")
def recovered(tmp_path_factory):
    """The folder, the words of the call, and what it printed."""
    out = tmp_path_factory.mktemp("fit") / "out"
    told = io.StringIO()
    words = ["camera", *SMALL, "--operator", "mask", "--noise", "0.05", "--steps", "60"]
    words += ["--stop", "discrepancy,emv,oracle", "--act", "none", "--seeds", "2", "--vectors", "3"]
    with contextlib.redirect_stdout(told):
        assert recover(out, *words) == 0
    return out, words, told.getvalue()


def test_every_rule_has_its_image_and_numbers(recovered):
    out, _, _ = recovered
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


def test_seeds_are_summed_up_for_every_rule(recovered):
    out, _, told = recovered
    summary = json.loads((out / "summary.json").read_text())
    rules = summary["seeds"]["rules"]
    assert set(rules) == set(summary["stops"])
    oracle = rules["oracle"]
    assert oracle["chose"] == 2
    assert oracle["psnr"]["values"][0] == summary["images"]["oracle"]["psnr"]
    # The oracle's image is, seed by seed, at least as good as the last.
    assert np.all(np.array(oracle["psnr"]["values"]) >= summary["seeds"]["psnr"]["values"])
    assert oracle["psnr"]["mean"] == pytest.approx(np.mean(oracle["psnr"]["values"]))
    assert oracle["ssim"]["std"] == pytest.approx(np.std(oracle["ssim"]["values"], ddof=1))
    assert "images: of the first seed" in told
    expected = (
        f"over 2 seeds, oracle: PSNR {oracle['psnr']['mean']:.2f} ± {oracle['psnr']['std']:.2f} dB"
        f", SSIM {oracle['ssim']['mean']:.3f} ± {oracle['ssim']['std']:.3f}, 2 of 2 chose an image"
    )
    assert expected in told
    silent = [name for name, stop in summary["stops"].items() if max(stop["steps"]) < 0]
    for name in silent:
        assert "psnr" not in rules[name]
        assert f"over 2 seeds, {name}: 0 of 2 chose an image" in told


def test_images_and_figures_are_written(recovered):
    out, _, _ = recovered
    data = xr.open_zarr(out / "result.zarr")
    for name in ("recovered", "recovered-average", "recovered-oracle"):
        pixels = read_image(out / f"{name}.png").pixels
        shown = np.clip(data[name.removeprefix("recovered-")].values, 0, 1)
        np.testing.assert_allclose(pixels.reshape(shown.shape), shown, atol=0.6 / 255)
    for name in ("report", "curves", "vectors"):
        assert read_config(out / f"{name}.png")["seeds"] == 2
        assert (out / f"{name}.pdf").stat().st_size > 5000


def test_a_finished_run_is_resumed_to_the_same_numbers(recovered):
    out, words, _ = recovered
    before = xr.open_zarr(out / "result.zarr").load()
    assert recover(out, *words, "--resume") == 0
    xr.testing.assert_identical(
        before.drop_attrs(), xr.open_zarr(out / "result.zarr").load().drop_attrs()
    )


def test_a_checkpoint_of_other_settings_is_refused_by_the_flag(recovered, capsys):
    out, words, _ = recovered
    assert recover(out, *words, "--tv", "0.1", "--resume") == 2
    error = capsys.readouterr().err
    assert "leave --resume out to start anew" in error
    assert error.count("\n") == 1


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
        (["--optimizer", "adam", "--alpha", "1"], "--alpha says nothing with --optimizer"),
        (
            ["--optimizer", "igahd", "--alpha", "50", "--rate", "0.01"],
            "take --alpha at most 10, or a smaller --rate",
        ),
        (["--optimizer", "lbfgs", "--rate", "0.1"], "--rate says nothing with --optimizer lbfgs"),
        (["--optimizer", "lm", "--weight-decay", "1"], "--weight-decay says nothing with"),
        (
            ["--optimizer", "lm", "--loss", "log-cosh"],
            "--loss log-cosh says nothing with --optimizer lm",
        ),
        (["--operator", "mask", "--keep", "0.5", "--mask", "m.png"], "--keep says nothing with"),
        (["--operator", "mask", "--mask", "nowhere.png"], "nowhere.png: no such file"),
        (["--mask", "m.png"], "--mask says nothing with --operator blur"),
        (["--observed", "--operator", "mask"], "needs --mask FILE, which says what was measured"),
        (["--operator", "super-resolution", "--factor", "3"], "--factor 3: expected a divisor of"),
        (["--operator", "mri", "--acceleration", "40"], "--acceleration 40.0: expected enough to"),
        (
            ["--operator", "dct", "--measurements", "257"],
            "--measurements 257: expected at most 256",
        ),
        (
            ["--operator", "fourier", "--measurements", "128"],
            "--measurements 128: expected at most 127",
        ),
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


def test_what_the_adjoint_makes_of_data_is_shown_within_white(key):
    operator = jd.operators.Gaussian(m=30, n=36, key=key, normalized=True, in_shape=(6, 6))
    x = jnp.ones((6, 6))
    seen = np.asarray(operator.adjoint(operator(x)))
    assert np.abs(seen).max() > 1.5
    shown = _observation(FitProblem(operator, operator(x), x, 0.01))
    np.testing.assert_allclose(shown, seen / np.abs(seen).max())
    # What noise adds to white leaves the scale as it is.
    holes = jd.operators.Mask.random((6, 6), 0.5, key)
    shown = _observation(FitProblem(holes, 1.2 * holes(x), x, 0.01))
    assert set(np.unique(shown)) == {0, 1.2}


def test_of_several_diffraction_patterns_the_first_is_shown(key):
    operator = jd.operators.CodedDiffraction.random((4, 6), 3, key, dtype=float)
    y = operator(jnp.ones((4, 6)))
    shown = _observation(FitProblem(operator, y, None, 0.01))
    np.testing.assert_allclose(shown, y[0] / y[0].max())


def test_files_of_a_run_with_other_rules_do_not_stay(tmp_path):
    words = ["camera", *SMALL, "--operator", "identity", "--steps", "4"]
    assert recover(tmp_path, *words, "--stop", "emv,oracle", "--act", "none") == 0
    assert (tmp_path / "recovered-oracle.png").exists()
    assert recover(tmp_path, *words, "--stop", "emv", "--act", "none") == 0
    assert not (tmp_path / "recovered-oracle.png").exists()
    assert (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("words", [["--operator", "mri"], ["--operator", "mask"]])
def test_inertia_is_an_optimiser(words, tmp_path, capsys):
    """With complex data, and with a decoder: no singular values are needed."""
    words = ["camera", *SMALL, *words, "--optimizer", "igahd", "--steps", "5"]
    assert recover(tmp_path, *words) == 0
    told = capsys.readouterr().out
    assert "alpha: 1/(4 sqrt(s))" in told
    summary = json.loads((tmp_path / "summary.json").read_text())
    numbers = summary["numbers"]
    assert numbers["alpha"] == pytest.approx(0.25 * numbers["s"] ** -0.5)
    assert any("alpha: 1/(4 sqrt(s))" in note for note in summary["notes"])
    given = ["--rate", "0.01", "--alpha", "2", "--beta", "0.05"]
    assert recover(tmp_path, *words, *given) == 0
    numbers = json.loads((tmp_path / "summary.json").read_text())["numbers"]
    assert numbers == pytest.approx({"s": 0.01, "alpha": 2.0, "beta": 0.05})


@pytest.mark.parametrize(
    ("stop", "act", "noise", "acts"),
    [
        (None, None, 0.1, ("discrepancy",)),
        ("discrepancy", None, 0.1, ("discrepancy",)),
        ("emv,discrepancy", None, 0.1, ("discrepancy",)),
        ("emv", None, 0.1, ()),
        (None, None, 0.0, ()),
        ("discrepancy", "none", 0.1, ()),
        ("emv", "sure", 0.1, ("sure",)),
    ],
)
def test_the_discrepancy_ends_the_run_where_it_is_shown(stop, act, noise, acts):
    assert Fit(stop=stop, act=act).rules(noise, 1.0, 1.0, True)[1] == acts


def test_data_held_out_are_told(tmp_path, capsys):
    words = ["camera", *SMALL, "--operator", "mask", "--steps", "4"]
    for stop, told in (("held-out", True), ("emv", False)):
        assert recover(tmp_path, *words, "--stop", stop) == 0
        caption = xr.open_zarr(tmp_path / "result.zarr").attrs["caption"]
        assert (f"{HELD_OUT:.0%} of the data held out of the fit" in caption) == told
    rules, _ = Fit(stop="held-out").rules(0.1, 1.0, 1.0, True)
    assert rules["held-out"].fraction == HELD_OUT
    capsys.readouterr()
    assert main(["recover", "--help"]) == 0
    assert "out of the fit" in " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "held-out" in RULES


def fitted(x, key, images):
    """A recovery of x from itself, of one step, with images of its own."""
    problem = FitProblem(jd.operators.Identity(x.shape), x, x, 0.0)
    recipe = command.Recipe(
        Fit(optimizer="adam"), command.Architecture(), Network(width=3), command.Damping(), 3, 3,
        1.0, 0,
    )  # fmt: skip
    result = jd.reconstruct(
        x,
        problem.operator,
        lambda k: recipe.build(x.shape, k),
        key=key,
        steps=1,
        seeds=1,
        truth=x,
    )
    return FitRecovery(None, problem, recipe, FitRun(result, images, 0.0, (), False), "", {})


def test_it_is_told_where_clipping_makes_a_difference(key):
    """A pixel beyond white counts in what the rules see, and not in the table."""
    x = jax.random.uniform(key, (8, 8))

    def told(image):
        return fit_text(fitted(x, key, {"last": image}), "out")

    said = "PSNR and SSIM: of images clipped to [0, 1]"
    near = np.asarray(x) + 0.05
    assert said in told(np.where(near > 0.9, near + 0.4, near))
    assert said not in told(np.clip(near, 0, 1))
    assert said not in told(np.clip(near, -1e-6, 1 + 1e-6))


def test_figures_say_what_they_show(key):
    """The curve is of images before clipping; a poor average does not darken the other errors."""
    x = jax.random.uniform(key, (8, 8))
    near, far = np.asarray(x) + 0.05, np.asarray(x) + 0.5
    figures = _figures(fitted(x, key, {"last": near, "average": far}))
    assert figures["curves"].axes[0].get_ylabel() == "PSNR in dB, before clipping to [0, 1]"
    limits = {axes.images[0].get_clim()[1] for axes in figures["report"].axes if axes.images}
    assert min(limits - {1.0}) == pytest.approx(0.05)


def photo(folder, size):
    """A gray photo of so many pixels a side, as a file."""
    ramp = np.linspace(0.1, 0.9, size)
    write_image(folder / "photo.png", 0.5 * (ramp[:, None] + ramp[None]), 8)
    return str(folder / "photo.png")


@pytest.mark.parametrize("dynamics", [False, True])
def test_a_photo_with_holes_is_filled(tmp_path, dynamics):
    """A file says what is known; what lies under the holes has no influence."""
    name = photo(tmp_path, 12)
    keep = np.ones((12, 12))
    keep[4:7, 3:9] = 0
    write_image(tmp_path / "keep.png", keep, 8)
    np.save(tmp_path / "keep.npy", keep.astype(np.uint8))
    spoiled = read_image(name).pixels.copy()
    spoiled[keep == 0] = 1.0
    write_image(tmp_path / "spoiled.png", spoiled, 8)
    way = ["--dynamics", "gd", "--width", "20"] if dynamics else SMALL[3:]
    words = ["--size", "0", "--observed", "--operator", "mask", "--steps", "5", *way]
    found = []
    for image, mask in ((name, "keep.png"), (str(tmp_path / "spoiled.png"), "keep.npy")):
        assert recover(tmp_path / "out", image, *words, "--mask", str(tmp_path / mask)) == 0
        data = xr.open_zarr(tmp_path / "out" / "result.zarr").load()
        y = data["observation" if dynamics else "y"].values
        white = 255 if dynamics else 1
        np.testing.assert_allclose(y, white * read_image(name).pixels[keep == 1])
        assert "truth" not in data
        found.append(np.squeeze(data["recovered"].values))
    assert found[0].shape == (12, 12)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("dynamics", [False, True])
def test_a_small_photo_is_enlarged(tmp_path, dynamics):
    name = photo(tmp_path, 8)
    way = ["--dynamics", "gd", "--width", "20"] if dynamics else SMALL[3:]
    words = ["--size", "0", "--observed", "--operator", "super-resolution", "--factor", "2"]
    assert recover(tmp_path / "out", name, *words, "--steps", "5", *way) == 0
    data = xr.open_zarr(tmp_path / "out" / "result.zarr").load()
    y = data["observation" if dynamics else "y"].values
    np.testing.assert_allclose(y, (255 if dynamics else 1) * read_image(name).pixels)
    assert np.squeeze(data["recovered"].values).shape == (16, 16)
    assert read_image(tmp_path / "out" / "recovered.png").pixels.shape == (16, 16)
    assert "truth" not in data


def test_the_memory_is_that_of_the_enlarged_image(tmp_path, monkeypatch):
    asked = []

    def noted(network, shape):
        asked.append(shape)
        raise UsageError("far enough")

    monkeypatch.setattr(command, "check_network", noted)
    words = ["--size", "0", "--observed", "--operator", "super-resolution", "--factor", "3"]
    assert recover(tmp_path / "out", photo(tmp_path, 8), *words) == 2
    assert asked == [(24, 24)]


def test_a_colour_photo_is_masked_by_whole_pixels(tmp_path, key):
    operator = Forward("mask", keep=0.3).build((10, 10, 3), key)
    kept = np.zeros(300, bool)
    kept[np.asarray(operator.index)] = True
    kept = kept.reshape(10, 10, 3)
    assert kept[..., 0].sum() == 30
    np.testing.assert_array_equal(kept, np.broadcast_to(kept[..., :1], kept.shape))
    # The same pixels as in gray.
    gray = np.asarray(Forward("mask", keep=0.3).build((10, 10), key).index)
    np.testing.assert_array_equal(gray, np.flatnonzero(kept[..., 0]))


@pytest.mark.parametrize(
    ("folder", "bytes_", "expected"),
    [
        ("job/step", "4096", 4096),
        ("job", "8192", 8192),
        ("", "5000", 5000),
        ("job/step", "max", None),
        ("job/step", "9" * 19, None),
        (None, "", None),
    ],
)
def test_the_memory_of_a_job_is_what_it_may_take(tmp_path, folder, bytes_, expected):
    """The least of the machine's memory and the limits of the groups that hold the process."""
    (tmp_path / "groups" / "job" / "step").mkdir(parents=True)
    (tmp_path / "mine").write_text("4:memory:/old\n0::/job/step\n")
    if folder is not None:
        (tmp_path / "groups" / folder / "memory.max").write_text(f"{bytes_}\n")
    machine = _memory.available(tmp_path / "none", tmp_path / "none")
    assert machine > 2**24
    found = _memory.available(tmp_path / "groups", tmp_path / "mine")
    assert found == (machine if expected is None else expected)


def test_a_run_beyond_the_memory_of_its_job_is_refused(monkeypatch):
    monkeypatch.setattr(_memory, "available", lambda: 2**20)
    with pytest.raises(UsageError, match="takes 8 MiB, this process may take 1"):
        _memory.check_resampling((1024, 1024), (1024, 1024))
