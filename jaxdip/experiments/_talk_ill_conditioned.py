"""The talk's ill-conditioned recovery: what noise leaves of x̄ when the data are fitted.

Stated: W alone trained, the loss η(‖·‖²) with p = 0.2, that is ‖r‖^{2.4}/2.4, σ_i(A) = 1/(1 + i²),
several levels of noise; each level ends in a plateau that the noise dominates, higher for more
noise. Unsaid are n, m, k, x̄, the levels and the range of i. Here n = m = 10 and i = 0 … 9, so that
κ(A) = 82, V = ±1, x̄ with iid N(0, 1) entries, gradient flow by the implicit solver.

What the loss does meanwhile follows from its exponent: it falls like t^{-(p+1)/p} = t^{-6}, on and
on, while the error has long settled at ‖A⁻¹ε‖, that of the inverted data; the larger noise levels
pass a smaller error on the way, which is what early stopping is after.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._gpu_estimate import AS_ON_CPU
from jaxdip.experiments._lab import Lab
from jaxdip.experiments._power_flow import (
    flow_dataset,
    flow_times,
    late_slope,
    power_flow,
    spread,
)
from jaxdip.plot import Curve, Panel, curves_plot


@dataclasses.dataclass(frozen=True)
class TalkIllConditioned(AbstractExperiment):
    """Error and loss along gradient flow, over the noise.

    Attributes:
        n: the size of the signal and of the data.
        width: k.
        p: of the loss.
        noises: standard deviations of the entries of ε, rising; 0 among them for the clean run.
        scale: standard deviation of the entries of x̄.
        decades: the flow ends at t = 10^decades.
        per_decade: records.
        trials: draws of everything, the same for all levels of noise.
    """

    name: ClassVar[str] = "talk-ill-conditioned"
    title: ClassVar[str] = "recovery through an ill-conditioned operator, over the noise"
    source: ClassVar[str] = "J. Fadili's talk (2024), ill-conditioned recovery"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 10 s"),
        "paper": Cost("about 3 min", AS_ON_CPU),
    }

    n: int = 10
    width: int = 4000
    p: float = 0.2
    noises: tuple[float, ...] = (0.0, 0.001, 0.01, 0.05)
    scale: float = 1.0
    decades: int = 9
    per_decade: int = 10
    trials: int = 50

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: four entries, two levels; quick: a narrower network and five draws."""
        return {
            "smoke": cls(n=4, width=100, noises=(0.0, 0.01), decades=4, per_decade=4, trials=1),
            "quick": cls(width=2000, trials=5),
            "paper": cls(),
        }

    def run(self, lab: Lab) -> xr.Dataset:
        """One sweep, the levels of noise on the same draws."""
        found = lab.sweep(
            "noise",
            power_flow,
            {
                "noise": [float(noise) for noise in self.noises],
                "n": self.n,
                "k": self.width,
                "p": self.p,
                "scale": self.scale,
                "decades": self.decades,
                "per_decade": self.per_decade,
            },
            trials=self.trials,
            paired=("noise",),
            block=1,
        )
        return flow_dataset(found, flow_times(self.decades, self.per_decade))

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """The first draw: errors with their plateaus, and losses."""
        one = data.isel(trial=0)
        ts = one.time.values
        errors, losses = [], []
        for noise in one.noise.values:
            name = f"noise {noise:g}"
            level = one.sel(noise=noise)
            errors.append(Curve(name, ts, level.error.values))
            if noise > 0:
                flat = np.full(ts.shape, float(level.inverted_noise))
                errors.append(Curve(name, ts, flat, "_", kind="bound"))
            losses.append(Curve(name, ts, level.loss.values))
        panels = [
            Panel(errors, y="error ‖x(t) − x̄‖", log_x=True, title="the error; dotted: ‖A⁻¹ε‖"),
            Panel(losses, y="loss", log_x=True, title="the loss, which goes on falling"),
        ]
        caption = (
            "Gradient flow of the two-layer sigmoid network, W trained, under the loss with p = "
            f"{self.p:g}: n = m = {self.n}, k = {self.width}, σ_i(A) = 1/(1 + i²); one draw of "
            f"{data.sizes['trial']}. {self.source}."
        )
        return {"figure": curves_plot(panels, caption=caption)}

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """The plateaus, their order and height, and what the loss does."""
        noisy = data.sel(noise=data.noise > 0)
        made = [_plateaus(noisy), _inverted(noisy)]
        if noisy.sizes["noise"] > 1:
            made.append(_ordered(noisy))
        made += [_turning(noisy.isel(noise=-1)), _falling(noisy, self.p)]
        if np.any(data.noise.values == 0):
            made.append(_clean(data.sel(noise=0.0)))
        return made


