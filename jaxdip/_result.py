"""How a run ended, and what it returns: the same for flows and for discrete methods."""

from typing import Any

import equinox as eqx

from jaxdip._types import Array, Float, Tree


class RESULTS(eqx.Enumeration):
    """The code with which every run ends; a diverged run is data, not an exception."""

    completed = "The run went through all its steps or reached its final time."
    converged = "The loss reached the tolerance."
    stopped = "A stopping rule, or the caller, ended the run."
    out_of_steps = (
        "The ODE solver used up max_steps before the final time: raise max_steps, loosen rtol and "
        "atol, or choose a stiff solver."
    )
    diverged = (
        "The loss or the parameters stopped being finite: take a smaller step, or check the data."
    )
    solver_failed = "The ODE solver failed, for example because its step size fell to zero."


class Solution(eqx.Module):
    """A trajectory: what was observed along the shared clock, and where it ended.

    Attributes:
        ts: the times of the records, shape (T,). A flow has time t, gradient descent has
            t = Σ γ_τ, IGAHD has t = τ √s. Records never reached have t = inf.
        observed: one array of shape (T, ...) for each observable, 'loss' always among them; NaN
            where never reached.
        generator: the generator at the last record reached, in its own (unreduced) coordinates.
        result: a member of `RESULTS`.
        stats: numbers about the run, such as 'steps' and the step size used.
        notes: what was chosen on the caller's behalf, in words.
        hits: the time at which each event first happened, by name; inf where it never did.
        checkpoint: where a discrete run stands, for `iterate(..., resume=...)`.
        dense: θ at any time between, of a flow run with `dense=True`.
    """

    ts: Float[Array, " T"]
    observed: dict[str, Array]
    generator: Tree
    result: RESULTS
    stats: dict[str, Array]
    notes: tuple[str, ...] = eqx.field(static=True, default=())
    hits: dict[str, Float[Array, ""]] = eqx.field(default_factory=dict)
    checkpoint: Any = None
    dense: Any = None

    @property
    def loss(self) -> Float[Array, " T"]:
        """The loss L_y(F(g(u, θ))) at `ts`."""
        return self.observed["loss"]
