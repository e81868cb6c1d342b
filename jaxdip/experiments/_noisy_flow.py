"""Gradient flow on noisy data, with the times at which it could have been stopped: one trial."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._random import key_for
from jaxdip._types import Array, Key
from jaxdip.dynamics import GradientFlow, integrate
from jaxdip.dynamics.events import ResidualBelow, WithinNoise
from jaxdip.experiments._padded import padded_network
from jaxdip.losses import MSE
from jaxdip.operators import Callable, WithSpectrum
from jaxdip.problem import Problem, jacobian_sigma_min, measure
from jaxdip.problem.observables import PredictionError, ResidualNorm, SignalError
from jaxdip.theory import certify_gradient_flow, ground, stopping_time


def noisy_flow(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """One flow, y = F(x̄) + ε, on the clock τ = t μ²/4 of the theorem.

    A = U diag(σ) Vᵀ with σ geometric from 1 to 1/κ and random bases, x̄ ~ N(0, I), the two-layer
    sigmoid network with V = ±1, W trained. F is A, or with `cubic` F(x) = Ax + c (Ax)³ entry by
    entry, of which J_F = diag(1 + 3c(Ax)²) A, and ‖F(x) − F(x')‖ ≥ ‖A(x − x')‖.

    Args:
        key: of the operator, the signal, the noise and the start.
        point: n, k, kappa (κ), noise (relative: the standard deviation is noise·‖F(x̄)‖/√n), cubic
            (whether F is; c = 0.1), end (the last τ, for a linear F in units of 4/μ² with
            μ = σ_A σ_n(J), for the cubic one with μ = σ_n(J_F J)), records.

    Returns:
        tau, the records' times; error ‖x − x̄‖, prediction ‖F(x) − F(x̄)‖, residual ‖F(x) − y‖ at
        each; noise_norm ‖ε‖; norm ‖x̄‖; within, discrepancy and theorem: the τ at which first
        ‖F(x) − F(x̄)‖ ≤ 2‖ε‖, at which first the residual is at most ‖ε‖, and t* of the theorem (NaN
        for the cubic F); certified, whether R' < R; scale, μ²/4.
    """
    n, kappa = point["n"], point["kappa"]
    A = WithSpectrum(kappa ** -jnp.linspace(0.0, 1.0, n), m=n, n=n, key=key_for(key, "operator"))
    F = Callable(jax.tree_util.Partial(_cubic, A), n) if point["cubic"] else A
    x = jax.random.normal(key_for(key, "signal"), (n,))
    deviation = point["noise"] * jnp.linalg.norm(F(x)) / n**0.5
    data = measure(F, x, noise=deviation, key=key_for(key, "noise"))
    g = padded_network(key_for(key, "init"), n, point["k"], point["k"])
    problem = Problem(u=jnp.ones(1), operator=F, loss=MSE(), y=data.y)
    if point["cubic"]:
        scale = jacobian_sigma_min(problem, g) ** 2 / 4
        theorem, certified = jnp.asarray(jnp.nan), jnp.asarray(False)
    else:
        base = ground(problem, g, "network")
        scale, certificate = base.mu.value**2 / 4, certify_gradient_flow(base)
        theorem = stopping_time(certificate, data.noise_norm) * scale
        certified = certificate.holds
    tau = jnp.asarray(record_times(point["records"])) * point["end"]
    run = integrate(
        problem,
        GradientFlow(),
        g,
        tau / scale,
        observe={
            "error": SignalError(x),
            "prediction": PredictionError(data.y_clean),
            "residual": ResidualNorm(),
        },
        mark={"within": WithinNoise(data), "discrepancy": ResidualBelow(data.noise_norm)},
        solver="explicit",
    )
    return {
        "tau": tau,
        **{name: run.observed[name] for name in ("error", "prediction", "residual")},
        **{name: run.hits[name] * scale for name in ("within", "discrepancy")},
        "theorem": theorem,
        "certified": certified,
        "noise_norm": data.noise_norm,
        "norm": jnp.linalg.norm(x),
        "scale": scale,
    }


def record_times(records: int) -> np.ndarray:
    """0, and so many times up to 1, evenly spaced in their logarithm over five decades."""
    return np.concatenate([[0.0], np.logspace(-5, 0, records)])


def at_time(tau: np.ndarray, values: np.ndarray, when: np.ndarray) -> np.ndarray:
    """Curves at one time each, interpolated in the logarithm of time; NaN after the last record.

    Args:
        tau: the records' times, the first 0, shape (..., T).
        values: at the records, shape (..., T).
        when: shape (...).
    """
    flat = zip(tau.reshape(-1, tau.shape[-1]), values.reshape(-1, tau.shape[-1]), when.ravel(),
               strict=True)  # fmt: skip
    found = [
        np.interp(np.log(max(w, t[1])), np.log(t[1:]), v[1:], right=np.nan)
        if np.isfinite(w) else np.nan
        for t, v, w in flat
    ]  # fmt: skip
    return np.reshape(found, when.shape)


def middle(values: np.ndarray) -> np.ndarray:
    """The medians of the rows over what is finite in them; NaN where nothing is."""
    rows = [row[np.isfinite(row)] for row in values]
    return np.array([np.median(row) if row.size else np.nan for row in rows])


def power(x: np.ndarray, y: np.ndarray) -> float:
    """The exponent q of y ∝ x^q, by least squares in logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def power_interval(x: np.ndarray, y: np.ndarray, draws: int = 400) -> tuple[float, float, float]:
    """The exponent of the medians over runs, and its 95 % bootstrap interval over runs.

    Args:
        x: shape (X,).
        y: shape (X, runs); runs are resampled, the same for all x.
        draws: of the bootstrap, whose numbers are always the same.
    """
    rng = np.random.default_rng(0)
    again = [
        power(x, np.median(y[:, rng.integers(y.shape[1], size=y.shape[1])], axis=1))
        for _ in range(draws)
    ]
    low, high = np.quantile(again, (0.025, 0.975))
    return power(x, np.median(y, axis=1)), float(low), float(high)


def _cubic(A: WithSpectrum, x: Array) -> Array:
    seen = A(x)
    return seen + 0.1 * seen**3
