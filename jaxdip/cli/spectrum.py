"""`jaxdip spectrum`: the singular values on which everything depends."""

import dataclasses
from collections.abc import Set
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import xarray as xr

import jaxdip as jd
from jaxdip.cli._network import Network
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
from jaxdip.cli._runtime import Machine, device_name, version_line
from jaxdip.cli._synthetic import Synthetic
from jaxdip.plot import Curve, Panel, curves_plot, save


@dataclasses.dataclass(frozen=True)
class SpectrumOf:
    """Print and draw the singular values of J_g and A J_g at the start, each end with its evidence.

    Writes spectrum.json, spectrum.zarr, spectrum.png and spectrum.pdf.
    """

    synthetic: Synthetic = dataclasses.field(default_factory=Synthetic)
    network: Network = dataclasses.field(default_factory=Network)
    method: Literal["auto", "closed form", "dense", "krylov"] = "auto"
    """How: in closed form for two-layer networks, a dense decomposition, or Krylov spaces."""
    out: Path = Path("spectrum")
    """The folder to write to."""
    config: Path | None = None
    """A TOML file of options, one key per flag; the command line wins."""
    machine: Machine = dataclasses.field(default_factory=Machine)

    def check(self, given: Set[str] = frozenset()) -> None:
        """Refuse options outside their ranges, naming the flag."""
        self.synthetic.check()
        self.network.check()

    def run(self) -> int:
        """Compute, write and print; the exit status."""
        check_folder(self.out)
        key = jax.random.key(self.machine.seed)
        problem, generator, _ = self.synthetic.build(self.network, key)
        found = {
            "J": jd.spectrum(problem, generator, of="J", method=self.method),
            "AJ": jd.spectrum(problem, generator, of="AJ", method=self.method),
        }
        make_folder(self.out)
        rows = [["", "value", "evidence"]]
        ends: dict[str, dict] = {}
        for name, one in found.items():
            for end in ("sigma_max", "sigma_min", "sigma_min_lower"):
                number = getattr(one, end)
                rows.append([f"{end}({name})", f"{float(number.value):.6e}", number.evidence])
                ends[f"{end}({name})"] = {
                    "value": float(number.value), "evidence": number.evidence, "how": number.how
                }  # fmt: skip
        A = np.asarray(problem.operator.singular_values())  # pyright: ignore[reportAttributeAccessIssue]
        values = {"J": np.asarray(found["J"].values), "AJ": np.asarray(found["AJ"].values), "A": A}
        print(table(rows))
        record = provenance(flat_fields(self))
        write_json(self.out / "spectrum.json", {**record, "ends": ends})
        data = {f"sigma_{name}": (f"index_{name}", sigma) for name, sigma in values.items()}
        write_zarr(self.out / "spectrum.zarr", xr.Dataset(data), record)
        self._draw(values)
        print(f"written to {self.out}/")
        return 0

    def _draw(self, values: dict[str, np.ndarray]) -> None:
        curves = [
            Curve(name, 1.0 + np.arange(len(sigma)), sigma, label=label, kind="points")
            for (name, sigma), label in zip(values.items(), ("J_g", "A J_g", "A"), strict=True)
        ]
        panel = Panel(curves, x="index", y="singular value", title="spectra at the start")
        caption = (
            f"{self.synthetic.describe()}. {self.network.describe()}. Seed {self.machine.seed}, "
            f"{self.machine.precision}, {device_name()}. {version_line()}."
        )
        figure = curves_plot([panel], caption=caption)
        for ending in ("png", "pdf"):
            save(figure, self.out / f"spectrum.{ending}", plain(flat_fields(self)))
