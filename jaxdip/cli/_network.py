"""Options of the network, the loss and the dynamics."""

import dataclasses
import difflib
import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

import jaxdip as jd
from jaxdip._types import Array, Key
from jaxdip.cli._forward import require
from jaxdip.cli._runtime import UsageError
from jaxdip.generators import ACTIVATIONS

#: Each dynamics; a flow and its discrete counterpart run on one clock with one set of numbers.
DYNAMICS = ("gf", "gd", "isehd", "igahd")
#: Each loss, its parameter in words, and the number above which the parameter lies.
_LOSSES = {
    "mse": (jd.losses.MSE, None, 0.0),
    "log-cosh": (jd.losses.LogCosh, None, 0.0),
    "huber": (jd.losses.Huber, "δ > 0, in pixel units", 0.0),
    "power": (jd.losses.Power, "p ≥ 0", -math.ulp(0.0)),
    "lq": (jd.losses.Lq, "q > 1", 1.0),
}


@dataclasses.dataclass(frozen=True)
class Network:
    """The two-layer network V φ(W u)/√k and the loss."""

    width: int = 1000
    """k, the number of hidden units."""
    latent: int = 100
    """d, the length of u; the trajectories' law does not depend on it."""
    activation: str | None = None
    """φ: sigmoid, tanh, softplus, gelu, silu, …; by default sigmoid in dense networks, relu in
    decoders and leaky ReLU in dip."""
    train: Literal["both", "hidden"] = "both"
    """Which layers train. A fixed V cannot represent an image of pixel values up to 255."""
    loss: Literal["mse", "log-cosh", "huber", "power", "lq"] = "mse"
    """mse is half the squared norm; all losses sum over the measurements."""
    loss_parameter: float | None = None
    """huber: δ; power: p; lq: q."""

    def check(self) -> None:
        """Refuse numbers outside their ranges, naming the flag."""
        require(self.width >= 1, "--width", self.width, "at least 1")
        require(self.latent >= 1, "--latent", self.latent, "at least 1")
        known = ", ".join(ACTIVATIONS)
        require(self.phi in ACTIVATIONS, "--activation", self.phi, f"one of {known}")
        _, wanted, above = _LOSSES[self.loss]
        if wanted is None and self.loss_parameter is not None:
            raise UsageError(f"--loss {self.loss} takes no --loss-parameter")
        if wanted is not None and self.loss_parameter is None:
            raise UsageError(f"--loss {self.loss} needs --loss-parameter ({wanted})")
        if self.loss_parameter is not None:
            valid = above < self.loss_parameter < math.inf
            expected = f"{wanted}, and finite, for --loss {self.loss}"
            require(valid, "--loss-parameter", self.loss_parameter, expected)

    @property
    def phi(self) -> str:
        """φ of a dense network."""
        return self.activation or "sigmoid"

    def build_loss(self) -> jd.losses.AbstractLoss:
        """The loss."""
        kind = _LOSSES[self.loss][0]
        return kind() if self.loss_parameter is None else kind(self.loss_parameter)

    def build(self, shape: tuple[int, ...], key: Key) -> tuple[jd.TwoLayer, Array]:
        """The network with its initial weights, and its latent u."""
        generator = jd.TwoLayer(
            latent=self.latent,
            width=self.width,
            out=shape,
            key=jd.key_for(key, "init"),
            activation=self.phi,
            both=self.train == "both",
        )
        return generator, jd.on_sphere(self.latent, key=jd.key_for(key, "latent"))

    def describe(self) -> str:
        """The network and the loss in a few words."""
        trains = "both layers train" if self.train == "both" else "the hidden layer trains"
        number = "" if self.loss_parameter is None else f" ({self.loss_parameter:g})"
        return (
            f"Two-layer network, {self.phi}, width {self.width}, latent {self.latent}, "
            f"{trains}; loss {self.loss}{number}"
        )


@dataclasses.dataclass(frozen=True)
class Damping:
    """Numbers of the inertial dynamics."""

    alpha: float | None = None
    """α > 0 of ISEHD and IGAHD; by default 2‖A‖ (tr J Jᵀ/n)^½, critical damping of the network's
    mean mode."""
    beta: float | None = None
    """β ≥ 0 of ISEHD and IGAHD; by default √s, of IGAHD's step."""

    def check(self) -> None:
        """Refuse numbers outside their ranges, naming the flag."""
        if self.alpha is not None:
            require(0 < self.alpha < math.inf, "--alpha", self.alpha, "> 0 and finite")
        if self.beta is not None:
            require(0 <= self.beta < math.inf, "--beta", self.beta, "at least 0 and finite")

    def check_step(self, s: float, flag: str = "--step-size") -> None:
        """Refuse an α that a squared step s of IGAHD cannot carry: 1 − α√s would be negative.

        Args:
            s: the squared step.
            flag: the option that sets it.
        """
        if self.alpha is None:
            return
        momentum = self.alpha * s**0.5
        if momentum > 1 + 1e-6:
            raise UsageError(
                f"--alpha {self.alpha:g}: with step size {s:.3g}, α√s = {momentum:.3g}, expected "
                f"at most 1 for igahd; take --alpha at most {s**-0.5:.3g}, or a smaller {flag}"
            )

    def numbers(self, problem: jd.Problem, generator: jd.TwoLayer, s: float) -> tuple[float, float]:
        """α and β for a problem and a squared step s.

        The default α is limited to 1/(4√s). IGAHD is stable on a mode of eigenvalue λ iff
        λ < 2(2 − α√s)/(s + 2β√s), which with β = √s is 7/(6s) there: the fastest mode, λ = 1/s, has
        room, whereas at α = 1/(2√s) it is marginal (its roots are ½ and −1).
        """
        alpha = critical_damping(problem, generator) if self.alpha is None else self.alpha
        if self.alpha is None:
            alpha = min(alpha, 0.25 * s**-0.5)
        return alpha, s**0.5 if self.beta is None else self.beta


def critical_damping(problem: jd.Problem, generator: jd.TwoLayer) -> float:
    """2‖A‖ (tr J Jᵀ/n)^½ at the start, for V with entries ±1.

    tr J Jᵀ/n is the mean of φ'(W u)² over hidden units, plus that of φ(W u)² where V trains.
    """
    return float(_critical_damping(problem, generator))


@eqx.filter_jit
def _critical_damping(problem: jd.Problem, generator: jd.TwoLayer) -> Array:
    hidden = jnp.matmul(generator.W, problem.u, precision=jax.lax.Precision.HIGHEST)
    slopes = jax.vmap(jax.grad(generator.activation))(hidden)
    mean = jnp.mean(slopes**2)
    if generator.both:
        mean = mean + jnp.mean(generator.activation(hidden) ** 2)
    operator = problem.operator
    assert isinstance(operator, jd.operators.AbstractLinearOperator)
    return 2 * operator.norm() * jnp.sqrt(mean)


def dynamics_names(text: str, known: tuple[str, ...] = DYNAMICS) -> tuple[str, ...]:
    """The names in a comma-separated list, each once.

    Raises:
        UsageError: for an empty list or another name.
    """
    names = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not names:
        raise UsageError(f"--dynamics is empty: expected some of {','.join(known)}")
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"--dynamics {name}: expected some of {','.join(known)}{hint}")
    return names
