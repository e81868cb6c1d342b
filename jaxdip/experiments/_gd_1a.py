"""Figure 1a of arXiv 2403.05395: from which width on does the theorem's condition hold?

Condition (4) of Theorem III.1 at a draw: R' < R, that is

    2 ν₁ ‖y_0 − y‖/(σ_A σ_n(J)) < σ_n(J)/(2 Lip(J)),

with the two-layer sigmoid network, n = 5, A and x̄ with iid N(0, 1) entries, W trained. The paper
draws the share of 50 runs in which it holds over k and m, and states that m = 2 needs k ≥ 10^6.8,
while gradient descent converges from 10^2.5.

Unsaid: the law of V, the step (hence ν₁, from 1 to 4) and the Lipschitz constant. All readings are
run: V uniform on [−√3, √3] or ±1; ν₁ = 1 (γ → 0) or 4 (γ = 1/L); Lip(J) = B D √(n/k) with B = ¼ as
the papers have it, or with B₂ = Lip(φ') = 1/(6√3), which is sharp. One of them gives 10^6.8: V
uniform, γ = 1/L, B = ¼.

No k = 10⁸ is drawn as a matrix. The condition sees the network through the sums over units of
φ'(h)² v vᵀ and φ(h) v alone (J Jᵀ and g(0)). The first 1024 units are drawn one by one, and the
sum over the others from the normal law with the exact mean and covariance; by then it is that law
up to corrections of order 1/√k. The draws of a cell are shared along k.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip._random import key_for
from jaxdip._types import Array, Key
from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._frequencies import frequencies, threshold, told
from jaxdip.experiments._gpu_estimate import by_launches
from jaxdip.experiments._lab import Lab
from jaxdip.experiments._product import product
from jaxdip.generators import OUTPUT_BOUND, activation
from jaxdip.plot import phase_diagram
from jaxdip.sweeps import Crossing, SweepResult, wilson
from jaxdip.trials import TwoLayerTrial

#: So many units are drawn; the sum over the rest is normal.
DRAWN = 1024
#: E v⁴ of one entry of V.
_FOURTH = {"uniform": 9 / 5, "rademacher": 1.0}
_HIGHEST = jax.lax.Precision.HIGHEST
_SIGMOID = activation("sigmoid")
#: B in the papers' Lip(J) = B D √(n/k): sup|φ'|, which is more than Lip(φ').
_B = _SIGMOID.sup_slope
#: The reading of the paper that gives its number: ν₁ = 4 is γ = 1/L.
_READING = ("uniform", 4.0)


def margins(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """R/R' of one draw at each width, with ν₁ = 1 and the papers' Lipschitz constant B D √(n/k).

    Args:
        key: of A, x̄, h and V.
        point: n, m, the law of V, and first, last and each, see `log_spaced`.

    Returns:
        margin, R/R', shape (K,).
    """
    n, m, law = point["n"], point["m"], point["law"]
    k = jnp.asarray(log_spaced(point["first"], point["last"], point["each"]))
    k = k.astype(jnp.result_type(float))
    A = jax.random.normal(key_for(key, "operator"), (m, n))
    y = product(A, jax.random.normal(key_for(key, "signal"), (n,)))
    gram, output = sums(key_for(key, "init"), n, k, law)
    sigma = jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(gram)[:, 0], 0))
    residual = jnp.linalg.norm(product(output, A.T) - y, axis=-1)
    sigma_A = jnp.linalg.svd(A, compute_uv=False)[-1]
    lipschitz = _B * OUTPUT_BOUND[law] * jnp.sqrt(n / k)
    reach = 2 * residual / (sigma_A * sigma)
    return {"margin": sigma / (2 * lipschitz) / reach}


def log_spaced(first: int, last: int, each: int) -> np.ndarray:
    """From 10^first to 10^last, so many a decade."""
    return np.logspace(first, last, (last - first) * each + 1)


def sums(key: Key, n: int, k: Array, law: str, drawn: int = DRAWN) -> tuple[Array, Array]:
    """J Jᵀ, shape (K, n, n), and g(0), shape (K, n), of sigmoid networks that train W.

    Args:
        key: of h and V; a wider network begins with the units of a narrower one.
        n: the size of the signal.
        k: the widths, shape (K,), floats.
        law: of V, 'uniform' or 'rademacher'.
        drawn: how many units are drawn at most.
    """
    names = ("h", "V", "common", "diagonal", "pairs", "output")
    keys = {name: key_for(key, name) for name in names}
    h = jax.random.normal(keys["h"], (drawn,))
    value, slope = jax.jvp(_SIGMOID, (h,), (jnp.ones_like(h),))
    V = _entries(keys["V"], (drawn, n), law)
    used = (jnp.arange(drawn, dtype=k.dtype) < k[:, None]).astype(h.dtype)
    products = (V[:, :, None] * V[:, None, :] * (slope**2)[:, None, None]).reshape(drawn, -1)
    gram = product(used, products).reshape(-1, n, n)
    output = product(used, V * value[:, None])
    more, out = _normal_sums(keys, n, jnp.maximum(k - drawn, 0.0), law)
    return (gram + more) / k[:, None, None], (output + out) / jnp.sqrt(k)[:, None]


def _entries(key: Key, shape: tuple[int, ...], law: str) -> Array:
    if law == "uniform":
        D = OUTPUT_BOUND[law]
        return jax.random.uniform(key, shape, minval=-D, maxval=D)
    return jax.random.rademacher(key, shape, dtype=jnp.result_type(float))


def _normal_sums(keys: Mapping[str, Key], n: int, count: Array, law: str) -> tuple[Array, Array]:
    """Normal numbers with the mean and covariance of the sums over `count` units, shape (K,).

    With a = φ'(h)², the entries of Σ a v vᵀ have mean E a on the diagonal and 0 beside it; off the
    diagonal they are uncorrelated with variance E a²; on it cov = E a² − (E a)² + (E v⁴ − 1) E a²
    δ_ij. Σ φ(h) v has covariance E φ² I. All else is uncorrelated, for the law of v is even.
    """
    mean, square = _SIGMOID.C_dphi**2, fourth_moment()
    pairs = jnp.sqrt(square) * jax.random.normal(keys["pairs"], (n, n))
    upper = jnp.triu(pairs, 1)
    own = (_FOURTH[law] - 1) * square
    diagonal = jnp.sqrt(own) * jax.random.normal(keys["diagonal"], (n,))
    diagonal += jnp.sqrt(square - mean**2) * jax.random.normal(keys["common"], ())
    spread = upper + upper.T + jnp.diag(diagonal)
    output = _SIGMOID.C_phi * jax.random.normal(keys["output"], (n,))
    root = jnp.sqrt(count)
    gram = mean * jnp.einsum("k,ij->kij", count, jnp.eye(n), precision=_HIGHEST)
    return gram + root[:, None, None] * spread, root[:, None] * output


def fourth_moment() -> float:
    """E φ'(X)⁴ of the sigmoid, X ~ N(0, 1), by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    value = 1 / (1 + np.exp(-nodes))
    return float(weights @ (value * (1 - value)) ** 4 / weights.sum())


