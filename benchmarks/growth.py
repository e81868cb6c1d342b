"""How does the cost grow with n, m, k, T and the number of trials, beside the theory?

Seconds at five or more sizes of one quantity, the others held; the exponent b of seconds ∝ size^b
by least squares on logarithms, with its 95 % interval, beside the count of operations:

    gradient descent, k      a step of the reduced two-layer loop costs O(m k)             1
    gradient descent, m      likewise (m ≥ 16, where the products dominate)                1
    gradient descent, n      A V is fused into an m × k matrix: n is gone from the loop    0
    gradient descent, T      steps                                                         1
    gradient flow, T         a flow whose explicit step stability holds                    1
    deep decoder, n          a gradient costs O(channels² pixels)                          1
    spectrum, k              the SVD, or Gram matrix, of the m × k factor: O(m² k)         1
    spectrum, m              likewise, m ≪ k (its m³ part comes on top)                    2
    sweep, trials            independent trials in one program                             1

Costs that a call has once (arguments, dispatch) are taken out by the difference of two lengths, or
from the least of calls (10 steps, a horizon of 1/L, a factor of 16 columns or of one row).
`--quick` takes three of the laws, smaller sizes and fewer repeats: overheads lower the exponents.

    python -m benchmarks.growth

Its last output (2 quiet cores, November 2026):

                           exponent              theory
    gradient descent, k     1.01 [0.91, 1.10]    1
    gradient descent, m     1.18 [0.78, 1.59]    1
    gradient descent, n     0.02 [−0.01, 0.05]    0
    gradient descent, T     1.03 [1.00, 1.06]    1
    gradient flow, T        0.90 [0.85, 0.95]    1
    deep decoder, n         1.00 [0.45, 1.55]    1
    spectrum, k             1.00 [0.94, 1.05]    1
    spectrum, m             1.23 [1.15, 1.31]    2
    sweep, trials           0.96 [0.91, 1.01]    1

The spectrum's exponent in m is below 2 because products of few rows reach a fraction of the speed
of square ones (`benchmarks.roofline`): the larger m, the faster they are.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import equinox as eqx  # noqa: E402
import jax.numpy as jnp  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import (  # noqa: E402
    fitted_exponent,
    interleaved,
    quick_asked,
    summary,
    write,
)

#: Entry operations of a loop that a difference of lengths measures: some tenths of a second.
WORK = 1e8


def stated(n: int, m: int, k: int) -> tuple[jd.Problem, jd.TwoLayer]:
    """One problem and one network."""
    key = jax.random.key(0)
    A = jd.operators.Gaussian(m=m, n=n, key=jd.key_for(key, "operator"), normalized=True)
    x = jax.random.normal(jd.key_for(key, "signal"), (n,))
    g = jd.TwoLayer(latent=10, width=k, out=n, key=jd.key_for(key, "init"))
    u = jd.on_sphere(10, key=jd.key_for(key, "latent"))
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x)), g


#: Median and spread of seconds.
Seconds = dict[str, float]


def descent_seconds(n: int, m: int, k: int, work: float, repeats: int) -> Seconds:
    """Of one step: what 2 T steps take more than T, divided by T."""
    problem, g = stated(n, m, k)
    steps = max(20, int(work / (m * k)))

    def run(count: int):
        return jd.iterate(problem, jd.GradientDescent(1e-3), g, count, every=count).ts

    found = interleaved({"T": partial(run, steps), "2T": partial(run, 2 * steps)}, repeats)
    pairs = zip(found["T"], found["2T"], strict=True)
    return summary([(b - a) / steps for a, b in pairs])


def run_seconds(
    runs: dict[str, Callable[[], Any]], repeats: int, least: Callable[[], Any] | None = None
) -> list[Seconds]:
    """Those of runs in turn, without what the least of them costs, if there is one."""
    if least is None:
        return [summary(taken) for taken in interleaved(runs, repeats).values()]
    once, *found = interleaved({"least": least, **runs}, repeats).values()
    return [summary([b - a for a, b in zip(once, each, strict=True)]) for each in found]


def in_k(work: float, repeats: int, sizes: Sequence[int]) -> list[Seconds]:
    return [descent_seconds(5, 2, k, work, repeats) for k in sizes]


def in_m(work: float, repeats: int, sizes: Sequence[int]) -> list[Seconds]:
    return [descent_seconds(max(sizes), m, 1000, work, repeats) for m in sizes]


def in_n(work: float, repeats: int, sizes: Sequence[int]) -> list[Seconds]:
    return [descent_seconds(n, 8, 1000, work, repeats) for n in sizes]


def in_steps(work: float, repeats: int, sizes: Sequence[int]) -> list[Seconds]:
    problem, g = stated(5, 2, 1000)

    def run(count: int):
        return jd.iterate(problem, jd.GradientDescent(1e-3), g, count, every=count).ts

    runs = {str(count): partial(run, count) for count in sizes}
    return run_seconds(runs, repeats, partial(run, 10))


def in_time(work: float, repeats: int, sizes: Sequence[int]) -> list[Seconds]:
    problem, g = stated(20, 10, 500)
    L = float(jd.gradient_lipschitz(problem, g).value)

    @eqx.filter_jit
    def run(horizon):
        ts = horizon[None]
        return jd.integrate(
            problem, jd.GradientFlow(), g, ts, solver="explicit", max_steps=10_000_000
        ).ts

    horizons = {str(T): partial(run, jnp.asarray(T / L)) for T in (1, *sizes)}
    least = horizons.pop("1")
    return run_seconds(horizons, repeats, least)


def in_pixels(work: float, repeats: int, sizes: Sequence[int]) -> list[Seconds]:
    runs = {}
    for n in sizes:
        side = round(n**0.5)
        g = jd.DeepDecoder(
            channels=64,
            start=(side // 8, side // 8),
            grid=(side, side),
            layers=3,
            key=jax.random.key(0),
            sigmoid=True,
            dtype="float32",
        )
        u = g.latent(jax.random.key(1))
        theta, rest = eqx.partition(g, g.trainable())

        @jax.jit
        def gradient(theta, rest=rest, u=u):
            return jax.grad(lambda t: jnp.sum(eqx.combine(t, rest)(u) ** 2))(theta)

        runs[str(n)] = partial(gradient, theta)
    return run_seconds(runs, repeats)


def spectra_seconds(
    shapes: Sequence[tuple[int, int]], least: tuple[int, int], repeats: int
) -> list[Seconds]:
    """Of spectra of n × k factors, without what one of the least size costs."""
    runs: dict[str, Callable[[], Any]] = {}
    for n, k in (least, *shapes):
        g = jd.TwoLayer(latent=10, width=k, out=n, key=jax.random.key(1))
        problem = jd.Problem(
            u=jd.on_sphere(10, key=jax.random.key(2)),
            operator=jd.operators.Identity(n),
            loss=jd.losses.MSE(),
            y=jnp.zeros(n),
        )
        runs[f"{n} {k}"] = lambda p=problem, g=g: jd.spectrum(p, g, of="J").values
    first = runs.pop(f"{least[0]} {least[1]}")
    return run_seconds(runs, repeats, first)


def spectrum_in_k(work: float, repeats: int, sizes: Sequence[int]) -> list[Seconds]:
    return spectra_seconds([(256, k) for k in sizes], (256, 16), repeats)


def spectrum_in_m(work: float, repeats: int, sizes: Sequence[int]) -> list[Seconds]:
    return spectra_seconds([(m, 16_384) for m in sizes], (1, 16_384), repeats)


def in_trials(work: float, repeats: int, sizes: Sequence[int]) -> list[Seconds]:
    from jaxdip.sweeps import sweep
    from jaxdip.trials import TwoLayerTrial

    grid = {"n": 5, "m": 2, "k": 200, "steps": 500}
    runs = {
        # One unit each, so that the program is the same.
        str(count): lambda count=count: sweep(
            TwoLayerTrial(), grid, trials=count, key=jax.random.key(0), block=max(sizes)
        ).outcomes["loss"]
        for count in sizes
    }
    return run_seconds(runs, repeats)


#: What grows, the theory's exponent, the sizes in full, and those of a quick run.
LAWS: dict[str, tuple[Callable[..., list[Seconds]], float, list[int], list[int]]] = {
    "gradient descent, k": (
        in_k,
        1,
        [2000, 4000, 8000, 16_000, 32_000, 64_000],
        [1000, 2000, 4000, 8000, 16_000],
    ),
    "gradient descent, m": (in_m, 1, [16, 32, 64, 128, 256, 512], [16, 32, 64, 128, 256]),
    "gradient descent, n": (in_n, 0, [16, 64, 256, 1024, 2048], [16, 64, 256, 512, 1024]),
    "gradient descent, T": (
        in_steps,
        1,
        [20_000, 40_000, 80_000, 160_000, 320_000],
        [4000, 8000, 16_000, 32_000, 64_000],
    ),
    "gradient flow, T": (
        in_time,
        1,
        [500 * 2**i for i in range(6)],
        [100 * 2**i for i in range(5)],
    ),
    "deep decoder, n": (
        in_pixels,
        1,
        [side**2 for side in (64, 96, 128, 192, 256)],
        [side**2 for side in (32, 48, 64, 96, 128)],
    ),
    "spectrum, k": (
        spectrum_in_k,
        1,
        [8192 * 2**i for i in range(6)],
        [4096 * 2**i for i in range(5)],
    ),
    "spectrum, m": (spectrum_in_m, 2, [128, 256, 512, 1024, 2048], [64, 128, 256, 512]),
    "sweep, trials": (in_trials, 1, [250 * 2**i for i in range(6)], [50 * 2**i for i in range(5)]),
}


#: Those of a quick run, which compile little.
QUICK = ("gradient descent, T", "spectrum, m", "sweep, trials")


def main():
    """One line a law."""
    quick = quick_asked("Exponents of the cost.", "smaller sizes, fewer repeats")
    rows, ratios = [], {}
    for name, (measured, theory, full, small) in LAWS.items():
        if quick and name not in QUICK:
            continue
        sizes = small if quick else full
        found = measured(WORK / 50 if quick else WORK, 3 if quick else 7, sizes)
        seconds = [each["median"] for each in found]
        fit = fitted_exponent(sizes, seconds)
        rows.append({"law": name, "theory": theory, "sizes": sizes, "seconds": found, **fit})
        ratios[f"exponent of {name} (theory {theory:g})"] = fit["exponent"]
        print(
            f"{name:20s} exponent {fit['exponent']:5.2f} [{fit['low']:.2f}, {fit['high']:.2f}], "
            f"theory {theory:g}; {min(sizes)} … {max(sizes)}: {seconds[0]:.2e} … "
            f"{seconds[-1]:.2e} s",
            flush=True,
        )
    result = {"benchmark": "growth", "ratios": ratios, "rows": rows}
    print(write("growth", result, quick=quick))


if __name__ == "__main__":
    main()
