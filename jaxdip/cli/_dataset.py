"""Measurement and trajectories as one labelled dataset."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

import jaxdip as jd
from jaxdip._types import Array
from jaxdip.cli._runs import Run

_UNITS = {
    "time": "dimensionless",
    "loss": "pixel value squared for the squared loss",
    "residual": "Euclidean norm, in units of the observation",
    "signal_error": "Euclidean norm, in pixel values",
    "observation": "units of the observation",
    "ball_used": "dimensionless: ‖θ − θ0‖ over the radius R of the certificate",
}


def recovery_dataset(
    problem: jd.Problem, truth: Array | None, peak: float, runs: Sequence[Run]
) -> xr.Dataset:
    """Observation, truth where known, and where anything ran its trajectories and images."""
    y = np.asarray(problem.y)
    data: dict = {"observation": (tuple(f"observation_{i}" for i in range(y.ndim)), y)}
    if truth is not None:
        data["truth"] = (_axes(truth.ndim), np.asarray(truth))
    if runs:
        data |= _trajectories(runs)
    names = {"dynamics": [run.dynamics for run in runs]} if runs else {}
    dataset = xr.Dataset(data, coords=names)
    for name in dataset:
        dataset[name].attrs["units"] = _UNITS.get(str(name), f"pixel value, white = {peak:g}")
    return dataset


def _axes(dimensions: int) -> tuple[str, ...]:
    return ("row", "column", "channel")[:dimensions]


def _trajectories(runs: Sequence[Run]) -> dict:
    """Curves padded with NaN to a common length, and images."""
    length = max(len(run.time) for run in runs)

    def padded(curves):
        rows = [
            np.pad(c.astype(float), (0, length - len(c)), constant_values=np.nan) for c in curves
        ]
        return (("dynamics", "record"), np.stack(rows))

    def stacked(images):
        images = np.stack(images)
        return (("dynamics", *_axes(images.ndim - 1)), images)

    data = {
        "time": padded([run.time for run in runs]),
        "loss": padded([run.loss for run in runs]),
        "residual": padded([run.residual for run in runs]),
        "recovered": stacked([run.images[run.chosen] for run in runs]),
        "last": stacked([run.images[-1] for run in runs]),
    }
    if any(run.ball is not None for run in runs):
        data["ball_used"] = padded(
            [np.full(len(run.time), np.nan) if run.ball is None else run.ball for run in runs]
        )
    if all(run.error is not None for run in runs):
        data["signal_error"] = padded([run.error for run in runs])
        data["best"] = stacked([run.images[run.best] for run in runs])
    return data
