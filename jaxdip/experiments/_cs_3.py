"""Figure 3 of arXiv 2005.03991: kernels, and the weights they give each frequency.

n = 300; triangular kernels of half-width p = 1, 10, 30 and Gaussian ones exp(−(j/(c n))²), c =
0.005, 0.01, 0.05, all of norm 1 and centred at index 0. The weights σ are those of (11):
σ = ‖u‖ |F g(u ⊛ u/‖u‖²)|^½, g(t) = ½ (1 − arccos(t)/π) t.

Two errors of the published figure are shown. It plots σ²/3 and calls it σ: the authors' notebook
(of arXiv 1910.14634) decomposes the matrix with the factor 1/6 for ½ and takes no root, and prints
the least and largest values listed below. And it calls the decay geometric "as evident from the
straight line in the log-log plot", where a straight line is a power law. The reason for the power
law is the square root of arccos at 1: the kernel t ↦ g((u ⊛ u)(t)) has a cusp |t| at shift 0, so

    σ²(f) ≈ s/(4π sin²(π f/n)),  s = ‖u shifted by one − u‖,

for ‖u‖ = 1; even a smooth kernel decays like 1/f². Only the head of a wide kernel's weights may be
called geometric.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip.analysis import circulant_weights
from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._lab import Lab
from jaxdip.generators import gaussian_kernel, triangular_kernel
from jaxdip.plot import Curve, Panel, curves_plot

#: Least and largest 'weights' that the authors' notebook prints, n = 300.
_PRINTED = {
    "triangular 1": (1 / 6, 1 / 6),
    "triangular 10": (0.0048700, 1.9574511),
    "triangular 30": (0.0015585, 5.8962188),
    "gaussian 0.005": (0.02109, 0.49605),
    "gaussian 0.01": (0.009149, 0.98299),
    "gaussian 0.05": (0.0017704, 4.9007),
}
_N = 300
#: The ranks over which a law is fitted: of the tail, and of the head.
_TAIL, _HEAD = (30, 290), (3, 30)


def power_fit(ranks: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The slope of log v against log rank, and the root mean square of what it leaves."""
    return _line(np.log(ranks), np.log(values))


