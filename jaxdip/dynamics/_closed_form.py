"""What a dynamics offers whose factor on a mode is known to the last digit of its complement."""

import abc

import equinox as eqx

from jaxdip._types import Array


class AbstractClosedForm(eqx.Module):
    """A dynamics that knows 1 − q(λ, t) as well as q(λ, t): one minus the other would lose it.

    For λt = 1e-12 the difference 1 − q has four digits left, of which 1/λ makes a displacement.
    """

    @abc.abstractmethod
    def fitted(self, eigenvalue: Array, at: Array) -> Array:
        """1 − q(λ, ·), the fraction of a mode that is fitted, to rounding.

        Args:
            eigenvalue: λ ≥ 0.
            at: the time for a flow, the number of steps for a descent.

        Raises:
            ValueError: if the method has no such closed form.
        """
