"""Is anything lost, corrupt or done twice when processes of one sweep are killed at random moments?

By default whole sweeps: one process; three that race for the units of one folder; three under
`jax.distributed`. In each round they are started, killed by SIGKILL one by one after random whiles,
from within the start of the runtime to some dozens of units later, and every unit is read back. The
next round resumes; a complete folder is followed by a fresh one. Of the units whose commit had
returned, it counts those that are missing or differ (lost); of all units, those that cannot be read
or are not the bits of an undisturbed run (corrupt); those that two processes both believe to have
written first, or that one computed though they were there before it started (double). The hash of
every finished sweep must be that of the undisturbed run. The last folder of each kind is finished
without kills.

With --store the store alone, without JAX: three processes that race for the units of one folder,
and a round kills all three.

The exit status says whether all counts are 0 and all hashes equal.

    python -m benchmarks.kill_resume --rounds 200    (so many kills in all; `--quick`: 3)
    python -m benchmarks.kill_resume --store --rounds 60

Its last output, of the first command (2 cores, November 2026):

    one process: kills 66, lost 0, corrupt 0, double 0, rounds 76, sweeps 32
    three racing: kills 69, lost 0, corrupt 0, double 0, rounds 23, sweeps 3
    three under jax.distributed: kills 68, lost 0, corrupt 0, double 0, rounds 29, sweeps 3
    undisturbed  d8f2920d5056e8aa76cf4371cfa0187f80a347ff3f2518385bf7cc186aa12756
      disturbed  d8f2920d5056e8aa76cf4371cfa0187f80a347ff3f2518385bf7cc186aa12756
"""

import argparse
import collections
import itertools
import pathlib
import random
import select
import socket
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


# --- whole sweeps ---

#: Processes of a round.
KINDS = {"one process": 1, "three racing": 3, "three under jax.distributed": 3}
GRID = {"rate": [0.1, 0.2, 0.3, 0.4], "k": [50, 80]}
TRIALS, BLOCK, SEED = 60, 5, 0
#: Seconds within which a first kill comes after the imports or a first unit, and each other one.
START, UNITS_SEEN, NEXT = 2.5, 1.5, 0.3
#: The share of rounds that are killed after a first unit: half a round is spent in compilation.
LATE = 0.7

PROCESS = "import sys; sys.path.insert(0, {root!r}); from benchmarks.kill_resume import work; work"


def fit(key, point):
    """A fit of two numbers by a two-layer network; trials differ in length."""
    import jax
    import jax.numpy as jnp

    drawn = jax.random.normal(key, (2 * point["k"] + 2,))
    M, y = drawn[:-2].reshape(2, -1) / point["k"] ** 0.5, drawn[-2:]

    def running(state):
        z, steps = state
        r = M @ jnp.tanh(z) - y
        return (r @ r > 1e-20) & (steps < 3000)

    def step(state):
        z, steps = state
        r = M @ jnp.tanh(z) - y
        return z - point["rate"] * (1 - jnp.tanh(z) ** 2) * (r @ M), steps + 1

    z, steps = jax.lax.while_loop(running, step, (jnp.zeros(M.shape[1]), jnp.asarray(0, jnp.int32)))
    r = M @ jnp.tanh(z) - y
    return {"loss": 0.5 * (r @ r), "steps": steps, "z": z[:5]}


def described():
    """The sweep, the same in every process."""
    import jax

    # As a script this module is "__main__", whose functions are other ones to a plan.
    import benchmarks.kill_resume as own
    from jaxdip.sweeps import Sweep

    jax.config.update("jax_enable_x64", True)
    return Sweep.of(own.fit, GRID, trials=TRIALS, key=jax.random.key(SEED), block=BLOCK)


def sweep_in(folder: str | None, progress=None):
    """The whole sweep in this process, from what is in a folder on."""
    from jaxdip.sweeps import sweep

    one = described()
    return sweep(
        one.trial,
        one.grid,
        trials=TRIALS,
        key=one.key,
        block=BLOCK,
        store=folder,
        progress=progress,
    )


class Telling:
    """A store that prints what is committed, and whether it was new, after the commit."""

    def __init__(self, store):
        self.done, self.read, self._store = store.done, store.read, store

    def commit(self, unit, arrays, meta) -> bool:
        new = self._store.commit(unit, arrays, meta)
        print(unit.name, int(new), flush=True)
        return new


def work(folder: str, index: int, workers: int, port: int) -> None:
    """What one process of a round does; with a port, under `jax.distributed`."""
    import jax

    from jaxdip.sweeps import Store, run_units

    print("ready", flush=True)
    if port:
        jax.config.update("jax_enable_preemption_service", False)
        jax.distributed.initialize(f"127.0.0.1:{port}", workers, index)
    one, devices = described(), jax.local_devices()
    store = Store.create(folder, one.plan(devices))
    run_units(one, Telling(store), devices, worker=(index, workers))


