"""The optimisers that a reconstruction knows by name."""

import functools
from typing import Any

import optax

from jaxdip._tree import is_concrete
from jaxdip._types import RealScalar
from jaxdip.dynamics import (
    IGAHD,
    LBFGS,
    AbstractDescent,
    GradientDescent,
    LevenbergMarquardt,
    Optax,
)

OPTIMIZERS = ("gd", "igahd", "adam", "lbfgs", "lm")
#: The step of the published Deep Image Prior.
_ADAM_STEP = 0.01


def as_descent(
    optimizer: Any, step_size: RealScalar | None
) -> tuple[AbstractDescent, tuple[str, ...]]:
    """The descent that is meant, and what was chosen, in words.

    Raises:
        TypeError: if it is none of the kinds.
        ValueError: if the name is not known, or a step size is given to what has its own.
    """
    if isinstance(optimizer, str):
        return _named(optimizer, step_size)
    if step_size is not None:
        raise ValueError(
            "step_size goes with an optimizer by name; this one has its own, so give it there"
        )
    if isinstance(optimizer, AbstractDescent):
        return optimizer, ()
    if isinstance(optimizer, optax.GradientTransformation):
        return Optax(optimizer), ()
    raise TypeError(
        f"optimizer is one of {', '.join(OPTIMIZERS)}, a jaxdip descent or an optax "
        f"transformation, got {type(optimizer).__name__}"
    )


def _named(name: str, step_size: RealScalar | None) -> tuple[AbstractDescent, tuple[str, ...]]:
    if name == "gd":
        return GradientDescent(step_size), ()
    if name == "igahd":
        return IGAHD(None if step_size is None else step_size), ()
    if name == "adam":
        note = f"step_size: {_ADAM_STEP}, that of the Deep Image Prior"
        chosen = _ADAM_STEP if step_size is None else step_size
        if not is_concrete(chosen):
            raise TypeError("the step size of 'adam' is a Python number, not a traced one")
        return Optax(_adam(float(chosen))), (note,) if step_size is None else ()
    if name in ("lbfgs", "lm"):
        if step_size is not None:
            raise ValueError(f"{name!r} finds its own steps; leave step_size out")
        return (LBFGS() if name == "lbfgs" else LevenbergMarquardt()), ()
    raise ValueError(f"optimizer is one of {', '.join(OPTIMIZERS)}, got {name!r}")


# A transformation is a pair of functions, known to compiled programs by identity: the same one for
# the same step, so that a second call compiles nothing.
@functools.lru_cache(maxsize=64)
def _adam(step_size: float) -> optax.GradientTransformation:
    return optax.adam(step_size)
