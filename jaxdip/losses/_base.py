"""What a loss is, and what its desingularizing function is."""

import abc

import equinox as eqx
from equinox import AbstractClassVar, AbstractVar

from jaxdip._types import Array


class AbstractDesingularizer(eqx.Module):
    """ψ of the Kurdyka-Łojasiewicz inequality ψ'(L(v)) ‖∇L(v)‖ ≥ 1, and Ψ, a primitive of −(ψ')².

    All five functions act on loss values (`psi`, `dpsi`, `Psi`) or on what they return (`psi_inv`,
    `Psi_inv`), elementwise on arrays, and under jit and vmap. `radius` is r0: the inequality holds
    on 0 < L(v) < r0 (infinite where it holds everywhere the loss is defined). `domain` says in
    words where. ψ(0) = 0; for a convex loss dist(v, argmin L) ≤ ψ(L(v)). Ψ is
    fixed up to a constant, which cancels in every bound.

    Reference: Definition II.2 of arXiv 2403.05395, on [0 < f < r0] (the paper prints [f < r0],
    which would include minimisers).
    """

    radius: AbstractVar[Array]
    domain: AbstractVar[str]
    #: ψ is concave, so the sharper constants of gradient descent apply.
    concave: AbstractClassVar[bool]

    @abc.abstractmethod
    def psi(self, s: Array) -> Array:
        """ψ(s), for loss values s ≥ 0."""

    @abc.abstractmethod
    def dpsi(self, s: Array) -> Array:
        """ψ'(s), for loss values s > 0."""

    @abc.abstractmethod
    def psi_inv(self, u: Array) -> Array:
        """ψ⁻¹(u), for u ≥ 0."""

    @abc.abstractmethod
    def Psi(self, s: Array) -> Array:
        """Ψ(s), for loss values s > 0; decreasing."""

    @abc.abstractmethod
    def Psi_inv(self, w: Array) -> Array:
        """Ψ⁻¹(w); zero beyond the end of Ψ's range where the bound ends in finite time."""


class AbstractLoss(eqx.Module):
    """L_y(v), a real number ≥ 0 that measures how far the prediction v is from the data y.

    Losses sum over entries (they never average), and each states its factors. The minimum over v
    is 0.
    """

    #: Takes complex predictions and data.
    takes_complex: AbstractClassVar[bool]
    #: v = y is the only minimiser, so that ψ(L_y(v)) bounds ‖v − y‖.
    fits_data: AbstractClassVar[bool]
    #: The gradient is locally Lipschitz where the loss is defined, as the theorems assume (for
    #: some losses it depends on a parameter; False while that parameter is traced).
    smooth: AbstractVar[bool]

    @abc.abstractmethod
    def __call__(self, v: Array, y: Array) -> Array:
        """L_y(v), summed over all entries; +inf or NaN where the loss is not defined.

        Raises:
            ValueError: if v and y differ in shape.
            TypeError: if either is complex and the loss does not take complex numbers.
        """

    @abc.abstractmethod
    def desingularizer(self, y: Array) -> AbstractDesingularizer:
        """ψ and its relatives for the data y.

        Raises:
            ValueError: where no such function exists, saying why.
        """

    @abc.abstractmethod
    def check_data(self, y: Array) -> None:
        """Says in a ValueError what is wrong with data outside the loss's domain.

        Called on concrete data only, when a problem is stated.
        """
