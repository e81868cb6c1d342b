"""Many steps of many two-layer trials in one kernel each, for devices on which launches cost.

Sweeps do not use it: it has been run interpreted on CPUs only, and what has not been measured on
the device it is for is nobody's default. `python -m benchmarks.gpu` checks and times it there.
"""

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from jaxdip._types import Array
from jaxdip.trials._two_layer import Program, State, _form


def fused_steps(program: Program, states: State, steps: int, *, interpret: bool = False) -> State:
    """Up to so many steps of gradient descent for each of a batch of `TwoLayerTrial` states.

    As `TwoLayerTrial.step` while `TwoLayerTrial.running`, but one program instance holds a trial's
    M, z and residual on chip for all steps, where a compiled loop launches several kernels a step.
    Products are sums of elementwise products, so no device rounds their operands to TF32 or
    bfloat16. Each trial stops by itself.

    The padded sizes are the blocks' shapes. Triton takes powers of two only; TPUs want m a multiple
    of 8 and k of 128: pad the states' arrays with zeros, which stay zeros (a zero column of M has a
    zero gradient). The kernel runs compiled on GPUs and TPUs and, with `interpret`, anywhere.

    Args:
        program: of the trials; dynamics 'gd' and p = 0.
        states: as `TwoLayerTrial.begin` makes them, stacked along a first axis.
        steps: how many at most.
        interpret: evaluate the kernel by JAX instead of compiling it.

    Returns:
        The states, stacked.

    Raises:
        ValueError: for other dynamics or losses.
    """
    if program.dynamics != "gd" or not program.squares:
        raise ValueError(
            "the fused kernel makes steps of gradient descent on the squared error, got dynamics "
            f"{program.dynamics!r} and p {'= 0' if program.squares else '> 0'}; use the loop"
        )
    form, fixed = _form(program.activation), states.fixed
    trials, width = states.z.shape
    rows = fixed.target.shape[1]

    def kernel(M_ref, y_ref, step_ref, tolerance_ref, bound_ref, left_ref, z_ref, *out):
        M, y, step = M_ref[0], y_ref[0, 0], step_ref[0, 0, 0]
        tolerance, bound, left = tolerance_ref[0, 0, 0], bound_ref[0, 0, 0], left_ref[0, 0, 0]

        def looked(z: Array):
            feature, memory = form.evaluate(z)
            residual = jnp.sum(M * feature, axis=1) - y
            return memory, residual, 0.5 * jnp.sum(residual * residual)

        def going(carry):
            (_, _, loss), _, taken = carry
            # NaN compares false, so a poisoned trial stops.
            return (loss > tolerance) & (loss < bound) & (taken < left) & (taken < steps)

        def moved(carry):
            (memory, residual, _), z, taken = carry
            z = z - form.slope(memory) * jnp.sum(M * (step * residual)[:, None], axis=0)
            return looked(z), z, taken + 1

        z = z_ref[0, 0]
        start = (looked(z), z, jnp.zeros((), jnp.int32))
        (memory, residual, loss), z, taken = jax.lax.while_loop(going, moved, start)
        z_out, memory_out, residual_out, loss_out, taken_out = out
        z_out[0, 0], memory_out[0, 0], residual_out[0, 0] = z, memory, residual
        loss_out[0, 0, 0], taken_out[0, 0, 0] = loss, taken

    def block(*shape: int) -> pl.BlockSpec:
        return pl.BlockSpec((1, *shape), lambda i: (i, 0, 0))

    def out(size: int, dtype) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((trials, 1, size), dtype)

    dtype = states.z.dtype
    scalar = block(1, 1)
    z, memory, residual, loss, taken = pl.pallas_call(
        kernel,
        grid=(trials,),
        in_specs=[block(rows, width), block(1, rows), *[scalar] * 4, block(1, width)],
        out_specs=[block(1, width), block(1, width), block(1, rows), scalar, scalar],
        out_shape=[
            out(width, dtype),
            out(width, dtype),
            out(rows, dtype),
            out(1, dtype),
            out(1, jnp.int32),
        ],
        interpret=interpret,
    )(
        fixed.matrix,
        fixed.target[:, None],
        fixed.step[:, None, None],
        fixed.tolerance[:, None, None],
        fixed.bound[:, None, None],
        (fixed.limit - states.steps)[:, None, None],
        states.z[:, None],
    )
    return states._replace(
        z=z[:, 0],
        memory=memory[:, 0],
        slope=residual[:, 0],
        loss=loss[:, 0, 0],
        steps=states.steps + taken[:, 0, 0],
    )
