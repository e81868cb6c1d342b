"""From data to an image in one call."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdip._fingerprint import fingerprint
from jaxdip._numbers import count, number
from jaxdip._random import check_key
from jaxdip._result import RESULTS
from jaxdip._types import Array, Inexact, Key, RealScalar
from jaxdip.dynamics import AbstractDescent, Checkpoint, Progress
from jaxdip.generators import AbstractGenerator
from jaxdip.losses import MSE, AbstractLoss
from jaxdip.operators import AbstractOperator
from jaxdip.reconstruction._lane import Given, Lane, as_data, as_operator, lane, made
from jaxdip.reconstruction._loop import State
from jaxdip.reconstruction._memory import Memory
from jaxdip.reconstruction._optimizers import as_descent
from jaxdip.reconstruction._penalty import TotalVariation
from jaxdip.reconstruction._reconstruction import Reconstruction, Stop
from jaxdip.reconstruction._run import Runner, run, unpack
from jaxdip.reconstruction._settings import (
    check_callable,
    check_method,
    rules,
    schedule,
    terms,
)
from jaxdip.stopping import AbstractStopping


def reconstruct(
    y: Inexact[Array, "..."],
    operator: AbstractOperator | Callable[[Array], Array],
    generator: AbstractGenerator | Callable[[Key], tuple[AbstractGenerator, Array]],
    *,
    key: Key,
    steps: int,
    u: Array | None = None,
    loss: AbstractLoss | None = None,
    optimizer: str | AbstractDescent | optax.GradientTransformation = "gd",
    step_size: RealScalar | None = None,
    stop: Mapping[str, AbstractStopping] | None = None,
    act: Sequence[str] | None = None,
    every: int | None = None,
    seeds: int | None = None,
    together: bool | None = None,
    truth: Array | None = None,
    peak: RealScalar | None = None,
    average: RealScalar | None = 0.99,
    jitter: RealScalar | None = None,
    clip: RealScalar | None = None,
    tv: RealScalar | TotalVariation | None = None,
    weight_decay: RealScalar | None = None,
    watch: Callable[[Progress], bool | None] | None = None,
    before: Callable[[Memory], None] | None = None,
    checkpoint: str | os.PathLike | None = None,
    resume: Checkpoint | str | os.PathLike | None = None,
) -> Reconstruction:
    """Recovers a signal from data by training a network on them, and says when it stopped.

    Minimises L_y(F(g(u, θ))), plus penalties if any, by a discrete dynamics on θ. Every rule sees
    the signal of every step, at the latent u without jitter; the image that each would return is
    kept while the run goes on, so that one run answers for all of them.

    Args:
        y: the data, of the operator's output shape, floating-point.
        operator: F, or any function of the signal that JAX can differentiate.
        generator: the network at its start, with its latent `u`; or a function that makes
            (generator, u) from a key, as `seeds` needs.
        key: the random key, from which the start (if a function makes it), the jitter, the entries
            held out and the probes of `Sure` are drawn by purpose.
        steps: how many steps at most.
        u: the latent of a generator that is given itself.
        loss: L, by default `MSE()`, ½‖v − y‖².
        optimizer: 'gd', 'igahd', 'adam', 'lbfgs' or 'lm', a discrete dynamics, or an optax
            transformation.
        step_size: of an optimiser by name: γ of 'gd', the squared step s of 'igahd', the learning
            rate of 'adam'. By default 1/L, for 'adam' 0.01. α and β of 'igahd' are the defaults of
            `IGAHD`, but α = 1/(4√s) unless the network is a small `TwoLayer` and the data are few
            and real; give them as `optimizer=IGAHD(s, alpha, beta)`.
        stop: stopping rules by name.
        act: the names of the rules that end the run, by default all; the others are only reported.
        every: steps between records, by default a hundredth of `steps`.
        seeds: how many starts to run; start i uses `jax.random.fold_in(key, i)`, so that it is the
            same alone. Every array of the result gets a leading axis.
        together: run the seeds in one batched program; by default on accelerators. Otherwise one
            after the other through one program, which is faster on a CPU.
        truth: x̄, of the signal's shape, for the error, the PSNR and `Oracle`.
        peak: the range of the PSNR, in units of x; the largest |x̄| by default.
        average: the weight a of the past in the average x̃_k = a x̃_{k−1} + (1 − a) x_k of the
            images, x̃_0 = x_0; None for no average.
        jitter: the standard deviation of Gaussian noise added to u anew for the gradient of every
            step, from the key folded with the step's number.
        clip: the largest norm of the whole gradient; longer ones are scaled to it.
        tv: the weight of the total variation of x, smoothed at differences of 1e-3, or a
            `TotalVariation` with another smoothing.
        weight_decay: ω of the penalty ½ω‖θ‖².
        watch: called with a `Progress` after every record; returning True ends the run there.
        before: called once with the `Memory` that the run takes, before its first step and when its
            program has been compiled; what it raises ends the run.
        checkpoint: a file to which the state is written at every record.
        resume: go on from a checkpoint or the file of one; all other arguments are those of the
            whole run. The result is that of the uninterrupted run to the last bit.

    Returns:
        The image and everything about the run; a diverged run is a result, not an exception.

    Raises:
        TypeError, ValueError: if an argument is wrong.
        FileNotFoundError: if there is no such checkpoint.
    """
    check_key(key)
    times = schedule(steps, every)
    extra = terms(tv=tv, weight_decay=weight_decay, clip=clip, jitter=jitter, average=average)
    found, act = rules(stop, act)
    descent, notes = as_descent(optimizer, step_size)
    check_method(descent, extra)
    check_callable("watch", watch, "a function of a Progress")
    check_callable("before", before, "a function of a Memory")
    keys = _keys(generator, u, key, seeds)
    networks = [made(generator, u, k) for k in keys]
    given = Given(
        y=as_data(y),
        operator=as_operator(operator, *networks[0]),
        loss=MSE() if loss is None else loss,
        descent=descent,
        terms=extra,
        rules=found,
        act=act,
        truth=truth,
        peak=_peak(peak, truth),
        schedule=times,
    )
    lanes = [lane(given, *network, k) for network, k in zip(networks, keys, strict=True)]
    several = seeds is not None
    if together is None:
        together = several and jax.default_backend() != "cpu"
    runner = Runner(lanes, len(times.ends), bool(together) and several)
    mine = fingerprint(
        problem=[one.problem for one in lanes],
        generator=[one.generator for one in lanes],
        method=descent,
        rules=(found, act),
        options=(extra, given.truth, given.peak, times, keys),
    )
    states, ends, point = runner.first(), times.ends, None
    if resume is not None:
        states, passed = unpack(resume, states, times.steps, mine)
        point, ends = resume, [end for end in ends if end > passed]
    if before is not None:
        before(runner.memory(states))
    states, last, called = run(
        runner, states, ends, mine, several=several, watch=watch, save=checkpoint
    )
    if not isinstance(last, Checkpoint):
        last = point
    return _result(lanes, states, act, called, several, notes, last)


def _keys(generator: Any, u: Any, key: Key, seeds: int | None) -> list[Key]:
    """One key a start.

    Raises:
        TypeError: if the generator is neither a network nor a function.
        ValueError: if a network lacks its latent, or a function is given one; or if several seeds
            are asked of one network.
    """
    if isinstance(generator, AbstractGenerator):
        if u is None:
            raise ValueError("a generator comes with its latent: give u=, for example on_sphere(d)")
        if seeds is not None:
            raise ValueError(
                "seeds start from several networks: give a function from a key to (generator, u) "
                "instead of one generator"
            )
    elif not callable(generator):
        raise TypeError(
            f"generator is a jaxdip generator or a function from a key to (generator, u), got "
            f"{type(generator).__name__}"
        )
    elif u is not None:
        raise ValueError("a function makes the generator and its latent: leave u out")
    if seeds is None:
        return [key]
    return [jax.random.fold_in(key, i) for i in range(count("seeds", seeds, 1))]


def _peak(peak: RealScalar | None, truth: Any) -> Array | None:
    checked = number("peak", peak, positive=True)
    if checked is not None or truth is None:
        return checked
    return jnp.max(jnp.abs(jnp.asarray(truth)))


def _result(
    lanes: list[Lane],
    states: list[State],
    act: tuple[str, ...],
    called: bool,
    several: bool,
    notes: tuple[str, ...],
    point: Any,
) -> Reconstruction:
    acted = [_acted(state, act) for state in states]
    ones = [
        {
            "x": _image(state, name),
            "x_last": state.x,
            "x_average": state.x_average,
            "stops": {
                rule: Stop(kept.step, kept.fired_at, kept.x, kept.x_average)
                for rule, kept in state.kept.items()
            },
            "trace": state.rows,
            "steps": state.step,
            "result": _code(state, name, called),
            "generator": one.loop.f.generator(state.theta),
            "stats": one.loop.descent.numbers(),
        }
        for one, state, name in zip(lanes, states, acted, strict=True)
    ]
    reasons = tuple(_reason(state, name, called) for state, name in zip(states, acted, strict=True))
    if several:
        arrays = jax.tree.map(_stacked, *ones)
    else:
        arrays = ones[0]
    arrays["trace"] = _trimmed(arrays["trace"])
    return Reconstruction(
        **arrays,
        reason=reasons if several else reasons[0],
        notes=(*notes, *lanes[0].notes),
        checkpoint=point,
    )


def _stacked(*leaves: Any) -> Any:
    return jnp.stack(leaves) if eqx.is_array(leaves[0]) else leaves[0]


def _acted(state: State, act: tuple[str, ...]) -> str | None:
    """The rule that ended the run."""
    return act[int(state.acted)] if int(state.acted) >= 0 else None


def _image(state: State, name: str | None) -> Array:
    if name is None or int(state.kept[name].step) < 0:
        return state.x
    return state.kept[name].x


def _code(state: State, name: str | None, called: bool) -> RESULTS:
    ended = bool(state.result == RESULTS.completed) and called
    return RESULTS.stopped if ended else state.result


def _reason(state: State, name: str | None, called: bool) -> str:
    step = int(state.step)
    if bool(state.result == RESULTS.diverged):
        return f"diverged at step {step}: take a smaller step, or check the data"
    if name is not None:
        kept = state.kept[name]
        image = int(kept.step)
        return f"{name} fired at step {int(kept.fired_at)}" + (
            f"; its image is that of step {image}" if image >= 0 else "; it chose no image"
        )
    if called:
        return f"the caller ended the run at step {step}"
    return f"all {step} steps were taken and no rule ended the run"


def _trimmed(trace: dict[str, Array]) -> dict[str, Array]:
    """Without the records that no start reached."""
    reached = ~np.isnan(np.asarray(trace["step"])).reshape((-1, trace["step"].shape[-1]))
    last = int(np.max(np.sum(reached, axis=-1)))
    return {name: row[..., :last] for name, row in trace.items()}
