"""The options of a reconstruction, checked."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxdip._numbers import count, fraction, number
from jaxdip._tree import is_concrete
from jaxdip._types import Array
from jaxdip.dynamics import (
    LBFGS,
    AbstractDescent,
    LevenbergMarquardt,
    StochasticGradientDescent,
)
from jaxdip.reconstruction._penalty import TotalVariation
from jaxdip.stopping import AbstractStopping


class Schedule(NamedTuple):
    """How long, and how often to record."""

    steps: int
    every: int

    @property
    def ends(self) -> list[int]:
        """The steps of the records."""
        return [*range(0, self.steps, self.every), self.steps]


class Terms(NamedTuple):
    """What is added to the loss, or done to the gradient and the latent."""

    tv: TotalVariation | None
    weight_decay: Array | None
    clip: Array | None
    jitter: Array | None
    average: Array | None


def schedule(steps: Any, every: Any) -> Schedule:
    """The steps and the records.

    Raises:
        TypeError: unless they are whole numbers.
        ValueError: unless 1 ≤ every ≤ steps.
    """
    steps = count("steps", steps, 1)
    every = max(1, steps // 100) if every is None else count("every", every, 1)
    if every > steps:
        raise ValueError(f"every is at most steps, got every={every} with steps={steps}")
    return Schedule(steps, every)


def terms(*, tv: Any, weight_decay: Any, clip: Any, jitter: Any, average: Any) -> Terms:
    """The penalties and the like.

    Raises:
        TypeError, ValueError: if one of them is no number, or out of range.
    """
    if tv is not None and not isinstance(tv, TotalVariation):
        tv = TotalVariation(number("tv", tv, positive=False))  # pyright: ignore[reportArgumentType]
    return Terms(
        tv,
        number("weight_decay", weight_decay, positive=False),
        number("clip", clip, positive=True),
        number("jitter", jitter, positive=False),
        None if average is None else fraction("average", average),
    )


def check_method(descent: AbstractDescent, given: Terms) -> None:
    """Refuses what a method would ignore, or what would mislead it.

    Raises:
        ValueError: for such a combination.
    """
    asked = {name for name, value in given._asdict().items() if value is not None}
    refused: dict[type, tuple[set[str], str]] = {
        LevenbergMarquardt: ({"tv", "weight_decay", "clip"}, "sees the squared error alone"),
        StochasticGradientDescent: ({"tv", "weight_decay", "clip"}, "sees the data's loss alone"),
        LBFGS: ({"jitter", "clip"}, "takes the last search's value and gradient as they are"),
    }
    for kind, (names, why) in refused.items():
        if isinstance(descent, kind) and asked & names:
            raise ValueError(
                f"{kind.__name__} {why}, so {', '.join(sorted(asked & names))} cannot be used with "
                "it; take 'adam' or 'gd'"
            )


def rules(
    stop: Mapping[str, AbstractStopping] | None, act: Any
) -> tuple[dict[str, AbstractStopping], tuple[str, ...]]:
    """The rules by name, and the names of those that end a run.

    Raises:
        TypeError: unless they are rules by name.
        ValueError: if a rule that is to act is not there.
    """
    if stop is not None and not isinstance(stop, Mapping):
        raise TypeError(
            f"stop maps names to stopping rules, got {type(stop).__name__}; for example "
            'stop={"discrepancy": Discrepancy(noise_norm)}'
        )
    found = dict(stop or {})
    for name, rule in found.items():
        if not isinstance(rule, AbstractStopping):
            raise TypeError(f"rule {name!r} is a stopping rule, got {type(rule).__name__}")
    if act is None:
        return found, tuple(found)
    if isinstance(act, str):
        raise TypeError(f"act is a list of names, got {act!r}; write act=[{act!r}]")
    act = tuple(act)
    missing = [name for name in act if name not in found]
    if missing:
        raise ValueError(f"act names the rule {missing[0]!r}, but stop has {sorted(found)}")
    return found, act


def one_of(kind: type, found: dict[str, AbstractStopping]) -> Any:
    """The one rule of a kind, in combinations too; None if there is none.

    Raises:
        ValueError: if there are several.
    """
    several = [part for rule in found.values() for part in _parts(rule) if isinstance(part, kind)]
    if len(several) > 1:
        raise ValueError(
            f"one run takes one rule {kind.__name__}, got {len(several)}; combine others with it "
            "in runs of their own"
        )
    return several[0] if several else None


def _parts(rule: AbstractStopping) -> list[AbstractStopping]:
    inner = [value for value in vars(rule).values() if isinstance(value, AbstractStopping)]
    return [rule, *(part for one in inner for part in _parts(one))]


def as_truth(truth: Any, shape: tuple[int, ...], dtype: Any) -> Array | None:
    """The true signal in the run's precision.

    Raises:
        ValueError: if it has another shape, or is not finite.
        TypeError: if it is complex where the signals are real.
    """
    if truth is None:
        return None
    truth = jnp.asarray(truth)
    if is_concrete(truth) and not np.all(np.isfinite(truth)):
        raise ValueError("truth has NaN or infinite entries; replace them, or leave truth out")
    if truth.shape != shape:
        raise ValueError(
            f"truth has shape {truth.shape}, the generator makes signals of shape {shape}"
        )
    if jnp.issubdtype(truth.dtype, jnp.complexfloating) and not jnp.issubdtype(
        dtype, jnp.complexfloating
    ):
        raise TypeError("truth is complex, but the generator makes real signals; pass truth.real")
    return truth.astype(dtype)


def check_callable(name: str, value: Callable | None, what: str) -> None:
    """Refuses what cannot be called.

    Raises:
        TypeError: unless it is a function, or None.
    """
    if value is not None and not callable(value):
        raise TypeError(f"{name} is {what}, got {type(value).__name__}")
