"""What an iteration of a hot loop must do: bytes it moves, operations it makes."""

import math
from typing import NamedTuple

import jaxdip as jd
from benchmarks._ceilings import Ceilings


class Count(NamedTuple):
    """What an iteration of a loop must do.

    Attributes:
        moved: bytes read and written, each pass over an array counted.
        working: bytes of the arrays that it goes over, which decide what holds them.
        products: multiplications and additions, each as one operation.
        tanh: hyperbolic tangents.
        apart: whether what moves and what computes are kernels of their own, so that neither can
            hide behind the other.
    """

    moved: float
    working: float
    products: float
    tanh: float = 0.0
    apart: bool = False

    def floor(self, top: Ceilings) -> tuple[str, float]:
        """What bounds the loop, and the seconds that it would take there."""
        found = self.seconds(top)
        if self.apart:
            return "bandwidth and arithmetic, in turn,", sum(found.values())
        bound = max(found, key=lambda name: found[name])
        return bound, found[bound]

    def seconds(self, top: Ceilings) -> dict[str, float]:
        """At each ceiling; tanh and products share the core, so they add."""
        return {
            "bandwidth": self.moved / top.bandwidth,
            "arithmetic": self.products / top.products + self.tanh / top.tanh,
        }


def two_layer_count(m: int, k: int, width: int) -> Count:
    """One step of the reduced loop: M twice, z and t = tanh read and written."""
    return Count(
        moved=(2 * m * k + 4 * k) * width,
        working=(m * k + 2 * k) * width,
        # M t and Mᵀr; the slope 0.5 − 0.5 t², its product with Mᵀr, the step, the argument of tanh.
        products=4 * m * k + 8 * k,
        tanh=k,
    )


def explicit_count(m: int, k: int, width: int) -> Count:
    """A step of Tsit5: six gradients, and sums of the stages.

    The argument of stage i adds i earlier velocities to z; the end and the error add six and seven.
    """
    gradient = two_layer_count(m, k, width)
    sums = sum(range(1, 6)) + 6 + 7
    return Count(
        # z and the result with each of seven sums; the error's norm reads it, z and the new z.
        moved=6 * gradient.moved + (sums + 2 * 7 + 3) * k * width,
        # Seven velocities, z, the new z and the error stay at hand.
        working=gradient.working + 10 * k * width,
        products=6 * gradient.products + 2 * sums * k,
        tanh=6 * k,
    )


def implicit_count(q: int, k: int, width: int) -> Count:
    """A step of Rodas5P with the structured Hessian of a network of q outputs, W trained.

    V is read twice for what the Hessian is made of; V diag(·) is written and multiplied with Vᵀ;
    each of eight stages reads V twice for its velocity and twice to solve.
    """
    stages = 8
    # Both sums of a stage, over all earlier ones; those of the end.
    sums = 2 * sum(range(stages)) + stages
    return Count(
        moved=((2 + 3 + 4 * stages) * q * k + (sums + 6 * stages) * k) * width,
        working=(2 * q * k + 12 * k) * width,
        products=2 * q * q * k
        + (2 + 4 * stages) * 2 * q * k
        + 2 * sums * k
        # The q × q matrix: its product, its factors, its solves.
        + 2 * q**3
        + 2 * q**3 / 3
        + stages * 4 * q**2,
        tanh=(stages + 1) * k,
    )


def decoder_count(g: jd.DeepDecoder, width: int) -> Count:
    """A gradient of the deep decoder: products forward, for weights, and for activations.

    A layer mixes on the grid before it, and none needs the gradient of the latent.
    """
    k, colours = g.v.shape[1], g.v.shape[0]
    mixed = [math.prod(grid) for grid in (g.start, *g.grids[:-1])]
    made = [math.prod(grid) for grid in g.grids]
    return Count(
        moved=9 * k * sum(made) * width,
        working=3 * k * sum(made) * width,
        products=2 * k**2 * (3 * sum(mixed) - mixed[0]) + 6 * k * colours * made[-1],
        apart=True,
    )


def product_count(m: int, k: int, width: int) -> Count:
    """J v or Jᵀ w with J = V diag(φ')."""
    return Count(moved=m * k * width, working=m * k * width, products=2 * m * k)


def gram_count(m: int, k: int, width: int) -> Count:
    """B Bᵀ."""
    return Count(moved=m * k * width, working=m * k * width, products=2 * m * m * k)
