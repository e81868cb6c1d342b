"""A recovery by an optimiser, whole or by tiles."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxdip as jd
from jaxdip._types import Array, Key
from jaxdip.cli._architecture import Architecture
from jaxdip.cli._fit import Fit
from jaxdip.cli._memory import check_memory, memory_line
from jaxdip.cli._network import Damping, Network
from jaxdip.cli._outputs import make_folder
from jaxdip.cli._runtime import Interrupt, UsageError, progress_bar
from jaxdip.generators import AbstractGenerator
from jaxdip.reconstruction import Memory, tile_count, tile_shape
from jaxdip.stopping import AbstractStopping


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
        result: of `reconstruct`, with a leading axis of seeds, or of `reconstruct_tiles`.
        images: by name the images of the first seed: 'recovered', 'last', 'average', and those of
            the rules that chose one for a whole image.
        seconds: wall time, compilation included.
        act: the names of the rules that could end the run.
        interrupted: whether the user ended it.
    """

    result: jd.Reconstruction | jd.TiledReconstruction
    images: Mapping[str, np.ndarray]
    seconds: float
    act: tuple[str, ...]
    interrupted: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
    """How it is recovered: network, optimiser, loss, steps.

    Attributes:
        fit, architecture, network, damping: the options.
        steps, records: how many.
        tau: of the discrepancy principle.
        seed: of everything.
    """

    fit: Fit
    architecture: Architecture
    network: Network
    damping: Damping
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

    def options(self) -> dict[str, Any]:
        """What the optimiser is given, whole or by tiles."""
        fit = self.fit
        method: dict[str, Any] = {"optimizer": self.optimizer, "step_size": fit.rate}
        if self.optimizer == "igahd":
            # What is None is filled in from the problem.
            numbers = (fit.rate, self.damping.alpha, self.damping.beta)
            method = {"optimizer": jd.IGAHD(*numbers)}
        return {
            **method,
            "steps": self.steps,
            "loss": self.network.build_loss(),
            "every": max(1, self.steps // self.records),
            "average": fit.average or None,
            "jitter": fit.jitter or None,
            "clip": fit.clip,
            "tv": fit.tv or None,
            "weight_decay": fit.weight_decay or None,
        }


def run_fit(problem: FitProblem, recipe: Recipe, out: Path, interrupt: Interrupt) -> FitRun:
    """Recover, whole or by tiles, until the end or an interrupt.

    The memory that it takes is printed, and the folder made, before the first step.

    Raises:
        UsageError: if it takes more than the machine has.
    """
    begin = time.perf_counter()
    fit, shape = recipe.fit, problem.operator.in_structure.shape
    part = tile_shape(shape, fit.tile) if fit.tile else shape
    file = out / ("checkpoints" if fit.tile else "checkpoint.npz")
    if fit.tile and not isinstance(problem.operator, jd.operators.Identity | jd.operators.Mask):
        raise UsageError(
            "--tile takes --operator identity or mask: others mix what lies inside a tile with "
            "what lies outside; leave it out"
        )
    if fit.resume and not file.exists():
        raise UsageError(f"--resume: there is no {file}; leave it out to begin")
    known = problem.truth is not None

    def rules(y: Array) -> Mapping[str, AbstractStopping]:
        norm = problem.noise * y.size**0.5
        return fit.rules(problem.noise, norm, recipe.tau, known)[0]

    def before(memory: Memory) -> None:
        check_memory(memory)
        tile = f"tile of {part[0]} × {part[1]} pixels" if fit.tile else ""
        print(memory_line(memory, tile))
        make_folder(out)

    act = fit.rules(problem.noise, problem.noise_norm, recipe.tau, known)[1]
    given = {
        "y": problem.y,
        "operator": problem.operator,
        "generator": lambda key: recipe.build(part, key),
        "key": jax.random.key(recipe.seed),
        "act": act,
        "truth": problem.truth,
        "peak": 1.0 if known else None,
        "before": before,
        "checkpoint": file,
        **recipe.options(),
    }
    pieces = tile_count(shape, fit.tile, fit.overlap) if fit.tile else fit.seeds
    with (
        progress_bar(recipe.optimizer, recipe.records * pieces) as bar,
        _flags_named(fit.resume),
    ):

        def watch(progress: jd.Progress) -> bool:
            bar.update(1)
            loss = np.ravel(progress.observed["loss"])
            bar.set_postfix(loss=f"{float(np.nanmean(loss)):.3g}", refresh=False)
            return interrupt.asked

        if fit.tile:
            result = jd.reconstruct_tiles(
                **given,
                tile=fit.tile,
                overlap=fit.overlap,
                stop=rules,
                watch=watch,
                resume=fit.resume,
            )
        else:
            result = jd.reconstruct(
                **given,
                stop=rules(problem.y),
                seeds=fit.seeds,
                watch=watch,
                resume=file if fit.resume else None,
            )
    return FitRun(result, _images(result), time.perf_counter() - begin, act, interrupt.asked)


@contextlib.contextmanager
def _flags_named(resumed: bool) -> Iterator[None]:
    """Let a checkpoint of another run be refused in the words of the command line.

    Raises:
        UsageError: for such a checkpoint.
    """
    try:
        yield
    except ValueError as error:
        if not resumed:
            raise
        told = str(error).replace("leave resume out", "leave --resume out")
        raise UsageError(told) from error


def _images(result: jd.Reconstruction | jd.TiledReconstruction) -> dict[str, np.ndarray]:
    """Of the first seed."""
    names = {"recovered": result.x, "last": result.x_last, "average": result.x_average}
    found = {name: x for name, x in names.items() if x is not None}
    if isinstance(result, jd.Reconstruction):
        found = {name: x[0] for name, x in found.items()}
        chosen = {n: stop.x[0] for n, stop in result.stops.items() if int(stop.step[0]) >= 0}
        found |= chosen
    return {name: np.asarray(x) for name, x in found.items()}


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
