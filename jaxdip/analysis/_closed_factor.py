"""Matrices B with J Jᵀ = B Bᵀ + ρ² I in closed form, for linear and two-layer networks."""

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float
from jaxdip.analysis._jacobian import LARGEST, Jacobian
from jaxdip.generators import Linear, TwoLayer
from jaxdip.operators import AbstractOperator, Identity
from jaxdip.operators._coordinates import to_real

#: Columns of V that meet the operator at a time.
_COLUMNS = 256


class Factor(eqx.Module):
    """J Jᵀ = B Bᵀ + ρ² I.

    Attributes:
        B: shape (m, q).
        rho: ρ.
        of_what: the network, in words.
    """

    B: Float[Array, "m q"]
    rho: Float[Array, ""]
    of_what: str = eqx.field(static=True)


def closed_factor(J: Jacobian) -> Factor | None:
    """B and ρ, or None where no closed form is known or B would be too large.

    For s V φ(W u) and A = F'(x), with ν = ‖u‖ and h = W u, B = s ν A V diag(φ'(h)); if V trains
    too, J Jᵀ = B Bᵀ + s² ‖φ(h)‖² A Aᵀ, whose second term is ρ² I if A Aᵀ = I and columns of B
    otherwise. For x = M c, B = A M.

    Reference: the Jacobian of Section III-C of arXiv 2403.05395.
    """
    g = J.generator
    if not isinstance(g, (Linear, TwoLayer)):
        return None
    width = g.J.shape[1] if isinstance(g, Linear) else g.width
    if J.rows * (width + J.signal_size) > LARGEST:
        return None
    return _linear(J, g) if isinstance(g, Linear) else _two_layer(J, g)


@eqx.filter_jit
def _linear(J: Jacobian, g: Linear) -> Factor:
    return Factor(_observe(J, g.J), jnp.zeros((), J.dtype), "linear network")


@eqx.filter_jit
def _two_layer(J: Jacobian, g: TwoLayer) -> Factor:
    u = J.problem.u
    h = jnp.matmul(g.W, u, precision=jax.lax.Precision.HIGHEST)
    features, slopes = jax.jvp(g.activation, (h,), (jnp.ones_like(h),))
    B = _observe(J, g.V * (g.factor * jnp.linalg.norm(u) * slopes))
    rho = jnp.zeros((), J.dtype)
    if g.both:
        rho = g.factor * jnp.linalg.norm(features)
        if not isinstance(J.problem.operator, Identity):
            n = J.problem.operator.n
            everywhere = _observe(J, jnp.eye(n, dtype=g.V.dtype))
            B, rho = jnp.concatenate([B, rho * everywhere], axis=1), jnp.zeros((), J.dtype)
    return Factor(B, rho, "two-layer network")


def _observe(J: Jacobian, M: Float[Array, "n q"]) -> Float[Array, "m q"]:
    """F'(x) applied to the columns of M, in real coordinates."""
    F = J.problem.operator
    if isinstance(F, Identity) and not jnp.iscomplexobj(M):
        return M
    A: AbstractOperator = F.linearize(J.problem.signal(J.generator))
    shape = F.in_structure.shape
    columns = jax.lax.map(
        lambda c: to_real(A(c.reshape(shape))), M.T, batch_size=min(_COLUMNS, M.shape[1])
    )
    return columns.T
