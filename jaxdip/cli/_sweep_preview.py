"""What a sweep would do, before it does it."""

import collections
import dataclasses
import time
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from jaxdip.cli._outputs import table
from jaxdip.cli._sweep_config import SweepConfig
from jaxdip.sweeps import Sweep, Unit

#: How many cells are tried, to estimate the time.
_PROBES = 3
#: How many programs are listed.
_ROWS = 12


def preview(config: SweepConfig, devices: Sequence[Any]) -> str:
    """Cells, trials, programs with their shapes, memory and an estimate of time.

    The estimate is from a few cells: a trial of each, or as many as the device takes at once.
    """
    described = config.sweep
    points = list(described.grid.points())
    programs = collections.Counter(described.trial.program(point) for point in points)
    probes = [_probe(described, cell, devices[0]) for cell in _spread(len(points))]
    size = sum(x.nbytes / len(x) for x in probes[0].made.values())
    size *= len(points) * described.trials
    mean = float(np.mean([probe.seconds for probe in probes]))
    compiling = float(np.max([probe.compiling for probe in probes]))
    total = mean * len(points) * described.trials / len(devices) + compiling * len(programs)
    memory = max(probe.memory for probe in probes) * len(devices)
    shape = " × ".join(f"{name} {len(values)}" for name, values in described.grid.axes.items())
    rows = [
        f"cells      {len(points)}" + (f" ({shape})" if shape else ""),
        f"trials     {described.trials} a cell, {len(points) * described.trials} in all",
        f"units      {len(described.units())} of {described.block} trials",
        f"programs   {len(programs)}, {compiling:.1f} s to compile where not in the cache",
        f"devices    {len(devices)} × {devices[0].platform}",
        f"memory     {memory / 2**20:.3g} MiB for what is computed at once, in the largest of "
        f"{len(probes)} cells",
        f"results    {size / 2**20:.3g} MiB: {', '.join(probes[0].made)}",
        f"time       about {clock(total)}, from {mean * 1e3:.3g} ms for one trial in each of "
        f"{len(probes)} cells; costs vary by orders of magnitude",
    ]
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


def _spread(cells: int) -> list[int]:
    return np.unique(np.linspace(0, cells - 1, _PROBES).astype(int)).tolist()


def _probe(described: Sweep, cell: int, device: Any) -> _Probe:
    units = [Unit(cell, 0, 1)]
    one = dataclasses.replace(described, trials=1, block=1)
    if described.room(device) > 1:
        # Side by side a trial alone takes as long as many: as many as there are, then.
        one = described
        here = (unit for unit in described.units() if unit.cell == cell)
        units = [unit for unit, _ in zip(here, range(described.room(device)), strict=False)]
    begin = time.perf_counter()
    one.compute(units, device)
    again = time.perf_counter()
    made = one.compute(units, device)[0]
    seconds = time.perf_counter() - again
    trials = sum(unit.count for unit in units)
    return _Probe(made, seconds / trials, again - begin - seconds, one.memory(units[0], device))


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
