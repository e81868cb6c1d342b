"""The best step, known only where the truth is."""

import jax.numpy as jnp

from jaxdip._types import Array, Bool, Tree
from jaxdip.stopping._base import AbstractStopping, Seen
from jaxdip.stopping._patience import nothing


class Oracle(AbstractStopping):
    """Chooses the step with the least ‖x − x̄‖ and never fires.

    What a rule could have reached at best; it needs the truth, so it is for simulations.
    """

    def init(self, template: Seen) -> Tree:
        """No error yet."""
        if template.truth is None:
            raise ValueError("Oracle needs the true signal; give truth=, or leave the rule out")
        return nothing(template.residual.dtype)

    def update(self, state: Tree, seen: Seen) -> Tree:
        """The error of one more step."""
        assert seen.truth is not None
        error = jnp.linalg.norm(jnp.ravel(seen.x - seen.truth))
        # No step is the last that might be better.
        return state.after(error, jnp.asarray(jnp.iinfo(jnp.int32).max, jnp.int32))

    def fired(self, state: Tree) -> Bool[Array, ""]:
        """Never."""
        return jnp.asarray(False)

    def chosen(self, state: Tree) -> Bool[Array, ""]:
        """Whether the error is the least so far."""
        return state.now
