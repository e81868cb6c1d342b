"""Where an experiment runs: its key, the folder that keeps its sweeps, and who watches."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxdip._random import key_for
from jaxdip._types import Device, Key
from jaxdip.sweeps import Grid, SweepProgress, SweepResult, Value, sweep


class Unfinished(Exception):
    """An experiment was asked to stop before its sweeps were done; what was done is kept."""


@dataclasses.dataclass(frozen=True)
class Lab:
    """What an experiment is given.

    Attributes:
        key: of all its draws.
        folder: keeps the units of each sweep, so that the experiment goes on after an interruption;
            None keeps them in memory.
        devices: the devices to use; by default all local ones, and every core of a CPU.
        watch: from the label of a sweep to what is called after each of its units, or None.
        stop: asked between units; True ends the sweep.
    """

    key: Key
    folder: Path | None = None
    devices: Sequence[Device] | None = None
    watch: Callable[[str], Callable[[SweepProgress], None] | None] | None = None
    stop: Callable[[], bool] | None = None

    def key_for(self, purpose: str) -> Key:
        """The key of one purpose."""
        return key_for(self.key, purpose)

    def sweep(
        self,
        label: str,
        trial: Any,
        grid: Grid | Mapping[str, Value | Sequence[Value]],
        *,
        trials: int = 1,
        **options: Any,
    ) -> SweepResult:
        """Runs a sweep to its end, or goes on with it.

        Args:
            label: of the sweep, unique in the experiment: it names its folder, and its key.
            trial: as in `jd.sweep`.
            grid: as in `jd.sweep`.
            trials: of each cell.
            options: of `jd.sweep`, such as `block`, `paired` and `lanes`.

        Raises:
            Unfinished: if it was stopped before its end.
        """
        found = sweep(
            trial,
            grid,
            trials=trials,
            key=self.key_for(label),
            store=None if self.folder is None else self.folder / label,
            mesh=self.devices,
            progress=None if self.watch is None else self.watch(label),
            stop=self.stop,
            **options,
        )
        if not found.complete:
            left = int(found.done.size - found.done.sum())
            raise Unfinished(f"{label}: {left} of {found.done.size} trials are left")
        return found
