"""Spectra, kernels and energies per mode as things to record along a run."""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float
from jaxdip.analysis._alignment import mode_energies
from jaxdip.analysis._jacobian import Of, check_count, check_of, jacobian_now
from jaxdip.analysis._kernel import kernel_of
from jaxdip.analysis._spectrum import CHUNK, Method, Spectrum, spectrum_of
from jaxdip.problem.observables import AbstractObservable, Snapshot

Energy = Literal["residual", "prediction", "signal"]


class SigmaMin(AbstractObservable):
    """σ_min of F' J_g or of J_g along the run (see `Spectrum`).

    By the same routes as `spectrum`, in reduced coordinates; with method="krylov", which "auto"
    takes where the Jacobian is too large to store, it is an estimate from above.

    Attributes:
        of: "AJ" or "J".
        method: as for `spectrum`.
        depth: Krylov steps.
        lower: record what σ_min is at least, `Spectrum.sigma_min_lower`, which is 0 by Krylov.
    """

    of: Of = eqx.field(static=True)
    method: Method = eqx.field(static=True)
    depth: int | None = eqx.field(static=True)
    lower: bool = eqx.field(static=True)

    def __init__(
        self,
        of: Of = "AJ",
        method: Method = "auto",
        depth: int | None = None,
        *,
        lower: bool = False,
    ):
        """Chooses the Jacobian, the route and the side; a ValueError for an unknown name."""
        check_of(of)
        _check_method(method)
        self.of, self.method, self.depth, self.lower = of, method, depth, lower

    def __call__(self, snapshot: Snapshot) -> Array:
        """σ_min, or what it is at least."""
        found = _spectrum(snapshot, self.of, self.method, self.depth)
        return found.sigma_min_lower.value if self.lower else found.sigma_min.value


class SingularValues(AbstractObservable):
    """The largest singular values of F' J_g or of J_g along the run, in descending order.

    Attributes:
        of: "AJ" or "J".
        count: how many; all by default.
        method: as for `spectrum`.
        depth: Krylov steps.
    """

    of: Of = eqx.field(static=True)
    count: int | None = eqx.field(static=True)
    method: Method = eqx.field(static=True)
    depth: int | None = eqx.field(static=True)

    def __init__(
        self,
        of: Of = "AJ",
        count: int | None = None,
        method: Method = "auto",
        depth: int | None = None,
    ):
        """Chooses Jacobian, number and route; a ValueError for an unknown name or bad number."""
        check_of(of)
        _check_method(method)
        if count is not None:
            check_count("count", count)
        self.of, self.count, self.method, self.depth = of, count, method, depth

    def __call__(self, snapshot: Snapshot) -> Array:
        """σ_1 ≥ … ≥ σ_count."""
        return _spectrum(snapshot, self.of, self.method, self.depth).values[: self.count]


class KernelDrift(AbstractObservable):
    """‖K(t) − K(0)‖_F/‖K(0)‖_F of the kernel K = J Jᵀ: how far from lazy the run is.

    Attributes:
        of: "AJ" or "J".
    """

    of: Of = eqx.field(static=True)

    def __init__(self, of: Of = "AJ"):
        """Chooses the Jacobian; a ValueError for an unknown name."""
        check_of(of)
        self.of = of

    def __call__(self, snapshot: Snapshot) -> Array:
        """The relative drift; NaN if K(0) = 0."""
        start = Snapshot(snapshot.lift.reduced_start, snapshot.lift)
        first = kernel_of(jacobian_now(start, self.of), CHUNK)
        now = kernel_of(jacobian_now(snapshot, self.of), CHUNK)
        return jnp.linalg.norm(now - first) / jnp.linalg.norm(first)


class ModeEnergies(AbstractObservable):
    """|⟨w_i, x⟩|² of the residual F(x) − y, the prediction or the signal, per fixed mode w_i.

    Attributes:
        vectors: orthonormal columns, such as the left vectors at the start or a cosine basis.
        what: "residual", "prediction" or "signal".
    """

    vectors: Float[Array, "m r"]
    what: Energy = eqx.field(static=True)

    def __init__(self, vectors: Spectrum | Float[Array, "m r"], what: Energy = "residual"):
        """Takes the modes; a ValueError for an unknown name or a spectrum without vectors."""
        if what not in get_args(Energy):
            raise ValueError(f"what is one of {', '.join(get_args(Energy))}; got {what!r}")
        if isinstance(vectors, Spectrum):
            if vectors.left is None:
                raise ValueError("this spectrum has no vectors; compute it with vectors=True")
            vectors = vectors.left
        self.vectors, self.what = jnp.asarray(vectors), what

    def __call__(self, snapshot: Snapshot) -> Array:
        """The energies, shape (r,)."""
        if self.what == "signal":
            return mode_energies(self.vectors, snapshot.signal())
        x = snapshot.prediction()
        if self.what == "residual":
            x = x - snapshot.lift.reduced_problem.y
        return mode_energies(self.vectors, x)


def _spectrum(snapshot: Snapshot, of: Of, method: Method, depth: int | None) -> Spectrum:
    J = jacobian_now(snapshot, of)
    return spectrum_of(J, J, method, False, None, depth, CHUNK, jax.random.key(0))


def _check_method(method: str) -> None:
    if method not in get_args(Method):
        raise ValueError(f"method is one of {', '.join(get_args(Method))}; got {method!r}")
