"""What do float32, TF32 and bfloat16 products do to certificates and thresholds?

Every number is made by this package's own programs, on the same draws: in float64; in float32; and
in float32 with the operands of every product rounded, as accelerators take them where nobody asks
for more: three bfloat16 passes (TPU, Precision.HIGH), TF32 (GPU, DEFAULT and HIGH), bfloat16 (TPU,
DEFAULT). A CPU computes float32 products in float32 whatever precision is asked for, so the
rounding is done by hand (`benchmarks/_products.py`); decompositions stay in float32. The package
itself asks for HIGHEST, so on accelerators it is the row 'float32' that holds for it: the rows
below tell what that request is worth.

Singular values, in relative errors:

    σ_n          largest of σ_n(J_g), 64 draws, n = 5, m = 2, k = 2500
    σ_min ill    of σ_min(A J_g), A with σ_i = 1/(1 + i²), n = 50, k = 4000

Each theorem on the ground 'network', 64 draws, n = 5, m = 2, at a k where some verdicts hold and
some do not, with the numbers that the package fills in; IGAHD by its energy in the velocity, with
α = μ, β = 1/(2α) and √s = min(α, 1/β)/(8L), for with its default numbers the theorem is silent:

    hold         how many verdicts hold
    changed      how many differ from float64's
    none         how many are 'not applicable': with rounded products A A⁺y misses y, so that y no
                 longer counts as attainable
    R', margin   largest relative error, of those that have one

Each threshold of the loss, 32 trials of gradient descent, 1/L, of at most 5000 steps, m = 2,
n = 5, k = 1000:

    refused      how many `jd.iterate` refuses, as rounding keeps a run from reaching it (the check
                 sees the dtype, not the products; refused runs are made here all the same, traced,
                 where nothing is checked)
    reported     how many report a loss of at most the threshold, and
    false        how many of those have a true (float64) loss above it
    median       the median of the true losses at the end
    worst        the largest true loss among those that report

`--quick` takes 8 draws, 8 trials, 2000 steps, two formats and two theorems. The last full output
(November 2026):

    products       σ_n  σ_min ill
    float64    0.0e+00    0.0e+00
    float32    4.2e-07    1.7e-06
    bf16x3     9.4e-07    4.2e-06
    TF32       7.8e-05    1.1e-02
    bf16       4.6e-04    2.7e-01
    theorem          products  of 64: hold changed  none        R'   margin
    gradient flow    float64            45       0     0   0.0e+00  0.0e+00
    gradient flow    float32            45       0     0   3.3e-04  6.7e-04
    gradient flow    bf16x3             31      14    19   3.3e-04  6.7e-04
    gradient flow    TF32                0      45    64   1.0e-03      nan
    gradient flow    bf16                0      45    64   9.8e-03      nan
    gradient descent float64            41       0     0   0.0e+00  0.0e+00
    gradient descent float32            41       0     0   1.3e-03  2.5e-03
    gradient descent bf16x3             26      15    19   1.3e-03  2.5e-03
    gradient descent TF32                0      41    64   3.0e-03      nan
    gradient descent bf16                0      41    64   1.7e-02      nan
    ISEHD            float64            47       0     0   0.0e+00  0.0e+00
    ISEHD            float32            47       0     0   2.0e-03  4.0e-03
    ISEHD            bf16x3             33      14    19   2.0e-03  4.0e-03
    ISEHD            TF32                0      47    64   2.7e-03      nan
    ISEHD            bf16                0      47    64   7.2e-03      nan
    IGAHD            float64            46       0     0   0.0e+00  0.0e+00
    IGAHD            float32            46       0     0   2.0e-03  4.0e-03
    IGAHD            bf16x3             32      14    19   2.0e-03  4.0e-03
    IGAHD            TF32                0      46    64   2.5e-03      nan
    IGAHD            bf16                0      46    64   7.8e-03      nan
    threshold products  of 32: refused reported false   median    worst
    1e-07     float64                0       32     0  8.8e-08  9.8e-08
    1e-07     float32                0       32     0  8.8e-08  9.8e-08
    1e-07     bf16x3                 0       32     0  8.9e-08  9.8e-08
    1e-07     TF32                   0       32    22  1.7e-07  8.0e-07
    1e-07     bf16                   0       32    32  4.1e-06  7.2e-05
    1e-14     float64                0       32     0  8.6e-15  9.8e-15
    1e-14     float32               32       30    28  7.0e-14  5.8e-13
    1e-14     bf16x3                32       30    30  7.2e-12  1.5e-10
    1e-14     TF32                  32       30    30  6.1e-08  4.5e-07
    1e-14     bf16                  32       30    30  4.2e-06  7.2e-05

In float32 no verdict changes: R' grows by what the certificates deduct from σ_n for rounding, not
by rounding itself. With TF32 or bfloat16 products no theorem is applicable. A threshold of 1e-7 is
reached in float32 and only seemingly with TF32; of 30 trials that report 1e-14 in float32 28 have
not reached it, so the drivers refuse such a threshold.

    python -m benchmarks.precision
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._products import PRODUCTS, with_products  # noqa: E402
from benchmarks._report import quick_asked, write  # noqa: E402

THRESHOLDS = (1e-7, 1e-14)
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


def inertial(problem: jd.Problem, g: jd.TwoLayer) -> jd.theory.Certificate:
    """IGAHD's theorem by its energy in the velocity, a short step, and the talk's damping."""
    alpha = jd.spectrum(problem, g, of="AJ", method="closed form").sigma_min.value
    beta = 1 / (2 * alpha)
    h = jnp.minimum(alpha, 1 / beta) / (8 * jd.gradient_lipschitz(problem, g).value)
    return jd.theory.igahd(problem, g, h**2, alpha, beta, "network", energy="velocity")


def of_dynamics(dynamics: Any) -> Callable[[jd.Problem, jd.TwoLayer], jd.theory.Certificate]:
    """What `jd.certify` says of a dynamics."""
    return lambda problem, g: jd.certify(problem, g, dynamics=dynamics, kind="network")


class Theorem(NamedTuple):
    """A theorem, and a width at which its verdict depends on the draw."""

    certify: Callable[[jd.Problem, jd.TwoLayer], jd.theory.Certificate]
    k: int


THEOREMS = {
    "gradient flow": Theorem(of_dynamics(jd.GradientFlow()), 2500),
    "gradient descent": Theorem(of_dynamics(jd.GradientDescent()), 10_000),
    "ISEHD": Theorem(of_dynamics(jd.ISEHD()), 16_000),
    "IGAHD": Theorem(inertial, 16_000),
}


def certificate(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A theorem's R', margin and verdict."""

    def run(arrays: dict[str, Any]) -> dict[str, Any]:
        found = THEOREMS[name].certify(*stated(arrays))
        return {
            "r_prime": found.numbers["R'"].value,
            "margin": found.margin,
            "holds": found.holds,
            "applicable": found.applicable,
        }

    return run


