"""Stein's unbiased estimate of the risk, with the divergence measured by Monte Carlo."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp

from jaxdip._numbers import count, given, number
from jaxdip._types import Array, Bool, Float, Int, RealScalar, Tree
from jaxdip.stopping._base import AbstractStopping, Seen
from jaxdip.stopping._patience import Best, nothing


class Risk(NamedTuple):
    """The estimate at the step just seen, and the least so far."""

    value: Float[Array, ""]
    best: Best


class Sure(AbstractStopping):
    """Chooses the step with the least estimated risk; fires when it stagnates.

        SURE_k = ‖ŷ_k − y‖² − mσ² + 2σ² div_k,    E SURE_k = E‖ŷ_k − ȳ‖²,

    for Gaussian noise of standard deviation σ, where div_k = tr ∂ŷ_k/∂y is the reaction of the
    prediction ŷ_k = F(x_k) to the data through the whole run. The driver carries, for each probe b
    (independent random signs; (±1 ± i)/√2 for complex data), a second run on y + ηb that shares all
    else with the first, and div_k is the mean of Re⟨b, ŷ_k(y + ηb) − ŷ_k(y)⟩/η: each probe costs
    as much time and memory as a run. Where the run is affine in y (a linear generator, MSE and a
    linear dynamics) only the mean over probes is an estimate, and `Linearised.sure` has the value
    itself; elsewhere η must be small enough for the difference to be a derivative.

    Reference: S. Ramani, T. Blu & M. Unser, "Monte-Carlo SURE", IEEE Transactions on Image
    Processing 17, 2008.

    Attributes:
        noise: σ, such that E|ε_i|² = σ², in units of the data.
        probes: how many.
        size: η, in units of the data; None for √(machine epsilon) times the root mean square of y.
        patience: how many steps to wait.
    """

    noise: Float[Array, ""]
    probes: int = eqx.field(static=True)
    size: Float[Array, ""] | None
    patience: Int[Array, ""]

    def __init__(
        self,
        noise: RealScalar,
        *,
        probes: int = 1,
        size: RealScalar | None = None,
        patience: int = 1000,
    ):
        """Takes σ, the number of probes, η and the patience.

        Raises:
            TypeError: if one is of the wrong kind.
            ValueError: unless σ ≥ 0, probes ≥ 1, η > 0 and patience ≥ 1.
        """
        self.noise = given("noise", noise, positive=False)
        self.probes = count("probes", probes, 1)
        self.size = number("size", size, positive=True)
        self.patience = jnp.asarray(count("patience", patience, 1), jnp.int32)

    def init(self, template: Seen) -> Tree:
        """No estimate yet."""
        if template.divergence is None:
            raise ValueError("this run has no perturbed twin; give Sure to reconstruct as a rule")
        dtype = template.residual.dtype
        return Risk(jnp.asarray(jnp.inf, dtype), nothing(dtype))

    def update(self, state: Tree, seen: Seen) -> Tree:
        """The estimate at one more step."""
        square = jnp.sum(jnp.square(jnp.abs(seen.prediction - seen.y)))
        variance = jnp.square(self.noise).astype(square.dtype)
        assert seen.divergence is not None
        value = square - seen.y.size * variance + 2 * variance * seen.divergence
        return Risk(value, state.best.after(value, self.patience))

    def fired(self, state: Tree) -> Bool[Array, ""]:
        """Whether the patience has run out."""
        return state.best.fired

    def chosen(self, state: Tree) -> Bool[Array, ""]:
        """Whether the estimate is the least so far."""
        return state.best.now
