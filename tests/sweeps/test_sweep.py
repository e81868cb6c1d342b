"""A sweep gives the same bits however it is cut, divided, interrupted and resumed."""

import collections
import concurrent.futures
import contextlib
import itertools
import json
import multiprocessing
import re
import subprocess
import sys
import threading
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip
from jaxdip.sweeps import AbstractTrial, Narrow, Store, Sweep, Unit, _run, cell_key, sweep
from jaxdip.sweeps._store import digest

KEY = jax.random.key(3)
GRID = {"rate": [0.1, 0.45], "k": [5, 12], "poison": 0.0}
TRIALS, BLOCKS = 7, (2, 3, 7)
UNITS = 4 * 4  # in blocks of two
#: As many cells of one program, where each comparison compiles anew.
ONE = {"rate": [0.1, 0.2, 0.3, 0.45], "k": 5, "poison": 0.0}


def descend(key, point):
    """Some trials end in a few steps, others in hundreds; some may be NaN from the start."""
    drawn = jax.random.uniform(key, (2 * point["k"] + 3,), minval=-1.7, maxval=1.7)
    M, y, p = drawn[:-3].reshape(2, -1), drawn[-3:-1], drawn[-1]
    y = jnp.where(jnp.abs(p) < point["poison"], jnp.nan, y)

    def running(state):
        z, steps = state
        r = M @ jnp.tanh(z) - y
        return (r @ r > 1e-6) & (steps < 200)

    def step(state):
        z, steps = state
        r = M @ jnp.tanh(z) - y
        return z - point["rate"] * (1 - jnp.tanh(z) ** 2) * (r @ M) / point["k"], steps + 1

    z, steps = jax.lax.while_loop(running, step, (jnp.zeros(M.shape[1]), jnp.asarray(0, jnp.int32)))
    r = M @ jnp.tanh(z) - y
    return {"loss": 0.5 * (r @ r), "steps": steps, "end": {"z": z[:2]}, "drawn": p}


def draw(key, point):
    """A number that depends on the key alone, and one that depends on the point."""
    x = jax.random.uniform(key)
    return {"x": x, "y": x * point["a"]}


def run(trial=descend, grid=GRID, trials=TRIALS, key=KEY, **options):
    """A sweep on one device unless told otherwise: each device compiles for itself."""
    if "executor" not in options:
        options = {"mesh": jax.local_devices()[:1], **options}
    return sweep(trial, grid, trials=trials, key=key, **options)


def bits(result):
    assert result.complete
    return digest(result.outcomes)


def poisoned(p):
    return run(grid={**GRID, "poison": p}, paired=["poison"], block=3)


@pytest.fixture(scope="module")
def undisturbed():
    return run(block=3)


@pytest.fixture(scope="module")
def undisturbed_one():
    return run(grid=ONE, block=3)


# --- cells are known by their parameters ---------------------------------------------------------


def test_outcomes_are_named_and_shaped(undisturbed):
    assert set(undisturbed.outcomes) == {"loss", "steps", "end.z", "drawn"}
    assert undisturbed["loss"].shape == (2, 2, TRIALS)
    assert undisturbed["end.z"].shape == (2, 2, TRIALS, 2)
    assert undisturbed["steps"].dtype == np.int32
    assert len(np.unique(undisturbed["drawn"])) == undisturbed["drawn"].size
    assert len(np.unique(undisturbed["steps"])) > 5
    assert undisturbed.provenance["spec"]["trials"] == TRIALS
    with pytest.raises(KeyError, match="no outcome 'lost'; there are"):
        undisturbed["lost"]


def test_a_cell_alone_is_the_cell_in_the_grid(undisturbed):
    alone = run(grid={"k": 12, "rate": 0.45, "poison": 0.0}, block=3)
    assert bits(alone) == digest({n: x[1, 1] for n, x in undisturbed.outcomes.items()})


def test_another_grid_around_a_cell_changes_nothing(undisturbed):
    other = run(grid={"rate": [0.3, 0.45], "k": [12, 5], "poison": 0.0}, block=3)
    part = {n: x[1, ::-1] for n, x in other.outcomes.items()}
    assert digest(part) == digest({n: x[1] for n, x in undisturbed.outcomes.items()})


