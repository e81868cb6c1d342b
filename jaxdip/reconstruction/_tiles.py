"""Images whose network would not fit into memory: tiles one after another, blended."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._numbers import count
from jaxdip._random import check_key
from jaxdip._result import RESULTS
from jaxdip._types import Array, Inexact, Key
from jaxdip.dynamics import Progress
from jaxdip.generators import AbstractGenerator
from jaxdip.operators import AbstractOperator, Identity, Mask
from jaxdip.reconstruction._lane import as_data
from jaxdip.reconstruction._memory import Memory
from jaxdip.reconstruction._reconstruct import reconstruct
from jaxdip.reconstruction._reconstruction import Reconstruction
from jaxdip.reconstruction._settings import check_callable
from jaxdip.stopping import AbstractStopping

Rules = Mapping[str, AbstractStopping]


class Tile(NamedTuple):
    """How the recovery of one tile went.

    Attributes:
        window: its rows and columns in the image.
        steps: how many steps were taken.
        chosen: by rule the step whose image it chose, −1 if none.
        result: a member of `RESULTS`.
        reason: why it ended, in words.
    """

    window: tuple[slice, slice]
    steps: int
    chosen: dict[str, int]
    result: RESULTS
    reason: str


@dataclasses.dataclass(frozen=True, eq=False)
class TiledReconstruction:
    """An image made of tiles. Pixels of tiles that were not begun are NaN.

    Attributes:
        x: the image, in each tile that of the rule that ended it, otherwise the last.
        x_last: of the last images.
        x_average: of the averaged images; None without averaging.
        tiles: those that were recovered, row by row.
        shape: of a whole tile.
        total: how many tiles cover the image.
        notes: what was chosen on the caller's behalf for the first tile, in words.
        stats: the numbers that the first tile's optimiser ran with, by name.
    """

    x: np.ndarray
    x_last: np.ndarray
    x_average: np.ndarray | None
    tiles: tuple[Tile, ...]
    shape: tuple[int, ...]
    total: int
    notes: tuple[str, ...]
    stats: dict[str, Array]


class _Blend:
    """Sums of weighted tiles, and of the weights."""

    def __init__(self, shape: tuple[int, ...]):
        self._shape = shape
        self._sums: dict[str, np.ndarray] = {}
        self._weights = np.zeros(shape[:2])

    def add(self, window: tuple[slice, slice], weight: np.ndarray, found: Reconstruction) -> None:
        self._weights[window] += weight
        weight = weight.reshape(weight.shape + (1,) * (len(self._shape) - 2))
        for name in ("x", "x_last", "x_average"):
            x = getattr(found, name)
            if x is not None:
                total = self._sums.setdefault(name, np.zeros(self._shape, x.dtype))
                total[window] += (weight * np.asarray(x)).astype(x.dtype)

    def image(self, name: str) -> np.ndarray | None:
        """The blend; None if no tile had such an image."""
        if name not in self._sums:
            return None
        weights = self._weights.reshape(self._weights.shape + (1,) * (len(self._shape) - 2))
        total = self._sums[name]
        return np.where(weights > 0, total / np.where(weights > 0, weights, 1), np.nan).astype(
            total.dtype
        )


def reconstruct_tiles(
    y: Inexact[Array, "..."],
    operator: AbstractOperator,
    generator: Callable[[Key], tuple[AbstractGenerator, Array]],
    *,
    key: Key,
    tile: int,
    overlap: int = 16,
    stop: Rules | Callable[[Array], Rules] | None = None,
    truth: Array | None = None,
    watch: Callable[[Progress], bool | None] | None = None,
    before: Callable[[Memory], None] | None = None,
    checkpoint: str | os.PathLike | None = None,
    resume: bool = False,
    **options: Any,
) -> TiledReconstruction:
    """Recovers an image tile by tile, each by a network of its own, and blends them.

    The memory is that of one tile. Tiles all have the same size, overlap by `overlap` pixels at
    least, and are weighted by ramps where they do.

    Args:
        y: the data, of the operator's output shape.
        operator: an `Identity` or a `Mask` on images (rows, columns, …); others mix what lies
            inside a tile with what lies outside.
        generator: makes (generator, u) for one tile from a key; see `tile_shape`.
        key: the random key; tile i, counted row by row, has `jax.random.fold_in(key, i)`.
        tile: the largest number of pixels of a side of a tile.
        overlap: how many pixels neighbours share, less than half of `tile`.
        stop: rules by name, or a function that makes them from a tile's data, as `Discrepancy`
            needs, whose noise grows with their number.
        truth: x̄, of the image's shape.
        watch: called with a `Progress` of the tile at hand after every record; returning True ends
            the whole recovery.
        before: called once, with the `Memory` of a tile.
        checkpoint: a folder to which the state of every tile is written, in a file of its own;
            those of an earlier recovery are removed unless it is resumed.
        resume: go on from the files that are in the folder. The result is that of the uninterrupted
            recovery to the last bit.
        options: those of `reconstruct`, save `u`, `seeds` and `together`.

    Returns:
        The image and how each tile went.

    Raises:
        TypeError: if the operator is another, or an option is not one of `reconstruct`.
        ValueError: if an argument is wrong, or a tile has no measured pixel.
    """
    check_key(key)
    shape = operator.in_structure.shape if isinstance(operator, AbstractOperator) else ()
    size = tile_shape(shape, tile)
    overlap = count("overlap", overlap, 0)
    if 2 * overlap >= tile:
        raise ValueError(f"tiles overlap by less than half, got overlap={overlap} of tile={tile}")
    check_callable("watch", watch, "a function of a Progress")
    if resume and checkpoint is None:
        raise ValueError("resume=True goes on from the files in a folder: give checkpoint=")
    for name in {"u", "seeds", "together"} & options.keys():
        raise TypeError(f"reconstruct_tiles takes no {name}=; leave it out, or recover the whole")
    folder = None if checkpoint is None else Path(checkpoint)
    places = _places(shape, tile, overlap)
    # All of them first: a tile without data is no news to come after hours, nor after a removal.
    parts = [_part(as_data(y), operator, window) for window, _ in places]
    ended = False

    def begin(memory: Memory) -> None:
        if before is not None:
            before(memory)
        if folder is not None:
            _prepare(folder, resume)

    def told(progress: Progress) -> bool:
        nonlocal ended
        ended = watch is not None and bool(watch(progress))
        return ended

    blend, tiles = _Blend(shape), []
    notes, stats = (), {}
    for i, ((window, weight), (data, part)) in enumerate(zip(places, parts, strict=True)):
        file = None if folder is None else folder / f"tile-{i}.npz"
        found = reconstruct(
            data,
            part,
            generator,
            key=jax.random.fold_in(key, i),
            stop=stop(data) if callable(stop) else stop,
            truth=None if truth is None else truth[window],
            watch=told,
            before=begin if i == 0 else None,
            checkpoint=file,
            resume=file if resume and file is not None and file.exists() else None,
            **options,
        )
        if i == 0:
            notes, stats = found.notes, found.stats
        blend.add(window, weight, found)
        tiles.append(_tile(window, found))
        if ended:
            break
    image, last = blend.image("x"), blend.image("x_last")
    assert image is not None
    assert last is not None
    average = blend.image("x_average")
    return TiledReconstruction(image, last, average, tuple(tiles), size, len(places), notes, stats)


def tile_shape(shape: tuple[int, ...], tile: int) -> tuple[int, ...]:
    """The shape of a tile of an image, for which the networks are made.

    Raises:
        ValueError: if it is not the shape of an image, or `tile` is below 2.
    """
    tile = count("tile", tile, 2)
    if len(shape) < 2:
        raise ValueError(f"tiles are those of images (rows, columns, …), got the shape {shape}")
    return (min(tile, shape[0]), min(tile, shape[1]), *shape[2:])


def tile_count(shape: tuple[int, ...], tile: int, overlap: int) -> int:
    """How many tiles cover an image of a shape."""
    return len(_places(shape, tile, overlap))


def _prepare(folder: Path, resume: bool) -> None:
    """Makes the folder of checkpoints, without those of an earlier recovery unless it goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        for file in folder.glob("tile-*.npz"):
            file.unlink()


