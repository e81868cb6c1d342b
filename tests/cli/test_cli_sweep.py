"""`jaxdip sweep` and `jaxdip status`: files in, files out, and what goes wrong in between."""

import json
import os
import re
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import xarray as xr

from jaxdip._source import source_digest
from jaxdip.cli import _sweep_report as report
from jaxdip.cli import main
from jaxdip.cli._sweep_config import KEYS, read_sweep
from jaxdip.cli._sweep_lines import theory_lines
from jaxdip.cli._sweep_preview import _nearest
from jaxdip.plot import read_config
from jaxdip.sweeps import Grid, Narrow, Store, sweep
from jaxdip.theory import existence_width
from jaxdip.trials import NetworkTrial, TwoLayerTrial
from jaxdip.trials import _network as network
from jaxdip.trials import _two_layer_point as two_layer
from jaxdip.trials._result_codes import RESULT_CODES

SMALL = """
trials = 4
seed = 3
block = 2
[grid]
n = 3
m = 1
k = [8, 16]
steps = 500
tolerance = 1e-6
"""


def described(tmp_path, text=SMALL):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    return path


def run(tmp_path, *words, text=SMALL, out="out"):
    path = described(tmp_path, text)
    cache = tmp_path / "cache"
    before = jax.config.values["jax_compilation_cache_dir"]
    try:
        return main(
            # Each of the tests' devices would compile for itself.
            [
                *["sweep", str(path), "--out", str(tmp_path / out), "--cache", str(cache)],
                *["--threads", "1", *words],
            ]
        )
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_a_sweep_leaves_data_table_and_diagram(tmp_path, capsys):
    assert run(tmp_path) == 0
    out = tmp_path / "out"
    told = capsys.readouterr()
    assert "8 of 8 trials (4 of 4 units)" in told.err
    assert "95 % interval" in told.out
    names = {"plan.json", "units", "result.zarr", "summary.json", "diagram.png", "diagram.pdf"}
    assert {path.name for path in out.iterdir()} == names
    data = xr.open_zarr(out / "result.zarr").load()
    assert data.loss.dims == ("k", "trial")
    assert data.k.values.tolist() == [8, 16]
    assert data.done.values.all()
    plan = json.loads(data.attrs["plan"])
    assert plan["spec"]["trials"] == 4
    assert plan["fingerprint"]["x64"] is True
    assert json.loads(data.attrs["config"])["seed"] == 3
    codes = dict(zip(data["result"].flag_meanings.split(), data["result"].flag_values, strict=True))
    assert codes == {"not_done": 0, **RESULT_CODES}
    assert set(data["result"].values.ravel()) <= {1, 2}
    assert read_config(out / "diagram.png")["grid"]["m"] == 1
    summary = json.loads((out / "summary.json").read_text())
    share = (data.loss.values <= 1e-6).mean(axis=1)
    assert [cell["share"] for cell in summary["cells"]] == share.tolist()
    # Run again: nothing is computed, the same is told.
    before = {path.name: path.stat().st_mtime_ns for path in (out / "units").rglob("*.npz")}
    assert run(tmp_path) == 0
    assert before == {p.name: p.stat().st_mtime_ns for p in (out / "units").rglob("*.npz")}
    assert capsys.readouterr().err == ""


