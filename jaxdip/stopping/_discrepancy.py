"""The discrepancy principle."""

from jaxdip._numbers import given
from jaxdip._types import Array, Bool, Float, RealScalar, Tree
from jaxdip.stopping._base import AbstractStopping, Seen
from jaxdip.stopping._threshold import never


class Discrepancy(AbstractStopping):
    """Fires at the first step with ‖F(x) − y‖ ≤ τ‖ε‖.

    For independent noise of standard deviation σ on m entries ‖ε‖ ≈ σ√m.

    Reference: V. A. Morozov, "On the solution of functional equations by the method of
    regularization", Soviet Mathematics Doklady 7, 1966; for untrained networks arXiv 2402.04610.

    Attributes:
        noise_norm: ‖ε‖ over all m entries, in units of the data.
        tau: τ.
    """

    noise_norm: Float[Array, ""]
    tau: Float[Array, ""]

    def __init__(self, noise_norm: RealScalar, tau: RealScalar = 1.0):
        """Takes ‖ε‖ and τ.

        Raises:
            TypeError: if one is not a number.
            ValueError: unless ‖ε‖ ≥ 0 and τ > 0, both finite.
        """
        self.noise_norm = given("noise_norm", noise_norm, positive=False)
        self.tau = given("tau", tau, positive=True)

    def init(self, template: Seen) -> Tree:
        """Not reached yet."""
        return never()

    def update(self, state: Tree, seen: Seen) -> Tree:
        """Whether the residual is down at τ‖ε‖."""
        limit = self.tau * self.noise_norm
        return state.after(seen.residual <= limit.astype(seen.residual.dtype))

    def fired(self, state: Tree) -> Bool[Array, ""]:
        """Whether it has been."""
        return state.fired

    def chosen(self, state: Tree) -> Bool[Array, ""]:
        """Whether it got there just now."""
        return state.now
