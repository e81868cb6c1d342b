"""A recovery by an optimiser, whole or by tiles."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxdip as jd
from jaxdip._types import Array, Key
from jaxdip.cli._architecture import Architecture
from jaxdip.cli._fit import Fit
from jaxdip.cli._memory import check_memory, memory_line
from jaxdip.cli._network import Network
from jaxdip.cli._outputs import make_folder
from jaxdip.cli._runtime import Interrupt, UsageError, progress_bar
from jaxdip.generators import AbstractGenerator
from jaxdip.reconstruction import Memory


@dataclasses.dataclass(frozen=True, eq=False)
class FitProblem:
    """What is to be recovered, in units of white.

    Attributes:
        operator: F.
        y: the data.
        truth: the image, or None.
        noise: the standard deviation of an entry of the data.
    """

    operator: jd.operators.AbstractOperator
    y: Array
    truth: Array | None
    noise: float

    @property
    def noise_norm(self) -> float:
        """The expected ‖ε‖."""
        return self.noise * self.y.size**0.5


@dataclasses.dataclass(frozen=True, eq=False)
class FitRun:
    """What came out.

    Attributes:
        result: of `reconstruct`, with a leading axis of seeds; of the last tile where there are
            tiles.
        images: by name the images of the first seed: 'recovered', 'last', 'average', and those of
            the rules that chose one.
        seconds: wall time, compilation included.
        act: the names of the rules that could end the run.
        interrupted: whether the user ended it.
    """

    result: jd.Reconstruction
    images: Mapping[str, np.ndarray]
    seconds: float
    act: tuple[str, ...]
    interrupted: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
    """How it is recovered: network, optimiser, loss, steps.

    Attributes:
        fit, architecture, network: the options.
        steps, records: how many.
        tau: of the discrepancy principle.
        seed: of everything.
    """

    fit: Fit
    architecture: Architecture
    network: Network
    steps: int
    records: int
    tau: float
    seed: int

    @property
    def optimizer(self) -> str:
        """Its name."""
        return self.fit.optimizer or "adam"

    def build(self, shape: tuple[int, ...], key: Key) -> tuple[AbstractGenerator, Array]:
        """The network and its latent."""
        return self.architecture.build(shape, self.network, key)


def run_fit(problem: FitProblem, recipe: Recipe, out: Path, interrupt: Interrupt) -> FitRun:
    """Recover, whole or by tiles, until the end or an interrupt.

    The memory that it takes is printed, and the folder made, before the first step.

    Raises:
        UsageError: if it takes more than the machine has.
    """
    begin = time.perf_counter()
    shape = problem.operator.in_structure.shape
    part = tile_shape(shape, recipe.fit.tile) if recipe.fit.tile else shape

    def before(memory: Memory) -> None:
        check_memory(memory)
        tile = f"tile of {part[0]} × {part[1]} pixels" if recipe.fit.tile else ""
        print(memory_line(memory, tile))
        make_folder(out)

    if recipe.fit.tile:
        result, images, act = _run_tiles(problem, recipe, interrupt, before)
    else:
        key, file = jax.random.key(recipe.seed), out / "checkpoint.npz"
        result, act = _run_whole(problem, recipe, key, interrupt, checkpoint=file, before=before)
        images = _images(result)
    return FitRun(result, images, time.perf_counter() - begin, act, interrupt.asked)


def _run_whole(
    problem: FitProblem,
    recipe: Recipe,
    key: Key,
    interrupt: Interrupt,
    *,
    checkpoint: Path | None,
    before: Callable[[Memory], None] | None,
) -> tuple[jd.Reconstruction, tuple[str, ...]]:
    fit = recipe.fit
    shape = problem.operator.in_structure.shape
    known = problem.truth is not None
    rules, act = fit.rules(problem.noise, problem.noise_norm, recipe.tau, known)
    if fit.resume and (checkpoint is None or not checkpoint.exists()):
        raise UsageError(f"--resume: there is no {checkpoint}; leave it out to begin")
    total = recipe.records * fit.seeds
    with progress_bar(recipe.optimizer, total) as bar:

        def watch(progress: jd.Progress) -> bool:
            bar.update(1)
            loss = np.ravel(progress.observed["loss"])
            bar.set_postfix(loss=f"{float(np.nanmean(loss)):.3g}", refresh=False)
            return interrupt.asked

        result = jd.reconstruct(
            problem.y,
            problem.operator,
            lambda key: recipe.build(shape, key),
            key=key,
            steps=recipe.steps,
            loss=recipe.network.build_loss(),
            optimizer=recipe.optimizer,
            step_size=fit.rate,
            stop=rules,
            act=act,
            every=max(1, recipe.steps // recipe.records),
            seeds=fit.seeds,
            truth=problem.truth,
            peak=1.0 if known else None,
            average=fit.average or None,
            jitter=fit.jitter or None,
            clip=fit.clip,
            tv=fit.tv or None,
            weight_decay=fit.weight_decay or None,
            watch=watch,
            before=before,
            checkpoint=checkpoint,
            resume=checkpoint if fit.resume else None,
        )
    return result, act


def _images(result: jd.Reconstruction) -> dict[str, np.ndarray]:
    """Of the first seed."""
    found = {"recovered": result.x[0], "last": result.x_last[0]}
    if result.x_average is not None:
        found["average"] = result.x_average[0]
    for name, stop in result.stops.items():
        if int(stop.step[0]) >= 0:
            found[name] = stop.x[0]
    return {name: np.asarray(x) for name, x in found.items()}


def cut(problem: FitProblem, window: tuple[slice, ...]) -> FitProblem:
    """The part of a problem in a window of the image.

    Raises:
        UsageError: for an operator that mixes what lies inside with what lies outside.
    """
    operator = problem.operator
    truth = None if problem.truth is None else problem.truth[window]
    if isinstance(operator, jd.operators.Identity):
        data = problem.y[window]
        part = jd.operators.Identity(data.shape, dtype=data.dtype)
        return FitProblem(part, data, truth, problem.noise)
    if isinstance(operator, jd.operators.Mask):
        keep = np.zeros(operator.in_structure.size, bool)
        keep[np.asarray(operator.index)] = True
        keep = keep.reshape(operator.in_structure.shape)
        full = np.asarray(operator.adjoint(problem.y))
        inside = keep[window]
        if not inside.any():
            raise UsageError("--tile: a tile has no measured pixel; take larger tiles")
        part = jd.operators.Mask(inside, dtype=operator.in_structure.dtype)
        return FitProblem(part, part(jnp.asarray(full[window])), truth, problem.noise)
    raise UsageError(
        "--tile takes --operator identity or mask: others mix what lies inside a tile with what "
        "lies outside; leave it out"
    )


def windows(side: int, tile: int, overlap: int) -> list[slice]:
    """Where tiles of a side lie: the first at 0, the last at the end, overlapping at least so."""
    if tile >= side:
        return [slice(0, side)]
    count = -(-(side - overlap) // (tile - overlap))
    starts = np.round(np.linspace(0, side - tile, count)).astype(int)
    return [slice(int(start), int(start) + tile) for start in starts]


def ramp(size: int, overlap: int, first: bool, last: bool) -> np.ndarray:
    """The weights of a tile along one axis: rising and falling linearly where it has neighbours."""
    inner = np.arange(1, overlap + 1) / (overlap + 1)
    weights = np.ones(size)
    if not first:
        weights[:overlap] = inner
    if not last:
        weights[size - overlap :] = np.minimum(weights[size - overlap :], inner[::-1])
    return weights


def tile_shape(shape: tuple[int, ...], tile: int) -> tuple[int, ...]:
    """The shape of a tile of an image."""
    return (min(tile, shape[0]), min(tile, shape[1]), *shape[2:])


def _run_tiles(
    problem: FitProblem,
    recipe: Recipe,
    interrupt: Interrupt,
    before: Callable[[Memory], None],
) -> tuple[jd.Reconstruction, dict[str, np.ndarray], tuple[str, ...]]:
    shape, fit = problem.operator.in_structure.shape, recipe.fit
    rows, columns = (windows(side, fit.tile, fit.overlap) for side in shape[:2])
    sums: dict[str, np.ndarray] = {}
    weights = np.zeros(shape)
    result, act = None, ()
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if interrupt.asked and result is not None:
                break
            key = jax.random.fold_in(jax.random.key(recipe.seed), i * len(columns) + j)
            part = cut(problem, (row, column))
            first = before if result is None else None
            result, act = _run_whole(part, recipe, key, interrupt, checkpoint=None, before=first)
            down = ramp(row.stop - row.start, fit.overlap, i == 0, i == len(rows) - 1)
            right = ramp(column.stop - column.start, fit.overlap, j == 0, j == len(columns) - 1)
            weight = np.multiply.outer(down, right).reshape((len(down), len(right), 1))
            weight = weight if len(shape) == 3 else weight[..., 0]
            weights[row, column] += weight
            made = _images(result)
            # A rule that chose no image in a tile is shown there as the run left it.
            for name in ("recovered", "last", "average"):
                if name in made:
                    total = sums.setdefault(name, np.zeros(shape))
                    total[row, column] += weight * made[name]
    assert result is not None
    seen = np.where(weights > 0, weights, np.nan)
    return result, {name: total / seen for name, total in sums.items()}, act


def seed_key(seed: int, index: int) -> Key:
    """The key from which `reconstruct` has one of the starts made."""
    return jd.key_for(jax.random.fold_in(jax.random.key(seed), index), "init")


def statistics(values: np.ndarray) -> dict[str, Any]:
    """Mean and spread over seeds, of the finite ones."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {"mean": None, "std": None, "values": values.tolist()}
    spread = float(np.std(finite, ddof=1)) if finite.size > 1 else 0.0
    return {"mean": float(np.mean(finite)), "std": spread, "values": values.tolist()}
