"""What a sweep would do, before it does it."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdip.cli._sweep_config import SweepConfig
from jaxdip.sweeps import Sweep, Unit

#: How many cells are tried, to estimate the time.
_PROBES = 3


def preview(config: SweepConfig, devices: Sequence[Any]) -> str:
    """Cells, trials, programs, memory and an estimate of time, from a trial of a few cells."""
    described = config.sweep
    points = list(described.grid.points())
    programs = {described.trial.program(point) for point in points}
    probes = _probe(described, devices[0])
    size = sum(x.nbytes for x in probes[0][1].values()) * len(points) * described.trials
    mean = float(np.mean([seconds for seconds, _, _ in probes]))
    compiling = float(np.max([first for _, _, first in probes]))
    total = mean * len(points) * described.trials / len(devices) + compiling * len(programs)
    shape = " × ".join(f"{name} {len(values)}" for name, values in described.grid.axes.items())
    rows = [
        f"cells      {len(points)}" + (f" ({shape})" if shape else ""),
        f"trials     {described.trials} a cell, {len(points) * described.trials} in all",
        f"units      {len(described.units())} of {described.block} trials",
        f"programs   {len(programs)}, {compiling:.1f} s to compile where not in the cache",
        f"devices    {len(devices)} × {devices[0].platform}",
        f"results    {size / 2**20:.3g} MiB: {', '.join(probes[0][1])}",
        f"time       about {_clock(total)}, from {mean * 1e3:.3g} ms for one trial in each of "
        f"{len(probes)} cells; costs vary by orders of magnitude",
    ]
    return "\n".join(rows)


def _probe(described: Sweep, device: Any) -> list[tuple[float, dict[str, np.ndarray], float]]:
    """Seconds of a trial, its outcomes and seconds with compilation, of cells spread evenly."""
    cells = np.unique(np.linspace(0, len(described.grid) - 1, _PROBES).astype(int))
    found = []
    for cell in cells:
        one = Sweep(described.trial, described.grid, 1, described.key, described.paired, 1)
        begin = time.perf_counter()
        one.compute([Unit(int(cell), 0, 1)], device)
        again = time.perf_counter()
        (made,) = one.compute([Unit(int(cell), 0, 1)], device)
        found.append((time.perf_counter() - again, made, again - begin))
    return found


def _clock(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
