"""How much memory does `jaxdip recover` take on a colour image of 512 × 512, and does it say so?

Each case is a process of its own: *astronaut*, denoised from 10 % noise by two steps of Adam with
64 channels and 5 layers, on the CPU. `told` is what the command prints before its first step,
`peak` the largest resident set of the process by the kernel's account, in MiB; the benchmark fails
if one is more than 1.5 times the other. Tiles have 256 pixels a side and share 16. `--quick` takes
the deep decoder in float32 on 128 × 128 pixels, with tiles of 64.

    python -m benchmarks.memory

Its last output (2 shared cores, November 2026):

    network       precision  options      told    peak  peak/told
    deep-decoder  float32                 1029    1038       1.01
    conv-decoder  float32                 3306    3311       1.00
    dip           float32                 3868    3883       1.00
    deep-decoder  float64                 1619    1674       1.03
    conv-decoder  float64                 5906    6194       1.05
    dip           float64                 6616    6901       1.04
    deep-decoder  float32    --tile 256    741     838       1.13
    conv-decoder  float32    --tile 256   1379    1428       1.04
    dip           float32    --tile 256   2226    2316       1.04
    deep-decoder  float64    --tile 256    960    1061       1.11
    conv-decoder  float64    --tile 256   2089    2224       1.06
    dip           float64    --tile 256   2973    3218       1.08
    deep-decoder  float32    --seeds 3    1239    1241       1.00
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks._report import write

NETWORKS = ("deep-decoder", "conv-decoder", "dip")
#: The largest ratio of what was told and what was taken.
ALLOWED = 1.5
COMMON = ["--operator", "identity", "--noise", "0.1", "--steps", "2", "--records", "1"]
PROGRAM = "import sys; from jaxdip.cli import main; sys.exit(main())"


def cases(quick: bool) -> list[tuple[str, str, list[str]]]:
    """Network, precision, and further options of each case."""
    tile = ["--tile", "64" if quick else "256"]
    seeds = ["--seeds", "3"]
    if quick:
        return [("deep-decoder", "float32", more) for more in ([], tile, seeds)]
    whole = [(net, precision, []) for precision in ("float32", "float64") for net in NETWORKS]
    tiles = [(net, precision, tile) for net, precision, _ in whole]
    return [*whole, *tiles, ("deep-decoder", "float32", seeds)]


def measured(network: str, precision: str, more: list[str], size: int) -> dict[str, Any]:
    """What one recovery told and took, in MiB."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        words = ["recover", "astronaut", "--size", str(size), *COMMON, *more]
        words += ["--generator", network, "--precision", precision, "--platform", "cpu"]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words, "--out", out],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        printed = process.stdout.read()
        # Waited for by hand: only so does the kernel tell the peak of this process alone.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    told = re.search(r"memory: about (\d+) MiB", printed)
    if process.returncode != 0 or told is None:
        raise SystemExit(f"{network}, {precision}: the recovery failed: {printed.strip()}")
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {
        "network": network,
        "precision": precision,
        "options": " ".join(more),
        "told_MiB": int(told.group(1)),
        "peak_MiB": round(peak),
        "peak_over_told": peak / int(told.group(1)),
        "seconds": time.perf_counter() - begin,
    }


def main():
    """Prints a line for each case."""
    given = argparse.ArgumentParser(description="Peak memory of recoveries, told and taken.")
    given.add_argument("--quick", action="store_true", help="128 pixels, one network, float32")
    quick = given.parse_args().quick
    size = 128 if quick else 512
    print(f"{size} × {size} pixels, colour")
    print("network       precision  options      told    peak  peak/told  seconds")
    rows = []
    for case in cases(quick):
        row = measured(*case, size)
        rows.append(row)
        print(
            f"{row['network']:12s}  {row['precision']:9s}  {row['options']:11s} "
            f"{row['told_MiB']:5d}   {row['peak_MiB']:5d}  {row['peak_over_told']:9.2f}  "
            f"{row['seconds']:7.0f}",
            flush=True,
        )
    told = {"benchmark": "memory", "size": size, "rows": rows}
    print(write("memory", told, quick=quick))
    ratios = [row["peak_over_told"] for row in rows]
    if not 1 / ALLOWED <= min(ratios) <= max(ratios) <= ALLOWED:
        raise SystemExit(f"told and taken differ by more than a factor of {ALLOWED}")


if __name__ == "__main__":
    main()
