"""What a sweep found: arrays over cells and trials, frequencies with their intervals."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from jaxdip.sweeps._grid import Grid
from jaxdip.sweeps._wilson import wilson


@dataclasses.dataclass(frozen=True, eq=False)
class Frequency:
    """How often something happened in each cell.

    Attributes:
        value: the share of the trials that were done, shape of the grid; NaN where none was.
        low: the lower end of Wilson's interval.
        high: the upper end.
        trials: how many were done.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    trials: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class SweepResult:
    """The outcomes of all trials.

    Attributes:
        grid: the cells.
        outcomes: by name, arrays of shape (*grid.shape, trials, …); where a trial was not done,
            NaN in floats and 0 in all else.
        done: which trials were, shape (*grid.shape, trials).
        closed: which cells were known well enough before all their trials, shape grid.shape.
        provenance: configuration, key, versions, device and precision.
    """

    grid: Grid
    outcomes: Mapping[str, np.ndarray]
    done: np.ndarray
    closed: np.ndarray
    provenance: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """Whether every trial was done that was needed."""
        return bool((self.done | self.closed[..., None]).all())

    def __getitem__(self, name: str) -> np.ndarray:
        """The outcome of that name.

        Raises:
            KeyError: if there is none.
        """
        if name not in self.outcomes:
            raise KeyError(f"no outcome {name!r}; there are {', '.join(self.outcomes)}")
        return self.outcomes[name]

    def frequency(
        self, event: str | Callable[[Mapping[str, np.ndarray]], np.ndarray], level: float = 0.95
    ) -> Frequency:
        """How often a Boolean outcome, or a condition on the outcomes, is true in each cell.

        Args:
            event: the name of an outcome of one Boolean a trial, or a function from the outcomes
                to such an array.
            level: of the intervals.

        Raises:
            KeyError: if there is no such outcome.
            ValueError: if it is not one Boolean a trial.
        """
        true = self[event] if isinstance(event, str) else event(self.outcomes)
        if true.dtype != bool or true.shape != self.done.shape:
            raise ValueError(
                f"a frequency needs one Boolean a trial, got {true.dtype} of shape {true.shape}; "
                "give a condition such as lambda o: o['loss'] < 1e-14"
            )
        hits, N = (true & self.done).sum(-1), self.done.sum(-1)
        low, high = wilson(hits, N, level)
        return Frequency(np.where(N > 0, hits / np.maximum(N, 1), np.nan), low, high, N)

    def to_xarray(self) -> xr.Dataset:
        """A dataset with the grid's axes and 'trial' as labelled dimensions.

        Raises:
            ValueError: if an outcome is called like an axis, 'trial' or 'done'.
        """
        axes = {name: np.array(values) for name, values in self.grid.axes.items()}
        if "trial" in axes:
            raise ValueError("the axis 'trial' is named like that of the trials; rename it")
        dims = (*axes, "trial")
        for name in self.outcomes:
            if name in (*dims, "done"):
                raise ValueError(f"the outcome {name!r} is named like a label; rename it")
        data = {
            name: ((*dims, *(f"{name}_{i}" for i in range(x.ndim - len(dims)))), x)
            for name, x in self.outcomes.items()
        }
        data["done"] = (dims, self.done)
        trials = {"trial": np.arange(self.done.shape[-1])}
        constants = {f"constant_{k}": v for k, v in self.grid.constants.items()}
        return xr.Dataset(data, coords={**axes, **trials}, attrs=constants)
