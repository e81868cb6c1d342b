"""Convergence of gradient flow over width and data (arXiv 2309.12128), beside gradient descent's.

The source validates its theory by "phase transitions in convergence probability with network size"
for the two-layer sigmoid network, W trained; the text at hand states neither sizes nor tolerance.
Here n = 5, A and x̄ have iid N(0, 1) entries, V = ±1, and a run counts as converged if its loss
reaches 1e-7 by t = 25 000/L, L the bound of `gradient_lipschitz` at the start. The paper's theorem
is about the flow; its experiments can only have iterated. Here each draw is both integrated (Tsit5)
and iterated (γ = 1/L, the same end of time), so that the two can be told apart, if they can.
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
from jaxdip._result import RESULTS
from jaxdip._types import Array, Key
from jaxdip.dynamics import GradientDescent, GradientFlow, integrate, iterate
from jaxdip.dynamics.events import LossBelow
from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._frequencies import (
    beyond,
    frequencies,
    grows,
    place,
    threshold,
    told,
)
from jaxdip.experiments._gpu_estimate import by_launches
from jaxdip.experiments._lab import Lab
from jaxdip.experiments._padded import padded_network
from jaxdip.losses import MSE
from jaxdip.operators import Dense
from jaxdip.plot import phase_diagram
from jaxdip.problem import Problem, gradient_lipschitz
from jaxdip.sweeps import Crossing, wilson


def flow_and_descent(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """Whether gradient flow and gradient descent fit one draw by the same end of time.

    Args:
        key: of A, x̄ and the network.
        point: n, m, k (a float), widest, units (the end of time in 1/L) and tolerance.

    Returns:
        flow and descent, whether the loss reached the tolerance; flow_time and descent_time, when,
        in units of 1/L, infinite if never.
    """
    n, m = point["n"], point["m"]
    A = jax.random.normal(key_for(key, "operator"), (m, n))
    x = jax.random.normal(key_for(key, "signal"), (n,))
    g = padded_network(key_for(key, "init"), n, point["k"], point["widest"])
    y = jnp.matmul(A, x, precision=jax.lax.Precision.HIGHEST)
    problem = Problem(u=jnp.ones(1), operator=Dense(A), loss=MSE(), y=y)
    L = gradient_lipschitz(problem, g).value
    end, steps = LossBelow(point["tolerance"]), point["units"]
    ts = jnp.reshape(steps / L, (1,))
    flow = integrate(problem, GradientFlow(), g, ts, until={"end": end}, solver="explicit")
    descent = iterate(problem, GradientDescent(1 / L), g, steps, every=steps, until={"end": end})
    return {
        "flow": flow.result == RESULTS.converged,
        "descent": descent.result == RESULTS.converged,
        "flow_time": flow.hits["end"] * L,
        "descent_time": descent.hits["end"] * L,
    }


@dataclasses.dataclass(frozen=True)
class GFWidth(AbstractExperiment):
    """Where gradient flow fits the data, over width and number of observations.

    Attributes:
        widths: k.
        observations: m.
        n: the size of the signal.
        units: the end of time, in units of 1/L: steps of gradient descent.
        tolerance: the loss that counts as converged.
        trials: draws of each cell.
    """

    name: ClassVar[str] = "gf-width"
    title: ClassVar[str] = "where gradient flow fits the data, and gradient descent beside it"
    source: ClassVar[str] = "arXiv 2309.12128, numerical experiments"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 20 s"),
        "paper": Cost("about 10 min", by_launches(steps=25_000, batches=11 * 4)),
    }

    widths: tuple[int, ...] = (3, 5, 10, 18, 32, 56, 100, 178, 316, 562, 1000)
    observations: tuple[int, ...] = (1, 2, 3, 4)
    n: int = 5
    units: int = 25_000
    tolerance: float = 1e-7
    trials: int = 50

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: a corner and a short time; quick: fewer cells and draws."""
        return {
            "smoke": cls(widths=(5, 32), observations=(2,), units=300, tolerance=1e-3, trials=4),
            "quick": cls(widths=(3, 5, 10, 32, 100, 316), observations=(1, 2, 3), trials=30),
            "paper": cls(),
        }

    def run(self, lab: Lab) -> xr.Dataset:
        """One sweep, in which each draw is integrated and iterated."""
        found = lab.sweep(
            "widths",
            flow_and_descent,
            {
                "n": self.n,
                "m": list(self.observations),
                "k": [float(k) for k in self.widths],
                "widest": max(self.widths),
                "units": self.units,
                "tolerance": self.tolerance,
            },
            trials=self.trials,
        )
        data = xr.merge([frequencies(found, name, name) for name in ("flow", "descent")])
        for name in ("flow", "descent", "flow_time", "descent_time"):
            own = f"{name}_run" if name in data else name
            data[own] = (("m", "k", "trial"), found[name])
        return data

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """The flow's diagram, with the descent's line."""
        places = _places(data, "descent")
        lines = []
        if len(places) > 1:
            line = [place.at for place in places.values()], list(places)
            lines = [("gradient descent: half of the runs", *line)]
        flip = [data[f"flow{end}"].transpose("k", "m").values for end in ("", "_low", "_high")]
        figure = phase_diagram(
            data.k.values,
            data.m.values,
            flip[0],
            x_label="width k",
            y_label="observations m",
            label=f"share of flows with loss ≤ {self.tolerance:g}",
            trials=self.trials,
            low=flip[1],
            high=flip[2],
            intervals=True,
            lines=lines,
            caption=(
                f"Gradient flow on the two-layer sigmoid network, W trained, n = {self.n}, to "
                f"t = {self.units}/L; the same draws by gradient descent with γ = 1/L. "
                f"{self.source}."
            ),
        )
        return {"figure": figure}

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """A transition in k that moves with m, the same for flow and descent."""
        return [_transition(data), _growing(data), _agreeing(data), _on_time(data)]


