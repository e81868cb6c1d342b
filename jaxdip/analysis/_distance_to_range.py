"""dist(x̄, Σ): how near the network can come to a signal, by fitting it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxdip._evidence import Quantity
from jaxdip._types import Array, Float
from jaxdip.analysis._jacobian import LARGEST, check_count
from jaxdip.generators import AbstractGenerator
from jaxdip.losses import MSE
from jaxdip.operators import Identity
from jaxdip.operators._coordinates import to_real
from jaxdip.problem import Problem, parametrize, reduce

_HIGHEST = jax.lax.Precision.HIGHEST


class RangeFit(eqx.Module):
    """The nearest signal of the network that a fit has found.

    Attributes:
        distance: ‖x̄ − x_Σ‖, above dist(x̄, Σ).
        signal: x_Σ.
        generator: at the parameters that make x_Σ.
        moved: ‖θ − θ0‖. Within a ball of radius R' around θ0 or more, x_Σ belongs to the theorem's
            set of signals, and the distance is above the distance to that set.
    """

    distance: Quantity
    signal: Array
    generator: AbstractGenerator
    moved: Float[Array, ""]


def distance_to_range(
    u: Array, generator: AbstractGenerator, signal: Array, *, steps: int = 100
) -> RangeFit:
    """dist(x̄, Σ), Σ = {g(u, θ)}, from above: Levenberg-Marquardt on ‖g(u, θ) − x̄‖² from θ0.

    Each step solves the n × n system (J Jᵀ + λI)w = x̄ − x and moves by Jᵀw, in reduced coordinates,
    which reach the same signals; steps that do not help are undone and λ grows. What is left after
    `steps` steps may be a local minimum.

    Args:
        u: the latent.
        generator: at θ0, where the fit starts.
        signal: x̄, of the generator's shape.
        steps: of the fit.

    Returns:
        The fit; its distance has the evidence 'estimate from above'.

    Raises:
        ValueError: if the shapes disagree, or the Jacobian has more than 2e8 entries.
    """
    check_count("steps", steps)
    signal = jnp.asarray(signal)
    made = jax.eval_shape(generator, u)
    if signal.shape != made.shape:
        raise ValueError(f"the generator makes signals of shape {made.shape}, got {signal.shape}")
    observed = Identity(made.shape, dtype=made.dtype)
    stated = Problem(u=u, operator=observed, loss=MSE(), y=signal.astype(made.dtype))
    smaller, start, lift = reduce(stated, generator)
    f, theta = parametrize(smaller, start)
    flat, unravel = ravel_pytree(theta)
    if signal.size * flat.size > LARGEST:
        raise ValueError(
            f"a fit takes the dense {signal.size} x {flat.size} Jacobian, which exceeds "
            f"{LARGEST:.0e} entries; fit by iterate on an Identity operator instead"
        )
    target = to_real(smaller.y)

    def rest(x):
        return to_real(f.predict(unravel(x))) - target

    nearest = _levenberg_marquardt(rest, flat, steps)
    near = f.generator(unravel(nearest))
    gap = Quantity(
        jnp.linalg.norm(rest(nearest)), f"what {steps} fitting steps leave", "estimate from above"
    )
    return RangeFit(gap, lift.signal(near), lift(near), jnp.linalg.norm(nearest - flat))


def _levenberg_marquardt(rest, start: Array, steps: int) -> Array:
    """The best parameters met."""

    def step(_, carry):
        x, r, damping = carry
        J = jax.jacrev(rest)(x)
        K = jnp.matmul(J, J.T, precision=_HIGHEST)
        scale = jnp.trace(K) / K.shape[0] + float(jnp.finfo(K.dtype).tiny)
        shifted = K + damping * scale * jnp.eye(K.shape[0], dtype=K.dtype)
        w = jnp.linalg.solve(shifted, -r)
        moved = x + jnp.matmul(J.T, w, precision=_HIGHEST)
        new = rest(moved)
        better = jnp.sum(new**2) < jnp.sum(r**2)
        floor = 16 * float(jnp.finfo(K.dtype).eps)
        damping = jnp.clip(jnp.where(better, damping / 5, damping * 4), floor, 1e8)
        return jnp.where(better, moved, x), jnp.where(better, new, r), damping

    first = jnp.asarray(1e-2, start.dtype)
    return jax.lax.fori_loop(0, steps, step, (start, rest(start), first))[0]
