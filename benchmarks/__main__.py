"""Runs all benchmarks in their quick size, each in a process of its own, and prints one table.

For each: its question, its seconds, and its ratios. A benchmark that fails, and a package to
compare with that is not installed, are said aloud; the exit status tells whether any failed. The
numbers of quick runs say that all works and roughly how the ratios lie; those to quote come from
the scripts' own full runs (`--full` runs these here, for hours). Everything is written to
results/all-quick.json, or results/all.json (some-… where some only are named).

    python -m benchmarks
    python -m benchmarks reduction spectra      (some only)
    python -m benchmarks --list
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any, NamedTuple

from benchmarks._registry import FOLDER, NAMES, question, ratios

#: Seconds after which a quick run is given up.
PATIENCE = 600


class Row(NamedTuple):
    """What became of one benchmark."""

    name: str
    question: str
    seconds: float
    ratios: dict[str, float]
    absent: list[str]
    failure: str | None
    result: Any


def run(name: str, full: bool, patience: float | None) -> Row:
    """One benchmark in its own process."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *([] if full else ["--quick"])]
    before = time.perf_counter()
    failure, printed, errors = None, "", ""
    try:
        printed, errors, status = _ended(command, patience)
        if status:
            failure = f"ended with status {status}: {_last_line(errors or printed)}"
    except subprocess.TimeoutExpired:
        failure = f"was given up after {patience:g} s"
    seconds = time.perf_counter() - before
    found, result = {}, None
    if failure is None:
        try:
            result = json.loads(pathlib.Path(_last_line(printed)).read_text())
            found = ratios(name, result)
        except (OSError, ValueError) as error:
            failure = f"its last line names no result with ratios: {error}"
    absent = [line for line in printed.splitlines() if "is not installed" in line]
    return Row(name, question(name), seconds, found, absent, failure, result)


def _ended(command: list[str], patience: float | None) -> tuple[str, str, int]:
    """Output, errors and status of a script, which leaves no process behind.

    Some scripts start others. All are in one session of their own, whose group is killed whole
    where the script is given up or this process is interrupted.

    Raises:
        subprocess.TimeoutExpired: if it takes longer.
    """
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=FOLDER.parent,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    ) as script:
        try:
            printed, errors = script.communicate(timeout=patience)
        except BaseException:
            # An interrupt too: a session of its own does not get the terminal's.
            _kill_group(script.pid)
            raise
    return printed, errors, script.returncode


def _end_by_exception(signum: int, frame: Any) -> None:
    """What a scheduler ends a job with, as an exception: so the script's group is killed too."""
    raise SystemExit(128 + signum)


def _kill_group(leader: int) -> None:
    """Kills all processes of a group, unless they have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def table(rows: list[Row]) -> str:
    """Benchmark, seconds and question; below it one line a ratio; at the end what went wrong."""
    lines = [f"{'benchmark':<18}{'seconds':>8}  question or ratio", "-" * 100]
    for row in rows:
        lines.append(f"{row.name:<18}{row.seconds:>8.1f}  {row.question}")
        lines += [f"{value:>26.4g}  {words}" for words, value in row.ratios.items()]
        lines += [f"{'absent':>26}  {said}" for said in row.absent]
        if row.failure:
            lines.append(f"{'FAILED':>26}  {row.failure}")
    failed = [row.name for row in rows if row.failure]
    lines.append("-" * 100)
    lines.append(
        f"{len(rows) - len(failed)} of {len(rows)} benchmarks ran, in "
        f"{sum(row.seconds for row in rows):.0f} s"
        + (f"; failed: {', '.join(failed)}" if failed else "")
    )
    return "\n".join(lines)


def main():
    """Runs those asked for, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="All benchmarks, quick, and a table of ratios."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="some only")
    parser.add_argument("--list", action="store_true", help="print names and questions")
    parser.add_argument("--full", action="store_true", help="the full sizes: hours")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if given.list:
        print("\n".join(f"{name:<18}{question(name)}" for name in NAMES))
        return
    signal.signal(signal.SIGTERM, _end_by_exception)
    rows = []
    for name in given.names or NAMES:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows.append(run(name, given.full, None if given.full else PATIENCE))
    print(table(rows))
    # Imported late: JAX would hold memory and threads while the others run.
    from benchmarks._report import write

    which = "some" if given.names else "all"
    told = {"benchmark": which, "rows": [row._asdict() for row in rows]}
    print(write(which, told, quick=not given.full))
    sys.exit(any(row.failure for row in rows))


if __name__ == "__main__":
    main()
