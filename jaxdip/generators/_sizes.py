"""The sizes that generators are made of, checked."""

import math
import operator
from collections.abc import Sequence
from typing import SupportsIndex


def whole(name: str, size: SupportsIndex) -> int:
    """A size as a Python integer.

    Raises:
        TypeError: if it is not a whole number.
        ValueError: if it is below 1.
    """
    try:
        count = operator.index(size)
    except TypeError:
        raise TypeError(f"{name} is a whole number, got {size!r}; write it as an int") from None
    if count < 1:
        raise ValueError(f"{name} is at least 1, got {count}")
    return count


def signal_shape(
    out: SupportsIndex | Sequence[SupportsIndex] | None, n: int | None = None
) -> tuple[int, ...]:
    """The shape of a signal from `out`, a length or a shape; (n,) if it is left out.

    Raises:
        TypeError, ValueError: if an extent is no whole number ≥ 1.
        ValueError: if the shape has not n entries.
    """
    if out is None:
        assert n is not None
        return (n,)
    extents = out if isinstance(out, Sequence) else (out,)
    shape = tuple(whole("out", extent) for extent in extents)
    if n is not None and math.prod(shape) != n:
        raise ValueError(
            f"a signal of shape {shape} has {math.prod(shape)} entries, the last matrix has {n} "
            "rows"
        )
    return shape


def odd(name: str, size: SupportsIndex) -> int:
    """An odd size as a Python integer, such as the side of a window with a pixel in its middle.

    Raises:
        TypeError: if it is not a whole number.
        ValueError: if it is below 1 or even.
    """
    count = whole(name, size)
    if count % 2 == 0:
        raise ValueError(f"{name} is odd, got {count}; try {count + 1}")
    return count
