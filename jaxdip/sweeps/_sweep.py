"""The engine: units of work, computed by every device, committed one by one."""

import concurrent.futures
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._fingerprint import fingerprint
from jaxdip._numbers import count
from jaxdip._random import check_key
from jaxdip._types import Device, Key
from jaxdip.sweeps._grid import Grid, Value, cell_key
from jaxdip.sweeps._identity import numerical_identity, trial_digest
from jaxdip.sweeps._kernels import one_by_one
from jaxdip.sweeps._refine import Narrow
from jaxdip.sweeps._result import SweepResult
from jaxdip.sweeps._store import Store
from jaxdip.sweeps._trial import AbstractTrial, FunctionTrial
from jaxdip.sweeps._unit import Unit

#: Trials in a unit unless told otherwise: small enough that a lost unit is cheap.
_BLOCK = 50


class Keeper(Protocol):
    """Where units are kept: a folder, or memory."""

    def done(self) -> set[str]:
        """The names of the units that are there."""
        ...

    def commit(self, unit: Unit, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> bool:
        """Keeps a unit; False if it was there already."""
        ...

    def read(self, unit: Unit) -> tuple[dict[str, np.ndarray], dict] | None:
        """A unit's outcomes and what is known of their making; None if there is none."""
        ...


class Memory:
    """Units kept in this process only."""

    def __init__(self):
        """Nothing yet."""
        self._units: dict[str, tuple[dict[str, np.ndarray], dict]] = {}

    def done(self) -> set[str]:
        """The names of the units that are there."""
        return set(self._units)

    def commit(self, unit: Unit, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> bool:
        """Keeps a unit; False if it was there already."""
        new = unit.name not in self._units
        self._units.setdefault(unit.name, (dict(arrays), dict(meta)))
        return new

    def read(self, unit: Unit) -> tuple[dict[str, np.ndarray], dict] | None:
        """A unit's outcomes; None if there is none."""
        return self._units.get(unit.name)


@dataclasses.dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is.

    Attributes:
        units: done so far, those of other processes as far as they were seen.
        total: all.
        trials: computed by this process.
        seconds: since this process began.
        unit: the last one.
    """

    units: int
    total: int
    trials: int
    seconds: float
    unit: Unit


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """A sweep as it is described, before anything runs.

    Attributes:
        trial: what is repeated.
        grid: the cells.
        trials: of each cell.
        key: the sweep's key.
        paired: parameters that do not enter the cells' keys.
        block: trials of a unit.
        enough: when a cell needs no more units.
    """

    trial: AbstractTrial
    grid: Grid
    trials: int
    key: Key
    paired: tuple[str, ...] = ()
    block: int = _BLOCK
    enough: Narrow | None = None

    @staticmethod
    def of(
        trial: AbstractTrial | Callable[..., Any],
        grid: Grid | Mapping[str, Value | Sequence[Value]],
        *,
        trials: int,
        key: Key,
        paired: Sequence[str] = (),
        block: int | None = None,
        enough: Narrow | None = None,
    ) -> "Sweep":
        """A checked sweep.

        Raises:
            TypeError, ValueError: as `sweep`.
        """
        check_key(key)
        if not isinstance(trial, AbstractTrial):
            if not callable(trial):
                raise TypeError(f"trial is a function of (key, point), got {type(trial).__name__}")
            trial = FunctionTrial(trial)
        cells = Grid.of(grid)
        known = {*cells.axes, *cells.constants}
        if isinstance(paired, str):
            raise TypeError(f"paired is a list of names, got {paired!r}; write [{paired!r}]")
        for name in paired:
            if name not in known:
                raise ValueError(f"paired names {name!r}, the grid has {', '.join(sorted(known))}")
        trials = count("trials", trials, 1)
        block = min(trials, _BLOCK) if block is None else count("block", block, 1)
        return Sweep(trial, cells, trials, key, tuple(paired), min(block, trials), enough)

    def units(self) -> list[Unit]:
        """All units, cell by cell."""
        starts = range(0, self.trials, self.block)
        return [
            Unit(cell, start, min(self.block, self.trials - start))
            for cell in range(len(self.grid))
            for start in starts
        ]

    def spec(self) -> dict[str, Any]:
        """What is computed, and how it is cut into units, for the plan."""
        return {
            "grid": self.grid.as_json(),
            "trials": self.trials,
            "key": np.asarray(jax.random.key_data(self.key)).ravel().tolist(),
            "key_kind": str(jax.random.key_impl(self.key)),
            "paired": sorted(self.paired),
            "block": self.block,
            "enough": None if self.enough is None else _rule(self.enough),
            "trial": type(self.trial).__name__,
            "trial_digest": trial_digest(self.trial),
        }

    def plan(self, devices: Sequence[Device]) -> dict[str, Any]:
        """What `plan.json` says: the spec, and what decides the last bits."""
        identity = numerical_identity(devices, "one by one")
        return {"spec": self.spec(), "fingerprint": identity}

    def compute(self, unit: Unit, device: Device) -> dict[str, np.ndarray]:
        """The outcomes of a unit, from the sweep's key and the unit's numbers alone."""
        point = self.grid.point(unit.cell)
        program, numbers = self.trial.program(point), self.trial.numbers(point)
        # The last block of a cell is as long as the others, so that all share a program.
        ids = np.minimum(np.arange(self.block) + unit.start, unit.start + unit.count - 1)
        key, numbers, ids = jax.device_put(
            (cell_key(self.key, point, self.paired), numbers, jnp.asarray(ids, jnp.int32)), device
        )
        made = one_by_one(self.trial, program, numbers, key, ids)
        return {name: np.asarray(x)[: unit.count] for name, x in made.items()}


def sweep(
    trial: AbstractTrial | Callable[..., Any],
    grid: Grid | Mapping[str, Value | Sequence[Value]],
    *,
    trials: int,
    key: Key,
    paired: Sequence[str] = (),
    block: int | None = None,
    enough: Narrow | None = None,
    store: Any = None,
    allow_mixed: bool = False,
    mesh: jax.sharding.Mesh | Sequence[Device] | None = None,
    worker: tuple[int, int] = (0, 1),
    executor: Any = None,
    progress: Callable[[SweepProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> SweepResult:
    """Runs every trial of every cell.

    The unit of work is a block of trials of one cell, computed on one device from the key and the
    unit's numbers alone. So a sweep gives the same bits on one kind of device however it is
    divided among devices and processes, in whatever order, and after any interruption.

    Args:
        trial: a function of (key, point) that returns a pytree of arrays, or an `AbstractTrial`.
            Floats of the point arrive as arrays, all else as it is; see `FunctionTrial`.
        grid: by name, a value, or a list of values that is then an axis; or a `Grid`.
        trials: how many of each cell.
        key: the random key.
        paired: parameters that do not enter the cells' keys, so that cells which differ in these
            alone share their draws.
        block: trials of a unit, by default 50.
        enough: end a cell after a block with which its frequency is known well enough; `trials` is
            then the most that a cell gets. What counts does not depend on who computed what.
        store: a folder that keeps the units; a sweep goes on from what is there. Without it, all
            is kept in memory.
        allow_mixed: go on in a folder that was begun with another release or device.
        mesh: the devices to use, by default all local ones; each runs by itself.
        worker: (i, N), this process's share of the units among N processes that share a store;
            when it is done, it takes over what others have not begun.
        executor: (pool, N): N tasks are given to a pool of the kind of `concurrent.futures` (of
            dask, submitit, mpi4py, …), each a worker of its own; needs a `store` that all see, and
            a trial that can be pickled.
        progress: called with a `SweepProgress` after every unit, from one thread at a time.
        stop: asked between units; True ends the sweep, and `SweepResult.done` says how far it got.

    Returns:
        The outcomes of all units that are there, those of other processes included.

    Raises:
        TypeError, ValueError: for a wrong argument, a store of another sweep, or a trial that does
            not return arrays of one shape.
        OSError: if the store cannot be written.
    """
    described = Sweep.of(
        trial, grid, trials=trials, key=key, paired=paired, block=block, enough=enough
    )
    devices = _devices(mesh)
    plan = described.plan(devices)
    keeper = Memory() if store is None else Store.create(store, plan, allow_mixed=allow_mixed)
    if executor is not None:
        if worker != (0, 1) or progress is not None or stop is not None:
            raise ValueError(
                "an executor's tasks are workers of their own: worker, progress and stop cannot be "
                "given with it"
            )
        _delegate(described, store, executor, allow_mixed)
        return collect(described, keeper, plan)
    run_units(described, keeper, devices, worker=worker, progress=progress, stop=stop)
    result = collect(described, keeper, plan)
    if not result.complete and stop is None and worker == (0, 1):
        # A unit that was there and turned out to be broken has been set aside.
        run_units(described, keeper, devices, progress=progress)
        result = collect(described, keeper, plan)
    return result


def run_units(
    described: Sweep,
    keeper: Keeper,
    devices: Sequence[Device],
    *,
    worker: tuple[int, int] = (0, 1),
    progress: Callable[[SweepProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> None:
    """Computes and commits every unit that is not there, each device in a thread of its own."""
    todo = _Todo(described, keeper, worker, progress, stop)
    with concurrent.futures.ThreadPoolExecutor(len(devices)) as pool:
        working = [pool.submit(todo.work, device) for device in devices]
        try:
            for future in concurrent.futures.as_completed(working):
                future.result()
        finally:
            # An error or an interrupt in one ends all, after the units that they are at.
            todo.end()


def _delegate(described: Sweep, store: Any, executor: tuple[Any, int], allow_mixed: bool) -> None:
    """Shares in a pool; what a lost task leaves is computed when the sweep is run again."""
    if store is None:
        raise ValueError("workers of an executor meet in a folder: give store=, one that all see")
    pool, workers = executor
    data = np.asarray(jax.random.key_data(described.key))
    kind = str(jax.random.key_impl(described.key))
    shared = dataclasses.replace(described, key=None)  # pyright: ignore[reportArgumentType]
    tasks = [
        pool.submit(_share, shared, data, kind, str(store), allow_mixed, (i, workers))
        for i in range(workers)
    ]
    for task in tasks:
        task.result()


def _share(described: Sweep, data: np.ndarray, kind: str, store: str, allow_mixed: bool, worker):
    """What one task of a pool does; nothing large is returned through it."""
    key = jax.random.wrap_key_data(jnp.asarray(data), impl=kind)
    described = dataclasses.replace(described, key=key)
    devices = jax.local_devices()
    keeper = Store.create(store, described.plan(devices), allow_mixed=allow_mixed)
    run_units(described, keeper, devices, worker=worker)


class _Todo:
    """The units that are left, shared by the threads of a process."""

    def __init__(self, described, keeper, worker, progress, stop):
        index, workers = _checked(worker)
        self._sweep, self._keeper = described, keeper
        self._progress, self._stop = progress, stop
        self._lock, self._began, self._trials = threading.Lock(), time.perf_counter(), 0
        self._ended = False
        # Threads do not inherit the contexts of the one that called.
        self._x64 = jnp.result_type(float) == jnp.float64
        self._precision = getattr(jax.config, "jax_default_matmul_precision", None)
        units = described.units()
        self._total = len(units)
        self._seen, self._given = keeper.done(), set[str]()
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
                self._seen |= self._keeper.done()
            if unit.name not in self._seen:
                yield unit

    def _by_rounds(self, units: list[Unit], index: int, workers: int) -> Iterator[Unit]:
        """First blocks of all cells, then second ones of those that are not known well enough."""
        rule = self._sweep.enough
        assert rule is not None
        closed: set[int] = set()
        cells = range(len(self._sweep.grid))
        mine = [*cells[index::workers], *(c for c in reversed(cells) if c % workers != index)]
        by_cell: dict[int, list[Unit]] = {}
        for unit in units:
            by_cell.setdefault(unit.cell, []).append(unit)
        for nth in range(len(by_cell[0])):
            for cell in mine:
                if cell in closed:
                    continue
                before, unit = by_cell[cell][:nth], by_cell[cell][nth]
                # Where an earlier block is still being computed, this one is, on the chance.
                if before and _closed(rule, self._keeper, before):
                    closed.add(cell)
                    continue
                for one in (*before, unit):
                    if one.name not in self._seen | self._given:
                        self._seen |= self._keeper.done()
                    if one.name not in self._seen | self._given:
                        yield one

    def _next(self) -> Unit | None:
        with self._lock:
            if self._ended or (self._stop is not None and self._stop()):
                return None
            unit = next(self._left, None)
            if unit is not None:
                self._given.add(unit.name)
            return unit

    def end(self) -> None:
        """No more units are given out."""
        with self._lock:
            self._ended = True

    def work(self, device: Device) -> None:
        """Takes units until there are none."""
        with jax.enable_x64(self._x64), jax.default_matmul_precision(self._precision):
            self._work(device)

    def _work(self, device: Device) -> None:
        while (unit := self._next()) is not None:
            began = time.perf_counter()
            made = self._sweep.compute(unit, device)
            seconds = time.perf_counter() - began
            self._keeper.commit(unit, made, {"seconds": seconds, "device": str(device)})
            self._report(unit)

    def _report(self, unit: Unit) -> None:
        with self._lock:
            self._seen.add(unit.name)
            self._trials += unit.count
            if self._progress is not None:
                seconds = time.perf_counter() - self._began
                told = len(self._seen), self._total, self._trials, seconds
                self._progress(SweepProgress(*told, unit))


def collect(described: Sweep, keeper: Keeper, provenance: Mapping[str, Any]) -> SweepResult:
    """The outcomes of the units that are there.

    Raises:
        ValueError: if the outcomes of two cells differ in name, shape or type.
    """
    shape = (*described.grid.shape, described.trials)
    flat = (math.prod(described.grid.shape), described.trials)
    done = np.zeros(flat, bool)
    outcomes: dict[str, np.ndarray] = {}
    closed = np.zeros(flat[0], bool)
    parts: dict[str, list[np.ndarray]] = {}
    names = keeper.done()
    for unit in described.units():
        if unit.start == 0:
            parts = {}
        found = keeper.read(unit) if unit.name in names else None
        if found is None or closed[unit.cell]:
            continue
        if described.enough is not None and done[unit.cell, : unit.start].all():
            for name, x in found[0].items():
                parts.setdefault(name, []).append(x)
            whole = {name: np.concatenate(x) for name, x in parts.items()}
            closed[unit.cell] = described.enough.enough(whole)
        if outcomes and found[0].keys() != outcomes.keys():
            raise ValueError(
                f"the outcomes are {', '.join(sorted(outcomes))} in one cell and "
                f"{', '.join(sorted(found[0]))} in another; return the same names"
            )
        rows = slice(unit.start, unit.start + unit.count)
        done[unit.cell, rows] = True
        for name, x in found[0].items():
            if name not in outcomes:
                missing = np.nan if np.issubdtype(x.dtype, np.inexact) else 0
                outcomes[name] = np.full((*flat, *x.shape[1:]), missing, x.dtype)
            whole = outcomes[name]
            if whole.shape[2:] != x.shape[1:]:
                raise ValueError(
                    f"the outcome {name!r} has shape {whole.shape[2:]} in one cell and "
                    f"{x.shape[1:]} in another; return arrays of one shape, such as scalars"
                )
            if whole.dtype != x.dtype:
                raise ValueError(
                    f"the outcome {name!r} is {whole.dtype} in one cell and {x.dtype} in another; "
                    "return one kind of number"
                )
            whole[unit.cell, rows] = x
    return SweepResult(
        grid=described.grid,
        outcomes={name: x.reshape(*shape, *x.shape[2:]) for name, x in outcomes.items()},
        done=done.reshape(shape),
        closed=closed.reshape(described.grid.shape),
        provenance=dict(provenance),
    )


def _closed(rule: Narrow, keeper: Keeper, units: Sequence[Unit]) -> bool:
    """Whether a cell needs no more, asked after each of its blocks in their order."""
    parts: dict[str, list[np.ndarray]] = {}
    for unit in units:
        found = keeper.read(unit)
        if found is None:
            return False
        for name, x in found[0].items():
            parts.setdefault(name, []).append(x)
        if rule.enough({name: np.concatenate(x) for name, x in parts.items()}):
            return True
    return False


def _rule(rule: Narrow) -> dict[str, Any]:
    """The rule for the plan; a condition of one's own by a digest of its code."""
    event = rule.event
    if not isinstance(event, str):
        event = np.asarray(fingerprint(event=event)["event"]).tobytes().hex()
    return {"event": event, "width": rule.width, "level": rule.level, "least": rule.least}


def _checked(worker: Any) -> tuple[int, int]:
    whole_pair = isinstance(worker, tuple) and len(worker) == 2
    if not whole_pair or not all(isinstance(x, int) for x in worker):
        raise TypeError(f"worker is (i, N), two whole numbers, got {worker!r}")
    if not 0 <= worker[0] < worker[1]:
        raise ValueError(f"worker is (i, N) with 0 <= i < N, got {worker}")
    return worker


def _devices(mesh) -> list[Device]:
    if mesh is None:
        return jax.local_devices()
    found = mesh.local_devices if isinstance(mesh, jax.sharding.Mesh) else mesh
    devices = list(found)
    if not devices:
        raise ValueError("mesh holds no device of this process; leave it out for all of them")
    return devices
