"""How a benchmark is timed and what it writes down."""

import json
import pathlib
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import jax


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


def summary(seconds: list[float]) -> dict[str, float]:
    """Median and spread."""
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}


def environment() -> dict[str, str]:
    """What the numbers depend on."""
    device = jax.devices()[0]
    return {
        "commit": _commit(),
        "device": f"{device.platform}: {device.device_kind}",
        "machine": f"{platform.machine()}, {platform.processor() or platform.system()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("jax", "jaxlib", "equinox", "diffrax", "numpy")},
    }


def write(name: str, result: dict[str, Any]) -> pathlib.Path:
    """Saves a benchmark's result beside the benchmarks, with its environment."""
    folder = pathlib.Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**result, "environment": environment()}, indent=2) + "\n")
    return path


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=pathlib.Path(__file__).parent,
    )
    return done.stdout.strip() or "unknown"
