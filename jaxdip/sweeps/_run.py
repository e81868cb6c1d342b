"""The engine's door: a sweep described, run and collected."""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._numbers import count
from jaxdip._types import Device, Key
from jaxdip.sweeps._collect import collect
from jaxdip.sweeps._grid import Grid, Value
from jaxdip.sweeps._keeper import Keeper, Memory
from jaxdip.sweeps._refine import Narrow
from jaxdip.sweeps._result import SweepResult
from jaxdip.sweeps._settings import Settings
from jaxdip.sweeps._store import Store
from jaxdip.sweeps._sweep import Sweep
from jaxdip.sweeps._trial import AbstractTrial
from jaxdip.sweeps._workers import SweepProgress, run_units


def sweep(
    trial: AbstractTrial | Callable[..., Any],
    grid: Grid | Mapping[str, Value | Sequence[Value]],
    *,
    trials: int,
    key: Key,
    paired: Sequence[str] = (),
    block: int | None = None,
    enough: Narrow | None = None,
    lanes: int | None = None,
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
        lanes: how many trials a device computes side by side; 0 for one after another. By default
            0 on CPUs, where each trial then stays in cache, and 256 on accelerators. Lanes are
            filled from all cells of a program; those of an `AbstractLoopTrial` are refilled when
            their trial has ended.
        store: a folder that keeps the units; a sweep goes on from what is there. Without it, all
            is kept in memory.
        allow_mixed: go on in a folder that was begun with another release or device.
        mesh: the devices to use, each by itself; one that is there twice computes two units at
            a time. By default all local ones, and every core of a CPU.
        worker: (i, N), this process's share of the units among N processes that share a store;
            when it is done, it takes over what others have not begun.
        executor: (pool, N): N tasks are given to a pool of the kind of `concurrent.futures` (of
            dask, submitit, mpi4py, …), each a worker of its own; needs a `store` that all see, and
            a trial that can be pickled. They compute under this process's JAX settings. Tasks of
            a pool of this machine's share its cores; others take all that they find, or as many
            threads as (pool, N, threads) says.
        progress: called with a `SweepProgress` after every unit, from one thread at a time, and at
            the end if others' units or cells that are known well enough have changed the counts.
        stop: asked between units; True ends the sweep, and `SweepResult.done` says how far it got.

    Returns:
        The outcomes of all units that are there, those of other processes included.

    Raises:
        TypeError, ValueError: for a wrong argument, a store of another sweep, or a trial that does
            not return arrays of one shape.
        OSError: if the store cannot be written.
    """
    described = Sweep.of(
        trial, grid, trials=trials, key=key, paired=paired, block=block, enough=enough, lanes=lanes
    )
    if executor is not None:
        _check_executor(executor, store, worker, progress, stop, mesh)
    devices = _devices(mesh)
    plan = described.plan(devices)
    keeper = Memory() if store is None else Store.create(store, plan, allow_mixed=allow_mixed)
    if executor is not None:
        _delegate(described, store, executor, allow_mixed)
        return collect(described, keeper, plan)
    return finish(described, keeper, devices, plan, worker=worker, progress=progress, stop=stop)


def finish(
    described: Sweep,
    keeper: Keeper,
    devices: Sequence[Device],
    provenance: Mapping[str, Any],
    *,
    worker: tuple[int, int] = (0, 1),
    progress: Callable[[SweepProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> SweepResult:
    """Computes what is not there, and collects all that is.

    Units that turn out to be broken when they are read are set aside and computed again.
    """
    again = {"worker": worker, "progress": progress, "stop": stop}
    run_units(described, keeper, devices, **again)
    result = collect(described, keeper, provenance)
    if result.complete or worker != (0, 1) or (stop is not None and stop()):
        return result
    run_units(described, keeper, devices, **again)
    return collect(described, keeper, provenance)


def _check_executor(executor: Any, store: Any, worker: Any, progress: Any, stop: Any, mesh: Any):
    if store is None:
        raise ValueError("workers of an executor meet in a folder: give store=, one that all see")
    if worker != (0, 1) or progress is not None or stop is not None:
        raise ValueError(
            "an executor's tasks are workers of their own: worker, progress and stop cannot be "
            "given with it"
        )
    if mesh is not None:
        raise ValueError(
            "an executor's tasks find devices of their own: mesh cannot be given with it; for a "
            "number of threads give executor=(pool, N, threads)"
        )
    if not isinstance(executor, tuple) or len(executor) not in (2, 3):
        raise TypeError(f"executor is (pool, N) or (pool, N, threads), got {executor!r}")
    for name, value in zip(("N", "threads"), executor[1:], strict=False):
        count(f"executor's {name}", value, 1)


def _delegate(described: Sweep, store: Any, executor: tuple[Any, ...], allow_mixed: bool) -> None:
    """Shares in a pool; what a lost task leaves is computed when the sweep is run again."""
    pool, workers = executor[:2]
    local = concurrent.futures.ProcessPoolExecutor | concurrent.futures.ThreadPoolExecutor
    threads = max(1, _cores() // workers) if isinstance(pool, local) else None
    threads = executor[2] if len(executor) == 3 else threads
    data = np.asarray(jax.random.key_data(described.key))
    kind = str(jax.random.key_impl(described.key))
    # JAX's arrays would arrive as what the other process has for 64 bits before it is told.
    trial = jax.tree.map(lambda x: _Sent(np.asarray(x)) if _is_plain(x) else x, described.trial)
    shared = dataclasses.replace(described, key=None, trial=trial)  # pyright: ignore[reportArgumentType]
    settings = Settings.now()
    tasks = [
        pool.submit(
            _share, settings, shared, data, kind, str(store), allow_mixed, (i, workers), threads
        )
        for i in range(workers)
    ]
    for task in tasks:
        task.result()


@dataclasses.dataclass(frozen=True, eq=False)
class _Sent:
    """A leaf that is an array of JAX's at both ends."""

    value: np.ndarray


def _is_plain(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)


def _share(
    settings: Settings,
    described: Sweep,
    data: np.ndarray,
    kind: str,
    store: str,
    allow_mixed: bool,
    worker: tuple[int, int],
    threads: int | None,
) -> None:
    """What one task of a pool does; nothing large is returned through it."""
    with settings.here():
        key = jax.random.wrap_key_data(jnp.asarray(data), impl=kind)
        trial = jax.tree.map(
            lambda x: jnp.asarray(x.value) if isinstance(x, _Sent) else x, described.trial
        )
        described = dataclasses.replace(described, key=key, trial=trial)
        devices = every_core(jax.local_devices(), threads)
        keeper = Store.create(store, described.plan(devices), allow_mixed=allow_mixed)
        run_units(described, keeper, devices, worker=worker)


def every_core(devices: Sequence[Device], threads: int | None = None) -> list[Device]:
    """The devices; those of a CPU as many times as makes one a thread.

    Threads that share a device share its compiled programs, which devices do not.

    Args:
        devices: of one platform.
        threads: by default one for each core that this process may use.
    """
    if devices[0].platform != "cpu":
        return list(devices)
    if threads is not None:
        return [devices[i % len(devices)] for i in range(threads)]
    return [devices[i % len(devices)] for i in range(max(_cores(), len(devices)))]


def _cores() -> int:
    """How many this process may use."""
    able = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if able else os.cpu_count() or 1


def _devices(mesh) -> list[Device]:
    if mesh is None:
        return every_core(jax.local_devices())
    found = mesh.local_devices if isinstance(mesh, jax.sharding.Mesh) else mesh
    devices = list(found)
    if not devices:
        raise ValueError("mesh holds no device of this process; leave it out for all of them")
    return devices
