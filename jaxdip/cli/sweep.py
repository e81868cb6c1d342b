"""`jaxdip sweep`: a Monte Carlo sweep from a file."""

import dataclasses
import signal
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Literal

import jax
import tyro

from jaxdip._types import Device
from jaxdip.cli import _sweep_report as report
from jaxdip.cli._forward import require
from jaxdip.cli._outputs import check_folder, make_folder
from jaxdip.cli._programs import keep_programs
from jaxdip.cli._runtime import INTERRUPTED, Machine, UsageError
from jaxdip.cli._signals import CONTINUE, Signals
from jaxdip.cli._sweep_config import SweepConfig, read_sweep
from jaxdip.cli._sweep_keys import keys_text
from jaxdip.cli._sweep_preview import preview
from jaxdip.cli._sweep_watch import SweepWatch
from jaxdip.sweeps import (
    Store,
    Sweep,
    SweepResult,
    carry,
    every_core,
    find_rank,
    finish,
    refined,
    start_distributed,
)


@dataclasses.dataclass(frozen=True)
class SweepCommand:
    """Run a Monte Carlo sweep that a TOML file describes; go on from what is there.

    Writes plan.json and units/ while it runs, and result.zarr, summary.json, diagram.png and .pdf
    when it is done; the rounds of a refinement keep theirs in round-1/ and so on. SIGTERM and
    SIGUSR1 end it after the units in flight, with status 75; a second signal, or --grace, at once.
    """

    config: tyro.conf.Positional[Path | None] = None
    """The sweep's TOML file; --keys says what it may hold."""
    keys: bool = False
    """Only print the file's keys, its ranges, and the parameters of each trial."""
    out: Path = Path("sweep")
    """The folder of the results; every process of a sweep sees the same."""
    show: bool = False
    """Only say what would run: cells, programs, memory, and an estimate of time (20 s)."""
    workers: int | None = None
    """How many processes share the sweep; found from the scheduler's environment by default."""
    worker: int | None = None
    """Which of them this is, from 0."""
    distributed: Literal["auto", "on", "off"] = "auto"
    """Start jax.distributed: where the scheduler runs all processes at once, always, or never."""
    threads: int | None = None
    """How many trials a CPU computes at a time; by default one a core that this process may use."""
    cache: Path | None = None
    """Where compiled programs are kept; by default JAX_COMPILATION_CACHE_DIR, or
    ~/.cache/jaxdip."""
    grace: float = 20.0
    """Seconds that units in flight have to end after a signal; then they are abandoned, and the
    next start computes them again."""
    allow_mixed: bool = False
    """Go on in a folder that was begun with another release or kind of device; recorded."""
    precision: Literal["float64", "float32"] = "float64"
    """Floating-point precision of everything."""
    platform: Literal["cpu", "gpu", "tpu"] | None = None
    """The device's kind; JAX's own choice by default."""
    seed: int | None = None
    """The sweep's seed; by default the file's, or 0."""

    @property
    def machine(self) -> Machine:
        """Where and how numbers are computed."""
        return Machine(self.precision, self.platform)

    def check(self, given: Set[str] = frozenset()) -> None:
        """Refuse options outside their ranges, naming the flag."""
        if self.keys:
            return
        if self.config is None:
            raise UsageError("CONFIG is missing: give the sweep's TOML file (--keys explains it)")
        if not self.config.is_file():
            raise UsageError(f"{self.config}: no such file; give the sweep's TOML file")
        if (self.workers is None) != (self.worker is None):
            raise UsageError("--workers and --worker go together: how many, and which this is")
        if self.workers is not None and self.worker is not None:
            require(self.workers >= 1, "--workers", self.workers, "at least 1")
            valid = 0 <= self.worker < self.workers
            require(valid, "--worker", self.worker, f"from 0 to {self.workers - 1}")
        if self.threads is not None:
            require(self.threads >= 1, "--threads", self.threads, "at least 1")
        require(0 <= self.grace < float("inf"), "--grace", self.grace, "at least 0 and finite")
        check_folder(self.out)

    def run(self) -> int:
        """Run, write and print; the exit status."""
        if self.keys:
            print(keys_text())
            return 0
        assert self.config is not None
        if self.show:
            # Nothing is to be saved here: a signal ends it at once.
            keep_programs(self.cache)
            config = read_sweep(self.config, self.seed)
            print(preview(config, every_core(jax.local_devices(), self.threads)))
            return 0
        with Signals(self.grace) as signals:
            worker = self._worker()
            keep_programs(self.cache)
            return self._run(read_sweep(self.config, self.seed), worker, signals)

    def _run(self, config: SweepConfig, worker: tuple[int, int], signals: "Signals") -> int:
        make_folder(self.out)
        devices = every_core(jax.local_devices(), self.threads)
        described, store = config.sweep, self._store(config, config.sweep, devices, 0)
        result = self._finish(described, store, devices, worker, signals)
        axis, rounds = config.refine or ("", 0)
        for nth in range(1, rounds + 1):
            if not result.complete:
                break
            grid = refined(described.grid, axis, report.frequency_of(result, config.event))
            if grid == described.grid:
                # The transition is between neighbours that have nothing between them, or nowhere.
                break
            before, held = described, store
            described = dataclasses.replace(described, grid=grid)
            store = self._store(config, described, devices, nth)
            carry(before, held, described, store)
            result = self._finish(described, store, devices, worker, signals, f"round {nth}")
        return self._end(result, config, worker, signals)

    def _store(
        self, config: SweepConfig, described: Sweep, devices: Sequence[Device], nth: int
    ) -> Store:
        """The folder of a round: --out itself for the first."""
        # What the diagram shows is on record for those who read the folder; it changes no trial.
        shown = {"event": config.event, "intervals": config.intervals}
        plan = {**described.plan(devices), **shown}
        folder = self.out / f"round-{nth}" if nth else self.out
        return Store.create(folder, plan, allow_mixed=self.allow_mixed)

    def _finish(
        self,
        described: Sweep,
        store: Store,
        devices: Sequence[Device],
        worker: tuple[int, int],
        signals: "Signals",
        name: str = "",
    ) -> SweepResult:
        with SweepWatch(worker, name) as progress:
            return finish(
                described,
                store,
                devices,
                store.plan,
                worker=worker,
                progress=progress,
                stop=lambda: signals.seen is not None,
            )

    def _end(
        self,
        result: SweepResult,
        config: SweepConfig,
        worker: tuple[int, int],
        signals: "Signals",
    ) -> int:
        """Says what is left, or writes the results; the exit status."""
        if not result.complete:
            needed = result.done | ~result.closed[..., None]
            left = int((needed & ~result.done).sum())
            print(f"{left} of {int(needed.sum())} trials are left; the same command goes on")
            if signals.seen is not None:
                return INTERRUPTED if signals.seen == signal.SIGINT else CONTINUE
            # Of several workers others are at it: what they have not committed is theirs.
            return 0 if worker[1] > 1 else CONTINUE
        try:
            report.write(result, config.event, config.source, self.out, config.intervals)
        except OSError as error:
            raise OSError(
                f"{self.out}: cannot write the results ({error.strerror}); every trial is safe in "
                "units/, the same command goes on"
            ) from error
        if worker[0] == 0:
            print(report.text(result, config.event))
            print(f"written to {self.out}/")
        return 0

    def _worker(self) -> tuple[int, int]:
        if self.workers is not None and self.worker is not None:
            return self.worker, self.workers
        wanted = {"auto": None, "on": True, "off": False}[self.distributed]
        return start_distributed(find_rank(), wanted=wanted)
