"""Any network, operator, loss and dynamics of the toolkit as one trial."""

from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdip._certify import certify
from jaxdip._random import key_for
from jaxdip._result import RESULTS, Solution
from jaxdip._types import Array, Key, Tree
from jaxdip.analysis import KernelDrift, SigmaMin
from jaxdip.dynamics import (
    IGAHD,
    ISEHD,
    GradientDescent,
    GradientFlow,
    Optax,
    integrate,
    iterate,
)
from jaxdip.dynamics.events import LossBelow, ResidualBelow
from jaxdip.generators import ACTIVATIONS, MLP, AbstractGenerator, Linear, TwoLayer, on_sphere
from jaxdip.losses import MSE, AbstractLoss, Huber, LogCosh, Lq, Power
from jaxdip.operators import (
    AbstractLinearOperator,
    Gaussian,
    Identity,
    Mask,
    SubsampledDCT,
    SubsampledHadamard,
    WithSpectrum,
)
from jaxdip.problem import (
    Measurement,
    Problem,
    gradient_lipschitz,
    jacobian_sigma_min,
    measure,
)
from jaxdip.problem.observables import (
    GradientNorm,
    ParameterDistance,
    PredictionError,
    ResidualNorm,
    SignalError,
)
from jaxdip.sweeps import AbstractTrial, Value
from jaxdip.theory import Kind, igahd
from jaxdip.trials._keys import check_choice, check_names
from jaxdip.trials._result_codes import RESULT_CODES
from jaxdip.trials._tolerance import tolerance_or_default

_DEFAULTS: Mapping[str, Value] = MappingProxyType(
    {
        "n": 5,
        "m": 2,
        "k": 1000,
        "d": 5,
        "network": "two-layer",
        "train": "hidden",
        "output_law": "rademacher",
        "activation": "sigmoid",
        "operator": "gaussian",
        "signal": "gaussian",
        "noise": 0.0,
        "loss": "mse",
        "loss_parameter": 0.0,
        "dynamics": "gd",
        "step": 1.0,
        "steps": 10_000,
        "stop": "loss",
        "tau": 1.0,
        "observe": "",
        "certify": False,
        "ground": "sketched",
    }
)
_OPTIONAL = ("alpha", "beta", "horizon")
#: Whose default depends on the dtype.
_DEPENDENT = ("tolerance",)
#: All of them.
PARAMETERS = (*_DEFAULTS, *_OPTIONAL, *_DEPENDENT)
#: Numbers that are data even where they are given as whole numbers.
_NUMBERS = ("noise", "step", "tolerance", "tau", "loss_parameter", *_OPTIONAL)
_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "network": ("two-layer", "mlp", "linear"),
        "train": ("hidden", "both"),
        "activation": tuple(ACTIVATIONS),
        "operator": (
            "gaussian",
            "normalized",
            "even",
            "inverse-square",
            "identity",
            "mask",
            "dct",
            "hadamard",
        ),
        "signal": ("gaussian", "range"),
        "loss": ("mse", "power", "log-cosh", "huber", "lq"),
        "dynamics": ("gd", "gf", "igahd", "isehd", "adam"),
        "stop": ("loss", "discrepancy"),
        "ground": ("network", "row space", "sketched"),
    }
)
_LOSSES: Mapping[str, Callable[[Array], AbstractLoss]] = MappingProxyType(
    {
        "mse": lambda q: MSE(),
        "power": lambda q: Power(q),
        "log-cosh": lambda q: LogCosh(),
        "huber": lambda q: Huber(q),
        "lq": lambda q: Lq(q),
    }
)
#: The end of the range of each loss's parameter, and whether it is outside.
_LEAST: Mapping[str, tuple[float, bool]] = MappingProxyType(
    {
        "mse": (0.0, False),
        "power": (0.0, False),
        "log-cosh": (0.0, False),
        "huber": (0.0, True),
        "lq": (1.0, True),
    }
)
#: What else may be recorded at the end, from the data before noise and the network at its start.
_OBSERVABLES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "residual": lambda clean: ResidualNorm(),
        "prediction_error": PredictionError,
        "gradient": lambda clean: GradientNorm(),
        "sigma_min": lambda clean: SigmaMin("AJ"),
        "sigma_min_network": lambda clean: SigmaMin("J"),
        "kernel_drift": lambda clean: KernelDrift("AJ"),
    }
)


