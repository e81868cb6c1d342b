"""Figure 2 of arXiv 2403.05395, and its experiment without a figure: how large a step converges?

Stated: two-layer sigmoid networks, A and x̄ with iid N(0, 1) entries, k = 10⁴: the share of 50 runs
that converge to an optimal solution over n and γ; γ must get smaller as n increases, which the
paper explains by ‖A‖ ≤ √n + (1 + δ)√m in its estimate (10) of L, and γ ≤ 1/L. With n and m fixed,
whatever k, training starts to diverge at γ ≥ 10^1.6.

Unsaid, and what stands here: m = 2, n = 5 in the second experiment, V = ±1, W trained alone,
converged where the loss reaches 1e-14.

Past the first failures the share falls slowly, for a run that saturates may be lucky; so a step
counts as admissible while fewer than one run in ten fails. n = m is left out: then A is nearly
singular in some draws, and small steps fail because they are slow; in 3000 steps a few runs with
the smallest γ do so too.

The shares are reproduced; the explanation is not. The first steps that fail are many times 1/L, and
beyond 2/λ_max(K_0), K_0 = A J Jᵀ Aᵀ at the start: training goes on past the edge of stability,
and ends where units have saturated and the kernel has shrunk until the step is stable. As φ is
bounded, what fails does not overflow: the units saturate and the loss stays.

Nor does (10), L ≲ ‖A‖² n/k + ‖A‖ ‖y(0) − y‖ √(n/k), go with a threshold that is the same whatever
k: it falls at least like 1/√k, so that γ ≤ 1/L would allow ever larger steps. Its first term lacks
a constant. L is at least about λ_max(K_0), which tends to C_φ'² ‖A‖² as k grows.
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
from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._frequencies import frequencies, threshold, told
from jaxdip.experiments._gpu_estimate import by_launches
from jaxdip.experiments._lab import Lab
from jaxdip.experiments._product import product
from jaxdip.generators import activation
from jaxdip.plot import phase_diagram
from jaxdip.sweeps import Crossing, SweepResult
from jaxdip.trials import TwoLayerTrial

_SIGMOID = activation("sigmoid")
#: Training "starts to diverge" where one run in ten fails; up to there a step is admissible.
_STARTS = 0.1
#: The paper's step, in decades, and the distance of neighbours on the grid.
_STATED, _GRID = 1.6, 0.2


def steps_allowed(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """2/λ_max(K_0) and 1/L of one draw.

    Args:
        key: of A, x̄ and the network.
        point: n, m and k.

    Returns:
        edge, 2/λ_max of A J Jᵀ Aᵀ at the start; inverse_L, 1/L with the bound L on the sublevel
        set of `problem.gradient_lipschitz`.
    """
    M, y, z = _drawn(key, point)
    value, slope = _activated(z)
    longest = jnp.sqrt(jnp.max(jnp.sum(M * M, axis=0)))
    residual = jnp.linalg.norm(product(M, value) - y)
    L = _SIGMOID.sup_slope**2 * _square_norm(M) + _SIGMOID.lip_slope * residual * longest
    return {"edge": 2 / _square_norm(M * slope), "inverse_L": 1 / L}


def kernels(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """The largest eigenvalue of the kernel before and after one descent with a large step.

    Args:
        key: of A, x̄ and the network.
        point: n, m, k, step_size (γ) and steps.

    Returns:
        start and end, γ λ_max(A J Jᵀ Aᵀ)/2, at most 1 where the step is stable; loss at the end.
    """
    M, y, z = _drawn(key, point)
    gamma = point["step_size"]

    def step(_, z):
        value, slope = _activated(z)
        return z - gamma * slope * product(M.T, product(M, value) - y)

    last = jax.lax.fori_loop(0, point["steps"], step, z)
    ends = [gamma * _square_norm(M * _activated(h)[1]) / 2 for h in (z, last)]
    loss = jnp.sum((product(M, _activated(last)[0]) - y) ** 2) / 2
    return {"start": ends[0], "end": ends[1], "loss": loss}


def _drawn(key: Key, point: dict[str, Any]) -> tuple[Array, Array, Array]:
    """M = A V/√k, y = A x̄ and z = W u, in which the network is M φ(z)."""
    m, n, k = point["m"], point["n"], point["k"]
    A = jax.random.normal(key_for(key, "operator"), (m, n))
    y = product(A, jax.random.normal(key_for(key, "signal"), (n,)))
    V = jax.random.rademacher(key_for(key, "V"), (n, k), dtype=A.dtype)
    return product(A, V) / k**0.5, y, jax.random.normal(key_for(key, "h"), (k,))


def _activated(z: Array) -> tuple[Array, Array]:
    return jax.jvp(_SIGMOID, (z,), (jnp.ones_like(z),))


def _square_norm(M: Array) -> Array:
    """The largest eigenvalue of M Mᵀ."""
    return jnp.linalg.eigvalsh(product(M, M.T))[-1]


@dataclasses.dataclass(frozen=True)
class GD2(AbstractExperiment):
    """Which steps converge, over n at one k, and over k at one n.

    Attributes:
        signals: n.
        width: k of the first experiment.
        widths: k of the second.
        n: of the second.
        m: the number of observations.
        log_steps: log₁₀ γ.
        steps: of gradient descent, at most.
        tolerance: the loss that counts as converged.
        trials: runs of each cell.
        draws: on which 1/L and 2/λ_max are computed.
        log_probed: log₁₀ of the γ at which the kernel is followed to the end, at the least k ≥ 500.
    """

    name: ClassVar[str] = "gd-2"
    title: ClassVar[str] = "which steps of gradient descent converge, over n and over k"
    source: ClassVar[str] = "arXiv 2403.05395, Figure 2 and Section IV"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 25 s"),
        "paper": Cost("about 30 min", by_launches(steps=50_000, batches=(8 + 5) * 3)),
    }

    signals: tuple[int, ...] = (4, 5, 7, 10, 14, 20, 30, 50)
    width: int = 10_000
    widths: tuple[int, ...] = (100, 316, 1000, 3162, 10_000)
    n: int = 5
    m: int = 2
    log_steps: tuple[float, ...] = (
        -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2
    )  # fmt: skip
    steps: int = 50_000
    tolerance: float = 1e-14
    trials: int = 50
    draws: int = 50
    log_probed: float = 1.2

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: a corner; quick: up to k = 3162 instead of 10⁴, and 3000 steps."""
        return {
            "smoke": cls(
                signals=(5, 8), width=100, widths=(100,), log_steps=(0.6, 1.6, 2.6),
                steps=300, tolerance=1e-6, trials=6, draws=4,
            ),
            "quick": cls(signals=(5, 10, 20, 50), width=3162, widths=(100, 562, 3162), steps=3000),
            "paper": cls(),
        }  # fmt: skip

    def run(self, lab: Lab) -> xr.Dataset:
        """Two sweeps of gradient descent, and two of the steps that theory allows."""
        over_n = self._descents(lab, "signals", list(self.signals), self.width)
        over_k = self._descents(lab, "widths", self.n, list(self.widths))
        allowed_n = self._allowed(lab, "allowed-signals", list(self.signals), self.width)
        allowed_k = self._allowed(lab, "allowed-widths", self.n, list(self.widths))
        parts = [_failures(over_n, "by_n"), _failures(over_k, "by_k")]
        for found, axis in ((allowed_n, "n"), (allowed_k, "k")):
            medians = {
                f"{name}_by_{axis}": ((axis,), np.median(found[name], axis=-1))
                for name in ("edge", "inverse_L")
            }
            parts.append(xr.Dataset(medians, coords={axis: list(found.grid.axes[axis])}))
        return xr.merge([*parts, self._probed(lab)])

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """One diagram over n, one over k."""
        fixed = f"m = {self.m}, at most {self.steps} steps to a loss of {self.tolerance:g}"
        return {
            "signals": self._diagram(
                data, "n", "signal size n", f"k = {self.width}, {fixed}. {self.source}."
            ),
            "widths": self._diagram(data, "k", "width k", f"n = {self.n}, {fixed}. {self.source}."),
        }

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """What the paper states of n and k, and what it concludes about 1/L."""
        return [
            _shrinking(data),
            _following(data),
            _stated(data),
            _whatever(data),
            _printed(data),
            _within(data),
            _beyond(data),
            _settling(data, self.log_probed, self.tolerance),
        ]

    def _descents(self, lab: Lab, label: str, n: Any, k: Any) -> SweepResult:
        float64 = jnp.result_type(float) == jnp.float64
        return lab.sweep(
            label,
            TwoLayerTrial(),
            {
                "n": n,
                "m": self.m,
                "k": k,
                "step_size": [10.0**e for e in self.log_steps],
                "steps": self.steps,
                "tolerance": self.tolerance if float64 else max(self.tolerance, 1e-8),
            },
            trials=self.trials,
        )

    def _allowed(self, lab: Lab, label: str, n: Any, k: Any) -> SweepResult:
        point = {"n": n, "m": self.m, "k": k}
        return lab.sweep(label, steps_allowed, point, trials=self.draws, block=self.draws)

    def _probed(self, lab: Lab) -> xr.Dataset:
        point = {
            "n": self.n,
            "m": self.m,
            "k": min((k for k in self.widths if k >= 500), default=self.widths[-1]),
            "step_size": 10.0**self.log_probed,
            "steps": self.steps,
        }
        found = lab.sweep("kernels", kernels, point, trials=self.draws, block=self.draws)
        return xr.Dataset({f"probed_{name}": ("draw", x) for name, x in found.outcomes.items()})

    def _diagram(self, data: xr.Dataset, axis: str, label: str, told: str) -> Figure:
        failed = f"failed_by_{axis}"
        flip = {end: data[failed + end].transpose("step_size", axis).values
                for end in ("", "_low", "_high")}  # fmt: skip
        places = data[axis].values
        lines = [
            ("2/λ_max(K₀), median", data[f"edge_by_{axis}"].values, places),
            ("1/L, median", data[f"inverse_L_by_{axis}"].values, places),
        ]
        tenth = {at: place for at, place in _places(data, axis, _STARTS).items() if place}
        if tenth:
            lines.append(
                (
                    "one run in ten fails",
                    np.array([place.at for place in tenth.values()]),
                    np.array(list(tenth)),
                )
            )
        if axis == "k":
            lines.append(("the paper's 10^1.6", np.full(len(places), 10**_STATED), places))
        return phase_diagram(
            data.step_size.values,
            places,
            1 - flip[""],
            x_label="step γ",
            y_label=label,
            label="share of runs that converge",
            trials=self.trials,
            low=1 - flip["_high"],
            high=1 - flip["_low"],
            lines=lines,
            caption=f"Gradient descent on the two-layer sigmoid network, W trained: {told}",
        )


