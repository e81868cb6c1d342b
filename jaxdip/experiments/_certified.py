"""Certified, convergent, recovering: three frontiers of one problem in one picture (ours).

Over the width k and the number of observations m of the papers' experiment (two-layer sigmoid
network, n = 5, A and x̄ with iid N(0, 1) entries, V = ±1, W trained, noiseless):

- certified: condition (4) of arXiv 2403.05395, R' < R, with its constants and γ = 1/L (ν₁ = 4);
- convergent: gradient descent (γ = 1) reaches a loss of 1e-14;
- recovering: it ends within 1 % of x̄.

The first two are frontiers in k; the third is one in m, for nothing tells the signals of a null
space apart: a certificate of convergence is none of recovery where m < n.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._frequencies import frequencies, place, threshold, told
from jaxdip.experiments._gd_1a import log_spaced, margins
from jaxdip.experiments._gpu_estimate import by_launches
from jaxdip.experiments._lab import Lab
from jaxdip.plot import phase_diagram
from jaxdip.sweeps import Crossing, wilson
from jaxdip.trials import TwoLayerTrial

#: ν₁ at γ = 1/L, without concavity of ψ.
_NU1 = 4.0
#: The relative error that counts as recovered.
_RECOVERED = 0.01
#: Of a difference of shares.
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Certified(AbstractExperiment):
    """Three shares over k and m.

    Attributes:
        widths: k of the runs.
        observations: m.
        log_widths: the first and last log₁₀ k of the condition, and points per decade.
        n: the size of the signal.
        steps: of gradient descent, at most.
        tolerance: the loss that counts as converged.
        trials: runs of each cell.
        draws: of the condition in each cell.
    """

    name: ClassVar[str] = "certified"
    title: ClassVar[str] = "certified against convergent against recovering, over k and m"
    source: ClassVar[str] = "beyond the papers; condition (4) of arXiv 2403.05395"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 20 s"),
        "paper": Cost("about 30 min", by_launches(steps=100_000, batches=10 * 8)),
    }

    widths: tuple[int, ...] = (6, 10, 18, 32, 56, 100, 178, 316, 1000, 3162)
    observations: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    log_widths: tuple[int, int, int] = (1, 9, 4)
    n: int = 5
    steps: int = 100_000
    tolerance: float = 1e-14
    trials: int = 50
    draws: int = 400

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: a corner; quick: fewer widths, steps and runs."""
        return {
            "smoke": cls(
                widths=(56, 100), observations=(3, 6), log_widths=(3, 7, 1), steps=300,
                tolerance=1e-6, trials=4, draws=40,
            ),
            "quick": cls(
                widths=(6, 10, 18, 32, 100, 316, 1000), observations=(1, 2, 3, 4, 5, 6, 8),
                log_widths=(1, 8, 4), steps=30_000, trials=20,
            ),
            "paper": cls(),
        }  # fmt: skip

    def run(self, lab: Lab) -> xr.Dataset:
        """The condition, and gradient descent."""
        first, last, each = self.log_widths
        condition = lab.sweep(
            "condition",
            margins,
            {
                "n": self.n,
                "m": list(self.observations),
                "law": "rademacher",
                "first": first,
                "last": last,
                "each": each,
            },
            trials=self.draws,
            block=200,
        )
        float64 = jnp.result_type(float) == jnp.float64
        runs = lab.sweep(
            "descents",
            TwoLayerTrial(),
            {
                "n": self.n,
                "m": list(self.observations),
                "k": list(self.widths),
                "step_size": 1.0,
                "steps": self.steps,
                "tolerance": self.tolerance if float64 else max(self.tolerance, 1e-8),
            },
            trials=self.trials,
        )
        hits = (condition["margin"] > _NU1).sum(axis=1)
        low, high = wilson(hits, np.full(hits.shape, self.draws))
        dims = ("m", "wide")
        holds = {"": hits / self.draws, "_low": low, "_high": high}
        parts = {f"certified{end}": (dims, x) for end, x in holds.items()}
        wide = log_spaced(first, last, each)
        shares = [
            frequencies(runs, "converged", "convergent"),
            frequencies(runs, lambda o: o["error"] <= _RECOVERED, "recovering"),
            xr.Dataset(parts, coords={"m": list(self.observations), "wide": wide}),
        ]
        return xr.merge(shares)

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """The share that converges, with the two other frontiers."""
        wide = data.wide.values[data.wide.values > data.k.values[-1] * 1.01]
        shares = np.full((len(data.k) + len(wide), len(data.m)), np.nan)
        shares[: len(data.k)] = data.convergent.transpose("k", "m").values
        places = _frontier(data, "certified", "wide")
        lines = []
        if places:
            at = [place.at for place in places.values()]
            lines.append(("certified: R' < R in half of the draws", at, list(places)))
        fewest = _fewest(data)
        if fewest:
            lines.append(
                (
                    "recovering: ‖x − x̄‖ ≤ ‖x̄‖/100 in half of the runs",
                    list(fewest),
                    [*fewest.values()],
                )
            )
        figure = phase_diagram(
            np.concatenate([data.k.values, wide]),
            data.m.values,
            shares,
            x_label="width k",
            y_label="observations m",
            label=f"share that converges to a loss of {self.tolerance:g}",
            trials=self.trials,
            lines=lines,
            x_log=True,
            caption=(
                f"Two-layer sigmoid network, W trained, n = {self.n}, noiseless. Map: gradient "
                f"descent, γ = 1, at most {self.steps} steps. Certified: condition (4) with the "
                f"paper's constants and ν₁ = 4, {self.draws} draws."
            ),
        )
        return {"figure": figure}

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """How far apart the frontiers are, and which way each runs."""
        return [
            _apart(data, self.n),
            _null_space(data, self.n),
            _together(data, self.n),
            _crossing(data, self.n),
        ]


