"""A width that suffices for a theorem, and what the theorems about width share."""

import equinox as eqx
import jax.numpy as jnp

from jaxdip._evidence import Evidence, Quantity, weakest
from jaxdip._types import Array
from jaxdip.generators import AbstractActivation
from jaxdip.operators import AbstractLinearOperator
from jaxdip.theory._certificate import Certificate, Condition, not_applicable

THEOREM = "width of a two-layer network"
SOURCE = "arXiv 2403.05395, condition (4), with constants"


class RequiredWidth(eqx.Module):
    """A width from which on a theorem's condition R' < R holds.

    Attributes:
        theorem: its name.
        source: where it comes from.
        value: k; NaN where nothing is said.
        probability: over the draw of the network, with which at least it then holds.
        conditions: the hypotheses.
        obstacle: why nothing is said, known before any number.
    """

    theorem: str = eqx.field(static=True)
    source: str = eqx.field(static=True)
    value: Quantity
    probability: Quantity
    conditions: tuple[Condition, ...] = ()
    obstacle: str | None = eqx.field(static=True, default=None)

    def certificate(self, width: int) -> Certificate:
        """Whether a network of that width is certain to be wide enough."""
        if self.obstacle is not None:
            return not_applicable(self.theorem, self.source, self.obstacle)
        k = Quantity(jnp.asarray(width, self.value.value.dtype), "as given", "closed form")
        enough = Condition("k* ≤ k", self.value, k, strict=False)
        numbers = {"k*": self.value, "probability": self.probability}
        return Certificate(self.theorem, self.source, (*self.conditions, enough), numbers, {})


def positive(name: str, value: Quantity, otherwise: str) -> Condition:
    """The hypothesis that a number is positive."""
    zero = Quantity(jnp.zeros_like(value.value), "zero", "closed form")
    return Condition(name, zero, value, otherwise=otherwise)


def mean_square(A: AbstractLinearOperator, y: Array, phi: AbstractActivation) -> Array:
    """E‖A g(0) − y‖²."""
    values = A.singular_values()
    spread = jnp.asarray(phi.C_phi**2).astype(values.dtype) * jnp.sum(values**2)
    return spread + jnp.sum(y.real**2 + y.imag**2).astype(values.dtype)


def weaker(first: Quantity, second: Quantity) -> Evidence:
    """The evidence of the number that can be trusted less."""
    return first.evidence if weakest(first.grade, second.grade) == first.grade else second.evidence


def nothing(why: str) -> RequiredWidth:
    """What is not applicable, with the reason."""
    nan = jnp.asarray(jnp.nan)
    none = Quantity(nan, why, "closed form")
    return RequiredWidth(THEOREM, SOURCE, none, none, (), why)
