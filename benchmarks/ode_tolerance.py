"""What does a digit of an ODE solve cost, and how does it compare with SciPy?

Gradient flow and ISEHD on a two-layer network (n = 20, m = 10, k = 1000, d = 100, W trained,
float64), ten records, at rtol 1e-3 to 1e-11 (atol a thousandth of it): the error of the signal at
the records against a solve at rtol 1e-13 (largest distance relative to the largest signal), steps,
velocities evaluated, seconds. The exponent of the cost, evaluations ∝ error^−e, is fitted where
stability no longer holds the step, beside 1/5 for Tsit5's order; SciPy's RK45 and DOP853 solve the
same reduced equations in NumPy. The ratios are of seconds to the same error, interpolated between
tolerances on logarithms.

`--quick` takes rtol 1e-3, 1e-6 and 1e-9 and repeats less.

    python -m benchmarks.ode_tolerance

Its last output (2 quiet cores, November 2026): seconds of SciPy's methods relative to Tsit5's,
interpolated to the same error, and evaluations ∝ error^−e with e in its 95 % interval:

    flow            error      RK45   DOP853        e
    gradient flow    1e-4         -     2.5         0.174 [0.168, 0.180]
                     1e-6       2.0     2.9
                     1e-8       2.5     3.1
    ISEHD            1e-6       2.4     4.5         0.171 [0.148, 0.193]
                     1e-8       2.9     1.9

The exponent is still below 1/5 at these tolerances: 0.16 to 0.19 between neighbours of the last six
(gradient flow), where the fit takes all that are free of stability.
"""

from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import equinox as eqx  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import scipy.integrate  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import (  # noqa: E402
    fitted_exponent,
    interleaved,
    quick_asked,
    summary,
    write,
)

N, M, K, D = 20, 10, 1000, 100
RECORDS, STAGES = 10, 6
OBSERVE = {"signal": jd.observables.Signal()}
#: At which the methods are compared; their tolerances say little of their errors.
ERRORS = (1e-4, 1e-6, 1e-8)
#: A tolerance is in the regime of the solver's order where it takes this many times the steps of
#: the loosest one.
FREE = 1.5


def case() -> tuple[jd.Problem, jd.TwoLayer]:
    """One problem and one network."""
    key = jax.random.key(0)
    A = jd.operators.Gaussian(m=M, n=N, key=jd.key_for(key, "operator"), normalized=True)
    x = jax.random.normal(jd.key_for(key, "signal"), (N,))
    g = jd.TwoLayer(latent=D, width=K, out=N, key=jd.key_for(key, "init"))
    u = jd.on_sphere(D, key=jd.key_for(key, "latent"))
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x)), g


@eqx.filter_jit
def solve(problem, g, flow, ts, rtol) -> jd.Solution:
    """Tsit5 at a tolerance, which is data: nothing recompiles."""
    return jd.integrate(
        problem, flow, g, ts, observe=OBSERVE, solver="explicit", rtol=rtol, atol=1e-3 * rtol
    )


class InNumpy:
    """The reduced equations of both flows, as a user of SciPy writes them."""

    def __init__(self, problem: jd.Problem, g: jd.TwoLayer, flow: Any):
        """Takes the same numbers."""
        A: Any = problem.operator
        self.V = np.asarray(g.V) * g.factor
        self.M = np.asarray(A.matrix()) @ self.V
        self.y = np.asarray(problem.y)
        # Once and for all: asked for in each velocity they would cost most of it.
        told = {name: float(x) for name, x in flow.numbers().items()}
        self.inertial = isinstance(flow, jd.ISEHD)
        self.alpha, self.beta = told.get("alpha", 0.0), told.get("beta", 0.0)
        self.z0 = np.asarray(g.W @ problem.u)

    def gradient(self, z):
        a = 1 / (1 + np.exp(-z))
        return (self.M @ a - self.y) @ self.M * (a * (1 - a))

    def velocity(self, t, state):
        """ż = −∇f, or ISEHD in first order: ż = v − β∇f, v̇ = −αv − (1 − αβ)∇f."""
        if not self.inertial:
            return -self.gradient(state)
        z, v, alpha, beta = state[:K], state[K:], self.alpha, self.beta
        g = self.gradient(z)
        return np.concatenate([v - beta * g, -alpha * v - (1 - alpha * beta) * g])

    def start(self):
        if not self.inertial:
            return self.z0
        return np.concatenate([self.z0, self.beta * self.gradient(self.z0)])

    def solve(self, method: str, ts, rtol: float):
        return scipy.integrate.solve_ivp(
            self.velocity,
            (0, float(ts[-1])),
            self.start(),
            method,
            t_eval=np.asarray(ts),
            rtol=rtol,
            atol=1e-3 * rtol,
        )

    def signals(self, found) -> np.ndarray:
        z = found.y[:K]
        return (self.V @ (1 / (1 + np.exp(-z)))).T


