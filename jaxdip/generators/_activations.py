"""Activation functions with the constants that the theorems ask of them."""

import abc
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array


class AbstractActivation(eqx.Module):
    """A scalar function φ applied entrywise, with what assumption A-3 of arXiv 2403.05395 bounds.

    The papers use one constant B = max(sup|φ'|, Lip φ'); the two are kept apart here because the
    bounds need only one of them at each place. An activation is a pytree: numbers that it depends
    on may be array leaves, its constants are then arrays too.
    """

    #: How the activation is called in a config.
    name: eqx.AbstractVar[str]
    #: sup|φ'|.
    sup_slope: eqx.AbstractVar[float | Array]
    #: Lip φ', infinite where φ' is not Lipschitz.
    lip_slope: eqx.AbstractVar[float | Array]
    #: (E φ(X)²)^½ for X ~ N(0, 1).
    C_phi: eqx.AbstractVar[float | Array]
    #: (E φ'(X)²)^½ for X ~ N(0, 1).
    C_dphi: eqx.AbstractVar[float | Array]

    @property
    @abc.abstractmethod
    def smooth(self) -> bool:
        """φ' is bounded and Lipschitz, so the theorems apply."""

    @property
    @abc.abstractmethod
    def B(self) -> float | Array:
        """The papers' constant B = max(sup|φ'|, Lip φ')."""

    @abc.abstractmethod
    def __call__(self, h: Array) -> Array:
        """φ(h), entrywise."""


class Activation(AbstractActivation):
    """A function φ with its constants as plain numbers.

    Attributes:
        name: how the activation is called in a config.
        function: φ, for real arrays of any shape.
        sup_slope: sup|φ'|.
        lip_slope: Lip φ', infinite where φ' is not Lipschitz.
        C_phi: (E φ(X)²)^½ for X ~ N(0, 1).
        C_dphi: (E φ'(X)²)^½ for X ~ N(0, 1).
    """

    name: str = eqx.field(static=True)
    function: Callable[[Array], Array] = eqx.field(static=True)
    sup_slope: float = eqx.field(static=True)
    lip_slope: float = eqx.field(static=True)
    C_phi: float = eqx.field(static=True)
    C_dphi: float = eqx.field(static=True)

    def __call__(self, h: Array) -> Array:
        """φ(h), entrywise."""
        return self.function(h)

    @property
    def smooth(self) -> bool:
        """φ' is bounded and Lipschitz, so the theorems apply."""
        return math.isfinite(self.sup_slope) and math.isfinite(self.lip_slope)

    @property
    def B(self) -> float:
        """The papers' constant B = max(sup|φ'|, Lip φ')."""
        return max(self.sup_slope, self.lip_slope)


def _gelu(h: Array) -> Array:
    return jax.nn.gelu(h, approximate=False)


_ALL = (
    Activation(
        name="sigmoid",
        function=jax.nn.sigmoid,
        sup_slope=1 / 4,
        lip_slope=1 / (6 * math.sqrt(3)),
        C_phi=0.54164475060512953,
        C_dphi=0.21174569972066581,
    ),
    Activation(
        name="tanh",
        function=jnp.tanh,
        sup_slope=1.0,
        lip_slope=4 / (3 * math.sqrt(3)),
        C_phi=0.62792873034910672,
        C_dphi=0.68147113104537909,
    ),
    Activation(
        name="softplus",
        function=jax.nn.softplus,
        sup_slope=1.0,
        lip_slope=1 / 4,
        C_phi=0.95981555981308215,
        C_dphi=0.54164475060512953,
    ),
    Activation(
        name="gelu",
        function=_gelu,
        sup_slope=1.1289041451851548,
        lip_slope=math.sqrt(2 / math.pi),
        C_phi=0.65209008777184972,
        C_dphi=0.67516728715873603,
    ),
    Activation(
        name="silu",
        function=jax.nn.silu,
        sup_slope=1.0998393201288669,
        lip_slope=1 / 2,
        C_phi=0.59646921112271349,
        C_dphi=0.61602138894102477,
    ),
    Activation(
        name="erf",
        function=jax.scipy.special.erf,
        sup_slope=2 / math.sqrt(math.pi),
        lip_slope=4 / math.sqrt(2 * math.pi * math.e),
        C_phi=math.sqrt(2 / math.pi * math.asin(2 / 3)),
        C_dphi=math.sqrt(4 / math.pi / math.sqrt(5)),
    ),
    Activation(
        name="sin",
        function=jnp.sin,
        sup_slope=1.0,
        lip_slope=1.0,
        C_phi=math.sqrt((1 - math.exp(-2)) / 2),
        C_dphi=math.sqrt((1 + math.exp(-2)) / 2),
    ),
    # φ' jumps at 0, so A-3 fails and no theorem applies; the dynamics still runs.
    Activation(
        name="relu",
        function=jax.nn.relu,
        sup_slope=1.0,
        lip_slope=math.inf,
        C_phi=math.sqrt(1 / 2),
        C_dphi=math.sqrt(1 / 2),
    ),
)

#: The activations by name.
ACTIVATIONS: Mapping[str, Activation] = MappingProxyType({a.name: a for a in _ALL})


def activation(phi: str | AbstractActivation) -> AbstractActivation:
    """The activation of that name, or the one given.

    Raises:
        ValueError: if the name is unknown.
        TypeError: if `phi` is neither a name nor an `Activation`.
    """
    if isinstance(phi, AbstractActivation):
        return phi
    if not isinstance(phi, str):
        raise TypeError(
            f"an activation is a name or an Activation, got {phi!r}; wrap a function of your own "
            "as jaxdip.generators.Activation(name, function, sup_slope, lip_slope, C_phi, C_dphi)"
        )
    if phi not in ACTIVATIONS:
        raise ValueError(f"unknown activation {phi!r}; choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[phi]
