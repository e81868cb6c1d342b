"""How long a preset would take on one data-centre GPU, by a model that no run has checked yet.

Trials of small networks are bound by launches: XLA keeps a loop's control on the host, and one
iteration of a batch of up to 256 trials takes 10 to 30 µs whatever the width. Networks of image
size are bound by memory: the bytes that an iteration moves, at 70 % of the 4.8 TB/s of an H200.
Adaptive integration of few trajectories launches hundreds of small kernels a step, so that a GPU
gains nothing. Compilation, a minute or so, comes on top.
"""

import math

#: Seconds of one iteration of a batch of small trials.
_ITERATION = 20e-6
#: Bytes a second.
_BANDWIDTH = 0.7 * 4.8e12
#: How often forward, backward and Adam move the activations of a decoder, and by how many kernels
#: of at least so many seconds.
_PASSES, _KERNELS, _KERNEL = 30, 300, 4e-6

#: Of integrators and of analyses of small matrices.
AS_ON_CPU = "as on the CPU"


def by_launches(steps: int, batches: int) -> str:
    """The time of so many batches of trials, one after the other, of so many steps each."""
    return _told(steps * batches * _ITERATION)


def of_two_layer(side: int, width: int, steps: int) -> str:
    """The time of gradient descent on an image: AV, side² × width in float64, is read twice."""
    return _told(steps * 2 * 8 * side**2 * width / _BANDWIDTH)


def of_decoder(steps: int) -> str:
    """The time of steps of the five-layer decoder, 16² to 256² by 256 channels in float32."""
    pixels = sum(side**2 for side in (28, 49, 85, 148, 256))
    moved = _PASSES * 4 * 256 * pixels
    return _told(steps * (moved / _BANDWIDTH + _KERNELS * _KERNEL))


def _told(seconds: float) -> str:
    if seconds < 20:
        return "seconds"
    minutes = seconds / 60
    amount, unit = (seconds, "s") if seconds < 100 else (minutes, "min")
    # One digit: the model knows no more.
    digits = 10 ** math.floor(math.log10(amount))
    return f"about {round(amount / digits) * digits:.0f} {unit}"
