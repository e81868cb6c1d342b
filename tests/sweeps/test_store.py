"""A folder of units: nothing committed is lost, nothing broken is believed, one plan a folder."""

import contextlib
import errno
import json
import os
import pickle
import random
import resource
import shutil
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import jaxdip
from jaxdip.sweeps._store import Store, digest
from jaxdip.sweeps._unit import Unit

PLAN = {
    "spec": {"grid": {"m": [1, 2], "k": [50, 100]}, "seed": 0, "gamma": 1.0},
    "fingerprint": {"jaxlib": "0.10.2", "device": "cpu", "x64": True},
    "made": "here",
}

# The store needs no JAX, whose import would take most of the time of these tests.
LIGHT = """
import json, sys, types
for name in ("jaxdip", "jaxdip.sweeps"):
    package = types.ModuleType(name)
    package.__path__ = [ROOT + "/" + name.replace(".", "/")]
    sys.modules[name] = package
import numpy as np
from jaxdip.sweeps._store import Store, digest
from jaxdip.sweeps._unit import Unit
FOLDER, PLAN, ME = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
"""


@contextlib.contextmanager
def processes(code, folder, plans):
    """Python processes, one a plan, that all wait at their first input()."""
    root = str(Path(jaxdip.__file__).parents[1])
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"ROOT = {root!r}\n{LIGHT}\n{code}",
                folder,
                json.dumps(plan),
                str(i),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i, plan in enumerate(plans)
    ]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def race(code, folder, plans):
    """What processes printed that were let go at the same moment."""
    with processes(f"print('ready', flush=True)\ninput()\n{code}", folder, plans) as running:
        for process in running:
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        for process in running:
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=60) for process in running]
    assert [error for _, error in answers] == [""] * len(answers)
    return [out.splitlines() for out, _ in answers]


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "sweep", PLAN)


@pytest.fixture
def unit():
    return Unit(3, 50, 25)


def arrays(seed=0, size=40):
    rng = np.random.default_rng(seed)
    return {"loss": rng.normal(size=size), "status": rng.integers(0, 6, size).astype("uint8")}


def same(x, y):
    return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


def files(store, pattern="*"):
    return sorted(p for p in store.folder.rglob(pattern) if p.is_file() and p.name != "plan.json")


def only_file(store):
    (path,) = files(store)
    return path


# --- what goes in comes out -------------------------------------------------------------------


def test_a_unit_comes_back_to_the_bit(store, unit):
    given = {
        "bool": np.array([True, False]),
        "status": np.arange(5, dtype=np.uint8),
        "half": np.array([1.5, np.inf], np.float16),
        "f32": np.array([[1.0, -0.0], [np.nan, 3e-45]], np.float32),
        "f64": np.random.default_rng(0).normal(size=(2, 3, 4)),
        "complex": np.array([1 + 2j, np.nan * 1j]),
        "big-endian": np.arange(3, dtype=">i4"),
        "0-d": np.array(7),
        "empty": np.zeros((3, 0, 2), np.float32),
        "text": np.array(["adam", "Gradientenfluß", ""]),
        "no text": np.array(""),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(10)[::-3],
        "": np.ones(1),
        "a0": np.zeros(1),
        "header": np.zeros(2),
        "../η / x.npy\n\0": np.ones(2),
    }
    meta = {"host": "nö", "seconds": 1.25, "nested": {"a": [1, None, True]}, "inf": float("inf")}
    assert store.commit(unit, given, meta)
    for asked in (unit, unit.name):
        read, told = store.read(asked)
        assert list(read) == list(given)
        assert all(same(read[name], given[name]) for name in given)
        assert told == meta
        assert digest(read) == digest(given)
    assert store.done() == {unit.name}


def test_a_unit_without_arrays(store, unit):
    store.commit(unit, {}, {})
    assert store.read(unit) == ({}, {})


