"""How does a sweep's speed grow with the devices that share it?

Cells of the papers' experiment (n = 5, eight widths from 10 to 1000, up to 100 000 steps of
gradient descent, 50 trials each), compiled, on 1, 2, 4, … devices of this process up to all of
them; of CPUs the devices are threads on cores, which share programs. In turn, medians, and the
share of the ideal speed-up. Over processes and hosts the work is shared out in the same units
without a word between them (`jaxdip sweep --workers N --worker i`).

`--quick` takes fewer shapes and steps and one repeat.

    python -m benchmarks.sweep_scaling

Its last output (2 cores, November 2026): 21.3 s [18.7, 24.5] on one core, 10.5 s [9.9, 11.7] on
two, 2.02 times as fast.
"""

import time
from typing import Any

import jax

if jax.default_backend() != "tpu":
    jax.config.update("jax_enable_x64", True)

from benchmarks._report import quick_asked, summary, write
from jaxdip.sweeps import every_core, sweep
from jaxdip.trials import TwoLayerTrial


def seconds(grid: dict[str, Any], trials: int, devices: Any) -> float:
    """Of a sweep that is kept nowhere."""
    before = time.perf_counter()
    key = jax.random.key(0)
    found = sweep(TwoLayerTrial(), grid, trials=trials, key=key, mesh=devices)
    assert found.complete
    return time.perf_counter() - before


def main():
    """One line a number of devices."""
    quick = quick_asked("A sweep over devices.", "fewer shapes and steps, one repeat")
    grid: dict[str, Any] = {
        "n": 5,
        "m": [1, 3] if quick else [1, 2, 3, 4, 5],
        "k": [10, 50, 200, 500] if quick else [10, 20, 50, 100, 200, 300, 500, 1000],
        "steps": 5000 if quick else 100_000,
    }
    found = jax.local_devices()
    devices = every_core(found[:1]) if found[0].platform == "cpu" else found
    counts = [2**i for i in range(len(devices).bit_length())]
    counts = sorted({*[count for count in counts if count <= len(devices)], len(devices)})
    if len(counts) == 1:
        print("one device only: there is nothing to compare")
    for count in counts:
        seconds(grid, 50, devices[:count])
    taken: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(1 if quick else 5):
        for count in counts:
            taken[count].append(seconds(grid, 50, devices[:count]))
    rows, ratios = [], {}
    for count in counts:
        row = {"devices": count, "seconds": summary(taken[count])}
        row["speed_up"] = summary(taken[1])["median"] / row["seconds"]["median"]
        rows.append(row)
        print(
            f"{count} devices: {row['seconds']['median']:.2f} s "
            f"[{row['seconds']['min']:.2f}, {row['seconds']['max']:.2f}], "
            f"{row['speed_up']:.2f} times one, {row['speed_up'] / count:.0%} of the ideal"
        )
        if count > 1:
            ratios[f"one device / {count} devices"] = row["speed_up"]
    result = {"benchmark": "sweep_scaling", "ratios": ratios, "grid": grid, "rows": rows}
    print(write("sweep_scaling", result, quick=quick))


if __name__ == "__main__":
    main()
