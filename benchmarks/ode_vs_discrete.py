"""At equal accuracy, is a flow followed more cheaply by its discrete method or by an ODE solver?

For gradient flow and for ISEHD, on a two-layer network (n = 20, m = 10, k = 2000, d = 100, both
layers trained, float64): the largest step of gradient descent, or of IGAHD, whose signal stays
within a given gap of the flow (largest distance over ten records, relative to the largest signal),
against the loosest tolerance of Tsit5 that does the same; and the same for the Richardson
extrapolation of two discrete runs. Prints gradient evaluations, median seconds and their ratios;
`--quick` leaves out the smallest gap and repeats less.

    python -m benchmarks.ode_vs_discrete

Its last output (2 cores, November 2026), gradients and seconds relative to Tsit5's:

                                gradients                          seconds / Tsit5's
    flow            gap      Tsit5  discrete  extrapolated      discrete  extrapolated
    gradient flow   1e-2       228       130           300          0.20          0.43
                    1e-3       240     1 360           300          1.2           0.43
                    1e-4       246    13 550           660         11             0.66
    ISEHD           1e-2       108       550           240          1.1           0.51
                    1e-3       138     5 430           660          6.1           0.85
                    1e-4       186    54 210         2 070         43             1.7

A method of order 1 pays ten times as much for each digit. At 1e-3 its extrapolation is the cheapest
of the three.
"""

import argparse

import jax

jax.config.update("jax_enable_x64", True)

import equinox as eqx  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import interleaved, summary, write  # noqa: E402

N, M, K, D = 20, 10, 2000, 100
RECORDS = 10
#: Velocities that Tsit5 evaluates in each step it tries; the last is the next step's first.
STAGES = 6
OBSERVE = {"signal": jd.observables.Signal()}


def case() -> tuple[jd.Problem, jd.TwoLayer]:
    """One problem and one network."""
    key = jax.random.key(0)
    A = jd.operators.Gaussian(m=M, n=N, key=jd.key_for(key, "operator"), normalized=True)
    x = jax.random.normal(jd.key_for(key, "signal"), (N,))
    g = jd.TwoLayer(latent=D, width=K, out=N, key=jd.key_for(key, "init"), both=True)
    u = jd.on_sphere(D, key=jd.key_for(key, "latent"))
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x)), g


def pairs(problem: jd.Problem, g: jd.TwoLayer) -> dict:
    """Flow, method as a function of its time step, horizon, and the coarsest time step."""
    L = float(jd.gradient_lipschitz(problem, g).value)
    alpha = float(jd.jacobian_sigma_min(problem, g))
    beta = 0.5 / L**0.5
    return {
        "gd": (jd.GradientFlow(), jd.GradientDescent, 100 / L, 1 / L),
        "igahd": (
            jd.ISEHD(alpha, beta),
            lambda h: jd.IGAHD(h * h, alpha, beta),
            40 / L**0.5,
            0.5 / L**0.5,
        ),
    }


class Pair:
    """One flow with its method, and how far either is from the flow itself."""

    def __init__(self, problem, g, flow, method, horizon, coarsest):
        """Solves the flow far more tightly than any gap asks for."""
        self.problem, self.g, self.flow, self.method = problem, g, flow, method
        self.horizon = horizon
        self.fewest = RECORDS * int(np.ceil(horizon / coarsest / RECORDS))
        self.ts = jnp.asarray(np.arange(1, RECORDS + 1) * (horizon / RECORDS))
        exact = self.solve(1e-12)
        self.exact = np.asarray(exact.observed["signal"])
        self.scale = float(np.max(np.linalg.norm(self.exact, axis=1)))
        self.decay = float(exact.loss[-1] / exact.loss[0])

    def gap(self, signals) -> float:
        """The largest relative distance to the flow, infinite if the run failed."""
        signals = np.asarray(signals)
        if signals.shape != self.exact.shape or not np.all(np.isfinite(signals)):
            return np.inf
        return float(np.max(np.linalg.norm(signals - self.exact, axis=1))) / self.scale

    def solve(self, rtol: float) -> jd.Solution:
        """Tsit5 at that tolerance."""
        return _solve(self.problem, self.g, self.flow, self.ts, rtol)

    def step(self, count: int) -> jd.Solution:
        """The method with that many steps."""
        return _step(self.problem, self.g, self.method(self.horizon / count), count)

    def extrapolate(self, count: int):
        """2·run(h/2) − run(h), with `count` steps of h."""
        coarse, fine = (self.step(j * count).observed["signal"] for j in (1, 2))
        return 2 * fine[1:] - coarse[1:]

    def tolerance(self, target: float) -> float:
        """The loosest rtol, by factors of 10^¼, whose gap is at most the target."""
        for exponent in np.arange(0.0, 12.0, 0.25):
            if self.gap(self.solve(10**-exponent).observed["signal"]) <= target:
                return float(10**-exponent)
        raise RuntimeError(f"no tolerance gives a gap of {target:g}")

    def fewest_steps(self, target: float, signals, order: int) -> int:
        """The fewest steps (to 5 %), from the coarsest on, whose gap is at most the target."""
        count, gap = self.fewest, self.gap(signals(self.fewest))
        while gap > target:
            # At least 5 % more, at most what the order predicts.
            factor = 2.0 if np.isinf(gap) else max(1.05, (gap / target) ** (1 / order))
            count = RECORDS * int(np.ceil(count * factor / RECORDS))
            gap = self.gap(signals(count))
        return count


