"""The length of the path that θ takes, carried along with the dynamics."""

from collections.abc import Callable
from typing import overload

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._tree import tree_dtype, tree_norm, tree_sub
from jaxdip._types import Array, Float, Int, RealScalar, Tree
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._moment import AbstractMotionObservable, Moment
from jaxdip.dynamics._scales import Scales
from jaxdip.problem import Parameters


class Travelled(eqx.Module):
    """The state of a dynamics with the path length so far.

    Attributes:
        state: that of the dynamics itself.
        length: ∫‖θ̇‖dt or Σ‖θ_{τ+1} − θ_τ‖ so far.
        stride: the last ‖θ_τ − θ_{τ−1}‖ of a discrete method, zero at the start; zero for flows.
    """

    state: Tree
    length: Float[Array, ""]
    stride: Float[Array, ""]


class FlowWithPathLength(AbstractFlow):
    """A flow that also integrates ‖θ̇‖: one more number in its state, the same trajectory.

    Attributes:
        inner: the flow itself.
    """

    inner: AbstractFlow

    def resolve(self, scales: Scales) -> tuple["FlowWithPathLength", tuple[str, ...]]:
        """With the flow's defaults filled in."""
        inner, notes = self.inner.resolve(scales)
        return FlowWithPathLength(inner), notes

    def numbers(self) -> dict[str, Array]:
        """Those of the flow."""
        return self.inner.numbers()

    def init(self, grad: Callable[[Tree], Tree], theta: Tree) -> Tree:
        """The flow's start, and no length."""
        zero = jnp.zeros((), tree_dtype(theta))
        return Travelled(self.inner.init(grad, theta), zero, zero)

    def velocity(self, grad: Callable[[Tree], Tree], t: Array, state: Tree) -> Tree:
        """The flow's velocity, and the speed ‖θ̇‖."""
        moved = self.inner.velocity(grad, t, state.state)
        _, theta = jax.jvp(self.inner.parameters, (state.state,), (moved,))
        return Travelled(moved, tree_norm(theta), jnp.zeros_like(state.stride))

    def mode(self, eigenvalue: Array, t: Array) -> Array:
        """The flow's."""
        return self.inner.mode(eigenvalue, t)

    def parameters(self, state: Tree) -> Tree:
        """θ, from the flow's part of the state."""
        return self.inner.parameters(state.state)


class DescentWithPathLength(AbstractDescent):
    """A discrete method that also sums ‖θ_{τ+1} − θ_τ‖: the same trajectory.

    Attributes:
        inner: the method itself.
    """

    inner: AbstractDescent

    def __init__(self, inner: AbstractDescent):
        """Takes the method."""
        self.inner = inner

    @property
    def linear(self) -> bool:
        """As the method: the reduced coordinates are isometric, so lengths agree."""
        return self.inner.linear

    def resolve(self, scales: Scales) -> tuple["DescentWithPathLength", tuple[str, ...]]:
        """With the method's defaults filled in."""
        inner, notes = self.inner.resolve(scales)
        return DescentWithPathLength(inner), notes

    def numbers(self) -> dict[str, Array]:
        """Those of the method."""
        return self.inner.numbers()

    def init(self, f: Parameters, theta: Tree) -> Tree:
        """The method's memory, and no length."""
        zero = jnp.zeros((), tree_dtype(theta))
        return Travelled(self.inner.init(f, theta), zero, zero)

    def step(self, f: Parameters, theta: Tree, state: Tree) -> tuple[Tree, Tree]:
        """The method's step, and its length."""
        new, memory = self.inner.step(f, theta, state.state)
        stride = tree_norm(tree_sub(new, theta))
        return new, Travelled(memory, state.length + stride, stride)

    def time(self, step: Int[Array, ""], state: Tree = None) -> Array:
        """The method's."""
        return self.inner.time(step, None if state is None else state.state)

    def mode(self, eigenvalue: Array, steps: Int[Array, "..."]) -> Array:
        """The method's."""
        return self.inner.mode(eigenvalue, steps)

    def stable_time_step(self, eigenvalue: Array) -> Array:
        """The method's."""
        return self.inner.stable_time_step(eigenvalue)

    def with_time_step(self, h: RealScalar) -> "DescentWithPathLength":
        """The method with time step h."""
        return DescentWithPathLength(self.inner.with_time_step(h))


@overload
def with_path_length(dynamics: AbstractFlow) -> FlowWithPathLength: ...
@overload
def with_path_length(dynamics: AbstractDescent) -> DescentWithPathLength: ...
def with_path_length(dynamics):
    """The same dynamics, carrying its path length in its state.

    Raises:
        TypeError: if it is neither a flow nor a discrete method.
    """
    if isinstance(dynamics, FlowWithPathLength | DescentWithPathLength):
        return dynamics
    if isinstance(dynamics, AbstractFlow):
        return FlowWithPathLength(dynamics)
    if isinstance(dynamics, AbstractDescent):
        return DescentWithPathLength(dynamics)
    raise TypeError(
        f"a path length belongs to a flow or a discrete method, got {type(dynamics).__name__}; for "
        "example with_path_length(GradientFlow())"
    )


class PathLength(AbstractMotionObservable):
    """The length of the path so far, ∫‖θ̇‖dt or Σ‖θ_{τ+1} − θ_τ‖; at least ‖θ − θ0‖.

    The theorems on gradient flow bound it: ψ(f(t)) + (μ/2)·length(t) never increases while the
    smallest singular value of A J stays above μ/2 (arXiv 2309.12128).
    """

    def __call__(self, moment: Moment) -> Array:
        """The length."""
        return moment.length
