"""How far a sweep is, for whoever watches."""

import sys
import time

from tqdm import tqdm

from jaxdip.cli._sweep_preview import clock
from jaxdip.sweeps import SweepProgress

#: How many lines a log gets at most, where there is no terminal for a bar.
_LINES = 50


class SweepWatch:
    """A bar on a terminal, lines elsewhere."""

    def __init__(self, worker: tuple[int, int] = (0, 1), name: str = ""):
        self._name = f"{name}: " if name else ""
        self._worker = worker
        quiet = not sys.stderr.isatty()
        self._bar = tqdm(unit="trial", file=sys.stderr, disable=quiet, desc=name or None)
        self._next, self._before = 0, -1

    def __enter__(self) -> "SweepWatch":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def __call__(self, told: SweepProgress) -> None:
        if self._before < 0:
            # What was there before took no time: it would make the rest look short.
            self._before = told.finished - told.unit.count
            self._bar.initial = self._bar.n = self._before
        # Of all workers, for they share what is left.
        rate = (told.finished - self._before) / max(told.seconds, 1e-9)
        left = clock(float(round((told.needed - told.finished) / max(rate, 1e-9))))
        # Cells that are known well enough need no more, so the total falls.
        self._bar.total = told.needed
        self._bar.update(told.finished - self._bar.n)
        self._bar.set_postfix_str(f"{told.units} of {told.total} units", refresh=False)
        if self._bar.disable and (told.units >= self._next or told.units == told.total):
            self._next = told.units + max(1, told.total // _LINES)
            index, workers = self._worker
            whose = f"worker {index} of {workers}: " if workers > 1 else ""
            now = time.strftime("%H:%M:%S")
            print(
                f"{now} {self._name}{whose}{told.finished} of {told.needed} trials "
                f"({told.units} of {told.total} units), {rate:.3g} trials/s, about {left} left",
                file=sys.stderr,
                flush=True,
            )