def _frontier(data: xr.Dataset, name: str, axis: str) -> dict[int, Crossing]:
    """Where half of the draws have the property, for each m where there is such a width."""
    found = {int(m): threshold(_row(data, name, m), name, axis) for m in data.m.values}
    return {m: place for m, place in found.items() if place is not None}


def _row(data: xr.Dataset, name: str, m: int) -> xr.Dataset:
    return data[[name, f"{name}_low", f"{name}_high"]].sel(m=m)


def _told(data: xr.Dataset, name: str, axis: str, m: int) -> str:
    return told(_row(data, name, m), name, axis)


def _fewest(data: xr.Dataset) -> dict[float, float]:
    """The m from which on half of the runs recover, for each k where there is one."""
    names = ["recovering", "recovering_low", "recovering_high"]
    found = {float(k): threshold(data[names].sel(k=k), "recovering", "m") for k in data.k.values}
    return {k: place.at for k, place in found.items() if place is not None}


def _apart(data: xr.Dataset, n: int) -> Claim:
    certified, convergent = (
        _frontier(data, name, axis) for name, axis in (("certified", "wide"), ("convergent", "k"))
    )
    both = [m for m in certified if m < n and (m in convergent or _always(data, m))]
    decades = {
        m: np.log10(certified[m].at / (convergent[m].at if m in convergent else data.k.values[0]))
        for m in both
    }
    return Claim(
        name="the certificate asks for decades more width than convergence",
        says="the bounds are not tight; (expected) at least 2 decades for every m < n",
        finds=", ".join(
            f"{decades[m]:.1f} decades (m = {m}: {_told(data, 'certified', 'wide', m)} against "
            f"{_told(data, 'convergent', 'k', m)})"
            for m in both
        ),
        number=float(min(decades.values())) if decades else float("nan"),
        holds=bool(decades and min(decades.values()) >= 2),
    )


def _always(data: xr.Dataset, m: int) -> bool:
    """Whether more than half of the runs converge at every width."""
    return bool(data.convergent.sel(m=m).min() > 0.5)


def _null_space(data: xr.Dataset, n: int) -> Claim:
    few = data.m.values[data.m.values < n]
    share = float(data.recovering.sel(m=few).max())
    fitted = float(data.convergent.sel(m=few).isel(k=-1).min())
    return Claim(
        name="with m < n hardly any run recovers, whatever the width",
        says="recovery needs A injective on the cone, which for m < n and an onto Jacobian it is "
        "not; (expected) at most 5 of 100 runs in every cell",
        finds=f"at most {share:.2f} in any cell with m < {n}, though at least {fitted:.2f} "
        f"converge at k = {data.k.values[-1]}",
        number=share,
        holds=share <= 0.05,
    )


def _together(data: xr.Dataset, n: int) -> Claim:
    many = data.m.values[data.m.values >= n]
    pair = data.sel(m=many)
    gap = abs(pair.convergent - pair.recovering)
    more = gap.sel(m=many[many > n])
    beyond = float(more.max()) if more.size else float("nan")
    square = ""
    if n in many:
        square = f"; by {float(gap.sel(m=n).max()):.2f} with m = {n}, as A is nearly singular "
        square += "in some draws"
    return Claim(
        name="with m > n about as many runs recover as converge",
        says=f"(expected) the shares of the two differ by at most 0.1 in every cell with m > {n}",
        finds=f"by at most {beyond:.2f} for m > {n}{square}",
        number=beyond,
        holds=beyond <= 0.1 + _ROUNDING,
    )


def _crossing(data: xr.Dataset, n: int) -> Claim:
    places = _frontier(data, "certified", "wide")
    worst = max(places, key=lambda m: places[m].at) if places else -1
    if n in data.m and place(_row(data, "certified", n), "certified", "wide") == np.inf:
        # It needs more than any width that was tried.
        worst = n
    return Claim(
        name="the certificate is dearest at m = n",
        says="(expected) the width that R' < R needs grows with 1/σ_A², and σ_A is least for a "
        "square A",
        finds="certified from k = "
        + ", ".join(f"{_told(data, 'certified', 'wide', int(m))} (m = {m})" for m in data.m.values),
        number=float(worst),
        holds=bool(places and worst == n),
    )
