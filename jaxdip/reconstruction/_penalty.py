"""Total variation, smoothed so that it has a gradient."""

import equinox as eqx
import jax.numpy as jnp

from jaxdip._numbers import given
from jaxdip._types import Array, Float, RealScalar


class TotalVariation(eqx.Module):
    """ω Σ_i (√(‖∇x_i‖² + δ²) − δ), isotropic, with forward differences that are 0 at the far edge.

    The gradient at each pixel joins the differences along all grid axes; channels are summed
    apart. δ is the size of a difference below which the penalty is quadratic: it is smooth, with a
    gradient of Lipschitz constant at most 4dω/δ on a grid of d axes, and tends to the total
    variation as δ → 0.

    Attributes:
        weight: ω, in units of the loss over those of x.
        smoothing: δ, in units of x.
        axes: the axes of the grid; None for all axes of x, but the last where x has three axes and
            the last has at most 4 entries, which then are channels.
    """

    weight: Float[Array, ""]
    smoothing: Float[Array, ""]
    axes: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        weight: RealScalar,
        *,
        smoothing: RealScalar = 1e-3,
        axes: tuple[int, ...] | None = None,
    ):
        """Takes ω, δ and the axes.

        Raises:
            TypeError: if a number is none.
            ValueError: unless ω ≥ 0 and δ > 0, both finite.
        """
        self.weight = given("weight", weight, positive=False)
        self.smoothing = given("smoothing", smoothing, positive=True)
        self.axes = None if axes is None else tuple(axes)

    def __call__(self, x: Array) -> Array:
        """The penalty of a signal of any shape.

        Raises:
            ValueError: if x lacks one of the axes.
        """
        square = jnp.zeros(x.shape, jnp.finfo(x.dtype).dtype)
        for axis in self._grid(x.shape):
            step = jnp.diff(x, axis=axis)
            edge = [(0, int(i == axis)) for i in range(x.ndim)]
            square = square + jnp.pad(jnp.square(step.real) + jnp.square(step.imag), edge)
        delta = self.smoothing.astype(square.dtype)
        return self.weight.astype(square.dtype) * jnp.sum(jnp.sqrt(square + delta**2) - delta)

    def _grid(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.axes is None:
            coloured = len(shape) == 3 and shape[-1] <= 4
            return tuple(range(len(shape) - coloured))
        if not all(0 <= axis < len(shape) for axis in self.axes):
            raise ValueError(
                f"axes of the total variation are those of the signal, 0 to {len(shape) - 1}, got "
                f"{self.axes}"
            )
        return self.axes