def test_status_reads_and_exports(tmp_path, capsys):
    assert run(tmp_path) == 0
    capsys.readouterr()
    for ending in ("nc", "csv"):
        target = tmp_path / f"x.{ending}"
        assert main(["status", str(tmp_path / "out"), "--export", str(target)]) == 0
    assert capsys.readouterr().out.count("8 of 8 trials done (4 of 4 units); complete\n") == 2
    zarr = xr.open_zarr(tmp_path / "out" / "result.zarr").load()
    with xr.open_dataset(tmp_path / "x.nc", engine="scipy") as netcdf:
        np.testing.assert_array_equal(netcdf.loss.values, zarr.loss.values)
        assert json.loads(netcdf.attrs["plan"])["spec"]["block"] == 2
        assert netcdf["result"].flag_values.tolist() == [0, *RESULT_CODES.values()]
        assert netcdf["result"].flag_meanings.startswith("not_done converged ")
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 1 + 2 * 4
    picture = tmp_path / "so far.png"
    min((tmp_path / "out" / "units").rglob("u-*.npz")).unlink()
    assert main(["status", str(tmp_path / "out"), "--diagram", str(picture)]) == 0
    assert "6 of 8 trials done (3 of 4 units)\n" in capsys.readouterr().out
    assert read_config(picture)["spec"]["block"] == 2
    assert main(["status", str(tmp_path / "out"), "--diagram", "x.gif"]) == 2
    assert "--diagram x.gif: expected .png, .pdf or .svg" in capsys.readouterr().err
    assert main(["status", str(tmp_path / "out"), "--export", str(tmp_path / "x.xls")]) == 2
    assert "ends in .nc or .csv" in capsys.readouterr().err
    assert main(["status", str(tmp_path / "out"), "--event", "lost"]) == 2
    assert "no outcome 'lost'" in capsys.readouterr().err
    assert main(["status", str(tmp_path / "nowhere")]) == 2


def test_workers_share_a_folder(tmp_path, capsys):
    """Two shares, one after the other: the first leaves nothing, for it takes over the second's."""
    assert run(tmp_path, out="alone") == 0
    for worker in ("1", "0"):
        assert run(tmp_path, "--workers", "2", "--worker", worker, out="shared") == 0
    one, other = (
        xr.open_zarr(tmp_path / name / "result.zarr").load() for name in ("alone", "shared")
    )
    xr.testing.assert_identical(one.drop_attrs(), other.drop_attrs())


def test_another_sweep_s_folder_is_refused(tmp_path, capsys):
    assert run(tmp_path) == 0
    before = sorted(path.name for path in (tmp_path / "out" / "units").rglob("*.npz"))
    assert run(tmp_path, text=SMALL.replace("seed = 3", "seed = 4")) == 2
    said = capsys.readouterr().err
    asked = "holds another sweep: seed: the folder has 3, asked for 4; give another --out"
    assert asked in said
    assert len([line for line in said.splitlines() if line.startswith("jaxdip: error")]) == 1
    assert sorted(p.name for p in (tmp_path / "out" / "units").rglob("*.npz")) == before
    assert run(tmp_path, "--seed", "4", out="other") == 0
    plan = Store.open(tmp_path / "other").plan
    assert plan["spec"]["key"] == [0, 4]
    # What is on record is the seed that ran, not the file's.
    summary = json.loads((tmp_path / "other" / "summary.json").read_text())
    assert summary["config"]["seed"] == 4
    data = xr.open_zarr(tmp_path / "other" / "result.zarr")
    assert json.loads(data.attrs["config"])["seed"] == 4


def test_the_seed_is_on_record_if_nobody_gave_one(tmp_path):
    config = read_sweep(described(tmp_path, SMALL.replace("seed = 3", "")))
    assert config.source["seed"] == 0
    assert config.sweep.spec()["key"] == [0, 0]


def test_show_runs_nothing(tmp_path, capsys):
    assert run(tmp_path, "--show") == 0
    said = capsys.readouterr().out
    for words in ("cells      2 (k 2)", "trials     4 a cell, 8 in all", "units      4 of 2"):
        assert words in said
    # Both cells are tried, for there is time for both.
    assert "from 2 cells in which a trial took" in said
    assert not (tmp_path / "out").exists()


def test_an_interrupt_ends_show_at_once(tmp_path, capsys, monkeypatch):
    def interrupted(*given):
        signal.raise_signal(signal.SIGINT)
        return "the whole estimate"

    monkeypatch.setattr("jaxdip.cli.sweep.preview", interrupted)
    # A shell starts what it puts in the background with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run(tmp_path, "--show") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "jaxdip: interrupted\n")


