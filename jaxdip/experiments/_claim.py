"""What a source says, what a run finds, and whether the two agree."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Claim:
    """One statement that a run checks.

    Attributes:
        name: a few words, unique in its experiment.
        says: what the source says, or what is expected where the source is silent.
        finds: what the run found, with its numbers, units and intervals.
        number: the number that decides.
        holds: whether the source's statement is what was found.
        note: where the two are known to differ, why.
    """

    name: str
    says: str
    finds: str
    number: float
    holds: bool
    note: str = ""

    @property
    def mark(self) -> str:
        """✓ or ✗."""
        return "✓" if self.holds else "✗"
