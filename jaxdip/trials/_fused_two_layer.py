"""The papers' experiment with each descent as one kernel that keeps a trial on chip."""

import dataclasses
from collections.abc import Hashable

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Device, Key
from jaxdip.sweeps import AbstractDeviceTrial
from jaxdip.sweeps._trial import Point
from jaxdip.trials._fused_descent import check_fused, fused_steps
from jaxdip.trials._two_layer import TwoLayerTrial
from jaxdip.trials._two_layer_point import Numbers, Program

#: The least width: one row of a TPU's tile. Powers of two are what Triton takes.
_WIDTH = 128
#: Bytes of M: as many as all threads of a block of a GPU hold in 64 registers each.
_LARGEST = 2**18
#: More steps than any limit.
_ENDLESS = 2**31 - 1
_LOOP = TwoLayerTrial()


class FusedTwoLayerTrial(AbstractDeviceTrial):
    """`TwoLayerTrial`, each descent one kernel on a GPU or TPU; untried on either so far.

    A compiled loop launches several kernels an iteration, which on accelerators takes longer than
    the iteration of a narrow network. Here one program of the device holds a trial's M, z and
    residual on chip until it has ended. The trials are the same: equal keys and points draw the
    same data, and the iterations differ in last bits.

    Parameters and outcomes are those of `TwoLayerTrial` ('two-layer' in a file) with dynamics =
    'gd' and p = 0. Rows and columns of M are padded with zeros to powers of two; their product is
    at most 65 536 in float32, as with m = 4 and k = 16 384, and half as much in float64. A tile of
    `lanes` trials is one launch and ends with its last trial; a device is full with some thousands,
    so give `lanes` as many as the memory holds. TPUs take float32 alone.

    Attributes:
        interpret: evaluate the kernel by JAX instead, slowly, on any device: for tests.
    """

    interpret: bool = eqx.field(default=False, static=True)

    def program(self, point: Point) -> Program:
        """The padded sizes, and what is chosen by name.

        Raises:
            TypeError, ValueError: as `TwoLayerTrial`, for other dynamics or losses, and if M is
                larger than fits on chip.
        """
        loop = _LOOP.program(point)
        check_fused(loop)
        rows = _power_of_two(int(point["m"]))
        width = max(_WIDTH, _power_of_two(int(point["k"])))
        fits = _LARGEST // jnp.dtype(loop.dtype).itemsize
        if rows * width > fits:
            raise ValueError(
                f"M of {rows} x {width} numbers (m = {point['m']}, k = {point['k']}, padded) is "
                f"larger than what stays on chip, {fits} numbers in {loop.dtype}; take "
                "TwoLayerTrial, in a file trial = 'two-layer'"
            )
        return dataclasses.replace(loop, observations=rows, width=width)

    def numbers(self, point: Point) -> Numbers:
        """As `TwoLayerTrial`."""
        return _LOOP.numbers(point)

    def run(self, key: Key, program: Hashable, numbers: Numbers) -> dict[str, Array]:
        """Draws a trial, descends in the kernel, and tells what became of it."""
        assert isinstance(program, Program)
        state = _LOOP.begin(key, program, numbers)
        # A batch of one here; a tile's `vmap` adds an axis to the kernel's grid.
        batch = jax.tree.map(lambda x: x[None], state)
        batch = fused_steps(program, batch, _ENDLESS, interpret=self.interpret)
        return _LOOP.outcome(program, jax.tree.map(lambda x: x[0], batch))

    def check_device(self, device: Device) -> None:
        """Refuses CPUs, for which there is no compiler of kernels.

        Raises:
            ValueError: on a CPU, unless interpreted.
        """
        if device.platform == "cpu" and not self.interpret:
            raise ValueError(
                "FusedTwoLayerTrial (in a file trial = 'two-layer-fused') is for GPUs and TPUs, "
                "and this process computes on a CPU; take TwoLayerTrial (trial = 'two-layer')"
            )


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()
