"""Figure 1b of arXiv 2403.05395: from which width on does gradient descent fit the data?

The two-layer sigmoid network, n = 5, A and x̄ with iid N(0, 1) entries, W trained, 10⁵ steps of
gradient descent, 50 runs a cell; a run converged if its loss is at most 1e-14. The paper states
that for m = 2 convergence occurs when k ≥ 10^2.5. It says neither γ nor the law of V; here γ = 1
and V = ±1 (iid), for which the shares at k = 10, 10^1.5, 10², 10^2.5 and 10³ were found
independently to be

    m = 1: .80 .94 1 1 1    m = 2: .42 .88 1 1 1    m = 3: .22 .72 .96 1 1    m = 4: .10 .54 .88 1 1

in 50 runs. The latent dimension does not enter (`TwoLayerTrial`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._frequencies import beyond, frequencies, grows, place, told
from jaxdip.experiments._gpu_estimate import by_launches
from jaxdip.experiments._lab import Lab
from jaxdip.plot import phase_diagram
from jaxdip.sweeps import wilson
from jaxdip.trials import TwoLayerTrial

#: Shares of 50 runs by an independent program, at these widths, for m = 1 … 4.
_WIDTHS = (10, 32, 100, 316, 1000)
_SHARES = (
    (0.80, 0.94, 1.0, 1.0, 1.0),
    (0.42, 0.88, 1.0, 1.0, 1.0),
    (0.22, 0.72, 0.96, 1.0, 1.0),
    (0.10, 0.54, 0.88, 1.0, 1.0),
)
_RUNS = 50


@dataclasses.dataclass(frozen=True)
class GD1b(AbstractExperiment):
    """Where gradient descent fits the data, over width and number of observations.

    Attributes:
        widths: k.
        observations: m.
        n: the size of the signal.
        step_size: γ.
        steps: of gradient descent, at most.
        tolerance: the loss that counts as converged.
        trials: runs of each cell.
    """

    name: ClassVar[str] = "gd-1b"
    title: ClassVar[str] = "where gradient descent fits the data, over k and m"
    source: ClassVar[str] = "arXiv 2403.05395, Figure 1b"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 10 s"),
        "paper": Cost("72 s", by_launches(steps=100_000, batches=13 * 4)),
    }

    widths: tuple[int, ...] = (10, 18, 32, 56, 100, 178, 316, 562, 1000, 1778, 3162, 5623, 10_000)
    observations: tuple[int, ...] = (1, 2, 3, 4)
    n: int = 5
    step_size: float = 1.0
    steps: int = 100_000
    tolerance: float = 1e-14
    trials: int = 50

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: a corner with few steps; quick: up to k = 1000."""
        return {
            "smoke": cls(
                widths=(10, 32, 100), observations=(1, 2), steps=500, tolerance=1e-6, trials=6
            ),
            "quick": cls(widths=(10, 18, 32, 56, 100, 178, 316, 562, 1000)),
            "paper": cls(),
        }

    def run(self, lab: Lab) -> xr.Dataset:
        """One sweep."""
        found = lab.sweep(
            "widths",
            TwoLayerTrial(),
            {
                "n": self.n,
                "m": list(self.observations),
                "k": list(self.widths),
                "step_size": self.step_size,
                "steps": self.steps,
                "tolerance": self.tolerance,
            },
            trials=self.trials,
        )
        steps = np.where(found["converged"], found["steps"], np.nan)
        data = frequencies(found, "converged", "converged")
        median = [[np.nanmedian(c) if np.isfinite(c).any() else np.nan for c in r] for r in steps]
        data["steps"] = (("m", "k"), np.array(median), {"long_name": "median of converged runs"})
        return data

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """The diagram."""
        share = data.converged.transpose("k", "m")
        figure = phase_diagram(
            data.k.values,
            data.m.values,
            share.values,
            x_label="width k",
            y_label="observations m",
            label=f"share of runs with loss ≤ {self.tolerance:g}",
            trials=data.converged_trials.transpose("k", "m").values,
            low=data.converged_low.transpose("k", "m").values,
            high=data.converged_high.transpose("k", "m").values,
            intervals=True,
            caption=(
                f"Gradient descent on the two-layer sigmoid network, W trained: n = {self.n}, "
                f"γ = {self.step_size:g}, at most {self.steps} steps. {self.source}."
            ),
        )
        return {"figure": figure}

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """The paper's width for m = 2, growth with m, and agreement with an independent program."""
        return [
            *_stated(data),
            _growing(data),
            *_agreeing(data, self.step_size, self.steps, self.tolerance),
        ]


def _stated(data: xr.Dataset) -> list[Claim]:
    """m = 2 converges from 10^2.5 on, and from where on all runs here do."""
    wide = data.k.values[data.k.values >= 10**2.5 * 0.99]
    if 2 not in data.m or not wide.size:
        return []
    share = data.converged.sel(m=2, k=wide)
    low = float(data.converged_low.sel(m=2, k=wide).min())
    failing = data.k.values[data.converged.sel(m=2).values < 1]
    all_fit = data.k.values[data.k.values > failing.max(initial=0)]
    told_all = f"all runs converge from k = {all_fit[0]} on" if all_fit.size else "never all runs"
    return [
        Claim(
            name="m = 2 converges from k = 10^2.5",
            says="for m = 2 convergence occurs when k ≥ 10^2.5",
            finds=f"least share {float(share.min()):.2f} for k ≥ {wide[0]}, 95 % interval from "
            f"{low:.2f}; {told_all}",
            number=float(share.min()),
            holds=bool(share.min() >= 0.98),
        )
    ]


def _growing(data: xr.Dataset) -> Claim:
    """Half of the runs converge from a width on that grows with m."""
    places = {int(m): place(data.sel(m=m), "converged", "k") for m in data.m}
    found = [at for at in places.values() if 0 < at < np.inf]
    return Claim(
        name="the threshold grows with m",
        says="more observations need a wider network",
        finds="half of the runs converge from k = "
        + ", ".join(f"{told(data.sel(m=m), 'converged', 'k')} (m = {m})" for m in places),
        number=found[-1] / found[0] if len(found) > 1 else float("nan"),
        holds=grows([*places.values()]),
        note=beyond(places, "m", "converge"),
    )


def _agreeing(data: xr.Dataset, step_size: float, steps: int, tolerance: float) -> list[Claim]:
    """The shares are those of an independent program, cell by cell within binomial intervals."""
    if (step_size, steps, tolerance) != (1.0, 100_000, 1e-14):
        return []
    common = [(m, k) for m in (1, 2, 3, 4) for k in _WIDTHS if m in data.m and k in data.k]
    outside = []
    for m, k in common:
        ours = data.sel(m=m, k=k)
        theirs = _SHARES[m - 1][_WIDTHS.index(k)]
        low, high = wilson(round(theirs * _RUNS), _RUNS)
        if ours.converged_high < low or ours.converged_low > high:
            outside.append(f"m = {m}, k = {k}: {float(ours.converged):.2f}, not {theirs:.2f}")
    return [
        Claim(
            name="shares agree with an independent program",
            says="the shares in this file's head, 50 runs each",
            finds=f"{len(common) - len(outside)} of {len(common)} cells have overlapping 95 % "
            f"intervals{'; ' + '; '.join(outside) if outside else ''}",
            number=float(len(outside)),
            holds=not outside,
        )
    ]