@dataclasses.dataclass(frozen=True)
class GD1a(AbstractExperiment):
    """Where condition (4) holds, over width and number of observations.

    Attributes:
        log_widths: the first and last log₁₀ k, and points per decade.
        observations: m.
        laws: of V.
        n: the size of the signal.
        trials: draws of each cell.
        descended: m of the runs of gradient descent, beside which the condition is set.
        widths: their k.
        steps: their iterations at most.
        runs: their number in each cell.
    """

    name: ClassVar[str] = "gd-1a"
    title: ClassVar[str] = "where the theorem's condition holds, over k and m"
    source: ClassVar[str] = "arXiv 2403.05395, Figure 1a"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 15 s"),
        "paper": Cost("about 5 min", by_launches(steps=100_000, batches=11 * 4)),
    }

    log_widths: tuple[int, int, int] = (1, 9, 5)
    observations: tuple[int, ...] = (1, 2, 3, 4)
    laws: tuple[str, ...] = ("uniform", "rademacher")
    n: int = 5
    trials: int = 1000
    descended: tuple[int, ...] = (1, 2, 3, 4)
    widths: tuple[int, ...] = (3, 6, 10, 18, 32, 56, 100, 178, 316, 562, 1000)
    steps: int = 100_000
    runs: int = 50

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: a corner; quick: fewer widths of gradient descent."""
        return {
            "smoke": cls(
                log_widths=(3, 8, 1), observations=(2,), laws=("uniform",), trials=50,
                descended=(2,), widths=(10, 32), steps=300, runs=4,
            ),
            "quick": cls(widths=(3, 10, 32, 100)),
            "paper": cls(log_widths=(1, 11, 5), observations=(1, 2, 3, 4, 5)),
        }  # fmt: skip

    def run(self, lab: Lab) -> xr.Dataset:
        """The condition, and for comparison gradient descent as in Figure 1b."""
        first, last, each = self.log_widths
        found = lab.sweep(
            "condition",
            margins,
            {
                "n": self.n,
                "m": list(self.observations),
                "law": list(self.laws),
                "first": first,
                "last": last,
                "each": each,
            },
            trials=self.trials,
            block=250,
        )
        descents = lab.sweep(
            "descents",
            TwoLayerTrial(),
            {
                "n": self.n,
                "m": list(self.descended),
                "k": list(self.widths),
                "step_size": 1.0,
                "steps": self.steps,
                "tolerance": 1e-14 if jnp.result_type(float) == jnp.float64 else 1e-9,
            },
            trials=self.runs,
        )
        converged = frequencies(descents, "converged", "converged")
        converged = converged.rename(m="descent_m", k="descent_k")
        return xr.merge([_readings(found, log_spaced(*self.log_widths)), converged])

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """The diagram of the paper's reading, with the widths from which descent converges."""
        law, nu1 = _READING
        one = data.sel(law=law, nu1=nu1, constant="papers")
        lines = []
        places = _descents(data)
        if len(places) > 1:
            at = [place.at for place in places.values()]
            lines = [("gradient descent converges (half of the runs)", at, list(places))]
        figure = phase_diagram(
            data.k.values,
            data.m.values,
            one.holds.transpose("k", "m").values,
            x_label="width k",
            y_label="observations m",
            label="share of draws with R' < R",
            trials=self.trials,
            low=one.holds_low.transpose("k", "m").values,
            high=one.holds_high.transpose("k", "m").values,
            lines=lines,
            caption=(
                f"Condition (4), R' < R, for the two-layer sigmoid network, W trained: n = "
                f"{self.n}, V uniform, γ = 1/L (ν₁ = 4), Lip(J) = B D √(n/k) with B = 1/4. Line: "
                f"{self.runs} runs a cell, γ = 1, {self.steps} steps. {self.source}."
            ),
        )
        return {"figure": figure}

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """The paper's width, which reading gives it, growth with m, and the distance to 1b."""
        return [*_stated(data), *_readings_told(data), _growing(data), *_above(data)]


