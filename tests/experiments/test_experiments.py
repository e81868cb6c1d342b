"""Every experiment runs in its smoke preset through the command, and leaves what it promises."""

import importlib
import json
import signal

import pytest
import xarray as xr

from jaxdip.cli import main
from jaxdip.experiments import EXPERIMENTS, PRESETS, find

reproduce = importlib.import_module("jaxdip.cli.reproduce")


@pytest.mark.parametrize("name", [kind.name for kind in EXPERIMENTS])
def test_the_smoke_preset_leaves_data_figures_and_verdicts(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    assert main(["reproduce", name, "--preset", "smoke", "--out", str(tmp_path / "out")]) == 0
    folder = tmp_path / "out" / name / "smoke"
    claims = json.loads((folder / "claims.json").read_text())
    assert claims["claims"], "an experiment without a claim shows nothing"
    names = [claim["name"] for claim in claims["claims"]]
    assert len(set(names)) == len(names)
    assert claims["config"]["experiment"] == name
    assert list(folder.glob("*.png"))
    assert list(folder.glob("*.pdf"))
    data = xr.open_zarr(folder / "result.zarr")
    assert data.data_vars
    told = capsys.readouterr().out
    assert all(one in told for one in names)


@pytest.mark.parametrize("kind", EXPERIMENTS, ids=lambda kind: kind.name)
def test_an_experiment_describes_itself(kind):
    presets = kind.presets()
    assert set(presets) == set(PRESETS) == set(kind.costs)
    assert all(type(preset) is kind for preset in presets.values())
    assert all(hash(preset) == hash(preset) for preset in presets.values())
    assert kind.title
    assert kind.source


def test_names_are_unique_and_found_by_the_nearest():
    names = [kind.name for kind in EXPERIMENTS]
    assert len(set(names)) == len(names)
    assert find(names[0]) is EXPERIMENTS[0]
    with pytest.raises(ValueError, match="did you mean gd-1b"):
        find("gd-1-b")


def test_the_list_names_all(capsys):
    assert main(["reproduce", "--list"]) == 0
    told = capsys.readouterr().out
    assert all(kind.name in told for kind in EXPERIMENTS)


def test_the_list_has_the_times_of_cpu_and_gpu(capsys):
    assert main(["reproduce", "--list"]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split("  ")[-1].strip() == "paper, one GPU (estimated)"
    for kind, row in zip(EXPERIMENTS, rows, strict=True):
        cells = [cell.strip() for cell in row.split("  ") if cell.strip()]
        quick, paper = kind.costs["quick"], kind.costs["paper"]
        assert cells == [kind.name, kind.title, quick.cpu, paper.cpu, paper.gpu]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give an experiment's name"),
        (["--all", "gd-1b"], "leave out gd-1b"),
        (["gd-1x"], "did you mean gd-1b"),
    ],
)
def test_wrong_calls_are_told_in_one_line(words, told, capsys):
    assert main(["reproduce", *words]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_several_end_in_one_table_of_verdicts(tmp_path, capsys):
    names = ["cs-2", "cs-3"]
    assert main(["reproduce", *names, "--preset", "smoke", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    claims = [
        claim
        for name in names
        for claim in json.loads((tmp_path / name / "smoke" / "claims.json").read_text())["claims"]
    ]
    assert all(isinstance(claim["holds"], bool) for claim in claims)
    held = sum(claim["holds"] for claim in claims)
    assert 0 < held < len(claims)
    assert told[-1].startswith(f"{held} of {len(claims)} claims hold; ")
    rows = told[-1 - len(claims) : -1]
    for claim, row in zip(claims, rows, strict=True):
        assert claim["name"] in row
        assert ("✓" in row) == claim["holds"]


def test_a_signal_ends_it_with_what_is_left(tmp_path, capsys, monkeypatch):
    class Seen:
        """As if SIGTERM had come at once."""

        seen = signal.SIGTERM

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(reproduce, "Signals", lambda *_, **__: Seen())
    words = ["reproduce", "gd-1b", "--preset", "smoke", "--out", str(tmp_path)]
    assert main(words) == reproduce.CONTINUE
    told = capsys.readouterr().out
    assert "trials are left; the same command goes on" in told
    folder = tmp_path / "gd-1b" / "smoke"
    assert not (folder / "claims.json").exists()
    stopped = json.loads((folder / "summary.json").read_text())
    assert not stopped["complete"]
    monkeypatch.undo()
    # The same command goes on, and tells the seconds of both calls.
    (folder / "summary.json").write_text(json.dumps({"seconds": 1000.0}))
    assert main(words) == 0
    assert 1000 < json.loads((folder / "summary.json").read_text())["seconds"] < 2000
