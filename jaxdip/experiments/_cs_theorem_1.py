"""Theorem 1 of arXiv 2005.03991 by simulation: the error of minimum-norm recovery.

x = J (A J)⁺ A x* with A of m iid Gaussian rows; the theorem bounds ‖x − x*‖² by
C (Σ c_i²/s_i²)(Σ_{i>2m/3} s_i²), c_i the coefficients of x* in the left singular vectors of J. C is
"a fixed numerical constant" there; here it is that of the proof (`theory.smoothest_constant`, at
most 471). The printed probability is 1 − 3e^{−m/2}; the proof gives 1 − 3e^{−m/6}, which is 0.59
for m = 12 instead of 0.99.

A is rotation invariant, so J is diagonal here without loss of generality. Two spectra: the paper's
example s_i² = γ^i, and the weights (11) of a triangular kernel, which decay like 1/frequency, too
slowly for the bound to fall below ‖x*‖², which x = 0 attains: that claim fails. Two signals:
'smooth', iid N(0, 1) coefficients in the leading m/3 modes, and 'rough', in all.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip._random import key_for
from jaxdip._types import Array, Key
from jaxdip.analysis import circulant_weights
from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._gpu_estimate import AS_ON_CPU
from jaxdip.experiments._lab import Lab
from jaxdip.generators import triangular_kernel
from jaxdip.plot import Curve, Panel, curves_plot
from jaxdip.sweeps import wilson
from jaxdip.theory import smoothest_constant, smoothest_linear

_SIGNALS = {"smooth": 1.0, "rough": 0.0}


def minimum_norm_fit(s: Array, x: Array, A: Array) -> Array:
    """x̂ = J (A J)⁺ A x for J = diag(s), by the projection on the rows of A J.

    Args:
        s: (n,), positive.
        x: (n,).
        A: (m, n), of full row rank.
    """
    rows, _ = jnp.linalg.qr((A * s).T)
    highest = jax.lax.Precision.HIGHEST
    c = jnp.matmul(rows, jnp.matmul(rows.T, x / s, precision=highest), precision=highest)
    return s * c


def _run(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """One draw of A and x*."""
    n, m = point["n"], point["m"]
    kernel = circulant_weights(triangular_kernel(n, point["width"]))
    order = jnp.arange(1, n + 1)
    gamma = point["gamma"]
    # γ = 0 stands for the weights of the kernel.
    powers = jnp.where(gamma > 0, gamma, 0.5) ** (order / 2)
    s = jnp.where(gamma > 0, powers, jnp.sort(kernel, descending=True))
    x = jax.random.normal(key_for(key, "signal"), (n,), s.dtype)
    x = jnp.where((point["smooth"] > 0) & (order > m // 3), 0.0, x)
    A = jax.random.normal(key_for(key, "A"), (m, n), s.dtype) * m**-0.5
    error = jnp.linalg.norm(minimum_norm_fit(s, x, A) - x)
    bound = smoothest_linear(s, x, m).bound("limit signal", jnp.asarray(0.0, s.dtype))
    return {"error": error, "bound": bound, "norm": jnp.linalg.norm(x)}


@dataclasses.dataclass(frozen=True)
class CSTheorem1(AbstractExperiment):
    """The bound of Theorem 1 against the error over many draws.

    Attributes:
        n: entries of the signal.
        observations: m, each at least 12.
        gamma: γ of the geometric spectrum.
        width: half-width of the triangular kernel in pixels.
        trials: draws of each cell.
    """

    name: ClassVar[str] = "cs-theorem-1"
    title: ClassVar[str] = "minimum-norm recovery by a linear generator, against Theorem 1"
    source: ClassVar[str] = "arXiv 2005.03991, Theorem 1 and (8)"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 60 s"),
        "paper": Cost("about 10 min", AS_ON_CPU),
    }

    n: int = 300
    observations: tuple[int, ...] = (12, 18, 24, 36, 60, 90)
    gamma: float = 0.9
    width: int = 10
    trials: int = 10_000

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: one m and few draws; quick: a tenth of the draws."""
        return {
            "smoke": cls(n=40, observations=(12, 15), width=4, trials=20),
            "quick": cls(trials=1000),
            "paper": cls(),
        }

    def run(self, lab: Lab) -> xr.Dataset:
        """One sweep."""
        found = lab.sweep(
            "draws",
            _run,
            {
                "gamma": [self.gamma, 0.0],
                "smooth": list(_SIGNALS.values()),
                "m": list(self.observations),
                "n": self.n,
                "width": self.width,
            },
            trials=self.trials,
            block=min(self.trials, 500),
        )
        dims = ("spectrum", "signal", "m", "trial")
        return xr.Dataset(
            {name: (dims, found[name]) for name in ("error", "bound", "norm")},
            coords={
                "spectrum": ["geometric", "kernel"],
                "signal": list(_SIGNALS),
                "m": list(self.observations),
            },
        )

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """Relative errors and bounds over m."""
        panels = []
        square = (data.error / data.norm) ** 2
        bound = (data.bound / data.norm) ** 2
        for spectrum in data.spectrum.values.tolist():
            for signal in data.signal.values.tolist():
                cell = square.sel(spectrum=spectrum, signal=signal)
                theirs = bound.sel(spectrum=spectrum, signal=signal).median("trial").values
                m = data.m.values
                curves = [
                    Curve("largest", m, cell.max("trial").values),
                    Curve("median", m, cell.median("trial").values),
                    Curve("bound", m, theirs, label="bound (median)", kind="bound"),
                ]
                panels.append(
                    Panel(
                        curves, y="‖x − x*‖²/‖x*‖²", x="measurements m",
                        title=f"{self._told(spectrum)}, {signal} signal",
                    )
                )  # fmt: skip
        caption = f"n = {self.n}, {self.trials} draws each, C of the proof. {self.source}."
        return {"figure": curves_plot(panels, caption=caption)}

    def _told(self, spectrum: str) -> str:
        if spectrum == "geometric":
            return f"s² = {self.gamma:g}^i"
        return f"triangular kernel, p = {self.width:g}"

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """The bound, its probability and constant, the example, and what it is worth."""
        return [
            self._probability(data),
            self._printed(data),
            self._constant(data),
            *self._example(data),
            self._worth(data),
        ]

    def _probability(self, data: xr.Dataset) -> Claim:
        """The share of draws within the bound."""
        share = (data.error <= data.bound).mean("trial").min(("spectrum", "signal"))
        promise = 1 - 3 * np.exp(-data.m / 6)
        margin = float((share - promise).min())
        return Claim(
            name="the bound holds with the proof's probability",
            says="with probability at least 1 − 3e^{−m/6} (as the proof gives it)",
            finds="share of draws within the bound, worst spectrum and signal: "
            + ", ".join(f"{float(share.sel(m=m)):.4f} (m = {m})" for m in data.m.values.tolist()),
            number=margin,
            holds=margin >= 0,
        )

    def _printed(self, data: xr.Dataset) -> Claim:
        """Whether draws contradict the printed probability, where they can."""
        m = int(data.m.min())
        outside = (data.error > data.bound).sel(m=m).sum("trial").values
        low, high = wilson(outside, np.full(outside.shape, data.sizes["trial"]))
        worst = float(np.max(high))
        printed = 3 * math.exp(-m / 2)
        return Claim(
            name="the bound holds with the printed probability",
            says=f"with probability at least 1 − 3e^{{−m/2}}: at most {printed:.4f} fail at m = "
            f"{m}, the only m where draws can tell",
            finds=f"{int(outside.max())} of {data.sizes['trial']} fail, 95 % interval up to "
            f"{worst:.4f}",
            number=worst,
            holds=bool(np.max(low) <= printed),
            note=f"the proof, with p = m/3 and u = √p, gives 1 − 3e^{{−m/6}} only: "
            f"{max(1 - 3 * math.exp(-m / 6), 0):.2f} at m = {m}",
        )

    def _constant(self, data: xr.Dataset) -> Claim:
        """The least C that would have done."""
        constants = np.array([smoothest_constant(int(m)) for m in data.m.values])
        ratio = (data.error / data.bound) ** 2 * xr.DataArray(constants, dims="m")
        worst = ratio.max(("trial", "spectrum", "signal"))
        value = float(worst.max())
        return Claim(
            name="a fixed numerical constant C does",
            says=f"C is a fixed numerical constant; that of the proof is {constants.min():.0f} to "
            f"{constants.max():.0f} here",
            finds="largest error² ÷ ((Σc²/s²)(Σ s² beyond)): "
            + ", ".join(f"{float(worst.sel(m=m)):.3g} (m = {m})" for m in data.m.values.tolist()),
            number=value,
            holds=bool(np.all(worst.values <= constants)),
            note="C = 1 would have done in every draw" if value <= 1 else "",
        )

    def _example(self, data: xr.Dataset) -> list[Claim]:
        """(8): a geometric spectrum and a signal in the leading third."""
        cell = data.sel(spectrum="geometric", signal="smooth")
        square = (cell.error / cell.norm) ** 2
        C = xr.DataArray([smoothest_constant(int(m)) for m in data.m.values], dims="m")
        promise = C * self.gamma ** (cell.m / 3) / (1 - self.gamma)
        ratio = float((square / promise).max())
        m = int(data.m.max())
        middle = square.median("trial").transpose("m").values
        slope = float(np.polyfit(data.m.values, np.log(middle), 1)[0])
        stated = math.log(self.gamma) / 3
        return [
            Claim(
                name="(8): the error is below the bound for a geometric spectrum",
                says="error²/‖x*‖² at most C γ^{m/3}/(1 − γ)",
                finds=f"largest error ÷ bound {ratio:.2g}; at m = {m}: median error "
                f"{float(square.sel(m=m).median()):.2g}, bound {float(promise.sel(m=m)):.2g}",
                number=ratio,
                holds=ratio <= 1,
                note="at every m here the bound is above ‖x*‖², which x = 0 attains: it is the "
                "error that is small, not the bound"
                if float(promise.min()) >= 1
                else "",
            ),
            Claim(
                name="(8): the error falls exponentially in m",
                says="error² is O(γ^{m/3}), very small for γ slightly below one",
                finds="the median of error²/‖x*‖² falls like "
                f"γ^({slope / math.log(self.gamma):.2f} m)",
                number=slope,
                holds=slope <= stated,
            ),
        ]

    def _worth(self, data: xr.Dataset) -> Claim:
        """With the weights of a real kernel."""
        cell = data.sel(spectrum="kernel", signal="smooth")
        bound = ((cell.bound / cell.norm) ** 2).median("trial")
        error = ((cell.error / cell.norm) ** 2).median("trial")
        m = int(data.m.max())
        least = float(bound.min())
        return Claim(
            name="the bound says something for a triangular kernel",
            says="the weights of a triangular kernel decay geometrically, so the bound is small; "
            "here: below ‖x*‖², which x = 0 attains, for some m",
            finds=f"least bound {least:.3g} ‖x*‖²; at m = {m} the bound is "
            f"{float(bound.sel(m=m)):.3g}, the median error² {float(error.sel(m=m)):.2g}",
            number=least,
            holds=least < 1,
            note="the weights decay like 1/frequency: Σ s² beyond 2m/3 is no small number",
        )