class NetworkTrial(AbstractTrial):
    """One trial of an experiment by name: draw a problem and a network, run, measure.

    Slower to compile than `TwoLayerTrial`, one program a shape, for more networks, operators,
    losses, dynamics and observables: those of the table. Images, decoders and the rules of
    `stopping` take a trial of your own, any function of (key, point).

    | key | what | default |
    |---|---|---|
    | n, m, k, d | sizes of signal, data, hidden layers, latent | 5, 2, 1000, 5 |
    | network | 'two-layer', 'mlp' (two hidden layers of k), or | 'two-layer' |
    | | 'linear' J c: k numbers c from N(0, I), entries of J from N(0, 1/k) and fixed | |
    | train | of two layers: 'hidden' (W) or 'both' | 'hidden' |
    | output_law | of V, as in `TwoLayer` | 'rademacher' |
    | activation | a name in `generators.ACTIVATIONS` | 'sigmoid' |
    | operator | 'gaussian' N(0, 1), 'normalized' N(0, 1/m), 'even' (σ from 2 to 1), | 'gaussian' |
    | | 'inverse-square' (σ_i = 1/(1 + i²)), 'identity', 'mask' (m of n entries), | |
    | | 'dct', 'hadamard' (m of n random rows; n a power of two for the second) | |
    | signal | x̄: 'gaussian' N(0, I), or 'range', the network at another start | 'gaussian' |
    | noise | standard deviation of each entry of y | 0 |
    | loss, loss_parameter | 'mse', 'power' (p), 'log-cosh', 'huber' (δ), 'lq' (q) | 'mse' |
    | dynamics | 'gd', 'gf', 'igahd', 'isehd', or 'adam' (Optax's, its other numbers fixed) | 'gd' |
    | step | c in γ = c/L or s = c/L, L of `gradient_lipschitz`; of 'adam' the rate itself | 1 |
    | alpha, beta | of the inertial dynamics, in units of μ and of 1/μ | √½/2 and √2 |
    | steps | of the discrete methods | 10 000 |
    | horizon | of the flows, in units of 1/L (gf) and 1/√L (isehd) | steps |
    | stop | 'loss', at `tolerance`, or 'discrepancy', where ‖F(x) − y‖ ≤ τ‖ε‖ | 'loss' |
    | tolerance | end where the loss is at most this | 1e-14 (float64) |
    | tau | τ of the discrepancy principle | 1 |
    | observe | more outcomes, of the end, separated by commas: 'residual', | none |
    | | 'prediction_error' ‖F(x) − F(x̄)‖, 'gradient', 'sigma_min' of F' J_g, | |
    | | 'sigma_min_network' of J_g, 'kernel_drift' | |
    | certify, ground | also apply the convergence theorem, on that ground | no, 'sketched' |

    Outcomes: 'result', see `RESULT_CODES`; 'converged', whether the loss reached the tolerance, or
    the residual τ‖ε‖;
    'time' on the shared clock and 'steps' of the method or solver; 'loss0', 'loss'; 'error'
    ‖x − x̄‖/‖x̄‖; 'distance' ‖θ − θ0‖; with `certify` also 'applicable', 'holds' and 'margin' of the
    theorem at the start.
    """

    def program(self, point: Mapping[str, Value]) -> Hashable:
        """Sizes and choices.

        Raises:
            ValueError: if a parameter is unknown, or its value of no use.
        """
        check_names(point, PARAMETERS, "a network trial")
        full = {**_DEFAULTS, **point}
        for name, choices in _CHOICES.items():
            check_choice(name, full[name], choices)
        for name in _observed(full):
            check_choice("observe", name, _OBSERVABLES)
        for name in ("n", "m", "k", "d", "steps"):
            value = full[name]
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is a whole number, at least 1, got {value!r}")
        least, strict = _LEAST[str(full["loss"])]
        q = full["loss_parameter"]
        if _is_number(q) and not (float(q) > least or (float(q) == least and not strict)):
            bound = f"{'above' if strict else 'at least'} {least:g}"
            raise ValueError(f"loss_parameter of {full['loss']!r} is {bound}, got {q!r}")
        m, n = int(full["m"]), int(full["n"])
        if full["operator"] == "mask" and m > n:
            raise ValueError(f"a mask keeps m of n entries, got m={m} of n={n}")
        if full["operator"] in ("dct", "hadamard") and m > n:
            raise ValueError(f"{full['operator']} keeps m of n rows, got m={m} of n={n}")
        if full["operator"] == "hadamard" and n & (n - 1):
            raise ValueError(f"hadamard takes a power of two entries, got n={n}")
        if full["dynamics"] == "adam":
            _check_adam(full, point)
        if not isinstance(full["certify"], bool):
            raise ValueError(f"certify is true or false, got {full['certify']!r}")
        for name in _NUMBERS:
            if not _is_number(full.get(name, 0.0)):
                raise ValueError(f"{name} is a number, at least 0, got {full[name]!r}")
        given = tuple((name, name in point) for name in _OPTIONAL)
        kept = tuple((k, v) for k, v in sorted(full.items()) if k not in _NUMBERS)
        return (*kept, *((f"given {name}", yes) for name, yes in given))

    def numbers(self, point: Mapping[str, Value]) -> Tree:
        """The real numbers of the point.

        Raises:
            ValueError: if the tolerance is below what rounding leaves of the loss.
        """
        full = {**_DEFAULTS, **point}
        dtype = np.dtype(jnp.result_type(float))
        full["tolerance"] = _tolerance(full, dtype)
        return {name: np.asarray(full.get(name, 0.0), dtype) for name in _NUMBERS}

    def run(self, key: Key, program: Hashable, numbers: Tree) -> dict[str, Array]:
        """Draws, runs and measures."""
        assert isinstance(program, tuple)
        chosen: dict[str, Any] = dict(program)
        problem, generator, data = _drawn(key, chosen, numbers)
        made = _solved(problem, generator, data, chosen, numbers)
        if chosen["certify"]:
            made |= _certified(problem, generator, chosen, numbers)
        return made