def test_a_unit_is_on_the_disk_before_it_has_its_name_and_its_name_before_the_return(
    store, unit, monkeypatch
):
    steps = []
    fsync, link = os.fsync, os.link

    def sync(handle):
        status = os.fstat(handle)
        steps.append(("sync", status.st_ino if stat.S_ISDIR(status.st_mode) else "file"))
        fsync(handle)

    def name(source, target):
        steps.append(("name", target))
        link(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "link", name)
    store.commit(unit, arrays(), {})
    path = only_file(store)
    units, folder = path.parents[1].stat().st_ino, path.parent.stat().st_ino
    assert steps == [("sync", units), ("sync", "file"), ("name", path), ("sync", folder)]
    # Who finds it there cannot know how far the other has come.
    steps.clear()
    Store.open(store.folder).commit(unit, arrays(), {})
    assert steps == [("sync", units), ("sync", folder)]


def test_a_missing_unit_is_none(store, unit):
    assert store.read(unit) is None
    assert store.done() == set()


@pytest.mark.parametrize(
    "array",
    [
        np.array([None]),
        np.zeros(2, ml_dtypes.bfloat16),
        np.zeros(2, ml_dtypes.float8_e5m2),
        np.zeros(2, [("x", "f8")]),
    ],
    ids=lambda array: str(array.dtype),
)
def test_types_that_do_not_come_back_are_refused(store, unit, array):
    with pytest.raises(TypeError, match=r"'x' is of type .*convert"):
        store.commit(unit, {"x": array}, {})
    assert files(store) == []


def test_the_first_commit_stays(store, unit):
    assert store.commit(unit, arrays(0), {"by": 0})
    assert not store.commit(unit, arrays(1), {"by": 1})
    read, meta = store.read(unit)
    assert digest(read) == digest(arrays(0))
    assert meta == {"by": 0}
    assert len(files(store)) == 1


def test_without_hard_links_the_first_commit_stays(tmp_path, unit, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = Store.create(tmp_path, PLAN)
    assert store.commit(unit, arrays(0), {})
    assert not store.commit(unit, arrays(1), {})
    assert digest(store.read(unit)[0]) == digest(arrays(0))
    assert len(files(store)) == 1


def test_a_link_whose_answer_was_lost_counts_as_made(store, unit, monkeypatch):
    link = os.link

    def twice(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert store.commit(unit, arrays(), {})
    assert not store.commit(unit, arrays(), {})


def test_another_block_size_is_no_unit_of_this_folder(store):
    store.commit(Unit(0, 0, 25), arrays(), {})
    with pytest.raises(ValueError, match=r"holds 25 trials, the unit has 50.*block size"):
        store.read(Unit(0, 0, 50))


def test_a_store_goes_to_another_process(store, unit):
    pickle.loads(pickle.dumps(store)).commit(unit, arrays(), {})
    assert store.done() == {unit.name}


def test_the_digest_sees_names_types_shapes_and_bits():
    one = {"x": np.zeros(4), "y": np.ones(2)}
    others = [
        {"x": np.zeros(4)},
        {"x": np.ones(2), "y": np.zeros(4)},
        {"x": np.zeros((2, 2)), "y": np.ones(2)},
        {"x": np.zeros(4, np.int64), "y": np.ones(2)},
        {"x": -np.zeros(4), "y": np.ones(2)},
        {"x": np.zeros(4), "y": np.nextafter(np.ones(2), 2)},
    ]
    assert digest(one) == digest(dict(reversed(one.items())))
    assert len({digest(other) for other in [one, *others]}) == 1 + len(others)


# --- one plan a folder ------------------------------------------------------------------------


def changed(part, **entries):
    return {**PLAN, part: {**PLAN[part], **entries}}


def test_the_same_plan_resumes(store, unit):
    store.commit(unit, arrays(), {})
    again = Store.create(store.folder, {**PLAN, "made": "elsewhere"})
    assert again.plan == store.plan == Store.open(store.folder).plan == PLAN
    assert again.done() == {unit.name}
    assert "fingerprint" not in again.read(unit)[1]


def test_a_plan_is_compared_as_json(tmp_path):
    spec = {"k": (1, 2), "limit": float("nan"), 3: {"b": 1, "a": 2}}
    first = Store.create(tmp_path, {"spec": spec, "fingerprint": {}})
    turned = {"3": {"a": 2, "b": 1}, "limit": float("nan"), "k": [1, 2]}
    again = Store.create(tmp_path, {"spec": turned, "fingerprint": {}})
    assert json.dumps(again.plan) == json.dumps(first.plan)


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ({"seed": 1}, "seed: the folder has 0, asked for 1"),
        ({"gamma": 1}, "gamma: the folder has 1.0, asked for 1"),
        ({"new": {"a": 1}}, 'new: the folder has nothing, asked for {"a": 1}'),
        ({"grid": {"m": [1, 2]}}, "grid.k: the folder has [50, 100], asked for nothing"),
        ({"grid": {"m": [1, 2], "k": [50, 99]}}, "grid.k.1: the folder has 100, asked for 99"),
        (
            {"grid": {"m": [1, 2, 3], "k": [50, 100]}},
            "grid.m: the folder has [1, 2], asked for [1, 2, 3]",
        ),
        ({"seed": None}, "seed: the folder has 0, asked for null"),
    ],
)
def test_another_sweep_is_refused_by_what_differs(store, entries, line):
    with pytest.raises(ValueError, match="another sweep") as caught:
        Store.create(store.folder, changed("spec", **entries), allow_mixed=True)
    head, *lines, remedy = str(caught.value).split("\n")
    assert str(store.folder) in head
    assert lines == [f"  {line}"]
    assert "--out" in remedy
    assert "config" in remedy
    assert Store.open(store.folder).plan == PLAN


