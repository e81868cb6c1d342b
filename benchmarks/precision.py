"""What do float32, TF32 and bfloat16 products do to certificates and thresholds?

Every number is made by this package's own programs, on the same draws: in float64; in float32; and
in float32 with the operands of every product rounded, as accelerators take them where nobody asks
for more: three bfloat16 passes (TPU, Precision.HIGH), TF32 (GPU, DEFAULT and HIGH), bfloat16 (TPU,
DEFAULT). A CPU computes float32 products in float32 whatever precision is asked for, so the
rounding is done by hand (`benchmarks/_products.py`); decompositions stay in float32. The package
itself asks for HIGHEST, so on accelerators it is the row 'float32' that holds for it: the rows
below tell what that request is worth.

    σ_n, R'      largest relative error of σ_n(J_g) and of R' = 2ψ(L0)/μ of gradient flow's theorem,
                 64 draws, n = 5, m = 2, k = 2500, ground 'network'
    verdict      how many of the 64 verdicts differ from float64's (float64: 45 hold)
    none         how many become 'not applicable': with rounded products A A⁺y misses y, so that y
                 no longer counts as attainable
    margin       largest relative error of R/R', of those that have one
    σ_min ill    of σ_min(A J_g), A with σ_i = 1/(1 + i²), n = 50, k = 4000: relative error
    least loss   the median over 32 trials of the true (float64) loss where gradient descent, 1/L,
                 ends: at a computed loss of 1e-14, or after 20 000 steps (m = 2, n = 5, k = 1000)
    ≤ 1e-14      how many of the 32 report a loss of at most 1e-14, and
    false        how many of those have a true loss above it
    worst        the largest true loss among those that report at most 1e-14

`--quick` takes 8 draws, 8 trials and 2000 steps. Its last output (November 2026):

    products       σ_n       R'   margin verdict   none σ_min ill least loss ≤ 1e-14 false   worst
    float64    0.0e+00  0.0e+00  0.0e+00       0      0   0.0e+00      9e-15      32     0   1e-14
    float32    4.0e-07  3.3e-04  6.7e-04       0      0   5.4e-06      7e-14      30    28   6e-13
    bf16x3     8.7e-07  3.3e-04  6.7e-04      14     19   1.7e-06      7e-12      30    30   2e-10
    TF32       7.8e-05  1.0e-03      nan      45     64   1.1e-02      6e-08      30    30   5e-07
    bf16       4.6e-04  9.8e-03      nan      45     64   2.7e-01      4e-06      30    30   7e-05

In float32 R' grows by what the certificate deducts from σ_n for rounding, about k eps σ_max, not by
rounding itself. In float32 28 of 30 trials that report a loss of 1e-14 have not reached it: so the
drivers and the ready-made trials refuse such a threshold.

    python -m benchmarks.precision
"""

from collections.abc import Callable
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._products import PRODUCTS, with_products  # noqa: E402
from benchmarks._report import quick_asked, write  # noqa: E402

THRESHOLD = 1e-14
#: The dtype and the product of each row.
FORMATS = {"float64": ("float64", None)} | {name: ("float32", name) for name in PRODUCTS}


class Draw:
    """The numbers of one problem in float64, from which every format's problem is cast."""

    def __init__(self, n: int, m: int, k: int, operator: Callable[[Any], Any]):
        """Takes sizes, and the operator's matrix as a function of a key."""
        self.n, self.m, self.k, self.operator = n, m, k, operator

    def arrays(self, key: Any) -> dict[str, Any]:
        """A, y, W, V, u."""
        d = 5
        g = jd.TwoLayer(latent=d, width=self.k, out=self.n, key=jd.key_for(key, "init"))
        A = self.operator(jd.key_for(key, "operator"))
        x = jax.random.normal(jd.key_for(key, "signal"), (self.n,))
        u = jd.on_sphere(d, key=jd.key_for(key, "latent"))
        return {"A": A, "y": A @ x, "W": g.W, "V": g.V, "u": u}


def stated(arrays: dict[str, Any]) -> tuple[jd.Problem, jd.TwoLayer]:
    """The problem and the network in the arrays' dtype."""
    g = jd.TwoLayer(weights=(arrays["W"], arrays["V"]), out=arrays["V"].shape[0])
    A = jd.operators.Dense(arrays["A"])
    return jd.Problem(u=arrays["u"], operator=A, loss=jd.losses.MSE(), y=arrays["y"]), g


def in_format(function: Callable[..., Any], name: str) -> Callable[[dict[str, Any]], Any]:
    """The function of the arrays of all draws, each in that format."""
    dtype, product = FORMATS[name]
    inner = function if product is None else with_products(function, PRODUCTS[product])

    @jax.jit
    def run(arrays: dict[str, Any]) -> Any:
        cast = jax.tree.map(lambda x: x.astype(dtype), arrays)
        return jax.lax.map(inner, cast)

    return run


def certificate(arrays: dict[str, Any]) -> dict[str, Any]:
    """Gradient flow's theorem: σ_n, R', the margin and the verdict."""
    found = jd.theory.gradient_flow(*stated(arrays))
    sigma = jd.spectrum(*stated(arrays), of="J").sigma_min.value
    return {
        "sigma": sigma,
        "r_prime": found.numbers["R'"].value,
        "margin": found.margin,
        "holds": found.holds,
        "applicable": found.applicable,
    }


def smallest(arrays: dict[str, Any]) -> dict[str, Any]:
    """σ_min(A J_g)."""
    return {"sigma": jd.spectrum(*stated(arrays), of="AJ", method="closed form").sigma_min.value}


