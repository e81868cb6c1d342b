"""What `jaxdip recover` writes and prints."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import jaxdip as jd
from jaxdip._types import Array
from jaxdip.cli._outputs import plain, provenance, table, write_json, write_zarr
from jaxdip.cli._runs import FLOW_OF, Plan, Run, relative_gap
from jaxdip.cli._runtime import version_line
from jaxdip.imaging import Image, psnr, ssim, write_image
from jaxdip.plot import RecoveryRun, recovery_report, save

_psnr, _ssim = jax.jit(psnr), jax.jit(ssim)
_SMALLEST_SSIM = 7  # pixels, the side of its window


@dataclasses.dataclass(frozen=True, eq=False)
class Recovery:
    """Everything that is written."""

    image: Image
    truth: Array | None
    plan: Plan
    runs: tuple[Run, ...]
    peak: float
    caption: str
    config: Mapping[str, object]
    interrupted: bool


def write_recovery(recovery: Recovery, out: Path) -> None:
    """Write images, report, trajectories and summary; the summary last."""
    for run in recovery.runs:
        _write_image(recovery, run, out, f"recovered-{run.dynamics}")
    if recovery.runs:
        _write_image(recovery, recovery.runs[0], out, "recovered")
        figure = _figure(recovery)
        for ending in ("png", "pdf"):
            save(figure, out / f"report.{ending}", plain(recovery.config))
    record = provenance(recovery.config)
    attributes = {**record, "caption": recovery.caption, "interrupted": recovery.interrupted}
    write_zarr(out / "result.zarr", _dataset(recovery), attributes)
    summary = {**record, "interrupted": recovery.interrupted, **_summary(recovery)}
    write_json(out / "summary.json", summary)


def report_text(recovery: Recovery, out: Path) -> str:
    """The table that the command prints."""
    head = ["dynamics", "best PSNR", "SSIM", "t", "stop PSNR", "SSIM", "t", "end", "seconds"]
    rows = [head]
    for run in recovery.runs:
        best, stop = _quality(recovery, run, run.best), _quality(recovery, run, run.stop)
        cells = [_cells(best), _cells(stop)]
        rows.append([run.dynamics, *cells[0], *cells[1], run.reason, f"{run.seconds:.1f}"])
    note = "interrupted; " if recovery.interrupted else ""
    explained = "best: nearest to the truth; stop: discrepancy principle; PSNR in dB"
    return f"{table(rows)}\n{explained}\n{note}written to {out}/"


def _cells(quality: dict[str, float] | None) -> list[str]:
    if quality is None:
        return ["-", "-", "-"]
    decibels, similarity = quality.get("psnr"), quality.get("ssim")
    return [
        "-" if decibels is None else f"{decibels:.2f}",
        "-" if similarity is None else f"{similarity:.3f}",
        f"{quality['time']:.3g}",
    ]


def _quality(recovery: Recovery, run: Run, record: int | None) -> dict[str, float] | None:
    """Numbers of one record; PSNR and SSIM of the image as it is shown, clipped to [0, 1]."""
    if record is None:
        return None
    found = {
        "record": record,
        "time": float(run.time[record]),
        "loss": float(run.loss[record]),
        "residual": float(run.residual[record]),
    }
    if recovery.truth is None or run.error is None:
        return found
    truth = recovery.truth / recovery.peak
    shown = jnp.clip(jnp.asarray(run.images[record], truth.dtype) / recovery.peak, 0, 1)
    found["relative_error"] = float(run.error[record]) / _norm(recovery.truth)
    found["psnr"] = float(_psnr(shown, truth, 1.0))
    if min(truth.shape[:2]) >= _SMALLEST_SSIM:
        found["ssim"] = float(_ssim(shown, truth, 1.0))
    return found


def _summary(recovery: Recovery) -> dict[str, Any]:
    plan = recovery.plan
    runs = [
        {
            "dynamics": run.dynamics,
            "end": run.reason,
            "message": jd.RESULTS[run.solution.result],
            "seconds": run.seconds,
            "best": _quality(recovery, run, run.best),
            "discrepancy_stop": _quality(recovery, run, run.stop),
            "last": _quality(recovery, run, len(run.time) - 1),
            "numbers": {key: float(value) for key, value in run.solution.stats.items()},
        }
        for run in recovery.runs
    ]
    return {
        "image": {"name": recovery.image.name, "source": recovery.image.source},
        "shape": list(plan.generator.out_shape),
        "step_size": plan.step_size,
        "discrepancy_threshold": plan.threshold,
        "runs": runs,
        "gaps": _gaps(recovery),
    }


def _gaps(recovery: Recovery) -> dict[str, float]:
    """max over t of ‖x_flow − x_steps‖ / ‖x̄‖ (/ ‖y‖ where x̄ is unknown) of pairs that both ran."""
    by_name = {run.dynamics: run for run in recovery.runs}
    scale = _norm(recovery.plan.problem.y if recovery.truth is None else recovery.truth)
    return {
        f"{discrete}-{flow}": relative_gap(by_name[flow], by_name[discrete], scale)
        for discrete, flow in FLOW_OF.items()
        if discrete in by_name and flow in by_name
    }


def _norm(x: Array | np.ndarray) -> float:
    return float(np.linalg.norm(np.ravel(np.asarray(x))))


def _write_image(recovery: Recovery, run: Run, out: Path, name: str) -> None:
    """The recovery in the input's format and depth; floating point in the input's own units."""
    image = recovery.image
    ending = Path(image.source).suffix.lower()
    if ending not in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy"):
        ending = ".png"
    pixels = np.asarray(run.images[run.chosen], np.float64) / recovery.peak
    scale = image.scale if image.bits is None else 1.0
    write_image(out / f"{name}{ending}", pixels * scale, image.bits)


def _figure(recovery: Recovery):
    plan = recovery.plan
    truth = None if recovery.truth is None else np.asarray(recovery.truth)
    scale = 1.0 if truth is None else _norm(truth)
    drawn = [
        RecoveryRun(
            dynamics=run.dynamics,
            time=run.time,
            loss=run.loss,
            signal_error=None if run.error is None else run.error / scale,
            image=run.images[run.chosen],
            stop=run.stop,
            note=_note(recovery, run),
        )
        for run in recovery.runs
    ]
    clean = None
    if recovery.truth is not None:
        prediction = plan.problem.operator(recovery.truth)
        clean = float(plan.problem.loss(prediction, plan.problem.y))
    return recovery_report(
        truth,
        _shown_observation(plan),
        drawn,
        peak=recovery.peak,
        noise_loss=clean,
        caption=f"{recovery.caption} {version_line()}.",
    )


def _note(recovery: Recovery, run: Run) -> str:
    quality = _quality(recovery, run, run.chosen)
    where = "last" if run.stop is None else "stop"
    if quality is None or "psnr" not in quality:
        return where
    similarity = f", SSIM {quality['ssim']:.3f}" if "ssim" in quality else ""
    return f"{where}: {quality['psnr']:.2f} dB{similarity}"


def _shown_observation(plan: Plan) -> np.ndarray:
    """The data as an image where they are one: a mask's data are put back in their places."""
    operator, y = plan.problem.operator, plan.problem.y
    if isinstance(operator, jd.operators.Mask):
        return np.asarray(operator.adjoint(y))
    return np.asarray(y)


