"""How far a discrete method is from its flow, over the step and the width (ours).

Gradient descent with γ approaches gradient flow, and IGAHD with h = √s approaches ISEHD, with first
order in γ and h. Here that is measured on the papers' network (two-layer sigmoid, n = 5, m = 2,
A and x̄ with iid N(0, 1) entries, V = ±1, W trained) by `compare`, for each width: sup over time
of the gaps of x and θ at γ = 1/(4L), or h = 1/(4√L), and four halvings, with α = μ, the smallest
singular value of A J, and β = 1/(2√L); to t = 10/L, or 10/√L.
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
from jaxdip.dynamics import IGAHD, ISEHD, GradientDescent, GradientFlow, compare
from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._gpu_estimate import AS_ON_CPU
from jaxdip.experiments._lab import Lab
from jaxdip.experiments._padded import padded_network
from jaxdip.losses import MSE
from jaxdip.operators import Dense
from jaxdip.plot import Curve, OrderSeries, Panel, curves_plot, order_plot
from jaxdip.problem import Problem, jacobian_sigma_min, kernel_norm

_PAIRS = {"gd": "gf", "igahd": "isehd"}
_TITLES = {"gd": "gradient descent → gradient flow", "igahd": "IGAHD → ISEHD"}
_OBSERVED = ("signal", "theta")


def gaps(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """The gaps of one draw.

    L is λ_max(A J Jᵀ Aᵀ) at the start, the fastest rate of the linearised flow.

    Args:
        key: of A, x̄ and the network.
        point: method ('gd' or 'igahd'), n, m, k (a float), widest, halvings, coarsest (the largest
            step, a float, in units of 1/L or 1/√L) and steps of that size.

    Returns:
        signal and theta, sup over the records of the gap, over ‖x̄‖ and as it is, shape (J,);
        signal_extrapolated, that of Richardson's extrapolation, shape (J − 1,); step, h in units of
        1/L or 1/√L, shape (J,).
    """
    n, m = point["n"], point["m"]
    A = jax.random.normal(key_for(key, "operator"), (m, n))
    x = jax.random.normal(key_for(key, "signal"), (n,))
    g = padded_network(key_for(key, "init"), n, point["k"], point["widest"])
    y = jnp.matmul(A, x, precision=jax.lax.Precision.HIGHEST)
    problem = Problem(u=jnp.ones(1), operator=Dense(A), loss=MSE(), y=y)
    L = kernel_norm(problem, g).value
    if point["method"] == "gd":
        flow, unit = GradientFlow(), 1 / L
        method = GradientDescent(point["coarsest"] * unit)
    else:
        unit = 1 / jnp.sqrt(L)
        alpha, beta = jacobian_sigma_min(problem, g), unit / 2
        flow = ISEHD(alpha, beta)
        method = IGAHD((point["coarsest"] * unit) ** 2, alpha, beta)
    steps, halvings = point["steps"], point["halvings"]
    found = compare(problem, flow, method, g, steps, every=max(1, steps // 20), halvings=halvings)
    size = jnp.linalg.norm(x)
    return {
        "signal": jnp.max(found.gaps["signal"], axis=0) / size,
        "theta": jnp.max(found.gaps["theta"], axis=0),
        "signal_extrapolated": jnp.max(found.extrapolated["signal"], axis=0) / size,
        "step": found.time_steps / unit,
    }


@dataclasses.dataclass(frozen=True)
class ODEDiscrete(AbstractExperiment):
    """The gap between flow and method over step and width.

    Attributes:
        widths: k.
        n: the size of the signal.
        m: the number of observations.
        coarsest: the largest step in units of 1/L or 1/√L.
        steps: of that size.
        halvings: of it.
        trials: draws of each width.
        methods: 'gd', 'igahd'.
    """

    name: ClassVar[str] = "ode-discrete"
    title: ClassVar[str] = "how far discrete methods are from their flows, over step and width"
    source: ClassVar[str] = "beyond the papers"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 5 s"),
        "paper": Cost("about 5 min", AS_ON_CPU),
    }

    widths: tuple[int, ...] = (30, 100, 300, 1000, 3000, 10_000)
    n: int = 5
    m: int = 2
    coarsest: float = 0.25
    steps: int = 40
    halvings: int = 6
    trials: int = 50
    methods: tuple[str, ...] = tuple(_PAIRS)

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: two widths and halvings of one method; quick: up to k = 1000."""
        return {
            "smoke": cls(widths=(20, 60), steps=20, halvings=2, trials=2, methods=("gd",)),
            "quick": cls(widths=(30, 100, 300, 1000), halvings=4, trials=12),
            "paper": cls(),
        }

    def run(self, lab: Lab) -> xr.Dataset:
        """A sweep over the width for each pair."""
        parts = []
        for method in self.methods:
            found = lab.sweep(
                method,
                gaps,
                {
                    "method": method,
                    "n": self.n,
                    "m": self.m,
                    "k": [float(k) for k in self.widths],
                    "widest": max(self.widths),
                    "coarsest": self.coarsest,
                    "steps": self.steps,
                    "halvings": self.halvings,
                },
                trials=self.trials,
                paired=["k"],
            )
            dims = ("k", "trial")
            parts.append(
                xr.Dataset(
                    {
                        name: ((*dims, "coarse" if "extra" in name else "halving"), x)
                        for name, x in found.outcomes.items()
                    },
                    coords={"k": list(self.widths)},
                )
            )
        return xr.concat(parts, "dynamics").assign_coords(dynamics=list(self.methods))

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """The gap over the step at the middle width, with its order, and at all widths."""
        k = data.k.values[len(data.k) // 2]
        series = []
        for method in self.methods:
            one = data.sel(dynamics=method, k=k)
            h, gap = one.step.isel(trial=0).values, one.signal.median("trial").values
            q = float(np.polyfit(np.log(h), np.log(gap), 1)[0])
            series.append(OrderSeries(method, _PAIRS[method], h, gap, order=q))
        caption = (
            f"Two-layer sigmoid network, W trained: n = {self.n}, m = {self.m}, k = {k}; medians "
            f"of {self.trials} draws; γ in units of 1/L, √s in units of 1/√L, L = λ_max(K₀)."
        )
        panels = []
        for method in self.methods:
            for name, label in (("signal", "sup ‖x_flow − x‖/‖x̄‖"), ("theta", "sup ‖θ_flow − θ‖")):
                one = data.sel(dynamics=method)
                h = one.step.isel(k=0, trial=0).values
                rows = one[name].median("trial").transpose("k", "halving").values
                curves = [
                    Curve(f"k = {k}", h, row) for k, row in zip(data.k.values, rows, strict=True)
                ]
                unit = "γ in 1/L" if method == "gd" else "√s in 1/√L"
                panels.append(
                    Panel(curves, y=label, x=f"step {unit}", title=_TITLES[method], log_x=True)
                )
        return {
            "order": order_plot(series, gap_label="median sup ‖x_flow − x‖/‖x̄‖", caption=caption),
            "widths": curves_plot(panels, caption=caption.replace(f"k = {k}", "all k")),
        }

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """First order at each width, second after extrapolation, and the part of the width."""
        each = [(method, data.sel(dynamics=method)) for method in self.methods]
        return [
            *(_first(one, method) for method, one in each),
            *(_second(one, method) for method, one in each),
            *(_width(one, method) for method, one in each),
        ]


def _orders(gap: np.ndarray) -> np.ndarray:
    """log₂ of the ratio of the last two gaps, whose steps differ by 2, shape (k, trial)."""
    return np.log2(gap[..., -2] / gap[..., -1])


def _spans(orders: np.ndarray, data: xr.Dataset) -> str:
    return ", ".join(
        f"{np.median(row):.3f} [{row.min():.3f}, {row.max():.3f}] (k = {k})"
        for k, row in zip(data.k.values, orders, strict=True)
    )


def _first(one: xr.Dataset, method: str) -> Claim:
    orders = _orders(one.signal.transpose("k", "trial", "halving").values)
    middle = np.median(orders, axis=1)
    return Claim(
        name=f"first order at every width ({method})",
        says=f"{method} → {_PAIRS[method]} with order 1; (rule) the median of the finest two steps "
        "is within 0.1 of 1 at each k",
        finds=_spans(orders, one),
        number=float(middle[np.argmax(abs(middle - 1))]),
        holds=bool(np.all(abs(middle - 1) <= 0.1)),
    )


def _second(one: xr.Dataset, method: str) -> Claim:
    orders = _orders(one.signal_extrapolated.transpose("k", "trial", "coarse").values)
    middle = np.median(orders, axis=1)
    return Claim(
        name=f"second order after extrapolation ({method})",
        says="the error has an expansion c h + O(h²), so 2x_{h/2} − x_h has order 2; (rule) the "
        "median is within 0.2 of 2 at each k",
        finds=_spans(orders, one),
        number=float(middle[np.argmax(abs(middle - 2))]),
        holds=bool(np.all(abs(middle - 2) <= 0.2)),
    )


def _width(one: xr.Dataset, method: str) -> Claim:
    found = {
        name: float(
            np.polyfit(
                np.log(one.k.values),
                np.log(one[name].isel(halving=-1).median("trial").values),
                1,
            )[0]
        )
        for name in _OBSERVED
    }
    return Claim(
        name=f"the gap tends to a constant in k ({method})",
        says="(expected) as the kernel tends to a constant, both follow the same linear dynamics: "
        "the gap of x goes like a power of k within 0.25 of 0",
        finds=", ".join(f"{name}: k^{q:.2f}" for name, q in found.items()),
        number=found["signal"],
        holds=abs(found["signal"]) <= 0.25,
    )
