"""`jaxdip compare`: the gap between a discrete method and its flow, against the step size."""

import dataclasses
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import xarray as xr

import jaxdip as jd
from jaxdip._types import Array
from jaxdip.cli._forward import Forward, linear, require
from jaxdip.cli._images import load_image, prepare
from jaxdip.cli._network import Damping, Network, dynamics_names
from jaxdip.cli._outputs import (
    check_folder,
    make_folder,
    plain,
    provenance,
    table,
    write_json,
    write_zarr,
)
from jaxdip.cli._parse import flat_fields
from jaxdip.cli._runs import FLOW_OF
from jaxdip.cli._runtime import INTERRUPTED, Machine, UsageError, device_name, version_line
from jaxdip.plot import OrderSeries, order_plot, save

# What describes an image's measurement, and what the synthetic problem.
_OF_IMAGES = {"size", "gray", "peak"} | {f.name for f in dataclasses.fields(Forward)} - {"noise"}
_OF_SYNTHETIC = {"n", "m"}


@dataclasses.dataclass(frozen=True)
class Compare:
    """Measure how gradient descent approaches gradient flow, and IGAHD approaches ISEHD.

    The problem is synthetic (a Gaussian matrix m × n and a Gaussian signal) unless --image is
    given. Each method runs with --steps steps, then with twice as many to the same time, and so on.
    Writes gaps.json, gaps.zarr, order.png and order.pdf.
    """

    image: str = ""
    """A file or a library image; then the options of `jaxdip recover`'s operator apply."""
    size: int = 32
    """With --image: the shorter side in pixels; 0 keeps the image's own size."""
    gray: bool = False
    """With --image: turn a colour image gray."""
    peak: float = 1.0
    """With --image: the value of white."""
    n: int = 5
    """Without --image: the length of the signal."""
    m: int = 3
    """Without --image: the number of measurements."""
    forward: Forward = dataclasses.field(default_factory=Forward)
    network: Network = dataclasses.field(default_factory=Network)
    dynamics: str = "gd,igahd"
    """Which methods, separated by commas: gd (to gradient flow), igahd (to ISEHD)."""
    steps: int = 100
    """Steps of the coarsest run."""
    halvings: int = 4
    """How often the step is halved, at least 1."""
    records: int = 10
    """At how many times method and flow are compared; divides --steps."""
    step_size: float | None = None
    """γ of gd and s of igahd in the coarsest run; by default 1/(4L), L estimated on the problem."""
    damping: Damping = dataclasses.field(default_factory=Damping)
    out: Path = Path("compared")
    """The folder to write to."""
    config: Path | None = None
    """A TOML file of options, one key per flag; the command line wins."""
    machine: Machine = dataclasses.field(default_factory=Machine)

    def check(self, given: Set[str] = frozenset()) -> None:
        """Refuse options outside their ranges, naming the flag, and given ones without effect."""
        self._check_kind(given)
        self.forward.check()
        self.network.check()
        self.damping.check()
        names = dynamics_names(self.dynamics, tuple(FLOW_OF))
        for flag in ("n", "m", "steps", "halvings", "records"):
            require(getattr(self, flag) >= 1, f"--{flag}", getattr(self, flag), "at least 1")
        require(
            self.steps % self.records == 0,
            "--records",
            self.records,
            f"a divisor of --steps {self.steps}",
        )
        require(self.size >= 0, "--size", self.size, "at least 0")
        require(0 < self.peak < np.inf, "--peak", self.peak, "> 0 and finite")
        if self.step_size is not None:
            require(0 < self.step_size < np.inf, "--step-size", self.step_size, "> 0 and finite")
            if "igahd" in names:
                self.damping.check_step(self.step_size)

    def _check_kind(self, given: Set[str]) -> None:
        idle = _OF_SYNTHETIC if self.image else _OF_IMAGES
        flags = ", ".join(sorted(given & {f"--{name.replace('_', '-')}" for name in idle}))
        if flags and self.image:
            raise UsageError(f"{flags}: without effect with --image; leave out one or the other")
        if flags:
            raise UsageError(
                f"{flags}: without effect unless --image is given; add --image, or leave it out "
                "(the synthetic problem is --m × --n)"
            )

    def run(self) -> int:
        """Measure, write and print; the exit status."""
        check_folder(self.out)
        key = jax.random.key(self.machine.seed)
        operator, x_true = self._forward(key)
        data = jd.measure(
            operator,
            x_true,
            noise=self.forward.noise * (self.peak if self.image else 1.0),
            key=jd.key_for(key, "noise"),
        )
        generator, u = self.network.build(operator.in_structure.shape, key)
        problem = jd.Problem(u=u, operator=operator, loss=self.network.build_loss(), y=data.y)
        s = self.step_size
        if s is None:
            s = 0.25 / float(eqx.filter_jit(jd.gradient_lipschitz)(problem, generator).value)
        names = dynamics_names(self.dynamics, tuple(FLOW_OF))
        if "igahd" in names:
            self.damping.check_step(s)
        numbers = self.damping.numbers(problem, generator, s)
        make_folder(self.out)
        orders: dict[str, jd.Order] = {}
        interrupted = False
        try:
            for name in names:
                orders[name] = self._order(name, problem, generator, s, numbers)
        except KeyboardInterrupt:
            interrupted = True
        scale = float(np.linalg.norm(np.ravel(np.asarray(x_true))))
        self._write(orders, scale, self._caption(operator, s, numbers), interrupted)
        print(_report(orders, scale))
        print(f"{'interrupted; ' if interrupted else ''}written to {self.out}/")
        return INTERRUPTED if interrupted else 0

    def _forward(self, key) -> tuple[jd.operators.AbstractLinearOperator, Array]:
        if self.image:
            pixels = self.peak * prepare(load_image(self.image), self.size, self.gray)
            return linear(self.forward, pixels.shape, jd.key_for(key, "operator")), pixels
        operator = jd.operators.Gaussian(m=self.m, n=self.n, key=jd.key_for(key, "operator"))
        return operator, jax.random.normal(jd.key_for(key, "signal"), (self.n,))

    def _order(
        self,
        name: str,
        problem: jd.Problem,
        generator: jd.TwoLayer,
        s: float,
        numbers: tuple[float, float],
    ) -> jd.Order:
        if name == "gd":
            flow, method, h = jd.GradientFlow(), jd.GradientDescent(s), s
        else:
            flow, method, h = jd.ISEHD(*numbers), jd.IGAHD(s, *numbers), s**0.5
        try:
            return jd.convergence_order(
                problem,
                flow,
                method,
                generator,
                horizon=h * self.steps,
                steps=self.steps,
                halvings=self.halvings,
                records=self.records,
                observe={"signal": jd.observables.Signal()},
            )
        except RuntimeError as error:
            raise RuntimeError(f"{name}: {error} (--step-size {s:.3g} is the coarsest)") from None

    def _caption(
        self, operator: jd.operators.AbstractLinearOperator, s: float, numbers: tuple[float, float]
    ) -> str:
        what = (
            self.forward.describe(operator.in_structure.shape)
            if self.image
            else f"Gaussian matrix, {self.m} × {self.n}"
        )
        return (
            f"Operator: {what}. Noise: Gaussian, std {self.forward.noise:g}. "
            f"{self.network.describe()}. Coarsest: {self.steps} steps, γ = s = {s:.3g}; "
            f"α = {numbers[0]:.3g}, β = {numbers[1]:.3g}. Seed {self.machine.seed}, "
            f"{self.machine.precision}, {device_name()}. {version_line()}."
        )

    def _write(
        self, orders: Mapping[str, jd.Order], scale: float, caption: str, interrupted: bool
    ) -> None:
        config = flat_fields(self)
        if orders:
            series = [
                OrderSeries(
                    dynamics=name,
                    flow=FLOW_OF[name],
                    step_sizes=order.time_steps,
                    gaps=order.gaps["signal"] / scale,
                    order=order.fitted["signal"],
                )
                for name, order in orders.items()
            ]
            label = "max over t of ‖x_flow(t) − x_steps(t)‖ / ‖x̄‖"
            figure = order_plot(series, gap_label=label, caption=caption)
            for ending in ("png", "pdf"):
                save(figure, self.out / f"order.{ending}", plain(config))
        record = {**provenance(config), "interrupted": interrupted, "signal_norm": scale}
        write_zarr(self.out / "gaps.zarr", _dataset(orders), record)
        write_json(self.out / "gaps.json", {**record, "orders": _summary(orders)})


