"""`jaxdip sweep`: a Monte Carlo sweep from a file."""

import dataclasses
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Set
from pathlib import Path
from typing import Literal

import jax
import tyro
from tqdm import tqdm

from jaxdip.cli import _sweep_report as report
from jaxdip.cli._forward import require
from jaxdip.cli._outputs import check_folder, make_folder
from jaxdip.cli._runtime import INTERRUPTED, Machine, UsageError
from jaxdip.cli._sweep_config import SweepConfig, read_sweep
from jaxdip.cli._sweep_preview import clock, preview
from jaxdip.sweeps import (
    Store,
    SweepProgress,
    every_core,
    find_rank,
    finish,
    start_distributed,
)

#: The exit status that asks a scheduler to start the sweep again.
CONTINUE = 75
#: How many lines a log gets at most, where there is no terminal for a bar.
_LINES = 50


@dataclasses.dataclass(frozen=True)
class SweepCommand:
    """Run a Monte Carlo sweep that a TOML file describes; go on from what is there.

    Writes plan.json and units/ while it runs, and result.zarr, summary.json, diagram.png and .pdf
    when it is done. SIGTERM and SIGUSR1 end it after the units in flight, with status 75; a second
    signal, or --grace, at once.
    """

    config: tyro.conf.Positional[Path]
    """The sweep's TOML file; see the README."""
    out: Path = Path("sweep")
    """The folder of the results; every process of a sweep sees the same."""
    show: bool = False
    """Only say what would run: cells, programs, memory, and an estimate of time."""
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
    machine: Machine = dataclasses.field(default_factory=Machine)

    def check(self, given: Set[str] = frozenset()) -> None:
        """Refuse options outside their ranges, naming the flag."""
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
        # A seed on the command line is used instead of the file's.
        object.__setattr__(self, "_seed", self.machine.seed if "--seed" in given else None)
        check_folder(self.out)

    def run(self) -> int:
        """Run, write and print; the exit status."""
        with _Signals(self.grace) as signals:
            worker = self._worker()
            self._set_cache()
            config = read_sweep(self.config, getattr(self, "_seed", None))
            if self.show:
                print(preview(config, every_core(jax.local_devices(), self.threads)))
                return 0
            return self._run(config, worker, signals)

    def _run(self, config: SweepConfig, worker: tuple[int, int], signals: "_Signals") -> int:
        make_folder(self.out)
        devices = every_core(jax.local_devices(), self.threads)
        # The event is on record for those who read the folder; it changes no trial.
        plan = {**config.sweep.plan(devices), "event": config.event}
        store = Store.create(self.out, plan, allow_mixed=self.allow_mixed)
        with _Progress(config, worker) as progress:
            result = finish(
                config.sweep,
                store,
                devices,
                store.plan,
                worker=worker,
                progress=progress,
                stop=lambda: signals.seen is not None,
            )
        if not result.complete:
            left = int(result.done.size - result.done.sum())
            print(f"{left} of {result.done.size} trials are left; the same command goes on")
            if signals.seen is not None:
                return INTERRUPTED if signals.seen == signal.SIGINT else CONTINUE
            # Of several workers others are at it: what they have not committed is theirs.
            return 0 if worker[1] > 1 else CONTINUE
        try:
            report.write(result, config.event, config.source, self.out)
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

    def _set_cache(self) -> None:
        """Programs take seconds to compile and are the same every time."""
        if self.cache is not None or not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
            folder = self.cache or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
            # Programs of another kind of machine would be refused, one by one.
            kind = f"{platform.system()}-{platform.machine()}".lower()
            jax.config.update("jax_compilation_cache_dir", str(folder / "jaxdip" / kind))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


class _Signals:
    """Notes the signals by which a user or a scheduler asks to stop."""

    _ASKING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

    def __init__(self, grace: float):
        self.seen: int | None = None
        self._grace = grace
        self._timer: threading.Timer | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "_Signals":
        if threading.current_thread() is threading.main_thread():
            for number in self._ASKING:
                self._before[number] = signal.getsignal(number)
                signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: object) -> None:
        name = signal.Signals(number).name
        if self.seen is not None:
            # Asked for twice: what is committed is safe, the rest is computed again.
            self._abandon()
        self.seen = number
        self._timer = threading.Timer(self._grace, self._abandon)
        self._timer.daemon = True
        self._timer.start()
        print(f"jaxdip: {name}: stopping after the units in flight", file=sys.stderr, flush=True)

    def _abandon(self) -> None:
        """Leaves at once: no thread can be ended while it computes."""
        status = INTERRUPTED if self.seen == signal.SIGINT else CONTINUE
        print("jaxdip: the units in flight are abandoned", file=sys.stderr, flush=True)
        os._exit(status)

    def __exit__(self, *error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]


class _Progress:
    """A bar on a terminal, lines elsewhere."""

    def __init__(self, config: SweepConfig, worker: tuple[int, int]):
        self._total = len(config.sweep.units())
        self._worker = worker
        self._bar = tqdm(
            total=self._total, unit="unit", file=sys.stderr, disable=not sys.stderr.isatty()
        )
        self._next = self._own = 0

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def __call__(self, told: SweepProgress) -> None:
        self._own += 1
        rate = told.trials / max(told.seconds, 1e-9)
        left = clock((told.total - told.units) * told.seconds / self._own)
        if self._own == 1:
            # What was there before took no time: it would make the rest look short.
            self._bar.initial = self._bar.n = told.units - 1
        self._bar.update(told.units - self._bar.n)
        self._bar.set_postfix_str(f"{rate:.3g} trials/s", refresh=False)
        if self._bar.disable and (told.units >= self._next or told.units == told.total):
            self._next = told.units + max(1, told.total // _LINES)
            index, workers = self._worker
            whose = f"worker {index} of {workers}: " if workers > 1 else ""
            now = time.strftime("%H:%M:%S")
            print(
                f"{now} {whose}{told.units} of {told.total} units, {rate:.3g} trials/s, "
                f"about {left} left",
                file=sys.stderr,
                flush=True,
            )
