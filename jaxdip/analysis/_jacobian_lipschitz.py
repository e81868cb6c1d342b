"""How fast the Jacobian of the network can change: its Lipschitz constant on a ball around θ0."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._evidence import Evidence
from jaxdip._tree import tree_axpy, tree_norm, tree_sub
from jaxdip._types import Array, Float, Key, RealScalar
from jaxdip.generators import MLP, AbstractGenerator, Linear, TwoLayer
from jaxdip.losses import MSE
from jaxdip.operators import AbstractLinearOperator, Identity
from jaxdip.problem import Problem, check_generator, dense_jacobian, parametrize

_DOUBLINGS = 2200


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
        return _largest_radius(self, jnp.asarray(level))


# Jitted, so that its loops are compiled once and not anew for each call's closures.
@eqx.filter_jit
def _largest_radius(lipschitz: AbstractJacobianLipschitz, level: Array) -> Array:
    one = jnp.ones_like(level)

    def excess(radius):
        return radius * lipschitz(radius) > level

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


class SequentialLipschitz(AbstractJacobianLipschitz):
    """Of A s_L W_L φ(… φ(s_1 W_1 u)), all layers trained: a bound by composition.

    On B(θ0, R) each ‖W_l‖ ≤ w_l = ‖W_l(0)‖ + R. Going forward, with h_0 = u, H_l bounds ‖h_l‖, ℓ_l
    the Lipschitz constant of θ ↦ h_l and λ_l that of z_l = s_l W_l h_{l−1}:

        λ_l = s_l (H_{l−1} + w_l ℓ_{l−1}),    ℓ_l = B₁ λ_l,    H_l = ‖h_l(0)‖ + ℓ_l R.

    Going back, g_l bounds the matrix G_l = ∂x/∂z_l and γ_l its Lipschitz constant:

        g_l = g_{l+1} s_{l+1} w_{l+1} B₁,    γ_l = s_{l+1} (γ_{l+1} w_{l+1} B₁ + g_{l+1} B₁
              + g_{l+1} w_{l+1} B₂ λ_l).

    The part of J for W_l is G_l ⊗ s_l h_{l−1}, so Lip(J)² ≤ Σ_l s_l² (γ_l H_{l−1} + g_l ℓ_{l−1})².
    The bound grows quickly with depth: it is proven, not tight.

    Attributes:
        widths: ‖W_l(0)‖, one a layer.
        features: ‖h_l(0)‖ for l = 0, …, L − 1.
        norm: ‖A‖.
        sup_slope: B₁.
        lip_slope: B₂.
        scales: s_l.
    """

    widths: tuple[Float[Array, ""], ...]
    features: tuple[Float[Array, ""], ...]
    norm: Float[Array, ""]
    sup_slope: Float[Array, ""]
    lip_slope: Float[Array, ""]
    scales: tuple[float, ...] = eqx.field(static=True)
    evidence: Evidence = eqx.field(static=True, default="bound")
    how: str = eqx.field(static=True, default="bound by composition of the layers")

    def __call__(self, radius: RealScalar) -> Array:
        """The constant on B(θ0, R)."""
        R = jnp.asarray(radius, self.norm.dtype)
        B1, B2, s = self.sup_slope, self.lip_slope, self.scales
        w = [width + R for width in self.widths]
        H, ell, lam = [self.features[0]], [jnp.zeros_like(R)], []
        for layer in range(len(w)):
            lam.append(s[layer] * (H[layer] + w[layer] * ell[layer]))
            if layer + 1 < len(w):
                ell.append(B1 * lam[layer])
                H.append(self.features[layer + 1] + ell[layer + 1] * R)
        g, gamma = self.norm, jnp.zeros_like(R)
        total = jnp.zeros_like(R)
        for layer in reversed(range(len(w))):
            total = total + (s[layer] * (gamma * H[layer] + g * ell[layer])) ** 2
            if layer > 0:
                up = s[layer]
                gamma = up * (gamma * w[layer] * B1 + g * B1 + g * w[layer] * B2 * lam[layer - 1])
                g = g * up * w[layer] * B1
        return jnp.sqrt(total)


def sampled_jacobian_lipschitz(
    problem: Problem,
    generator: AbstractGenerator,
    *,
    key: Key,
    radius: RealScalar,
    samples: int = 16,
    observed: bool = True,
) -> ConstantLipschitz:
    """The largest ‖J(θ) − J(θ′)‖/‖θ − θ′‖ over random pairs in B(θ0, R): an estimate from below.

    For networks without a bound. It flatters: a certificate built on it is 'estimated'.

    Args:
        problem: whose latent u and operator F enter.
        generator: at θ0, in whose own coordinates pairs are drawn (uniform directions and radii).
        key: the random key.
        radius: R.
        samples: how many pairs.
        observed: of F' J_g, otherwise of J_g.

    Raises:
        ValueError: if the dense Jacobian is too large to store.
    """
    if not observed:
        identity = Identity(problem.operator.in_structure.shape, dtype=problem.u.dtype)
        zeros = jnp.zeros(identity.out_structure.shape, problem.u.dtype)
        problem = Problem(u=problem.u, operator=identity, loss=MSE(), y=zeros)
    f, theta = parametrize(problem, generator)

    def drawn(key):
        direction, length = jax.random.split(key)
        leaves, structure = jax.tree.flatten(theta)
        keys = jax.random.split(direction, len(leaves))
        step = jax.tree.unflatten(
            structure,
            [jax.random.normal(k, p.shape, p.dtype) for k, p in zip(keys, leaves, strict=True)],
        )
        share = jax.random.uniform(length, (), leaves[0].dtype)
        scale = share * jnp.asarray(radius, leaves[0].dtype) / tree_norm(step)
        return tree_axpy(scale, step, theta)

    def slope(key):
        first, second = (drawn(k) for k in jax.random.split(key))
        moved = tree_norm(tree_sub(first, second))
        change = dense_jacobian(problem, f.generator(first)) - dense_jacobian(
            problem, f.generator(second)
        )
        # norm(ord=2) would ask for all right vectors, p × p numbers.
        values = jnp.linalg.svd(change, full_matrices=False, compute_uv=False)
        return values[0] / moved

    value = jnp.max(jax.lax.map(slope, jax.random.split(key, samples)))
    how = f"largest over {samples} random pairs in the ball"
    return ConstantLipschitz(value=value, evidence="sampled", how=how)


def jacobian_lipschitz(
    problem: Problem, generator: AbstractGenerator, *, observed: bool = False
) -> AbstractJacobianLipschitz:
    """Lip(J_g) on balls around the generator's own θ, or Lip(A J_g) with `observed`.

    Args:
        problem: whose latent u (and operator A) enter.
        generator: at θ0.
        observed: of A J_g, which decides about the loss alone, instead of J_g.

    Raises:
        ValueError: if no bound is known: for other networks than `TwoLayer`, `MLP` and `Linear`,
            an activation whose slope is not Lipschitz, or, with `observed`, a nonlinear operator.
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
    if not isinstance(generator, TwoLayer | MLP):
        raise ValueError(
            f"no Lipschitz bound of the Jacobian is known for {type(generator).__name__}; an "
            "estimate is sampled_jacobian_lipschitz"
        )
    phi = generator.activation
    if not phi.smooth:
        raise ValueError(f"the slope of the activation {phi.name!r} is not Lipschitz")
    if isinstance(generator, MLP):
        return _sequential(problem, generator, observed)
    V, dtype = generator.V, generator.V.real.dtype
    norm = jnp.ones((), dtype)
    if observed:
        assert isinstance(A, AbstractLinearOperator)
        columns = V.T.reshape((V.shape[1], *A.in_structure.shape))
        V = jax.vmap(A)(columns).reshape((V.shape[1], -1)).T
        norm = jnp.asarray(A.norm()).astype(dtype)
    return TwoLayerLipschitz(
        columns=_largest_column(V),
        norm=norm,
        latent=jnp.linalg.norm(problem.u),
        sup_slope=jnp.asarray(phi.sup_slope, dtype),
        lip_slope=jnp.asarray(phi.lip_slope, dtype),
        factor=jnp.asarray(generator.factor, dtype),
        both=generator.both,
    )


def _sequential(problem: Problem, generator: MLP, observed: bool) -> SequentialLipschitz:
    features, h = [], problem.u
    highest = jax.lax.Precision.HIGHEST
    for W, scale in zip(generator.weights, generator.scales, strict=True):
        features.append(jnp.linalg.norm(h))
        h = generator.activation(scale * jnp.matmul(W, h, precision=highest))
    dtype = features[0].dtype
    A, phi = problem.operator, generator.activation
    norm = jnp.ones((), dtype)
    if observed:
        assert isinstance(A, AbstractLinearOperator)
        norm = jnp.asarray(A.norm()).astype(dtype)
    return SequentialLipschitz(
        widths=tuple(jnp.linalg.norm(W, ord=2) for W in generator.weights),
        features=tuple(features),
        norm=norm,
        sup_slope=jnp.asarray(phi.sup_slope, dtype),
        lip_slope=jnp.asarray(phi.lip_slope, dtype),
        scales=generator.scales,
    )


@jax.jit
def _largest_column(V: Array) -> Array:
    """The largest norm of a column."""
    return jnp.sqrt(jnp.max(jnp.sum(V.real**2 + V.imag**2, axis=0)))
