"""What `jaxdip recover` writes and prints."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxdip as jd
from jaxdip._types import Array
from jaxdip.cli._certificates import certificate_record
from jaxdip.cli._dataset import recovery_dataset
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
    _write_image(recovery, recovery.runs[0], out, "recovered")
    figure = _figure(recovery)
    for ending in ("png", "pdf"):
        save(figure, out / f"report.{ending}", plain(recovery.config))
    record = provenance(recovery.config)
    attributes = {**record, "caption": recovery.caption, "interrupted": recovery.interrupted}
    plan = recovery.plan
    dataset = recovery_dataset(plan.problem, recovery.truth, recovery.peak, recovery.runs)
    write_zarr(out / "result.zarr", dataset, attributes)
    summary = {**record, "interrupted": recovery.interrupted, **_summary(recovery)}
    write_json(out / "summary.json", summary)


def write_measurement(
    image: Image,
    problem: jd.Problem,
    truth: Array | None,
    peak: float,
    config: Mapping[str, object],
    out: Path,
) -> None:
    """Write what there is when an interrupt came before any dynamics ran."""
    record = {**provenance(config), "interrupted": True}
    write_zarr(out / "result.zarr", recovery_dataset(problem, truth, peak, ()), record)
    shape = problem.operator.in_structure.shape
    write_json(out / "summary.json", {**record, **_source(image, shape), "runs": []})


def _source(image: Image, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"image": {"name": image.name, "source": image.source}, "shape": list(shape)}


def report_text(recovery: Recovery, out: Path) -> str:
    """The table that the command prints."""
    head = ["dynamics", "best PSNR", "SSIM", "t", "stop PSNR", "SSIM", "t", "end", "seconds"]
    rows = [head]
    for run in recovery.runs:
        best, stop = _quality(recovery, run, run.best), _stop(recovery, run)
        cells = [_cells(best, "time"), _cells(stop, "crossing_time")]
        rows.append([run.dynamics, *cells[0], *cells[1], run.reason, f"{run.seconds:.1f}"])
    note = "interrupted; " if recovery.interrupted else ""
    explained = (
        "best: the record nearest to the truth; stop: the first at which the discrepancy principle "
        "holds, its t interpolated; PSNR in dB"
    )
    return f"{table(rows)}\n{explained}\n{note}written to {out}/"


def _cells(quality: dict[str, float] | None, time: str) -> list[str]:
    if quality is None:
        return ["-", "-", "-"]
    decibels, similarity = quality.get("psnr"), quality.get("ssim")
    return [
        "-" if decibels is None else f"{decibels:.2f}",
        "-" if similarity is None else f"{similarity:.3f}",
        f"{quality[time]:.3g}",
    ]


def _stop(recovery: Recovery, run: Run) -> dict[str, float] | None:
    """The record of the discrepancy principle, and when between records its threshold fell."""
    found = _quality(recovery, run, run.stop)
    if found is None or run.crossing is None:
        return None
    return {**found, "crossing_time": run.crossing}


def _quality(recovery: Recovery, run: Run, record: int | None) -> dict[str, float] | None:
    """Numbers of one record; PSNR and SSIM of the image as it is shown, clipped to [0, 1]."""
    if record is None:
        return None
    found = {
        "record": record,
        "time": float(run.time[record]),
        "since_last_record": float(run.time[record] - run.time[max(0, record - 1)]),
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
            "discrepancy_stop": _stop(recovery, run),
            "last": _quality(recovery, run, len(run.time) - 1),
            "numbers": {key: float(value) for key, value in run.solution.stats.items()},
            **_certified(plan, run),
        }
        for run in recovery.runs
    ]
    return {
        **_source(recovery.image, plan.generator.out_shape),
        "step_size": plan.step_size,
        "discrepancy_threshold": plan.threshold,
        "runs": runs,
        "gaps": _gaps(recovery),
    }


def _certified(plan: Plan, run: Run) -> dict[str, Any]:
    """The certificate of a run, and the most that the run used of its ball."""
    if run.dynamics not in plan.certificates:
        return {}
    used = None if run.ball is None else float(run.ball.max())
    certificate = certificate_record(plan.certificates[run.dynamics])
    return {"certificate": {**certificate, "ball_used": used}}


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
