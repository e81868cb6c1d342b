"""How many programs does a first call compile, for how long, and does a second compile any?

Each case in a process of its own, without a persistent cache: seconds of the first call, of that
tracing and compiling, and the number of programs (by JAX's own events); then the same call with
other numbers (step size, data, weights), which should compile nothing. The sweep has 50 cells
(n = 5, m = 1 … 5, ten widths from 10 to 1000), whose shapes are padded to fewer programs; its
second call has widths one less than those of the first.

`--quick` leaves out the solvers, the reconstruction and the larger sweep.

    python -m benchmarks.compile_times

Its last output (2 quiet cores, November 2026; medians of three processes; a sweep compiles in two
threads at once, whose seconds add):

                                          first  programs  compiling  tracing    second
    iterate, gradient descent             0.71 s      5     0.46 s   0.12 s   0.012 s
    integrate, gradient flow, explicit    2.03 s      8     1.31 s   0.74 s   0.016 s
    integrate, ISEHD, implicit            2.31 s      8     1.61 s   0.71 s   0.013 s
    spectrum                              0.59 s     13     0.35 s   0.10 s   0.021 s
    certify, gradient flow                1.68 s     36     1.18 s   0.41 s   0.025 s
    sweep, 6 cells                        2.89 s     12     2.50 s   0.76 s   0.044 s
    sweep, 50 cells                       8.44 s     26    12.66 s   2.34 s   0.316 s
    reconstruct, deep decoder             3.38 s     10     2.68 s   0.61 s   0.059 s

No second call compiled a program.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import in_process, write  # noqa: E402

_COMPILED = "/jax/core/compile/backend_compile_duration"
_TRACED = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
)
WIDTHS = (10, 20, 30, 50, 80, 120, 200, 350, 600, 1000)


def stated(seed: int) -> tuple[jd.Problem, jd.TwoLayer]:
    """One problem and one network; another seed has other numbers of the same shapes."""
    key = jax.random.key(seed)
    A = jd.operators.Gaussian(m=3, n=8, key=jd.key_for(key, "operator"), normalized=True)
    x = jax.random.normal(jd.key_for(key, "signal"), (8,))
    g = jd.TwoLayer(latent=20, width=300, out=8, key=jd.key_for(key, "init"))
    u = jd.on_sphere(20, key=jd.key_for(key, "latent"))
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x)), g


def iterated(seed: int) -> Any:
    problem, g = stated(seed)
    return jd.iterate(problem, jd.GradientDescent(0.1 / (1 + seed)), g, 1000, every=100).loss


def integrated(seed: int, flow: Any, solver: str) -> Any:
    problem, g = stated(seed)
    ts = jnp.linspace(1.0, 10.0 + seed, 10)
    return jd.integrate(problem, flow, g, ts, solver=solver).loss  # pyright: ignore[reportArgumentType]


def certified(seed: int) -> Any:
    problem, g = stated(seed)
    return jd.certify(problem, g, dynamics=jd.GradientFlow(), kind="network").margin


def swept(seed: int, rows: list[int], widths: tuple[int, ...]) -> Any:
    from jaxdip.sweeps import sweep
    from jaxdip.trials import TwoLayerTrial

    grid = {"n": 5, "m": rows, "k": [k - seed for k in widths], "steps": 10}
    found = sweep(TwoLayerTrial(), grid, trials=2, key=jax.random.key(seed))
    return found.outcomes["loss"]


def reconstructed(seed: int) -> Any:
    key = jax.random.key(seed)
    A = jd.operators.Identity((32, 32))
    y = jax.random.uniform(key, (32, 32))

    def decoder(key):
        g = jd.DeepDecoder(channels=8, start=(4, 4), grid=(32, 32), layers=3, key=key, sigmoid=True)
        return g, g.latent(key)

    return jd.reconstruct(y, A, decoder, key=key, optimizer="adam", steps=20).x


CASES: dict[str, Callable[[int], Any]] = {
    "iterate, gradient descent": iterated,
    "integrate, gradient flow, explicit": lambda seed: integrated(
        seed, jd.GradientFlow(), "explicit"
    ),
    "integrate, ISEHD, implicit": lambda seed: integrated(
        seed, jd.ISEHD(0.3 + 0.1 * seed, 0.5), "implicit"
    ),
    "spectrum": lambda seed: jd.spectrum(*stated(seed)).values,
    "certify, gradient flow": certified,
    "sweep, 6 cells": lambda seed: swept(seed, [1, 3], WIDTHS[:3]),
    "sweep, 50 cells": lambda seed: swept(seed, [1, 2, 3, 4, 5], WIDTHS),
    "reconstruct, deep decoder": reconstructed,
}
SLOW = ("integrate, gradient flow, explicit", "integrate, ISEHD, implicit", "sweep, 50 cells")
SLOW += ("reconstruct, deep decoder",)


def one(name: str) -> dict[str, Any]:
    """A case in this process: its first call, and the second with other numbers."""
    durations: dict[str, list[float]] = {}

    def heard(event: str, duration_secs: float, **_: Any) -> None:
        durations.setdefault(event, []).append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(heard)
    found: dict[str, Any] = {"case": name}
    for call, seed in (("first", 0), ("second", 1)):
        # Drawing the data compiles programs too: they belong to nobody's call.
        stated(seed)
        durations.clear()
        before = time.perf_counter()
        jax.block_until_ready(CASES[name](seed))
        found[call] = {
            "seconds": time.perf_counter() - before,
            "programs": len(durations.get(_COMPILED, [])),
            "compiling": sum(durations.get(_COMPILED, [])),
            "tracing": sum(sum(durations.get(event, [])) for event in _TRACED),
        }
    return found


def medians(calls: list[dict[str, float]]) -> dict[str, Any]:
    """Of each number over the processes; of the programs the most.

    Threads of a sweep that start together may both compile a small one.
    """
    found = {name: statistics.median(call[name] for call in calls) for name in calls[0]}
    found["programs"] = max(call["programs"] for call in calls)
    return found | {"spread": [min(c["seconds"] for c in calls), max(c["seconds"] for c in calls)]}


def main():
    """One line a case."""
    parser = argparse.ArgumentParser(description="Programs and seconds of first calls.")
    parser.add_argument("--quick", action="store_true", help="without the slowest cases")
    parser.add_argument("--one", choices=list(CASES), help="one case, printed as JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one)))
        return
    rows, ratios = [], {}
    for name in CASES:
        if given.quick and name in SLOW:
            continue
        found = [in_process("compile_times", "--one", name) for _ in range(1 if given.quick else 3)]
        first, second = (medians([one[call] for one in found]) for call in ("first", "second"))
        rows.append({"case": name, "first": first, "second": second, "processes": len(found)})
        print(
            f"{name:35s} first {first['seconds']:6.2f} s, {first['programs']:3d} programs in "
            f"{first['compiling']:5.2f} s, traced in {first['tracing']:5.2f} s; second "
            f"{second['seconds']:7.4f} s, {second['programs']} programs",
            flush=True,
        )
        ratios[f"programs, {name}"] = first["programs"]
        ratios[f"programs of a call with other numbers, {name}"] = second["programs"]
        ratios[f"first call / second, {name}"] = first["seconds"] / second["seconds"]
    result = {"benchmark": "compile_times", "ratios": ratios, "rows": rows}
    print(write("compile_times", result, quick=given.quick))


if __name__ == "__main__":
    main()
