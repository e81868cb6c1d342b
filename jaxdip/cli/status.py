"""`jaxdip status`: how far a sweep is, and what it has found so far."""

import dataclasses
from collections.abc import Set
from pathlib import Path

import tyro

from jaxdip.cli import _sweep_report as report
from jaxdip.cli._outputs import plain
from jaxdip.cli._runtime import Machine, UsageError
from jaxdip.plot import save
from jaxdip.sweeps import Store


@dataclasses.dataclass(frozen=True)
class Status:
    """Read the folder of a sweep, while it runs or afterwards.

    Prints how many trials are done and the table so far; --export also writes all outcomes as
    NetCDF or CSV.
    """

    folder: tyro.conf.Positional[Path]
    """The sweep's --out."""
    event: str | None = None
    """The outcome that is counted; by default the sweep's own."""
    export: Path | None = None
    """A file to write, .nc or .csv."""
    diagram: Path | None = None
    """A picture of what there is so far to draw, .png, .pdf or .svg; hatched where nothing is."""
    machine: Machine = dataclasses.field(default_factory=Machine)

    def check(self, given: Set[str] = frozenset()) -> None:
        """Refuse a folder that is none."""
        if self.diagram is not None and self.diagram.suffix not in (".png", ".pdf", ".svg"):
            raise UsageError(f"--diagram {self.diagram}: expected .png, .pdf or .svg")
        if not self.folder.is_dir():
            raise UsageError(f"{self.folder}: no such folder; give the --out of a sweep")

    def run(self) -> int:
        """Read, print and export; the exit status."""
        store = Store.open(self.folder)
        units = report.stored(store).units()
        there = store.done()
        done = sum(unit.name in there for unit in units)
        print(f"{done} of {len(units)} units done")
        if not done:
            return 0
        result = report.partial_result(store)
        if self.export is not None:
            report.export(result, self.export)
            print(f"written to {self.export}")
        event = self.event or store.plan.get("event", "converged")
        if self.event is None and event not in result.outcomes:
            names = ", ".join(sorted(result.outcomes))
            print(f"outcomes: {names}; --event NAME tabulates one that happens or not")
            return 0
        print(report.text(result, event))
        if self.diagram is not None:
            figure = report.diagram(result, event)
            if figure is None:
                raise UsageError("--diagram: the sweep has no or more than two axes to draw over")
            save(figure, self.diagram, plain(store.plan))
            print(f"drawn in {self.diagram}")
        return 0