def descended(steps: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Gradient descent until the loss it computes is at most the threshold."""

    def run(arrays: dict[str, Any]) -> dict[str, Any]:
        problem, g = stated(arrays)
        gamma = 1 / jd.gradient_lipschitz(problem, g).value
        found = jd.iterate(
            problem, jd.GradientDescent(gamma), g, steps, every=steps, tolerance=THRESHOLD
        )
        return {"W": found.generator.first_layer, "told": jnp.nanmin(found.loss)}

    return run


def true_losses(arrays: dict[str, Any], weights: Any) -> np.ndarray:
    """The losses in float64 of networks that were trained in any format, on the data they saw."""

    def loss(pair: Any) -> Any:
        one, W = pair
        problem, g = stated({**one, "W": W.astype(jnp.float64)})
        return problem.objective(g)

    return np.asarray(jax.jit(lambda pairs: jax.lax.map(loss, pairs))((arrays, weights)))


def drawn(draw: Draw, count: int) -> dict[str, Any]:
    """All draws, stacked, rounded to float32 so that every format has the same data."""
    keys = jax.random.split(jax.random.key(0), count)
    arrays = jax.jit(lambda keys: jax.lax.map(draw.arrays, keys))(keys)
    return jax.tree.map(lambda x: x.astype(jnp.float32).astype(jnp.float64), arrays)


def off(found: Any, true: Any) -> float:
    """The largest relative error."""
    found, true = np.asarray(found, float), np.asarray(true, float)
    apart = np.abs(found - true) / np.abs(true)
    # Where the theorem is not applicable there is no number, which is counted apart.
    return float(np.nanmax(apart)) if np.isfinite(apart).any() else float("nan")


def gaussian(m: int, n: int) -> Callable[[Any], Any]:
    """A with iid N(0, 1) entries."""
    return lambda key: jax.random.normal(key, (m, n))


def ill_conditioned(n: int) -> Callable[[Any], Any]:
    """σ_i = 1/(1 + i²)."""

    def matrix(key: Any) -> Any:
        A: Any = jd.operators.WithSpectrum.inverse_square(n, key)
        return A.matrix()

    return matrix


def measure(count: int, trials: int, steps: int) -> list[dict[str, Any]]:
    """One row a format."""
    many = drawn(Draw(5, 2, 2500, gaussian(2, 5)), count)
    ill = drawn(Draw(50, 50, 4000, ill_conditioned(50)), 1)
    descents = drawn(Draw(5, 2, 1000, gaussian(2, 5)), trials)
    rows, exact = [], {}
    for name in FORMATS:
        one = in_format(certificate, name)(many)
        low = in_format(smallest, name)(ill)
        exact = exact or {"one": one, "low": low}
        true_one, true_low = exact["one"], exact["low"]
        ended = in_format(descended(steps), name)(descents)
        true, told = true_losses(descents, ended["W"]), np.asarray(ended["told"], float)
        reported = told <= THRESHOLD
        rows.append(
            {
                "format": name,
                "sigma": off(one["sigma"], true_one["sigma"]),
                "r_prime": off(one["r_prime"], true_one["r_prime"]),
                "margin": off(one["margin"], true_one["margin"]),
                "verdicts_changed": int(np.sum(np.asarray(one["holds"] != true_one["holds"]))),
                "verdicts_hold": int(np.sum(np.asarray(one["holds"]))),
                "not_applicable": int(np.sum(~np.asarray(one["applicable"]))),
                "sigma_ill": off(low["sigma"], true_low["sigma"]),
                "least_loss": float(np.median(true)),
                "reported": int(np.sum(reported)),
                "false": int(np.sum(reported & (true > THRESHOLD))),
                "worst": float(np.max(true[reported])) if reported.any() else None,
            }
        )
        show(rows[-1])
    return rows


def show(row: dict[str, Any]) -> None:
    """One line of the table."""
    worst = "-" if row["worst"] is None else f"{row['worst']:.0e}"
    print(
        f"{row['format']:9s} {row['sigma']:8.1e} {row['r_prime']:8.1e} "
        f"{row['margin']:8.1e} {row['verdicts_changed']:7d} {row['not_applicable']:6d} "
        f"{row['sigma_ill']:9.1e} "
        f"{row['least_loss']:10.0e} {row['reported']:7d} {row['false']:5d} {worst:>7s}",
        flush=True,
    )


def main():
    """Prints the table."""
    quick = quick_asked("Precision of products.", "8 draws, 8 trials, 2000 steps")
    count, trials, steps = (8, 8, 2000) if quick else (64, 32, 20_000)
    print(
        "products       σ_n       R'   margin verdict   none σ_min ill least loss ≤ 1e-14 false "
        "  worst"
    )
    rows = measure(count, trials, steps)
    ratios = {}
    for row in rows[1:]:
        name = row["format"]
        ratios[f"error of R', {name} / float32"] = row["r_prime"] / rows[1]["r_prime"]
        ratios[f"error of σ_min, ill-conditioned, {name} / float32"] = (
            row["sigma_ill"] / rows[1]["sigma_ill"]
        )
        ratios[f"share of trials that report at most 1e-14, {name}"] = row["reported"] / trials
    about = {"draws": count, "trials": trials, "steps": steps}
    result = {"benchmark": "precision", "ratios": ratios, **about, "rows": rows}
    print(write("precision", result, quick=quick))


if __name__ == "__main__":
    main()
