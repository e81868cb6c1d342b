"""The unit of work: consecutive trials of one cell."""

import dataclasses


@dataclasses.dataclass(frozen=True, order=True)
class Unit:
    """Trials `start`, …, `start + count − 1` of one cell; computed, committed and lost as a whole.

    Attributes:
        cell: the cell's position in the grid.
        start: the first trial.
        count: how many trials.
    """

    cell: int
    start: int
    count: int

    @property
    def name(self) -> str:
        """Names its file, the same in every process: u-<cell>-<start>."""
        return f"u-{self.cell:06d}-{self.start:08d}"
