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
        self._bar = tqdm(unit="unit", file=sys.stderr, disable=quiet, desc=name or None)
        self._next = self._own = 0

    def __enter__(self) -> "SweepWatch":
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
            self._bar.total = told.total
        self._bar.update(told.units - self._bar.n)
        self._bar.set_postfix_str(f"{rate:.3g} trials/s", refresh=False)
        if self._bar.disable and (told.units >= self._next or told.units == told.total):
            self._next = told.units + max(1, told.total // _LINES)
            index, workers = self._worker
            whose = f"worker {index} of {workers}: " if workers > 1 else ""
            now = time.strftime("%H:%M:%S")
            print(
                f"{now} {self._name}{whose}{told.units} of {told.total} units, "
                f"{rate:.3g} trials/s, about {left} left",
                file=sys.stderr,
                flush=True,
            )
