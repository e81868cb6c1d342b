"""What does `iterate` cost beside a bare `lax.scan` of the same steps, and beside PyTorch?

Gradient descent and IGAHD with constant steps on a two-layer network, W trained, n = 5, m = 2,
k = 100, 1000 and 10 000, one trial, float64, the loss recorded ten times a run:

    iterate         `jd.iterate`, which reduces by itself, from the generator to the lifted result
    scan            one jitted `lax.scan` of the reduced step written by hand, no records
    scan of grad    likewise, the gradient by `jax.grad`
    torch           the same reduced step in PyTorch, gradient by autograd, no compilation
    torch compiled  the hand-written step under `torch.compile` (gradient descent only)

All on the same numbers; the benchmark fails if a final loss differs from the scan's by more than
1e-8 of the first. Time per step is that between two lengths of run, so what a run costs once
(tracing of arguments, reduction, lifting W) does not enter. One thread each.
`--quick` takes shorter runs, fewer widths and no `torch compiled`.

    python -m benchmarks.discrete_loop

Microseconds a step, medians of 9 (November 2026; commit, versions and spread in
results/discrete_loop.json):

                       iterate    scan   scan of grad   torch   torch compiled
    gd     k = 100         0.42    0.43           0.43     100             29.7
           k = 1000        3.30    2.79           3.20      72             26.1
           k = 10 000      30.7    33.4           29.1     112             45.4
    igahd  k = 100         0.37    0.45           0.47     107
           k = 1000        3.64    3.61           3.31      91
           k = 10 000      35.2    35.6           33.6     122

At k = 1000 the hand-written scan of gradient descent was a sixth faster than `iterate`; elsewhere
they are within the spread of one another.
"""

import os

# One thread against one thread: on a busy machine a second one measures the others.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from collections.abc import Callable  # noqa: E402
from functools import partial  # noqa: E402
from typing import Any  # noqa: E402

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import peer, per_iteration, quick_asked, summary, write  # noqa: E402

N, M, D = 5, 2, 20
GAMMA, ALPHA, BETA = 0.1, 0.3, 0.3
#: The widths of a quick run.
QUICK = {"gd": (10_000,), "igahd": (1000,)}
METHODS = {"gd": jd.GradientDescent(GAMMA), "igahd": jd.IGAHD(GAMMA, ALPHA, BETA)}


def stated(k: int) -> tuple[jd.Problem, jd.TwoLayer]:
    """One problem and one network."""
    key = jax.random.key(0)
    A = jd.operators.Gaussian(m=M, n=N, key=jd.key_for(key, "operator"))
    x = jax.random.normal(jd.key_for(key, "signal"), (N,))
    g = jd.TwoLayer(latent=D, width=k, out=N, key=jd.key_for(key, "init"))
    u = jd.on_sphere(D, key=jd.key_for(key, "latent"))
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x)), g


def reduced(problem: jd.Problem, g: jd.TwoLayer) -> tuple[jax.Array, jax.Array, jax.Array]:
    """M = A V/√k, z0 = W u and y."""
    A: Any = problem.operator
    return A.matrix() @ g.V * g.factor, g.W @ problem.u, problem.y


def loss_at(M: Any, y: Any, z: Any) -> Any:
    """½‖M φ(z) − y‖²."""
    r = M @ jax.nn.sigmoid(z) - y
    return 0.5 * r @ r


def by_hand(M: Any, y: Any, z: Any) -> Any:
    """The gradient of the loss, with φ evaluated once."""
    a = jax.nn.sigmoid(z)
    return (M @ a - y) @ M * (a * (1 - a))


def moved(method: str, gradient: Callable[[Any], Any], state: Any) -> Any:
    """One step of gradient descent, or of IGAHD: (z, w) with w = b∇f(z_0) at first."""
    z, w = state
    g = gradient(z)
    if method == "gd":
        return z - GAMMA * g, w
    a, b = 1 - ALPHA * GAMMA**0.5, BETA * GAMMA**0.5
    return z + w - (b + GAMMA) * g, a * w + (b - a * (b + GAMMA)) * g


