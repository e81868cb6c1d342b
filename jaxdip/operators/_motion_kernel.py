"""The kernel of a camera that moves along a line while the shutter is open."""

import math

import numpy as np

# Points for each pixel of the line: the kernel's error is below a thousandth.
_POINTS = 64


def motion_kernel(length: float, angle: float) -> np.ndarray:
    """A blur kernel, the line of given length and angle through the centre, for `Blur`.

    Each point of the line is spread over the four nearest pixels by linear weights, so the kernel
    changes smoothly with the angle. Its mean lies at the centre.

    Args:
        length: of the line in pixels, ≥ 0.
        angle: in degrees, counter-clockwise from the direction of rows (90 is vertical).

    Returns:
        A kernel of odd extents with sum 1, shape (K, K) with K = 2 ⌈length/2⌉ + 1.

    Raises:
        ValueError: if the length is negative, or a number is not finite.
    """
    if not (math.isfinite(length) and length >= 0 and math.isfinite(angle)):
        raise ValueError(
            f"a motion kernel has a finite length >= 0 in pixels and a finite angle in degrees, "
            f"got {length} and {angle}"
        )
    radius = math.ceil(length / 2)
    count = max(1, math.ceil(length * _POINTS))
    places = length * ((np.arange(count) + 0.5) / count - 0.5)
    radians = math.radians(angle)
    kernel = np.zeros((2 * radius + 3, 2 * radius + 3))
    rows, columns = radius + 1 - places * math.sin(radians), radius + 1 + places * math.cos(radians)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    below, right = rows - top, columns - left
    for i, weight_i in ((top, 1 - below), (top + 1, below)):
        for j, weight_j in ((left, 1 - right), (left + 1, right)):
            np.add.at(kernel, (i, j), weight_i * weight_j)
    return kernel[1:-1, 1:-1] / count