def test_the_order_of_axes_changes_nothing(undisturbed):
    other = run(grid={"poison": 0.0, "k": [5, 12], "rate": [0.1, 0.45]}, block=3)
    swapped = {n: np.swapaxes(x, 0, 1) for n, x in other.outcomes.items()}
    assert digest(swapped) == bits(undisturbed)


def test_a_trial_alone_is_the_trial_in_the_cell(undisturbed):
    described = Sweep.of(descend, GRID, trials=TRIALS, key=KEY, block=3)
    (made,) = described.compute([Unit(2, 4, 1)], jax.local_devices()[0])
    assert digest(made) == digest({n: x[1, 0, 4:5] for n, x in undisturbed.outcomes.items()})


def test_more_trials_keep_the_first_ones(undisturbed):
    more = run(trials=TRIALS + 4, block=3)
    first = {n: x[:, :, :TRIALS] for n, x in more.outcomes.items()}
    assert digest(first) == bits(undisturbed)


def test_trial_i_has_the_key_folded_by_i():
    found = run(draw, {"a": [1.0, 2.0]}, 3)
    for a, row in zip((1.0, 2.0), found["x"], strict=True):
        own = cell_key(KEY, {"a": a})
        right = [jax.random.uniform(jax.random.fold_in(own, i)).item() for i in range(3)]
        assert row.tolist() == right


def test_paired_axes_share_their_draws():
    grid = {"a": [1.0, 2.0], "b": [1, 2]}
    found = run(draw, grid, 5, paired=["a"])
    assert np.array_equal(found["x"][0], found["x"][1])
    assert np.array_equal(2 * found["y"][0], found["y"][1])
    assert not np.any(found["x"][:, 0] == found["x"][:, 1])
    assert not np.any(run(draw, grid, 5)["x"][0] == run(draw, grid, 5)["x"][1])


def test_a_sick_trial_is_alone_with_it():
    well, sick = poisoned(0.0), poisoned(0.5)
    bad = np.isnan(sick["loss"])
    assert 0 < bad.sum() < bad.size
    for name in well.outcomes:
        assert well[name][~bad].tobytes() == sick[name][~bad].tobytes()


# --- one hash ----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("devices", [1, 2, 8])
def test_devices_blocks_and_stores_change_no_bit(undisturbed_one, tmp_path, devices, block):
    mesh = jax.local_devices()[:devices]
    if devices == 2:
        mesh = jax.sharding.Mesh(np.array(mesh), "x")
    assert bits(run(grid=ONE, block=block, mesh=mesh)) == bits(undisturbed_one)
    assert bits(run(grid=ONE, block=block, mesh=mesh, store=tmp_path)) == bits(undisturbed_one)
    # All is there: nothing is computed again.
    told = []
    again = run(grid=ONE, block=block, mesh=mesh, store=tmp_path, progress=told.append)
    assert bits(again) == bits(undisturbed_one)
    assert told == []


def test_a_block_of_one_changes_no_bit(undisturbed_one):
    assert bits(run(grid=ONE, block=1)) == bits(undisturbed_one)


def test_racing_threads_change_no_bit(undisturbed_one, tmp_path):
    devices = jax.local_devices()

    def worker(i):
        told = []
        mesh = devices[i : i + 1]
        found = run(
            grid=ONE, block=2, store=tmp_path, worker=(i, 3), mesh=mesh, progress=told.append
        )
        return bits(found), told

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(worker, range(3)))
    assert {found for found, _ in answers} == {bits(undisturbed_one)}
    assert {p.unit.name for _, told in answers for p in told} == Store.open(tmp_path).done()
    assert len(Store.open(tmp_path).done()) == UNITS


def test_a_worker_takes_over_what_others_have_not_begun(undisturbed_one, tmp_path):
    told = []
    found = run(grid=ONE, block=2, store=tmp_path, worker=(2, 3), progress=told.append)
    assert bits(found) == bits(undisturbed_one)
    own = Sweep.of(descend, ONE, trials=TRIALS, key=KEY, block=2).units()[2::3]
    assert [p.unit for p in told[: len(own)]] == own
    assert len(told) == UNITS