def geometric_fit(ranks: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The slope of log v against rank (v ∝ e^{slope·rank}), and the rms of what it leaves."""
    return _line(np.asarray(ranks, float), np.log(values))


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    slope, level = np.polyfit(x, y, 1)
    return float(slope), float(np.sqrt(np.mean((y - slope * x - level) ** 2)))


@dataclasses.dataclass(frozen=True)
class CS3(AbstractExperiment):
    """The weights of triangular and Gaussian kernels.

    Attributes:
        n: the number of entries.
        triangular: half-widths p in pixels.
        gaussian: c, the width as a share of n.
    """

    name: ClassVar[str] = "cs-3"
    title: ClassVar[str] = "the weights that a kernel gives each frequency decay by a power law"
    source: ClassVar[str] = "arXiv 2005.03991, Figure 3 and (11)"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("seconds"),
        "paper": Cost("seconds", "seconds"),
    }

    n: int = _N
    triangular: tuple[int, ...] = (1, 10, 30)
    gaussian: tuple[float, ...] = (0.005, 0.01, 0.05)

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """All three are the paper's: it takes a second."""
        return {"smoke": cls(), "quick": cls(), "paper": cls()}

    def run(self, lab: Lab) -> xr.Dataset:
        """Kernels and weights."""
        del lab  # nothing is drawn
        kernels = {f"triangular {p}": triangular_kernel(self.n, p) for p in self.triangular}
        kernels |= {
            f"gaussian {c:g}": gaussian_kernel(self.n, c * self.n / 2**0.5) for c in self.gaussian
        }
        weights = [np.asarray(circulant_weights(u)) for u in kernels.values()]
        shifted = [float(np.linalg.norm(np.roll(u, 1) - u)) for u in kernels.values()]
        return xr.Dataset(
            {
                "u": (("kernel", "entry"), np.stack([np.asarray(u) for u in kernels.values()])),
                "sigma": (("kernel", "index"), np.stack(weights), {"long_name": "(11)"}),
                "shift_distance": ("kernel", np.array(shifted)),
            },
            coords={"kernel": np.array(list(kernels)), "index": np.arange(self.n)},
        )

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """Kernels; σ² and the power law; sorted σ as (11) has it and σ²/3 as published."""
        names = [f"triangular {p}" for p in self.triangular]
        rank = np.arange(1, self.n + 1)
        centred = np.arange(self.n) - self.n // 2
        near = np.abs(centred) <= self.n // 10
        kernels, ours, published, law = [], [], [], []
        for name in names:
            one = data.sel(kernel=name)
            kernels.append(Curve(name, centred[near], np.roll(one.u.values, self.n // 2)[near]))
            ours.append(Curve(name, rank, _sorted(one)))
            published.append(Curve(name, rank, _sorted(one) ** 2 / 3))
            frequency = np.arange(1, self.n // 2)
            law.append(Curve(name, frequency, one.sigma.values[1 : self.n // 2] ** 2))
            if name != "triangular 1":
                values = _law(one, frequency, self.n)
                law.append(Curve(name, frequency, values, label=f"{name}, law", kind="bound"))
        panels = [
            Panel(kernels, y="u", x="offset (pixels)", title="kernels", log_y=False),
            Panel(law, y="σ²", x="frequency", title="σ² and its power law", log_x=True),
            Panel(ours, y="σ", x="rank", title="weights, equation (11)", log_x=True),
            Panel(published, y="σ²/3", x="rank", title="'weights', as published", log_x=True),
        ]
        caption = f"Circular convolutions of n = {self.n} entries, kernels of norm 1. {self.source}"
        return {"figure": curves_plot(panels, caption=f"{caption}.")}

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """What was published, how the weights decay, and how they concentrate."""
        wide = [name for name in data.kernel.values.tolist() if name in _LAWS and self.n == _N]
        return [
            *([_published(data)] if self.n == _N else []),
            *(_geometric(data, name) for name in wide),
            *([_head(data)] if "triangular 10" in wide else []),
            *(_asymptotic(data, name, self.n) for name in wide),
            self._wider(data),
        ]

    def _wider(self, data: xr.Dataset) -> Claim:
        """The share of Σσ² in the lowest tenth of the frequencies grows with the width."""
        shares = {}
        for p in self.triangular:
            square = data.sigma.sel(kernel=f"triangular {p}").values ** 2
            frequency = np.minimum(np.arange(self.n), self.n - np.arange(self.n))
            shares[p] = float(square[frequency <= self.n // 20].sum() / square.sum())
        values = np.array([shares[p] for p in sorted(shares)])
        return Claim(
            name="wider kernels concentrate on low frequencies",
            says="the wider the kernel, the more the weights are concentrated towards the "
            "low-frequency components",
            finds=f"share of Σσ² at frequencies up to {self.n // 20}: "
            + ", ".join(f"{share:.2f} (p = {p})" for p, share in shares.items()),
            number=float(np.diff(values).min()),
            holds=bool(np.all(np.diff(values) > 0)),
        )


#: Kernels with a tail: the identity has none.
_LAWS = ("triangular 10", "triangular 30")


def _sorted(one: xr.Dataset) -> np.ndarray:
    """The weights of one kernel, largest first."""
    return np.sort(one.sigma.values)[::-1]


def _law(one: xr.Dataset, frequency: np.ndarray, n: int) -> np.ndarray:
    """s/(4π sin²(π f/n))."""
    return float(one.shift_distance) / (4 * np.pi * np.sin(np.pi * frequency / n) ** 2)


def _between(values: np.ndarray, ranks: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rank = np.arange(ranks[0], ranks[1] + 1)
    return rank, values[rank - 1]


def _published(data: xr.Dataset) -> Claim:
    """The printed numbers are nearer to σ²/3 than to σ."""
    names = [name for name in data.kernel.values.tolist() if name in _PRINTED]
    off: dict[str, list[float]] = {"σ": [], "σ²/3": []}
    for name in names:
        sigma = data.sigma.sel(kernel=name).values
        for form, values in (("σ", sigma), ("σ²/3", sigma**2 / 3)):
            pair = zip((values.min(), values.max()), _PRINTED[name], strict=True)
            off[form] += [abs(ours / theirs - 1) for ours, theirs in pair]
    worst = {form: max(values) for form, values in off.items()}
    return Claim(
        name="the figure plots the σ of (11)",
        says="the weights associated to the kernels, σ of (11)",
        finds="the printed least and largest values differ from σ by up to "
        f"{100 * worst['σ']:.0f} %, from σ²/3 by up to {100 * worst['σ²/3']:.2g} % "
        f"({len(names)} kernels)",
        number=worst["σ"],
        holds=worst["σ"] < worst["σ²/3"],
        note="the notebook has the factor 1/6 for ½ and takes eigenvalues, not their roots",
    )


def _geometric(data: xr.Dataset, name: str) -> Claim:
    """Which law leaves less."""
    rank, values = _between(_sorted(data.sel(kernel=name)) ** 2, _TAIL)
    slope, power = power_fit(rank, values)
    _, geometric = geometric_fit(rank, values)
    return Claim(
        name=f"the weights decay geometrically ({name})",
        says="the lower singular values decay geometrically, as evident from the straight line in "
        "the log-log plot",
        finds=f"over ranks {_TAIL[0]} to {_TAIL[1]} a power law σ² ∝ rank^{slope:.2f} leaves "
        f"{power:.2f} (rms of log σ²), a geometric one {geometric:.2f}",
        number=slope,
        holds=geometric < power,
        note="a straight line in a log-log plot is a power law",
    )


def _head(data: xr.Dataset) -> Claim:
    """The only place where 'geometric' fits better."""
    rank, values = _between(_sorted(data.sel(kernel="triangular 10")) ** 2, _HEAD)
    slope, geometric = geometric_fit(rank, values)
    _, power = power_fit(rank, values)
    return Claim(
        name="the head decays geometrically (triangular 10)",
        says="the corrected form: 'geometric' can be said of the head alone",
        finds=f"over ranks {_HEAD[0]} to {_HEAD[1]} a geometric law of ratio {np.exp(slope):.3f} "
        f"leaves {geometric:.3f}, a power law {power:.3f}",
        number=float(np.exp(slope)),
        holds=geometric < power,
    )


def _asymptotic(data: xr.Dataset, name: str, n: int) -> Claim:
    """The closed form of the tail."""
    one = data.sel(kernel=name)
    frequency = np.array([n // 6, n // 3, n // 2])
    ratio = one.sigma.values[frequency] ** 2 / _law(one, frequency, n)
    worst = float(np.abs(ratio - 1).max())
    return Claim(
        name=f"σ² follows s/(4π sin²(π f/n)) ({name})",
        says="derived here: the arccos in g makes a cusp, hence 1/f²; within 25 % from f = n/6",
        finds="exact ÷ law at f = "
        + ", ".join(f"{f}: {r:.3f}" for f, r in zip(frequency, ratio, strict=True)),
        number=worst,
        holds=worst <= 0.25,
    )
