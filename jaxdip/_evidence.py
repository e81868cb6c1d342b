"""Numbers with what they rest on: a verdict is never stronger than its weakest number."""

from typing import Literal

import equinox as eqx

from jaxdip._types import Array

#: What a number rests on.
#:
#: - 'closed form': a formula that is exact.
#: - 'bound': proven to lie on the safe side of the true number.
#: - 'dense spectrum': computed by a dense decomposition, exact up to rounding.
#: - 'assumed': given by the caller.
#: - 'estimate from below', 'estimate from above': approached from one side, not reached.
#: - 'sampled': the extreme of finitely many samples, or a mean with an error.
Evidence = Literal[
    "closed form",
    "bound",
    "dense spectrum",
    "assumed",
    "estimate from below",
    "estimate from above",
    "sampled",
]

#: How far a verdict can be trusted, from the strongest.
Grade = Literal["proven", "computed", "assumed", "estimated"]

_GRADES: dict[Evidence, Grade] = {
    "closed form": "proven",
    "bound": "proven",
    "dense spectrum": "computed",
    "assumed": "assumed",
    "estimate from below": "estimated",
    "estimate from above": "estimated",
    "sampled": "estimated",
}
_ORDER: tuple[Grade, ...] = ("estimated", "assumed", "computed", "proven")


class Quantity(eqx.Module):
    """A number, or several, with its evidence.

    Attributes:
        value: the number.
        how: what it is and where it comes from, in words.
        evidence: what it rests on.
    """

    value: Array
    how: str = eqx.field(static=True)
    evidence: Evidence = eqx.field(static=True)

    @property
    def grade(self) -> Grade:
        """How far it can be trusted."""
        return _GRADES[self.evidence]


def weakest(*grades: Grade) -> Grade:
    """The lowest of some grades; 'proven' of none."""
    return _ORDER[min((_ORDER.index(grade) for grade in grades), default=len(_ORDER) - 1)]
