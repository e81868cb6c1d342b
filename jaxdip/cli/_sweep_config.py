"""The file that describes a sweep."""

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdip.cli._runtime import UsageError
from jaxdip.sweeps import AbstractTrial, Grid, Narrow, Sweep
from jaxdip.trials import FusedTwoLayerTrial, NetworkTrial, TwoLayerTrial

TRIALS: Mapping[str, type[AbstractTrial]] = {
    "two-layer": TwoLayerTrial,
    "two-layer-fused": FusedTwoLayerTrial,
    "network": NetworkTrial,
}
#: Parameters that are whole numbers, so that spaced values of them are rounded.
_WHOLE = ("n", "m", "k", "d", "steps")
#: The file's keys: what each is, and its default.
KEYS: Mapping[str, tuple[str, str]] = {
    "trial": ("what is repeated: 'two-layer', 'two-layer-fused' (on GPUs and TPUs), or 'network' "
              "(more by name, compiles longer)", "'two-layer'"),
    "trials": ("how many of each cell", "50"),
    "seed": ("of the random key, 0 to 2^63 - 1; --seed overrides it", "0"),
    "event": ("the outcome whose frequency is tabulated and drawn", "'converged'"),
    "paired": ("parameters whose cells share their draws, such as ['step']", "[]"),
    "enough": ("end a cell when its 95 % interval is narrower, such as 0.1", "never"),
    "refine": ("{axis = 'k', rounds = 2}: sweeps of finer grids where the probability passes ½",
               "none"),
    "intervals": ("also draw the contours of the intervals' ends", "false"),
    "block": ("trials of a unit, which is computed and committed as a whole", "50"),
    "lanes": ("trials side by side on a device, 0 for one after another", "0 on CPUs, else 256"),
    "grid": ("a table: each parameter a number, a word, a list, or a range", "required"),
}  # fmt: skip
#: Ranges, by example.
RANGES: Mapping[str, str] = {
    '"1:5"': "1, 2, 3, 4, 5",
    '"0.1:0.5:0.1"': "from, to (if a step ends there), step",
    '"linspace(0, 1, 5)"': "so many evenly spaced, both ends included",
    '"geomspace(10, 1000, 5)"': "evenly spaced in the logarithm; whole parameters are rounded",
    '"logspace(1, 3, 5)"': "the same by exponents of ten",
}
_SPACINGS: Mapping[str, Callable[..., np.ndarray]] = {
    "linspace": np.linspace, "logspace": np.logspace, "geomspace": np.geomspace,
}  # fmt: skip
_SPACED = re.compile(r"\s*(\w+)\s*\(([^)]*)\)\s*")


@dataclasses.dataclass(frozen=True, eq=False)
class SweepConfig:
    """A sweep, and what its diagram shows.

    Attributes:
        sweep: it.
        event: the outcome whose frequency is tabulated and drawn.
        intervals: draw the contours of its intervals too.
        refine: the axis that is refined, and how many times; None for never.
        source: the file's table with the seed that runs, for the record.
    """

    sweep: Sweep
    event: str
    intervals: bool
    refine: tuple[str, int] | None
    source: Mapping[str, Any]


def read_sweep(path: Path, seed: int | None = None) -> SweepConfig:
    """The sweep that a TOML file describes, in the words of `KEYS` and `RANGES`.

        trials = 50
        enough = 0.1

        [grid]
        n = 5
        m = "1:5"
        k = "geomspace(10, 10000, 7)"
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
    if not isinstance(name, str) or name not in TRIALS:
        raise UsageError(f"{path}: trial is {name!r}{_hint(str(name), TRIALS)}")
    grid = table.get("grid", {})
    if not isinstance(grid, dict) or not grid:
        raise UsageError(f"{path}: it needs a table [grid] with the parameters of the cells")
    seed = table.get("seed", 0) if seed is None else seed
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UsageError(f"{path}: seed is a whole number from 0 to 2^63 - 1, got {seed!r}")
    event, enough = str(table.get("event", "converged")), table.get("enough")
    if enough is not None and not (isinstance(enough, float) and 0 < enough < 1):
        raise UsageError(
            f"{path}: enough is the width of an interval between 0 and 1, such as 0.1, "
            f"got {enough!r}"
        )
    if not isinstance(table.get("intervals", False), bool):
        raise UsageError(f"{path}: intervals is true or false, got {table['intervals']!r}")
    try:
        described = Sweep.of(
            TRIALS[name](),
            Grid.of({key: _values(key, value) for key, value in grid.items()}),
            trials=table.get("trials", 50),
            key=jax.random.key(seed),
            paired=table.get("paired", ()),
            block=table.get("block"),
            lanes=table.get("lanes"),
            enough=None if enough is None else Narrow(event, enough),
        )
        # Bound once: that takes longer than the calls.
        program, numbers = described.trial.program, described.trial.numbers
        for point in described.grid.points():
            program(point)
            numbers(point)
        _check_event(described, event)
        refine = _refine(table.get("refine"), described.grid)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{path}: {error}") from None
    source = {**table, "seed": seed}
    return SweepConfig(described, event, table.get("intervals", False), refine, source)


def _refine(given: Any, grid: Grid) -> tuple[str, int] | None:
    """The axis and the rounds.

    Raises:
        ValueError: if they are of no use.
    """
    if given is None:
        return None
    if not isinstance(given, dict) or given.keys() != {"axis", "rounds"}:
        raise ValueError(f'refine is {{axis = "k", rounds = 2}}, got {given!r}')
    axis, rounds = given["axis"], given["rounds"]
    if axis not in grid.axes:
        raise ValueError(f"refine: axis is {axis!r}{_hint(str(axis), grid.axes)}")
    if any(isinstance(value, str | bool) for value in grid.axes[axis]):
        raise ValueError(f"refine: axis {axis} holds no numbers, so that nothing lies between")
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise ValueError(f"refine: rounds is a whole number, at least 1, got {rounds!r}")
    return axis, rounds


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
        if key not in KEYS:
            raise UsageError(f"{path}: no option {key!r}{_hint(key, KEYS)}")


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
        return _range(name, given)
    return given


def _spaced(name: str, kind: str, words: str) -> list[float]:
    if kind not in _SPACINGS:
        raise ValueError(f"{name} = {kind}({words}): no range {kind!r}{_hint(kind, _SPACINGS)}")
    try:
        first, last, many = (float(word) for word in words.split(","))
        if many < 1 or many != int(many):
            raise ValueError("no number of values")
        with np.errstate(over="ignore"):
            found = [float(x) for x in _SPACINGS[kind](first, last, int(many))]
        if not np.all(np.isfinite(found)):
            raise ValueError("not finite")
        return found
    except ValueError:
        raise ValueError(
            f"{name} = {kind}({words}): expected two ends and how many (a whole number), such as "
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
    values = [float(f"{value:.12g}") for value in values]
    if name in _WHOLE and any(value != round(value) for value in values):
        raise ValueError(f"{name} = {words!r}: {name} is a whole number; give whole ends and steps")
    return [round(value) for value in values] if name in _WHOLE else values


def _whole(name: str, values: list[Any]) -> list[Any]:
    if name not in _WHOLE:
        return values
    return list(dict.fromkeys(round(value) for value in values))
