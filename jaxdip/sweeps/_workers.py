"""Units computed and committed, by every device of a process at once."""

import concurrent.futures
import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from jaxdip._types import Device
from jaxdip.sweeps._collect import KnownWell
from jaxdip.sweeps._keeper import Keeper
from jaxdip.sweeps._settings import Settings
from jaxdip.sweeps._sweep import Sweep
from jaxdip.sweeps._unit import Unit


@dataclasses.dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is.

    Attributes:
        units: done so far, those of other processes as far as they were seen.
        total: all that are needed: without those of cells that are known well enough.
        trials: computed by this process.
        seconds: since this process began.
        unit: the last one.
        finished: trials in `units`.
        needed: trials in `total`.
    """

    units: int
    total: int
    trials: int
    seconds: float
    unit: Unit
    finished: int
    needed: int


def run_units(
    described: Sweep,
    keeper: Keeper,
    devices: Sequence[Device],
    *,
    worker: tuple[int, int] = (0, 1),
    progress: Callable[[SweepProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> None:
    """Computes and commits every unit that is not there, in a thread for each entry of `devices`.

    A device may be there several times: a CPU computes as many trials at once as it has cores.
    """
    todo = _Todo(described, keeper, devices, worker, progress, stop)
    with concurrent.futures.ThreadPoolExecutor(len(devices)) as pool:
        working = [pool.submit(todo.work, device) for device in devices]
        try:
            for future in concurrent.futures.as_completed(working):
                future.result()
        finally:
            # An error or an interrupt in one ends all, after the units that they are at.
            todo.end()
    todo.tell_the_end()


#: How many units are passed over at most for the sake of one whose program is there.
_AHEAD = 200
#: Seconds after which the folder is looked at again for what other workers have done.
_LOOK = 5.0


class _Todo:
    """The units that are left, shared by the threads of a process."""

    def __init__(self, described, keeper, devices, worker, progress, stop):
        index, workers = _checked(worker)
        self._sweep, self._keeper = described, keeper
        self._progress, self._stop = progress, stop
        self._lock, self._began, self._trials = threading.Lock(), time.perf_counter(), 0
        self._ended = False
        self._programs: dict[int, Hashable] = {}
        # Threads do not inherit the contexts of the one that called.
        self._settings = Settings.now()
        self._known: dict[int, KnownWell] = {}
        units = described.units()
        if any(described.room(device) > 1 for device in devices):
            # Units of one program follow one another, that lanes are filled from all its cells.
            first: dict[Hashable, int] = {}
            rank = {c: first.setdefault(self._program(c), c) for c in range(len(described.grid))}
            units.sort(key=lambda unit: (rank[unit.cell], unit))
        self._by_cell: dict[int, list[Unit]] = {}
        for unit in units:
            self._by_cell.setdefault(unit.cell, []).append(unit)
        self._tally = _Tally(units)
        self._seen, self._given = set[str](), set[str]()
        self._closed = set[int]()
        self._look()
        self._alone = workers == 1
        self._last: SweepProgress | None = None
        self._held: deque[Unit] = deque()
        # Rounds decide on a unit when it is asked for, so they are not asked ahead.
        self._ahead = _AHEAD if described.enough is None else 0
        self._compiling: set[Hashable] = set()
        self._compiled: set[Hashable] = set()
        order = self._order if described.enough is None else self._by_rounds
        self._left = order(units, index, workers)

    def _order(self, units: list[Unit], index: int, workers: int) -> Iterator[Unit]:
        """The own share, then that of the others, from its end: they begin at its start."""
        own = units[index::workers]
        others = [unit for i, unit in enumerate(units) if i % workers != index]
        for unit in own:
            if unit.name not in self._seen:
                yield unit
        for unit in reversed(others):
            # What others have done meanwhile is asked for only once what was known is done.
            if unit.name not in self._seen:
                self._look()
            if unit.name not in self._seen:
                yield unit

    def _by_rounds(self, units: list[Unit], index: int, workers: int) -> Iterator[Unit]:
        """First blocks of all cells, then second ones of those that are not known well enough."""
        by_cell = self._by_cell
        cells = list(by_cell)
        others = (c for i, c in reversed(list(enumerate(cells))) if i % workers != index)
        mine = [*cells[index::workers], *others]
        for nth in range(len(by_cell[cells[0]])):
            for cell in mine:
                # Where an earlier block is still being computed, this one is, on the chance.
                if cell in self._closed or (nth > 0 and self._is_known(cell)):
                    continue
                before, unit = by_cell[cell][:nth], by_cell[cell][nth]
                for one in (*before, unit):
                    if one.name in self._given:
                        continue
                    if one.name not in self._seen:
                        self._look()
                    if one.name not in self._seen:
                        yield one

    def _is_known(self, cell: int) -> bool:
        """Whether the blocks of a cell that are there, up to the first missing one, are enough."""
        rule = self._sweep.enough
        if rule is None or cell in self._closed:
            return rule is not None
        units = self._by_cell[cell]
        known = self._known.setdefault(cell, KnownWell(rule))
        if known.after(self._keeper, units):
            self._closed.add(cell)
            self._tally.drop([unit for unit in units if unit.name not in self._seen])
        return cell in self._closed

    def _look(self) -> None:
        """Takes note of what is in the folder."""
        new = self._keeper.done() - self._seen
        self._seen |= new
        self._tally.add(new)
        self._looked = time.perf_counter()

    def _program(self, cell: int) -> Hashable:
        if cell not in self._programs:
            self._programs[cell] = self._sweep.trial.program(self._sweep.grid.point(cell))
        return self._programs[cell]

    def _next(self, room: int) -> list[Unit]:
        """The next units, of one program and as many as a device takes at once."""
        units: list[Unit] = []
        with self._lock:
            if self._ended or (self._stop is not None and self._stop()):
                return units
            unit = self._first()
            while unit is not None:
                units.append(unit)
                self._given.add(unit.name)
                if len(units) == room:
                    break
                unit = self._held.popleft() if self._held else next(self._left, None)
                if unit is not None and not self._together(units[0], unit):
                    self._held.appendleft(unit)
                    break
            if units:
                self._compiling |= {self._program(units[0].cell)} - self._compiled
        return units

    def _first(self) -> Unit | None:
        """The next unit, or one near it whose program no other thread is compiling.

        Two threads that met a new program at once would both compile it.
        """
        for place, unit in enumerate(self._held):
            if self._program(unit.cell) not in self._compiling:
                del self._held[place]
                return unit
        while (unit := next(self._left, None)) is not None:
            if self._program(unit.cell) not in self._compiling or len(self._held) >= self._ahead:
                return unit
            self._held.append(unit)
        return self._held.popleft() if self._held else None

    def _done_compiling(self, unit: Unit) -> None:
        with self._lock:
            self._compiled.add(self._program(unit.cell))
            self._compiling -= self._compiled

    def _together(self, one: Unit, other: Unit) -> bool:
        """Whether two units may be computed at once; a round's end tells what the next needs."""
        round_ends = self._sweep.enough is not None and one.start != other.start
        return not round_ends and self._program(one.cell) == self._program(other.cell)

    def end(self) -> None:
        """No more units are given out."""
        with self._lock:
            self._ended = True

    def work(self, device: Device) -> None:
        """Takes units until there are none."""
        with self._settings.here():
            self._work(device)

    def _work(self, device: Device) -> None:
        room = self._sweep.room(device)
        while units := self._next(room):
            began = time.perf_counter()
            made = self._sweep.compute(units, device)
            self._done_compiling(units[0])
            seconds = (time.perf_counter() - began) / len(units)
            for unit, outcomes in zip(units, made, strict=True):
                self._keeper.commit(unit, outcomes, {"seconds": seconds, "device": str(device)})
                self._report(unit)

    def _report(self, unit: Unit) -> None:
        with self._lock:
            self._tally.add({unit.name} - self._seen)
            self._seen.add(unit.name)
            self._trials += unit.count
            if self._progress is None:
                return
            if not self._alone and time.perf_counter() - self._looked > _LOOK:
                self._look()
            self._is_known(unit.cell)
            self._tell(unit)

    def _tell(self, unit: Unit) -> None:
        assert self._progress is not None
        seconds, tally = time.perf_counter() - self._began, self._tally
        self._last = SweepProgress(
            tally.units, tally.total, self._trials, seconds, unit, tally.finished, tally.needed
        )
        self._progress(self._last)

    def tell_the_end(self) -> None:
        """Once more, if what others did or what was not needed has changed the counts."""
        with self._lock:
            if self._last is None:
                return
            self._look()
            told = self._last.units, self._last.total
            if told != (self._tally.units, self._tally.total):
                self._tell(self._last.unit)


class _Tally:
    """Counts of units and of their trials: done, and needed."""

    def __init__(self, units: list[Unit]):
        self._counts = {unit.name: unit.count for unit in units}
        self._dropped: set[str] = set()
        self.units = self.finished = 0
        self.total, self.needed = len(units), sum(self._counts.values())

    def add(self, names: set[str]) -> None:
        """Units that are done and were not before; what is not needed is not counted."""
        for name in names:
            if name in self._counts and name not in self._dropped:
                self.units += 1
                self.finished += self._counts[name]

    def drop(self, units: list[Unit]) -> None:
        """Units that are not needed."""
        for unit in units:
            self._dropped.add(unit.name)
            self.total -= 1
            self.needed -= unit.count


def _checked(worker: Any) -> tuple[int, int]:
    whole_pair = isinstance(worker, tuple) and len(worker) == 2
    if not whole_pair or not all(isinstance(x, int) for x in worker):
        raise TypeError(f"worker is (i, N), two whole numbers, got {worker!r}")
    if not 0 <= worker[0] < worker[1]:
        raise ValueError(f"worker is (i, N) with 0 <= i < N, got {worker}")
    return worker
