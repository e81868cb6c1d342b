"""What is repeated: a trial, from a key and the numbers of a cell to arrays."""

import abc
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Bool, Device, Key, Tree

#: What an axis of a grid may hold. Floats are data: they never recompile. All else is structure.
Value = float | int | str | bool
Point = Mapping[str, Value]


class AbstractTrial(eqx.Module):
    """One trial of a cell.

    A point of the grid is split in two: its program, which is all that must be known to compile,
    and its numbers, which are arrays. Points of one program share one compilation. A trial may pad
    shapes, so that points of several shapes share a program.
    """

    @abc.abstractmethod
    def program(self, point: Point) -> Hashable:
        """What must be known to compile; equal for points that share a program."""

    @abc.abstractmethod
    def numbers(self, point: Point) -> Tree:
        """The rest of the point, as a pytree of arrays of shapes that the program fixes."""

    @abc.abstractmethod
    def run(self, key: Key, program: Hashable, numbers: Tree) -> dict[str, Array]:
        """The outcome of one trial, by name; a pure function, to be compiled."""


class AbstractDeviceTrial(AbstractTrial):
    """A trial that runs on some kinds of devices only."""

    @abc.abstractmethod
    def check_device(self, device: Device) -> None:
        """Refuses a device of another kind.

        Raises:
            ValueError: with the kinds that there are, and what to take instead.
        """


class AbstractLoopTrial(AbstractTrial):
    """A trial that repeats a step until it is done.

    Written so, trials that end early make room for others in the same batch, as accelerators need
    it. A state holds all that belongs to the trial, its data included.
    """

    @abc.abstractmethod
    def begin(self, key: Key, program: Hashable, numbers: Tree) -> Tree:
        """The state before the first step."""

    @abc.abstractmethod
    def running(self, state: Tree) -> Bool[Array, ""]:
        """Whether another step is to be made; False for a state that is not finite."""

    @abc.abstractmethod
    def step(self, program: Hashable, state: Tree) -> Tree:
        """The state after one more step."""

    @abc.abstractmethod
    def outcome(self, program: Hashable, state: Tree) -> dict[str, Array]:
        """What is kept of a state that is done."""

    def run(self, key: Key, program: Hashable, numbers: Tree) -> dict[str, Array]:
        """One trial: a loop that ends when it is done."""
        state = self.begin(key, program, numbers)
        state = jax.lax.while_loop(self.running, lambda s: self.step(program, s), state)
        return self.outcome(program, state)


class AbstractPaddedTrial(AbstractLoopTrial):
    """A loop whose trials are begun in fewer, larger shapes than they go on in.

    To draw and prepare a trial takes longer to compile than its loop. Where trials run one by one,
    several programs share a coarser one to begin in, and each takes its own part of the state.
    """

    @abc.abstractmethod
    def beginning(self, program: Hashable) -> Hashable:
        """The program that trials of this one are begun in."""

    @abc.abstractmethod
    def cut(self, program: Hashable, state: Tree) -> Tree:
        """What `begin` made in `beginning(program)`, as a state of this program."""


class FunctionTrial(AbstractTrial):
    """A function of (key, point) as a trial.

    Floats of the point reach the function as arrays and never recompile; whole numbers, strings and
    Booleans as themselves, each combination of which is a program.

    Attributes:
        function: from a key and a point (a dictionary) to an array, or a dictionary or other pytree
            of arrays; pure, for it is compiled.
    """

    function: Callable[[Key, dict[str, Any]], Any] = eqx.field(static=True)

    def program(self, point: Point) -> Hashable:
        """All that is not a float, with its type: True is not 1."""
        kept = ((k, type(v).__name__, v) for k, v in point.items() if not isinstance(v, float))
        return tuple(sorted(kept))

    def numbers(self, point: Point) -> Tree:
        """The floats."""
        # NumPy's: of thousands of cells, JAX's arrays would take longer to make than to use.
        dtype = np.dtype(jnp.result_type(float))
        return {k: np.asarray(v, dtype) for k, v in point.items() if isinstance(v, float)}

    def run(self, key: Key, program: Hashable, numbers: Tree) -> dict[str, Array]:
        """The function's result, its leaves named by their paths."""
        assert isinstance(program, tuple)
        made = self.function(key, {**{k: v for k, _, v in program}, **numbers})
        return named(made)


def named(tree: Any) -> dict[str, Array]:
    """The leaves of a pytree by their paths, such as 'error' or 'solution.loss'.

    Raises:
        TypeError: if a leaf is not an array.
    """
    leaves, _ = jax.tree.flatten_with_path(tree)
    found = {}
    for path, leaf in leaves:
        name = jax.tree_util.keystr(path, simple=True, separator=".") or "value"
        if not isinstance(leaf, jax.Array | float | int | bool) and not hasattr(leaf, "dtype"):
            raise TypeError(
                f"a trial returns arrays, got {type(leaf).__name__} at {name!r}; return a pytree "
                "of arrays, such as {'loss': ..., 'steps': ...}"
            )
        found[name] = jnp.asarray(leaf)
    if not found:
        raise TypeError("a trial returned no arrays; return a pytree of them")
    return found
