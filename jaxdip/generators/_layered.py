"""Generators that begin or end with a linear layer, which is what exact reduction needs."""

import abc

import equinox as eqx

from jaxdip._types import Array, Float
from jaxdip.generators._base import AbstractGenerator


class LastLayer(eqx.Module):
    """The linear map with which a generator ends, and whether it trains.

    Attributes:
        matrix: shape (n, k); the flattened signal is `matrix` times features, up to a constant.
        trains: whether the dynamics moves it.
    """

    matrix: Float[Array, "n k"]
    trains: bool = eqx.field(static=True)


class AbstractLayeredGenerator(AbstractGenerator):
    """A generator linear in its last matrix, whose first matrix (if any) only ever meets u."""

    @property
    @abc.abstractmethod
    def first_layer(self) -> Float[Array, "k d"] | None:
        """The trained matrix that multiplies u, or None if u does not enter through one."""

    @property
    @abc.abstractmethod
    def last_layer(self) -> LastLayer:
        """The matrix that makes the signal."""

    @abc.abstractmethod
    def with_layers(
        self,
        *,
        first: Float[Array, "k d"] | None = None,
        last: Float[Array, "n k"] | None = None,
        out_shape: tuple[int, ...] | None = None,
    ) -> "AbstractLayeredGenerator":
        """The same generator with other end matrices and, if `last` changes n, another shape."""