# The package's own imports are not needed, and would be half of a worker's life.
WORKER = f"""
import sys, types
package = types.ModuleType("jaxdip")
package.__path__ = [{str(Path(jaxdip.__file__).parent)!r}]
package.__file__ = package.__path__[0] + "/__init__.py"
sys.modules["jaxdip"] = package
import jax
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_num_cpu_devices", int(sys.argv[4]))
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_sweep as here
print("ready", flush=True)
input()
folder, i, N = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tell = lambda p: print(p.unit.name, flush=True)
assert len(jax.local_devices()) == int(sys.argv[4])
mesh = jax.local_devices()
found = here.run(grid=here.ONE, block=2, store=folder, worker=(i, N), progress=tell, mesh=mesh)
print(here.bits(found), flush=True)
"""


@contextlib.contextmanager
def processes(folder, number, devices=1):
    """Workers of one sweep that all begin at once, each with so many devices."""
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                WORKER,
                str(folder),
                *map(str, (i, number, devices)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(number)
    ]
    try:
        for process in running:
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        for process in running:
            process.stdin.write("go\n")
            process.stdin.flush()
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("devices", [1, 2, 8])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_real_processes_and_devices_change_no_bit(undisturbed_one, tmp_path, number, devices):
    with processes(tmp_path, number, devices) as running:
        answers = [process.communicate(timeout=120) for process in running]
    assert [error for _, error in answers] == [""] * number
    assert {out.split()[-1] for out, _ in answers} == {bits(undisturbed_one)}
    told = collections.Counter(name for out, _ in answers for name in out.split()[:-1])
    assert set(told) == Store.open(tmp_path).done()
    assert len(told) == UNITS


# --- interruption ------------------------------------------------------------------------------


def test_a_stopped_sweep_goes_on(undisturbed, tmp_path):
    reports, found = [], None
    while found is None or not found.complete:
        before = len(reports)
        stop = lambda before=before: len(reports) >= before + 5  # noqa: E731
        found = run(block=2, store=tmp_path, progress=reports.append, stop=stop)
        there = {p.unit for p in reports}
        assert int(found.done.sum()) == sum(unit.count for unit in there)
        assert np.all(np.isnan(found["loss"]) == ~found.done)
        assert not np.any(found["steps"][~found.done])
        whole = {n: x[found.done] for n, x in undisturbed.outcomes.items()}
        assert digest({n: x[found.done] for n, x in found.outcomes.items()}) == digest(whole)
    assert len(reports) == UNITS
    assert bits(found) == bits(undisturbed)


def test_a_sweep_stopped_at_once_has_nothing():
    found = run(stop=lambda: True)
    assert not found.done.any()
    assert not found.complete


def test_a_killed_sweep_goes_on(undisturbed_one, tmp_path):
    with processes(tmp_path, 1) as (process,):
        acknowledged = {process.stdout.readline().strip() for _ in range(3)}
        process.kill()
        acknowledged |= set(process.communicate()[0].split())
    store = Store.open(tmp_path)
    assert acknowledged <= store.done()
    there = {path: path.stat().st_ino for path in tmp_path.rglob("u-*.npz")}
    assert bits(run(grid=ONE, block=2, store=tmp_path)) == bits(undisturbed_one)
    assert len(store.done()) == UNITS
    assert there == {path: path.stat().st_ino for path in there}


