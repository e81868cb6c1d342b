"""`jaxdip certify`: the theorems' verdicts on a problem, and their bounds over its runs."""

import dataclasses
from collections.abc import Set
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import jaxdip as jd
from jaxdip.cli._certificates import certificate_record
from jaxdip.cli._forward import require
from jaxdip.cli._network import Network, dynamics_names
from jaxdip.cli._outputs import check_folder, make_folder, plain, provenance, write_json, write_zarr
from jaxdip.cli._parse import flat_fields
from jaxdip.cli._runtime import Machine, device_name, version_line
from jaxdip.cli._synthetic import Synthetic
from jaxdip.plot import CertifiedRun, certified_plot, save
from jaxdip.theory import (
    BallUsed,
    Certificate,
    Inapplicable,
    LossBound,
    StillKept,
    ground,
    stopping_time,
)

_RECORDS = 60


@dataclasses.dataclass(frozen=True)
class Certify:
    """Apply the convergence theorems to a synthetic problem, run it, and draw bound over run.

    Prints a table for each dynamics, with ✓ or ✗, margin and evidence. The ground is that which
    holds with the largest margin unless --ground names one. Writes certificates.json, runs.zarr,
    certified.png and certified.pdf.
    """

    synthetic: Synthetic = dataclasses.field(default_factory=Synthetic)
    network: Network = dataclasses.field(
        default_factory=lambda: Network(width=10_000, train="hidden")
    )
    dynamics: str = "gf,gd"
    """Which dynamics, separated by commas: gf, gd, isehd, igahd."""
    ground: Literal["best", "network", "row space", "sketched"] = "best"
    """Whose singular values carry the theorem: J_g as in the papers, P J_g, or A J_g."""
    steps: int = 2000
    """Steps of the discrete methods; each flow runs as long on its clock."""
    out: Path = Path("certified")
    """The folder to write to."""
    config: Path | None = None
    """A TOML file of options, one key per flag; the command line wins."""
    machine: Machine = dataclasses.field(default_factory=Machine)

    def check(self, given: Set[str] = frozenset()) -> None:
        """Refuse options outside their ranges, naming the flag."""
        self.synthetic.check()
        self.network.check()
        dynamics_names(self.dynamics)
        require(self.steps >= 1, "--steps", self.steps, "at least 1")

    def run(self) -> int:
        """Certify, run, write and print; the exit status."""
        check_folder(self.out)
        key = jax.random.key(self.machine.seed)
        problem, generator, measured = self.synthetic.build(self.network, key)
        make_folder(self.out)
        runs, tables = [], {}
        data: dict[str, Any] = {}
        for name in dynamics_names(self.dynamics):
            dynamics = self._dynamics(name, problem, generator)
            kind = None if self.ground == "best" else self.ground
            certificate = jd.certify(problem, generator, dynamics=dynamics, kind=kind)
            print(f"{certificate}")
            stop = _stopping_time(certificate, measured)
            if stop is not None:
                print(f"    stop at t = {stop:.3g}: from then on ‖y(t) − ȳ‖ ≤ 2‖ε‖")
            print()
            run = self._run(name, problem, generator, dynamics, certificate)
            runs.append(run)
            tables[name] = {**certificate_record(certificate), "stopping_time": stop}
            data |= _columns(name, run)
        record = provenance(flat_fields(self))
        write_json(self.out / "certificates.json", {**record, "certificates": tables})
        write_zarr(self.out / "runs.zarr", xr.Dataset(data), record)
        figure = certified_plot(runs, caption=self._caption())
        for ending in ("png", "pdf"):
            save(figure, self.out / f"certified.{ending}", plain(flat_fields(self)))
        print(f"written to {self.out}/")
        return 0

    def _dynamics(self, name: str, problem: jd.Problem, generator: jd.TwoLayer):
        if name == "gf":
            return jd.GradientFlow()
        if name == "gd":
            return jd.GradientDescent()
        try:
            mu = ground(problem, generator, "sketched").mu.value
        except Inapplicable:
            mu = None
        if mu is None or not float(mu) > 0:
            # No theorem speaks of it, and it says why; it runs with numbers of order 1.
            return jd.ISEHD(1.0, 0.5) if name == "isehd" else jd.IGAHD(0.01, 1.0, 0.1)
        if name == "isehd":
            return jd.ISEHD(*jd.theory.isehd_parameters(mu))
        alpha, beta = jd.theory.isehd_parameters(mu)
        L = jd.gradient_lipschitz(problem, generator).value
        return jd.IGAHD((0.4 * jnp.minimum(alpha, 1 / beta) / L) ** 2, alpha, beta)

    def _run(
        self, name: str, problem: jd.Problem, generator: jd.TwoLayer, dynamics, certificate
    ) -> CertifiedRun:
        observe = self._watched(problem, generator, certificate)
        every = max(1, self.steps // _RECORDS)
        if name in ("gd", "igahd"):
            run = jd.iterate(problem, dynamics, generator, self.steps, every=every, observe=observe)
        else:
            step = float(1 / jd.gradient_lipschitz(problem, generator).value)
            end = self.steps * (step if name == "gf" else step**0.5)
            ts = jnp.linspace(0.0, end, self.steps // every + 1)
            # Tight, so that the curve is the flow's down to where bounds are compared with it.
            run = jd.integrate(
                problem, dynamics, generator, ts, observe=observe, rtol=1e-9, atol=1e-13
            )
        if certificate.bounds:
            bound = np.asarray(certificate.loss_bound(run.ts))
        else:
            bound = np.full(len(run.ts), np.nan)
        return CertifiedRun(
            dynamics=name,
            ts=np.asarray(run.ts),
            loss=np.asarray(run.loss),
            bound=bound,
            holds=bool(certificate.holds),
            verdict=certificate.verdict,
            ball=np.asarray(run.observed["ball"]) if "ball" in run.observed else None,
            kept=np.asarray(run.observed["kept"]) if "kept" in run.observed else None,
        )

    def _watched(self, problem, generator, certificate: Certificate) -> dict:
        if not bool(certificate.applicable):
            return {}
        assert certificate.kind is not None
        base = ground(problem, generator, certificate.kind)
        return {"ball": BallUsed(base.radius.value), "kept": StillKept(base)}

    def _caption(self) -> str:
        return (
            f"{self.synthetic.describe()}. {self.network.describe()}. Seed {self.machine.seed}, "
            f"{self.machine.precision}, {device_name()}. {version_line()}."
        )


def _stopping_time(certificate: Certificate, data: jd.Measurement) -> float | None:
    """The theorem's early stop, where it has one and there is noise."""
    noise = float(data.noise_norm)
    if not noise > 0 or not isinstance(certificate.bounds.get("loss"), LossBound):
        return None
    stop = float(stopping_time(certificate, noise))
    return stop if bool(certificate.holds) else None


def _columns(name: str, run: CertifiedRun) -> dict[str, Any]:
    axis = f"{name}_record"
    columns = {
        "t": run.ts,
        "loss": run.loss,
        "bound": run.bound,
        "ball": run.ball,
        "kept": run.kept,
    }
    return {
        f"{name}_{what}": (axis, values) for what, values in columns.items() if values is not None
    }
