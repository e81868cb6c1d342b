"""Results on disk: one immutable file a unit, so that a kill at any moment loses nothing committed.

A folder holds

    plan.json                  what the sweep is and on what it runs, written once
    units/ab/u-<…>.npz         a committed unit; ab are two digits of a hash of its name
    units/ab/u-<…>.bad[-n]     what was a unit and cannot be read any more
    …/.tmp-<uuid>              being written, or left by a kill

A file has its final name only when it is whole and on the disk, and an existing name is never
written again. So there is no lock, no index and no order between files, and any number of
processes, on any number of machines that share the folder, may commit at once.
"""

import contextlib
import errno
import hashlib
import io
import itertools
import json
import os
import struct
import time
import uuid
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jaxdip.sweeps._unit import Unit

_PLAN = "plan.json"
_UNITS = "units"
_PREFIX, _SUFFIX = "u-", ".npz"
_TEMPORARY = ".tmp-"
_PLAN_FORMAT = "jaxdip plan 1"
_UNIT_FORMAT = "jaxdip unit 1"

#: What reading bytes that are no unit raises; no error of the disk is among them.
_BROKEN = (
    zipfile.BadZipFile,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RuntimeError,
    struct.error,
)
#: A file system says by these that it has no hard links.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
#: A file system says by these that a folder cannot be synchronised.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
#: Kinds of NumPy types that an archive gives back as they were: no objects, no records.
_PLAIN_KINDS = "biufcSUmM"
#: So many differences are shown, and so much of each value.
_SHOWN, _WIDTH = 12, 80
_NOTHING = object()


