"""What does the implicit solver buy on an ill-conditioned operator?

Singular values σ_i = 1/(1 + i²), a two-layer sigmoid network that trains W, noiseless data,
float64, T = 1e8, 41 log-spaced save times, rtol 1e-6 and atol 1e-9, everything warm.

- Rodas5P by structure against Tsit5, both to T in full, gradient flow, n = m = 20, k = 4000; the
  loss of both against Rodas5P at rtol 1e-10, atol 1e-13, at every save time where the loss is above
  1e-20 of the first; and Rodas5P at rtol 1e-8, atol 1e-11.
- The same with n = m = 50 and for ISEHD at its default α and β, Tsit5 over a stretch only: its
  steps are held by stability, so its time grows in proportion, and the file says "extrapolated".
- SciPy's LSODA, BDF and Radau on the same reduced right-hand side in NumPy, with the analytic dense
  Jacobian, at k = 400: they factorise k × k.

`--quick` stops at T = 1e5, where Tsit5 is short.

    python -m benchmarks.stiff
"""

import argparse
import time

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import scipy.integrate  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import interleaved, summary, write  # noqa: E402

TOLERANCES = {"rtol": 1e-6, "atol": 1e-9}
TIGHTER = {"rtol": 1e-8, "atol": 1e-11}
TIGHT = {"rtol": 1e-10, "atol": 1e-13}
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
    """Largest relative error where the loss is resolved, and how many times are not."""
    resolved = reference > FLOOR * reference[0]
    relative = np.abs(loss - reference) / reference
    return {
        "largest_relative_error": float(np.max(relative[resolved])),
        # The loss, as a fraction of the first, down to which the error stays below 1e-3.
        "within_1e-3_down_to": float(np.min(reference[_prefix(relative < 1e-3)]) / reference[0]),
        "save_times_resolved": int(resolved.sum()),
        "save_times": int(resolved.size),
        "last_loss": float(loss[-1]),
        "last_reference": float(reference[-1]),
    }


def _prefix(good: np.ndarray) -> np.ndarray:
    """The indices before the first False."""
    return np.flatnonzero(np.cumprod(good))


def timed(run) -> tuple[float, jd.Solution]:
    """Seconds of one run, and the run."""
    before = time.perf_counter()
    solution = run()
    jax.block_until_ready(solution.loss)
    return time.perf_counter() - before, solution


