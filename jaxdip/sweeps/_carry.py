"""Units that two sweeps share, taken from one to the other instead of being computed again."""

from jaxdip.sweeps._keeper import Keeper
from jaxdip.sweeps._sweep import Sweep
from jaxdip.sweeps._trial import Point, Value
from jaxdip.sweeps._unit import Unit


def carry(before: Sweep, held: Keeper, after: Sweep, keeper: Keeper) -> int:
    """Commits what one sweep has of the cells of another that differs in its grid's values alone.

    Cells are keyed by their parameters, so a cell of both grids has the same trials, to the last
    bit. Workers may do this at the same time: what is there already is kept.

    Args:
        before: the sweep whose units are there.
        held: where they are.
        after: the other, such as one of the grid that `refined` gives.
        keeper: where they go.

    Returns:
        How many units were taken over by this process.

    Raises:
        ValueError: if the sweeps differ in more than the grid.
    """
    one, other = before.spec(), after.spec()
    different = [name for name in one if name != "grid" and one[name] != other[name]]
    if different:
        raise ValueError(f"the sweeps differ in {', '.join(different)}, so they share no trials")
    places = {name: place for place, name in enumerate(map(_name, before.grid.points()))}
    there, here, taken = held.done(), keeper.done(), 0
    moved = {
        cell: places[name]
        for cell, name in enumerate(map(_name, after.grid.points()))
        if name in places
    }
    for unit in after.units():
        old = Unit(moved[unit.cell], unit.start, unit.count) if unit.cell in moved else None
        if old is None or old.name not in there or unit.name in here:
            continue
        found = held.read(old)
        if found is not None:
            taken += keeper.commit(unit, *found)
    return taken


def _name(point: Point) -> tuple[tuple[str, str, Value], ...]:
    """A cell's parameters; a whole number is not the float that is equal to it."""
    return tuple((name, type(value).__name__, value) for name, value in sorted(point.items()))