def test_a_broken_unit_is_computed_again(undisturbed, tmp_path):
    run(block=2, store=tmp_path)
    path = min(tmp_path.rglob("u-*.npz"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match="set aside"):
        found = run(block=2, store=tmp_path)
    assert bits(run(block=2, store=tmp_path)) == bits(undisturbed)
    # A finished sweep is whole, without being asked for twice.
    assert found.complete


BROKEN = []


def fragile(key, point):
    if BROKEN and point["k"] == 12:
        raise RuntimeError("the trial's own trouble")
    return {"x": jax.random.uniform(key)}


@pytest.mark.parametrize("devices", [1, 2])
def test_an_error_of_a_trial_arrives_and_finished_units_stay(tmp_path, monkeypatch, devices):
    # The constant makes programs of this test's own, which no other has compiled.
    grid = {"k": [5, 12, 13], "test": f"{devices} devices"}
    again = {"store": tmp_path, "block": 2, "mesh": jax.local_devices()[:devices]}
    monkeypatch.setattr(sys.modules[__name__], "BROKEN", [True])
    told = []
    with pytest.raises(RuntimeError, match="the trial's own trouble"):
        run(fragile, grid, 4, progress=told.append, **again)
    store = Store.open(tmp_path)
    assert {p.unit.name for p in told} == store.done()
    assert not {name for name in store.done() if name.startswith("u-000001")}
    if devices == 1:
        assert len(told) == 2
    monkeypatch.setattr(sys.modules[__name__], "BROKEN", [])
    assert bits(run(fragile, grid, 4, **again)) == bits(run(fragile, grid, 4))


def test_an_error_of_the_watcher_arrives_and_its_unit_stays(tmp_path):
    def watch(progress):
        raise RuntimeError("no terminal")

    with pytest.raises(RuntimeError, match="no terminal"):
        run(trial=draw, grid={"a": [1.0, 2.0]}, store=tmp_path, progress=watch)
    assert len(Store.open(tmp_path).done()) == 1


# --- programs ----------------------------------------------------------------------------------


def counted():
    traces = []

    def trial(key, point):
        traces.append(point["k"])
        return {"x": jax.random.uniform(key) * point["a"]}

    return trial, traces


def test_cells_that_differ_in_floats_share_a_program():
    one, few = counted()
    many, traces = counted()
    run(trial=one, grid={"a": 0.1, "k": [1, 2], "loss": "mse"})
    run(trial=many, grid={"a": [0.1, 0.2, 0.3, 0.4], "k": [1, 2], "loss": "mse"})
    assert collections.Counter(traces) == collections.Counter(few)
    before = len(traces)
    # Another key, another block's start and more trials are data too.
    grid = {"a": [7.0], "k": [2], "loss": "mse"}
    run(trial=many, grid=grid, key=jax.random.key(8))
    run(trial=many, grid=grid, trials=2 * TRIALS, block=TRIALS)
    assert len(traces) == before


def test_the_order_of_parameters_makes_no_program():
    trial, traces = counted()
    run(trial=trial, grid={"a": 0.1, "k": 1, "loss": "mse"})
    before = len(traces)
    run(trial=trial, grid={"loss": "mse", "k": 1, "a": 0.1})
    assert len(traces) == before


def test_a_truth_is_not_the_number_one():
    def trial(key, point):
        return {"b": jnp.asarray(point["b"])}

    assert run(trial, {"b": True}, 2)["b"].dtype == bool
    assert run(trial, {"b": 1}, 2)["b"].dtype == int


def test_units_are_ordered_without_comparing_all_with_all(monkeypatch):
    hashed, own = [], Unit.__hash__
    monkeypatch.setattr(Unit, "__hash__", lambda unit: hashed.append(0) or own(unit))
    told = []
    run(draw, {"a": [1.0]}, 64, block=1, progress=told.append)
    assert len(told) == 64
    assert len(hashed) < 10 * 64


# --- outcomes ------------------------------------------------------------------------------------


def test_outcomes_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="outcome 'z' has shape") as caught:
        run(lambda key, point: {"z": jnp.ones(point["k"])}, {"k": [2, 3]}, 2)
    line = str(caught.value)
    assert "\n" not in line
    assert re.search(r"\(2,\) in one cell and \(3,\) in another; return arrays of one shape", line)


def test_outcomes_of_two_names_are_refused():
    with pytest.raises(ValueError, match="outcome"):
        run(lambda key, point: {point["name"]: jnp.ones(())}, {"name": ["a", "b"]}, 2)


def test_outcomes_of_two_types_are_not_truncated():
    def trial(key, point):
        return {"x": jnp.asarray(3 if point["k"] == 1 else 0.5)}

    refused = pytest.raises((TypeError, ValueError), match="outcome 'x'")
    with refused:
        assert np.array_equal(run(trial, {"k": [1, 2]}, 2)["x"], [[3, 3], [0.5, 0.5]])
        raise ValueError("outcome 'x' is whole")


