"""Constant step sizes: a number, or a fraction of 1/L."""

import abc

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Float, Int, RealScalar, Tree
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._modes import Factor, constant_product
from jaxdip.dynamics._scales import Scales
from jaxdip.dynamics._step_size import AbstractStepSize
from jaxdip.problem import Parameters


class AbstractConstantStep(AbstractStepSize):
    """γ_τ = γ."""

    @abc.abstractmethod
    def gamma(self) -> Array:
        """γ.

        Raises:
            ValueError: if it is not known yet.
        """

    def numbers(self) -> dict[str, Array]:
        """γ."""
        return {"step_size": self.gamma()}

    def init(self) -> Tree:
        """Nothing to remember."""
        return ()

    def choose(self, f: Parameters, theta: Tree, gradient: Tree, state: Tree) -> tuple[Array, Tree]:
        """γ."""
        return self.gamma(), state

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """γτ."""
        return self.gamma() * step.astype(self.gamma().dtype)

    def product(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Factor:
        """(1 − γλ)^τ."""
        return constant_product(self.gamma().astype(eigenvalue.dtype) * eigenvalue, steps)


class Constant(AbstractConstantStep):
    """A given step size.

    Attributes:
        value: γ > 0, in units of time.
    """

    value: Float[Array, ""]

    def __init__(self, value: RealScalar):
        """Takes γ.

        Raises:
            TypeError: unless γ is a real number.
            ValueError: unless γ is finite and positive.
        """
        checked = number("step_size", value, positive=True)
        if checked is None:
            raise TypeError("step_size is a real number, got None")
        self.value = checked

    def gamma(self) -> Array:
        """γ."""
        return self.value

    def resolve(self, scales: Scales) -> tuple["Constant", tuple[str, ...]]:
        """Itself: nothing is left out."""
        return self, ()


class InverseL(AbstractConstantStep):
    """γ = c/L, with L the Lipschitz constant of ∇f as `gradient_lipschitz` has it.

    c = 1 is the largest step of Theorem III.1 of arXiv 2403.05395 and of the bounds for concave ψ;
    c = 1/2 minimises the constant ν₂ of that theorem.

    Attributes:
        factor: c > 0.
    """

    factor: Float[Array, ""]

    def __init__(self, factor: RealScalar = 1.0):
        """Takes c.

        Raises:
            TypeError: unless c is a real number.
            ValueError: unless c is finite and positive.
        """
        checked = number("factor", factor, positive=True)
        if checked is None:
            raise TypeError("factor is a real number, got None")
        self.factor = checked

    def gamma(self) -> Array:
        """Not known before `resolve`."""
        raise ValueError("the step size is not known yet; call resolve, or give it")

    def of(self, scales: Scales) -> tuple[Array, str]:
        """c/L, and in words what it rests on."""
        L = scales.lipschitz
        return self.factor.astype(L.value.dtype) / L.value, f"{self._words()}, L from {L.how}"

    def _words(self) -> str:
        if not is_concrete(self.factor) or self.factor.ndim:
            return "c/L"
        c = float(self.factor)
        return {1.0: "1/L", 0.5: "1/(2L)"}.get(c, f"{c:g}/L")

    def resolve(self, scales: Scales) -> tuple[Constant, tuple[str, ...]]:
        """The number c/L."""
        gamma, words = self.of(scales)
        return Constant(gamma), (f"step_size: {words}",)
