"""The grid of a sweep: named axes, and the cells of their product."""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxdip._random import check_key
from jaxdip._types import Key
from jaxdip.sweeps._trial import Point, Value


@dataclasses.dataclass(frozen=True)
class Grid:
    """All combinations of the values of some axes.

    Attributes:
        axes: the values of each axis, in the order of the cells' last index running fastest.
        constants: what all cells share.
    """

    axes: Mapping[str, tuple[Value, ...]]
    constants: Mapping[str, Value]

    @staticmethod
    def of(parameters: "Mapping[str, Value | Sequence[Value]] | Grid") -> "Grid":
        """The grid whose axes are the parameters that are given as several values.

        An axis with one float among whole numbers is an axis of floats.

        Args:
            parameters: by name, a number, string or Boolean, or a list or array of them.

        Raises:
            TypeError: if a value is none of these, or an axis mixes numbers with others.
            ValueError: if an axis is empty or repeats a value, or a number is not finite.
        """
        if isinstance(parameters, Grid):
            return parameters
        if not isinstance(parameters, Mapping):
            raise TypeError(
                f"a grid is a dictionary of parameters, got {type(parameters).__name__}; for "
                "example {'k': [10, 100], 'step': 0.5}"
            )
        axes: dict[str, tuple[Value, ...]] = {}
        constants: dict[str, Value] = {}
        for name, given in parameters.items():
            if _is_value(given):
                constants[name] = _value(name, given)
            else:
                axes[name] = _axis(name, given)
        return Grid(axes, constants)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(len(values) for values in self.axes.values())

    def __len__(self) -> int:
        """The number of cells."""
        return math.prod(self.shape)

    def point(self, cell: int) -> Point:
        """The parameters of one cell."""
        index = np.unravel_index(cell, self.shape) if self.shape else ()
        chosen = {
            name: values[i] for (name, values), i in zip(self.axes.items(), index, strict=True)
        }
        return {**self.constants, **chosen}

    def points(self) -> Iterator[Point]:
        """The parameters of all cells, in order."""
        for values in itertools.product(*self.axes.values()):
            yield {**self.constants, **dict(zip(self.axes, values, strict=True))}

    def as_json(self) -> dict[str, Any]:
        """Axes and constants as plain lists and values."""
        axes = {name: list(values) for name, values in self.axes.items()}
        # Units are named by the cell's position, which the order of the axes decides.
        return {"order": list(axes), "axes": axes, "constants": {**self.constants}}

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> "Grid":
        """The grid that `as_json` wrote."""
        axes = {name: tuple(stored["axes"][name]) for name in stored["order"]}
        return Grid(axes, dict(stored["constants"]))


def cell_key(key: Key, point: Point, paired: Sequence[str] = ()) -> Key:
    """The key of a cell: of its parameters, not of its place in the grid.

    So a cell gives the same trials in any grid, and can be recomputed alone. Trial i of it has the
    key `jax.random.fold_in(cell_key, i)`.

    Args:
        key: the sweep's key.
        point: the cell's parameters.
        paired: parameters that do not enter: cells that differ in these alone share their draws,
            so that their difference has less noise.
    """
    check_key(key)
    kept = {name: value for name, value in sorted(point.items()) if name not in paired}
    digest = hashlib.sha256(json.dumps(kept).encode()).digest()
    # 64 bits: of 1e5 cells, two would share 32 of them more often than not.
    for word in np.frombuffer(digest[:8], "<u4"):
        key = jax.random.fold_in(key, word)
    return key


def _is_value(given: Any) -> bool:
    return isinstance(given, str) or not (hasattr(given, "__len__") and _has_axes(given))


def _has_axes(given: Any) -> bool:
    return getattr(given, "ndim", 1) > 0


def _value(name: str, given: Any) -> Value:
    value = given.item() if isinstance(given, np.generic) or hasattr(given, "item") else given
    if not isinstance(value, bool | int | float | str):
        raise TypeError(
            f"{name} is a number, a string, a Boolean, or a list of them, got {given!r}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is a finite number, got {value}")
    return value


def _axis(name: str, given: Any) -> tuple[Value, ...]:
    if isinstance(given, set | frozenset | Mapping):
        raise TypeError(
            f"{name} is a number, a string, a Boolean, or a list of them, got a "
            f"{type(given).__name__}, which has no order"
        )
    if any(np.ndim(value) for value in given if not isinstance(value, str)):
        raise TypeError(
            f"{name} is a number, a string, a Boolean, or a list of them, got nested lists: "
            f"{given!r}"
        )
    values = [_value(name, value) for value in given]
    if not values:
        raise ValueError(f"{name} has no values; give one, or a list of them")
    kinds = {type(value) for value in values}
    if kinds == {int, float}:
        values = [float(value) for value in values]
    elif len(kinds) > 1:
        raise TypeError(f"{name} mixes {', '.join(sorted(k.__name__ for k in kinds))} in one axis")
    if len(set(values)) < len(values):
        raise ValueError(f"{name} repeats a value: {values}")
    return tuple(values)