def killed_sweep(folder: pathlib.Path, kind: str, rng: random.Random) -> tuple[list[str], int]:
    """The lines that the processes printed before they were killed, and how many were killed."""
    root = str(pathlib.Path(__file__).resolve().parents[1])
    port = 0
    if "distributed" in kind:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    processes, kills = [], 0
    with tempfile.TemporaryFile("w+") as errors:
        for i in range(KINDS[kind]):
            call = f"{PROCESS.format(root=root)}{(str(folder), i, KINDS[kind], port)}"
            command = [sys.executable, "-c", call]
            processes.append(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
            )
        for process in processes:
            if process.stdout.readline() != "ready\n":
                errors.seek(0)
                raise RuntimeError(f"a process did not start:\n{errors.read()}")
        late = rng.random() < LATE
        if late:
            # Not for ever: what is left may be nothing.
            select.select([process.stdout for process in processes], [], [], 4 * START)
        time.sleep(rng.uniform(0, UNITS_SEEN if late else START))
        for process in rng.sample(processes, len(processes)):
            # Under jax.distributed the others abort when one is lost: that is no kill of ours.
            kills += process.poll() is None
            process.kill()
            time.sleep(rng.uniform(0, NEXT))
        return [line for p in processes for line in p.communicate()[0].splitlines()], kills


def check_sweep(folder: pathlib.Path, acknowledged: collections.Counter, right: dict[str, str]):
    """Counts what went wrong in a folder, and the units done."""
    from jaxdip.sweeps import Store
    from jaxdip.sweeps._store import digest

    try:
        store = Store.open(folder)
    except FileNotFoundError:
        return {"lost": len(acknowledged), "corrupt": 0}, set()
    done, good = store.done(), set()
    for name in done:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a broken unit is counted, and stays set aside
            found = store.read(name)
        if found and digest(found[0]) == right.get(name):
            good.add(name)
    return {"lost": len(acknowledged.keys() - good), "corrupt": len(done - good)}, done


def measure_sweeps(kills: int, seed: int) -> tuple[dict[str, dict[str, int]], str, set[str]]:
    """Totals by kind, the hash of the undisturbed sweep, and those of the disturbed ones."""
    from jaxdip.sweeps._store import digest

    undisturbed = sweep_in(None)
    reference = digest(undisturbed.outcomes)
    right = {}
    for unit in described().units():
        cell = np.unravel_index(unit.cell, undisturbed.grid.shape)
        rows = slice(unit.start, unit.start + unit.count)
        right[unit.name] = digest({n: x[cell][rows] for n, x in undisturbed.outcomes.items()})
    totals, hashes = {}, set()
    for number, kind in enumerate(KINDS):
        rng = random.Random(f"{seed} {kind}")
        total: collections.Counter = collections.Counter(kills=0, lost=0, corrupt=0, double=0)
        wanted = kills * (number + 1) // len(KINDS) - kills * number // len(KINDS)
        with tempfile.TemporaryDirectory() as place:
            for folder in (pathlib.Path(place) / str(i) for i in itertools.count()):
                done: set[str] = set()
                acknowledged: collections.Counter = collections.Counter()
                wrong: dict[str, int] = {}
                while len(done) < len(right) and total["kills"] < wanted:
                    lines, killed = killed_sweep(folder, kind, rng)
                    told = [line.split() for line in lines]
                    for name, new in told:
                        acknowledged[name] += int(new)
                    total["double"] += len(done & {name for name, _ in told})
                    wrong, done = check_sweep(folder, acknowledged, right)
                    total.update(rounds=1, kills=killed)
                    if any(wrong.values()):
                        break
                total.update(wrong, sweeps=1, acknowledged=len(acknowledged))
                total["double"] += sum(count > 1 for count in acknowledged.values())
                finished_here: list = []
                finished = sweep_in(str(folder), finished_here.append)
                total["units before the last run"] += len(right) - len(finished_here)
                hashes.add(digest(finished.outcomes))
                if total["kills"] >= wanted:
                    break
        totals[kind] = dict(total)
        print(f"{kind}:", ", ".join(f"{n} {count}" for n, count in total.items()), flush=True)
    return totals, reference, hashes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--store", action="store_true", help="the store alone, without a sweep")
    parser.add_argument(
        "--rounds", type=int, help="rounds of the store (60), or kills in all (200)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="three kills of whole sweeps")
    arguments = parser.parse_args()
    bad = ("lost", "corrupt", "double")
    if arguments.store:
        total = measure(arguments.rounds or 60, arguments.seed)
        for name, count in total.items():
            print(f"{name:>12}  {count}")
        sys.exit(any(total[name] for name in bad))
    rounds = arguments.rounds or (3 if arguments.quick else 200)
    totals, reference, hashes = measure_sweeps(rounds, arguments.seed)
    for name in ("kills", *bad):
        print(f"{name:>12}  {sum(total[name] for total in totals.values())}")
    print(f" undisturbed  {reference}")
    print(f"   disturbed  {', '.join(sorted(hashes))}")
    counts = {name: sum(total[name] for total in totals.values()) for name in ("kills", *bad)}
    ratios = {f"{name} / kills": counts[name] / max(counts["kills"], 1) for name in bad}
    ratios["sweeps whose bits differ / sweeps"] = len(hashes - {reference}) / len(hashes)
    # Imported late: the processes that are killed need no JAX before they say that they are ready.
    from benchmarks._report import write

    told = {"benchmark": "kill_resume", "ratios": ratios, "totals": totals}
    print(write("kill_resume", told, quick=arguments.quick))
    sys.exit(any(counts[name] for name in bad) or hashes != {reference})


if __name__ == "__main__":
    main()
