"""How long does a spectrum take, and how much memory?

(a) The singular values of J_g of a two-layer network, n = 4096, k = 10 000, d = 500, float64: its
full Jacobian would have 4096 × 5·10⁶ entries. Closed-form Gram matrix and all its eigenvalues.
(b) σ_min of a deep decoder (3 layers of 64 channels, 8 × 8 → 64 × 64, sigmoid): Ritz values by
Golub-Kahan at growing depth, which store no Jacobian and are estimates from above; the eigenvalues
of the kernel J Jᵀ, computed by chunks, which see nothing below 1e-8 σ_max; and the SVD of the dense
Jacobian, which decides.

Prints seconds of the first call, compilation included, and median and spread of three more, taken
in turn; peak memory; σ_min with its evidence. Ratios are of the medians, warm. Each part runs in a
process of its own. `--quick` divides n, k and d by four, and takes the
decoder with half as many channels on half as many pixels a side.

    python -m benchmarks.spectra

Its last output (2 cores, November 2026; seconds of later calls, medians):

    (a) two-layer       10.2 s [9.4, 10.8], at most 0.68 GiB above what was held before (the full
                        Jacobian has 153), σ_min/σ_max = 0.20
    (b) decoder         σ_min/σ_max     s
        Krylov, 100     2.6e-3          0.48
        Krylov, 200     9.9e-4          1.3
        kernel          0              16.2     (10.1 to compute it, 6.1 for its eigenvalues)
        dense SVD       1.2e-17        21.3     (J, 4096 × 12 736, is singular to rounding)
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import equinox as eqx  # noqa: E402
import jax.numpy as jnp  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import (  # noqa: E402
    in_process,
    interleaved,
    peak_gib,
    summary,
    timed,
    write,
)

#: Warm calls of each route.
REPEATS = 3


def described(spectrum: jd.Spectrum) -> dict[str, Any]:
    """The ends of a spectrum with what they rest on."""
    low, safe = spectrum.sigma_min, spectrum.sigma_min_lower
    return {
        "sigma_max": float(spectrum.sigma_max.value),
        "sigma_min": float(low.value),
        "evidence": low.evidence,
        "sigma_min_at_least": float(safe.value),
        "how": low.how,
    }


def stated(
    generator: jd.generators.AbstractGenerator, d: int, operator: jd.operators.AbstractOperator
) -> jd.Problem:
    """A problem for the generator."""
    key = jax.random.key(0)
    return jd.Problem(
        u=jd.on_sphere(d, key=jd.key_for(key, "latent")),
        operator=operator,
        loss=jd.losses.MSE(),
        y=jnp.zeros(generator.out_shape),
    )


def two_layer(shrink: int) -> dict[str, Any]:
    """Part (a)."""
    n, k, d = 4096 // shrink, 10_000 // shrink, 500 // shrink
    generator = jd.TwoLayer(latent=d, width=k, out=n, key=jax.random.key(1))
    problem = stated(generator, d, jd.operators.Identity(n))
    before = peak_gib()
    found, first = timed(lambda: jd.spectrum(problem, generator, of="J"))
    again = interleaved({"again": lambda: jd.spectrum(problem, generator, of="J")}, REPEATS)[
        "again"
    ]
    return {
        "n": n,
        "k": k,
        "d": d,
        "seconds_first": first,
        "seconds_again": summary(again),
        "peak_gib_before": before,
        "peak_gib": peak_gib(),
        **described(found),
    }


def deep(shrink: int) -> dict[str, Any]:
    """Part (b)."""
    side = 64 // int(shrink**0.5)
    generator = jd.DeepDecoder(
        channels=64 // int(shrink**0.5),
        start=(side // 8, side // 8),
        grid=(side, side),
        layers=3,
        key=jax.random.key(1),
        sigmoid=True,
    )
    problem = jd.Problem(
        u=generator.latent(jax.random.key(2)),
        operator=jd.operators.Identity((side, side)),
        loss=jd.losses.MSE(),
        y=jnp.zeros((side, side)),
    )
    krylov = {
        depth: partial(jd.spectrum, problem, generator, method="krylov", depth=depth)
        for depth in (25, 100, 200)
    }
    begun = {depth: timed(run) for depth, run in krylov.items()}
    # Before anything that holds the kernel or the Jacobian.
    krylov_peak = peak_gib()
    kernel = partial(jd.analysis.kernel, problem, generator, chunk=16)
    K, kernel_first = timed(kernel)
    eigenvalues, eigenvalues_first = timed(lambda: jnp.linalg.eigvalsh(K))
    exact, dense_first = timed(lambda: jd.spectrum(problem, generator, method="dense"))
    routes: dict[str, Callable[[], Any]] = {
        **{f"krylov {depth}": run for depth, run in krylov.items()},
        "kernel": kernel,
        "eigenvalues": lambda: jnp.linalg.eigvalsh(K),
        "dense": partial(jd.spectrum, problem, generator, method="dense"),
    }
    again = {name: summary(taken) for name, taken in interleaved(routes, REPEATS).items()}
    rows = [
        {
            "depth": depth,
            "seconds_first": first,
            "seconds_again": again[f"krylov {depth}"],
            **described(found),
        }
        for depth, (found, first) in begun.items()
    ]
    trained = eqx.filter(generator, generator.trainable())
    return {
        "side": side,
        "parameters": sum(x.size for x in jax.tree.leaves(trained)),
        "krylov": rows,
        "krylov_peak_gib": krylov_peak,
        "kernel_seconds_first": kernel_first,
        "kernel_seconds_again": again["kernel"],
        "eigenvalues_seconds_first": eigenvalues_first,
        "eigenvalues_seconds_again": again["eigenvalues"],
        "kernel_sigma_min": float(jnp.sqrt(jnp.maximum(eigenvalues[0], 0))),
        "dense_seconds_first": dense_first,
        "dense_seconds_again": again["dense"],
        "dense": described(exact),
        "peak_gib": peak_gib(),
    }


PARTS = {"two_layer": two_layer, "deep": deep}


def ratios(result: dict[str, Any]) -> dict[str, float]:
    """What the routes cost and miss, beside the SVD of the dense Jacobian."""
    deep, two_layer = result["deep"], result["two_layer"]
    exact, last = deep["dense"]["sigma_min"], deep["krylov"][-1]
    dense = deep["dense_seconds_again"]["median"]
    kernel = sum(deep[f"{part}_seconds_again"]["median"] for part in ("kernel", "eigenvalues"))
    grown = two_layer["peak_gib"] - two_layer["peak_gib_before"]
    return {
        "dense SVD / kernel and its eigenvalues, seconds, decoder": dense / kernel,
        f"dense SVD / {last['depth']} Krylov steps, seconds, decoder": dense
        / last["seconds_again"]["median"],
        # Not divided by the exact one, which may be rounding.
        f"(sigma_min by {last['depth']} Krylov steps − exact) / sigma_max": (
            last["sigma_min"] - exact
        )
        / deep["dense"]["sigma_max"],
        "(sigma_min by the kernel − exact) / sigma_max": (deep["kernel_sigma_min"] - exact)
        / deep["dense"]["sigma_max"],
        "memory of the full Jacobian / ours, two-layer": 8
        * two_layer["n"]
        * two_layer["k"]
        * two_layer["d"]
        / 2**30
        / max(grown, 1e-3),
        "first call / later ones, dense SVD, decoder": deep["dense_seconds_first"] / dense,
        "first call / later ones, two-layer": two_layer["seconds_first"]
        / two_layer["seconds_again"]["median"],
    }


def main():
    """Runs each part in its own process."""
    parser = argparse.ArgumentParser(description="Spectra: seconds and memory.")
    parser.add_argument("--quick", action="store_true", help="sizes divided by four")
    parser.add_argument("--part", choices=list(PARTS), help="run one part, print JSON")
    given = parser.parse_args()
    if given.part:
        print(json.dumps(PARTS[given.part](4 if given.quick else 1)))
        return
    result: dict[str, Any] = {}
    for part in PARTS:
        result[part] = in_process("spectra", "--part", part, *["--quick"] * given.quick)
        print(part, json.dumps(result[part], indent=2))
    told = {"benchmark": "spectra", "ratios": ratios(result), **result}
    print(write("spectra", told, quick=given.quick))


if __name__ == "__main__":
    main()
