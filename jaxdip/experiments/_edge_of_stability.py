"""Gradient descent beyond 2/λ_max(K_0): the kernel shrinks until the step is stable (ours).

With γ = 2c/λ_max(K_0), K_0 = A J Jᵀ Aᵀ at the start, the linearised iteration diverges for c > 1.
The network need not: it leaves the start, its units saturate, and λ_max(K) falls until γ is below
2/λ_max(K), where it converges. Recorded is the sharpness γ λ_max(K)/2 along the run, 1 at the edge,
for the two-layer sigmoid network (n = 5, m = 2, A and x̄ with iid N(0, 1) entries, V = ±1, W
trained), and the largest stable step by bisection beside the linear prediction
(`largest_stable_step`). Whether the sharpness settles *at* the edge, as is reported of deep
classifiers (Cohen et al., arXiv 2103.00065), or well below it, is what the experiment asks: below,
for one overshoot can saturate units for good, so that the claim of the edge fails.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip._random import key_for
from jaxdip._types import Array, Key
from jaxdip.analysis import SingularValues
from jaxdip.dynamics import GradientDescent, iterate, largest_stable_step, log_steps
from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._gpu_estimate import AS_ON_CPU
from jaxdip.experiments._lab import Lab
from jaxdip.experiments._padded import padded_network
from jaxdip.losses import MSE
from jaxdip.operators import Dense
from jaxdip.plot import Curve, Panel, curves_plot
from jaxdip.problem import Problem, kernel_norm
from jaxdip.sweeps import wilson

#: A run has fitted the data at this part of its initial loss.
_FITTED = 1e-8


def sharp_descent(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """Gradient descent with γ = 2c/λ_max(K_0).

    Args:
        key: of A, x̄ and the network.
        point: n, m, k (a float), widest, c (a float), steps, records, and stable (steps of each
            run of the bisection).

    Returns:
        loss, over L0, and sharpness, γ λ_max(K)/2, at the records; stable, the largest stable step
        over 2/λ_max(K_0).
    """
    n, m, steps = point["n"], point["m"], point["steps"]
    A = jax.random.normal(key_for(key, "operator"), (m, n))
    x = jax.random.normal(key_for(key, "signal"), (n,))
    g = padded_network(key_for(key, "init"), n, point["k"], point["widest"])
    y = jnp.matmul(A, x, precision=jax.lax.Precision.HIGHEST)
    problem = Problem(u=jnp.ones(1), operator=Dense(A), loss=MSE(), y=y)
    step = 2 * point["c"] / kernel_norm(problem, g).value
    run = iterate(
        problem,
        GradientDescent(step),
        g,
        steps,
        at=log_steps(steps, point["records"]),
        observe={"values": SingularValues("AJ", 1)},
    )
    stable = largest_stable_step(problem, GradientDescent(1.0), g, steps=point["stable"], rtol=0.02)
    return {
        "loss": run.loss / run.loss[0],
        "sharpness": step * run.observed["values"][:, 0] ** 2 / 2,
        "stable": stable.measured / stable.predicted,
    }


@dataclasses.dataclass(frozen=True)
class EdgeOfStability(AbstractExperiment):
    """The sharpness along gradient descent, over the step.

    Attributes:
        factors: c, the step in units of 2/λ_max(K_0).
        k: the width.
        n: the size of the signal.
        m: the number of observations.
        steps: of gradient descent.
        records: at most so many positive steps.
        stable: steps of each run of the bisection.
        trials: runs of each c.
    """

    name: ClassVar[str] = "edge-of-stability"
    title: ClassVar[str] = "gradient descent beyond 2/λ_max: what the kernel does"
    source: ClassVar[str] = "beyond the papers; arXiv 2403.05395, Section IV (γ = 10^1.6)"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 5 s"),
        "paper": Cost("about 5 min", AS_ON_CPU),
    }

    factors: tuple[float, ...] = (0.5, 0.9, 1.1, 1.5, 2.0, 4.0, 8.0)
    k: int = 3000
    n: int = 5
    m: int = 2
    steps: int = 20_000
    records: int = 120
    stable: int = 500
    trials: int = 50

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: two steps; quick: a narrower network and fewer runs."""
        return {
            "smoke": cls(factors=(0.5, 1.5), k=60, steps=300, records=20, stable=50, trials=2),
            "quick": cls(k=500, steps=5000, records=80, stable=300, trials=20),
            "paper": cls(),
        }

    def run(self, lab: Lab) -> xr.Dataset:
        """One sweep; each draw has all steps."""
        found = lab.sweep(
            "descents",
            sharp_descent,
            {
                "n": self.n,
                "m": self.m,
                "k": float(self.k),
                "widest": self.k,
                "c": list(self.factors),
                "steps": self.steps,
                "records": self.records,
                "stable": self.stable,
            },
            trials=self.trials,
            paired=["c"],
        )
        dims = ("c", "trial", "step")
        made = {name: (dims[: x.ndim], x) for name, x in found.outcomes.items()}
        at = log_steps(self.steps, self.records)
        return xr.Dataset(made, coords={"c": list(self.factors), "step": list(at)})

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """One draw at every step size, and where all runs end."""
        at = data.step.values
        one = data.isel(trial=0)
        edge = Curve("edge", at, np.ones(len(at)), label="edge of stability", kind="bound")
        panels = []
        for name, label in (("loss", "loss/L0"), ("sharpness", "sharpness γ λ_max(K)/2")):
            curves = [Curve(f"c = {c:g}", at, one[name].sel(c=c).values) for c in data.c.values]
            extra = [edge] if name == "sharpness" else []
            panels.append(Panel([*curves, *extra], y=label, x="step", log_x=True))
        quantiles = _ends(data)
        curves = [
            Curve(f"{100 * q:g} % quantile", data.c.values, np.array([row[i] for row in quantiles]))
            for i, q in enumerate((0.05, 0.5, 0.95))
        ]
        start = Curve("start", data.c.values, data.c.values, label="at the start", kind="bound")
        panels.append(
            Panel([*curves, start], y="sharpness of fitted runs at the end",
                  x="c = γ λ_max(K₀)/2")
        )  # fmt: skip
        caption = (
            f"Gradient descent with γ = 2c/λ_max(K₀), two-layer sigmoid network, W trained: n = "
            f"{self.n}, m = {self.m}, k = {self.k}, {self.steps} steps; one draw at all c, and "
            f"{self.trials} draws."
        )
        return {"figure": curves_plot(panels, caption=caption, columns=3)}

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """Runs beyond the edge converge, inside it at the end; where; and the stable step."""
        return [_lazy(data), _beyond(data), _inside(data), _settled(data), _stable(data)]


