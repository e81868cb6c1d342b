"""How many iterations a second does the exact reduction buy?

Gradient descent on a two-layer network, n = 5, m = 2, k = 1000, one trial, float64, only W trained,
in full and in reduced coordinates, for d = 500 and d = 5000, and with both layers trained. Prints
medians, ratios and how far the final losses are apart; `--quick` runs a tenth of the steps.

    python -m benchmarks.reduction

Iterations a second (2 cores, November 2026; spread and versions in results/reduction.json):

                               full     reduced    ratio
    W trained      d = 500     1164     267 000      230
                   d = 5000     141     282 000     1994
    W, V trained   d = 500     1133      94 000       83
                   d = 5000     143      95 000      664
"""

import argparse
from functools import partial

import jax

jax.config.update("jax_enable_x64", True)

import jaxdip as jd  # noqa: E402
from benchmarks._report import per_iteration, summary, write  # noqa: E402

N, M, K = 5, 2, 1000


def case(d: int, both: bool) -> tuple[jd.Problem, jd.TwoLayer]:
    """One problem and one network."""
    key = jax.random.key(0)
    A = jd.operators.Gaussian(m=M, n=N, key=jd.key_for(key, "operator"))
    x = jax.random.normal(jd.key_for(key, "signal"), (N,))
    g = jd.TwoLayer(latent=d, width=K, out=N, key=jd.key_for(key, "init"), both=both)
    u = jd.on_sphere(d, key=jd.key_for(key, "latent"))
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x)), g


def measure(d: int, both: bool, steps: int, repeats: int) -> dict:
    """Iterations a second, in full and reduced."""
    problem, g = case(d, both)
    method = jd.GradientDescent(0.1)

    def run(reduce: bool, count: int):
        return jd.iterate(problem, method, g, count, every=count, reduce=reduce)

    # The full run is two orders slower: fewer steps keep the two about equally long.
    fewer = max(1, steps // 40)
    counts = {"full": fewer, "reduced": steps}
    runs = {name: partial(run, name == "reduced") for name in counts}
    found = per_iteration(
        {name: lambda count, one=one: one(count).ts for name, one in runs.items()}, counts, repeats
    )
    seconds = {name: summary(one["step"]) for name, one in found.items()}
    rates = {name: 1 / one["median"] for name, one in seconds.items()}
    ends = [run(reduce, fewer).loss for reduce in (False, True)]
    difference = abs(float(ends[0][-1]) - float(ends[1][-1])) / float(ends[0][0])
    return {
        "d": d,
        "both": both,
        "steps": counts,
        "seconds_a_step": seconds,
        "iterations_per_second": rates,
        "ratio": rates["reduced"] / rates["full"],
        "final_losses_differ_by": difference,
    }


def main():
    """Runs every case and prints one line each."""
    parser = argparse.ArgumentParser(description="The exact reduction, in iterations a second.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
    quick = parser.parse_args().quick
    steps, repeats = (1_000, 3) if quick else (10_000, 5)
    rows = [measure(d, both, steps, repeats) for both in (False, True) for d in (500, 5000)]
    for row in rows:
        rates = row["iterations_per_second"]
        trained = "W and V" if row["both"] else "W"
        print(
            f"d={row['d']:5d}, {trained:7s} trained: full {rates['full']:9.0f} it/s, reduced "
            f"{rates['reduced']:9.0f} it/s, ratio {row['ratio']:6.1f}, final losses differ by "
            f"{row['final_losses_differ_by']:.1e} of the first"
        )
    ratios = {
        f"reduced / full, it/s, d = {row['d']}, {'W and V' if row['both'] else 'W'}": row["ratio"]
        for row in rows
    }
    result = {"benchmark": "reduction", "ratios": ratios, "rows": rows}
    print(write("reduction", result, quick=quick))


if __name__ == "__main__":
    main()
