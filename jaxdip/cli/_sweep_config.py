"""The file that describes a sweep."""

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdip.cli._runtime import UsageError
from jaxdip.sweeps import AbstractTrial, Grid, Narrow, Sweep
from jaxdip.trials import NetworkTrial, TwoLayerTrial

_TRIALS: Mapping[str, type[AbstractTrial]] = {"two-layer": TwoLayerTrial, "network": NetworkTrial}
#: Parameters that are whole numbers, so that ranges of them are rounded.
_WHOLE = ("n", "m", "k", "d", "steps")
_TOP = (
    "trial", "trials", "seed", "paired", "block", "lanes", "event", "enough", "intervals", "grid",
)  # fmt: skip
_SPACED = re.compile(r"\s*(linspace|logspace|geomspace)\s*\(([^)]*)\)\s*")


@dataclasses.dataclass(frozen=True, eq=False)
class SweepConfig:
    """A sweep, and what its diagram shows.

    Attributes:
        sweep: it.
        event: the outcome whose frequency is tabulated and drawn.
        source: the file's table, for the record.
    """

    sweep: Sweep
    event: str
    source: Mapping[str, Any]


def read_sweep(path: Path, seed: int | None = None) -> SweepConfig:
    """The sweep that a TOML file describes.

        trial = "two-layer"        # or "network", which can do more and compiles longer
        trials = 50                # of each cell
        seed = 0
        event = "converged"        # what is counted
        enough = 0.1               # end a cell when its 95 % interval is narrower; optional
        intervals = true           # draw the intervals' contours too; optional
        paired = ["step"]          # parameters whose cells share their draws
        lanes = 256                # trials side by side on a device; 0 for one after another

        [grid]                     # numbers, words, lists, or ranges
        n = 5
        m = "1:5"                  # 1, 2, 3, 4, 5; "0.1:0.5:0.1" with a step
        k = "geomspace(10, 10000, 7)"    # or linspace(a, b, N), or logspace with exponents
        step = [0.5, 1.0]

    Args:
        path: the file.
        seed: instead of the file's.

    Raises:
        UsageError: in one line, if the file cannot be read or says something that is of no use.
    """
    table = _table(path)
    _check_names(path, table)
    name = table.get("trial", "two-layer")
    if not isinstance(name, str) or name not in _TRIALS:
        raise UsageError(f"{path}: trial is {name!r}{_hint(str(name), _TRIALS)}")
    grid = table.get("grid", {})
    if not isinstance(grid, dict) or not grid:
        raise UsageError(f"{path}: it needs a table [grid] with the parameters of the cells")
    seed = table.get("seed", 0) if seed is None else seed
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UsageError(f"{path}: seed is a whole number from 0 to 2^63 - 1, got {seed!r}")
    event, enough = str(table.get("event", "converged")), table.get("enough")
    if enough is not None and (isinstance(enough, bool) or not isinstance(enough, float)):
        raise UsageError(f"{path}: enough is the width of an interval, such as 0.1, got {enough!r}")
    if not isinstance(table.get("intervals", False), bool):
        raise UsageError(f"{path}: intervals is true or false, got {table['intervals']!r}")
    try:
        described = Sweep.of(
            _TRIALS[name](),
            Grid.of({key: _values(key, value) for key, value in grid.items()}),
            trials=table.get("trials", 50),
            key=jax.random.key(seed),
            paired=table.get("paired", ()),
            block=table.get("block"),
            lanes=table.get("lanes"),
            enough=None if enough is None else Narrow(event, enough),
        )
        for point in described.grid.points():
            described.trial.program(point)
            described.trial.numbers(point)
        _check_event(described, event)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{path}: {error}") from None
    return SweepConfig(described, event, table)


def _check_event(described: Sweep, event: str) -> None:
    """Refuses an event that no trial reports, before any trial has run.

    Raises:
        ValueError: if there is no such outcome, or it is no Boolean.
    """
    point = next(iter(described.grid.points()))
    trial = described.trial
    made = jax.eval_shape(
        lambda key, numbers: trial.run(key, trial.program(point), numbers),
        jax.random.key(0),
        trial.numbers(point),
    )
    if event not in made:
        raise ValueError(f"event is {event!r}{_hint(event, sorted(made))}")
    if made[event].dtype != bool:
        raise ValueError(f"event {event!r} is no outcome that happens or not")


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML ({error})") from None


def _check_names(path: Path, table: Mapping[str, Any]) -> None:
    for key in table:
        if key not in _TOP:
            raise UsageError(f"{path}: no option {key!r}{_hint(key, _TOP)}")


def _hint(word: str, known) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"


def _values(name: str, given: Any) -> Any:
    """A value, a list of values, or the list that a range in words stands for."""
    if not isinstance(given, str):
        return given
    spaced = _SPACED.fullmatch(given)
    if spaced:
        return _whole(name, _spaced(name, *spaced.groups()))
    if re.fullmatch(r"[-+.\deE\s]+(:[-+.\deE\s]+){1,2}", given):
        return _whole(name, _range(name, given))
    return given


def _spaced(name: str, kind: str, words: str) -> list[float]:
    try:
        first, last, count = (float(word) for word in words.split(","))
        make = {"linspace": np.linspace, "logspace": np.logspace, "geomspace": np.geomspace}[kind]
        with np.errstate(over="ignore"):
            found = [float(x) for x in make(first, last, int(count))]
        if not np.all(np.isfinite(found)):
            raise ValueError("not finite")
        return found
    except ValueError:
        raise ValueError(
            f"{name} = {kind}({words}): expected two ends and how many, such as "
            "geomspace(10, 1000, 5)"
        ) from None


def _range(name: str, words: str) -> list[Any]:
    parts = words.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise ValueError(f"{name} = {words!r}: expected first:last or first:last:step") from None
    first, last = numbers[:2]
    step = numbers[2] if len(numbers) == 3 else 1.0
    if not step > 0 or last < first:
        raise ValueError(f"{name} = {words!r}: expected first <= last and a positive step")
    count = int(np.floor((last - first) / step * (1 + 1e-12) + 1e-12)) + 1
    values = [first + i * step for i in range(count)]
    if all(re.fullmatch(r"\s*[-+]?\d+\s*", part) for part in parts):
        return [round(value) for value in values]
    # 0.1 + 2·0.1 is 0.3.
    return [float(f"{value:.12g}") for value in values]


def _whole(name: str, values: list[Any]) -> list[Any]:
    if name not in _WHOLE:
        return values
    return list(dict.fromkeys(round(value) for value in values))
