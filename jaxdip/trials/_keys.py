"""Parameters of a trial by name, checked."""

import difflib
from collections.abc import Iterable, Mapping

from jaxdip.sweeps import Value


def check_names(point: Mapping[str, Value], known: Iterable[str], what: str) -> None:
    """Refuses parameters that a trial does not have, with the nearest right name.

    Raises:
        ValueError: if there is one.
    """
    names = sorted(known)
    for name in point:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise ValueError(f"{what} has no parameter {name!r}; {hint}")


def check_choice(name: str, value: Value, choices: Iterable[str]) -> str:
    """One of several words.

    Raises:
        ValueError: if it is none of them.
    """
    known = list(choices)
    if value not in known:
        near = difflib.get_close_matches(str(value), known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"{name} is {value!r}; {hint}choose one of {', '.join(known)}")
    return str(value)
