"""How far is stochastic gradient descent, in the mean, from its stochastic differential equations?

Batches of 2 of the 3 rows, n = 6, k = 12, d = 9, float64, only W trained, horizon 0.5. Prints
|E f(θ_τ) − E f(Θ(γτ))| with its standard error and the order between neighbouring γ, for the
equations of weak order 1 and 2; `--quick` runs a tenth of the trials.

    python -m benchmarks.weak_order

Its last output (November 2026; ± one standard error):

    γ          gap to order 1         gap to order 2
    0.25       0.1614 ± 0.0051        0.0283 ± 0.0052
    0.125      0.0920 ± 0.0030        0.0021 ± 0.0029
    0.0625     0.0497 ± 0.0017        0.0012 ± 0.0017

The first column falls with orders 0.81 and 0.89; of the second only the first number is told from
zero, and what follows is consistent with order 2.
"""

import argparse
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import jaxdip as jd  # noqa: E402
from benchmarks._report import write  # noqa: E402

N, M, D, K = 6, 3, 9, 12


def case() -> tuple[jd.Problem, jd.TwoLayer]:
    """One problem and one network."""
    key = jax.random.key(3)
    A = jd.operators.Gaussian(m=M, n=N, key=jd.key_for(key, "operator"), normalized=True)
    x = jax.random.normal(jd.key_for(key, "signal"), (N,))
    g = jd.TwoLayer(latent=D, width=K, out=N, key=jd.key_for(key, "init"), activation="tanh")
    u = 1.5 * jd.on_sphere(D, key=jd.key_for(key, "latent"))
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x)), g


def main():
    """Runs three step sizes and prints one line each."""
    parser = argparse.ArgumentParser(description="The weak order of stochastic gradient flows.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the trials")
    quick = parser.parse_args().quick
    trials = 4_000 if quick else 40_000
    problem, g = case()
    found = jd.weak_gap(
        problem, g, 2, horizon=0.5, steps=(2, 4, 8), trials=trials, key=jax.random.key(0)
    )
    rows = []
    for i, gamma in enumerate(found.step_sizes):
        row: dict[str, Any] = {"step_size": float(gamma), "descent": float(found.descent[i])}
        for order in (1, 2):
            gap, error = found.gaps[order][i], found.standard_errors[order][i]
            row[f"order {order}"] = {"gap": float(gap), "standard_error": float(error)}
        rows.append(row)
        one, two = row["order 1"], row["order 2"]
        print(
            f"gamma={gamma:.5f}: mean loss {row['descent']:.4f}, gap to order 1 {one['gap']:.4f} "
            f"± {one['standard_error']:.4f}, to order 2 {two['gap']:.4f} ± "
            f"{two['standard_error']:.4f}"
        )
    orders = {order: found.successive(order).tolist() for order in (1, 2)}
    print(f"orders between neighbours: {orders}")
    finest = rows[-1]
    ratios = {
        f"gap to order {order} / its standard error, smallest step": finest[f"order {order}"]["gap"]
        / finest[f"order {order}"]["standard_error"]
        for order in (1, 2)
    }
    # The gap to order 2 drowns in its standard error first: only order 1 is a ratio to quote.
    ratios["gap to order 1, largest step / smallest"] = (
        rows[0]["order 1"]["gap"] / finest["order 1"]["gap"]
    )
    result = {
        "benchmark": "weak_order",
        "trials": trials,
        "ratios": ratios,
        "rows": rows,
        "orders": orders,
    }
    print(write("weak_order", result, quick=quick))


if __name__ == "__main__":
    main()