def test_many_and_long_differences_stay_readable(store):
    spec = {f"key{i}": "x" * 1000 for i in range(1000)}
    with pytest.raises(ValueError, match="and 991 more") as caught:
        Store.create(store.folder, {**PLAN, "spec": spec})
    assert len(str(caught.value)) < 3000


def test_another_fingerprint_is_refused_or_recorded(store, unit):
    other = changed("fingerprint", jaxlib="0.11.0")
    with pytest.raises(ValueError, match=r"bit-identical[\s\S]*--allow-mixed") as caught:
        Store.create(store.folder, other)
    assert '  jaxlib: the folder has "0.10.2", asked for "0.11.0"\n' in str(caught.value)
    assert "x64" not in str(caught.value)
    mixed = Store.create(store.folder, other, allow_mixed=True)
    mixed.commit(unit, arrays(), {"host": "b"})
    assert mixed.plan == PLAN
    told = Store.open(store.folder).read(unit)[1]
    assert told == {"fingerprint": other["fingerprint"], "host": "b"}


@pytest.mark.parametrize("part", ["spec", "fingerprint"])
def test_a_plan_needs_its_parts(tmp_path, part):
    with pytest.raises(ValueError, match=f"no '{part}'"):
        Store.create(tmp_path / "sweep", {**PLAN, part: None})
    assert not (tmp_path / "sweep").exists()


def test_no_plan_is_said_in_one_line(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for folder in (tmp_path, tmp_path / "nowhere", file):
        with pytest.raises(FileNotFoundError, match="no sweep in") as caught:
            Store.open(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"store": "jaxdip plan 1", "spec": {}}', b"null"],
)
def test_a_broken_plan_is_said_in_one_line_and_kept(store, content):
    (store.folder / "plan.json").write_bytes(content)
    for attempt in (Store.open, lambda folder: Store.create(folder, PLAN)):
        with pytest.raises(ValueError, match=r"plan\.json") as caught:
            attempt(store.folder)
        assert "\n" not in str(caught.value)
    assert (store.folder / "plan.json").read_bytes() == content


def test_units_without_a_plan_are_not_taken_over(store, unit):
    store.commit(unit, arrays(), {})
    (store.folder / "plan.json").unlink()
    with pytest.raises(ValueError, match="units but no"):
        Store.create(store.folder, PLAN)


def test_of_racing_creators_one_wins_and_the_others_follow(tmp_path):
    plans = [{**PLAN, "made": i} for i in range(4)]
    found = race("print(Store.create(FOLDER, PLAN).plan['made'])", str(tmp_path), plans)
    assert len({line for (line,) in found}) == 1
    assert found[0] == [str(Store.open(tmp_path).plan["made"])]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["plan.json"]


def test_of_racing_creators_of_other_sweeps_one_wins(tmp_path):
    code = """
try:
    print(Store.create(FOLDER, PLAN).plan["spec"]["seed"])
except ValueError as error:
    print("refused:", "seed: the folder has" in str(error))
"""
    plans = [changed("spec", seed=i) for i in range(4)]
    found = [line for (line,) in race(code, str(tmp_path), plans)]
    assert found.count("refused: True") == 3
    assert str(Store.open(tmp_path).plan["spec"]["seed"]) in found


