"""Gradient flow of the two-layer network under ‖r‖^{2(p+1)}/(2(p+1)), ill-conditioned: one trial.

Shared by the talk's experiments with singular values σ_i(A) = 1/(1 + i²), i = 0, 1, … Verdicts need
float64, in which the residual can be followed down to 1e-8; in float32 runs end far above it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from jaxdip._random import key_for
from jaxdip._types import Array, Key
from jaxdip.dynamics import GradientFlow, integrate
from jaxdip.generators import TwoLayer, on_sphere
from jaxdip.losses import Power
from jaxdip.operators import WithSpectrum
from jaxdip.problem import Problem, jacobian_sigma_min, measure
from jaxdip.problem.observables import ResidualNorm, SignalError
from jaxdip.sweeps import SweepResult

#: Relative and absolute tolerance of the solver in float64; its defaults else.
_TOLERANCES = (1e-8, 1e-13)
#: Below this ‖r‖ the solver's absolute tolerance decides, and nothing is fitted.
FLOOR = 1e-8


def flow_times(decades: int, per_decade: int) -> np.ndarray:
    """0, then 1 to 10^decades, evenly spaced in their logarithm."""
    return np.concatenate([[0.0], np.logspace(0, decades, decades * per_decade + 1)])


def power_flow(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """One run of the flow from a drawn start, W alone trained, V = ±1, n = m.

    Args:
        key: of the bases of A, x̄, ε and the network.
        point: n, k; p of the loss; scale, the standard deviation of the entries of x̄; noise, that
            of ε; decades and per_decade of the times of `flow_times`.

    Returns:
        residual ‖A x(t) − y‖, loss, and error ‖x(t) − x̄‖ at the times; signal_norm ‖x̄‖;
        inverted_noise ‖A⁻¹ε‖; mu, σ_min(A J_g) at the start.
    """
    n = point["n"]
    values = 1 / (1 + jnp.arange(float(n)) ** 2)
    A = WithSpectrum(values, m=n, n=n, key=key_for(key, "operator"))
    truth = point["scale"] * jax.random.normal(key_for(key, "signal"), (n,))
    made = measure(A, truth, noise=point["noise"], key=key_for(key, "noise"))
    g = TwoLayer(latent=1, width=point["k"], out=n, key=key_for(key, "init"))
    u = on_sphere(1, key=key_for(key, "latent"))
    problem = Problem(u=u, operator=A, loss=Power(point["p"]), y=made.y)
    precise = jnp.result_type(float) == jnp.float64
    rtol, atol = _TOLERANCES if precise else (None, None)
    run = integrate(
        problem,
        GradientFlow(),
        g,
        jnp.asarray(flow_times(point["decades"], point["per_decade"])),
        observe={"residual": ResidualNorm(), "error": SignalError(truth)},
        solver="implicit",
        rtol=rtol,
        atol=atol,
    )
    return {
        "residual": run.observed["residual"],
        "error": run.observed["error"],
        "loss": run.loss,
        "signal_norm": jnp.linalg.norm(truth),
        "inverted_noise": jnp.linalg.norm(A.pseudo_inverse(made.y - made.y_clean)),
        "mu": jacobian_sigma_min(problem, g),
    }


def flow_dataset(found: SweepResult, ts: np.ndarray) -> xr.Dataset:
    """The outcomes of a sweep of `power_flow` over the grid's axes, trial and time."""
    axes = {name: np.array(values) for name, values in found.grid.axes.items()}
    curves = ("residual", "error", "loss")
    return xr.Dataset(
        {
            name: ((*axes, "trial", *(("time",) if name in curves else ())), x)
            for name, x in found.outcomes.items()
        },
        coords={**axes, "trial": np.arange(found.done.shape[-1]), "time": ts},
    )


def late_slope(ts: np.ndarray, values: np.ndarray, residual: np.ndarray, decades: float) -> float:
    """d log value/d log t over the last decades in which ‖r‖ is at least `FLOOR`.

    Returns:
        The slope by least squares; NaN with fewer than three records.
    """
    known = (ts > 0) & (residual >= FLOOR) & np.isfinite(values)
    if not known.any():
        return float("nan")
    known &= ts >= ts[known][-1] / 10**decades * (1 - 1e-9)
    if known.sum() < 3:
        return float("nan")
    return float(np.polyfit(np.log(ts[known]), np.log(values[known]), 1)[0])


def spread(values: np.ndarray, form: str = ".3g") -> str:
    """The median and the range over runs, such as '−6.0 (−6.1 to −5.9)'."""
    values = np.asarray(values).ravel()
    middle, low, high = np.median(values), np.min(values), np.max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"
