"""`jaxdip status`: how far a sweep is, and what it has found so far."""

import dataclasses
from collections.abc import Set
from pathlib import Path

import tyro

from jaxdip.cli import _sweep_report as report
from jaxdip.cli._outputs import plain
from jaxdip.cli._runtime import Machine, UsageError
from jaxdip.plot import save
from jaxdip.sweeps import Store, SweepResult


@dataclasses.dataclass(frozen=True)
class Status:
    """Read the folder of a sweep, while it runs or afterwards; changes nothing in it.

    Prints how many trials and units are done, of how many that are needed, and whether that is
    all; then a row for each of the first 60 cells: its parameters, the share of its trials in which
    the event happened, Wilson's 95 % interval of that, and how many trials were done. --export
    writes all outcomes of all cells so far, --diagram draws them.
    """

    folder: tyro.conf.Positional[Path]
    """The sweep's --out."""
    event: str | None = None
    """The outcome that is counted; by default the sweep's own."""
    export: Path | None = None
    """A file to write all outcomes so far to: NetCDF (.nc) or a table (.csv)."""
    diagram: Path | None = None
    """A picture of what there is so far to draw, .png, .pdf or .svg; hatched where nothing is."""

    @property
    def machine(self) -> Machine:
        """What is done here needs no accelerator, and the sweep may be using it."""
        return Machine(platform="cpu")

    def check(self, given: Set[str] = frozenset()) -> None:
        """Refuse a folder that is none."""
        if self.diagram is not None and self.diagram.suffix not in (".png", ".pdf", ".svg"):
            raise UsageError(f"--diagram {self.diagram}: expected .png, .pdf or .svg")
        if not self.folder.is_dir():
            raise UsageError(f"{self.folder}: no such folder; give the --out of a sweep")

    def run(self) -> int:
        """Read, print and export; the exit status."""
        folder = _last_round(self.folder)
        store = Store.open(folder, only_read=True)
        result = report.partial_result(store)
        which = "" if folder == self.folder else f"{folder.name}: "
        print(which + _how_far(result, report.stored(store).block))
        if not result.done.any():
            return 0
        if self.export is not None:
            report.export(result, self.export)
            print(f"written to {self.export}")
        event = self.event or store.plan.get("event", "converged")
        if self.event is None and event not in result.outcomes:
            names = ", ".join(sorted(result.outcomes))
            print(f"outcomes: {names}; --event NAME tabulates one that happens or not")
            return 0
        print(report.text(result, event, "--export x.nc or x.csv writes them"))
        if self.diagram is not None:
            intervals = bool(store.plan.get("intervals", False))
            figure = report.diagram(result, event, intervals=intervals)
            if figure is None:
                raise UsageError("--diagram: the sweep has no or more than two axes to draw over")
            save(figure, self.diagram, plain(store.plan))
            print(f"drawn in {self.diagram}")
        return 0


def _last_round(folder: Path) -> Path:
    """Where the units of a sweep are: of one that is refined, those of its last round."""
    rounds = [path.parent for path in folder.glob("round-*/plan.json")]
    return max(rounds, key=lambda path: int(path.name.removeprefix("round-")), default=folder)


def _how_far(result: SweepResult, block: int) -> str:
    """Trials and units done, of those that are needed; 'complete' if that is all."""
    needed = result.done | ~result.closed[..., None]
    units = [int(x[..., ::block].sum()) for x in (result.done, needed)]
    told = (
        f"{int(result.done.sum())} of {int(needed.sum())} trials done "
        f"({units[0]} of {units[1]} units)"
    )
    ended = int((result.closed & ~result.done.all(-1)).sum())
    if ended:
        told += f"; {ended} of {result.closed.size} cells are known well enough and need no more"
    return told + ("; complete" if result.complete else "")
