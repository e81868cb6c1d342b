"""What does the implicit solver buy on an ill-conditioned operator?

Singular values σ_i = 1/(1 + i²), a two-layer sigmoid network that trains W, noiseless data,
float64, 41 log-spaced save times, everything warm; Rodas5P by structure against Tsit5 at the same
two tolerances, rtol 1e-6 and 1e-8 (atol a thousandth of rtol).

- Gradient flow, n = m = 20 and 50, k = 4000, T = 1e8. Tsit5 would take minutes to hours: its steps
  are held by stability, so it runs to two shorter horizons, its steps per unit time between them
  and its seconds per step are extrapolated, and the row is marked so. `--full` runs it to T, once,
  for n = 20.
- ISEHD at its default α and β, n = m = 20, k = 4000, T = 1e4, Tsit5 in full.
- SciPy's LSODA, BDF and Radau on the same reduced right-hand side in NumPy, with the analytic dense
  Jacobian, gradient flow, n = m = 20, k = 400, T = 1e8: they factorise k × k.

Losses are compared with Rodas5P at rtol 1e-10, atol 1e-13, itself checked against Tsit5 at that
tolerance up to T = 1e5. A solver that errs by a fraction e of ‖r(0)‖ in the residual r errs by
2e √(L(0)/L) in the loss L: relative errors grow as L falls, whatever the solver, and where L/L(0)
is below (2e/1e-3)² a loss may be off by more than 1e-3. So each row tells the largest relative
error where L > 1e-20 L(0) (below, rounding of r decides), the residual error e, and the L/L(0) down
to which the loss is right to 1e-3.

`--quick` stops at T = 1e5, where Tsit5 is short.

    python -m benchmarks.stiff

Its last output (2 cores, November 2026), seconds; those of Tsit5 extrapolated for gradient flow:

                                   rtol     Rodas5P     Tsit5    ratio
    gradient flow, n = 20          1e-6       0.15        419     2780
                                   1e-8       0.30        427     1440
    gradient flow, n = 50          1e-6       0.66        890     1360
                                   1e-8       1.5         881      570
    ISEHD, n = 20                  1e-6       1.0          37       36
                                   1e-8       3.7          37       10

    n = 20, k = 400, rtol 1e-6     Rodas5P 0.035, LSODA 4.5, BDF 6.1, Radau 15

At rtol 1e-6 the loss of the first is right to 1e-3 down to 2e-12 of its start.
"""

import argparse
import time

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import scipy.integrate  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import interleaved, summary, timed, write  # noqa: E402

TOLERANCES = ({"rtol": 1e-6, "atol": 1e-9}, {"rtol": 1e-8, "atol": 1e-11})
TIGHT = {"rtol": 1e-10, "atol": 1e-13}
#: How far Tsit5 checks the reference.
CHECKED = 1e5
#: Below this fraction of the first loss, rounding of the residual decides the loss.
FLOOR = 1e-20


def case(n: int, k: int) -> tuple[jd.Problem, jd.TwoLayer]:
    """One problem and one network."""
    key = jax.random.key(0)
    A = jd.operators.WithSpectrum.inverse_square(n, jd.key_for(key, "operator"))
    x = jax.random.normal(jd.key_for(key, "signal"), (n,))
    g = jd.TwoLayer(latent=10, width=k, out=n, key=jd.key_for(key, "init"))
    u = jd.on_sphere(10, key=jd.key_for(key, "latent"))
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x)), g


def save_times(horizon: float) -> np.ndarray:
    """Log-spaced from 1 to the horizon."""
    return np.logspace(0, np.log10(horizon), 41)


def loss_error(loss: np.ndarray, reference: np.ndarray) -> dict:
    """How far the losses are off, as the head of this file explains."""
    resolved = reference > FLOOR * reference[0]
    relative = np.abs(loss - reference) / reference
    good = np.flatnonzero(np.cumprod(relative < 1e-3))
    return {
        "largest_relative_error": float(np.max(relative[resolved])),
        "residual_error": float(
            np.max(np.abs(np.sqrt(loss) - np.sqrt(reference))) / np.sqrt(reference[0])
        ),
        "within_1e-3_down_to": float(np.min(reference[good]) / reference[0])
        if good.size
        else float("inf"),
        "save_times_resolved": int(resolved.sum()),
        "last_loss": float(loss[-1] / reference[0]),
    }


