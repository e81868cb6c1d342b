"""A theorem's scaling law whose constant the source does not give: no number that one can use."""

import equinox as eqx
import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._types import Array
from jaxdip.theory._certificate import Certificate, not_applicable


class ScalingLaw(eqx.Module):
    """k ≳ h(m, n, …): k ≥ C h for a constant C that the source does not give.

    h alone is no width: it serves to compare two problems (`ratio`), never to choose k, and its
    certificate is 'not applicable' at every width.

    Attributes:
        theorem: its name.
        source: where it is stated, and how it is corrected here.
        law: h in symbols.
        up_to_constant: h, whose evidence is 'assumed' because C = 1 is.
        probability: with which the theorem's conclusion then holds, or None where the source does
            not say.
    """

    theorem: str = eqx.field(static=True)
    source: str = eqx.field(static=True)
    law: str = eqx.field(static=True)
    up_to_constant: Quantity
    probability: Quantity | None = None

    def ratio(self, other: "ScalingLaw") -> Array:
        """How many times the width this needs compared with another problem under the same law.

        Raises:
            ValueError: if the laws differ, whose constants then do too.
        """
        if (self.theorem, self.law) != (other.theorem, other.law):
            raise ValueError(
                f"only widths of one law compare, got k ≳ {self.law} and k ≳ {other.law}; their "
                "constants differ by an unknown factor"
            )
        return self.up_to_constant.value / other.up_to_constant.value

    def certificate(self, width: int) -> Certificate:
        """Not applicable, whatever the width, with the reason."""
        why = f"k = {width} cannot be judged: the source gives k ≳ {self.law} without the constant"
        return not_applicable(self.theorem, self.source, why)

    def __str__(self) -> str:
        """The law, with its constant named."""
        value = float(self.up_to_constant.value)
        return f"{self.theorem}: k >= C {self.law}, here C x {value:.3g}, with C not given"


def law(
    theorem: str,
    source: str,
    symbols: str,
    value: Array,
    probability: Quantity | None = None,
) -> ScalingLaw:
    """The law with its evidence put as it must be."""
    value = jnp.asarray(value)
    how = f"{symbols} with the unknown constants put to 1: comparable, not usable"
    return ScalingLaw(theorem, source, symbols, Quantity(value, how, "assumed"), probability)
