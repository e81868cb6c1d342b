"""A recovery by an optimiser: run, tiles, and what it takes of memory."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import jaxdip as jd
from jaxdip._types import Array, Key
from jaxdip.cli._architecture import Architecture
from jaxdip.cli._fit import Fit
from jaxdip.cli._network import Network
from jaxdip.cli._runtime import Interrupt, UsageError, progress_bar
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import parametrize

#: Adam keeps two numbers beside a parameter and its gradient.
_COPIES = 4


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


def memory_line(problem: FitProblem, recipe: Recipe) -> str:
    """What a step takes, from the compiled gradient: said before anything runs."""
    shape = problem.operator.in_structure.shape
    if recipe.fit.tile:
        shape = _tile_shape(shape, recipe.fit.tile)
        problem = cut(problem, tuple(slice(0, side) for side in shape[:2]))
    # The gradient is compiled by shapes alone: nothing is drawn or stored.
    generator, u = eqx.filter_eval_shape(recipe.build, shape, jax.random.key(0))
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(generator))

    def gradient(generator, u, y):
        stated = jd.Problem(u=u, operator=problem.operator, loss=recipe.network.build_loss(), y=y)
        f, theta = parametrize(stated, generator)
        return f.gradient(theta)

    made = jax.jit(gradient).lower(generator, u, problem.y).compile()
    analysis = made.memory_analysis()
    working = 0 if analysis is None else analysis.temp_size_in_bytes
    kept = _COPIES * size
    each = f"tile of {shape[0]} × {shape[1]} pixels" if recipe.fit.tile else "step"
    return (
        f"memory: about {(working + kept) / 2**20:.0f} MiB for a {each}, {kept / 2**20:.0f} for "
        f"{size // jnp.result_type(float).itemsize:,} parameters and what the optimiser keeps, "
        f"{working / 2**20:.0f} for the gradient"
    )


def run_fit(problem: FitProblem, recipe: Recipe, out: Path, interrupt: Interrupt) -> FitRun:
    """Recover, whole or by tiles, until the end or an interrupt."""
    begin = time.perf_counter()
    if recipe.fit.tile:
        result, images, act = _run_tiles(problem, recipe, interrupt)
    else:
        result, act = _run_whole(problem, recipe, jax.random.key(recipe.seed), out, interrupt)
        images = _images(result)
    return FitRun(result, images, time.perf_counter() - begin, act, interrupt.asked)


def _run_whole(
    problem: FitProblem, recipe: Recipe, key: Key, out: Path | None, interrupt: Interrupt
) -> tuple[jd.Reconstruction, tuple[str, ...]]:
    fit = recipe.fit
    shape = problem.operator.in_structure.shape
    known = problem.truth is not None
    rules, act = fit.rules(problem.noise, problem.noise_norm, recipe.tau, known)
    checkpoint = None if out is None else out / "checkpoint.npz"
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


def _tile_shape(shape: tuple[int, ...], tile: int) -> tuple[int, ...]:
    return (min(tile, shape[0]), min(tile, shape[1]), *shape[2:])


def _run_tiles(
    problem: FitProblem, recipe: Recipe, interrupt: Interrupt
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
            result, act = _run_whole(part, recipe, key, None, interrupt)
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
