"""`jaxdip reproduce`: an experiment of the papers, its figures, and the verdicts on its claims."""

import dataclasses
import json
import signal
import time
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import jax
import tyro

from jaxdip._types import Device
from jaxdip.cli._outputs import (
    check_folder,
    make_folder,
    plain,
    provenance,
    table,
    write_json,
    write_zarr,
)
from jaxdip.cli._programs import keep_programs
from jaxdip.cli._runtime import INTERRUPTED, Machine, UsageError
from jaxdip.cli._signals import CONTINUE, Signals
from jaxdip.cli._sweep_watch import SweepWatch
from jaxdip.experiments import EXPERIMENTS, AbstractExperiment, Claim, Lab, Preset, Unfinished, find
from jaxdip.plot import save
from jaxdip.sweeps import every_core


@dataclasses.dataclass(frozen=True)
class Reproduce:
    """Run an experiment of the papers, draw it, and check its claims.

    Each leaves OUT/NAME/PRESET/ with its figures (.png and .pdf), result.zarr (open it with
    xarray), claims.json and summary.json (with the seconds of all calls); its sweeps are kept there
    too, so the same command goes on after an interruption. A claim that fails is a finding, not an
    error: the status is 0.
    """

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """The experiments, by name; --list lists them."""
    list: bool = False
    """Only list the experiments, with the times of quick and paper."""
    all: bool = False
    """Run all of them."""
    preset: Preset = "quick"
    """smoke: seconds, only to see it run; quick: minutes; paper: the sizes that the source states,
    and its runs."""
    out: Path = Path("reproduced")
    """The folder of the results."""
    cache: Path | None = None
    """Where compiled programs are kept; by default JAX_COMPILATION_CACHE_DIR, or
    ~/.cache/jaxdip."""
    grace: float = 20.0
    """Seconds that units in flight have to end after a signal."""
    machine: Machine = dataclasses.field(default_factory=Machine)

    def check(self, given: Set[str] = frozenset()) -> None:
        """Refuse unknown names, and calls that ask for nothing."""
        if not (self.list or self.all or self.names):
            raise UsageError("give an experiment's name, --all or --list")
        if self.all and self.names:
            raise UsageError(f"--all runs every experiment; leave out {' '.join(self.names)}")
        for name in self.names:
            find(name)
        check_folder(self.out)

    def run(self) -> int:
        """List, or run, write and print; the exit status."""
        if self.list:
            print(_listing())
            return 0
        chosen = EXPERIMENTS if self.all else [find(name) for name in self.names]
        keep_programs(self.cache)
        found: list[tuple[str, Sequence[Claim], float]] = []
        with Signals(self.grace) as signals:
            for kind in chosen:
                begin = time.perf_counter()
                try:
                    claims = self._one(kind, signals)
                except Unfinished as left:
                    print(f"{kind.name}: {left}; the same command goes on")
                    return INTERRUPTED if signals.seen == signal.SIGINT else CONTINUE
                found.append((kind.name, claims, time.perf_counter() - begin))
        if len(found) > 1:
            print(_verdicts(found))
        return 0

    def _one(self, kind: type[AbstractExperiment], signals: Signals) -> Sequence[Claim]:
        """One experiment, to its files."""
        folder = self.out / kind.name / self.preset
        make_folder(folder)
        print(f"{kind.name}: {kind.title} ({self.preset}, {kind.costs[self.preset].cpu})")
        experiment = kind.presets()[self.preset]
        lab = Lab(
            key=jax.random.key(self.machine.seed),
            folder=folder,
            devices=_devices(),
            watch=lambda label: SweepWatch(name=f"{kind.name} {label}"),
            stop=lambda: signals.seen is not None,
        )
        begin, summary = time.perf_counter(), folder / "summary.json"
        earlier = _seconds(summary)
        config: dict[str, Any] = {
            "experiment": kind.name,
            "source": kind.source,
            "preset": self.preset,
            **plain(dataclasses.asdict(experiment)),  # pyright: ignore[reportArgumentType]
            "seed": self.machine.seed,
            "precision": self.machine.precision,
        }
        attributes = provenance(config)
        try:
            data = experiment.run(lab)
        except Unfinished:
            seconds = earlier + time.perf_counter() - begin
            write_json(summary, {"seconds": seconds, "complete": False, **attributes})
            raise
        write_zarr(folder / "result.zarr", data, attributes)
        for name, figure in experiment.draw(data).items():
            for ending in ("png", "pdf"):
                save(figure, folder / f"{name}.{ending}", config)
        claims = experiment.claims(data)
        seconds = earlier + time.perf_counter() - begin
        told = [{**dataclasses.asdict(claim)} for claim in claims]
        write_json(folder / "claims.json", {"claims": told, **attributes})
        write_json(summary, {"seconds": seconds, "complete": True, **attributes})
        for claim in claims:
            print(_line(claim))
        print(f"{seconds:.0f} s; written to {folder}/")
        return claims


def _seconds(summary: Path) -> float:
    """What earlier calls spent on the sweeps that this one goes on with."""
    return float(json.loads(summary.read_text())["seconds"]) if summary.exists() else 0.0


def _devices() -> list[Device]:
    """All devices; of CPUs one, on every core: threads share its programs, devices would not."""
    found = jax.local_devices()
    return every_core(found[:1]) if found[0].platform == "cpu" else found


def _line(claim: Claim) -> str:
    lines = [f"  {claim.mark} {claim.name}", f"      says:  {claim.says}"]
    lines.append(f"      finds: {claim.finds}")
    return "\n".join([*lines, f"      note:  {claim.note}"] if claim.note else lines)


def _listing() -> str:
    rows = [["name", "what", "quick", "paper", "paper, one GPU (estimated)"]]
    for kind in EXPERIMENTS:
        quick, paper = kind.costs["quick"], kind.costs["paper"]
        rows.append([kind.name, kind.title, quick.cpu, paper.cpu, paper.gpu])
    return table(rows, left=2)


def _verdicts(found: Sequence[tuple[str, Sequence[Claim], float]]) -> str:
    rows = [["experiment", "claim", "", "finds"]]
    for name, claims, _ in found:
        rows += [[name, claim.name, claim.mark, claim.finds] for claim in claims]
    held = sum(claim.holds for _, claims, _ in found for claim in claims)
    total = sum(len(claims) for _, claims, _ in found)
    seconds = sum(s for *_, s in found)
    return f"{table(rows, left=4)}\n{held} of {total} claims hold; {seconds / 60:.1f} min"