def measure(name: str, flow: Any, ts: Any, tolerances: Any, repeats: int) -> list[dict[str, Any]]:
    """One row a tolerance."""
    problem, g = case()
    exact = np.asarray(solve(problem, g, flow, ts, 1e-13).observed["signal"])
    scale = float(np.max(np.linalg.norm(exact, axis=1)))

    def error(signals) -> float:
        return float(np.max(np.linalg.norm(np.asarray(signals) - exact, axis=1))) / scale

    peer = InNumpy(problem, g, flow)
    rows = []
    for rtol in tolerances:
        runs = {
            "tsit5": lambda rtol=rtol: solve(problem, g, flow, ts, rtol).ts,
            "scipy RK45": lambda rtol=rtol: peer.solve("RK45", ts, rtol).t,
            "scipy DOP853": lambda rtol=rtol: peer.solve("DOP853", ts, rtol).t,
        }
        seconds = {n: summary(s) for n, s in interleaved(runs, repeats).items()}
        own = solve(problem, g, flow, ts, rtol)
        steps = int(own.stats["num_steps"])
        row: dict[str, Any] = {
            "flow": name,
            "rtol": rtol,
            "steps": steps,
            "evaluations": STAGES * steps,
            "seconds": seconds,
            "error": {"tsit5": error(own.observed["signal"])},
        }
        for method in ("RK45", "DOP853"):
            row["error"][f"scipy {method}"] = error(peer.signals(peer.solve(method, ts, rtol)))
        rows.append(row)
        own_s = seconds["tsit5"]["median"]
        print(
            f"{name:5s} rtol {rtol:.0e}: {steps:6d} steps, error {row['error']['tsit5']:.1e}, "
            f"{own_s:.4f} s; RK45 {row['error']['scipy RK45']:.1e}, "
            f"x {seconds['scipy RK45']['median'] / own_s:.1f}; DOP853 "
            f"{row['error']['scipy DOP853']:.1e}, "
            f"x {seconds['scipy DOP853']['median'] / own_s:.1f}",
            flush=True,
        )
    return rows


def at_error(rows: list[dict[str, Any]], name: str, error: float) -> float:
    """Seconds to an error, between the tolerances on logarithms; NaN outside of them."""
    errors = np.log([row["error"][name] for row in rows])[::-1]
    seconds = np.log([row["seconds"][name]["median"] for row in rows])[::-1]
    # Near rounding a smaller tolerance need not give a smaller error.
    rising = np.concatenate([[True], np.diff(np.minimum.accumulate(errors[::-1])[::-1]) > 0])
    at = np.interp(np.log(error), errors[rising], seconds[rising], left=np.nan, right=np.nan)
    return float(np.exp(at))


def order(rows: list[dict[str, Any]]) -> dict[str, float] | None:
    """e of evaluations ∝ error^−e where accuracy, not stability, sets the step."""
    free = [row for row in rows if row["steps"] > FREE * rows[0]["steps"]]
    if len(free) < 3:
        return None
    fit = fitted_exponent(
        [row["error"]["tsit5"] for row in free], [row["evaluations"] for row in free]
    )
    return {"exponent": -fit["exponent"], "low": -fit["high"], "high": -fit["low"], "theory": 0.2}


def main():
    """Runs both flows over the tolerances."""
    quick = quick_asked("Cost of an ODE solve against its tolerance.", "three tolerances")
    tolerances = [10.0**-e for e in ((3, 6, 9) if quick else range(3, 12))]
    problem, g = case()
    L = float(jd.gradient_lipschitz(problem, g).value)
    alpha = float(jd.jacobian_sigma_min(problem, g))
    cases = {
        "gf": (jd.GradientFlow(), 100 / L),
        "isehd": (jd.ISEHD(alpha, 0.5 / alpha), 100 / L**0.5),
    }
    rows, ratios, orders = [], {}, {}
    for name, (flow, horizon) in cases.items():
        ts = jnp.asarray(np.arange(1, RECORDS + 1) * (horizon / RECORDS))
        found = measure(name, flow, ts, tolerances, 2 if quick else 9)
        rows += found
        orders[name] = order(found)
        print(f"{name}: exponent of the cost {orders[name]}")
        for error in ERRORS:
            own = at_error(found, "tsit5", error)
            for peer in ("scipy RK45", "scipy DOP853"):
                ratio = at_error(found, peer, error) / own
                if np.isfinite(ratio):
                    ratios[f"{peer} / Tsit5, seconds to an error of {error:.0e}, {name}"] = ratio
        ratios[f"seconds at rtol {tolerances[-1]:.0e} / at 1e-3, {name}"] = (
            found[-1]["seconds"]["tsit5"]["median"] / found[0]["seconds"]["tsit5"]["median"]
        )
        fit = orders[name]
        if fit is not None:
            ratios[f"exponent of evaluations in 1/error, {name} (theory 0.2)"] = fit["exponent"]
    result = {"benchmark": "ode_tolerance", "ratios": ratios, "orders": orders, "rows": rows}
    print(write("ode_tolerance", result, quick=quick))


if __name__ == "__main__":
    main()
