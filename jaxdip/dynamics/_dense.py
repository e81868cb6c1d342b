"""θ of a flow at any time: the solver's own interpolant."""

import diffrax as dfx
import equinox as eqx
import jax

from jaxdip._types import Array, RealScalar, Tree
from jaxdip.dynamics._flow import AbstractFlow
from jaxdip.dynamics._recorder import Recorder
from jaxdip.generators import AbstractGenerator


class Dense(eqx.Module):
    """A flow's trajectory as a function of time, to the order of the solver's interpolant.

    Between 0 and the last time of the run; beyond it the interpolant extrapolates and means
    nothing. A run that an event ended goes on here to the end of the solver's last step.

    Attributes:
        end: the last time.
    """

    end: Array
    _path: dfx.DenseInterpolation
    _flow: AbstractFlow
    _recorder: Recorder

    def generator(self, t: RealScalar) -> AbstractGenerator:
        """The network at time t, in its own coordinates."""
        return _generator(self, t)

    def observe(self, t: Array) -> dict[str, Array]:
        """Everything that the run recorded, at other times.

        Args:
            t: one time, or times of any shape, whose axes lead in the result.
        """
        return _observe(self, jax.numpy.asarray(t, self.end.dtype))

    def _at(self, t: RealScalar) -> tuple[Tree, Tree]:
        state = self._path.evaluate(jax.numpy.asarray(t, self.end.dtype))
        return self._flow.parameters(state), state


@eqx.filter_jit
def _generator(dense: Dense, t: RealScalar) -> AbstractGenerator:
    theta, _ = dense._at(t)
    return dense._recorder.lift(dense._recorder.f.generator(theta))


@eqx.filter_jit
def _observe(dense: Dense, t: Array) -> dict[str, Array]:
    def one(t):
        return dense._recorder.look(dense._flow, *dense._at(t))

    rows = jax.lax.map(one, t.ravel())
    return jax.tree.map(lambda x: x.reshape(t.shape + x.shape[1:]), rows)
