"""How many trial-iterations a second does one core make in a sweep of the papers' experiment?

Gradient descent on the two-layer network, n = 5, m = 2, d = 500, W trained, 50 trials, a fixed
number of iterations, k = 100, 1000 and 10 000, float64 and float32, one thread each, in turn:

    jaxdip          TwoLayerTrial, trials one after another in one program
    floor           JAX's sigmoid alone on the same numbers, as the loop of the same length
    tanh            likewise tanh, which jaxdip takes the sigmoid from
    torch module    a module and SGD, as a user writes it, a loop over trials
    torch vmap      vmap(grad) over all trials, torch.compile
    torch reduced   the same reduction by hand, all trials batched, torch.compile

Prints nanoseconds a hidden unit and iteration, medians with spread, and what drawing jaxdip's
trials takes, which is not counted (torch's is not either). Without torch its rows are left out, and
it says so. `--quick` runs k = 100 and 1000, fewer iterations and repeats; `--widths` takes others.

    python -m benchmarks.sweep_throughput

Nanoseconds a unit of its last output (one core of two, November 2026, medians):

    k, dtype          jaxdip  floor  tanh  torch reduced  torch vmap  torch module
    100, float64        2.35   2.44  1.60       7.0           592          2810
    1000, float64       1.92   1.94  1.17       3.2          2280          1320
    10 000, float64     1.88   1.99  1.23       3.5             -          2350
    100, float32        1.59   1.38  0.88       7.2           298          2830
    1000, float32       0.73   0.67  0.43       1.5          1270           892
    10 000, float32     0.79   0.71  0.49       2.3             -           706

An iteration, both products and the update with it, costs 0.95 to 1.15 times the sigmoid alone, and
1.5 to 1.8 times the tanh in it. Trial-iterations a second on one core: 4.3 million at k = 100,
521 000 at 1000, 53 200 at 10 000 in float64; 6.3 million, 1.36 million, 127 000 in float32.

At k = 10 000 the weights of all trials at once are 2 GB (float64), of which vmap(grad) needs
several copies: it runs with `--large`.
"""

import argparse
import os

# One thread against one thread: on a busy machine a second one measures the others.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from functools import partial  # noqa: E402
from typing import Any  # noqa: E402

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402

from benchmarks._report import interleaved, peer, summary, write  # noqa: E402
from jaxdip.trials import TwoLayerTrial  # noqa: E402

N, M, D, TRIALS = 5, 2, 500, 50
STEP = 0.1


def drawn(k: int, dtype: str) -> tuple[Any, Callable[[], Any]]:
    """The program of the trials, and what draws them and evaluates their first loss."""
    trial = TwoLayerTrial()
    point = {"n": N, "m": M, "k": k, "d": D, "step_size": STEP, "dtype": dtype}
    program, numbers = trial.program(point), trial.numbers(point)

    @jax.jit
    def begin():
        keys = jax.random.split(jax.random.key(0), TRIALS)
        return jax.lax.map(lambda key: trial.begin(key, program, numbers), keys)

    return program, begin


def jaxdip_run(program: Any, states: Any) -> Callable[[int], Any]:
    """All trials one after another, that many iterations each."""
    trial = TwoLayerTrial()

    @jax.jit
    def run(states):
        def one(state):
            end = jax.lax.while_loop(trial.running, lambda s: trial.step(program, s), state)
            return trial.outcome(program, end)

        return jax.lax.map(one, states)

    def many(iterations: int):
        # No loss is below -1, so every trial makes the same number of steps.
        fixed = states.fixed._replace(
            tolerance=jnp.full_like(states.fixed.tolerance, -1),
            limit=jnp.full_like(states.fixed.limit, iterations),
        )
        out = run(states._replace(fixed=fixed))
        assert int(jnp.min(out["steps"])) == iterations
        return out["loss"]

    return many


def activation_run(k: int, dtype: str, phi: Callable) -> Callable[[int], Any]:
    """φ alone, on all trials one after another."""
    z = jax.random.normal(jax.random.key(0), (TRIALS, k), dtype)

    @jax.jit
    def run(z, iterations):
        def one(z):
            # z moves by nothing that could be foreseen, so that φ is evaluated anew each time.
            def again(_, carry):
                z, a = carry
                return z, phi(z + a[0])

            return jax.lax.fori_loop(0, iterations, again, (z, jnp.zeros_like(z)))[1]

        return jax.lax.map(one, z)

    return lambda iterations: run(z, iterations)


