"""What a generator is: the network whose trainable leaves are θ."""

import abc

import equinox as eqx
from equinox import AbstractVar

from jaxdip._types import Array, Tree


class AbstractGenerator(eqx.Module):
    """A map g(u, θ) from a latent u to a signal x, whose trainable array leaves are θ.

    A generator is a pytree; `trainable()` marks the leaves that the dynamics moves. Everything
    else (latent, operator, loss, data) belongs to the `Problem`.
    """

    #: Shape of the signal x.
    out_shape: AbstractVar[tuple[int, ...]]

    @abc.abstractmethod
    def __call__(self, u: Array) -> Array:
        """The signal x = g(u, θ), of shape `out_shape`."""

    @abc.abstractmethod
    def trainable(self) -> Tree:
        """A pytree of the generator's structure with True at the leaves that train."""
