"""What a reconstruction takes of memory, said before its first step."""

from typing import NamedTuple


class Memory(NamedTuple):
    """Bytes on the device that computes, from the compiled program and the arrays at hand.

    Neither the process itself nor scratch that single kernels allocate for themselves is counted.

    Attributes:
        step: what the program takes beside its arguments and results: one look and one gradient,
            of one start, or of all of them where they run together.
        states: parameters, what the optimiser and the rules keep, and the images kept, of all
            starts; twice, because the old state is there while the new one is made.
        starts: how many.
    """

    step: int
    states: int
    starts: int
