"""Any differentiable function as a forward operator."""

from collections.abc import Callable as Function
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array
from jaxdip.operators._base import AbstractLinearOperator, AbstractOperator
from jaxdip.operators._coordinates import conform
from jaxdip.operators._linearized import Linearized
from jaxdip.operators._structure import signal_structure


class Callable(AbstractOperator):
    """F(x) = fn(x), for any function of one array that JAX can differentiate.

    An `eqx.Module` keeps its parameters as leaves of the operator. Another function is static, so
    arrays it closes over are constants of the compiled program: make them leaves by a module, or
    by `jax.tree_util.Partial(fn, parameters)`.
    """

    fn: Function[[Array], Array]
    in_structure: jax.ShapeDtypeStruct = eqx.field(static=True)

    def __init__(
        self, fn: Function[[Array], Array], in_shape: int | tuple[int, ...], dtype: Any = None
    ):
        """Wrap the function.

        Args:
            fn: takes one array of shape `in_shape` and returns one array.
            in_shape: the shape of a signal.
            dtype: of the signal; the default real dtype if None.

        Raises:
            TypeError: if `fn` is not callable, or does not return one floating-point array.
        """
        if not callable(fn):
            raise TypeError(f"Callable wraps a function of one array, got {type(fn).__name__}")
        self.in_structure = signal_structure(in_shape, dtype)
        is_tree = isinstance(fn, (eqx.Module, jax.tree_util.Partial))
        self.fn = cast(Function, fn) if is_tree else jax.tree_util.Partial(fn)
        out = eqx.filter_eval_shape(self.fn, self.in_structure)
        if not isinstance(out, jax.ShapeDtypeStruct) or not jnp.issubdtype(out.dtype, jnp.inexact):
            raise TypeError(f"a forward function returns one floating-point array, got {out}")

    def __call__(self, x: Array) -> Array:
        """fn(x)."""
        return self.fn(conform(x, self.in_structure, "Callable"))

    def linearize(self, x: Array) -> AbstractLinearOperator:
        """The Jacobian at x, matrix-free."""
        return Linearized(self, x)
