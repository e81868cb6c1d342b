"""Is anything lost, corrupt or done twice when writers of one store are killed at random moments?

Each round starts three processes that race for the units of one folder, kills all three by SIGKILL
after a random while, and reads every unit back; the next round resumes, and a complete folder is
followed by a fresh one. Of the units whose commit had returned, it counts those that are missing or
differ (lost); of all units, those that cannot be read or are not the bits they should be (corrupt);
and those that two processes both believe to have written first (double). All must be 0: the exit
status says so.

    python -m benchmarks.kill_resume --store --rounds 60
"""

import argparse
import collections
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np

WRITERS, UNITS, SIZE = 3, 300, 55_000
PLAN = {"spec": {"units": UNITS, "size": SIZE}, "fingerprint": {}}

# The store needs no JAX, whose import would be nearly all of a writer's life.
LIGHT = """
import sys, types
sys.path.insert(0, {root!r})
for name in ("jaxdip", "jaxdip.sweeps"):
    package = types.ModuleType(name)
    package.__path__ = [{root!r} + "/" + name.replace(".", "/")]
    sys.modules[name] = package
from benchmarks.kill_resume import commit_all
commit_all({folder!r}, {seed})
"""


def arrays_of(i: int) -> dict[str, np.ndarray]:
    """The results of a unit: a function of its number alone, as in a sweep."""
    return {"x": np.random.default_rng(i).normal(size=SIZE), "i": np.array(i)}


def commit_all(folder: str, seed: int) -> None:
    """Commits what is not done, in an order of its own, and prints what is committed."""
    from jaxdip.sweeps._store import Store
    from jaxdip.sweeps._unit import Unit

    print("ready", flush=True)
    store = Store.create(folder, PLAN)
    done = store.done()
    left = [unit for i in range(UNITS) if (unit := Unit(i, 0, 1)).name not in done]
    random.Random(seed).shuffle(left)
    for unit in left:
        new = store.commit(unit, arrays_of(unit.cell), {"seed": seed})
        print(unit.name, int(new), flush=True)


def killed_round(folder: pathlib.Path, rng: random.Random) -> list[str]:
    """The lines that writers printed before they were killed."""
    root = str(pathlib.Path(__file__).resolve().parents[1])
    writers = []
    for _ in range(WRITERS):
        code = LIGHT.format(root=root, folder=str(folder), seed=rng.randrange(2**31))
        writers.append(
            subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        )
    for writer in writers:
        if not writer.stdout or writer.stdout.readline() != "ready\n":
            raise RuntimeError("a writer did not start: its error is above")
    # From before the plan is written to some dozens of units later.
    time.sleep(rng.uniform(0, 0.6))
    for writer in writers:
        writer.kill()
    return [line for writer in writers for line in writer.communicate()[0].splitlines()]


def check(folder: pathlib.Path, acknowledged: collections.Counter) -> tuple[dict[str, int], int]:
    """Counts what went wrong in a folder, and the units done."""
    from jaxdip.sweeps._store import Store, digest

    try:
        store = Store.open(folder)
    except FileNotFoundError:
        return {"lost": len(acknowledged), "corrupt": 0, "double": 0}, 0
    right = set()
    done = store.done()
    for name in done:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a broken unit is counted, and stays set aside
            found = store.read(name)
        if found and digest(found[0]) == digest(arrays_of(int(name.split("-")[1]))):
            right.add(name)
    double = sum(count > 1 for count in acknowledged.values())
    lost = len(acknowledged.keys() - right)
    return {"lost": lost, "corrupt": len(done - right), "double": double}, len(done)


def measure(rounds: int, seed: int) -> dict[str, int]:
    """Totals over many rounds."""
    rng = random.Random(seed)
    total: collections.Counter = collections.Counter(rounds=rounds, kills=rounds * WRITERS)
    with tempfile.TemporaryDirectory() as place:
        folder, acknowledged = pathlib.Path(place) / "0", collections.Counter()
        for number in range(1, rounds + 1):
            for line in killed_round(folder, rng):
                name, new = line.split()
                acknowledged[name] += int(new)
            wrong, done = check(folder, acknowledged)
            if done == UNITS or any(wrong.values()) or number == rounds:
                total.update(wrong, folders=1, committed=done, acknowledged=len(acknowledged))
                folder, acknowledged = pathlib.Path(place) / str(number), collections.Counter()
    return dict(total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--store", action="store_true", help="the store alone, without a sweep")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not arguments.store:
        parser.error("only --store is there yet")
    total = measure(arguments.rounds, arguments.seed)
    for name, count in total.items():
        print(f"{name:>12}  {count}")
    sys.exit(any(total[name] for name in ("lost", "corrupt", "double")))


if __name__ == "__main__":
    main()