class Store:
    """A folder of immutable unit files, written by any number of processes at once.

    Made by `Store.create` or `Store.open`. It may be used by several threads and be pickled.

    Attributes:
        folder: where.
        plan: the plan that the folder was made with: "spec", "fingerprint" and what else its maker
            wrote down.
    """

    def __init__(self, folder: Path, plan: dict[str, Any], fingerprint: dict[str, Any]):
        self.folder = folder
        self.plan = plan
        self._fingerprint = fingerprint
        self._mixed = bool(list(_differences(plan["fingerprint"], fingerprint)))
        self._known: set[str] = set()
        self._sets_aside = True

    @staticmethod
    def create(
        folder: str | os.PathLike, plan: Mapping[str, Any], *, allow_mixed: bool = False
    ) -> "Store":
        """Makes the folder of a sweep, or goes on in it if the sweep is the same.

        Of several processes that come at once, one writes its plan and all others read it.

        Args:
            folder: where.
            plan: JSON values. plan["spec"] says what is computed; plan["fingerprint"] says on what,
                as far as the last bit depends on it. Other entries are kept, never compared.
            allow_mixed: goes on where the fingerprint is another. Units then have this process's
                under "fingerprint" in their meta.

        Raises:
            ValueError: if the folder holds another sweep, the same under another fingerprint, units
                without a plan, or a plan that cannot be read.
            OSError: if the folder cannot be made or written.
        """
        folder = Path(folder)
        path = folder / _PLAN
        asked = _checked_plan(json.loads(json.dumps(plan)), "the plan")
        with _explained("make the folder", folder):
            (folder / _UNITS).mkdir(parents=True, exist_ok=True)
        # In this order: another process writes its plan before its first unit.
        with _explained("list the units", folder / _UNITS):
            has_units = next(_unit_files(folder), None) is not None
        if has_units and not path.exists():
            raise ValueError(
                f"{folder} has units but no {_PLAN}, so what they are is unknown: restore the "
                "plan, or give another --out"
            )
        with _explained("write the plan", path):
            if not path.exists():
                text = json.dumps({**asked, "store": _PLAN_FORMAT}, indent=2) + "\n"
                _write_first(path, text.encode())
            _sync(folder)
            _sync(folder.absolute().parent)
        held = _read_plan(path)
        _check_same_sweep(folder, held, asked, allow_mixed)
        return Store(folder, held, asked["fingerprint"])

    @staticmethod
    def open(folder: str | os.PathLike, *, only_read: bool = False) -> "Store":
        """The store in a folder that has one.

        Args:
            folder: where.
            only_read: leave units that cannot be read where they are: the folder may be read-only.

        Raises:
            FileNotFoundError: if there is no plan in it.
            ValueError: if the plan cannot be read.
        """
        folder = Path(folder)
        plan = _read_plan(folder / _PLAN)
        store = Store(folder, plan, plan["fingerprint"])
        store._sets_aside = not only_read
        return store

    def done(self) -> set[str]:
        """The names of the committed units, by their file names only: no file is opened."""
        with _explained("list the units", self.folder / _UNITS):
            return {path.name.removesuffix(_SUFFIX) for path in _unit_files(self.folder)}

    def commit(self, unit: Unit, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> bool:
        """Writes a unit so that it outlives a kill or a power failure after the return.

        Args:
            unit: which; if it is there already, that one is kept.
            arrays: under any names; numbers, booleans, texts or dates.
            meta: JSON values: host, device, seconds, versions, …

        Returns:
            Whether it was written: False if it was there already.

        Raises:
            TypeError: if an array's type, or a value in meta, cannot be kept in a file.
            OSError: if it cannot be written. No part of it is seen then; after an error of the
                very last step, the folder's synchronisation, all of it may be.
        """
        path = self._path(unit.name)
        with _explained(f"commit {unit.name}", path):
            self._make_subfolder(path.parent)
            new = not path.exists()
            if new:
                note = {"fingerprint": self._fingerprint} if self._mixed else {}
                new = _write_first(path, _pack(unit, arrays, {**note, **meta}))
            # Also where another process wrote it: it may not have come so far.
            _sync(path.parent)
        return new

    def read(self, unit: Unit | str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The arrays and the meta of a unit, or None where there is none.

        A file that cannot be read is renamed to .bad (unless the store was opened only to be read),
        with a warning, and counts as none: the unit is to be computed again.

        Args:
            unit: which, or its name.

        Raises:
            ValueError: if the file holds another number of trials than the unit.
            OSError: if the disk fails.
        """
        name = unit if isinstance(unit, str) else unit.name
        path = self._path(name)
        with _explained(f"read {name}", path), contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(path.open("rb"))
            except FileNotFoundError:
                return None
            # All at once: from here on an error is the file's, not the disk's.
            data = file.read()
            try:
                count, arrays, meta = _unpack(data, name)
            except _BROKEN as error:
                if self._sets_aside:
                    _set_aside(path, file, error)
                else:
                    warnings.warn(f"{path} cannot be read ({error}): left out", stacklevel=2)
                return None
        if isinstance(unit, Unit) and count != unit.count:
            raise ValueError(
                f"{path} holds {count} trials, the unit has {unit.count}: read the folder with the "
                "block size that it was made with, or give another --out"
            )
        return arrays, meta

    def clean(self, older_than_s: float = 86400) -> int:
        """Removes temporary files that kills have left.

        Args:
            older_than_s: only such that were not written to for so many seconds. A process whose
                file is removed under its hands fails in its commit.

        Returns:
            How many were removed.
        """
        before = time.time() - older_than_s
        removed = 0
        with _explained("remove temporary files", self.folder):
            for path in itertools.chain(
                list(self.folder.iterdir()), _in_subfolders(self.folder / _UNITS)
            ):
                if not path.name.startswith(_TEMPORARY):
                    continue
                # Another process may be cleaning too.
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime <= before:
                        path.unlink()
                        removed += 1
        return removed

    def _path(self, name: str) -> Path:
        # Some network file systems are slow with many thousand files in a folder.
        subfolder = hashlib.sha256(name.encode()).hexdigest()[:2]
        return self.folder / _UNITS / subfolder / f"{name}{_SUFFIX}"

    def _make_subfolder(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        # Once a process, even if another made it: that one may not have come to synchronise it.
        if folder.name not in self._known:
            _sync(folder.parent)
            self._known.add(folder.name)


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, types, shapes and bytes, whatever the order of the entries.

    Equal digests mean bit-identical arrays: 0.0 and −0.0 differ, a NaN equals itself.
    """
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        total.update(json.dumps([name, array.dtype.str, array.shape]).encode() + b"\n")
        total.update(array.tobytes())
    return total.hexdigest()


def _pack(unit: Unit, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> bytes:
    """A unit as a file: a NumPy archive of header, a0, a1, …; the header is JSON."""
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        _check_type(name, array.dtype)
    header = {
        "format": _UNIT_FORMAT,
        "unit": unit.name,
        "count": unit.count,
        "names": list(plain),
        "sha256": digest(plain),
        "meta": meta,
    }
    members = {f"a{i}": array for i, array in enumerate(plain.values())}
    file = io.BytesIO()
    np.savez(file, header=np.array(json.dumps(header)), **members)  # pyright: ignore[reportArgumentType]
    return file.getvalue()


def _check_type(name: str, dtype: np.dtype) -> None:
    """Refuses what NumPy would write as bytes of unknown meaning, such as bfloat16.

    Raises:
        TypeError: if the type would not come back.
    """
    # Types that another package registered (2) may be of NumPy's kinds, and are not read back.
    if dtype.kind not in _PLAIN_KINDS or dtype.isbuiltin == 2:
        raise TypeError(
            f"array {name!r} is of type {dtype}, which a NumPy file does not give back as it was: "
            "convert it, for example to float32"
        )


def _unpack(data: bytes, name: str) -> tuple[int, dict[str, np.ndarray], dict[str, Any]]:
    """The number of trials, the arrays and the meta of a unit in a file's bytes.

    Raises:
        One of `_BROKEN`: if the bytes are not that unit's, to the last bit.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # No decompressor and no parser sees bytes whose checksum is not right.
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("it is compressed")
        if wrong := archive.testzip():
            raise ValueError(f"the checksum of {wrong} is wrong")
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        header = json.loads(str(archive["header"]))
        if not isinstance(header, dict) or header.get("format") != _UNIT_FORMAT:
            raise ValueError(f"it is not a unit of this version ({_UNIT_FORMAT})")
        if header["unit"] != name:
            raise ValueError(f"it is the unit {header['unit']}")
        arrays = {key: archive[f"a{i}"] for i, key in enumerate(header["names"])}
    if digest(arrays) != header["sha256"]:
        raise ValueError("the digest of its arrays is wrong")
    return header["count"], arrays, header["meta"]


def _set_aside(path: Path, file: BinaryIO, reason: BaseException) -> None:
    """Renames a broken unit, which is open, so that it counts as missing."""
    moved = _temporary(path)
    try:
        path.rename(moved)
    except FileNotFoundError:
        return  # another process has done so
    # Another one may have set it aside and committed a good one meanwhile: give that back. While
    # the broken file is open, no new file can have its number.
    if not os.path.samestat(moved.stat(), os.fstat(file.fileno())):
        _move_first(moved, path)
        moved.unlink(missing_ok=True)
        return
    bad = moved.rename(_free_name(path.with_suffix(".bad")))
    warnings.warn(
        f"{path} cannot be read ({reason}): set aside as {bad.name}, the unit is to be computed "
        "again",
        stacklevel=3,
    )


def _free_name(path: Path) -> Path:
    candidates = itertools.chain(
        [path], (path.with_name(f"{path.name}-{n}") for n in itertools.count(1))
    )
    return next(candidate for candidate in candidates if not candidate.exists())


def _unit_files(folder: Path) -> Iterator[Path]:
    for path in _in_subfolders(folder / _UNITS):
        if path.name.startswith(_PREFIX) and path.suffix == _SUFFIX:
            yield path


def _in_subfolders(folder: Path) -> Iterator[Path]:
    """All files one level down; unlike glob, it does not take what it may not see for nothing."""
    for subfolder in folder.iterdir():
        if subfolder.is_dir():
            yield from subfolder.iterdir()


def _write_first(path: Path, data: bytes) -> bool:
    """Writes a file, whole or not at all and never over another; whether it did."""
    partial = _temporary(path)
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return _move_first(partial, path)
    finally:
        # An error here must not hide the one that led here.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    """A name of nobody else's beside a path."""
    # The number of a process may be that of one on another machine.
    return path.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")


def _move_first(partial: Path, path: Path) -> bool:
    """Gives a whole file its name, unless the name is taken; whether it did.

    The name it had before may be left. Without hard links two processes at the same moment may
    both succeed, and the later one's file stays: whole, and for units the same.
    """
    try:
        os.link(partial, path)
    except FileExistsError:
        # A network file system may repeat a request whose answer was lost.
        return os.path.samefile(partial, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            return False
        partial.replace(path)
    return True


def _sync(folder: Path) -> None:
    """Brings the names in a folder onto the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def _explained(action: str, path: Path) -> Iterator[None]:
    """Errors of the disk say in one line what could not be done, where, and how to mend it."""
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        reason = error.strerror or str(error)
        text = f"cannot {action} ({reason}): {_remedy(number)}"
        raise OSError(number, text, str(path)) from error


def _remedy(number: int) -> str:
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "make room and start again; what is committed is kept"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make the folder accessible to this user, or give another --out"
    if number in (errno.EEXIST, errno.ENOTDIR):
        return "a file is where a folder should be; give another --out"
    return "look after the disk and start again; what is committed is kept"


def _read_plan(path: Path) -> dict[str, Any]:
    """The plan in a file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is not a plan.
    """
    with _explained("read the plan", path):
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            data = None
    if data is None:
        raise FileNotFoundError(f"no sweep in {path.parent}: there is no {_PLAN} in it")
    remedy = "restore it from a copy, or give another --out"
    try:
        plan = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{path} is not a plan ({error}): {remedy}") from error
    if not isinstance(plan, dict) or plan.pop("store", None) != _PLAN_FORMAT:
        raise ValueError(f"{path} is not a plan of this version ({_PLAN_FORMAT}): {remedy}")
    return _checked_plan(plan, str(path))


def _checked_plan(plan: dict[str, Any], where: str) -> dict[str, Any]:
    for part in ("spec", "fingerprint"):
        if not isinstance(plan.get(part), dict):
            raise ValueError(f"{where} has no {part!r}, which must be a mapping of JSON values")
    return plan


def _check_same_sweep(
    folder: Path, held: dict[str, Any], asked: dict[str, Any], allow_mixed: bool
) -> None:
    """Says why a run cannot go on in a folder.

    Raises:
        ValueError: if its spec, or without `allow_mixed` its fingerprint, is another.
    """
    if other := list(_differences(held["spec"], asked["spec"])):
        raise ValueError(
            f"{folder} holds another sweep:\n{_shown(other)}\n"
            "give another --out, or the same config as the folder's"
        )
    other = list(_differences(held["fingerprint"], asked["fingerprint"]))
    if other and not allow_mixed:
        raise ValueError(
            f"{folder} was begun under other conditions, so that results would not be "
            f"bit-identical:\n{_shown(other)}\n"
            f"{_advice(other)}, give another --out, or accept it by --allow-mixed "
            "(allow_mixed=True), which records it in each unit"
        )


def _advice(differences: list[tuple[str, Any, Any]]) -> str:
    """How to get the folder's conditions."""
    bits = next((held for path, held, _ in differences if path == "x64"), None)
    if bits is None:
        return "run under the folder's"
    word, precision = ("on", "float64") if bits else ("off", "float32")
    return (
        f"switch JAX's x64 {word} as in the folder, by --precision {precision} or "
        f"jax.config.update('jax_enable_x64', {bool(bits)})"
    )


def _differences(held: Any, asked: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ, by dotted path: (path, there, here)."""
    if isinstance(held, dict) and isinstance(asked, dict):
        for key in held | asked:
            inner = f"{path}.{key}" if path else key
            yield from _differences(held.get(key, _NOTHING), asked.get(key, _NOTHING), inner)
    elif isinstance(held, list) and isinstance(asked, list) and len(held) == len(asked):
        for i, (there, here) in enumerate(zip(held, asked, strict=True)):
            yield from _differences(there, here, f"{path}.{i}")
    # As text: NaN is itself, true is not 1, and a float is not an integer.
    elif _text(held) != _text(asked):
        yield path, held, asked


def _shown(differences: list[tuple[str, Any, Any]]) -> str:
    # Of a key that a whole number made only the last word differs: that number.
    words = {path for path, _, _ in differences if path.startswith("key.")}
    named = {"key.1": "seed"} if words == {"key.1"} else {}
    lines = [
        f"  {named.get(path, path)}: the folder has {_short(held)}, asked for {_short(asked)}"
        for path, held, asked in differences[:_SHOWN]
    ]
    if len(differences) > _SHOWN:
        lines.append(f"  and {len(differences) - _SHOWN} more")
    return "\n".join(lines)


def _text(value: Any) -> str:
    return "nothing" if value is _NOTHING else json.dumps(value, sort_keys=True)


def _short(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