def against_tsit5(flow, name: str, n: int, k: int, horizon: float, stretch: float, repeats: int):
    """Rodas5P to the horizon, Tsit5 to `stretch` (extrapolated in proportion if shorter)."""
    problem, g = case(n, k)

    def run(solver, until=horizon, **tolerances):
        ts = jnp.asarray(save_times(until))
        return jd.integrate(problem, flow, g, ts, solver=solver, max_steps=20_000_000, **tolerances)

    both = {
        "implicit": lambda: run("implicit", **TOLERANCES).loss,
        "tighter": lambda: run("implicit", **TIGHTER).loss,
    }
    seconds = interleaved(both, repeats)
    implicit, tighter = run("implicit", **TOLERANCES), run("implicit", **TIGHTER)
    reference = np.asarray(run("implicit", **TIGHT).loss)
    run("explicit", 10.0, **TOLERANCES)
    explicit_seconds, explicit = timed(lambda: run("explicit", stretch, **TOLERANCES))
    # Once more after the long run, in case the machine changed meanwhile.
    again = interleaved(both, repeats)
    median, tighter_median = (summary(seconds[name] + again[name]) for name in both)
    extrapolated = stretch < horizon
    full = explicit_seconds * (horizon / stretch)
    row = {
        "flow": name,
        "n": n,
        "k": k,
        "horizon": horizon,
        "implicit_seconds": median,
        "implicit_steps": int(implicit.stats["num_steps"]),
        "implicit_loss": loss_error(np.asarray(implicit.loss), reference),
        "implicit_at_1e-8": {
            "seconds": tighter_median,
            "steps": int(tighter.stats["num_steps"]),
            "loss": loss_error(np.asarray(tighter.loss), reference),
        },
        "tsit5_measured_to": stretch,
        "tsit5_seconds_measured": explicit_seconds,
        "tsit5_steps_measured": int(explicit.stats["num_steps"]),
        "tsit5_seconds_to_horizon": full,
        "tsit5_extrapolated": extrapolated,
        "ratio": full / median["median"],
    }
    if not extrapolated:
        row["tsit5_loss"] = loss_error(np.asarray(explicit.loss), reference)
    print(
        f"{name} n={n} k={k} T={horizon:g}: Rodas5P {median['median']:.3f} s, "
        f"{row['implicit_steps']} steps; Tsit5 {full:.1f} s"
        f"{' (extrapolated from T=' + format(stretch, 'g') + ')' if extrapolated else ''}, ratio "
        f"{row['ratio']:.0f}; loss off by {row['implicit_loss']['largest_relative_error']:.1e} at "
        f"{row['implicit_loss']['save_times_resolved']} of 41 save times; at rtol 1e-8 "
        f"{tighter_median['median']:.3f} s, loss off by "
        f"{row['implicit_at_1e-8']['loss']['largest_relative_error']:.1e}",
        flush=True,
    )
    return row


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
    """Rodas5P and SciPy's stiff solvers, one problem."""
    problem, g = case(n, k)
    ts = save_times(horizon)

    def run(**tolerances):
        flow = jd.GradientFlow()
        return jd.integrate(problem, flow, g, jnp.asarray(ts), solver="implicit", **tolerances)

    reference = np.asarray(run(**TIGHT).loss)
    seconds = interleaved({"implicit": lambda: run(**TOLERANCES).loss}, repeats)["implicit"]
    ours = run(**TOLERANCES)
    rows = {
        "Rodas5P": {
            "seconds": summary(seconds)["median"],
            "steps": int(ours.stats["num_steps"]),
            **loss_error(np.asarray(ours.loss), reference),
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
            rtol=TOLERANCES["rtol"],
            atol=TOLERANCES["atol"],
        )
        rows[method] = {
            "seconds": time.perf_counter() - before,
            "status": done.message,
            "calls": int(done.nfev),
            "factorisations": int(done.nlu),
        }
        if done.success:
            losses = np.asarray([loss(z) for z in done.y.T])
            rows[method] |= loss_error(losses, reference)
    for method, row in rows.items():
        print(
            f"n={n} k={k} T={horizon:g}: {method} {row['seconds']:.3f} s, loss off by "
            f"{row.get('largest_relative_error', float('nan')):.1e}",
            flush=True,
        )
    return {"n": n, "k": k, "horizon": horizon, "methods": rows}


def main():
    """Runs every comparison and prints one line each."""
    parser = argparse.ArgumentParser(description="Stiff gradient flow: implicit or explicit.")
    parser.add_argument("--quick", action="store_true", help="T = 1e5 instead of 1e8")
    quick = parser.parse_args().quick
    horizon, repeats = (1e5, 3) if quick else (1e8, 5)
    flow, inertial = jd.GradientFlow(), jd.ISEHD()
    scipy_row = against_scipy(20, 400, horizon, repeats)
    rows = [
        against_tsit5(flow, "GradientFlow", 20, 4000, horizon, horizon, repeats),
        against_tsit5(flow, "GradientFlow", 50, 4000, horizon, min(horizon, 1e6), repeats),
        against_tsit5(inertial, "ISEHD", 20, 4000, horizon, 1e4, repeats),
    ]
    result = {
        "benchmark": "stiff",
        "tolerances": TOLERANCES,
        "reference_tolerances": TIGHT,
        "loss_floor": FLOOR,
        "against_tsit5": rows,
        "against_scipy": scipy_row,
    }
    print(write("stiff", result))


if __name__ == "__main__":
    main()
