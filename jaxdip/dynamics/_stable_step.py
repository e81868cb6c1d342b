"""The largest stable step of a method: measured by bisection, and predicted by linearisation."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float, RealScalar
from jaxdip.dynamics._checks import count, number
from jaxdip.dynamics._constant_step import AbstractConstantStep
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._gradient_descent import GradientDescent
from jaxdip.dynamics._igahd import IGAHD
from jaxdip.dynamics._igahd_backtracking import IGAHDBacktracking
from jaxdip.dynamics._path_length import DescentWithPathLength
from jaxdip.dynamics._run import start
from jaxdip.dynamics._scales import Scales
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem, check_generator, kernel_norm

#: How often the first guess is doubled or halved to bracket the limit.
_BRACKETING = 40
#: By default a stable run makes this much of the progress of half the predicted step.
_PROGRESS = 0.998


class StableStep(NamedTuple):
    """The largest stable time step h of a method (γ of gradient descent, √s of the others).

    Attributes:
        measured: by bisection over runs of the network itself; 0 or infinite where the limit lies
            beyond 2⁻⁴⁰ or 2⁴⁰ times the prediction; for `IGAHD` at most 1/α, the largest step that
            the method takes.
        predicted: on the quadratic mode with the kernel's largest eigenvalue.
        eigenvalue: that eigenvalue, λ_max.
        how: what each of them is, in words.
    """

    measured: Float[Array, ""]
    predicted: Float[Array, ""]
    eigenvalue: Float[Array, ""]
    how: str


def largest_stable_step(
    problem: Problem,
    method: AbstractDescent,
    generator: AbstractGenerator,
    *,
    steps: int = 500,
    rtol: float = 1e-3,
    level: RealScalar | None = None,
) -> StableStep:
    """The largest constant time step with which a method does not blow up.

    A run is stable if after `steps` steps its loss is finite and at most `level`; by default, if
    the loss has fallen by 99.8 % of what as many steps of half the predicted size achieve (if those
    achieve nothing, if it ends at most where it began). The bisection
    looks for a step at which this changes; beyond it there may be other stable steps. A slow
    instability shows only after many steps, so more steps measure smaller values. All runs of one
    bisection are one compiled program, and new numbers do not recompile it.

    The loss of a network with bounded activation and fixed V is bounded: from a bad start even a
    run thrown into saturation ends below where it began, so that this alone is no test.

    Beside it stands the prediction for the linearised dynamics: h < 2/λ for gradient descent, and
    h < [−(βλ + α) + √((βλ + α)² + 4λ)]/λ for IGAHD, at λ = λ_max of the kernel 2w A J Jᵀ Aᵀ at the
    start (of Jᵀ ∇²L J for other losses). A network may be stable beyond it, since the kernel moves
    during the run, or unstable before.

    Args:
        problem: what to minimise.
        method: its own step size, a constant, is replaced; its other numbers stay.
        generator: the network at its start.
        steps: the length of each run.
        rtol: relative width to which the limit is bracketed.
        level: the loss at which a stable run ends at most; see above.

    Raises:
        TypeError, ValueError: if an argument is wrong, the method chooses its steps as it goes, or
            it has no prediction.
    """
    if not isinstance(method, AbstractDescent):
        raise TypeError(
            f"the method is a discrete dynamics such as GradientDescent(), got "
            f"{type(method).__name__}"
        )
    _check_constant(method)
    steps = count("steps", steps, 1)
    if not 0 < rtol < 1:
        raise ValueError(f"rtol is between 0 and 1, got {rtol:g}")
    check_generator(problem, generator)
    method, _ = method.resolve(Scales(problem, generator))
    kernel = _kernel(problem, generator)
    predicted = method.stable_time_step(kernel.value)
    bisections = math.ceil(math.log2(math.log(2) / math.log1p(rtol)))
    ceiling = number("level", level, positive=False)
    most = _largest(method, predicted)
    measured = _measure(
        problem, generator, method, predicted, ceiling, most, steps, max(bisections, 1)
    )
    reached = "99.8 % of what half the predicted step achieves" if level is None else "the level"
    capped = "" if most is None else ", and at most 1/alpha, as the method demands"
    how = (
        f"measured: bisection to {rtol:g} over runs of {steps} steps, stable if the loss falls to "
        f"{reached}{capped}; predicted: linearised at the start, with {kernel.how}"
    )
    return StableStep(measured, predicted, kernel.value, how)


def _check_constant(method: AbstractDescent) -> None:
    """Refuses methods of which a constant step would make other methods."""
    inner = method.inner if isinstance(method, DescentWithPathLength) else method
    rule = inner.step_size if isinstance(inner, GradientDescent) else None
    varying = rule is not None and not isinstance(rule, AbstractConstantStep)
    if varying or isinstance(inner, IGAHDBacktracking):
        name = type(rule).__name__ if varying else type(inner).__name__
        other = "GradientDescent()" if varying else "IGAHDForward(...)"
        raise ValueError(
            f"a largest stable step is a constant one, and {name} chooses its steps as it goes; "
            f"measure {other} instead"
        )


def _largest(method: AbstractDescent, like: Array) -> Array | None:
    """The largest time step that a method takes, if there is one."""
    inner = method.inner if isinstance(method, DescentWithPathLength) else method
    return 1 / inner.numbers()["alpha"].astype(like.dtype) if isinstance(inner, IGAHD) else None


_kernel = eqx.filter_jit(kernel_norm)


@eqx.filter_jit
def _measure(
    problem: Problem,
    generator: AbstractGenerator,
    method: AbstractDescent,
    guess: Array,
    level: Array | None,
    most: Array | None,
    steps: int,
    bisections: int,
) -> Array:
    _, f, theta = start(problem, generator, method.linear)
    start_loss = f(theta)
    most = jnp.full_like(guess, jnp.inf) if most is None else most
    guess = jnp.minimum(guess, most)

    def end_loss(h):
        descent = method.with_time_step(h)

        def body(carry, _):
            return descent.step(f, *carry), None

        (end, _), _ = jax.lax.scan(body, (theta, descent.init(f, theta)), length=steps)
        return f(end)

    if level is None:
        reference = end_loss(0.5 * guess)
        # A NaN compares false.
        fallen = jnp.where(reference < start_loss, start_loss - reference, 0)
        ceiling = start_loss - _PROGRESS * fallen
    else:
        ceiling = level.astype(start_loss.dtype)

    def stable(h):
        return end_loss(h) <= ceiling

    def search(h, factor, wanted):
        """h, h·factor, … until stable(h) is as wanted."""

        def unfinished(carry):
            h, tries, met = carry
            return ~met & (tries < _BRACKETING) & ((h < most) | (factor < 1))

        def further(carry):
            h, tries, _ = carry
            h = jnp.minimum(h * factor, most)
            return h, tries + 1, stable(h) == wanted

        first = (h, jnp.asarray(0, jnp.int32), stable(h) == wanted)
        h, _, met = jax.lax.while_loop(unfinished, further, first)
        return h, met

    high, unstable = search(guess, 2.0, False)
    low, alive = search(high / 2, 0.5, True)

    def halve(_, bracket):
        low, high = bracket
        middle = jnp.sqrt(low * high)
        good = stable(middle)
        return jnp.where(good, middle, low), jnp.where(good, high, middle)

    # The bracket is [low, 2 low], since `low` is the first halving that is stable.
    low, _ = jax.lax.fori_loop(0, bisections, halve, (low, 2 * low))
    return jnp.where(unstable, jnp.where(alive, low, 0.0), most)