def torch_runs(k: int, dtype: str, large: bool) -> dict[str, Callable[[int], Any]]:
    """What a user of PyTorch writes, from the plain to the best; empty without torch."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        return {}
    torch.set_num_threads(1)
    kind = getattr(torch, dtype)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=kind)

    A, V = normal(TRIALS, M, N), normal(TRIALS, N, k).sign()
    u = torch.nn.functional.normalize(normal(TRIALS, D), dim=1)
    y = torch.einsum("tmn,tn->tm", A, normal(TRIALS, N))

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(D, k, bias=False, dtype=kind)
            self.last = torch.nn.Linear(k, N, bias=False, dtype=kind)
            with torch.no_grad():
                self.first.weight.copy_(normal(k, D))
                self.last.weight.copy_(V[0] / k**0.5)
            self.last.weight.requires_grad_(False)

        def forward(self, u):
            return self.last(torch.sigmoid(self.first(u)))

    # Some networks stand for all where all would not fit: only the time counts.
    weights = k * D * A.element_size()
    networks = [Network() for _ in range(min(TRIALS, max(4, int(4e8 / weights))))]

    def module(iterations: int):
        for i in range(TRIALS):
            network = networks[i % len(networks)]
            descent = torch.optim.SGD([network.first.weight], lr=STEP)
            for _ in range(iterations):
                descent.zero_grad()
                loss = 0.5 * torch.sum((A[i] @ network(u[i]) - y[i]) ** 2)
                loss.backward()
                descent.step()

    fits = TRIALS * weights < (1e10 if large else 1e9)
    W = normal(TRIALS, k, D) if fits else None

    def loss(W, A, V, u, y):
        return 0.5 * torch.sum((A @ (V @ torch.sigmoid(W @ u)) / k**0.5 - y) ** 2)

    gradient = torch.func.vmap(torch.func.grad(loss))

    @torch.compile
    def batched_step(W):
        return W - STEP * gradient(W, A, V, u, y)

    def batched(iterations: int):
        now = W
        for _ in range(iterations):
            now = batched_step(now)
        return now

    matrix = torch.bmm(A, V) / k**0.5
    z0 = normal(TRIALS, k)

    @torch.compile
    def reduced_step(z):
        a = torch.sigmoid(z)
        # Sums, which the compiler fuses, are here no slower than torch.bmm.
        r = torch.sum(matrix * a[:, None], dim=2) - y
        pulled = torch.sum(matrix * r[:, :, None], dim=1)
        return z - STEP * a * (1 - a) * pulled, 0.5 * torch.sum(r * r, dim=1)

    def reduced(iterations: int):
        z = z0
        for _ in range(iterations):
            z, _loss = reduced_step(z)
        return z

    runs: dict[str, Callable[[int], Any]] = {"torch module": module, "torch reduced": reduced}
    if fits:
        runs["torch vmap"] = batched
    else:
        print(
            f"k = {k}, {dtype}: all weights at once are a gigabyte or more; torch vmap with --large"
        )
    return runs


def iterations_for(run: Callable[[int], Any], seconds: float) -> int:
    """How many iterations take about so long."""
    iterations = 2
    jax.block_until_ready(run(iterations))
    while True:
        before = time.perf_counter()
        jax.block_until_ready(run(iterations))
        took = time.perf_counter() - before
        if took > seconds / 4:
            return max(2, int(iterations * seconds / took))
        iterations *= 4


def measure(k: int, dtype: str, seconds: float, repeats: int, large: bool) -> dict:
    """Nanoseconds a unit and iteration of every contestant."""
    program, begin = drawn(k, dtype)
    runs = {
        "jaxdip": jaxdip_run(program, begin()),
        "floor": activation_run(k, dtype, jax.nn.sigmoid),
        "tanh": activation_run(k, dtype, jnp.tanh),
        **torch_runs(k, dtype, large),
    }
    counts = {name: iterations_for(run, seconds) for name, run in runs.items()}
    timed: dict[str, Callable[[], Any]] = {
        name: partial(run, counts[name]) for name, run in runs.items()
    }
    times = interleaved({**timed, "draws": begin}, repeats)
    draws = summary(times.pop("draws"))
    found = {}
    for name, values in times.items():
        units = counts[name] * TRIALS * k
        found[name] = summary([t / units * 1e9 for t in values]) | {"iterations": counts[name]}
    return {"k": k, "dtype": dtype, "ns_per_unit": found, "draws_seconds": draws}


def show(row: dict) -> None:
    """One line a contestant."""
    draws = row["draws_seconds"]["median"] / TRIALS * 1e6
    print(f"k = {row['k']}, {row['dtype']}; draws take {draws:.0f} us a trial")
    floor = row["ns_per_unit"]["floor"]["median"]
    for name, ns in row["ns_per_unit"].items():
        rate = 1e9 / (ns["median"] * row["k"])
        print(
            f"  {name:14s} {ns['median']:9.3f} ns [{ns['min']:.3f}, {ns['max']:.3f}] a unit, "
            f"{rate:12.0f} trial-iterations/s, {ns['median'] / floor:7.2f} x floor"
        )


def main():
    """Runs every case and prints its lines."""
    parser = argparse.ArgumentParser(description="Throughput of a sweep's inner loop.")
    parser.add_argument("--quick", action="store_true", help="smaller, shorter, fewer repeats")
    parser.add_argument("--large", action="store_true", help="torch vmap at every width: 10 GB")
    parser.add_argument("--widths", type=int, nargs="+", help="k, instead of the default")
    given = parser.parse_args()
    quick = given.quick
    peer("torch")
    widths, seconds, repeats = ((100, 1000), 0.1, 5) if quick else ((100, 1000, 10_000), 0.5, 7)
    rows = []
    for dtype in ("float64", "float32"):
        for k in given.widths or widths:
            rows.append(measure(k, dtype, seconds, repeats, given.large))
            show(rows[-1])
    ratios = {
        f"{name} / jaxdip, k = {row['k']}, {row['dtype']}": ns["median"]
        / row["ns_per_unit"]["jaxdip"]["median"]
        for row in rows
        for name, ns in row["ns_per_unit"].items()
        if name != "jaxdip"
    }
    result = {"benchmark": "sweep_throughput", "ratios": ratios, "rows": rows}
    print(write("sweep_throughput", result, quick=quick))


if __name__ == "__main__":
    main()
