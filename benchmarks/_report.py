"""How a benchmark is timed and what it writes down."""

import argparse
import importlib
import importlib.util
import json
import math
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import numpy as np
import scipy.stats

_PACKAGES = ("jax", "jaxlib", "equinox", "diffrax", "optax", "numpy", "scipy", "torch")


def quick_asked(description: str, effect: str) -> bool:
    """Whether the command line says `--quick`, for scripts that take nothing else."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help=effect)
    return parser.parse_args().quick


def peer(name: str) -> Any:
    """A package to compare with, or None if it is not installed, which is said aloud."""
    if importlib.util.find_spec(name) is None:
        print(f"{name} is not installed: its rows are left out (pip install -e '.[peers]')")
        return None
    return importlib.import_module(name)


def interleaved(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run, warm, in turn, so that a drift of the machine hits all alike."""
    for run in runs.values():
        jax.block_until_ready(run())
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            before = time.perf_counter()
            jax.block_until_ready(run())
            seconds[name].append(time.perf_counter() - before)
    return seconds


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """The result of one run and its seconds."""
    before = time.perf_counter()
    result = jax.block_until_ready(run())
    return result, time.perf_counter() - before


def per_iteration(
    runs: dict[str, Callable[[int], Any]], counts: dict[str, int], repeats: int
) -> dict[str, dict[str, list[float]]]:
    """Of each run, 'step': seconds of one iteration, and 'once': what a call costs besides.

    An iteration is what three times as many of them take more than `counts`, divided by two; what a
    call does once does not enter. On a busy machine a difference may come out below zero, which
    says nothing about the loop: then all are measured again, four times as long.

    Raises:
        SystemExit: if one is still not positive after three tries.
    """
    for longer in (1, 4, 16):
        calls = {
            f"{name}, {times}": partial(run, counts[name] * longer * times)
            for name, run in runs.items()
            for times in (1, 3)
        }
        seconds = interleaved(calls, repeats)
        found = {name: _split(seconds, name, counts[name] * longer) for name in runs}
        if all(min(one["step"]) > 0 for one in found.values()):
            return found
    raise SystemExit("a loop's iterations take no time: the machine is too busy to time them")


def _split(seconds: dict[str, list[float]], name: str, count: int) -> dict[str, list[float]]:
    pairs = list(zip(seconds[f"{name}, 1"], seconds[f"{name}, 3"], strict=True))
    return {
        "step": [(b - a) / (2 * count) for a, b in pairs],
        "once": [a - (b - a) / 2 for a, b in pairs],
    }


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Median and spread."""
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}


def told(seconds: dict[str, float]) -> str:
    """Median and spread in words."""
    return f"{seconds['median']:.1f} [{seconds['min']:.1f}, {seconds['max']:.1f}]"


def fitted_exponent(sizes: Sequence[float], costs: Sequence[float]) -> dict[str, float]:
    """b of cost ≈ c·size^b by least squares on logarithms, with its 95 % interval.

    The interval takes the deviations from a power law as independent normal errors of ln(cost).
    """
    if not min(costs) > 0:
        raise ValueError(
            f"a cost is not positive, {min(costs)}: the machine is too busy to time it"
        )
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(costs, float))
    if x.size < 3 or x.shape != y.shape:
        raise ValueError(f"a slope with an interval takes 3 sizes or more, got {x.size}")
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - slope * centred
    error = math.sqrt(float(rest @ rest) / (x.size - 2) / float(centred @ centred))
    half = float(scipy.stats.t.ppf(0.975, x.size - 2)) * error
    return {"exponent": slope, "low": slope - half, "high": slope + half}


def peak_gib() -> float:
    """The largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20


def in_process(module: str, *words: str) -> Any:
    """What `python -m benchmarks.MODULE WORDS` prints as its last line, as JSON.

    For what must have a process of its own: peak memory, counts of programs, first calls.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *words]
    root = pathlib.Path(__file__).resolve().parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[2:])} failed:\n{done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def environment() -> dict[str, Any]:
    """What the numbers depend on."""
    device = jax.devices()[0]
    return {
        "commit": _commit(),
        "device": f"{device.platform}: {device.device_kind}",
        "machine": f"{platform.machine()}, {_processor()}",
        "cores": len(_cores()),
        "python": platform.python_version(),
        **{name: found for name in _PACKAGES if (found := _version(name))},
    }


def write(name: str, result: dict[str, Any], *, quick: bool = False) -> pathlib.Path:
    """Saves a benchmark's result beside the benchmarks, with its environment.

    A quick run has a file of its own, so that it leaves the full one's alone. `result["ratios"]`,
    a mapping of words to numbers, is what `python -m benchmarks` shows; it reads the file whose
    path is the last line that the script prints.
    """
    folder = pathlib.Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}{'-quick' if quick else ''}.json"
    told = {**result, "quick": quick, "environment": environment()}
    path.write_text(json.dumps(told, indent=2) + "\n")
    return path


def _commit() -> str:
    """The commit, marked where tracked files differ from it; results of other benchmarks may."""
    told = _git("describe", "--always")
    code = ("--untracked-files=no", "--", ".", ":!benchmarks/results")
    return f"{told}{'-dirty' if _git('status', '--porcelain', *code) else ''}" or "unknown"


def _git(*words: str) -> str:
    """What git prints in this repository; nothing where there is none."""
    root = pathlib.Path(__file__).parents[1]
    try:
        done = subprocess.run(
            ["git", *words], capture_output=True, text=True, check=False, cwd=root
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name where the system tells it."""
    told = pathlib.Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.system()


def _cores() -> set[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
