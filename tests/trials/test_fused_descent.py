"""The kernel that makes many steps on chip: interpreted, against the loop that it stands for, and
lowered for the devices that it is for.
"""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl

from jaxdip.trials import TwoLayerTrial
from jaxdip.trials import _fused_descent as descent
from jaxdip.trials._activation_form import activation_form
from jaxdip.trials._fused_descent import fused_steps

TRIAL = TwoLayerTrial()
COUNT = 5


def begun(key, **point):
    """A program and a batch of states at their start."""
    point = {"n": 4, "m": 2, "k": 30, "steps": 400, "tolerance": 1e-3, "step": 1.0} | point
    program, numbers = TRIAL.program(point), TRIAL.numbers(point)
    keys = jax.random.split(key, COUNT)
    return program, jax.vmap(lambda key: TRIAL.begin(key, program, numbers))(keys)


def looped(program, states, steps):
    """Each trial by the plain loop, at most so many steps."""

    def one(state):
        last = jnp.minimum(state.fixed.limit, state.steps + steps)
        return jax.lax.while_loop(
            lambda s: TRIAL.running(s) & (s.steps < last), lambda s: TRIAL.step(program, s), state
        )

    return jax.lax.map(one, states)


def padded(states, rows, width):
    """The states in tiles of so many rows and columns."""
    k, m = states.z.shape[1], states.fixed.target.shape[1]

    def wide(x):
        return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, width - k)])

    fixed = states.fixed._replace(
        matrix=wide(jnp.pad(states.fixed.matrix, [(0, 0), (0, rows - m), (0, 0)])),
        target=jnp.pad(states.fixed.target, [(0, 0), (0, rows - m)]),
    )
    return states._replace(z=wide(states.z), memory=wide(states.memory), fixed=fixed)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softplus"])
def test_the_kernel_makes_the_loops_steps(key, activation):
    program, states = begun(key, activation=activation)
    for steps in (1, 37, 500):
        fused = fused_steps(program, states, steps, interpret=True)
        plain = looped(program, states, steps)
        np.testing.assert_array_equal(fused.steps, plain.steps)
        np.testing.assert_allclose(fused.z, plain.z, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(fused.loss, plain.loss, rtol=1e-8)
        np.testing.assert_allclose(fused.slope, plain.slope, rtol=1e-7, atol=1e-10)
    # The trials stop by themselves: otherwise the masks would be untested.
    assert len(set(np.asarray(fused.steps).tolist())) > 1
    assert np.all(np.asarray(fused.steps) < 400)


def test_single_precision_and_padding_to_tiles_change_no_decision(key):
    """Zero rows and columns stay zeros; float32 ends within a step of its own plain loop."""
    program, states = begun(key, dtype="float32", tolerance=1e-2)
    k, m = states.z.shape[1], states.fixed.target.shape[1]
    fused = fused_steps(program, padded(states, 8, 128), 400, interpret=True)
    plain = looped(program, states, 400)
    assert fused.z.dtype == jnp.float32
    np.testing.assert_array_equal(fused.z[:, k:], 0)
    np.testing.assert_array_equal(fused.slope[:, m:], 0)
    assert np.max(np.abs(np.asarray(fused.steps) - np.asarray(plain.steps))) <= 1
    np.testing.assert_allclose(fused.z[:, :k], plain.z, atol=1e-3)
    assert len(set(np.asarray(fused.steps).tolist())) > 2


def test_tiles_of_a_tpu_change_no_result(key):
    """What is padded for TPUs, interpreted: the arrays come back in the sizes they had."""
    program, states = begun(key, dtype="float32", m=3, k=150)
    kernel = descent._kernel(activation_form(program.activation), 40)
    call = partial(pl.pallas_call, interpret=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descent.pl, "pallas_call", call)
        tiled = descent._in_tiles(kernel, *descent._arrays(states))
        plain = descent._batched(kernel, states.fixed.matrix)()(*descent._arrays(states))
    assert states.z.shape[1] % 128 != 0
    for a, b in zip(tiled, plain, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_stretches_make_one_run(key):
    program, states = begun(key)
    whole = fused_steps(program, states, 60, interpret=True)
    first = fused_steps(program, states, 23, interpret=True)
    parts = fused_steps(program, first, 37, interpret=True)
    np.testing.assert_array_equal(parts.steps, whole.steps)
    np.testing.assert_array_equal(parts.z, whole.z)


def test_a_poisoned_or_diverged_trial_stays_and_leaves_the_others_alone(key):
    program, states = begun(key)
    spoilt = states._replace(
        fixed=states.fixed._replace(
            target=states.fixed.target.at[1, 0].set(jnp.nan),
            bound=states.fixed.bound.at[2].set(0.0),
        )
    )
    fused = fused_steps(program, spoilt, 50, interpret=True)
    healthy = fused_steps(program, states, 50, interpret=True)
    np.testing.assert_array_equal(fused.steps[1:3], [0, 0])
    np.testing.assert_array_equal(fused.z[1:3], states.z[1:3])
    for lane in (0, 3, 4):
        np.testing.assert_array_equal(fused.z[lane], healthy.z[lane])


def test_other_dynamics_are_refused(key):
    for point in ({"dynamics": "igahd"}, {"p": 0.5}):
        program, states = begun(key, **point)
        with pytest.raises(ValueError, match="the fused kernel makes steps of gradient descent"):
            fused_steps(program, states, 5, interpret=True)


#: The compiler that is to take the kernel, a part of its call's name, by platform.
COMPILERS = {"cuda": "triton", "rocm": "triton", "tpu": "tpu_custom_call"}


def call_lowered(platform, program, states):
    """The name of the kernel's call, lowered for a platform none of whose devices is needed."""
    if COMPILERS[platform] == "triton" and jax.__version_info__ >= (0, 12):
        pytest.skip("JAX 0.12 lowers kernels for GPUs only where there is one")
    traced = jax.jit(partial(fused_steps, program, steps=50)).trace(states)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    (name,) = re.findall(r"custom_call @([\w$.]+)", text)
    return name


@pytest.mark.parametrize("wide", [False, True], ids=["32 bits", "64 bits"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softplus"])
@pytest.mark.parametrize("platform", COMPILERS)
def test_the_kernel_lowers_for_gpus_and_tpus(key, platform, activation, wide):
    with jax.enable_x64(wide):
        program, states = begun(key, activation=activation, dtype="float32")
        assert COMPILERS[platform] in call_lowered(platform, program, padded(states, 8, 128))


def test_the_kernel_lowers_for_gpus_in_double_precision(key):
    program, states = begun(key, dtype="float64")
    assert "triton" in call_lowered("cuda", program, padded(states, 8, 128))


def test_on_a_cpu_the_kernel_must_be_interpreted(key):
    program, states = begun(key)
    with pytest.raises(ValueError, match="Only interpret mode is supported on CPU"):
        jax.jit(partial(fused_steps, program, steps=5))(states)
