"""Units put together: the outcomes of a sweep, cell by cell."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxdip.sweeps._keeper import Keeper
from jaxdip.sweeps._refine import Narrow
from jaxdip.sweeps._result import SweepResult
from jaxdip.sweeps._sweep import Sweep
from jaxdip.sweeps._unit import Unit


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
    known: KnownWell | None = None
    names = keeper.done()
    for unit in described.units():
        if unit.start == 0 and described.enough is not None:
            known = KnownWell(described.enough)
        found = keeper.read(unit) if unit.name in names else None
        if found is None or closed[unit.cell]:
            continue
        if known is not None and done[unit.cell, : unit.start].all():
            closed[unit.cell] = known.add(found[0])
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


class KnownWell:
    """Whether a cell needs no more, asked after each of its blocks in their order.

    A block is read once, and the rule asked once after it.
    """

    def __init__(self, rule: Narrow):
        """Nothing read yet."""
        self._rule = rule
        self._parts: dict[str, list[np.ndarray]] = {}
        self._read = 0
        self._closed = False

    def after(self, keeper: Keeper, units: Sequence[Unit]) -> bool:
        """Whether these blocks, the first of the cell, are enough; False if one is missing."""
        for unit in units[self._read :]:
            found = None if self._closed else keeper.read(unit)
            if found is None:
                break
            self._closed = self.add(found[0])
            self._read += 1
        return self._closed

    def add(self, outcomes: Mapping[str, np.ndarray]) -> bool:
        """Takes the next block; whether the cell is then known well enough."""
        for name, x in outcomes.items():
            self._parts.setdefault(name, []).append(x)
        whole = {name: np.concatenate(x) for name, x in self._parts.items()}
        self._closed = self._closed or self._rule.enough(whole)
        return self._closed
