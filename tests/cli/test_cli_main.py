"""Wrong calls get one line and exit status 2."""

import os
import subprocess
import sys
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdip.cli import _main, main
from jaxdip.cli._network import Damping, Network
from jaxdip.cli._runtime import UsageError
from jaxdip.cli.recover import Recover


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("recove camera", "did you mean recover?"),
        ("recover", "no IMAGE given"),
        ("recover cameraman", "did you mean 'camera'"),
        ("recover none.png", "no such file"),
        ("recover camera --operator blurr", "blurr"),
        ("recover camera --nose 1", "--nose"),
        ("recover camera --noise x", "--noise"),
        ("recover camera --noise -1", "--noise -1"),
        ("recover camera --noise nan", "--noise nan"),
        ("recover camera --steps 0", "--steps 0: expected at least 1"),
        ("recover camera --steps 1.5", "--steps"),
        ("recover camera --keep 2", "]0, 1]"),
        ("recover camera --dynamics gd,adm", "--dynamics adm: expected some of gf,gd,isehd,igahd"),
        ("recover camera --dynamics ,", "--dynamics is empty"),
        ("recover camera --loss huber", "needs --loss-parameter"),
        ("recover camera --loss mse --loss-parameter 1", "takes no --loss-parameter"),
        ("recover camera --activation relux", "--activation relux: expected one of"),
        ("recover camera --generator dip --width 7", "--width says nothing with --generator dip"),
        ("recover camera --generator mlp --channels 7", "--channels says nothing with"),
        ("recover camera --operator identity --keep 0.1", "or take --operator mask"),
        ("recover camera --operator mask --blur-std 3", "--blur-std says nothing with"),
        ("recover camera --step-size 0", "--step-size"),
        ("recover camera --alpha -1", "--alpha"),
        ("recover camera --size -4", "--size"),
        ("recover camera --blur-std inf", "--blur-std inf: expected > 0 and finite"),
        ("recover camera --size 8 --operator mask --keep 0.001", "--keep 0.001: expected enough"),
        ("recover camera --loss lq --loss-parameter 1", "--loss-parameter 1.0: expected q > 1"),
        ("recover camera --loss huber --loss-parameter 0", "--loss-parameter 0.0: expected"),
        ("recover camera --loss power --loss-parameter -1e-9", "expected p ≥ 0"),
        ("recover camera --loss power --loss-parameter inf", "--loss-parameter inf: expected p"),
        ("recover camera --step-size 0.04 --alpha 5.1", "--alpha at most 5"),
        ("recover camera --size 8 --width 20 --latent 2 --alpha 1e9", "--alpha 1e+09: with step"),
        ("recover camera --spectrum-low 3", "--spectrum-low"),
        ("recover camera --observed --operator mask", "--observed"),
        ("recover camera --size 0 --operator gaussian", "take a smaller --size"),
        ("recover camera --platform gpu", "--platform gpu: JAX finds only cpu"),
        ("recover camera --config none.toml", "none.toml"),
        ("compare --records 3", "--records 3: expected a divisor of --steps 100"),
        ("compare --dynamics gf", "--dynamics gf"),
        ("compare --step-size 0.04 --alpha 5.1", "--alpha at most 5"),
        ("compare --width 20 --latent 2 --alpha 1e9", "--alpha 1e+09: with step size"),
        ("compare --operator blur", "--operator: without effect unless --image is given"),
        ("compare --keep=0.5 --blur-std 2 --gray", "--blur-std, --gray, --keep: without effect"),
        ("compare --image camera --n 9", "--n: without effect with --image"),
    ],
)
def test_mistakes(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    told = capsys.readouterr()
    assert told.err.startswith("jaxdip: error: ")
    assert says in told.err
    assert len(told.err.splitlines()) == 1
    assert "Traceback" not in told.out + told.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("p", ["0", "2"])
def test_a_loss_parameter_on_its_boundary(p):
    network = Network(loss="power", loss_parameter=float(p))
    network.check()
    loss, y = network.build_loss(), jnp.ones(3)
    assert float(loss(y, y)) == 0 < float(loss(2 * y, y))


def test_alpha_limits_only_igahd():
    settings = {"step_size": 0.04, "damping": Damping(alpha=5.1)}
    Recover("camera", dynamics="gd,isehd", **settings).check()
    with pytest.raises(UsageError, match="expected at most 1 for igahd"):
        Recover("camera", dynamics="gd,igahd", **settings).check()


def test_files_that_are_no_images_or_folders(capsys, tmp_path):
    np.save(tmp_path / "nan.npy", np.full((9, 9), np.nan))
    assert main(["recover", str(tmp_path / "nan.npy")]) == 2
    assert "81 values are NaN" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["recover", "camera", "--out", str(tmp_path / "file")]) == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nose = 1", "no option 'nose'; did you mean noise?"),
        ("steps = ", "not TOML"),
        ("steps = 'many'", "--steps"),
        ("[network]\nwidth = 3", "no option 'network'"),
        ("noise = {std = 1}", "noise is a table"),
    ],
)
def test_mistakes_in_a_file(text, says, capsys, tmp_path):
    (tmp_path / "run.toml").write_text(text)
    assert main(["recover", "camera", "--config", str(tmp_path / "run.toml")]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert len(told.splitlines()) == 1


def test_help_and_versions(capsys):
    assert main(["--help"]) == 0
    assert "recover" in capsys.readouterr().out
    assert main([]) == 2
    capsys.readouterr()
    assert main(["recover", "--help"]) == 0
    told = capsys.readouterr().out
    for flag in ("IMAGE", "--operator", "--noise", "--precision", "--config", "--platform"):
        assert flag in told
    assert main(["--version"]) == 0
    assert "jax" in capsys.readouterr().out


def test_a_process_of_its_own_in_single_precision(tmp_path):
    """Precision is set before the first array exists."""
    words = [
        "recover",
        "camera",
        "--size",
        "8",
        "--width",
        "20",
        "--latent",
        "2",
        "--steps",
        "4",
        "--dynamics",
        "gd",
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "jaxdip", *words, "--precision", "float32",
         "--platform", "cpu", "--out", str(tmp_path)],
        capture_output=True, text=True, env={**os.environ, "JAX_ENABLE_X64": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    script = (
        "import sys, xarray\n"
        "assert xarray.open_zarr(sys.argv[1]).truth.dtype == 'float32'\n"
    )  # fmt: skip
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "result.zarr")], check=True)


def test_lines_of_an_error_become_one():
    assert (
        _main._one_line("held:\n  a: 1\n  b: 2\ngive another\n") == "held: a: 1; b: 2; give another"
    )
    assert _main._one_line("") == ""


def test_an_error_of_the_disk_is_told_without_its_number():
    error = OSError(28, "cannot commit u-1 (No space left on device): make room", "/x/u-1.npz")
    assert (
        _main._told(error) == "/x/u-1.npz: cannot commit u-1 (No space left on device): make room"
    )
    assert _main._told(RuntimeError("lost")) == "lost"


def test_a_warning_is_a_line_of_the_program_s_own(monkeypatch):
    told = []

    def run(name, words):
        told.append(warnings.formatwarning("a unit is broken\nset aside", UserWarning, "x.py", 7))
        return 0

    monkeypatch.setattr(_main, "_run", run)
    before = warnings.formatwarning
    assert main(["status"]) == 0
    assert told == ["jaxdip: warning: a unit is broken; set aside\n"]
    assert warnings.formatwarning is before