def _dataset(orders: Mapping[str, jd.Order]) -> xr.Dataset:
    data: dict[str, Any] = {}
    for name, order in orders.items():
        data[f"{name}_time_step"] = ("halving", order.time_steps)
        for what, gaps in order.gaps.items():
            data[f"{name}_{what}_gap"] = ("halving", gaps)
    return xr.Dataset(data)


def _summary(orders: Mapping[str, jd.Order]) -> dict[str, Any]:
    return {
        name: {
            "flow": FLOW_OF[name],
            "time_steps": order.time_steps,
            "gaps": order.gaps,
            "fitted_order": order.fitted,
            "successive_orders": order.successive,
        }
        for name, order in orders.items()
    }


def _report(orders: Mapping[str, jd.Order], scale: float) -> str:
    rows = [["pair", "step h", "signal gap / ‖x̄‖", "order"]]
    for name, order in orders.items():
        gaps = order.gaps["signal"] / scale
        successive = ["", *(f"{q:.3f}" for q in order.successive["signal"])]
        pair = f"{name} → {FLOW_OF[name]}"
        for h, gap, q in zip(order.time_steps, gaps, successive, strict=True):
            rows.append([pair, f"{h:.4g}", f"{gap:.4e}", q])
        rows.append([pair, "fitted", "", f"{order.fitted['signal']:.3f}"])
    return table(rows)
