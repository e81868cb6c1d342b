"""The papers' experiment with each descent as one kernel that keeps a trial on chip."""

import dataclasses
from collections.abc import Hashable

import jax
from equinox import field

from jaxdip._types import Array, Device, Key
from jaxdip.sweeps import AbstractTrial
from jaxdip.sweeps._trial import Point
from jaxdip.trials._fused_descent import check_fused, fused_steps
from jaxdip.trials._two_layer import Numbers, Program, TwoLayerTrial

#: The least block that TPUs lay out without waste; powers of two are what Triton takes.
_ROWS, _WIDTH = 8, 128
#: Numbers of M: the most that Triton takes as one block.
_LARGEST = 2**20
#: More steps than any limit.
_ENDLESS = 2**31 - 1
_LOOP = TwoLayerTrial()


class FusedTwoLayerTrial(AbstractTrial):
    """`TwoLayerTrial`, each descent one kernel on a GPU or TPU; untried on either so far.

    A compiled loop launches several kernels an iteration, which on accelerators takes longer than
    the iteration of a narrow network. Here one program of the device holds a trial's M, z and
    residual on chip until it has ended. The trials are the same: equal keys and points draw the
    same data, and the iterations differ in last bits.

    Parameters and outcomes are those of `TwoLayerTrial` ('two-layer' in a file) with dynamics =
    'gd' and p = 0. Rows and columns of M are padded with zeros to powers of two, at least 8 and
    128, so m·k is at most about a million. A tile of `lanes` trials is one launch and ends with its
    last trial; a device is full with some thousands, so give `lanes` as many as the memory holds.

    Attributes:
        interpret: evaluate the kernel by JAX instead, slowly, on any device: for tests.
    """

    interpret: bool = field(default=False, static=True)

    def program(self, point: Point) -> Program:
        """The padded sizes, and what is chosen by name.

        Raises:
            TypeError, ValueError: as `TwoLayerTrial`, for other dynamics or losses, and if M is
                larger than a block may be.
        """
        loop = _LOOP.program(point)
        check_fused(loop)
        rows = _power_of_two(int(point["m"]), _ROWS)
        width = _power_of_two(int(point["k"]), _WIDTH)
        if rows * width > _LARGEST:
            raise ValueError(
                f"M of {rows} x {width} numbers (m = {point['m']}, k = {point['k']}, padded) is "
                f"larger than a kernel's block, {_LARGEST} numbers; take TwoLayerTrial, in a file "
                "trial = 'two-layer'"
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


def _power_of_two(size: int, least: int) -> int:
    return max(least, 1 << (size - 1).bit_length())