@pytest.mark.parametrize(
    ("returned", "line"),
    [
        ("text", "a trial returns arrays, got str at 'value'; return a pytree of arrays"),
        ({"a": 1.0, "b": object()}, "got object at 'b'"),
        ({"a": {"b": "x"}}, r"got str at 'a\.b'"),
        (None, "a trial returned no arrays"),
        ({}, "a trial returned no arrays"),
    ],
)
def test_a_trial_returns_arrays(returned, line):
    with pytest.raises(TypeError, match=line):
        run(lambda key, point: returned, {}, 2)


def test_plain_numbers_and_single_arrays_are_outcomes():
    assert run(lambda key, point: 2.5, {}, 3)["value"].tolist() == [2.5] * 3
    found = run(lambda key, point: (1, jnp.ones(2)), {}, 3)
    assert found["0"].shape == (3,)
    assert found["1"].shape == (3, 2)


def test_the_dataset_of_a_sweep(undisturbed):
    data = undisturbed.to_xarray()
    assert data["loss"].dims == ("rate", "k", "trial")
    assert data["end.z"].dims == ("rate", "k", "trial", "end.z_0")
    assert data["loss"].sel(rate=0.45, k=5, trial=3).item() == undisturbed["loss"][1, 0, 3]
    assert bool(data["done"].all())


# --- wrong calls -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "line"),
    [
        ({"trial": 3}, TypeError, r"trial is a function of \(key, point\), got int"),
        ({"trials": 0}, ValueError, "trials is a whole number, at least 1, got 0"),
        ({"trials": 2.5}, TypeError, "trials is a whole number, at least 1, got 2.5"),
        ({"trials": True}, TypeError, "trials is a whole number, at least 1, got True"),
        ({"block": 0}, ValueError, "block is a whole number, at least 1, got 0"),
        ({"block": "a"}, TypeError, "block is a whole number, at least 1, got 'a'"),
        ({"paired": ["b"]}, ValueError, "paired names 'b', the grid has a"),
        ({"paired": "ac", "grid": {"a": 1.0, "c": 2.0}}, (TypeError, ValueError), "paired"),
        ({"key": 0}, TypeError, "a random key is one typed key, got int"),
        ({"key": jax.random.split(KEY, 2)}, TypeError, "got PRNGKeyArray of shape"),
        ({"worker": (2, 2)}, ValueError, r"worker is \(i, N\) with 0 <= i < N, got \(2, 2\)"),
        ({"worker": (-1, 2)}, ValueError, "worker is"),
        ({"worker": (0, 0)}, ValueError, "worker is"),
        ({"worker": 3}, (TypeError, ValueError), "worker is"),
        ({"worker": (0.5, 2)}, (TypeError, ValueError), "worker is"),
        ({"mesh": []}, ValueError, "device"),
        ({"grid": {"a": []}}, ValueError, "a has no values"),
        ({"grid": {"a": [1, 1]}}, ValueError, "a repeats a value"),
        ({"executor": (None, 2)}, ValueError, "give store=, one that all see"),
        (
            {"executor": (None, 2), "store": "x", "mesh": ()},
            ValueError,
            r"devices of their own: mesh cannot be given with it; .*executor=\(pool, N, threads\)",
        ),
        ({"executor": (None, 0), "store": "x"}, ValueError, "executor's N is a whole number"),
        ({"store": Path(__file__)}, OSError, "a file is where a folder should be"),
    ],
)
def test_wrong_calls(changes, error, line):
    with pytest.raises(error, match=line) as caught:
        run(**{"trial": draw, "grid": {"a": [1.0, 2.0]}, "trials": 2, **changes})
    assert "\n" not in str(caught.value)


