"""Many steps of many two-layer trials in one kernel each, for devices on which launches cost.

Sweeps use it where `FusedTwoLayerTrial` is asked for: what has not been measured on the device it
is for is nobody's default. `python -m benchmarks.gpu` checks and times it there.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from jaxdip._types import Array, Float
from jaxdip.trials._activation_form import ActivationForm, activation_form
from jaxdip.trials._two_layer import State
from jaxdip.trials._two_layer_point import Program

#: Rows and columns of a TPU's tile of 32-bit numbers.
_TILE = (8, 128)


def check_fused(program: Program) -> None:
    """Refuses what the kernel does not do.

    Raises:
        ValueError: for dynamics other than 'gd', and p > 0.
    """
    if program.dynamics != "gd" or not program.squares:
        raise ValueError(
            "the fused kernel makes steps of gradient descent on the squared error, got dynamics "
            f"{program.dynamics!r} and p {'= 0' if program.squares else '> 0'}; use the loop, "
            "TwoLayerTrial"
        )


def fused_steps(program: Program, states: State, steps: int, *, interpret: bool = False) -> State:
    """Up to so many steps of gradient descent for each of a batch of `TwoLayerTrial` states.

    As `TwoLayerTrial.step` while `TwoLayerTrial.running`, but one program instance holds a trial's
    M, z and residual on chip for all steps, where a compiled loop launches several kernels a step.
    Products are sums of elementwise products, so no device rounds their operands to TF32 or
    bfloat16. Each trial stops by itself.

    The padded sizes are the blocks' shapes. Triton takes powers of two only: pad the states' arrays
    with zeros, which stay zeros (a zero column of M has a zero gradient). To the tiles of TPUs, 8
    rows of 128, they are padded here.

    What was checked, on a CPU alone: interpreted, the kernel makes the plain loop's steps; and JAX
    lowers it for GPUs by Triton (float32 and float64) and for TPUs by Mosaic (float32). The
    devices' own compilers have not seen it, and it has run on neither. JAX 0.12 warns that its
    Triton backend will go.

    Args:
        program: of the trials; dynamics 'gd' and p = 0.
        states: as `TwoLayerTrial.begin` makes them, stacked along a first axis.
        steps: how many at most.
        interpret: evaluate the kernel by JAX instead of compiling it; on CPUs there is no other
            way.

    Returns:
        The states, stacked.

    Raises:
        ValueError: for other dynamics or losses, and on CPUs unless interpreted.
    """
    check_fused(program)
    fixed = states.fixed
    kernel = _kernel(activation_form(program.activation), steps)
    call = _batched(kernel, fixed.matrix)
    arrays = _arrays(states)
    if interpret:
        found = call(interpret=True)(*arrays)
    else:
        # Here, for it takes 0.15 s, and JAX has announced that it will go.
        from jax.experimental.pallas import triton

        # Named, because JAX's default for GPUs is Mosaic, which takes other kernels than this.
        by_triton = call(compiler_params=triton.CompilerParams(num_warps=_warps(fixed.matrix)))
        by_mosaic = partial(_in_tiles, kernel)
        found = jax.lax.platform_dependent(
            *arrays, cuda=by_triton, rocm=by_triton, tpu=by_mosaic, default=call()
        )
    z, memory, residual, loss, taken = found
    return states._replace(
        z=z[:, 0],
        memory=memory[:, 0],
        slope=residual[:, :, 0],
        loss=loss[:, 0, 0],
        steps=states.steps + taken[:, 0, 0],
    )


def _arrays(states: State) -> tuple[Array, ...]:
    """What the kernel reads, each with two axes besides that of the trials."""
    fixed = states.fixed
    return (
        fixed.matrix,
        fixed.target[:, :, None],
        fixed.step[:, None, None],
        fixed.tolerance[:, None, None],
        fixed.bound[:, None, None],
        (fixed.limit - states.steps)[:, None, None],
        states.z[:, None],
    )


def _kernel(form: ActivationForm, steps: int) -> Callable[..., None]:
    """Up to so many steps of one trial, from its blocks of the arrays to those of the results."""

    def kernel(M_ref, y_ref, step_ref, tolerance_ref, bound_ref, left_ref, z_ref, *out):
        # Everything has two axes, z a row and the residual a column: so TPUs lay vectors out.
        M, y, z = M_ref[0], y_ref[0], z_ref[0]
        step, tolerance, bound = step_ref[0, 0, 0], tolerance_ref[0, 0, 0], bound_ref[0, 0, 0]
        left = left_ref[0, 0, 0]

        def looked(z: Array):
            feature, memory = form.evaluate(z)
            residual = jnp.sum(M * feature, axis=1, keepdims=True) - y
            return memory, residual, 0.5 * jnp.sum(residual * residual)

        def going(carry):
            (_, _, loss), _, taken = carry
            # NaN compares false, so a poisoned trial stops.
            return (loss > tolerance) & (loss < bound) & (taken < left) & (taken < steps)

        def moved(carry):
            (memory, residual, _), z, taken = carry
            gradient = jnp.sum(M * (step * residual), axis=0, keepdims=True)
            z = z - form.slope(memory) * gradient
            return looked(z), z, taken + 1

        start = (looked(z), z, jnp.zeros((), jnp.int32))
        (memory, residual, loss), z, taken = jax.lax.while_loop(going, moved, start)
        z_out, memory_out, residual_out, loss_out, taken_out = out
        z_out[0], memory_out[0], residual_out[0] = z, memory, residual
        # TPUs store no scalar to vector memory, but a vector of one entry.
        loss_out[0], taken_out[0] = jnp.full((1, 1), loss), jnp.full((1, 1), taken)

    return kernel


def _batched(kernel: Callable[..., None], matrix: Float[Array, "T m K"]) -> Callable[..., Any]:
    """The kernel's call, a program of the device for each trial; takes a compiler's parameters."""
    trials, rows, width = matrix.shape
    dtype = matrix.dtype

    def block(*shape: int) -> pl.BlockSpec:
        # Of 32 bits as i is: under x64 a plain 0 would put indices of 64 bits into TPU programs.
        return pl.BlockSpec((1, *shape), lambda i: (i, jnp.int32(0), jnp.int32(0)))

    def out(shape: tuple[int, int], dtype) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((trials, *shape), dtype)

    row, column, scalar = block(1, width), block(rows, 1), block(1, 1)
    return partial(
        pl.pallas_call,
        kernel,
        grid=(trials,),
        in_specs=[block(rows, width), column, *[scalar] * 4, row],
        out_specs=[row, row, column, scalar, scalar],
        out_shape=[
            out((1, width), dtype),
            out((1, width), dtype),
            out((rows, 1), dtype),
            out((1, 1), dtype),
            out((1, 1), jnp.int32),
        ],
    )


def _in_tiles(kernel: Callable[..., None], *arrays: Array) -> tuple[Array, ...]:
    """The kernel's call on arrays that are padded to the tiles of a TPU."""
    rows, width = arrays[0].shape[1:]
    more_rows, more_width = -rows % _TILE[0], -width % _TILE[1]

    def padded(x: Array, rows: int, width: int) -> Array:
        return jnp.pad(x, [(0, 0), (0, rows), (0, width)])

    matrix, target, *scalars, z = arrays
    matrix = padded(matrix, more_rows, more_width)
    z, memory, residual, loss, taken = _batched(kernel, matrix)()(
        matrix, padded(target, more_rows, 0), *scalars, padded(z, 0, more_width)
    )
    return z[..., :width], memory[..., :width], residual[:, :rows], loss, taken


def _warps(matrix: Float[Array, "T m K"]) -> int:
    """Groups of 32 threads of a GPU that hold a trial's M in 32 registers each, from 4 to 32.

    Estimated, for a thread has 255 registers at most, and the rest of a step needs as many again.
    """
    rows, width = matrix.shape[1:]
    held = rows * width * matrix.dtype.itemsize // (4 * 32 * 32)
    return min(32, max(4, 1 << max(0, held - 1).bit_length()))
