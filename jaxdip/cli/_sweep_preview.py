"""What a sweep would do, before it does it."""

import collections
import dataclasses
import time
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from jaxdip.cli._outputs import table
from jaxdip.cli._sweep_config import SweepConfig
from jaxdip.sweeps import Grid, Sweep, Unit

#: Seconds for which cells are tried, to estimate the time; one is tried in any case.
_BUDGET = 20.0
#: How many cells are tried at most, and trials of each in so many seconds.
_PROBES, _TRIALS, _SHARE = 64, 4, 1.0
#: How many programs are listed.
_ROWS = 12


def preview(config: SweepConfig, devices: Sequence[Any]) -> str:
    """Cells, trials, programs with their shapes, memory and an estimate of time.

    The estimate is from as many cells as can be tried in 20 s: a few trials of each, or as many as
    the device takes at once. Every cell is taken to cost as much as the nearest one tried.

    Raises:
        ValueError: if the trial cannot run on such a device.
    """
    described = config.sweep
    described.check_device(devices[0])
    points = list(described.grid.points())
    programs = collections.Counter(described.trial.program(point) for point in points)
    tried = _tried(described, devices[0])
    probes = list(tried.values())
    size = sum(x.nbytes / len(x) for x in probes[0].made.values())
    size *= len(points) * described.trials
    costs = np.array([probe.seconds for probe in probes])
    computing = float(costs[_nearest(described.grid, list(tried))].sum()) * described.trials
    # What programs share is compiled with the first of them.
    met = {described.trial.program(described.grid.point(cell)) for cell in tried}
    compiling = sum(probe.compiling for probe in probes) * len(programs) / len(met)
    total = (computing + compiling) / len(devices)
    memory = max(probe.memory for probe in probes) * len(devices)
    shape = " × ".join(f"{name} {len(values)}" for name, values in described.grid.axes.items())
    rows = [
        f"cells      {len(points)}" + (f" ({shape})" if shape else ""),
        f"trials     {described.trials} a cell, {len(points) * described.trials} in all",
        f"units      {len(described.units())} of {described.block} trials",
        f"programs   {len(programs)}, {compiling:.2g} s to compile in all, less what the cache has",
        f"devices    {len(devices)} × {devices[0].platform}",
        f"memory     {memory / 2**20:.3g} MiB for what is computed at once, in the largest of "
        f"{len(probes)} cells",
        f"results    {size / 2**20:.3g} MiB: {', '.join(probes[0].made)}",
        f"time       about {clock(total)}, from {len(probes)} cells in which a trial took "
        f"{costs.min() * 1e3:.3g} to {costs.max() * 1e3:.3g} ms"
        + ("; less where cells end early" if described.enough is not None else ""),
    ]
    if config.refine is not None:
        axis, rounds = config.refine
        rows.append(f"refine     {axis}: then {rounds} rounds at most, which are not counted here")
    return "\n".join([*rows, "", _programs(programs)])


def clock(seconds: float) -> str:
    """A time in words."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


@dataclasses.dataclass(frozen=True, eq=False)
class _Probe:
    """Of one cell: outcomes, seconds a trial, seconds of compilation, bytes at once."""

    made: dict[str, np.ndarray]
    seconds: float
    compiling: float
    memory: int


def _tried(described: Sweep, device: Any) -> dict[int, _Probe]:
    """Cells all over the grid, each tried, for as long as there is time."""
    cells = len(described.grid)
    # The last one first, often the largest; then any, the same every time.
    others = np.random.default_rng(0).permutation(cells - 1).tolist()
    begin, found = time.perf_counter(), dict[int, _Probe]()
    for cell in (cells - 1, *others[: _PROBES - 1]):
        found[cell] = _probe(described, cell, device)
        if time.perf_counter() - begin > _BUDGET:
            break
    return found


def _nearest(grid: Grid, cells: Sequence[int]) -> np.ndarray:
    """Of each cell, which of some cells is nearest, in shares of the axes; shape (len(grid),)."""
    shape = grid.shape or (1,)
    places = np.stack(np.unravel_index(np.arange(len(grid)), shape), -1) / shape
    best, least = np.zeros(len(grid), int), np.full(len(grid), np.inf)
    for i, cell in enumerate(cells):
        distance = np.linalg.norm(places - places[cell], axis=-1)
        best, least = np.where(distance < least, i, best), np.minimum(distance, least)
    return best


def _probe(described: Sweep, cell: int, device: Any) -> _Probe:
    units = [Unit(cell, 0, 1)]
    one = dataclasses.replace(described, trials=_TRIALS, block=1)
    more = [[Unit(cell, i, 1)] for i in range(1, _TRIALS)]
    if described.room(device) > 1:
        # Side by side a trial alone takes as long as many: as many as there are, then.
        one, more = described, []
        here = (unit for unit in described.units() if unit.cell == cell)
        units = [unit for unit, _ in zip(here, range(described.room(device)), strict=False)]
    begin = time.perf_counter()
    one.compute(units, device)
    again = time.perf_counter()
    made = one.compute(units, device)[0]
    seconds = first = time.perf_counter() - again
    trials = sum(unit.count for unit in units)
    for another in more:
        if seconds > _SHARE:
            break
        start = time.perf_counter()
        one.compute(another, device)
        seconds += time.perf_counter() - start
        trials += 1
    compiling = max(0.0, again - begin - first)
    return _Probe(made, seconds / trials, compiling, one.memory(units[0], device))


def _programs(programs: collections.Counter[Hashable]) -> str:
    """How many cells each program has, and in what the programs differ: sizes are padded."""
    fields = [_fields(program) for program in programs]
    common = set.intersection(*(set(one) for one in fields))
    told = [[item for item in one if item not in common] for one in fields]
    rows = [["cells", "program"]]
    counts = zip(programs.values(), told, strict=True)
    for cells, words in sorted(counts, key=lambda row: -row[0])[:_ROWS]:
        rows.append([str(cells), ", ".join(words) or "one for all"])
    more = len(programs) - _ROWS
    return table(rows) + (f"\n… and {more} more programs" if more > 0 else "")


def _fields(program: Any) -> list[str]:
    """A program in words, one an entry."""
    if dataclasses.is_dataclass(program) and not isinstance(program, type):
        names = [field.name for field in dataclasses.fields(program)]
        return [f"{name} {getattr(program, name)}" for name in names]
    items = program if isinstance(program, tuple) else (program,)
    return [" ".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in items]