def other_draw(key, point):
    x = jax.random.uniform(key)
    return {"x": x, "y": x + point["a"]}


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"grid": {"a": [1.0, 2.5], "b": [1, 2]}}, r"grid\.axes\.a\.1: the folder has 2\.0, asked"),
        ({"grid": {"a": [1.0, 2.0], "b": [1, 2, 3]}}, r"grid\.axes\.b: the folder has \[1, 2\]"),
        ({"grid": {"a": [1.0, 2.0], "b": 1}}, r"grid\.constants\.b: .*asked for 1"),
        ({"trials": 5}, "trials: the folder has 4, asked for 5"),
        ({"key": jax.random.key(4)}, r"seed: the folder has 3, asked for 4"),
        ({"key": jax.random.fold_in(jax.random.key(3), 1)}, r"key\.0: .*\n  key\.1: the folder"),
        ({"key": jax.random.key(3, impl="rbg")}, "key_kind: the folder has"),
        ({"trial": other_draw}, "trial_digest: the folder has"),
        ({"paired": ["a"]}, "paired: the folder has"),
    ],
)
def test_a_store_of_another_sweep_is_refused(tmp_path, changes, difference):
    same = {"trial": draw, "grid": {"a": [1.0, 2.0], "b": [1, 2]}, "trials": 4}
    first = bits(run(**same, store=tmp_path))
    with pytest.raises(ValueError, match=difference) as caught:
        run(**{**same, **changes}, store=tmp_path)
    assert "holds another sweep" in str(caught.value)
    assert bits(run(**same, store=tmp_path)) == first


def test_a_store_never_gives_one_cells_trials_to_another(tmp_path):
    one, other = {"a": [1.0, 2.0], "b": [1, 2]}, {"b": [1, 2], "a": [1.0, 2.0]}
    first = run(draw, one, 3, store=tmp_path)
    right = {n: np.swapaxes(x, 0, 1) for n, x in first.outcomes.items()}
    refused = pytest.raises(ValueError, match=r"holds another sweep|is the same")
    with refused:
        assert digest(run(draw, other, 3, store=tmp_path).outcomes) == digest(right)
        raise ValueError("it is the same")


def foreign(folder):
    """A store as it would have been made under another release."""
    run(draw, {"a": [1.0, 2.0]}, 4, block=2, store=folder, stop=lambda: True)
    path = folder / "plan.json"
    plan = json.loads(path.read_text())
    plan["fingerprint"]["jaxlib"] = "0.0.1"
    path.write_text(json.dumps(plan))


def test_a_store_of_another_release_is_mixed_on_request(tmp_path):
    foreign(tmp_path)
    again = {"trial": draw, "grid": {"a": [1.0, 2.0]}, "trials": 4, "block": 2, "store": tmp_path}
    with pytest.raises(ValueError, match=r'jaxlib: the folder has "0\.0\.1"'):
        run(**again)
    found = run(**again, allow_mixed=True)
    assert found.complete
    _, meta = Store.open(tmp_path).read(Unit(0, 0, 2))
    assert meta["fingerprint"]["jaxlib"] != "0.0.1"


def test_another_code_is_another_trial(tmp_path):
    """Also where it is in a class's method, and a class of the same name."""

    def made(factor):
        class Drawn(AbstractTrial):
            def program(self, point):
                return ()

            def numbers(self, point):
                return {"a": jnp.asarray(point["a"])}

            def run(self, key, program, numbers):
                return {"x": factor(jax.random.uniform(key))}

        class Doubled(Drawn):
            def run(self, key, program, numbers):
                return {"x": 2 * jax.random.uniform(key)}

        class Tripled(Drawn):
            def run(self, key, program, numbers):
                return {"x": 3 * jax.random.uniform(key)}

        return Doubled, Tripled

    Doubled, Tripled = made(lambda x: x)
    Tripled.__name__ = Tripled.__qualname__ = "Doubled"
    grid = {"a": [1.0, 2.0]}
    run(Doubled(), grid, 2, store=tmp_path)
    with pytest.raises(ValueError, match="trial_digest: the folder has"):
        run(Tripled(), grid, 2, store=tmp_path)


def test_the_kind_of_draws_is_part_of_the_identity(tmp_path):
    run(draw, {"a": [1.0, 2.0]}, 4, store=tmp_path)
    with (
        jax.threefry_partitionable(False),
        pytest.raises(ValueError, match="threefry_partitionable: the folder has true"),
    ):
        run(draw, {"a": [1.0, 2.0]}, 4, store=tmp_path)