def _check_adam(full: Mapping[str, Value], point: Mapping[str, Value]) -> None:
    if "step" not in point:
        raise ValueError("adam has no step of its own; give step, the learning rate")
    if full["certify"] is True:
        raise ValueError("no theorem speaks of adam; leave certify out")


def _tolerance(full: Mapping[str, Value], dtype: jnp.dtype) -> float:
    """The tolerance, or its default; all losses but these grow like squares near a fit."""
    p, parameter = 0.0, float(full["loss_parameter"])
    if full["loss"] == "power":
        p = parameter
    if full["loss"] == "lq":
        p = parameter / 2 - 1
    asked = full.get("tolerance") if full["stop"] == "loss" else None
    given = None if asked is None else float(asked)
    if given == 0.0:
        # Never: the trial makes all of its steps.
        return 0.0
    return tolerance_or_default(given, dtype, p, int(full["m"]) * int(full["n"]))


def _observed(full: Mapping[str, Value]) -> list[str]:
    """The names in 'observe'."""
    return [word.strip() for word in str(full["observe"]).split(",") if word.strip()]


def _is_number(value: Value) -> bool:
    return not isinstance(value, bool | str) and value >= 0


def _drawn(
    key: Key, p: dict[str, Any], numbers: Tree
) -> tuple[Problem, AbstractGenerator, Measurement]:
    n, m = p["n"], p["n"] if p["operator"] == "identity" else p["m"]
    A = _operator(p["operator"], m, n, key_for(key, "operator"))
    g = _network(p, key_for(key, "init"))
    u = on_sphere(p["d"], key=key_for(key, "latent"))
    if p["signal"] == "range":
        x = _another(g, p, key_for(key, "signal"))(u)
    else:
        x = jax.random.normal(key_for(key, "signal"), (n,))
    data = measure(A, x, noise=numbers["noise"], key=key_for(key, "noise"))
    loss = _LOSSES[p["loss"]](numbers["loss_parameter"])
    return Problem(u=u, operator=A, loss=loss, y=data.y), g, data


def _operator(kind: str, m: int, n: int, key: Key) -> AbstractLinearOperator:
    if kind in ("gaussian", "normalized"):
        return Gaussian(m=m, n=n, key=key, normalized=kind == "normalized")
    if kind == "identity":
        return Identity(n)
    if kind == "mask":
        return Mask.random(n, m / n, key)
    if kind in ("dct", "hadamard"):
        rows = SubsampledDCT if kind == "dct" else SubsampledHadamard
        return rows(n, m, key)
    rank = min(m, n)
    even = jnp.linspace(2.0, 1.0, rank)
    values = even if kind == "even" else 1 / (1 + jnp.arange(float(rank)) ** 2)
    return WithSpectrum(values, m=m, n=n, key=key)


def _another(g: AbstractGenerator, p: dict[str, Any], key: Key) -> AbstractGenerator:
    """The network at another start; of a linear one, other coefficients of the same J."""
    if isinstance(g, Linear):
        return Linear(g.J, jax.random.normal(key, g.c.shape))
    return _network(p, key)


