"""Where the units of a sweep are kept while it runs."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from jaxdip.sweeps._unit import Unit


class Keeper(Protocol):
    """Where units are kept: a folder, or memory."""

    def done(self) -> set[str]:
        """The names of the units that are there."""
        ...

    def commit(self, unit: Unit, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> bool:
        """Keeps a unit; False if it was there already."""
        ...

    def read(self, unit: Unit) -> tuple[dict[str, np.ndarray], dict] | None:
        """A unit's outcomes and what is known of their making; None if there is none."""
        ...


class Memory:
    """Units kept in this process only."""

    def __init__(self):
        """Nothing yet."""
        self._units: dict[str, tuple[dict[str, np.ndarray], dict]] = {}

    def done(self) -> set[str]:
        """The names of the units that are there."""
        return set(self._units)

    def commit(self, unit: Unit, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> bool:
        """Keeps a unit; False if it was there already."""
        new = unit.name not in self._units
        self._units.setdefault(unit.name, (dict(arrays), dict(meta)))
        return new

    def read(self, unit: Unit) -> tuple[dict[str, np.ndarray], dict] | None:
        """A unit's outcomes; None if there is none."""
        return self._units.get(unit.name)
