"""The talk's overparametrisation experiment: which widths reach zero loss, over n and over m?

Stated: no noise, squared error, only W trained, A with iid N(0, 1/m) entries; the probability of
reaching zero loss over the architecture confirms k ≳ n²m. Unsaid are the ranges, the step, what
counts as zero and the number of steps. Here the sigmoid network with V = ±1 and x̄ ~ N(0, I), as in
the papers' other experiments, γ = 1, at most 25 000 steps, and a loss of at most 1e-7.

`TwoLayerTrial` draws A with entries N(0, 1). With A/√m and y/√m in place of A and y the residual is
1/√m and the loss 1/m of what it was, so that descent on the talk's loss with γ and tolerance ε is
the trial with the step γ/m and the tolerance m ε, step by step.

What differs: the law k ≳ n²m is sufficient with room to spare, and its shape is not what is seen.
Half of the runs fit the data from a width on that is nearly proportional to min(m, n) and within a
small factor of the one at which solutions begin to exist (`theory.existence_width`), as long as
min(m, n) is well below max(m, n). Close to n = m, which is not run here, A has small singular
values and the number of steps is expected to decide.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._frequencies import frequencies, threshold, told
from jaxdip.experiments._gpu_estimate import by_launches
from jaxdip.experiments._lab import Lab
from jaxdip.plot import Curve, Panel, curves_plot, phase_diagram
from jaxdip.sweeps import Crossing, crossing
from jaxdip.theory import existence_width
from jaxdip.trials import TwoLayerTrial

#: Draws of the bootstrap, and the ends of its intervals.
_DRAWS = 300
_ENDS = (2.5, 97.5)


@dataclasses.dataclass(frozen=True)
class TalkOverparametrisation(AbstractExperiment):
    """Where gradient descent reaches zero loss, over k and n and over k and m.

    Attributes:
        widths: k, of both diagrams.
        signals: n of the first diagram.
        m: of the first diagram.
        observations: m of the second diagram.
        n: of the second diagram.
        step_size: γ.
        steps: of gradient descent, at most.
        tolerance: the loss that counts as zero.
        trials: runs of each cell.
    """

    name: ClassVar[str] = "talk-overparametrisation"
    title: ClassVar[str] = "which widths reach zero loss, over n and over m"
    source: ClassVar[str] = "J. Fadili's talk (2024), overparametrisation"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 15 s"),
        "paper": Cost("about 20 min", by_launches(steps=25_000, batches=14 * (9 + 6))),
    }

    widths: tuple[int, ...] = (8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724)
    signals: tuple[int, ...] = (2, 3, 4, 6, 8, 12, 16, 24, 32)
    m: int = 60
    observations: tuple[int, ...] = (3, 5, 7, 10, 14, 20)
    n: int = 40
    step_size: float = 1.0
    steps: int = 25_000
    tolerance: float = 1e-7
    trials: int = 50

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: sizes that share a program, few steps; quick: fewer sizes and runs."""
        return {
            "smoke": cls(
                widths=(4, 8, 16, 32),
                signals=(1, 2),
                m=2,
                observations=(1, 2),
                n=2,
                steps=1000,
                tolerance=1e-3,
                trials=6,
            ),
            "quick": cls(
                widths=(8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362),
                signals=(2, 4, 8, 16),
                observations=(5, 10, 20),
                trials=10,
            ),
            "paper": cls(),
        }

    def run(self, lab: Lab) -> xr.Dataset:
        """One sweep over n and k, and one over k for each m, whose step and tolerance differ."""
        over_n = self._sweep(lab, "over-n", self.m, {"n": list(self.signals)})
        rows = [self._sweep(lab, f"m-{m}", m, {"n": self.n}) for m in self.observations]
        over_m = xr.concat(rows, "m").assign_coords(m=list(self.observations))
        parts = {"by_n": over_n, "by_m": over_m}
        return xr.merge(
            [
                one.rename({name: str(name).replace("zero", label) for name in one.data_vars})
                for label, one in parts.items()
            ]
        )

    def _sweep(self, lab: Lab, label: str, m: int, sizes: Mapping) -> xr.Dataset:
        found = lab.sweep(
            label,
            TwoLayerTrial(),
            {
                **sizes,
                "m": m,
                "k": list(self.widths),
                "steps": self.steps,
                **normalized(m, self.step_size, self.tolerance),
            },
            trials=self.trials,
        )
        return frequencies(found, "converged", "zero")

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """The two diagrams with the existence of solutions, and thresholds beside the law n²m."""
        fixed = {"n": f"m = {self.m}", "m": f"n = {self.n}"}
        names = {"n": "size n of the signal", "m": "observations m"}
        caption = (
            "Gradient descent on the two-layer sigmoid network, W trained, A with iid N(0, 1/m) "
            f"entries, no noise: {{}}, γ = {self.step_size:g}, at most {self.steps} steps. "
            f"{self.source}."
        )
        figures = {
            f"over-{axis}": self._diagram(data, axis, names[axis], caption.format(fixed[axis]))
            for axis in fixed
        }
        panels = [self._thresholds(data, axis, names[axis], fixed[axis]) for axis in fixed]
        both = caption.format(" and ".join(fixed.values())) + " Bars: the cells' 95 % intervals."
        return {**figures, "thresholds": curves_plot(panels, caption=both)}

    def _diagram(self, data: xr.Dataset, axis: str, name: str, caption: str) -> Figure:
        shares = {
            end: data[f"by_{axis}{end}"].transpose(axis, "k").values
            for end in ("", "_low", "_high", "_trials")
        }
        at = data[axis].values
        sizes = [self._sizes(axis, value) for value in at]
        slope, (low, high) = exponent(*_known(_places(data, axis))), _bootstrap(data, axis)
        observed = (
            f" Half of the runs fit from widths like {axis} to the power {slope:.2f} "
            f"[{low:.2f}, {high:.2f}]."
        )
        return phase_diagram(
            at,
            data.k.values,
            shares[""],
            x_label=name,
            y_label="width k",
            label=f"share of runs with loss ≤ {self.tolerance:g}",
            trials=shares["_trials"],
            low=shares["_low"],
            high=shares["_high"],
            intervals=True,
            lines=[
                ("solutions exist", at, [_existence(*one) for one in sizes]),
                ("n²m", at, [_law(*one) for one in sizes]),
            ],
            caption=caption + observed,
        )

    def _thresholds(self, data: xr.Dataset, axis: str, name: str, fixed: str) -> Panel:
        """Where half of the runs reach zero loss, and what is said of it."""
        at = data[axis].values
        nowhere = Crossing(np.nan, np.nan, np.nan)
        places = [place or nowhere for place in _places(data, axis).values()]
        half = np.array([place.at for place in places])
        # An interval that is open ends at the last width that was run.
        ends = [
            np.clip([getattr(place, end) for place in places], data.k.values[0], data.k.values[-1])
            for end in ("low", "high")
        ]
        sizes = [self._sizes(axis, value) for value in at]
        curves = [
            Curve("half of the runs", at, half, "half of the runs fit", "points", *ends),
            Curve("exist", at, np.array([_existence(*one) for one in sizes]), "solutions exist"),
            Curve("law", at, np.array([_law(*one) for one in sizes]), "the law n²m, constant 1"),
        ]
        return Panel(curves, y="width k", x=name, title=fixed, log_x=True)

    def _sizes(self, axis: str, value: int) -> tuple[int, int]:
        """m and n."""
        return (self.m, int(value)) if axis == "n" else (int(value), self.n)

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """The law k ≳ n²m: that it suffices, by how much, and its exponents; what is seen."""
        made = []
        for axis in ("n", "m"):
            places = _places(data, axis)
            sizes = {value: self._sizes(axis, value) for value in places}
            made += [
                _growing(data, places, axis),
                _sufficient(places, sizes, axis),
                _exponent(data, places, axis),
                _existing(places, sizes, axis),
            ]
        return made


