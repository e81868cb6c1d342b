"""A sweep as it is described: which units there are, and what one of them is."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._fingerprint import fingerprint
from jaxdip._numbers import count
from jaxdip._random import check_key
from jaxdip._source import source_digest
from jaxdip._types import Device, Key
from jaxdip.sweeps._grid import Grid, Value, cell_key
from jaxdip.sweeps._identity import numerical_identity, trial_digest
from jaxdip.sweeps._kernels import (
    begin_each,
    begun_apart,
    end_each,
    in_lanes,
    in_tile,
    one_by_one,
    together,
)
from jaxdip.sweeps._refine import Narrow
from jaxdip.sweeps._trial import (
    AbstractDeviceTrial,
    AbstractLoopTrial,
    AbstractPaddedTrial,
    AbstractTrial,
    FunctionTrial,
)
from jaxdip.sweeps._unit import Unit

#: Trials in a unit unless told otherwise: small enough that a lost unit is cheap.
_BLOCK = 50
#: Trials that an accelerator computes side by side unless told otherwise.
_LANES = 256
#: So many lists of that length are given to it at once, that lanes may be refilled.
_DEPTH = 16
#: Steps that lanes make between looks at which of them have ended.
_CHUNK = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """A sweep as it is described, before anything runs.

    Attributes:
        trial: what is repeated.
        grid: the cells.
        trials: of each cell.
        key: the sweep's key.
        paired: parameters that do not enter the cells' keys.
        block: trials of a unit.
        enough: when a cell needs no more units.
        lanes: how many trials are computed side by side; 0 for one after another, None for what
            suits the device.
    """

    trial: AbstractTrial
    grid: Grid
    trials: int
    key: Key
    paired: tuple[str, ...] = ()
    block: int = _BLOCK
    enough: Narrow | None = None
    lanes: int | None = None

    @staticmethod
    def of(
        trial: AbstractTrial | Callable[..., Any],
        grid: Grid | Mapping[str, Value | Sequence[Value]],
        *,
        trials: int,
        key: Key,
        paired: Sequence[str] = (),
        block: int | None = None,
        enough: Narrow | None = None,
        lanes: int | None = None,
    ) -> "Sweep":
        """A checked sweep.

        Raises:
            TypeError, ValueError: as `sweep`.
        """
        check_key(key)
        if not isinstance(trial, AbstractTrial):
            if not callable(trial):
                raise TypeError(f"trial is a function of (key, point), got {type(trial).__name__}")
            trial = FunctionTrial(trial)
        cells = Grid.of(grid)
        known = {*cells.axes, *cells.constants}
        if isinstance(paired, str):
            raise TypeError(f"paired is a list of names, got {paired!r}; write [{paired!r}]")
        for name in paired:
            if name not in known:
                raise ValueError(f"paired names {name!r}, the grid has {', '.join(sorted(known))}")
        trials = count("trials", trials, 1)
        block = min(trials, _BLOCK) if block is None else count("block", block, 1)
        lanes = None if lanes is None else count("lanes", lanes, 0)
        block = min(block, trials)
        return Sweep(trial, cells, trials, key, tuple(paired), block, enough, lanes)

    def units(self) -> list[Unit]:
        """All units, cell by cell."""
        starts = range(0, self.trials, self.block)
        return [
            Unit(cell, start, min(self.block, self.trials - start))
            for cell in range(len(self.grid))
            for start in starts
        ]

    def spec(self) -> dict[str, Any]:
        """What is computed, and how it is cut into units, for the plan."""
        return {
            "grid": self.grid.as_json(),
            "trials": self.trials,
            "key": np.asarray(jax.random.key_data(self.key)).ravel().tolist(),
            "key_kind": str(jax.random.key_impl(self.key)),
            "paired": sorted(self.paired),
            "block": self.block,
            "enough": None if self.enough is None else _rule(self.enough),
            "trial": type(self.trial).__name__,
            "trial_digest": trial_digest(self.trial),
        }

    def plan(self, devices: Sequence[Device]) -> dict[str, Any]:
        """What `plan.json` says: the spec, what decides the last bits, and the source.

        The source is on record only: most changes to it change no bit of an outcome.

        Raises:
            ValueError: if the trial cannot run on such a device.
        """
        self.check_device(devices[0])
        identity = numerical_identity(devices, self._kernel(devices[0]))
        return {"spec": self.spec(), "fingerprint": identity, "source": source_digest()}

    def check_device(self, device: Device) -> None:
        """Refuses a device that the trial cannot run on.

        Raises:
            ValueError: for such a device.
        """
        if isinstance(self.trial, AbstractDeviceTrial):
            self.trial.check_device(device)

    def _width(self, device: Device) -> int:
        if self.lanes is not None:
            return self.lanes
        return 0 if device.platform == "cpu" else _LANES

    def _kernel(self, device: Device) -> str:
        width = self._width(device)
        if not width:
            return "one by one"
        loop = isinstance(self.trial, AbstractLoopTrial)
        trials = self.room(device) * self.block
        return f"{width} lanes, {trials} trials" if loop else f"tiles of {width}"

    def room(self, device: Device) -> int:
        """How many units a device takes at once; all of one program."""
        width = self._width(device)
        if not width:
            return 1
        loop = isinstance(self.trial, AbstractLoopTrial)
        return max(1, (width * _DEPTH if loop else width) // self.block)

    def compute(self, units: Sequence[Unit], device: Device) -> list[dict[str, np.ndarray]]:
        """The outcomes of units of one program, from the key and the units' numbers alone.

        Args:
            units: at most `room` of them; on a CPU one, unless there are `lanes`.
            device: that computes.
        """
        kernel, arguments = self._call(units, device)
        made = kernel(*arguments)
        counts = [unit.count for unit in units]
        wanted, ends = sum(counts), np.cumsum(counts)[:-1]
        parts = {name: np.split(np.asarray(x)[:wanted], ends) for name, x in made.items()}
        return [{name: x[i] for name, x in parts.items()} for i in range(len(units))]

    def memory(self, unit: Unit, device: Device) -> int:
        """Bytes that the program of a unit works in, its arguments and outcomes included."""
        kernel, arguments = self._call([unit], device)
        if kernel is not begun_apart:
            return _bytes(kernel, *arguments)
        trial, program, numbers, key, ids = arguments
        size = together(trial, program, numbers, key, ids)
        first = (trial, trial.beginning(program), numbers, key, ids[:size], np.int32(size))
        states = begin_each(*first)
        return max(_bytes(begin_each, *first), _bytes(end_each, trial, program, states, first[-1]))

    def _call(self, units: Sequence[Unit], device: Device) -> tuple[Any, tuple[Any, ...]]:
        """The kernel for these units, and what it is called with."""
        side_by_side = self._width(device) > 0
        return (self._side_by_side if side_by_side else self._one_by_one)(units, device)

    def _one_by_one(self, units: Sequence[Unit], device: Device) -> tuple[Any, tuple[Any, ...]]:
        (unit,) = units
        point = self.grid.point(unit.cell)
        program, numbers = self.trial.program(point), self.trial.numbers(point)
        # The last block of a cell is as long as the others, so that all share a program.
        ids = np.minimum(np.arange(self.block) + unit.start, unit.start + unit.count - 1)
        key, numbers, ids = jax.device_put(
            (cell_key(self.key, point, self.paired), numbers, jnp.asarray(ids, jnp.int32)), device
        )
        apart = isinstance(self.trial, AbstractPaddedTrial)
        return begun_apart if apart else one_by_one, (self.trial, program, numbers, key, ids)

    def _side_by_side(self, units: Sequence[Unit], device: Device) -> tuple[Any, tuple[Any, ...]]:
        width, room = self._width(device), self.room(device)
        cells = list(dict.fromkeys(unit.cell for unit in units))
        points = [self.grid.point(cell) for cell in cells]
        # As many cells and trials every time, for one program: the last ones fill up.
        place = np.minimum(np.arange(room), len(cells) - 1)
        keys = jnp.stack([cell_key(self.key, point, self.paired) for point in points])[place]
        made = [self.trial.numbers(point) for point in points]
        numbers = jax.tree.map(lambda *xs: np.stack(xs)[place], *made)
        wanted = sum(unit.count for unit in units)
        size = -(-room * self.block // width) * width
        cell = np.full(size, len(cells) - 1, np.int32)
        ids = np.full(size, units[-1].start, np.int32)
        position = {cell: i for i, cell in enumerate(cells)}
        positions = [position[unit.cell] for unit in units]
        cell[:wanted] = np.repeat(positions, [unit.count for unit in units])
        ids[:wanted] = np.concatenate([unit.start + np.arange(unit.count) for unit in units])
        program = self.trial.program(points[0])
        numbers, keys, cell, ids, count = jax.device_put(
            (numbers, keys, cell, ids, np.int32(wanted)), device
        )
        drawn = (self.trial, program, numbers, keys, cell, ids, width)
        if isinstance(self.trial, AbstractLoopTrial):
            return in_lanes, (*drawn, _CHUNK, count)
        return in_tile, drawn


def _bytes(kernel: Any, *arguments: Any) -> int:
    """What a compiled kernel works in."""
    found = kernel.lower(*arguments).compile().compiled.memory_analysis()
    if found is None:
        return 0
    whole = found.temp_size_in_bytes + found.argument_size_in_bytes
    return whole + found.output_size_in_bytes


def _rule(rule: Narrow) -> dict[str, Any]:
    """The rule for the plan; a condition of one's own by a digest of its code."""
    found = {"event": rule.event, "width": rule.width, "level": rule.level, "least": rule.least}
    if not isinstance(rule.event, str):
        code = np.asarray(fingerprint(event=rule.event)["event"]).tobytes().hex()
        found |= {"event": None, "code": code}
    return found