def runner(flow, n: int, k: int):
    """(solver, horizon, tolerances) to a solution, of one problem."""
    problem, g = case(n, k)

    def run(solver, horizon, **tolerances):
        ts = jnp.asarray(save_times(horizon))
        return jd.integrate(problem, flow, g, ts, solver=solver, max_steps=20_000_000, **tolerances)

    return run


def tsit5_seconds(run, horizon: float, stretches: tuple[float, ...], tolerances) -> dict:
    """Seconds and steps of Tsit5 to each stretch, and to the horizon, extrapolated if not run."""
    run("explicit", 10.0, **tolerances)
    measured = []
    for stretch in stretches:
        done, seconds = timed(lambda stretch=stretch: run("explicit", stretch, **tolerances))
        steps = int(done.stats["num_steps"])
        measured.append({"to": stretch, "seconds": seconds, "steps": steps})
    last = measured[-1]
    before = measured[-2] if len(measured) > 1 else {"to": 0.0, "seconds": 0.0, "steps": 0}
    left = (horizon - last["to"]) / (last["to"] - before["to"])
    steps = round(last["steps"] + left * (last["steps"] - before["steps"]))
    return {
        "measured": measured,
        "extrapolated": last["to"] < horizon,
        "seconds": last["seconds"] * steps / last["steps"],
        "steps": steps,
    }


def against_tsit5(flow, n: int, k: int, horizon: float, stretches: tuple[float, ...], repeats: int):
    """Rodas5P to the horizon, Tsit5 to each stretch, at both tolerances."""
    run, name = runner(flow, n, k), type(flow).__name__
    reference = np.asarray(run("implicit", horizon, **TIGHT).loss)
    rows = []
    for tolerances in TOLERANCES:

        def implicit(tolerances=tolerances):
            return run("implicit", horizon, **tolerances)

        seconds = interleaved({"implicit": lambda f=implicit: f().loss}, repeats)["implicit"]
        done = implicit()
        explicit = tsit5_seconds(run, horizon, stretches, tolerances)
        row = {
            "flow": name,
            "n": n,
            "k": k,
            "horizon": horizon,
            **tolerances,
            "seconds": summary(seconds),
            "steps": int(done.stats["num_steps"]),
            "loss": loss_error(np.asarray(done.loss), reference),
            "tsit5": explicit,
            "ratio": explicit["seconds"] / summary(seconds)["median"],
        }
        how = " (extrapolated)" if explicit["extrapolated"] else ""
        print(
            line(f"{name} n={n} k={k}", "Rodas5P", row["seconds"]["median"], row, tolerances)
            + f", Tsit5 {explicit['seconds']:.1f} s{how}, ratio {row['ratio']:.0f}",
            flush=True,
        )
        rows.append(row)
    return rows


def line(what: str, method: str, seconds: float, row: dict, tolerances: dict) -> str:
    """One row of the table."""
    loss = row.get("loss")
    off = "failed"
    if loss is not None:
        off = (
            f"loss off by {loss['largest_relative_error']:.1e} at {loss['save_times_resolved']} "
            f"times, by 1e-3 at most down to {loss['within_1e-3_down_to']:.0e}, residual off by "
            f"{loss['residual_error']:.0e}"
        )
    return f"{what:<26} {method:<8} rtol {tolerances['rtol']:.0e} {seconds:8.3f} s, {off}"


def check_reference(flow, n: int, k: int, horizon: float) -> dict:
    """The reference against an explicit run at its own tolerance."""
    run, until = runner(flow, n, k), min(horizon, CHECKED)
    implicit, explicit = (run(how, until, **TIGHT) for how in ("implicit", "explicit"))
    row = loss_error(np.asarray(implicit.loss), np.asarray(explicit.loss))
    print(
        f"the reference of {type(flow).__name__} n={n} k={k} against Tsit5, both at rtol 1e-10 to "
        f"T={until:g}: off by {row['largest_relative_error']:.1e}",
        flush=True,
    )
    return {"flow": type(flow).__name__, "n": n, "k": k, "horizon": until, **row}