def normalized(m: int, step_size: float, tolerance: float) -> dict[str, float]:
    """What a `TwoLayerTrial` is given so that its A, with N(0, 1) entries, counts as A/√m.

    Args:
        m: the number of observations.
        step_size: γ of descent on ½‖(A x − y)/√m‖².
        tolerance: of that loss.
    """
    return {"step_size": step_size / m, "tolerance": tolerance * m}


def exponent(sizes: np.ndarray, widths: np.ndarray) -> float:
    """The slope of log k over the log of a size, by least squares; NaN with fewer than two."""
    known = np.isfinite(widths)
    if np.sum(known) < 2:
        return float("nan")
    return float(np.polyfit(np.log(sizes[known]), np.log(widths[known]), 1)[0])


def _law(m: int, n: int) -> float:
    return float(n * n * m)


def _existence(m: int, n: int) -> float:
    return float(existence_width(m, n).value)


def _places(data: xr.Dataset, axis: str) -> Mapping[int, Crossing | None]:
    """Where half of the runs reach zero loss."""
    part = f"by_{axis}"
    return {
        int(value): threshold(data.sel({axis: value}), part, "k") for value in data[axis].values
    }


def _known(places: Mapping[int, Crossing | None]) -> tuple[np.ndarray, np.ndarray]:
    """Sizes, and their widths where there are any."""
    known = {size: place.at for size, place in places.items() if place is not None}
    return np.array(list(known), float), np.array(list(known.values()))