def _fitted(data: xr.Dataset) -> np.ndarray:
    """Which runs end having fitted the data, (c, trial)."""
    return (data.loss.isel(step=-1) <= _FITTED).values


def _ends(data: xr.Dataset) -> list[np.ndarray]:
    """Quantiles of the last sharpness of fitted runs, for each c."""
    last, fitted = data.sharpness.isel(step=-1).values, _fitted(data)
    return [
        np.quantile(x[good], (0.05, 0.5, 0.95)) if good.any() else np.full(3, np.nan)
        for x, good in zip(last, fitted, strict=True)
    ]


def _listed(values: np.ndarray, data: xr.Dataset) -> str:
    return ", ".join(f"{x:.2f} (c = {c:g})" for c, x in zip(data.c.values, values, strict=True))


def _lazy(data: xr.Dataset) -> Claim:
    first = data.isel(c=0)
    change = abs(first.sharpness / first.sharpness.isel(step=0) - 1).max("step").values
    return Claim(
        name="well below the edge the kernel hardly moves",
        says="a wide network stays near its linearisation; (expected) λ_max(K) changes by at most "
        "25 % in the median",
        finds=f"by {100 * np.median(change):.1f} % at c = {float(first.c):g}, at most "
        f"{100 * change.max():.0f} %",
        number=float(np.median(change)),
        holds=bool(np.median(change) <= 0.25),
    )


def _beyond(data: xr.Dataset) -> Claim:
    past = (data.c.values > 1) & (data.c.values <= 2)
    fitted = _fitted(data)[past]
    low, high = wilson(int(fitted.sum()), max(fitted.size, 1))
    return Claim(
        name="training converges beyond 2/λ_max(K₀)",
        says="the linearised iteration diverges; (expected) of the runs with 1 < c ≤ 2 at least "
        "half fit the data",
        finds=f"{int(fitted.sum())} of {fitted.size}, 95 % interval [{float(low):.2f}, "
        f"{float(high):.2f}]; all c: {_listed(_fitted(data).mean(axis=1), data)}",
        number=float(fitted.mean()) if fitted.size else float("nan"),
        holds=bool(fitted.size and fitted.mean() >= 0.5),
    )


def _inside(data: xr.Dataset) -> Claim:
    last = data.sharpness.isel(step=-1).values[_fitted(data)]
    inside = last < 1
    return Claim(
        name="what has converged is inside the edge",
        says="gradient descent can settle only where γ < 2/λ_max(K)",
        finds=f"{int(inside.sum())} of {inside.size} fitted runs; the largest sharpness at an end "
        f"is {last.max() if last.size else np.nan:.3f}",
        number=float(last.max()) if last.size else float("nan"),
        holds=bool(last.size and inside.all()),
    )


def _settled(data: xr.Dataset) -> Claim:
    middle = np.array([row[1] for row in _ends(data)])
    past = (data.c.values > 1) & np.isfinite(middle)
    return Claim(
        name="it settles at the edge",
        says="λ_max drifts to 2/γ, as in deep classifiers; (rule) for every c > 1 the median "
        "sharpness of fitted runs ends in [0.8, 1]",
        finds=f"medians {_listed(middle, data)}",
        number=float(middle[past].min()) if past.any() else float("nan"),
        holds=bool(past.any() and np.all((middle[past] >= 0.8) & (middle[past] <= 1))),
        note="one overshoot can saturate units for good, which takes the kernel past the edge",
    )


def _stable(data: xr.Dataset) -> Claim:
    values = data.stable.isel(c=0).values
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return Claim(
        name="the largest stable step is beyond the linear prediction",
        says="(expected) by bisection it is at least 2/λ_max(K₀) in the median",
        finds=f"{middle:.2f} times 2/λ_max(K₀) in the median, 5 to 95 %: {low:.2f} to {high:.2f}",
        number=float(middle),
        holds=bool(middle >= 1),
    )
