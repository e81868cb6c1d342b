"""What does a sweep cost beside its numbers, in seconds and in memory?

    overhead   40 shapes, those of Figure 1b of arXiv 2403.05395 (n = 5, m = 1 … 4, ten widths
               from 10 to 10 000, γ = 1/L), 50 trials each, up to 100 000 steps of gradient descent
               to a loss of 1e-14: seconds from a cold start, with compilation, store and progress,
               against the same trials compiled and kept nowhere
    many       likewise with 300 trials each, what a smooth 50 % line takes
    small      likewise 40 shapes whose numbers take seconds (m = 1 … 5, widths up to 1000)
    memory     10^6 trials of the smallest problem (n = 2, m = 1, k = 8, 20 steps), in a process of
               its own: the most that it held, and what it held before the first trial

Prints medians and spread (a cold start is made once); `--quick` takes eight shapes, fewer steps and
50 000 trials.

    python -m benchmarks.sweep_engine

Its last output (2 quiet cores, November 2026):

               cold   compiled and stored   numbers alone
    overhead   19.7    9.4 [8.8, 10.8]       9.2 [8.8, 9.8]
    many       66.9   52.6 [51.9, 52.8]     54.5 [50.7, 56.9]
    small      20.5   11.9 [11.3, 13.2]     12.3 [11.8, 14.2]

Store and progress are lost in the spread. Compiling takes ten seconds, whatever the trials: it
doubles a sweep of seconds and is a fifth of one of a minute. 10^6 trials took 21 s and 617 MiB, 498
of them before the first.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

from benchmarks._report import peak_gib, summary, told, write  # noqa: E402
from jaxdip.sweeps import sweep  # noqa: E402
from jaxdip.trials import TwoLayerTrial  # noqa: E402

_WIDTHS = [10, 20, 50, 100, 200, 300, 500, 1000]
_PAPER = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]


def run(grid: dict[str, Any], trials: int, **options: Any) -> float:
    """Seconds of a sweep."""
    before = time.perf_counter()
    found = sweep(TwoLayerTrial(), grid, trials=trials, key=jax.random.key(0), **options)
    assert found.complete
    return time.perf_counter() - before


def overhead(grid: dict[str, Any], trials: int, repeats: int) -> dict[str, Any]:
    """Seconds cold and of the numbers alone, and what is between them as a share of these."""
    with tempfile.TemporaryDirectory() as folder:
        told = []
        cold = run(grid, trials, store=Path(folder) / "cold", progress=told.append)
        stored, alone = [], []
        # In turn, so that a drift of the machine hits both alike.
        for i in range(repeats):
            stored.append(run(grid, trials, store=Path(folder) / str(i), progress=told.append))
            alone.append(run(grid, trials))
    numbers = statistics.median(alone)
    return {
        "cold": cold,
        "compiled": summary(stored),
        "numbers": summary(alone),
        "share": cold / numbers - 1,
        "share_of_store": statistics.median(stored) / numbers - 1,
    }


def memory(trials: int) -> dict[str, float]:
    """MiB that a process held at most, before and after so many trials; its seconds."""
    code = "from benchmarks.sweep_engine import many; many(int(__import__('sys').argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(trials)], check=True, capture_output=True, text=True
    )
    before, after, seconds = map(float, done.stdout.split())
    return {"trials": trials, "before_mib": before, "peak_mib": after, "seconds": seconds}


def many(trials: int) -> None:
    """The small trials, in this process; prints what `memory` reads."""
    grid = {"n": 2, "m": 1, "k": 8, "step": [0.5, 1.0], "steps": 20}
    run(grid, 10, block=10)
    before = 1024 * peak_gib()
    with tempfile.TemporaryDirectory() as folder:
        seconds = run(grid, trials // 2, block=5000, store=folder)
    print(before, 1024 * peak_gib(), seconds)


def main():
    """Runs them and prints their lines."""
    parser = argparse.ArgumentParser(description="What a sweep costs beside its numbers.")
    parser.add_argument("--quick", action="store_true", help="fewer shapes, steps and trials")
    quick = parser.parse_args().quick
    grid: dict[str, Any] = {"n": 5, "m": [1, 2, 3, 4, 5], "k": _WIDTHS, "steps": 100_000}
    if quick:
        grid |= {"m": [1, 3], "k": _WIDTHS[::2], "steps": 5000}
    paper = grid | {"m": [1, 2, 3, 4], "k": _PAPER}
    result: dict[str, Any] = {"benchmark": "sweep_engine", "grid": grid}
    # First: a process counts what the one that began it held at most.
    result["memory"] = found = memory(50_000 if quick else 10**6)
    print(
        f"memory: {found['trials']} trials in {found['seconds']:.0f} s, at most "
        f"{found['peak_mib']:.0f} MiB, {found['before_mib']:.0f} before the first"
    )
    asked = {"overhead": (paper, 50, 5), "many": (paper, 300, 3), "small": (grid, 50, 5)}
    for name, (shapes, trials, repeats) in asked.items():
        if quick and name != "small":
            continue
        jax.clear_caches()
        result[name] = found = overhead(shapes, trials, 1 if quick else repeats)
        print(
            f"{name}: cold {found['cold']:.1f} s, compiled {told(found['compiled'])} s, numbers "
            f"alone {told(found['numbers'])} s: {found['share']:.1%} more, of it store and "
            f"progress {found['share_of_store']:.1%}"
        )
    print(write("sweep_engine", result, quick=quick))


if __name__ == "__main__":
    main()