def _dataset(recovery: Recovery) -> xr.Dataset:
    """Trajectories padded with NaN to a common length, and the images."""
    runs, plan = recovery.runs, recovery.plan
    shape = plan.generator.out_shape
    axes = ("row", "column", "channel")[: len(shape)]
    length = max((len(run.time) for run in runs), default=0)

    def padded(curves):
        rows = [
            np.pad(c.astype(float), (0, length - len(c)), constant_values=np.nan) for c in curves
        ]
        return (("dynamics", "record"), np.reshape(rows, (len(runs), length)))

    def stacked(images):
        return (("dynamics", *axes), np.reshape(images, (len(runs), *shape)))

    data = {
        "time": padded([run.time for run in runs]),
        "loss": padded([run.loss for run in runs]),
        "residual": padded([run.residual for run in runs]),
        "recovered": stacked([run.images[run.chosen] for run in runs]),
        "last": stacked([run.images[-1] for run in runs]),
        "observation": (
            tuple(f"observation_{i}" for i in range(plan.problem.y.ndim)),
            np.asarray(plan.problem.y),
        ),
    }
    if recovery.truth is not None:
        data["truth"] = (axes, np.asarray(recovery.truth))
        data["signal_error"] = padded([run.error for run in runs])
        data["best"] = stacked([run.images[run.best] for run in runs])
    dataset = xr.Dataset(data, coords={"dynamics": [run.dynamics for run in runs]})
    for name in dataset:
        dataset[name].attrs["units"] = _UNITS.get(
            str(name), f"pixel value, white = {recovery.peak:g}"
        )
    return dataset


_UNITS = {
    "time": "dimensionless",
    "loss": "pixel value squared for the squared loss",
    "residual": "Euclidean norm, in units of the observation",
    "signal_error": "Euclidean norm, in pixel values",
    "observation": "units of the observation",
}