def least(arrays: dict[str, Any]) -> dict[str, Any]:
    """σ_n(J_g)."""
    return {"sigma": jd.spectrum(*stated(arrays), of="J").sigma_min.value}


def smallest(arrays: dict[str, Any]) -> dict[str, Any]:
    """σ_min(A J_g)."""
    return {"sigma": jd.spectrum(*stated(arrays), of="AJ", method="closed form").sigma_min.value}


def descended(steps: int, threshold: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Gradient descent until the loss it computes is at most the threshold."""

    def run(arrays: dict[str, Any]) -> dict[str, Any]:
        problem, g = stated(arrays)
        gamma = 1 / jd.gradient_lipschitz(problem, g).value
        found = jd.iterate(
            problem, jd.GradientDescent(gamma), g, steps, every=steps, tolerance=threshold
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


def refused(arrays: dict[str, Any], dtype: str, threshold: float) -> int:
    """Of how many draws `jd.iterate` refuses the threshold, in that dtype."""
    count = 0
    for i in range(len(arrays["y"])):
        problem, g = stated(jax.tree.map(lambda x, i=i: x[i].astype(dtype), arrays))
        try:
            jd.iterate(problem, jd.GradientDescent(0.01), g, 1, tolerance=threshold)
        except ValueError as why:
            if "rounding leaves" not in str(why):
                raise
            count += 1
    return count


def spectra(formats: list[str], count: int) -> list[dict[str, Any]]:
    """One row a format: the errors of singular values."""
    many = drawn(Draw(5, 2, 2500, gaussian(2, 5)), count)
    ill = drawn(Draw(50, 50, 4000, ill_conditioned(50)), 1)
    rows, exact = [], None
    print("products       σ_n  σ_min ill")
    for name in formats:
        found = [in_format(least, name)(many)["sigma"], in_format(smallest, name)(ill)["sigma"]]
        exact = exact or found
        sigma, low = (off(one, true) for one, true in zip(found, exact, strict=True))
        rows.append({"format": name, "sigma": sigma, "sigma_ill": low})
        print(f"{name:9s} {sigma:8.1e}  {low:9.1e}", flush=True)
    return rows


def certificates(formats: list[str], theorems: list[str], count: int) -> list[dict[str, Any]]:
    """One row a theorem and a format."""
    rows = []
    print(f"theorem          products  of {count}: hold changed  none        R'   margin")
    for theorem in theorems:
        draws, exact = drawn(Draw(5, 2, THEOREMS[theorem].k, gaussian(2, 5)), count), None
        for name in formats:
            found = in_format(certificate(theorem), name)(draws)
            exact = exact or found
            rows.append(
                {
                    "theorem": theorem,
                    "k": THEOREMS[theorem].k,
                    "format": name,
                    "hold": int(np.sum(np.asarray(found["holds"]))),
                    "changed": int(np.sum(np.asarray(found["holds"] != exact["holds"]))),
                    "not_applicable": int(np.sum(~np.asarray(found["applicable"]))),
                    "r_prime": off(found["r_prime"], exact["r_prime"]),
                    "margin": off(found["margin"], exact["margin"]),
                }
            )
            row = rows[-1]
            print(
                f"{theorem:16s} {name:9s} {row['hold']:11d} {row['changed']:7d} "
                f"{row['not_applicable']:5d}  {row['r_prime']:8.1e} {row['margin']:8.1e}",
                flush=True,
            )
    return rows


def thresholds(formats: list[str], trials: int, steps: int) -> list[dict[str, Any]]:
    """One row a threshold and a format."""
    draws, rows = drawn(Draw(5, 2, 1000, gaussian(2, 5)), trials), []
    print(f"threshold products  of {trials}: refused reported false   median    worst")
    for threshold in THRESHOLDS:
        # By dtype, for the check does not see how products are rounded.
        told = {d: refused(draws, d, threshold) for d in ("float64", "float32")}
        for name in formats:
            ended = in_format(descended(steps, threshold), name)(draws)
            true = true_losses(draws, ended["W"])
            reported = np.asarray(ended["told"], float) <= threshold
            rows.append(
                {
                    "threshold": threshold,
                    "format": name,
                    "refused": told[FORMATS[name][0]],
                    "reported": int(np.sum(reported)),
                    "false": int(np.sum(reported & (true > threshold))),
                    "median": float(np.median(true)),
                    "worst": float(np.max(true[reported])) if reported.any() else None,
                }
            )
            row = rows[-1]
            worst = "-" if row["worst"] is None else f"{row['worst']:.1e}"
            print(
                f"{threshold:<9.0e} {name:9s} {row['refused']:14d} {row['reported']:8d} "
                f"{row['false']:5d} {row['median']:8.1e} {worst:>8s}",
                flush=True,
            )
    return rows


def ratios(result: dict[str, Any], count: int, trials: int) -> dict[str, float]:
    """What rounding costs: errors over float32's, shares of verdicts and of false reports."""
    found = {}
    float32 = next(row for row in result["spectra"] if row["format"] == "float32")
    for row in result["spectra"]:
        if row["format"] not in ("float64", "float32"):
            words = f"error of σ_min, ill-conditioned, {row['format']} / float32"
            found[words] = row["sigma_ill"] / float32["sigma_ill"]
    for row in result["certificates"]:
        if row["format"] != "float64":
            words = f"share of verdicts that change, {row['theorem']}, {row['format']}"
            found[words] = row["changed"] / count
    for row in result["thresholds"]:
        words = f"share of trials that report {row['threshold']:g} falsely, {row['format']}"
        found[words] = row["false"] / trials
    return found


def main():
    """Prints the tables."""
    quick = quick_asked("Precision of products.", "8 draws and trials, fewer formats and theorems")
    count, trials, steps = (8, 8, 2000) if quick else (64, 32, 5000)
    formats = ["float64", "float32"] if quick else list(FORMATS)
    theorems = ["gradient flow", "IGAHD"] if quick else list(THEOREMS)
    result = {
        "spectra": spectra(formats, count),
        "certificates": certificates(formats, theorems, count),
        "thresholds": thresholds(formats, trials, steps),
    }
    about = {"draws": count, "trials": trials, "steps": steps}
    told = {"benchmark": "precision", "ratios": ratios(result, count, trials), **about, **result}
    print(write("precision", told, quick=quick))


if __name__ == "__main__":
    main()
