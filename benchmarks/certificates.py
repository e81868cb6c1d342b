"""What does a certificate cost at image size, in seconds and in memory?

Images of 64 × 64 (n = m = 4096) seen through a Gaussian blur, the two-layer network with
k = 10 000 and d = 500, W trained, float64: the theorems of gradient flow, gradient descent, ISEHD
and IGAHD on the ground 'network', every constant, verdict and bound. The full Jacobian would have
4096 × 5·10⁶ entries (164 GB); its closed-form factor B has 4096 × 10 000 (328 MB). Beside it, in
the same process, what no certificate can avoid: B Bᵀ and its eigenvalues.

Each theorem has a process of its own. Prints seconds of the first call (compilation included) and
the median and spread of three more, the most memory held, verdict and margin. `--quick` divides n
by 16 and k and d by 4, and takes the first and the last theorem.

    python -m benchmarks.certificates

Its last output (2 quiet cores, November 2026; 1.14 GiB were held before, the margin is the ratio of
the sides of the tightest condition, which holds from 1 on):

    theorem           first   again, s               Gram, s   most GiB   verdict, margin
    gradient flow      12.7    10.6 [10.3, 10.7]     9.1       2.07   fails, 8.9e-09
    gradient descent   18.6    16.3 [15.5, 16.3]     8.8       2.16   fails, 4.5e-09
    ISEHD              32.8    36.1 [34.9, 36.5]     9.5       2.09   fails, 1.0e-13
    IGAHD              49.4    46.6 [42.2, 48.8]     9.4       2.18   fails, 1.4e-05

Beyond the Gram matrix and its eigenvalues are the numbers left out: the step 1/L takes power
iterations on the Hessian, the inertial α = μ the SVD of the reduced Jacobian A J, which sees small
values that a Gram matrix does not.
"""

import argparse
import json
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
    told,
    write,
)

REPEATS = 3

DYNAMICS = {
    "gradient flow": jd.GradientFlow(),
    "gradient descent": jd.GradientDescent(),
    "ISEHD": jd.ISEHD(),
    "IGAHD": jd.IGAHD(),
}


def stated(quick: bool) -> tuple[jd.Problem, jd.TwoLayer]:
    """The problem and the network at its start."""
    side, k, d = (16, 2500, 125) if quick else (64, 10_000, 500)
    key = jax.random.key(1)
    generator = jd.TwoLayer(latent=d, width=k, out=(side, side), key=key)
    A = jd.operators.Blur.gaussian((side, side), 1.0, radius=1)
    problem = jd.Problem(
        u=jd.on_sphere(d, key=jd.key_for(key, "latent")),
        operator=A,
        loss=jd.losses.MSE(),
        y=A(jax.random.uniform(jd.key_for(key, "signal"), (side, side))),
    )
    return problem, generator


@eqx.filter_jit
def unavoidable(g: Any, u: Any) -> Any:
    """The eigenvalues of J Jᵀ = B Bᵀ, B = V diag(φ'(W u)) ‖u‖/√k, and nothing else."""
    h = g.W @ u
    slopes = jax.jvp(g.activation, (h,), (jnp.ones_like(h),))[1]
    B = g.V * (g.factor * jnp.linalg.norm(u) * slopes)
    return jnp.linalg.eigvalsh(B @ B.T)


def one(name: str, quick: bool) -> dict[str, Any]:
    """One theorem, in this process."""
    problem, generator = stated(quick)
    before = peak_gib()

    def run():
        found = jd.certify(problem, generator, dynamics=DYNAMICS[name], kind="network")
        return found, found.margin

    (found, _), first = timed(run)
    again = interleaved({"again": run}, REPEATS)["again"]
    held = peak_gib()
    floor = interleaved({"floor": lambda: unavoidable(generator, problem.u)}, REPEATS)["floor"]
    return {
        "theorem": name,
        "n": problem.y.size,
        "k": generator.width,
        "seconds_first": first,
        "seconds_again": summary(again),
        "seconds_of_gram_and_eigenvalues": summary(floor),
        "gib_before": before,
        "gib": held,
        "gib_of_factor": 8 * problem.y.size * generator.width / 2**30,
        "verdict": found.verdict,
        "margin": float(found.margin),
        "numbers": {n: float(number.value) for n, number in found.numbers.items()},
    }


def main():
    """One line a theorem."""
    parser = argparse.ArgumentParser(description="Certificates at image size.")
    parser.add_argument("--quick", action="store_true", help="16 x 16 pixels")
    parser.add_argument("--one", choices=list(DYNAMICS), help="one theorem, printed as JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one, given.quick)))
        return
    rows, ratios = [], {}
    for name in ("gradient flow", "IGAHD") if given.quick else DYNAMICS:
        row = in_process("certificates", "--one", name, *["--quick"] * given.quick)
        rows.append(row)
        print(
            f"{name:17s} first {row['seconds_first']:6.1f} s, again {told(row['seconds_again'])} s "
            f"(Gram matrix and eigenvalues {told(row['seconds_of_gram_and_eigenvalues'])} s), at "
            f"most {row['gib']:.2f} GiB, {row['gib_before']:.2f} before; {row['verdict']}, margin "
            f"{row['margin']:.2e}",
            flush=True,
        )
        floor = row["seconds_of_gram_and_eigenvalues"]["median"]
        ratios[f"certificate / Gram matrix and eigenvalues, seconds, {name}"] = (
            row["seconds_again"]["median"] / floor
        )
        ratios[f"memory above the start / factor B, {name}"] = (
            row["gib"] - row["gib_before"]
        ) / row["gib_of_factor"]
    result = {"benchmark": "certificates", "ratios": ratios, "rows": rows}
    print(write("certificates", result, quick=given.quick))


if __name__ == "__main__":
    main()