def _tile(window: tuple[slice, slice], found: Reconstruction) -> Tile:
    chosen = {name: int(stop.step) for name, stop in found.stops.items()}
    assert isinstance(found.reason, str)
    return Tile(window, int(found.steps), chosen, found.result, found.reason)


def _places(
    shape: tuple[int, ...], tile: int, overlap: int
) -> list[tuple[tuple[slice, slice], np.ndarray]]:
    """Where the tiles lie, row by row, and the weights of their pixels."""
    rows, columns = (_windows(side, tile, overlap) for side in shape[:2])
    return [
        ((row, column), np.outer(_ramp(i, rows, overlap), _ramp(j, columns, overlap)))
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
    ]


def _windows(side: int, tile: int, overlap: int) -> list[slice]:
    """Where tiles of a side lie: the first at 0, the last at the end, overlapping at least so."""
    if tile >= side:
        return [slice(0, side)]
    pieces = -(-(side - overlap) // (tile - overlap))
    starts = np.round(np.linspace(0, side - tile, pieces)).astype(int)
    return [slice(int(start), int(start) + tile) for start in starts]


def _ramp(which: int, along: list[slice], overlap: int) -> np.ndarray:
    """The weights of a tile along one axis: rising and falling linearly where it has neighbours."""
    size = along[which].stop - along[which].start
    inner = np.arange(1, overlap + 1) / (overlap + 1)
    weights = np.ones(size)
    if which > 0:
        weights[:overlap] = inner
    if which < len(along) - 1:
        weights[size - overlap :] = inner[::-1]
    return weights


def _part(
    y: Array, operator: AbstractOperator, window: tuple[slice, slice]
) -> tuple[Array, AbstractOperator]:
    """The data and the operator of a window of the image."""
    structure = operator.in_structure
    if isinstance(operator, Identity):
        data = y[window]
        return data, Identity(data.shape, dtype=structure.dtype)
    if isinstance(operator, Mask):
        keep = np.zeros(structure.size, bool)
        keep[np.asarray(operator.index)] = True
        inside = keep.reshape(structure.shape)[window]
        if not inside.any():
            rows, columns = (f"{part.start}:{part.stop}" for part in window)
            raise ValueError(
                f"the tile of rows {rows} and columns {columns} has no measured pixel; take larger "
                "tiles"
            )
        part = Mask(inside, dtype=structure.dtype)
        return part(jnp.asarray(operator.adjoint(y)[window])), part
    raise TypeError(
        f"tiles are for Identity and Mask, got {type(operator).__name__}, which mixes what lies "
        "inside a tile with what lies outside; recover the image whole"
    )