def _readings(found: SweepResult, widths: np.ndarray) -> xr.Dataset:
    """The shares of draws in which the condition holds, over all readings, m and k."""
    nu1, constants = (1.0, 4.0), {"papers": 1.0, "sharp": _B / _SIGMOID.lip_slope}
    needed = np.array([[a / factor for factor in constants.values()] for a in nu1])
    # Axes: m, law, trial, k, and those of the readings.
    hits = (found["margin"][..., None, None] > needed).sum(axis=2)
    trials = found.done.shape[-1]
    low, high = wilson(hits, np.full(hits.shape, trials))
    parts = {"holds": hits / trials, "holds_low": low, "holds_high": high}
    coords = {
        **{name: np.array(values) for name, values in found.grid.axes.items()},
        "k": widths,
        "nu1": list(nu1),
        "constant": list(constants),
    }
    dims = ("m", "law", "k", "nu1", "constant")
    return xr.Dataset({name: (dims, x) for name, x in parts.items()}, coords=coords)


def _row(data: xr.Dataset, m: int, law: str, nu1: float, constant: str) -> xr.Dataset:
    """The shares over k of one reading."""
    return data.sel(m=m, law=law, nu1=nu1, constant=constant)


def _place(row: xr.Dataset, level: float) -> Crossing | None:
    return threshold(row, "holds", "k", level)