def _failures(found: SweepResult, ending: str) -> xr.Dataset:
    """The shares of runs that did not converge, which rise with γ."""
    return frequencies(found, lambda o: ~o["converged"], f"failed_{ending}")


def _places(data: xr.Dataset, axis: str, level: float) -> Mapping[int, Crossing | None]:
    """The step from which on a share of the runs fails, for each n or k."""
    name = f"failed_by_{axis}"
    return {
        int(at): threshold(data.sel({axis: at}), name, "step_size", level)
        for at in data[axis].values
    }


def _listed(data: xr.Dataset, axis: str, level: float) -> str:
    return ", ".join(
        f"{told(data.sel({axis: at}), f'failed_by_{axis}', 'step_size', level)} ({axis} = {at})"
        for at in data[axis].values
    )


def _shrinking(data: xr.Dataset) -> Claim:
    places = _places(data, "n", _STARTS)
    known = [(n, place) for n, place in places.items() if place is not None]
    slope, holds = float("nan"), False
    if len(known) > 1:
        n, at = np.array([n for n, _ in known]), np.array([place.at for _, place in known])
        slope = float(np.polyfit(np.log(n), np.log(at), 1)[0])
        holds = slope < 0 and known[-1][1].high < known[0][1].low
    return Claim(
        name="the admissible step shrinks as n grows",
        says="γ must get smaller as n increases; here: the interval at the largest n lies below "
        "that at the smallest",
        finds=f"one run in ten fails from γ = {_listed(data, 'n', _STARTS)}; "
        f"exponent {slope:.2f} in n",
        number=slope,
        holds=holds,
    )


