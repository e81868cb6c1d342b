"""Certificates as things to record: along a run, or over the trials of a sweep."""

from collections.abc import Callable

import equinox as eqx

from jaxdip._types import Array
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem
from jaxdip.problem.observables import AbstractObservable, Snapshot
from jaxdip.theory._certificate import Certificate

#: From a problem and a network to a certificate, such as `gradient_flow`.
Theorem = Callable[[Problem, AbstractGenerator], Certificate]


class Holds(AbstractObservable):
    """Whether a theorem holds for the network as it is now, taken as a start.

    Its mean over draws at step 0 is Figure 1a of arXiv 2403.05395.

    Attributes:
        theorem: such as `theory.gradient_flow`, or a function of (problem, generator) around it.
    """

    theorem: Theorem = eqx.field(static=True)

    def __call__(self, snapshot: Snapshot) -> Array:
        """The verdict, a Boolean."""
        return self.theorem(snapshot.problem, snapshot.generator()).holds


class Margin(AbstractObservable):
    """The margin of a theorem for the network as it is now, taken as a start.

    Attributes:
        theorem: as for `Holds`.
    """

    theorem: Theorem = eqx.field(static=True)

    def __call__(self, snapshot: Snapshot) -> Array:
        """right ÷ left of its tightest condition."""
        return self.theorem(snapshot.problem, snapshot.generator()).margin