def _told(row: xr.Dataset, level: float) -> str:
    return told(row, "holds", "k", level)


def _descents(data: xr.Dataset) -> Mapping[int, Crossing]:
    """From which width on half of the runs converge, by m."""
    one = data[[name for name in data if str(name).startswith("converged")]]
    one = one.rename(descent_m="m", descent_k="k")
    found = {int(m): threshold(one.sel(m=m), "converged", "k") for m in one.m}
    return {m: place for m, place in found.items() if place is not None}


def _stated(data: xr.Dataset) -> list[Claim]:
    """m = 2 needs 10^6.8: 98 % of the draws, in the reading that gives it."""
    if 2 not in data.m:
        return []
    law, nu1 = _READING
    row = _row(data, 2, law, nu1, "papers")
    place = _place(row, 0.98)
    at = float(np.log10(place.at)) if place is not None else float("nan")
    holds = place is not None and place.low <= 10**6.85 and place.high >= 10**6.75
    return [
        Claim(
            name="m = 2 needs k ≥ 10^6.8",
            says="for m = 2 the condition requires k ≥ 10^6.8",
            finds=f"98 % of the draws hold from k = {_told(row, 0.98)} on, with V uniform, "
            "γ = 1/L and B = 1/4",
            number=at,
            holds=bool(holds),
            note="law of V, γ and B are not stated in the paper; this reading is inferred from its "
            "number",
        )
    ]


def _readings_told(data: xr.Dataset) -> list[Claim]:
    """No other reading gives the paper's number."""
    if 2 not in data.m:
        return []
    lines, fits = [], []
    for law, nu1, constant in itertools.product(
        data.law.values, data.nu1.values, data.constant.values
    ):
        row = _row(data, 2, law, nu1, constant)
        most = _place(row, 0.98)
        name = f"V {law}, ν₁ = {nu1:g}, {'B = 1/4' if constant == 'papers' else 'sharp Lip'}"
        lines.append(f"{name}: {_told(row, 0.5)} / {_told(row, 0.98)}")
        if most is not None and most.low <= 10**6.85 and most.high >= 10**6.75:
            fits.append(name)
    return [
        Claim(
            name="one reading alone gives the paper's number",
            says="(expected) the settings left unsaid can be told from k ≥ 10^6.8",
            finds=f"of {len(lines)} readings {len(fits)} fit it; half / 98 % of the draws for "
            "m = 2: " + "; ".join(lines),
            number=float(len(fits)),
            holds=len(fits) == 1,
        )
    ]


def _growing(data: xr.Dataset) -> Claim:
    law, nu1 = _READING
    rows = {int(m): _row(data, int(m), law, nu1, "papers") for m in data.m}
    places = {m: _place(row, 0.5) for m, row in rows.items()}
    values = np.array([place.at for place in places.values() if place is not None])
    return Claim(
        name="the condition asks for more width with m",
        says="the required k grows with m",
        finds="half of the draws hold from k = "
        + ", ".join(f"{_told(row, 0.5)} (m = {m})" for m, row in rows.items()),
        number=float(values[-1] / values[0]) if values.size else float("nan"),
        holds=bool(values.size == len(places) > 1 and np.all(np.diff(values) > 0)),
    )


def _above(data: xr.Dataset) -> list[Claim]:
    """Half against half: the condition's width is at least a thousand times that of descent."""
    law, nu1 = _READING
    gaps = {}
    for m, place in _descents(data).items():
        if m in data.m and (half := _place(_row(data, m, law, nu1, "papers"), 0.5)) is not None:
            # The ends that make the gap smallest.
            gaps[m] = (np.log10(half.at / place.at), np.log10(half.low / place.high))
    if not gaps:
        return []
    return [
        Claim(
            name="the condition is pessimistic by at least three decades",
            says="the bound is conservative: k ≥ 10^6.8 where convergence occurs from 10^2.5",
            finds="half against half of the draws: "
            + ", ".join(f"{at:.2f} decades (at least {low:.2f}, m = {m})"
                        for m, (at, low) in gaps.items()),
            number=float(min(low for _, low in gaps.values())),
            holds=all(low >= 3 for _, low in gaps.values()),
        )
    ]  # fmt: skip
