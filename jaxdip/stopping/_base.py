"""What a stopping rule is: it watches one run, says when it fires and which image it would keep."""

import abc
import functools
from typing import Any, NamedTuple

import equinox as eqx

from jaxdip._types import Array, Bool, Float, Inexact, Int, Tree


class Seen(NamedTuple):
    """What a rule sees of a run after each step, the start (step 0) included.

    `prediction`, `y` and `loss` are those of the entries that are fitted: entries held out are not
    among them.

    Attributes:
        step: how many steps were taken.
        t: the time on the shared clock (Σ γ_τ for gradient descent, τ√s for IGAHD).
        loss: L_y(F(x)), without penalties.
        residual: ‖F(x) − y‖ in units of the data; where k of m entries are fitted, that of those k
            times √(m/k), so that it compares with the norm of the noise on all m.
        x: the signal.
        prediction: F(x).
        y: the data.
        held_out: the mean of |F(x) − y|² over the entries held out; None if there are none.
        divergence: the Monte Carlo estimate of tr ∂F(x)/∂y; None where no run is carried for it.
        truth: x̄, of the shape of x; None if unknown.
    """

    step: Int[Array, ""]
    t: Float[Array, ""]
    loss: Float[Array, ""]
    residual: Float[Array, ""]
    x: Inexact[Array, "..."]
    prediction: Inexact[Array, "..."]
    y: Inexact[Array, "..."]
    held_out: Float[Array, ""] | None = None
    divergence: Float[Array, ""] | None = None
    truth: Inexact[Array, "..."] | None = None


class AbstractStopping(eqx.Module):
    """A rule that watches a run; pure, so that it works under jit and vmap and in loops.

    The driver makes a state by `init`, shows the rule every step by `update`, and asks the state
    whether the rule has `fired`, which it then stays, and whether the step just seen is the one
    whose image the rule would return (`chosen`). A threshold chooses the step at which it fires; a
    rule with patience the best step so far, and fires when none has been better for long. The
    image kept at the end is that of the last step chosen up to the firing.

    `a & b` fires once both have fired, `a | b` once either has; each chooses the step at which it
    fires. For the image of either part, give the parts by name side by side instead.
    """

    @abc.abstractmethod
    def init(self, template: Seen) -> Tree:
        """The state before anything is seen.

        Args:
            template: what will be seen: arrays, or their shapes and dtypes.

        Raises:
            ValueError: if the run does not show what the rule needs.
        """

    @abc.abstractmethod
    def update(self, state: Tree, seen: Seen) -> Tree:
        """The state after a step was seen."""

    @abc.abstractmethod
    def fired(self, state: Tree) -> Bool[Array, ""]:
        """Whether the rule has fired by now."""

    @abc.abstractmethod
    def chosen(self, state: Tree) -> Bool[Array, ""]:
        """Whether the step just seen is the one whose image to keep."""

    def __and__(self, other: Any) -> "AbstractStopping":
        return both(self, other) if isinstance(other, AbstractStopping) else NotImplemented

    def __or__(self, other: Any) -> "AbstractStopping":
        return either(self, other) if isinstance(other, AbstractStopping) else NotImplemented


@functools.singledispatch
def both(first: AbstractStopping, second: AbstractStopping) -> AbstractStopping:
    """What `first & second` means; the class that answers registers itself."""
    raise TypeError(f"a & b combines two stopping rules, got {type(first).__name__} on the left")


@functools.singledispatch
def either(first: AbstractStopping, second: AbstractStopping) -> AbstractStopping:
    """What `first | second` means; the class that answers registers itself."""
    raise TypeError(f"a | b combines two stopping rules, got {type(first).__name__} on the left")
