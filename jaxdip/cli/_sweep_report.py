"""What a sweep leaves for people: a table, a diagram, files that others can open."""

import contextlib
import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip.cli._outputs import plain, provenance, table, write_json, write_zarr
from jaxdip.cli._runtime import UsageError
from jaxdip.cli._sweep_config import TRIALS
from jaxdip.cli._sweep_lines import theory_lines
from jaxdip.plot import phase_diagram, save
from jaxdip.sweeps import Frequency, Grid, Narrow, Store, Sweep, SweepResult, collect
from jaxdip.trials._result_codes import RESULT_CODES

_ROWS = 60


def stored(store: Store) -> Sweep:
    """The sweep of a store, as far as its units and cells go."""
    spec = store.plan["spec"]
    grid = Grid.from_json(spec["grid"])
    nothing: Any = None
    enough = spec["enough"]
    # A rule of the caller's own code is not known here: its cells are then shown as not closed.
    enough = None if enough is None or enough["event"] is None else Narrow(**enough)
    paired = tuple(spec["paired"])
    return Sweep(nothing, grid, spec["trials"], nothing, paired, spec["block"], enough)


def frequency_of(result: SweepResult, event: str) -> Frequency:
    """How often the event happened.

    Raises:
        UsageError: if the trials have no such outcome, or it is no Boolean.
    """
    try:
        return result.frequency(event)
    except (KeyError, ValueError) as error:
        raise UsageError(f"event {event!r}: {error.args[0]}") from None


def text(result: SweepResult, event: str, rest: str = "in result.zarr") -> str:
    """A row for each cell: its parameters, the event's share and Wilson's interval.

    Args:
        result: of the sweep.
        event: the outcome that is counted.
        rest: where the cells are that are too many to print.
    """
    found = frequency_of(result, event)
    axes = list(result.grid.axes)
    rows = [[*(axes or ["cell"]), event, "95 % interval", "trials"]]
    for cell, point in enumerate(result.grid.points()):
        if cell == _ROWS:
            break
        share, low, high, N = (
            np.ravel(x)[cell] for x in (found.value, found.low, found.high, found.trials)
        )
        named = [str(_short(point[name])) for name in axes] or ["0"]
        interval = f"{low:.3f} to {high:.3f}" if N else "-"
        rows.append([*named, f"{share:.3f}" if N else "-", interval, str(int(N))])
    more = len(result.grid) - _ROWS
    return table(rows) + (f"\n… and {more} more cells: {rest}" if more > 0 else "")


def write(
    result: SweepResult,
    event: str,
    config: Mapping[str, Any],
    out: Path,
    intervals: bool = False,
) -> None:
    """result.zarr, summary.json and, for one or two axes, diagram.png and .pdf.

    Of the processes of a sweep several may be last: they write one after another, the same.
    """
    found = frequency_of(result, event)
    figure = diagram(result, event, intervals=intervals)
    with _one_at_a_time(out):
        _write(result, found, event, config, out)
        if figure is not None:
            for ending in ("png", "pdf"):
                save(figure, out / f"diagram.{ending}", plain(config))


@contextlib.contextmanager
def _one_at_a_time(out: Path):
    """Waits for other processes; a lock of the system's own, which the death of a process ends."""
    with (out / "plan.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(
    result: SweepResult, found: Frequency, event: str, config: Mapping[str, Any], out: Path
) -> None:
    record = {**provenance(config), "plan": result.provenance}
    write_zarr(out / "result.zarr", labelled(result), record)
    cells = [
        {"point": dict(point), "share": share, "low": low, "high": high, "trials": int(N)}
        for point, share, low, high, N in zip(
            result.grid.points(),
            *(np.ravel(x) for x in (found.value, found.low, found.high, found.trials)),
            strict=True,
        )
    ]
    summary = {**record, "event": event, "complete": result.complete, "cells": cells}
    write_json(out / "summary.json", summary)


def labelled(result: SweepResult) -> xr.Dataset:
    """The outcomes, with the meanings of result codes as the CF conventions have them."""
    dataset = result.to_xarray()
    known = {kind.__name__ for kind in TRIALS.values()}
    if result.provenance["spec"]["trial"] in known and "result" in dataset:
        codes = {"not_done": 0, **RESULT_CODES}
        codes_type = dataset["result"].dtype
        dataset["result"].attrs["flag_values"] = np.array(list(codes.values()), codes_type)
        dataset["result"].attrs["flag_meanings"] = " ".join(codes)
    return dataset


def export(result: SweepResult, path: Path) -> None:
    """The outcomes as NetCDF or CSV, by the file's ending.

    Raises:
        UsageError: for another ending.
    """
    dataset = labelled(result)
    partial = path.with_name(path.name + ".partial")
    if path.suffix == ".nc":
        dataset.attrs["plan"] = json.dumps(plain(result.provenance))
        dataset.to_netcdf(partial, engine="scipy")
    elif path.suffix == ".csv":
        dataset.to_dataframe().to_csv(partial)
    else:
        raise UsageError(f"--export {path}: expected a name that ends in .nc or .csv")
    partial.replace(path)


def partial_result(store: Store) -> SweepResult:
    """What is there."""
    return collect(stored(store), store, store.plan)


def diagram(result: SweepResult, event: str, *, intervals: bool = False) -> Figure | None:
    """The event's share over the axes that have several values; None unless one or two have.

    Args:
        result: of the sweep.
        event: the outcome that is counted.
        intervals: draw the contours of the intervals' ends too.

    Raises:
        UsageError: as `frequency_of`.
    """
    found = frequency_of(result, event)
    long = [name for name, values in result.grid.axes.items() if len(values) > 1]
    if not 1 <= len(long) <= 2:
        return None
    shape = [len(result.grid.axes[name]) for name in long]
    x_axis = long[-1]
    fixed = {
        **result.grid.constants,
        **{k: v[0] for k, v in result.grid.axes.items() if len(v) == 1},
    }
    told = ", ".join(f"{name} = {_short(value)}" for name, value in fixed.items())
    caption = (
        f"{told}; {result.done.shape[-1]} trials a cell, key "
        f"{':'.join(str(x) for x in result.provenance['spec']['key'])}; "
        f"{result.provenance['fingerprint']['backend']}, jax {jax.__version__}"
    )
    y = None if len(long) == 1 else list(result.grid.axes[long[0]])
    return phase_diagram(
        list(result.grid.axes[x_axis]),
        y,
        found.value.reshape(shape).T,
        low=found.low.reshape(shape).T,
        high=found.high.reshape(shape).T,
        trials=found.trials.reshape(shape).T,
        intervals=intervals,
        lines=theory_lines(
            result.grid, result.provenance["spec"]["trial"], [x_axis, *long[:-1]], event=event
        ),
        x_label=x_axis,
        y_label=long[0] if y is not None else "",
        label=f"share of trials {event}",
        caption=caption,
    )


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