def _network(p: dict[str, Any], key: Key) -> AbstractGenerator:
    if p["network"] == "linear":
        J = jax.random.normal(key_for(key, "J"), (p["n"], p["k"])) / jnp.sqrt(p["k"])
        return Linear(J, jax.random.normal(key_for(key, "c"), (p["k"],)))
    if p["network"] == "mlp":
        return MLP(
            widths=(p["d"], p["k"], p["k"]),
            out=p["n"],
            key=key,
            activation=p["activation"],
            ntk=True,
        )
    return TwoLayer(
        latent=p["d"],
        width=p["k"],
        out=p["n"],
        key=key,
        activation=p["activation"],
        output_law=p["output_law"],
        both=p["train"] == "both",
    )


def _dynamics(problem: Problem, g: AbstractGenerator, p: dict[str, Any], numbers: Tree):
    """The dynamics, and L."""
    if p["dynamics"] == "adam":
        return Optax(optax.adam(numbers["step"])), jnp.ones_like(numbers["step"])
    L = gradient_lipschitz(problem, g).value
    step = numbers["step"].astype(L.dtype) / L
    kind = p["dynamics"]
    if kind == "gd":
        return GradientDescent(step), L
    if kind == "gf":
        return GradientFlow(), L
    mu = jacobian_sigma_min(problem, g)
    alpha = numbers["alpha"].astype(mu.dtype) * mu if p["given alpha"] else 0.5**0.5 / 2 * mu
    beta = numbers["beta"].astype(mu.dtype) / mu if p["given beta"] else 2**0.5 / mu
    return (ISEHD(alpha, beta) if kind == "isehd" else IGAHD(step, alpha, beta)), L


def _solved(
    problem: Problem, g: AbstractGenerator, data: Measurement, p: dict[str, Any], numbers: Tree
) -> dict[str, Array]:
    dynamics, L = _dynamics(problem, g, p, numbers)
    extra = {name: _OBSERVABLES[name](data.y_clean) for name in _observed(p)}
    observe = {"error": SignalError(data.x_true), "distance": ParameterDistance(), **extra}
    end = LossBelow(numbers["tolerance"])
    if p["stop"] == "discrepancy":
        end = ResidualBelow(data.noise_norm, factor=numbers["tau"])
    if isinstance(dynamics, GradientDescent | IGAHD | Optax):
        run = iterate(
            problem, dynamics, g, p["steps"], every=p["steps"], observe=observe, until=end
        )
        steps = run.stats["steps"]
    else:
        units = numbers["horizon"] if p["given horizon"] else jnp.asarray(float(p["steps"]))
        scale = L if isinstance(dynamics, GradientFlow) else jnp.sqrt(L)
        run = integrate(
            problem,
            dynamics,
            g,
            (units.astype(L.dtype) / scale)[None],
            observe=observe,
            until=end,
            solver="explicit",
        )
        steps = run.stats["num_steps"]
    return _outcomes(problem, g, data.x_true, run, steps, tuple(extra))


def _outcomes(
    problem: Problem, g: AbstractGenerator, x_true, run: Solution, steps, extra: tuple[str, ...]
) -> dict[str, Array]:
    # The last record that was reached: a run that ends early leaves the rest blank.
    last = jnp.maximum(jnp.sum(jnp.isfinite(run.ts)) - 1, 0)
    norm = jnp.linalg.norm(x_true)
    code = sum(
        jnp.where(run.result == getattr(RESULTS, name), value, 0)
        for name, value in RESULT_CODES.items()
    )
    reached = (run.result == RESULTS.converged) | (run.result == RESULTS.stopped)
    return {
        "result": jnp.asarray(code, jnp.int8),
        "converged": reached,
        "steps": jnp.asarray(steps, jnp.int32),
        "time": run.ts[last],
        "loss0": problem.objective(g),
        "loss": run.loss[last],
        "error": run.observed["error"][last] / norm,
        "distance": run.observed["distance"][last],
        **{name: run.observed[name][last] for name in extra},
    }


def _certified(problem, g, p: dict[str, Any], numbers: Tree) -> dict[str, Array]:
    kind: Kind = p["ground"]
    dynamics, _ = _dynamics(problem, g, p, numbers)
    if isinstance(dynamics, IGAHD):
        # Under vmap and in loops margins cannot be compared, so one energy is chosen.
        s, alpha, beta = (dynamics.numbers()[name] for name in ("s", "alpha", "beta"))
        found = igahd(problem, g, s, alpha, beta, kind, energy="velocity")
    else:
        found = certify(problem, g, dynamics=dynamics, kind=kind)
    return {"applicable": found.applicable, "holds": found.holds, "margin": found.margin}
