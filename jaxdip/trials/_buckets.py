"""The sizes that arrays are padded to, so that trials of many sizes share few programs.

The last bits of a trial depend on the size of its arrays, so these rules are part of what
identifies a result: a new rule is a new kernel.
"""

#: Leading digits of the widths, in tenths: neighbours differ by a factor of at most 3/2, and the
#: round numbers that experiments use lose nothing.
_TENTHS = (10, 15, 20, 30, 40, 50, 70)
#: Up to 1000 fewer, for there a program takes longer to compile than a cell of trials to run.
_NARROW = (40, 104, 200, 504, 1000)
#: What trials are begun in, see `beginning_width`.
_BEGINNING = (40, 1000, 10_000)
_BEGINNING_ROWS = 8
#: Widths are multiples of this: one vector register of float64.
_VECTOR = 8


def width_bucket(k: int) -> int:
    """The padded width: the least of 40, 104, 200, 504 and 1000 that is at least k.

    Beyond, the least of 1, 1.5, 2, 3, 4, 5, 7 times a power of ten, as a multiple of 8.

    Args:
        k: the width, at least 1.
    """
    for size in _NARROW:
        if size >= k:
            return size
    decade = 1000
    while True:
        for tenths in _TENTHS:
            size = _round_up(tenths * decade, _VECTOR * 10) // 10
            if size >= k:
                return size
        decade *= 10


def rows_bucket(m: int) -> int:
    """The padded number of observations or of entries: the least of 2, 4, 8, 12, 16, 24, … ≥ m.

    From 8 on these are the powers of two and one and a half times them.

    Args:
        m: the number, at least 1.
    """
    power = 2
    while power < m:
        power *= 2
    between = 3 * power // 4
    return between if power > 8 and between >= m else power


def beginning_width(width: int) -> int:
    """The width that trials of a padded width are begun in: 40, 1000, 10 000, or its own.

    To draw for 1000 units takes 0.2 ms (float64, one core), to compile the draws 2 s.
    """
    return next((size for size in _BEGINNING if size >= width), width)


def beginning_rows(rows: int) -> int:
    """The rows that trials of a padded number of rows are begun in: at least 8."""
    return max(rows, _BEGINNING_ROWS)


def _round_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
