"""The linear generator x = J c, for which every dynamics has a closed form."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float, Tree
from jaxdip.generators._layered import AbstractLayeredGenerator, LastLayer


class Linear(AbstractLayeredGenerator):
    """The linear generator x = J c, with J fixed and the coefficients c trained.

    It does not depend on the latent u. Its Jacobian is J everywhere, so every dynamics on the
    mean squared error is a linear recurrence or differential equation (Section 3.1 of the
    compressive-sensing paper, Heckel & Soltanolkotabi 2020).

    Attributes:
        J: shape (n, p).
        c: coefficients, shape (p,); zero by default.
    """

    J: Float[Array, "n p"]
    c: Float[Array, " p"]
    out_shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        J: Float[Array, "n p"],
        c: Float[Array, " p"] | None = None,
        *,
        out_shape: tuple[int, ...] | None = None,
    ):
        """Takes J, the start c and the shape of the signal, (n,) by default.

        Raises:
            ValueError: if J is no matrix, or c or the shape does not fit it.
        """
        J = jnp.asarray(J)
        if J.ndim != 2:
            raise ValueError(f"J is a matrix (n, p), got shape {J.shape}")
        self.J = J
        self.c = jnp.zeros(J.shape[1], J.dtype) if c is None else jnp.asarray(c)
        self.out_shape = (J.shape[0],) if out_shape is None else tuple(out_shape)
        if self.c.shape != (J.shape[1],) or math.prod(self.out_shape) != J.shape[0]:
            raise ValueError(
                f"J of shape {J.shape} takes c of shape {(J.shape[1],)} and makes {J.shape[0]} "
                f"entries; got c {self.c.shape} and signal shape {self.out_shape}"
            )

    def __call__(self, u: Array) -> Array:
        """The signal J c, whatever u is."""
        x = jnp.matmul(self.J, self.c, precision=jax.lax.Precision.HIGHEST)
        return x.reshape(self.out_shape)

    def trainable(self) -> Tree:
        """True at c alone."""
        marks = jax.tree.map(lambda _: False, self)
        return eqx.tree_at(lambda g: g.c, marks, True)

    @property
    def first_layer(self) -> None:
        """None: u does not enter."""
        return None

    @property
    def last_layer(self) -> LastLayer:
        """J, which does not train."""
        return LastLayer(self.J, False)

    def with_layers(
        self,
        *,
        first: Float[Array, "k d"] | None = None,
        last: Float[Array, "n k"] | None = None,
        out_shape: tuple[int, ...] | None = None,
    ) -> "Linear":
        """The same coefficients with another J or signal shape."""
        if first is not None:
            raise ValueError("a linear generator has no first layer to replace")
        return Linear(
            self.J if last is None else last,
            self.c,
            out_shape=self.out_shape if out_shape is None else out_shape,
        )