def test_a_cell_costs_what_the_nearest_one_tried_does():
    grid = Grid.of({"k": [1, 2, 3, 4], "m": [1, 2]})
    # Cells 0 (k 1, m 1) and 7 (k 4, m 2): the halves of the longer axis, in shares of the axes.
    assert _nearest(grid, [0, 7]).tolist() == [0, 0, 0, 1, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("trials = 4", "trails = 4"), "no option 'trails'; did you mean trials?"),
        (("trials = 4", "trials = 0"), "trials is a whole number, at least 1, got 0"),
        (("seed = 3", "seed = 3.5"), "seed is a whole number from 0 to 2^63 - 1, got 3.5"),
        (("[grid]", 'trial = "two-layers"\n[grid]'), "did you mean two-layer?"),
        (("[grid]", 'paired = ["x"]\n[grid]'), "paired names 'x'"),
        (("tolerance", "tolerence"), "tolerance"),
        (("k = [8, 16]", "k = [8, 8]"), "k repeats a value"),
        (("k = [8, 16]", 'k = "geomspace(8, 16)"'), "two ends and how many"),
        (("k = [8, 16]", 'k = "9:3"'), "first <= last"),
        (("[grid]", "[grids]"), "no option 'grids'; did you mean grid?"),
        (("n = 3", "n ="), "not TOML"),
        (("k = [8, 16]", 'k = "geomspace(8,100,3.7)"'), "how many (a whole number)"),
        (("k = [8, 16]", 'k = "logspce(1,2,3)"'), "no range 'logspce'; did you mean logspace?"),
        (("k = [8, 16]", 'k = "8:10:0.5"'), "k is a whole number; give whole ends and steps"),
        (("seed = 3", "enough = 1.5"), "enough is the width of an interval between 0 and 1"),
        (("seed = 3", 'refine = {axis = "kk", rounds = 1}'), "refine: axis is 'kk'; did you mean"),
        (("seed = 3", 'refine = {axis = "k", rounds = 0}'), "refine: rounds is a whole number"),
        (("seed = 3", "refine = 2"), 'refine is {axis = "k", rounds = 2}, got 2'),
    ],
)
def test_mistakes_are_one_line(change, says, tmp_path, capsys):
    assert run(tmp_path, text=SMALL.replace(*change)) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.startswith("jaxdip: error: ")
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_ranges_are_written_naturally(tmp_path):
    text = """
[grid]
n = "2:4"
m = 1
k = "geomspace(10, 1000, 5)"
d = "logspace(0, 2, 3)"
noise = "0:0.3:0.1"
step = "linspace(0.5, 1, 3)"
steps = 10
"""
    axes = read_sweep(described(tmp_path, text)).sweep.grid.axes
    assert axes["n"] == (2, 3, 4)
    assert axes["k"] == (10, 32, 100, 316, 1000)
    assert axes["d"] == (1, 10, 100)
    assert axes["noise"] == (0.0, 0.1, 0.2, 0.3)
    assert axes["step"] == (0.5, 0.75, 1.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_scheduler_s_signal_ends_with_75_and_the_sweep_goes_on(number, tmp_path):
    # A trial takes some hundredths of a second: none comes near the tolerance.
    text = """
trials = 24
block = 1
[grid]
n = 3
m = 1
k = 1000
step = [1e-9, 2e-9]
steps = 10000
"""
    path = described(tmp_path, text)
    words = ["sweep", str(path), "--threads", "1", "--out"]
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(
        [sys.executable, "-m", "jaxdip", *words, str(tmp_path / "cut")],
        stderr=subprocess.PIPE, text=True, env=env,
    ) as process:  # fmt: skip
        for line in process.stderr:
            if " units), " in line:
                process.send_signal(number)
                break
        rest = process.stderr.read()
    assert process.returncode == 75, rest
    assert f"{number.name}: stopping after the units in flight" in rest
    assert 0 < len(Store.open(tmp_path / "cut").done()) < 48
    if number == signal.SIGUSR1:
        return
    for name in ("cut", "whole"):
        assert run(tmp_path, text=text, out=name) == 0
    one, other = (xr.open_zarr(tmp_path / n / "result.zarr").load() for n in ("cut", "whole"))
    xr.testing.assert_identical(one.drop_attrs(), other.drop_attrs())
    assert set(one["result"].values.ravel()) == {RESULT_CODES["out_of_steps"]}


def test_the_theory_s_widths_lie_over_the_diagram():
    grid = Grid.of({"m": [1, 2, 4], "k": [10, 20, 100], "n": 5, "activation": "tanh"})
    (exists, *k), (law, *widths) = theory_lines(grid, "TwoLayerTrial", ["k", "m"])
    assert "exists" in exists
    assert "n² m" in law
    right = [float(existence_width(m, 5, activation="tanh").value) for m in (1, 2, 4)]
    np.testing.assert_allclose(k, [right, [1, 2, 4]])
    np.testing.assert_allclose(widths, [[25, 50, 100], [1, 2, 4]])
    # The axes the other way round, and n as the axis.
    (_, *swapped), _ = theory_lines(grid, "TwoLayerTrial", ["m", "k"])
    np.testing.assert_allclose(swapped, k[::-1])
    over_n = Grid.of({"n": [2, 3], "k": [5, 20, 100], "m": 1})
    (_, _, ns), (_, *law) = theory_lines(over_n, "TwoLayerTrial", ["k", "n"])
    np.testing.assert_allclose(ns, [2, 3])
    np.testing.assert_allclose(law, [[4, 9], [2, 3]])
    # Both are out of the diagram.
    far = Grid.of({"n": [2, 3], "k": [10, 20, 100], "m": 1})
    assert theory_lines(far, "TwoLayerTrial", ["k", "n"]) == []


@pytest.mark.parametrize(
    "other",
    [{"p": 0.5}, {"dynamics": "igahd"}, {"p": [0.5]}],
)
def test_no_width_lies_over_what_its_theorem_does_not_speak_of(other):
    grid = Grid.of({"m": [1, 2, 4], "k": [10, 20, 100], "n": 5, **other})
    assert theory_lines(grid, "TwoLayerTrial", ["k", "m"]) == []


def test_no_width_lies_over_another_event():
    grid = Grid.of({"m": [1, 2, 4], "k": [10, 20, 100], "n": 5, "p": 0.0, "dynamics": "gd"})
    assert len(theory_lines(grid, "TwoLayerTrial", ["k", "m"])) == 2
    assert theory_lines(grid, "TwoLayerTrial", ["k", "m"], event="recovered") == []


def test_no_width_lies_over_a_diagram_that_has_none():
    grid = Grid.of({"m": [1, 2], "k": [10, 20], "n": 5, "step": [0.1, 0.2]})
    assert theory_lines(grid, "NetworkTrial", ["k", "m"]) == []
    assert theory_lines(grid, "TwoLayerTrial", ["k", "step"]) == []
    assert theory_lines(grid, "TwoLayerTrial", ["m"]) == []


def test_the_source_is_on_record(tmp_path):
    assert run(tmp_path) == 0
    for name in ("plan.json", "summary.json"):
        assert json.loads((tmp_path / "out" / name).read_text())["source"] == source_digest()
    assert re.fullmatch("[0-9a-f]{64}", source_digest())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SMALL.replace("k = [8, 16]", "k = [8, 16]\nnoise = [0.0, -1.0]"), "noise is finite and"),
        (f'event = "convergd"\n{SMALL}', "event is 'convergd'; did you mean converged?"),
        (f'event = "loss"\n{SMALL}', "event 'loss' is no outcome that happens or not"),
        (
            SMALL.replace("k = [8, 16]", 'k = "logspace(1,400,5)"'),
            "k = logspace(1,400,5): expected",
        ),
        (SMALL.replace("seed = 3", "seed = 9223372036854775808"), "seed is a whole number from 0"),
        (
            f'trial = ["a"]\n{SMALL}',
            "trial is ['a']; there are two-layer, two-layer-fused, network",
        ),
        ('trial = "network"\n[grid]\nloss = "lq"', "loss_parameter of 'lq' is above 1, got 0.0"),
        ('trial = "network"\n[grid]\nloss = "huber"', "of 'huber' is above 0, got 0.0"),
        (
            'trial = "network"\n[grid]\noperator = "mask"\nm = 9\nn = 3',
            "a mask keeps m of n entries, got m=9 of n=3",
        ),
    ],
)
def test_what_is_wrong_is_said_before_a_trial_has_run(text, line, tmp_path, capsys):
    path = tmp_path / "x.toml"
    path.write_text(text)
    assert main(["sweep", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_unit_in_flight_is_abandoned_when_its_grace_is_over(tmp_path):
    """A trial of hours: nothing but the end of the process ends it."""
    text = SMALL.replace("steps = 500", "steps = 2000000000\nstep = 1e-12")
    path = described(tmp_path, text)
    words = ["sweep", str(path), "--threads", "1", "--grace", "0.1", "--out", str(tmp_path / "o")]
    code = (
        "import signal, sys; from jaxdip.cli import sweep as here, main\n"
        "before = here.finish\n"
        "def then(*a, **k):\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    k['stop'] = lambda: False\n"
        "    return before(*a, **k)\n"
        "here.finish = then\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=env, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 75, done.stderr
    assert "the units in flight are abandoned" in done.stderr
    assert Store.open(tmp_path / "o").done() == set()


def test_a_broken_unit_is_computed_again_in_the_same_run(tmp_path, capsys):
    assert run(tmp_path) == 0
    before = xr.open_zarr(tmp_path / "out" / "result.zarr").load()
    path = min((tmp_path / "out" / "units").rglob("u-*.npz"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match="set aside"):
        assert run(tmp_path) == 0
    after = xr.open_zarr(tmp_path / "out" / "result.zarr").load()
    xr.testing.assert_identical(before.drop_attrs(), after.drop_attrs())
    assert "are left" not in capsys.readouterr().out


def test_a_folder_of_the_library_s_own_is_read(tmp_path, capsys):
    key, grid = jax.random.key(0), {"a": [1.0, 2.0]}
    trial = lambda key, point: {"x": jax.random.uniform(key), "up": point["a"] > 1.5}  # noqa: E731
    rule = Narrow(lambda outcomes: outcomes["up"], 0.9)
    sweep(trial, grid, trials=4, key=key, block=2, enough=rule, store=tmp_path / "own")
    table = tmp_path / "x.csv"
    assert main(["status", str(tmp_path / "own"), "--export", str(table)]) == 0
    assert "outcomes: up, x; --event NAME" in capsys.readouterr().out
    assert len(table.read_text().splitlines()) > 4
    assert main(["status", str(tmp_path / "own"), "--event", "up"]) == 0
    assert "1.000" in capsys.readouterr().out


def test_status_of_a_folder_that_must_not_change_draws_the_rest(tmp_path, capsys):
    assert run(tmp_path) == 0
    units = sorted((tmp_path / "out" / "units").rglob("u-*.npz"))
    units[0].write_bytes(units[0].read_bytes()[:100])
    before = sorted((tmp_path / "out").rglob("*"))
    capsys.readouterr()
    words = ["status", str(tmp_path / "out"), "--diagram", str(tmp_path / "x.png")]
    with pytest.warns(UserWarning, match="left out"):
        assert main(words) == 0
    assert "6 of 8 trials done (3 of 4 units)\n" in capsys.readouterr().out
    assert (tmp_path / "x.png").exists()
    assert sorted((tmp_path / "out").rglob("*")) == before


def test_cells_that_are_known_well_are_not_outstanding(tmp_path, capsys):
    """None converges in a step: after the 20 trials that the rule needs both cells are closed."""
    text = SMALL.replace("trials = 4", "trials = 100\nenough = 0.2").replace("1e-6", "1e-13")
    text = text.replace("block = 2", "block = 20").replace("steps = 500", "steps = 1")
    assert run(tmp_path, text=text) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert "40 of 40 trials (2 of 2 units)" in last
    assert "about 0 s left" in last
    assert main(["status", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out.splitlines()[0]
    ended = "2 of 2 cells are known well enough and need no more"
    assert said == f"40 of 40 trials done (2 of 2 units); {ended}; complete"


def test_the_file_asks_for_intervals_and_status_draws_them(tmp_path, monkeypatch):
    text = SMALL.replace("m = 1", "m = [1, 2]").replace("seed = 3", "intervals = true")
    assert run(tmp_path, text=text.replace("steps = 500", "steps = 2")) == 0
    asked = []
    draw = report.diagram
    monkeypatch.setattr(
        report, "diagram", lambda *a, intervals: asked.append(intervals) or draw(*a)
    )
    words = ["status", str(tmp_path / "out"), "--diagram", str(tmp_path / "x.png")]
    assert main(words) == 0
    assert asked == [True]


def test_too_many_cells_for_a_table_are_to_be_exported(tmp_path, capsys):
    key, grid = jax.random.key(0), {"a": [float(i) for i in range(61)]}
    trial = lambda key, point: {"up": point["a"] > 1.5}  # noqa: E731
    sweep(trial, grid, trials=2, key=key, store=tmp_path / "own")
    assert main(["status", str(tmp_path / "own"), "--event", "up"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("… and 1 more cells: --export x.nc or x.csv writes them\n")


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    assert run(tmp_path) == 0
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    read, write = os.pipe()
    # Nobody reads: the first flush of the output fails.
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "jaxdip", "status", str(tmp_path / "out")],
        stdout=write, stderr=subprocess.PIPE, text=True, env=env, check=False,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_keys_tell_every_key_of_the_file_and_of_the_trials(capsys):
    assert main(["sweep", "--keys"]) == 0
    said = capsys.readouterr().out
    first = {word for line in said.splitlines() for word in line.split("  ")[0].split(", ")}
    assert set(KEYS) <= first
    for trial, known in ((TwoLayerTrial, two_layer.KEYS), (NetworkTrial, network.PARAMETERS)):
        assert set(known) <= first, trial
    assert main(["sweep"]) == 2
    assert "CONFIG is missing" in capsys.readouterr().err


def test_refinement_adds_cells_around_the_transition_and_keeps_the_old_trials(tmp_path, capsys):
    first = SMALL.replace("k = [8, 16]", "k = [1, 40]").replace("trials = 4", "trials = 6")
    assert run(tmp_path, text=first, out="coarse") == 0
    text = first.replace("seed = 3", 'seed = 3\nrefine = {axis = "k", rounds = 2}')
    assert run(tmp_path, text=text) == 0
    # Old units were carried, not computed: the last round had those of two new cells to do.
    assert re.findall(r"round 2: (\d+) of 30", capsys.readouterr().err)[0] == "20"
    coarse, fine = (xr.open_zarr(tmp_path / n / "result.zarr").load() for n in ("coarse", "out"))
    # Geometric means; six trials leave both halves in doubt.
    assert fine.k.values.tolist() == [1, 2, 6, 15, 40]
    xr.testing.assert_identical(fine.sel(k=[1, 40]).drop_attrs(), coarse.drop_attrs())
    plan = Store.open(tmp_path / "out" / "round-2").plan
    assert plan["spec"]["grid"]["axes"]["k"] == fine.k.values.tolist()
    # A cell of the refined grid is the same when it is computed alone, from the seed.
    assert run(tmp_path, text=first.replace("[1, 40]", "[15, 16]"), out="alone") == 0
    alone = Store.open(tmp_path / "alone")
    kept = np.concatenate([alone.read(f"u-000000-{i:08d}")[0]["loss"] for i in (0, 2, 4)])
    np.testing.assert_array_equal(kept, fine.loss.sel(k=15).values)
    assert main(["status", str(tmp_path / "out")]) == 0
    assert "30 of 30 trials done (15 of 15 units); complete" in capsys.readouterr().out
    # Again: nothing is computed.
    assert run(tmp_path, text=text) == 0
    assert capsys.readouterr().err == ""