# --- many writers -----------------------------------------------------------------------------


def test_of_racing_writers_of_a_unit_one_wins(store):
    code = """
store = Store.open(FOLDER)
for i in range(20):
    print(int(store.commit(Unit(i, 0, 5), {"by": np.full(1000, ME)}, {"by": ME})))
"""
    found = np.array(race(code, str(store.folder), [PLAN] * 4)).astype(int)
    assert found.shape == (4, 20)
    assert (found.sum(0) == 1).all()
    for i in range(20):
        read, meta = store.read(Unit(i, 0, 5))
        assert meta["by"] == found[:, i].argmax()
        assert (read["by"] == meta["by"]).all()
    assert len(files(store)) == 20


# --- broken files -----------------------------------------------------------------------------


def assert_set_aside(store, unit, bad="bad"):
    """A unit reads as missing, with a warning, can be committed again and is then read."""
    with pytest.warns(UserWarning, match=f"{unit.name}.npz cannot be read .*{unit.name}.{bad},"):
        assert store.read(unit) is None
    assert store.done() == set()
    assert store.read(unit) is None
    assert store.commit(unit, arrays(), {"again": True})
    read, meta = store.read(unit)
    assert digest(read) == digest(arrays())
    assert meta == {"again": True}


@pytest.mark.parametrize("kept", [0.0, 1e-9, 0.01, 0.3, 0.6, 0.9, 0.99, 0.9999])
def test_a_truncated_unit_is_set_aside(store, unit, kept):
    store.commit(unit, arrays(), {})
    path = only_file(store)
    data = path.read_bytes()
    part = data[: int(np.ceil(kept * len(data))) if kept < 0.9999 else len(data) - 1]
    path.write_bytes(part)
    assert_set_aside(store, unit)
    assert path.with_suffix(".bad").read_bytes() == part


@pytest.mark.parametrize(
    "content",
    [b"", b"hello, this is text\n", b"PK\x05\x06" + bytes(18), bytes(5000), b"\x93NUMPY\x01\x00"],
    ids=["empty", "text", "empty zip", "zeros", "npy"],
)
def test_a_file_of_another_kind_is_set_aside(store, unit, content):
    store.commit(unit, arrays(), {})
    only_file(store).write_bytes(content)
    assert_set_aside(store, unit)


def test_an_archive_of_somebody_else_is_set_aside(store, unit):
    store.commit(unit, arrays(), {})
    path = only_file(store)
    header = {"format": "jaxdip unit 1", "unit": unit.name, "names": ["x"], "meta": {}, "count": 1}
    others = [
        {"loss": np.ones(2)},
        {"header": np.array("{}")},
        {"header": np.array("[1]")},
        {"header": np.array("no json")},
        {"header": np.array('{"format": "jaxdip unit 0"}')},
        {"header": np.array('{"format": "jaxdip unit 1"}')},
        {"header": np.array(json.dumps({**header, "names": 3}))},
        {"header": np.array(json.dumps({**header, "sha256": "0"})), "a0": np.ones(2)},
        {"header": np.array(json.dumps(header)), "x": np.ones(2)},
        {"header": np.array([None])},
    ]
    for write in (np.savez, np.savez_compressed):
        for i, other in enumerate(others):
            write(path, **other)
            with pytest.warns(UserWarning, match="cannot be read"):
                assert store.read(unit) is None, other
            assert len(files(store)) == (len(others) * (write is not np.savez)) + i + 1
    assert store.done() == set()


def test_a_compressed_unit_is_not_one_of_ours(store, unit):
    store.commit(unit, arrays(), {})
    path = only_file(store)
    with np.load(path) as archive:
        members = dict(archive)
    np.savez_compressed(path, **members)
    with pytest.warns(UserWarning, match="it is compressed"):
        assert store.read(unit) is None


def test_a_broken_shape_asks_for_no_memory(store, unit):
    store.commit(unit, {"x": np.arange(3.0)}, {})
    path = only_file(store)
    right, wrong = b"(3,), }" + b" " * 12, b"(3" + b"9" * 12 + b",), }"
    data = path.read_bytes()
    assert data.count(right) == 1
    path.write_bytes(data.replace(right, wrong))
    with pytest.warns(UserWarning, match="checksum"):
        assert store.read(unit) is None