def test_the_way_back_to_the_folder_s_precision_is_told(tmp_path):
    again = {"trial": draw, "grid": {"a": [1.0]}, "trials": 2, "store": tmp_path}
    run(**again)
    with jax.enable_x64(False), pytest.raises(ValueError, match="x64: the folder has") as caught:
        run(**again)
    said = str(caught.value)
    assert "switch JAX's x64 on as in the folder, by --precision float64 or jax.config" in said
    assert said.index("switch JAX's x64 on") < said.index("allow_mixed")


def test_threads_draw_as_their_caller_does():
    whole = lambda key, point: {"x": jax.random.uniform(key, (3,))}  # noqa: E731
    with jax.threefry_partitionable(False):
        inside = run(whole, {}, 1)["x"]
        key = jax.random.fold_in(cell_key(KEY, {}), 0)
        np.testing.assert_array_equal(inside[0], jax.random.uniform(key, (3,)))
    assert not np.any(inside == run(whole, {}, 1)["x"])


def test_a_rule_is_asked_once_a_block(tmp_path):
    asked = []

    def seen(outcomes):
        asked.append(len(outcomes["x"]))
        return outcomes["x"] > 0.5

    rule = Narrow(seen, 1e-6)
    found = run(draw, {"a": [1.0]}, 40, block=2, store=tmp_path, enough=rule)
    assert found.complete
    # Of 20 blocks 19 while it runs, and all when they are collected.
    assert len(asked) <= 2 * 20


# --- progress and pools ------------------------------------------------------------------------


@pytest.mark.parametrize("devices", [1, 8])
def test_every_unit_is_told(tmp_path, devices):
    mesh, told, threads = jax.local_devices()[:devices], [], []
    lock = threading.Lock()

    def watch(progress):
        assert lock.acquire(blocking=False)  # one at a time
        told.append(progress)
        threads.append(threading.get_ident())
        lock.release()

    again = {"trial": draw, "grid": {"a": [1.0, 2.0]}, "trials": TRIALS, "block": 2, "mesh": mesh}
    run(**again, store=tmp_path, progress=watch)
    units = Sweep.of(draw, {"a": [1.0, 2.0]}, trials=TRIALS, key=KEY, block=2).units()
    assert [p.units for p in told] == list(range(1, 9))
    assert {p.total for p in told} == {8}
    assert sorted(p.unit for p in told) == units
    assert told[-1].trials == 2 * TRIALS
    assert [p.trials for p in told] == np.cumsum([p.unit.count for p in told]).tolist()
    assert all(one.seconds <= two.seconds for one, two in itertools.pairwise(told))
    # What was there before counts as units, not as this process's trials.
    for path in sorted(tmp_path.rglob("u-*.npz"))[:2]:
        path.unlink()
    told.clear()
    run(**again, store=tmp_path, progress=watch)
    assert [p.units for p in told] == [7, 8]
    assert told[-1].trials == sum(p.unit.count for p in told)


def test_units_cover_every_trial_once():
    described = Sweep.of(draw, {"a": [1.0, 2.0], "b": [1, 2, 3]}, trials=7, key=KEY, block=3)
    seen = collections.Counter(
        (unit.cell, unit.start + i) for unit in described.units() for i in range(unit.count)
    )
    assert seen == {(cell, i): 1 for cell in range(6) for i in range(7)}


