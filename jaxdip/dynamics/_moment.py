"""What can be recorded of a motion: not only where θ is, but what the dynamics carries."""

import abc

import equinox as eqx

from jaxdip._types import Array, Float, Tree
from jaxdip.dynamics._descent import AbstractDescent
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.problem import Parameters


class Moment(eqx.Module):
    """One moment of a motion, in the coordinates it runs in.

    Attributes:
        f: the loss as a function of θ.
        dynamics: the flow or the discrete method, with its numbers filled in.
        theta: θ.
        state: what the dynamics carries: all of a flow's state, a discrete method's memory.
        length: the length of the path so far.
        stride: the last ‖θ_τ − θ_{τ−1}‖ of a discrete method; zero at the start and for flows.
    """

    f: Parameters
    dynamics: AbstractFlow | AbstractDescent
    theta: Tree
    state: Tree
    length: Float[Array, ""]
    stride: Float[Array, ""]


class AbstractMotionObservable(eqx.Module):
    """A function of a moment, recorded by `integrate`, `iterate`, and along both by `compare`.

    Energies and path lengths are of this kind: they need velocities, which θ alone does not tell.
    The reduced coordinates are isometric, so norms and inner products mean the same in both.
    """

    @abc.abstractmethod
    def __call__(self, moment: Moment) -> Array:
        """The value to record, an array of fixed shape."""
