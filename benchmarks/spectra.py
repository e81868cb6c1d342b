"""How long does a spectrum take, and how much memory?

(a) The singular values of J_g of a two-layer network, n = 4096, k = 10 000, d = 500, float64: its
full Jacobian would have 4096 × 5·10⁶ entries. Closed-form Gram matrix and all its eigenvalues.
(b) σ_min of a deep decoder (3 layers of 64 channels, 8 × 8 → 64 × 64, sigmoid): Ritz values by
Golub-Kahan at growing depth, which store no Jacobian and are estimates from above; the eigenvalues
of the kernel J Jᵀ, computed by chunks, which see nothing below 1e-8 σ_max; and the SVD of the dense
Jacobian, which decides.

(c) The certificate of gradient flow for (a) with a Gaussian blur of 64 × 64 images as operator:
every constant, verdict and bound of the theorem.

Prints seconds (first call, compilation included, and second), peak memory, σ_min with its evidence;
each part runs in a process of its own. `--quick` shrinks every size by four.

    python -m benchmarks.spectra
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import equinox as eqx  # noqa: E402
import jax.numpy as jnp  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import write  # noqa: E402


def peak_gib() -> float:
    """Peak memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """The result and how many seconds it took."""
    before = time.perf_counter()
    result = jax.block_until_ready(run())
    return result, time.perf_counter() - before


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
    second = timed(lambda: jd.spectrum(problem, generator, of="J"))[1]
    return {
        "n": n,
        "k": k,
        "d": d,
        "seconds_first": first,
        "seconds_again": second,
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
    rows = []
    for depth in (25, 100, 200):
        found, seconds = timed(
            lambda depth=depth: jd.spectrum(problem, generator, method="krylov", depth=depth)
        )
        rows.append({"depth": depth, "seconds_first": seconds, **described(found)})
    krylov_peak = peak_gib()
    K, seconds = timed(lambda: jd.analysis.kernel(problem, generator, chunk=16))
    eigenvalues, more = timed(lambda: jnp.linalg.eigvalsh(K))
    del K
    trained = eqx.filter(generator, generator.trainable())
    exact, svd_seconds = timed(lambda: jd.spectrum(problem, generator, method="dense"))
    return {
        "side": side,
        "parameters": sum(x.size for x in jax.tree.leaves(trained)),
        "krylov": rows,
        "krylov_peak_gib": krylov_peak,
        "kernel_seconds": seconds,
        "eigenvalues_seconds": more,
        "kernel_sigma_min": float(jnp.sqrt(jnp.maximum(eigenvalues[0], 0))),
        "dense_seconds": svd_seconds,
        "dense": described(exact),
        "peak_gib": peak_gib(),
    }


def certificate(shrink: int) -> dict[str, Any]:
    """Part (c)."""
    side, k, d = 64 // int(shrink**0.5), 10_000 // shrink, 500 // shrink
    generator = jd.TwoLayer(latent=d, width=k, out=(side, side), key=jax.random.key(1))
    A = jd.operators.Blur.gaussian((side, side), 1.0, radius=1)
    problem = stated(generator, d, A)
    before = peak_gib()
    found, first = timed(lambda: jd.theory.gradient_flow(problem, generator))
    second = timed(lambda: jd.theory.gradient_flow(problem, generator))[1]
    return {
        "n": side * side,
        "k": k,
        "d": d,
        "seconds_first": first,
        "seconds_again": second,
        "peak_gib_before": before,
        "peak_gib": peak_gib(),
        "verdict": found.verdict,
        "margin": float(found.margin),
        "numbers": {name: float(number.value) for name, number in found.numbers.items()},
    }


PARTS = {"two_layer": two_layer, "deep": deep, "certificate": certificate}


def main():
    """Runs each part in its own process."""
    parser = argparse.ArgumentParser(description="Spectra: seconds and memory.")
    parser.add_argument("--quick", action="store_true", help="sizes divided by four")
    parser.add_argument("--part", choices=list(PARTS), help="run one part, print JSON")
    given = parser.parse_args()
    if given.part:
        print(json.dumps(PARTS[given.part](4 if given.quick else 1)))
        return
    result = {}
    for part in PARTS:
        command = [sys.executable, "-m", "benchmarks.spectra", "--part", part]
        done = subprocess.run(
            command + ["--quick"] * given.quick, capture_output=True, text=True, check=True
        )
        result[part] = json.loads(done.stdout.splitlines()[-1])
        print(part, json.dumps(result[part], indent=2))
    if not given.quick:
        print(write("spectra", {"benchmark": "spectra", **result}))


if __name__ == "__main__":
    main()
