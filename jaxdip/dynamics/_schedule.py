"""Step sizes that are known in advance: a table of numbers, or a function of the step's number."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Float, Int, Tree
from jaxdip.dynamics._clock import Clock, start_clock
from jaxdip.dynamics._modes import Factor, constant_product
from jaxdip.dynamics._scales import Scales
from jaxdip.dynamics._step_size import AbstractStepSize
from jaxdip.problem import Parameters


class Table(AbstractStepSize):
    """γ_τ from a table; the last entry serves for every step beyond its end.

    Attributes:
        values: γ_0, γ_1, …, γ_{N−1} > 0, shape (N,), in units of time.
    """

    values: Float[Array, " N"]

    def __init__(self, values: Array):
        """Takes the step sizes.

        Raises:
            ValueError: unless they are a vector of finite and positive numbers.
        """
        values = jnp.asarray(values, jnp.result_type(float))
        if values.ndim != 1 or values.size == 0:
            raise ValueError(
                f"a table of step sizes is a vector of at least one number, got shape "
                f"{values.shape}; a constant step is just GradientDescent(step)"
            )
        if is_concrete(values):
            bad = np.flatnonzero(~(np.isfinite(np.asarray(values)) & (np.asarray(values) > 0)))
            if bad.size:
                raise ValueError(
                    f"step sizes are finite and positive, got {float(values[bad[0]]):g} at entry "
                    f"{bad[0]}"
                )
        self.values = values

    def resolve(self, scales: Scales) -> tuple["Table", tuple[str, ...]]:
        """Itself: nothing is left out."""
        return self, ()

    def numbers(self) -> dict[str, Array]:
        """The table."""
        return {"step_size": self.values}

    def init(self) -> Tree:
        """The number of steps taken."""
        return jnp.asarray(0, jnp.int32)

    def choose(self, f: Parameters, theta: Tree, gradient: Tree, state: Tree) -> tuple[Array, Tree]:
        """γ_τ."""
        return self.values[jnp.minimum(state, self.values.size - 1)], state + 1

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """Σ_{j<τ} γ_j."""
        sums = jnp.concatenate([jnp.zeros_like(self.values[:1]), jnp.cumsum(self.values)])
        within = jnp.minimum(step, self.values.size)
        return sums[within] + self.values[-1] * (step - within).astype(sums.dtype)

    def product(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Factor:
        """∏_{j<τ} (1 − γ_j λ)."""
        steps = jnp.asarray(steps)
        shape = jnp.broadcast_shapes(eigenvalue.shape, steps.shape)
        gamma = self.values.astype(eigenvalue.dtype)

        def body(j, product):
            return product.after(jnp.where(j < steps, gamma[j] * eigenvalue, 0))

        head = jax.lax.fori_loop(0, gamma.size, body, Factor.whole(shape, eigenvalue.dtype))
        beyond = jnp.maximum(steps - gamma.size, 0)
        return head.times(constant_product(gamma[-1] * eigenvalue, beyond))


class Schedule(AbstractStepSize):
    """γ_τ = function(τ); any optax schedule is one.

    Attributes:
        function: takes τ = 0, 1, … (a zero-dimensional int32 array), returns γ_τ ≥ 0, in units of
            time; at a negative γ_τ the run diverges. Its numbers are not arguments of the compiled
            program unless it is a pytree (an Equinox module): prefer `Table` to compare many
            schedules.
    """

    function: Callable[[Array], Array]

    def __init__(self, function: Callable[[Array], Array]):
        """Takes the function.

        Raises:
            TypeError: unless it is a function that returns one real number.
            ValueError: if γ_0 is negative or not finite.
        """
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"a schedule is a function of the step, got {function!r}")
        made = jax.eval_shape(
            lambda tau: jnp.asarray(function(tau)), jax.ShapeDtypeStruct((), jnp.int32)
        )
        if made.shape != () or jnp.issubdtype(made.dtype, jnp.complexfloating):
            raise TypeError(
                f"a schedule returns one real number, got shape {made.shape} of {made.dtype}; a "
                "list of numbers goes into jaxdip.steps.Table"
            )
        first = function(jnp.asarray(0, jnp.int32))
        if is_concrete(first) and not 0 <= float(np.asarray(first)) < np.inf:
            raise ValueError(
                f"step sizes are finite and zero or positive, got {float(np.asarray(first)):g} at "
                "step 0 of the schedule"
            )
        self.function = function

    def resolve(self, scales: Scales) -> tuple["Schedule", tuple[str, ...]]:
        """Itself: nothing is left out."""
        return self, ()

    def numbers(self) -> dict[str, Array]:
        """γ_0."""
        return {"step_size": self._gamma(jnp.asarray(0, jnp.int32))}

    def _gamma(self, tau: Array) -> Array:
        gamma = jnp.asarray(self.function(tau)).astype(jnp.result_type(float))
        # Ascent is no descent: NaN makes a run say that it diverged.
        return jnp.where(gamma >= 0, gamma, jnp.nan)

    def init(self) -> Tree:
        """τ and t."""
        return jnp.asarray(0, jnp.int32), self._start()

    def _start(self) -> Clock:
        return start_clock(jnp.zeros((), jnp.result_type(float)))

    def choose(self, f: Parameters, theta: Tree, gradient: Tree, state: Tree) -> tuple[Array, Tree]:
        """γ_τ."""
        tau, clock = state
        gamma = self._gamma(tau)
        return gamma, (tau + 1, clock.after(gamma))

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """Σ_{j<τ} γ_j, as accumulated, or summed anew where the state is left out."""
        if state is not None:
            return state[1].t

        def body(j, clock):
            return clock.after(self._gamma(j))

        return jax.lax.fori_loop(0, step, body, self._start()).t

    def product(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Factor:
        """∏_{j<τ} (1 − γ_j λ), one factor after the other."""
        steps = jnp.asarray(steps)
        shape = jnp.broadcast_shapes(eigenvalue.shape, steps.shape)

        def body(j, product):
            gamma = self._gamma(j).astype(eigenvalue.dtype)
            return product.after(jnp.where(j < steps, gamma * eigenvalue, 0))

        return jax.lax.fori_loop(0, jnp.max(steps), body, Factor.whole(shape, eigenvalue.dtype))