def numpy_right_hand_side(problem: jd.Problem, g: jd.TwoLayer):
    """The reduced gradient flow in NumPy: ż, its dense Jacobian, the loss and z(0)."""
    A = np.asarray(problem.operator.matrix())  # pyright: ignore[reportAttributeAccessIssue]
    u, y = np.asarray(problem.u), np.asarray(problem.y)
    M = A @ np.asarray(g.V) / np.sqrt(g.width)

    def sigmoid(z):
        return 0.5 * (1 + np.tanh(z / 2))

    def velocity(t, z):
        s = sigmoid(z)
        return -(M.T @ (M @ s - y)) * s * (1 - s)

    def jacobian(t, z):
        s = sigmoid(z)
        slope = s * (1 - s)
        J = M * slope
        H = J.T @ J
        H[np.diag_indices_from(H)] += (M.T @ (M @ s - y)) * slope * (1 - 2 * s)
        return -H

    def loss(z):
        r = M @ sigmoid(z) - y
        return 0.5 * float(r @ r)

    return velocity, jacobian, loss, np.asarray(g.W) @ u / np.linalg.norm(u)


def against_scipy(n: int, k: int, horizon: float, repeats: int) -> dict:
    """Rodas5P and SciPy's stiff solvers, one problem, at the looser tolerance; SciPy once."""
    problem, g = case(n, k)
    run, ts, tolerances = runner(jd.GradientFlow(), n, k), save_times(horizon), TOLERANCES[0]
    reference = np.asarray(run("implicit", horizon, **TIGHT).loss)
    seconds = interleaved({"ours": lambda: run("implicit", horizon, **tolerances).loss}, repeats)
    ours = run("implicit", horizon, **tolerances)
    rows = {
        "Rodas5P": {
            "seconds": summary(seconds["ours"])["median"],
            "steps": int(ours.stats["num_steps"]),
            "loss": loss_error(np.asarray(ours.loss), reference),
        }
    }
    velocity, jacobian, loss, z0 = numpy_right_hand_side(problem, g)
    for method in ("LSODA", "BDF", "Radau"):
        before = time.perf_counter()
        done = scipy.integrate.solve_ivp(
            velocity,
            (0, horizon),
            z0,
            method,
            t_eval=ts,
            jac=jacobian,
            rtol=tolerances["rtol"],
            atol=tolerances["atol"],
        )
        rows[method] = {
            "seconds": time.perf_counter() - before,
            "status": done.message,
            "calls": int(done.nfev),
            "factorisations": int(done.nlu),
        }
        if done.success:
            losses = np.asarray([loss(z) for z in done.y.T])
            rows[method] |= {"loss": loss_error(losses, reference)}
    for method, row in rows.items():
        print(line(f"GradientFlow n={n} k={k}", method, row["seconds"], row, tolerances))
    return {"n": n, "k": k, "horizon": horizon, "methods": rows}


def main():
    """Runs every comparison and prints one line each."""
    parser = argparse.ArgumentParser(description="Stiff gradient flow: implicit or explicit.")
    parser.add_argument("--quick", action="store_true", help="T = 1e5 instead of 1e8")
    parser.add_argument("--full", action="store_true", help="Tsit5 to T = 1e8 in full for n = 20")
    arguments = parser.parse_args()
    horizon = 1e5 if arguments.quick else 1e8
    inertial_horizon = 1e3 if arguments.quick else 1e4
    in_full = arguments.quick or arguments.full
    flow, inertial = jd.GradientFlow(), jd.ISEHD()
    rows = [
        *against_tsit5(flow, 20, 4000, horizon, (horizon,) if in_full else (1e6, 3e6), 3),
        *against_tsit5(flow, 50, 4000, horizon, (horizon,) if arguments.quick else (5e5, 1.5e6), 3),
        *against_tsit5(inertial, 20, 4000, inertial_horizon, (inertial_horizon,), 3),
    ]
    ratios = {
        f"Tsit5 / Rodas5P, {row['flow']}, n = {row['n']}, rtol {row['rtol']:.0e}": row["ratio"]
        for row in rows
    }
    scipy_rows = against_scipy(20, 400, horizon, 3)
    own = scipy_rows["methods"]["Rodas5P"]["seconds"]
    for method in ("LSODA", "BDF", "Radau"):
        ratios[f"SciPy's {method} / Rodas5P, k = 400, rtol 1e-6"] = (
            scipy_rows["methods"][method]["seconds"] / own
        )
    result = {
        "benchmark": "stiff",
        "ratios": ratios,
        "reference_tolerances": TIGHT,
        "loss_floor": FLOOR,
        "against_tsit5": rows,
        "reference_check": check_reference(flow, 20, 4000, horizon),
        "against_scipy": scipy_rows,
    }
    print(write("stiff", result, quick=arguments.quick))


if __name__ == "__main__":
    main()
