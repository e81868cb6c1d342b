"""One start of a reconstruction: its problem, its network, its loop."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._random import key_for
from jaxdip._types import Array, Key, Tree
from jaxdip.dynamics import AbstractDescent
from jaxdip.generators import AbstractGenerator
from jaxdip.imaging import Image
from jaxdip.losses import AbstractLoss
from jaxdip.operators import AbstractOperator, Mask
from jaxdip.operators import Callable as Wrapped
from jaxdip.problem import Problem, check_generator, parametrize
from jaxdip.reconstruction._damping import resolve
from jaxdip.reconstruction._loop import Held, Loop, Probes
from jaxdip.reconstruction._objective import Objective
from jaxdip.reconstruction._settings import Schedule, Terms, as_truth, one_of
from jaxdip.stopping import AbstractStopping, HeldOut, Sure


class Given(NamedTuple):
    """What all starts share."""

    y: Array
    operator: AbstractOperator
    loss: AbstractLoss
    descent: AbstractDescent
    terms: Terms
    rules: dict[str, AbstractStopping]
    act: tuple[str, ...]
    truth: Any
    peak: Array | None
    schedule: Schedule


class Lane(NamedTuple):
    """One start."""

    loop: Loop
    theta: Tree
    generator: AbstractGenerator
    problem: Problem
    notes: tuple[str, ...]


def made(
    generator: AbstractGenerator | Callable[[Key], Any], u: Array | None, key: Key
) -> tuple[AbstractGenerator, Array]:
    """The network and its latent.

    Raises:
        TypeError: if a function returns something else.
    """
    if isinstance(generator, AbstractGenerator):
        assert u is not None
        return generator, jnp.asarray(u)
    pair = generator(key_for(key, "init"))
    if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], AbstractGenerator)):
        raise TypeError(
            f"a generator function returns the pair (generator, u), got {type(pair).__name__}"
        )
    return pair[0], jnp.asarray(pair[1])


def as_data(y: Any) -> Array:
    """The data as an array.

    Raises:
        TypeError: if they are no array of numbers.
    """
    if isinstance(y, jax.Array):
        return y
    try:
        values = np.asarray(y)
    except ValueError:
        raise TypeError("y is an array of the data, got rows of several lengths") from None
    if values.dtype.kind not in "fciub":
        hint = "; give its .pixels or .gray" if isinstance(y, Image) else ""
        raise TypeError(f"y is an array of the data, got {type(y).__name__}{hint}")
    return jnp.asarray(values)


def as_operator(operator: Any, generator: AbstractGenerator, u: Array) -> AbstractOperator:
    """The operator, or a function wrapped as one for the signals of the generator.

    Raises:
        TypeError: if it is neither.
    """
    if isinstance(operator, AbstractOperator):
        return operator
    if not callable(operator):
        raise TypeError(
            f"operator is a jaxdip operator or a function of the signal, got "
            f"{type(operator).__name__}; a matrix goes into jaxdip.operators.Dense"
        )
    signal = jax.eval_shape(generator, u)
    return Wrapped(cast(Callable[[Array], Array], operator), signal.shape, signal.dtype)


def lane(given: Given, generator: AbstractGenerator, u: Array, key: Key) -> Lane:
    """One start, with every number filled in."""
    # Stated whole first, so that what is wrong is said of the data as they were given.
    problem = Problem(u=u, operator=given.operator, loss=given.loss, y=given.y)
    check_generator(problem, generator)
    signal = jax.eval_shape(generator, problem.u)
    held, problem = _hold_out(one_of(HeldOut, given.rules), problem, key)
    descent, notes = resolve(given.descent, problem, generator)
    parameters, theta = parametrize(problem, generator)
    truth = as_truth(given.truth, signal.shape, signal.dtype)
    loop = Loop(
        f=Objective(parameters, given.terms.tv, given.terms.weight_decay, given.terms.clip),
        descent=descent,
        rules=given.rules,
        act=given.act,
        held=held,
        probes=_probes(one_of(Sure, given.rules), problem.y, key),
        truth=truth,
        peak=given.peak,
        average=given.terms.average,
        jitter=given.terms.jitter,
        key=key_for(key, "jitter"),
        steps=jnp.asarray(given.schedule.steps, jnp.int32),
        every=jnp.asarray(given.schedule.every, jnp.int32),
    )
    return Lane(loop, theta, generator, problem, notes)


def _hold_out(rule: HeldOut | None, problem: Problem, key: Key) -> tuple[Held | None, Problem]:
    """The problem of the entries that are fitted, and what it takes to check the others."""
    if rule is None:
        return None, problem
    mask = rule.split(problem.y.shape, key_for(key, "held-out"))
    fitted, held = np.flatnonzero(~mask), np.flatnonzero(mask)
    keep = Mask(~mask, dtype=problem.operator.out_structure.dtype)
    smaller = Problem(
        u=problem.u,
        operator=keep @ problem.operator,
        loss=problem.loss,
        y=problem.y.ravel()[fitted],
    )
    positions = (jnp.asarray(x, jnp.int32) for x in (fitted, held))
    return Held(problem.operator, problem.y, *positions), smaller


def _probes(rule: Sure | None, y: Array, key: Key) -> Probes | None:
    if rule is None:
        return None
    shape, key = (rule.probes, *y.shape), key_for(key, "probes")
    real = jnp.finfo(y.dtype).dtype
    if jnp.issubdtype(y.dtype, jnp.complexfloating):
        parts = jax.random.rademacher(key, (2, *shape), real) * np.sqrt(0.5).astype(real)
        directions = jax.lax.complex(parts[0], parts[1])
    else:
        directions = jax.random.rademacher(key, shape, real)
    size = rule.size
    if size is None:
        mean = jnp.sqrt(jnp.mean(jnp.square(jnp.abs(y))))
        size = jnp.where(mean > 0, mean, 1) * float(jnp.finfo(real).eps) ** 0.5
    return Probes(directions, size.astype(real))


class Batch(NamedTuple):
    """Several loops as one: what differs, stacked, and what they share."""

    own: Loop
    shared: Loop
    theta: Tree


def batch(lanes: Sequence[Lane]) -> Batch:
    """The lanes side by side.

    Raises:
        ValueError: if their networks differ in more than numbers.
    """
    loops = [one.loop for one in lanes]
    structures = {jax.tree.structure((one.loop, one.theta)) for one in lanes}
    shapes = {tuple(jnp.shape(x) for x in jax.tree.leaves(one.theta)) for one in lanes}
    if len(structures) > 1 or len(shapes) > 1:
        raise ValueError(
            "seeds that run together have networks that differ in their numbers alone; make them "
            "of one architecture, or give together=False"
        )

    def differs(xs):
        return eqx.is_array(xs[0]) and any(x is not xs[0] for x in xs)

    own = jax.tree.map(lambda *xs: jnp.stack(xs) if differs(xs) else None, *loops)
    shared = jax.tree.map(lambda *xs: None if differs(xs) else xs[0], *loops)
    theta = jax.tree.map(lambda *xs: jnp.stack(xs), *(one.theta for one in lanes))
    return Batch(own, shared, theta)
