"""An activation as the loop of a two-layer trial evaluates it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdip._types import Array
from jaxdip.generators import ACTIVATIONS


class ActivationForm(NamedTuple):
    """An activation as the loop evaluates it: φ = shift + scale f.

    Attributes:
        evaluate: from z to f(z), and to an array from which f'(z) is made.
        slope: from that array to f'(z).
    """

    evaluate: Callable[[Array], tuple[Array, Array]]
    slope: Callable[[Array], Array]
    shift: float
    scale: float


def activation_form(activation: str) -> ActivationForm:
    """The form of an activation, by its name."""
    # tanh takes 1.2 ns an entry (float64, one core) where the logistic function takes 1.9, and its
    # own value is all that its derivative needs.
    if activation == "sigmoid":
        return ActivationForm(_hyperbolic(0.5), lambda t: 0.5 - 0.5 * (t * t), 0.5, 0.5)
    if activation == "tanh":
        return ActivationForm(_hyperbolic(1.0), lambda t: 1.0 - t * t, 0.0, 1.0)
    phi = ACTIVATIONS[activation]
    return ActivationForm(lambda z: jax.jvp(phi, (z,), (jnp.ones_like(z),)), lambda s: s, 0.0, 1.0)


def _hyperbolic(factor: float) -> Callable[[Array], tuple[Array, Array]]:
    def evaluate(z: Array) -> tuple[Array, Array]:
        t = jnp.tanh(factor * z)
        return t, t

    return evaluate