@eqx.filter_jit
def _solve(problem, g, flow, ts, rtol) -> jd.Solution:
    return jd.integrate(
        problem, flow, g, ts, observe=OBSERVE, solver="explicit", rtol=rtol, atol=1e-3 * rtol
    )


@eqx.filter_jit
def _step(problem, g, method, count: int) -> jd.Solution:
    return jd.iterate(problem, method, g, count, every=count // RECORDS, observe=OBSERVE)


def measure(pair: Pair, target: float, repeats: int) -> dict:
    """Costs of all three at one gap."""
    rtol = pair.tolerance(target)
    count = pair.fewest_steps(target, lambda c: pair.step(c).observed["signal"][1:], 1)
    base = pair.fewest_steps(target, pair.extrapolate, 2)
    seconds = interleaved(
        {
            "ode": lambda: pair.solve(rtol).ts,
            "discrete": lambda: pair.step(count).ts,
            "extrapolated": lambda: pair.extrapolate(base),
        },
        repeats,
    )
    evaluations = {
        "ode": STAGES * int(pair.solve(rtol).stats["num_steps"]),
        "discrete": count,
        "extrapolated": 3 * base,
    }
    medians = {name: summary(values) for name, values in seconds.items()}
    return {
        "gap": target,
        "reached": {
            "ode": pair.gap(pair.solve(rtol).observed["signal"]),
            "discrete": pair.gap(pair.step(count).observed["signal"][1:]),
            "extrapolated": pair.gap(pair.extrapolate(base)),
        },
        "rtol": rtol,
        "steps": count,
        "coarsest_stable_by_formula": pair.fewest,
        "gradient_evaluations": evaluations,
        "seconds": medians,
        "evaluations_against_ode": {
            name: evaluations[name] / evaluations["ode"] for name in ("discrete", "extrapolated")
        },
        "seconds_against_ode": {
            name: medians[name]["median"] / medians["ode"]["median"]
            for name in ("discrete", "extrapolated")
        },
    }


def main():
    """Runs both pairs over the gaps and prints one line each."""
    parser = argparse.ArgumentParser(description="Flows by ODE solver and by discrete method.")
    parser.add_argument("--quick", action="store_true", help="fewer gaps and repeats")
    quick = parser.parse_args().quick
    targets, repeats = ((1e-2, 1e-3), 3) if quick else ((1e-2, 1e-3, 1e-4), 7)
    problem, g = case()
    rows = []
    for name, (flow, method, horizon, coarsest) in pairs(problem, g).items():
        pair = Pair(problem, g, flow, method, horizon, coarsest)
        print(f"{name}: horizon {horizon:.3g}, the loss falls to {pair.decay:.1e} of the first")
        for target in targets:
            row = {"pair": name, **measure(pair, target, repeats)}
            rows.append(row)
            cost, ratio = row["gradient_evaluations"], row["seconds_against_ode"]
            print(
                f"  gap {target:.0e}: gradients: Tsit5 (rtol {row['rtol']:.0e}) {cost['ode']:6d}, "
                f"{name} {cost['discrete']:7d}, extrapolated {cost['extrapolated']:6d}; "
                f"seconds: Tsit5 {row['seconds']['ode']['median']:.4f}, {name} "
                f"x {ratio['discrete']:.2f}, extrapolated x {ratio['extrapolated']:.2f}"
            )
    ratios = {
        f"{name} / Tsit5, seconds, {row['pair']}, gap {row['gap']:.0e}": ratio
        for row in rows
        for name, ratio in row["seconds_against_ode"].items()
    }
    result = {"benchmark": "ode_vs_discrete", "ratios": ratios, "rows": rows}
    print(write("ode_vs_discrete", result, quick=quick))


if __name__ == "__main__":
    main()