def test_every_flipped_byte_is_noticed_or_harmless(store, unit):
    given = {"x": np.arange(3.0)}
    store.commit(unit, given, {"seed": 1})
    path = only_file(store)
    data = bytearray(path.read_bytes())
    noticed = 0
    for i in range(len(data)):
        path.write_bytes(data[:i] + bytes([data[i] ^ (1 << i % 8)]) + data[i + 1 :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = store.read(unit)
        # Dates and versions in a zip file's tables say nothing of the arrays.
        assert found is None or (digest(found[0]), found[1]) == (digest(given), {"seed": 1}), i
        noticed += found is None
        for bad in files(store, "*.bad*"):
            bad.unlink()
    assert noticed > 0.8 * len(data)


def test_a_flipped_byte_in_the_middle_is_set_aside_again_and_again(store, unit):
    for bad in ("bad", "bad-1", "bad-2"):
        store.commit(unit, arrays(), {})
        (path,) = files(store, "*.npz")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        assert_set_aside(store, unit, bad)
    assert [path.suffix for path in files(store)] == [".bad", ".bad-1", ".bad-2", ".npz"]


def test_a_unit_under_another_name_is_set_aside(store, unit):
    other = Unit(4, 50, 25)
    store.commit(unit, arrays(0), {})
    source = only_file(store)
    store.commit(other, arrays(1), {})
    (target,) = [path for path in files(store) if path != source]
    shutil.copy(source, target)
    with pytest.warns(UserWarning, match=f"it is the unit {unit.name}"):
        assert store.read(other) is None
    assert store.done() == {unit.name}


def test_a_good_unit_committed_meanwhile_is_not_set_aside(store, unit, monkeypatch):
    store.commit(unit, arrays(), {})
    path = only_file(store)
    path.write_bytes(b"broken")
    rename = Path.rename

    def meanwhile(self, target):
        monkeypatch.setattr(Path, "rename", rename)
        with pytest.warns(UserWarning, match="cannot be read"):
            store.read(unit)
        store.commit(unit, arrays(1), {})
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", meanwhile)
    assert store.read(unit) is None
    assert digest(store.read(unit)[0]) == digest(arrays(1))
    assert [path.suffix for path in files(store)] == [".bad", ".npz"]


def test_two_may_find_the_same_broken_unit(store, unit, monkeypatch):
    store.commit(unit, arrays(), {})
    path = only_file(store)
    path.write_bytes(b"broken")

    def gone(self, target):
        self.unlink()
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(Path, "rename", gone)
    assert store.read(unit) is None


# --- temporary files --------------------------------------------------------------------------


def test_stale_temporaries_are_removed_and_no_others(store, unit):
    store.commit(unit, arrays(), {})
    folder = only_file(store).parent
    kept = files(store)
    for place in (store.folder, folder):
        (place / ".tmp-new").write_bytes(b"half")
        (place / ".tmp-old").write_bytes(b"half")
        os.utime(place / ".tmp-old", (0, 0))
    os.utime(kept[0], (0, 0))
    assert store.done() == {unit.name}
    assert store.clean() == 2
    assert {path.name for path in files(store, ".tmp-*")} == {".tmp-new"}
    assert store.clean(older_than_s=0) == 2
    assert files(store) == kept
    assert (store.folder / "plan.json").exists()


def test_foreign_files_are_no_units(store, unit):
    store.commit(unit, arrays(), {})
    folder = only_file(store).parent
    for name in ("._u-000000-00000000.npz", "notes.npz", "u-1.txt", "u-000000-00000000.bad"):
        (folder / name).write_bytes(b"")
    (folder.parent / "u-000000-00000001.npz").write_bytes(b"")
    assert store.done() == {unit.name}


# --- errors of the disk -----------------------------------------------------------------------


def one_line(caught, *words):
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text


@contextlib.contextmanager
def largest_file(size):
    """A real short write: the system refuses to let a file grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 1000, 100_000])
def test_a_write_cut_short_leaves_nothing_and_loses_nothing(store, unit, size):
    before = Unit(0, 0, 1)
    store.commit(before, arrays(), {})
    kept = files(store)
    with largest_file(size), pytest.raises(OSError, match="cannot commit") as caught:
        store.commit(unit, arrays(size=50_000), {})
    assert caught.value.errno == errno.EFBIG
    one_line(caught, unit.name, "make room", str(store.folder))
    assert files(store) == kept
    assert store.read(unit) is None
    assert store.read(before)
    assert store.commit(unit, arrays(size=50_000), {})


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_leaves_nothing_and_loses_nothing(store, unit, monkeypatch, number):
    def full(_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="cannot commit") as caught:
            store.commit(unit, arrays(), {})
    assert caught.value.errno == number
    one_line(caught, os.strerror(number), "start again", "what is committed is kept")
    assert files(store) == []
    assert store.commit(unit, arrays(), {})


def test_a_full_disk_leaves_no_plan(tmp_path):
    with largest_file(10), pytest.raises(OSError, match="cannot write the plan") as caught:
        Store.create(tmp_path, PLAN)
    one_line(caught, "make room", str(tmp_path))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    Store.create(tmp_path, PLAN)


def test_an_error_that_is_no_temporary_file_hides_no_other(store, unit, monkeypatch):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "unlink", read_only)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        store.commit(unit, arrays(), {})
    assert caught.value.errno == errno.ENOSPC
    assert store.done() == set()


def test_a_folder_that_cannot_be_synchronised_is_taken(store, unit, monkeypatch):
    fsync = os.fsync

    def files_only(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", files_only)
    assert store.commit(unit, arrays(), {})


@pytest.mark.parametrize("below", ["", "sub", "sub/sub"])
def test_a_file_in_the_way_of_the_folder(tmp_path, below):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(OSError, match="cannot make the folder") as caught:
        Store.create(file / below, PLAN)
    one_line(caught, "--out", str(file))
    assert file.read_text() == "mine"


def test_a_file_in_the_way_of_a_unit(store, unit):
    store.commit(unit, arrays(), {})
    folder = only_file(store).parent
    shutil.rmtree(folder)
    folder.write_text("mine")
    with pytest.raises(FileExistsError, match="cannot commit") as caught:
        store.commit(unit, arrays(), {})
    one_line(caught, "a file is where a folder should be")
    with pytest.raises(NotADirectoryError, match="cannot read"):
        store.read(unit)


def test_an_error_of_the_disk_sets_nothing_aside(store, unit, monkeypatch):
    store.commit(unit, arrays(), {})
    path = only_file(store)
    path.rename(path.with_name("hidden"))
    path.mkdir()
    with pytest.raises(IsADirectoryError, match="cannot read"):
        store.read(unit)
    assert path.is_dir()


def test_units_that_vanished_are_not_taken_for_none_done(store):
    shutil.rmtree(store.folder / "units")
    with pytest.raises(FileNotFoundError, match="cannot list the units"):
        store.done()


# --- kill -9 ----------------------------------------------------------------------------------

COMMIT_FOREVER = """
store = Store.create(FOLDER, PLAN)
done = store.done()
i = -1
while True:
    i += 1
    unit = Unit(i, 0, 5)
    if unit.name in done:
        continue
    rng = np.random.default_rng(i)
    arrays = {"x": rng.normal(size=rng.integers(1, 100_000)), "status": rng.integers(0, 6, 5)}
    assert store.commit(unit, arrays, {"i": i})
    print(unit.name, digest(arrays), flush=True)
"""


def test_kill_9_loses_nothing_committed(tmp_path):
    rng = random.Random(0)
    promised = {}
    for _ in range(10):
        with processes(COMMIT_FOREVER, str(tmp_path), [PLAN]) as (process,):
            lines = [process.stdout.readline() for _ in range(rng.randrange(1, 12))]
            process.kill()
            out, error = process.communicate()
        assert error == ""
        for line in [*lines, *out.splitlines()]:
            name, promise = line.split()
            assert name not in promised, "committed twice"
            promised[name] = promise
    store = Store.open(tmp_path)
    done = store.done()
    assert promised.keys() <= done
    # Warnings are errors: an unreadable file would say so.
    found = {name: digest(store.read(name)[0]) for name in done}
    assert found.items() >= promised.items()
    assert files(store, "*.bad*") == []
    store.clean(older_than_s=0)
    assert len(files(store)) == len(done)