def scan_run(method: str, k: int, by_grad: bool) -> Callable[[int], Any]:
    """A bare scan of so many steps, which returns the last loss."""
    M, z0, y = reduced(*stated(k))
    gradient = partial(jax.grad(loss_at, argnums=2), M, y) if by_grad else partial(by_hand, M, y)

    @partial(jax.jit, static_argnums=1)
    def run(z, steps):
        first = (z, BETA * GAMMA**0.5 * gradient(z))
        end, _ = jax.lax.scan(
            lambda s, _: (moved(method, gradient, s), None), first, None, length=steps
        )
        return loss_at(M, y, end[0])

    return lambda steps: run(z0, steps)


def iterate_run(method: str, k: int) -> Callable[[int], Any]:
    """The driver, from the network to the lifted network."""
    problem, g = stated(k)

    def run(steps: int):
        found = jd.iterate(problem, METHODS[method], g, steps, every=steps // 10)
        return found.loss[-1]

    return run


def torch_runs(torch: Any, method: str, k: int, compiled: bool) -> dict[str, Callable[[int], Any]]:
    """The same step in PyTorch."""
    torch.set_num_threads(1)
    M, z0, y = (torch.tensor(np.array(x)) for x in reduced(*stated(k)))

    def loss(z):
        r = M @ torch.sigmoid(z) - y
        return 0.5 * r @ r

    def gradient(z):
        z = z.detach().requires_grad_()
        return torch.autograd.grad(loss(z), z)[0]

    def run(steps: int):
        state = (z0, BETA * GAMMA**0.5 * gradient(z0))
        for _ in range(steps):
            state = moved(method, gradient, state)
        return float(loss(state[0]))

    runs: dict[str, Callable[[int], Any]] = {"torch": run}
    if compiled and method == "gd":

        @torch.compile
        def step(z):
            a = torch.sigmoid(z)
            # Sums, which the compiler fuses, are here no slower than products.
            r = torch.sum(M * a, dim=1) - y
            return z - GAMMA * a * (1 - a) * torch.sum(M * r[:, None], dim=0)

        def run_compiled(steps: int):
            z = z0
            for _ in range(steps):
                z = step(z)
            return float(loss(z))

        runs["torch compiled"] = run_compiled
    return runs


def measure(torch: Any, method: str, k: int, quick: bool) -> dict[str, Any]:
    """Seconds a step of every contestant."""
    runs = {
        "iterate": iterate_run(method, k),
        "scan": scan_run(method, k, by_grad=False),
        "scan of grad": scan_run(method, k, by_grad=True),
    }
    if torch is not None:
        runs |= torch_runs(torch, method, k, compiled=not quick)
    problem, g = stated(k)
    first = float(problem.objective(g))
    # About equally long runs: PyTorch takes tens of microseconds a step without compilation.
    long = (4_000 if quick else 40_000) * 1000 // max(k, 1000)
    counts = {name: long if "torch" not in name else max(100, long // 20) for name in runs}
    fewest = min(counts.values())
    ends = {name: float(run(fewest)) for name, run in runs.items()}
    apart = {name: abs(end - ends["scan"]) / first for name, end in ends.items()}
    if not max(apart.values()) < 1e-8:
        raise SystemExit(
            f"{method}, k = {k}: the final losses differ, relative to the first: {apart}"
        )
    taken = per_iteration(runs, counts, 3 if quick else 9)
    rows = {name: {"seconds_a_step": summary(one["step"])} for name, one in taken.items()}
    return {"method": method, "k": k, "runs": rows, "final_losses_apart": apart}


def main():
    """Prints one line for each method, width and contestant."""
    quick = quick_asked("iterate beside a bare scan and PyTorch.", "shorter runs")
    torch = peer("torch")
    rows, ratios = [], {}
    for method in METHODS:
        for k in QUICK[method] if quick else (100, 1000, 10_000):
            row = measure(torch, method, k, quick)
            rows.append(row)
            own = row["runs"]["iterate"]["seconds_a_step"]["median"]
            for name, run in row["runs"].items():
                step = run["seconds_a_step"]
                print(
                    f"{method:5s} k = {k:6d} {name:14s} {1e6 * step['median']:8.2f} us a step "
                    f"[{1e6 * step['min']:.2f}, {1e6 * step['max']:.2f}], "
                    f"{step['median'] / own:6.2f} x iterate",
                    flush=True,
                )
                if name != "iterate":
                    ratios[f"{name} / iterate, {method}, k = {k}"] = step["median"] / own
    result = {"benchmark": "discrete_loop", "ratios": ratios, "rows": rows}
    print(write("discrete_loop", result, quick=quick))


if __name__ == "__main__":
    main()