def _growing(data: xr.Dataset, places: Mapping[int, Crossing | None], axis: str) -> Claim:
    _, widths = _known(places)
    return Claim(
        name=f"the threshold grows with {axis}",
        says=f"a larger {axis} needs a wider network",
        finds="half of the runs reach zero loss from k = "
        + ", ".join(
            f"{told(data.sel({axis: size}), f'by_{axis}', 'k')} ({axis} = {size})"
            for size in places
        ),
        number=float(widths[-1] / widths[0]) if widths.size > 1 else float("nan"),
        holds=bool(widths.size == len(places) > 1 and np.all(np.diff(widths) > 0)),
    )


def _sufficient(places, sizes: Mapping[int, tuple[int, int]], axis: str) -> Claim:
    known, widths = _known(places)
    room = np.array([_law(*sizes[int(size)]) for size in known]) / widths
    least = float(room.min()) if room.size else float("nan")
    return Claim(
        name=f"n²m is enough, over {axis}",
        says="the experiment confirms k ≳ n²m",
        finds=f"n²m is {least:.3g} to {room.max(initial=-np.inf):.3g} times the width at which "
        "half of the runs reach zero loss",
        number=least,
        holds=bool(widths.size == len(places) and least >= 1),
        note="with the constant 1, which the theorem does not give; it is far from necessary"
        if least >= 10
        else "with the constant 1, which the theorem does not give",
    )


def _exponent(data: xr.Dataset, places, axis: str) -> Claim:
    """The slope over all thresholds, and its bootstrap over the runs of each cell."""
    expected = {"n": 2.0, "m": 1.0}[axis]
    slope = exponent(*_known(places))
    low, high = _bootstrap(data, axis)
    return Claim(
        name=f"the threshold grows as {axis}{'²' if axis == 'n' else ''}",
        says=f"k ≳ n²m, so like {axis} to the power {expected:g}",
        finds=f"exponent {slope:.2f}, 95 % bootstrap interval [{low:.2f}, {high:.2f}]",
        number=slope,
        holds=bool(low <= expected <= high),
        note="n²m is sufficient, not necessary: the observed thresholds follow the widths at which "
        "solutions exist, nearly proportional to min(m, n)"
        if high < expected
        else "",
    )


def _bootstrap(data: xr.Dataset, axis: str) -> tuple[float, float]:
    """The interval of the exponent when the runs of every cell are drawn again."""
    part = data[f"by_{axis}"].transpose(axis, "k")
    N = data[f"by_{axis}_trials"].transpose(axis, "k").values.astype(int)
    sizes, k = data[axis].values.astype(float), data.k.values
    # Seeded, so that the same data give the same verdict.
    draws = np.random.default_rng(0).binomial(N, part.values, (_DRAWS, *N.shape)) / N
    slopes = [exponent(sizes, np.array([_first(k, row) for row in draw])) for draw in draws]
    slopes = np.array(slopes)[np.isfinite(slopes)]
    if slopes.size < _DRAWS / 2:
        return float("nan"), float("nan")
    low, high = np.percentile(slopes, _ENDS)
    return float(low), float(high)


def _first(k: np.ndarray, shares: np.ndarray) -> float:
    found = crossing(k, shares)
    return found[0].at if found else float("nan")


def _existing(places, sizes: Mapping[int, tuple[int, int]], axis: str) -> Claim:
    known, widths = _known(places)
    ratio = widths / np.array([_existence(*sizes[int(size)]) for size in known])
    worst = float(np.max(np.abs(np.log(ratio)), initial=0)) if ratio.size else float("nan")
    return Claim(
        name=f"the threshold is where solutions begin to exist, over {axis}",
        says="(expected) half of the runs reach zero loss from within a factor of 2 of the width "
        "at which A V s/√k = A x̄ gets a solution with 0 < s < 1, about 9.2 min(m, n)",
        finds=f"{ratio.min(initial=np.inf):.2f} to {ratio.max(initial=-np.inf):.2f} times it",
        number=float(np.exp(worst)),
        holds=bool(ratio.size == len(places) and worst <= np.log(2)),
    )
