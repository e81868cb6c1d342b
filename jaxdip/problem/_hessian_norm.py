"""The norm of the Hessian as something to record along a run."""

from jaxdip._types import Array
from jaxdip.problem._curvature import hessian_norm
from jaxdip.problem._observables import AbstractObservable, Snapshot


class HessianNorm(AbstractObservable):
    """The norm ‖∇²f(θ)‖, by power iteration; it costs tens of gradients a record."""

    def __call__(self, snapshot: Snapshot) -> Array:
        """‖∇²f(θ)‖; the reduced coordinates keep it."""
        return hessian_norm(snapshot.lift.reduced_problem, snapshot.current)
