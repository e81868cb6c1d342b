"""How fast the Jacobian of the network can change: its Lipschitz constant on a ball around θ0."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._evidence import Evidence
from jaxdip._types import Array, Float, RealScalar
from jaxdip.generators import AbstractGenerator, Linear, TwoLayer
from jaxdip.operators import AbstractLinearOperator
from jaxdip.problem import Problem, check_generator

_DOUBLINGS = 2000


class AbstractJacobianLipschitz(eqx.Module):
    """R ↦ Lip(J) on the ball B(θ0, R): a nondecreasing function of the radius."""

    #: What it rests on.
    evidence: eqx.AbstractVar[Evidence]
    #: In words.
    how: eqx.AbstractVar[str]

    @abc.abstractmethod
    def __call__(self, radius: RealScalar) -> Float[Array, ""]:
        """The constant on B(θ0, R), in units of J over units of θ."""

    def largest_radius(self, level: RealScalar) -> Float[Array, ""]:
        """The largest R with R Lip(R) ≤ level, infinite where J is constant.

        With level σ_min(J)/2 this is the R of the theorems, within which σ_min(J) at least halves.
        """
        level = jnp.asarray(level)
        one = jnp.ones_like(level)

        def excess(radius):
            return radius * self(radius) > level

        def grow(carry):
            count, radius = carry
            return count + 1, 2 * radius

        def fits(carry):
            count, radius = carry
            return (count < _DOUBLINGS) & jnp.isfinite(radius) & ~excess(radius)

        tiny = one * float(jnp.finfo(level.dtype).tiny)
        _, high = jax.lax.while_loop(fits, grow, (0, tiny))

        def halve(_, bracket):
            low, high = bracket
            middle = jnp.where(low > 0, jnp.sqrt(low) * jnp.sqrt(high), high / 2)
            above = excess(middle)
            return jnp.where(above, low, middle), jnp.where(above, middle, high)

        low, _ = jax.lax.fori_loop(0, 80, halve, (high / 2, high))
        return jnp.where(jnp.isinf(high), jnp.inf, jnp.where(level > 0, low, 0))


class ConstantLipschitz(AbstractJacobianLipschitz):
    """One constant for every radius.

    Attributes:
        value: Lip(J).
    """

    value: Float[Array, ""]
    evidence: Evidence = eqx.field(static=True)
    how: str = eqx.field(static=True)

    def __call__(self, radius: RealScalar) -> Array:
        """The constant."""
        return self.value + jnp.zeros_like(jnp.asarray(radius, self.value.dtype))


class TwoLayerLipschitz(AbstractJacobianLipschitz):
    """Of s A V φ(W u), s = 1/√k or 1/k, where W trains or both layers do.

    With ν = ‖u‖, B₁ = sup|φ'|, B₂ = Lip φ' and c(R) = max_i‖A v_i(0)‖ (+ ‖A‖R if V trains), a
    change of one unit's (w, v) changes its part of J by a matrix of norm at most that of

        s [[c B₂ν², ‖A‖B₁ν], [‖A‖B₁ν, 0]],

    so Lip = s c B₂ν² where W trains alone, and
    Lip(R) = (s/2) (cB₂ν² + √(c²B₂²ν⁴ + 4‖A‖²B₁²ν²)) for both. The first is attained; the papers use
    B D √(n/k) ≥ it (arXiv 2303.11265) and B (1 + 2(D + R)) √(n/k) (arXiv 2309.12128).

    Attributes:
        columns: max_i‖A v_i(0)‖.
        norm: ‖A‖.
        latent: ν.
        sup_slope: B₁.
        lip_slope: B₂.
        factor: s.
        both: whether V trains.
    """

    columns: Float[Array, ""]
    norm: Float[Array, ""]
    latent: Float[Array, ""]
    sup_slope: Float[Array, ""]
    lip_slope: Float[Array, ""]
    factor: Float[Array, ""]
    both: bool = eqx.field(static=True)
    evidence: Evidence = eqx.field(static=True, default="bound")
    how: str = eqx.field(static=True, default="closed-form bound of a two-layer network")

    def __call__(self, radius: RealScalar) -> Array:
        """The constant on B(θ0, R)."""
        curved = self.lip_slope * self.latent**2
        if not self.both:
            zero = jnp.zeros_like(jnp.asarray(radius, self.columns.dtype))
            return self.factor * self.columns * curved + zero
        first = (self.columns + self.norm * jnp.asarray(radius, self.columns.dtype)) * curved
        mixed = self.norm * self.sup_slope * self.latent
        return 0.5 * self.factor * (first + jnp.hypot(first, 2 * mixed))


def jacobian_lipschitz(
    problem: Problem, generator: AbstractGenerator, *, observed: bool = False
) -> AbstractJacobianLipschitz:
    """Lip(J_g) on balls around the generator's own θ, or Lip(A J_g) with `observed`.

    Args:
        problem: whose latent u (and operator A) enter.
        generator: at θ0.
        observed: of A J_g, which decides about the loss alone, instead of J_g.

    Raises:
        ValueError: if no bound is known: for other networks than `TwoLayer` and `Linear`, an
            activation whose slope is not Lipschitz, or, with `observed`, a nonlinear operator.
    """
    check_generator(problem, generator)
    A = problem.operator
    if observed and not isinstance(A, AbstractLinearOperator):
        raise ValueError(f"Lip(A J) needs a linear operator, got {type(A).__name__}")
    if isinstance(generator, Linear):
        zero = jnp.zeros((), generator.J.dtype)
        return ConstantLipschitz(
            value=zero, evidence="closed form", how="the Jacobian of a linear network is constant"
        )
    if not isinstance(generator, TwoLayer):
        raise ValueError(
            f"no Lipschitz bound of the Jacobian is known for {type(generator).__name__}"
        )
    phi = generator.activation
    if not phi.smooth:
        raise ValueError(f"the slope of the activation {phi.name!r} is not Lipschitz")
    V = generator.V
    norm = jnp.ones((), V.dtype)
    if observed:
        assert isinstance(A, AbstractLinearOperator)
        columns = V.T.reshape((V.shape[1], *A.in_structure.shape))
        V = jax.vmap(A)(columns).reshape((V.shape[1], -1)).T
        norm = jnp.asarray(A.norm()).astype(V.dtype)
    return TwoLayerLipschitz(
        columns=jnp.sqrt(jnp.max(jnp.sum(V * V, axis=0))),
        norm=norm,
        latent=jnp.linalg.norm(problem.u),
        sup_slope=jnp.asarray(phi.sup_slope, V.dtype),
        lip_slope=jnp.asarray(phi.lip_slope, V.dtype),
        factor=jnp.asarray(generator.factor, V.dtype),
        both=generator.both,
    )
