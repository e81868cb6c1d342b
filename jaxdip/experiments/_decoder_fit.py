"""Training a network on one image's data, and what its error does along the run.

Shared by the experiments on compressive sensing, MRI and denoising: does the true error pass
through a minimum, so that a run must be stopped early, or does it settle?
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdip._result import Solution
from jaxdip._types import Array, Float, Key, RealScalar, Tree
from jaxdip.dynamics import Optax, iterate, log_steps
from jaxdip.generators import AbstractGenerator
from jaxdip.imaging import named_image, resample
from jaxdip.problem import Problem
from jaxdip.sweeps import AbstractTrial, FunctionTrial, Point

#: Records that are evenly spaced, so that the end of a run is seen as densely as its start.
_EVEN = 40
#: The share of a run, at its end, over which the settled error is the median.
_SETTLED = 0.2


def real_image(name: str, size: int, dtype: str, *, crop: bool = False) -> Float[Array, "H W"]:
    """A real image in [0, 1] that installed packages ship, in gray, size × size.

    Args:
        name: of `named_image`.
        size: in pixels, at most the image's where it is cropped.
        dtype: of the result.
        crop: take the square in the middle, pixel by pixel, instead of resampling the whole.
    """
    pixels = jnp.asarray(named_image(name).gray)
    if not crop:
        return resample(pixels, (size, size)).astype(dtype)
    top, left = ((extent - size) // 2 for extent in pixels.shape)
    return pixels[top : top + size, left : left + size].astype(dtype)


class ImageTrial(AbstractTrial):
    """A function of (key, point) that finds the pixels of `point["image"]`, a name, in its place.

    They are those of its middle if `point["crop"]` is that name, otherwise the whole is resampled.

    Images of one size then share a compiled program, which takes longer than many a run.

    Attributes:
        function: as of `sweep`; its point has 'size' and 'dtype'.
    """

    function: Callable[[Key, dict[str, Any]], Any] = eqx.field(static=True)

    def program(self, point: Point) -> Hashable:
        """All but floats and the image."""
        return self._rest.program(_without_image(point))

    def numbers(self, point: Point) -> Tree:
        """Floats and the image's pixels."""
        name, size, dtype = point["image"], point["size"], point["dtype"]
        assert isinstance(name, str)
        assert isinstance(size, int)
        assert isinstance(dtype, str)
        pixels = real_image(name, size, dtype, crop=point.get("crop") == name)
        return {**self._rest.numbers(_without_image(point)), "image": pixels}

    def run(self, key: Key, program: Hashable, numbers: Tree) -> dict[str, Array]:
        """The function's result."""
        return self._rest.run(key, program, numbers)

    @property
    def _rest(self) -> FunctionTrial:
        return FunctionTrial(self.function)


def _without_image(point: Point) -> Point:
    return {name: value for name, value in point.items() if name != "image"}


def trained(generator: AbstractGenerator) -> int:
    """How many numbers train."""
    marks = jax.tree.leaves(generator.trainable())
    leaves = jax.tree.leaves(generator)
    return sum(leaf.size for mark, leaf in zip(marks, leaves, strict=True) if mark)


def record_steps(steps: int, records: int) -> tuple[int, ...]:
    """0, steps in a logarithmic row, and steps evenly spaced; the last is `steps`."""
    even = np.linspace(0, steps, min(_EVEN, steps) + 1).round().astype(int)
    return tuple(sorted({*log_steps(steps, records), *even.tolist()}))


def adam(
    problem: Problem,
    generator: AbstractGenerator,
    learning_rate: RealScalar,
    steps: int,
    *,
    at: Sequence[int],
    observe: Mapping[str, Any],
) -> Solution:
    """Adam with optax's default moments, as `iterate`."""
    rate = jnp.asarray(learning_rate, problem.u.dtype)
    method = Optax(optax.adam(rate))
    return iterate(problem, method, generator, steps, at=at, observe=observe)


def fit(
    problem: Problem,
    generator: AbstractGenerator,
    truth: Array,
    *,
    steps: int,
    records: int,
    learning_rate: RealScalar,
    seen: Callable[[Array], Array] = lambda x: x,
) -> dict[str, Array]:
    """Adam from the generator's start, with the error of the image at each record.

    Args:
        problem: the data.
        generator: at its start.
        truth: the image to compare with.
        steps: of Adam, with optax's default moments.
        records: in the logarithmic row of `record_steps`.
        learning_rate: of Adam.
        seen: what is compared of a signal, such as the root sum of squares of coil images.

    Returns:
        'train', the loss, and 'error', the mean square error of the image, both (T,) over
        `record_steps`; 'best', 'kept' and 'last', the images of the record with the least error, of
        that with the least loss, and of the last.
    """
    run = adam(
        problem,
        generator,
        learning_rate,
        steps,
        at=record_steps(steps, records),
        observe={"image": lambda problem, now: seen(problem.signal(now))},
    )
    images = run.observed["image"]
    error = jnp.mean(jnp.square(images - truth), axis=tuple(range(1, images.ndim)))
    # A run that is no longer finite has no least error beyond that point.
    loss = run.observed["loss"]
    best, kept = (jnp.argmin(jnp.where(jnp.isfinite(x), x, jnp.inf)) for x in (error, loss))
    return {
        "train": loss,
        "error": error,
        "best": images[best],
        "kept": images[kept],
        "last": images[-1],
    }


def settled(error: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """The median over the last fifth of a run: what it settles at, whatever Adam's spikes.

    Args:
        error: (..., T), at `steps`.
        steps: (T,), increasing.
    """
    return np.median(np.asarray(error)[..., _late(steps)], axis=-1)


def least_before(error: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """The least over the records before the last fifth: what a stop that is early would get."""
    return np.min(np.asarray(error)[..., ~_late(steps)], axis=-1)


def _late(steps: Sequence[int]) -> np.ndarray:
    return np.asarray(steps) >= (1 - _SETTLED) * max(steps)


def least(error: np.ndarray) -> np.ndarray:
    """The least over all records: what an oracle would get."""
    return np.min(np.asarray(error), axis=-1)


def low_share(image: np.ndarray) -> float:
    """The share of an image's variance at frequencies up to n/16 cycles along its n pixels."""
    pixels = np.asarray(image, float)
    power = np.abs(np.fft.fft2(pixels - pixels.mean())) ** 2
    frequencies = [np.fft.fftfreq(extent) for extent in pixels.shape]
    radius = np.hypot(*np.meshgrid(*frequencies, indexing="ij"))
    return float(power[radius <= 1 / 16].sum() / power.sum())


def decibels(error: np.ndarray | float, peak: float = 1.0) -> np.ndarray:
    """The peak signal-to-noise ratio of a mean square error."""
    return 20 * math.log10(peak) - 10 * np.log10(np.asarray(error))
