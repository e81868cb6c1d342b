"""A point of the papers' experiment: its keys, checked, as what compiles and what are numbers."""

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Float, Int
from jaxdip.generators import ACTIVATIONS, OUTPUT_BOUND
from jaxdip.sweeps._trial import Point, Value
from jaxdip.trials._buckets import rows_bucket, width_bucket
from jaxdip.trials._keys import check_choice, check_names
from jaxdip.trials._tolerance import tolerance_or_default

_DYNAMICS = ("gd", "igahd")
_OPERATORS = ("gaussian",)
_DTYPES = ("float32", "float64")
_REQUIRED = ("k", "m", "n")
_DEFAULTS: Mapping[str, Value] = MappingProxyType(
    {
        "activation": "sigmoid",
        "dynamics": "gd",
        "noise": 0.0,
        "operator": "gaussian",
        "output_law": "rademacher",
        "p": 0.0,
        "steps": 100_000,
    }
)
#: Keys whose default depends on other keys, or that have none because they change nothing.
_OPTIONAL = ("alpha", "beta", "d", "dtype", "step", "step_size", "tolerance")
KEYS = (*_REQUIRED, *_DEFAULTS, *_OPTIONAL)

#: The largest whole number of 32 bits.
_LARGEST = 2**31 - 1
#: Stands for a number that was left out.
_LEFT_OUT = -1.0

_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "activation": tuple(ACTIVATIONS),
        "dynamics": _DYNAMICS,
        "operator": _OPERATORS,
        "output_law": tuple(OUTPUT_BOUND),
    }
)


@dataclasses.dataclass(frozen=True)
class Program:
    """What a trial's compiled form depends on.

    Attributes:
        width: K ≥ k.
        observations: the padded m.
        entries: the padded n.
        activation, dynamics, output_law, dtype: as in the point.
        squares: p = 0.
        absolute: the step is given as a number, not as a fraction of 1/L.
        damped: α is given, or not needed.
    """

    width: int
    observations: int
    entries: int
    activation: str
    dynamics: str
    output_law: str
    dtype: str
    squares: bool
    absolute: bool
    damped: bool


class Numbers(NamedTuple):
    """The rest of a point; α and β are negative where left out."""

    k: Int[Array, ""]
    m: Int[Array, ""]
    n: Int[Array, ""]
    steps: Int[Array, ""]
    step: Float[Array, ""]
    alpha: Float[Array, ""]
    beta: Float[Array, ""]
    p: Float[Array, ""]
    noise: Float[Array, ""]
    tolerance: Float[Array, ""]


def program_of(point: Point) -> Program:
    """The padded sizes, and what is chosen by name.

    Raises:
        TypeError, ValueError: if a key is unknown or missing, or its value is of no use.
    """
    _check_keys(point)
    full = {**_DEFAULTS, **point}
    for name, known in _CHOICES.items():
        check_choice(name, full[name], known)
    k, m, n = (_whole(name, point[name]) for name in _REQUIRED)
    _check_damping(full)
    smooth = ACTIVATIONS[str(full["activation"])].smooth
    if not smooth and "step_size" not in point:
        raise ValueError(
            f"{full['activation']} has no Lipschitz derivative, so no step c/L is known; "
            "give step_size"
        )
    return Program(
        width=width_bucket(k),
        observations=rows_bucket(m),
        entries=rows_bucket(n),
        activation=str(full["activation"]),
        dynamics=str(full["dynamics"]),
        output_law=str(full["output_law"]),
        dtype=_dtype(point.get("dtype")),
        squares=_real("p", full["p"]) == 0.0,
        absolute="step_size" in point,
        damped="alpha" in point or full["dynamics"] == "gd",
    )


def numbers_of(point: Point) -> Numbers:
    """The sizes and hyperparameters as arrays without dimensions.

    Raises:
        TypeError, ValueError: if a key is unknown or missing, or its value is of no use.
    """
    dtype = jnp.dtype(program_of(point).dtype)
    full = {**_DEFAULTS, **point}
    k, m, n, steps = (_whole(name, full[name]) for name in (*_REQUIRED, "steps"))
    if "d" in point:
        _whole("d", point["d"])
    p = _real("p", full["p"])
    step = full["step_size"] if "step_size" in point else full.get("step", 1.0)
    tolerance = _real("tolerance", point["tolerance"]) if "tolerance" in point else None
    reals = {
        "step": _real("step", step, positive=True),
        "alpha": _real("alpha", point["alpha"]) if "alpha" in point else _LEFT_OUT,
        "beta": _real("beta", point["beta"]) if "beta" in point else _LEFT_OUT,
        "p": p,
        "noise": _real("noise", full["noise"]),
        "tolerance": tolerance_or_default(tolerance, dtype, p, m * n),
    }
    wholes = {"k": k, "m": m, "n": n, "steps": steps}
    # NumPy's: of thousands of cells, JAX's arrays would take longer to make than to use.
    arrays: dict[str, Any] = {name: np.asarray(x, np.int32) for name, x in wholes.items()}
    arrays |= {name: np.asarray(x, dtype) for name, x in reals.items()}
    return Numbers(**arrays)


def _check_keys(point: Point) -> None:
    check_names(point, KEYS, "a two-layer trial")
    missing = [name for name in _REQUIRED if name not in point]
    if missing:
        raise ValueError(f"a two-layer trial needs n, m and k; {', '.join(missing)} is missing")
    if "step" in point and "step_size" in point:
        raise ValueError("give step, the factor of 1/L, or step_size, the number, not both")


def _check_damping(full: Mapping[str, Value]) -> None:
    given = [name for name in ("alpha", "beta") if name in full]
    if given and full["dynamics"] != "igahd":
        raise ValueError(
            f"{given[0]} belongs to IGAHD, but dynamics is {full['dynamics']!r}; say "
            f"dynamics='igahd', or leave {given[0]} out"
        )
    if "alpha" in full:
        _real("alpha", full["alpha"], positive=True)
    if "alpha" in full and "step_size" in full:
        h = math.sqrt(_real("step_size", full["step_size"], positive=True))
        if _real("alpha", full["alpha"]) * h > 1:
            raise ValueError(f"IGAHD needs alpha sqrt(s) <= 1, got {full['alpha']!r} * {h:g}")


def _whole(name: str, value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, got {value!r}; write it as an int")
    if not 1 <= value <= _LARGEST:
        raise ValueError(f"{name} is at least 1 and fits 32 bits, got {value}")
    return value


def _real(name: str, value: Value, *, positive: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a real number, got {value!r}")
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        sign = "positive" if positive else "zero or positive"
        raise ValueError(f"{name} is finite and {sign}, got {value!r}")
    return float(value)


def _dtype(value: Value | None) -> str:
    default = jnp.dtype(jnp.result_type(float)).name
    if value is None:
        return default
    check_choice("dtype", value, _DTYPES)
    if value == "float64" and default != "float64":
        raise ValueError(
            "float64 needs JAX's 64-bit mode; set JAX_ENABLE_X64=1, or call "
            "jax.config.update('jax_enable_x64', True) before anything else"
        )
    return str(value)