def _following(data: xr.Dataset) -> Claim:
    places = _places(data, "n", _STARTS)
    known = [n for n, place in places.items() if place is not None]
    slope = float("nan")
    if len(known) > 1:
        at = np.log([place.at for place in places.values() if place is not None])
        slope = float(np.polyfit(np.log(data.edge_by_n.sel(n=known).values), at, 1)[0])
    return Claim(
        name="it shrinks as 1/λ_max of the kernel does",
        says="by (10) the step goes like 1/L, and L like ‖A‖²; here: a power between 0.5 and 1.5",
        finds="the step at which one run in ten fails goes like (1/λ_max(K₀)) to the power "
        f"{slope:.2f}",
        number=slope,
        holds=bool(0.5 <= slope <= 1.5),
    )


def _stated(data: xr.Dataset) -> Claim:
    places = _places(data, "k", _STARTS)
    low, high = 10 ** (_STATED - _GRID), 10 ** (_STATED + _GRID)
    hits = [place is not None and place.low <= high and place.high >= low
            for place in places.values()]  # fmt: skip
    return Claim(
        name="training starts to diverge at γ = 10^1.6",
        says="whatever k, training will start to diverge when γ ≥ 10^1.6; here: within one step of "
        "the grid, 0.2 decades, at every k",
        finds=f"one run in ten fails from γ = {_listed(data, 'k', _STARTS)}",
        number=float(np.mean(hits)),
        holds=all(hits),
    )


