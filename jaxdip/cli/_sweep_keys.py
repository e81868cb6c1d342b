"""What a sweep's file may hold: its keys, its ranges, and the parameters of each trial."""

import inspect
import itertools
from collections.abc import Iterable

from jaxdip.cli._outputs import table
from jaxdip.cli._sweep_config import KEYS, RANGES, TRIALS
from jaxdip.generators import ACTIVATIONS
from jaxdip.trials._result_codes import RESULT_CODES


def keys_text() -> str:
    """Tables of all that may be written in the file, with meanings and defaults."""
    keys = [["key", "what", "default"], *([key, *told] for key, told in KEYS.items())]
    ranges = [["range", "values"], *(list(row) for row in RANGES.items())]
    codes = ", ".join(f"{code} {name}" for name, code in RESULT_CODES.items())
    parts = ["The file", table(keys, left=3), "Ranges, for parameters", table(ranges, left=2)]
    parts += [f"Activations: {', '.join(ACTIVATIONS)}", f"Result codes: 0 not done, {codes}"]
    for name, trial in TRIALS.items():
        parts.append(f'Parameters of trial = "{name}"')
        rows = _parameters(trial)
        if rows:
            parts += [table(rows, left=3), _paragraph(trial, "Outcomes:")]
        else:
            # One that is told by another.
            parts.append(_paragraph(trial, "Parameters and outcomes"))
    return "\n\n".join(parts)


def _parameters(trial: type) -> list[list[str]]:
    """The table in a trial's docstring, without the rule under its head."""
    lines = (inspect.getdoc(trial) or "").splitlines()
    rows = [_cells(line) for line in lines if line.startswith("|")]
    return [row for row in rows if not set("".join(row)) <= {"-", "|"}]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def _paragraph(trial: type, beginning: str) -> str:
    """The paragraph of a trial's docstring that begins so."""
    lines = (inspect.getdoc(trial) or "").splitlines()
    from_there: Iterable[str] = itertools.dropwhile(lambda x: not x.startswith(beginning), lines)
    return " ".join(itertools.takewhile(bool, (line.strip() for line in from_there)))
