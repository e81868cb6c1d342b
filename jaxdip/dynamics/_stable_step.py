"""The largest stable step of a method: measured by bisection, and predicted by linearisation."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float, RealScalar
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._run import start
from jaxdip.dynamics._scales import Scales
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem, check_generator, kernel_norm

#: How often the first guess is doubled or halved to bracket the limit.
_BRACKETING = 40


class StableStep(NamedTuple):
    """The largest stable time step h of a method (γ of gradient descent, √s of the others).

    Attributes:
        measured: by bisection over runs of the network itself; 0 or infinite where the limit lies
            beyond 2⁻⁴⁰ or 2⁴⁰ times the prediction.
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

    A run is stable if after `steps` steps its loss is finite and at most `level`. The bisection
    looks for a step at which this changes; beyond it there may be other stable steps. A slow
    instability shows only after many steps, so more steps measure smaller values. All runs of one
    bisection are one compiled program, and new numbers do not recompile it.

    The loss of a network with bounded activation and fixed V is bounded: from a bad start even a
    run thrown into saturation ends below where it began, and the measured limit is infinite. A
    `level` that converging runs reach tells the two apart.

    Beside it stands the prediction for the linearised dynamics: h < 2/λ for gradient descent, and
    h < [−(βλ + α) + √((βλ + α)² + 4λ)]/λ for IGAHD, at λ = λ_max of the kernel 2w A J Jᵀ Aᵀ at the
    start (of Jᵀ ∇²L J for other losses). A network may be stable beyond it, since the kernel moves
    during the run, or unstable before.

    Args:
        problem: what to minimise.
        method: its own step size is replaced; its other numbers stay.
        generator: the network at its start.
        steps: the length of each run.
        rtol: relative width to which the limit is bracketed.
        level: the loss at which a stable run ends at most; by default the loss at the start.

    Raises:
        TypeError, ValueError: if an argument is wrong, or the method has no prediction.
    """
    if not isinstance(method, AbstractDescent):
        raise TypeError(
            f"the method is a discrete dynamics such as GradientDescent(), got "
            f"{type(method).__name__}"
        )
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"steps is a whole number, at least 1, got {steps!r}")
    if not 0 < rtol < 1:
        raise ValueError(f"rtol is between 0 and 1, got {rtol:g}")
    check_generator(problem, generator)
    method, _ = method.resolve(Scales(problem, generator))
    kernel = _kernel(problem, generator)
    predicted = method.stable_time_step(kernel.value)
    bisections = math.ceil(math.log2(math.log(2) / math.log1p(rtol)))
    ceiling = number("level", level, positive=False)
    measured = _measure(problem, generator, method, predicted, ceiling, steps, max(bisections, 1))
    how = (
        f"measured: bisection to {rtol:g} over runs of {steps} steps, stable if the loss ends at "
        f"most {'where it began' if level is None else 'at the level'}; predicted: linearised at "
        f"the start, with {kernel.how}"
    )
    return StableStep(measured, predicted, kernel.value, how)


_kernel = eqx.filter_jit(kernel_norm)


@eqx.filter_jit
def _measure(
    problem: Problem,
    generator: AbstractGenerator,
    method: AbstractDescent,
    guess: Array,
    level: Array | None,
    steps: int,
    bisections: int,
) -> Array:
    _, f, theta = start(problem, generator, method.linear)
    start_loss = f(theta)
    ceiling = start_loss if level is None else level.astype(start_loss.dtype)

    def stable(h):
        descent = method.with_time_step(h)

        def body(carry, _):
            return descent.step(f, *carry), None

        (end, _), _ = jax.lax.scan(body, (theta, descent.init(f, theta)), length=steps)
        # A NaN compares false.
        return f(end) <= ceiling

    def search(h, factor, wanted):
        """h, h·factor, … until stable(h) is as wanted."""

        def unfinished(carry):
            _, tries, met = carry
            return ~met & (tries < _BRACKETING)

        def further(carry):
            h, tries, _ = carry
            return h * factor, tries + 1, stable(h * factor) == wanted

        first = (h, jnp.asarray(0, jnp.int32), stable(h) == wanted)
        h, _, met = jax.lax.while_loop(unfinished, further, first)
        return h, met

    high, bounded = search(guess, 2.0, False)
    low, alive = search(high / 2, 0.5, True)

    def halve(_, bracket):
        low, high = bracket
        middle = jnp.sqrt(low * high)
        good = stable(middle)
        return jnp.where(good, middle, low), jnp.where(good, high, middle)

    # The bracket is [low, 2 low], since `low` is the first halving that is stable.
    low, _ = jax.lax.fori_loop(0, bisections, halve, (low, 2 * low))
    return jnp.where(bounded, jnp.where(alive, low, 0.0), jnp.inf)