def _plateaus(noisy: xr.Dataset) -> Claim:
    last = noisy.sel(time=noisy.time >= noisy.time[-1] / 10 * (1 - 1e-9)).error
    change = ((last.max("time") - last.min("time")) / last.isel(time=-1)).values
    return Claim(
        name="each level of noise ends in a plateau",
        says="the error of each level of noise ends in a plateau",
        finds=f"over the last decade of t it changes by at most {change.max():.1e} of itself",
        number=float(change.max()),
        holds=bool(np.all(change <= 0.01)),
    )


def _inverted(noisy: xr.Dataset) -> Claim:
    ratio = (noisy.error.isel(time=-1) / noisy.inverted_noise).values
    return Claim(
        name="the plateau is the inverted noise",
        says="the plateau is dominated by the noise: (expected) its height is ‖A⁻¹ε‖",
        finds=f"{ratio.min():.3f} to {ratio.max():.3f} times ‖A⁻¹ε‖",
        number=float(np.max(np.abs(ratio - 1), initial=0)) if np.all(ratio > 0) else float("nan"),
        holds=bool(np.all(np.abs(ratio - 1) <= 0.1)),
    )


def _ordered(noisy: xr.Dataset) -> Claim:
    last = noisy.error.isel(time=-1).transpose("trial", "noise").values
    growth = last[:, 1:] / last[:, :-1]
    return Claim(
        name="more noise, higher plateau",
        says="larger noise gives a higher plateau",
        finds="median plateaus "
        + ", ".join(
            f"{np.median(x):.3g} (noise {s:g})"
            for x, s in zip(last.T, noisy.noise.values, strict=True)
        )
        + f"; from one level to the next at least {growth.min():.2f} times higher in each draw",
        number=float(growth.min()),
        holds=bool(np.all(growth > 1)),
    )


def _turning(most: xr.Dataset) -> Claim:
    """Semiconvergence at the largest noise."""
    best = (most.error.min("time") / most.error.isel(time=-1)).values
    return Claim(
        name="with much noise an earlier stop is better",
        says="(expected) under the largest noise the error is at some time at most 0.9 of its end",
        finds=f"least ÷ last error {spread(best, '.2f')}, median and range over {best.size} draws",
        number=float(np.median(best)),
        holds=bool(np.median(best) <= 0.9),
    )


def _falling(noisy: xr.Dataset, p: float) -> Claim:
    ts = noisy.time.values
    expected = -(p + 1) / p
    slopes = np.array(
        [
            late_slope(ts, noisy.loss.values[i], noisy.residual.values[i], 1.0)
            for i in np.ndindex(noisy.loss.shape[:-1])
        ]
    )
    off = abs(float(np.median(slopes)) / expected - 1)
    return Claim(
        name="the loss goes on falling meanwhile",
        says=f"the loss is O(t^{{-(p+1)/p}}) = O(t^{{{expected:.3g}}}), whatever the noise",
        finds=f"over the last decade with ‖r‖ ≥ 1e-8 the slope is {spread(slopes, '.2f')}, median "
        f"and range over {slopes.size} runs",
        number=float(np.median(slopes)),
        holds=off <= 0.1,
    )


def _clean(clean: xr.Dataset) -> Claim:
    left = (clean.error.isel(time=-1) / clean.signal_norm).values
    return Claim(
        name="without noise the signal is recovered",
        says="(expected) A is injective, so that fitting clean data recovers x̄",
        finds=f"‖x − x̄‖ is at most {left.max():.1e} ‖x̄‖ at the end",
        number=float(left.max()),
        holds=bool(np.all(left <= 0.01)),
    )