def test_a_pool_of_threads(undisturbed_one, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = run(grid=ONE, block=3, store=tmp_path, executor=(pool, 3))
    assert bits(found) == bits(undisturbed_one)


class Shifted(AbstractTrial):
    """Holds an array of JAX's own, which a process without x64 would read as float32."""

    shift: jax.Array

    def program(self, point):
        return ()

    def numbers(self, point):
        return {}

    def run(self, key, program, numbers):
        M = jax.random.normal(key, (3, 3))
        return {"x": jax.random.uniform(key) + self.shift, "y": (M @ M)[0, 0]}


def test_a_pool_of_processes_computes_as_its_caller_was_told(tmp_path, monkeypatch):
    """The processes are spawned: none inherits what this one told JAX, nor finds it around it."""
    for name in ("JAX_ENABLE_X64", "JAX_NUMPY_DTYPE_PROMOTION", "JAX_THREEFRY_PARTITIONABLE"):
        monkeypatch.delenv(name, raising=False)
    spawn = multiprocessing.get_context("spawn")
    trial = Shifted(jnp.asarray(1 / 3))
    with (
        jax.threefry_partitionable(False),
        jax.default_matmul_precision("highest"),
        concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool,
    ):
        found = run(trial, {"a": [1.0]}, 4, block=2, store=tmp_path, executor=(pool, 2))
        assert bits(found) == bits(run(trial, {"a": [1.0]}, 4))
    assert found["x"].dtype == np.float64


def test_tasks_of_a_local_pool_share_the_cores(tmp_path, monkeypatch):
    asked = []
    before = _run.every_core
    monkeypatch.setattr(_run, "_cores", lambda: 6)
    monkeypatch.setattr(
        _run, "every_core", lambda devices, n=None: asked.append(n) or before(devices, 1)
    )
    for share, executor in ((2, ()), (5, (5,))):
        asked.clear()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            folder = tmp_path / str(share)
            run(draw, {"a": [1.0]}, 2, store=folder, executor=(pool, 3, *executor))
        # The first is the caller's own, for the plan.
        assert asked == [None, share, share, share]


def test_cells_that_are_known_well_are_not_outstanding():
    """The first block closes a cell: its other nine are not needed."""
    told = []
    rule = Narrow("up", 0.5, least=4)
    never = lambda key, point: {"up": jax.random.uniform(key) > point["a"]}  # noqa: E731
    run(never, {"a": [2.0, 3.0]}, 40, block=4, enough=rule, progress=told.append)
    rows = [(p.units, p.total, p.finished, p.needed) for p in told]
    assert rows == [(1, 11, 4, 44), (2, 2, 8, 8)]


def test_others_units_are_counted_at_the_end(tmp_path):
    """Another worker commits while this one computes: the last report knows of it."""
    described = Sweep.of(draw, {"a": [1.0, 2.0]}, trials=4, key=KEY, block=2)
    other = run(draw, {"a": [1.0, 2.0]}, 4, block=2, store=tmp_path / "other")
    assert other.complete
    others, told = Store.open(tmp_path / "other"), []

    def watch(progress):
        told.append(progress)
        store = Store.open(tmp_path / "own")
        for unit in described.units()[1:]:
            store.commit(unit, *others.read(unit))

    again = {"block": 2, "store": tmp_path / "own", "worker": (0, 2), "progress": watch}
    run(draw, {"a": [1.0, 2.0]}, 4, **again)
    assert told[0].units == 1
    assert [(p.units, p.total, p.finished) for p in told[-1:]] == [(4, 4, 8)]


def test_a_script_is_the_same_in_a_spawned_process():
    def named(module):
        trial = types.FunctionType(draw.__code__, globals(), "draw")
        trial.__module__ = module
        return Sweep.of(trial, {"a": 1.0}, trials=2, key=KEY).spec()

    assert named("__main__") == named("__mp_main__")  # so multiprocessing calls it there


def test_an_error_in_a_pool_arrives(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "BROKEN", [True])
    with (
        concurrent.futures.ThreadPoolExecutor(1) as pool,
        pytest.raises(RuntimeError, match="the trial's own trouble"),
    ):
        run(fragile, {"k": [5, 12], "test": "pool"}, 4, store=tmp_path, executor=(pool, 2))


def test_a_pool_goes_on_in_a_mixed_store(tmp_path):
    foreign(tmp_path)
    again = {"trial": draw, "grid": {"a": [1.0, 2.0]}, "trials": 4, "block": 2, "store": tmp_path}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert run(**again, allow_mixed=True, executor=(pool, 1)).complete


def test_a_pool_is_asked_to_stop_or_says_that_it_cannot(tmp_path):
    again = {"trial": draw, "grid": {"a": [1.0, 2.0]}, "trials": 4, "block": 2, "store": tmp_path}
    refused = pytest.raises(ValueError, match=r"executor|stopped")
    with concurrent.futures.ThreadPoolExecutor(1) as pool, refused:
        assert not run(**again, executor=(pool, 1), stop=lambda: True).complete
        raise ValueError("it was stopped")