def _whatever(data: xr.Dataset) -> Claim:
    places = _places(data, "k", 0.5)
    at = np.log10([place.at for place in places.values() if place is not None])
    spread = float(np.ptp(at)) if at.size else float("nan")
    return Claim(
        name="whatever k is",
        says="there is a threshold whatever k is chosen; here: thresholds within two steps of the "
        "grid, 0.4 decades",
        finds=f"half of the runs fail from γ = {_listed(data, 'k', 0.5)}: {spread:.2f} decades "
        f"apart over {np.log10(data.k.values[-1] / data.k.values[0]):.1f} decades of k",
        number=spread,
        holds=bool(1 < at.size == len(places) and spread <= 2 * _GRID),
    )


def _printed(data: xr.Dataset) -> Claim:
    """Whether the largest eigenvalue of the kernel, a part of L, falls with k as (10) does."""
    k, largest = data.k.values, 2 / data.edge_by_k.values
    slope = float(np.polyfit(np.log(k), np.log(largest), 1)[0]) if k.size > 1 else float("nan")
    falls = bool(slope <= -0.4)
    return Claim(
        name="L falls with k as (10) does",
        says="L ≲ ‖A‖² n/k + ‖A‖ ‖y(0) − y‖ √(n/k) falls at least like k^-0.5; here: so does the "
        "median of λ_max(K₀), the part of L without the residual, with an exponent of at most −0.4",
        finds=f"λ_max(K₀) goes from {largest[0]:.2f} to {largest[-1]:.2f} (k^{slope:.2f}) while "
        f"n/k falls {k[-1] / k[0]:.1f}-fold",
        number=slope,
        holds=falls,
        note=""
        if falls
        else "J Jᵀ tends to C_φ'² I: the first term is ‖A‖² O(1 + n/k), as a threshold that is the "
        "same for every k needs it",
    )


def _ratios(data: xr.Dataset, name: str) -> np.ndarray:
    """Where one run in ten fails, in units of a step that theory allows, over n and k."""
    found = []
    for axis in ("n", "k"):
        for at, place in _places(data, axis, _STARTS).items():
            if place is not None:
                found.append(place.at / float(data[f"{name}_by_{axis}"].sel({axis: at})))
    return np.array(found)


def _within(data: xr.Dataset) -> Claim:
    ratios = _ratios(data, "inverse_L")
    return Claim(
        name="the threshold is that of γ ≤ 1/L",
        says="the experiment verifies the proper choice of γ, that is γ ≤ 1/L; here: within a "
        "factor of 2",
        finds=f"one run in ten fails at {_span(ratios)} times the median of 1/L",
        number=float(np.median(ratios)) if ratios.size else float("nan"),
        holds=bool(ratios.size and np.all(ratios <= 2)),
        note="γ ≤ 1/L is sufficient; what is seen is where training fails beyond it",
    )


def _beyond(data: xr.Dataset) -> Claim:
    ratios = _ratios(data, "edge")
    return Claim(
        name="training goes on past the edge of stability",
        says="(expected) a step above 2/λ_max(K₀) may still converge",
        finds=f"one run in ten fails at {_span(ratios)} times the median of 2/λ_max(K₀)",
        number=float(ratios.min()) if ratios.size else float("nan"),
        holds=bool(ratios.size and np.all(ratios > 1)),
    )


def _settling(data: xr.Dataset, log_step: float, tolerance: float) -> Claim:
    done = data.probed_loss.values <= max(tolerance, 1e-8)
    start, end = data.probed_start.values[done], data.probed_end.values[done]
    share = float(np.mean(end <= 1)) if end.size else float("nan")
    middle = [float(np.median(x)) if end.size else float("nan") for x in (start, end)]
    return Claim(
        name="such runs end where the step is stable",
        says="(expected) units saturate, φ' and the kernel shrink until γ ≤ 2/λ_max",
        finds=f"at γ = 10^{log_step:g} the median of γ λ_max/2 falls from {middle[0]:.2f} to "
        f"{middle[1]:.2f}, and {share:.2f} of the {end.size} converged runs end at 1 or below",
        number=share,
        holds=bool(end.size and middle[0] > 1 and share >= 0.95),
    )


def _span(ratios: np.ndarray) -> str:
    return f"{ratios.min():.1f} to {ratios.max():.1f}" if ratios.size else "(nowhere on the grid)"