def _places(data: xr.Dataset, name: str) -> Mapping[int, Crossing]:
    """The widths from which on half of the runs converge, for each m where there is one."""
    found = {int(m): threshold(data.sel(m=m), name, "k") for m in data.m.values}
    return {m: place for m, place in found.items() if place is not None}


def _transition(data: xr.Dataset) -> Claim:
    first, last = data.flow.isel(k=0), data.flow.isel(k=-1)
    return Claim(
        name="convergence has a transition in the width",
        says="the probability of convergence passes from low to high as the network grows",
        finds=", ".join(
            f"{float(first.sel(m=m)):.2f} → {float(last.sel(m=m)):.2f} (m = {int(m)})"
            for m in data.m.values
        )
        + f" from k = {data.k.values[0]:g} to {data.k.values[-1]:g}",
        number=float(last.min()),
        holds=bool(last.min() >= 0.9 and first.sel(m=data.m.max()) <= 0.5),
    )


def _growing(data: xr.Dataset) -> Claim:
    places = {int(m): place(data.sel(m=m), "flow", "k") for m in data.m.values}
    found = [at for at in places.values() if 0 < at < np.inf]
    return Claim(
        name="the transition moves to wider networks as m grows",
        says="more observations need a wider network",
        finds="half of the flows converge from k = "
        + ", ".join(f"{told(data.sel(m=m), 'flow', 'k')} (m = {m})" for m in places),
        number=found[-1] / found[0] if len(found) > 1 else float("nan"),
        holds=grows([*places.values()]),
        note=beyond(places, "m", "converge"),
    )


def _agreeing(data: xr.Dataset) -> Claim:
    same = data.flow_run.values == data.descent_run.values
    low, high = wilson(int(same.sum()), same.size)
    return Claim(
        name="gradient descent at γ = 1/L has the flow's transition",
        says="(expected) at least 98 of 100 draws end alike",
        finds=f"{int(same.sum())} of {same.size} draws end alike, 95 % interval "
        f"[{float(low):.3f}, {float(high):.3f}]",
        number=float(same.mean()),
        holds=bool(same.mean() >= 0.98),
    )


def _on_time(data: xr.Dataset) -> Claim:
    both = np.isfinite(data.flow_time.values) & np.isfinite(data.descent_time.values)
    both &= data.flow_time.values > 0
    ratio = data.descent_time.values[both] / data.flow_time.values[both]
    low, middle, high = np.quantile(ratio, (0.05, 0.5, 0.95)) if ratio.size else [np.nan] * 3
    return Claim(
        name="they fit the data at the same time, in the median",
        says="(expected) on the shared clock t = γτ the median of their ratio is within 10 % of 1",
        finds=f"descent takes {middle:.3f} of the flow's time in the median, 5 to 95 %: "
        f"{low:.3f} to {high:.3f}, {ratio.size} draws, of which "
        f"{100 * np.mean(abs(ratio - 1) <= 0.1) if ratio.size else np.nan:.0f} % are within 10 %",
        number=float(middle),
        holds=bool(abs(middle - 1) <= 0.1),
    )
