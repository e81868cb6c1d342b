"""Two numbers that set the scales of time: L, the Lipschitz constant of ∇f, and μ."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdip._tree import tree_norm, tree_scale
from jaxdip._types import Array, Float
from jaxdip.generators import AbstractGenerator, TwoLayer
from jaxdip.losses import MSE
from jaxdip.operators import Identity
from jaxdip.problem._problem import Problem, parametrize
from jaxdip.problem._reduce import reduce

#: Beyond this many rows the Gram matrix of A V is not worth its cubic cost.
_LARGEST_GRAM = 512
#: Largest number of entries of A J(θ0) that is stored.
_LARGEST_JACOBIAN = 50_000_000
_POWER_STEPS = 200
_LEAST_POWER_STEPS = 30


class Lipschitz(NamedTuple):
    """L with what it rests on."""

    value: Float[Array, ""]
    how: str


def gradient_lipschitz(problem: Problem, generator: AbstractGenerator) -> Lipschitz:
    """L, the Lipschitz constant of ∇f near the start, for the step size 1/L.

    For a two-layer network that trains W only, with a real linear operator (m ≤ n) and the mean
    squared error w‖r‖², a bound that holds on the whole sublevel set {f ≤ f(θ0)}:

        L ≤ 2w [ (sup|φ'|)² ‖A V‖²/k + Lip(φ') ‖r(0)‖ max_i‖A v_i‖/√k ] ‖u‖²,

    the corrected form of (10) in arXiv 2403.05395 (whose first term, ‖A‖² n/k, vanishes with k
    although the true constant does not), with A applied to V instead of bounded by ‖A‖. Otherwise
    ‖∇²f(θ0)‖ by power iteration: a local estimate, approached from below.

    Returns:
        The number, and 'bound' or 'estimate' in words.
    """
    smaller, start, _ = reduce(problem, generator)
    if (
        isinstance(start, TwoLayer)
        and not start.both
        and start.activation.smooth
        and isinstance(smaller.operator, Identity)
        and isinstance(smaller.loss, MSE)
        and smaller.y.size <= _LARGEST_GRAM
    ):
        return Lipschitz(_two_layer_bound(smaller, start), "a bound on the sublevel set")
    return Lipschitz(
        _hessian_norm(smaller, start), "the norm of the Hessian at the start, by power iteration"
    )


def _two_layer_bound(problem: Problem, generator: TwoLayer) -> Float[Array, ""]:
    M = generator.V / generator.width**0.5
    gram = jnp.matmul(M, M.T, precision=jax.lax.Precision.HIGHEST)
    largest = jnp.linalg.eigvalsh(gram)[-1]
    columns = jnp.sqrt(jnp.max(jnp.sum(M * M, axis=0)))
    residual = jnp.linalg.norm((problem.predict(generator) - problem.y).ravel())
    phi = generator.activation
    curvature = phi.sup_slope**2 * largest + phi.lip_slope * residual * columns
    weight = 2 * jnp.asarray(problem.loss.weight, M.dtype)  # pyright: ignore[reportAttributeAccessIssue]
    return weight * curvature * jnp.sum(problem.u * problem.u)


def _hessian_norm(problem: Problem, generator: AbstractGenerator) -> Float[Array, ""]:
    f, theta = parametrize(problem, generator)

    def hessian(v):
        return jax.jvp(f.gradient, (theta,), (v,))[1]

    # A fixed start keeps the estimate a function of the problem alone.
    leaves, structure = jax.tree.flatten(theta)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    v = jax.tree.unflatten(
        structure,
        [jax.random.normal(k, p.shape, p.dtype) for k, p in zip(keys, leaves, strict=True)],
    )
    v = tree_scale(1 / tree_norm(v), v)
    tiny = jnp.finfo(leaves[0].dtype).tiny

    def body(carry):
        step, v, _, new = carry
        w = hessian(v)
        norm = tree_norm(w)
        return step + 1, tree_scale(1 / jnp.maximum(norm, tiny), w), new, norm

    def unfinished(carry):
        step, _, old, new = carry
        # The estimate lingers on a plateau before it climbs: a small change proves nothing early.
        settled = (step >= _LEAST_POWER_STEPS) & (jnp.abs(new - old) <= 1e-4 * new)
        return (step < _POWER_STEPS) & ~settled

    zero = jnp.zeros((), leaves[0].dtype)
    start = (jnp.asarray(0), v, zero - 1, zero)
    return jax.lax.while_loop(unfinished, body, start)[3]


def dense_jacobian(problem: Problem, generator: AbstractGenerator) -> Float[Array, "m p"]:
    """The Jacobian of the prediction with respect to θ at the start, one row an entry of the data.

    Raises:
        ValueError: if it would have more than 5e7 entries, or the data are complex.
    """
    f, theta = parametrize(problem, generator)
    m, dtype = problem.y.size, problem.operator.out_structure.dtype
    size = sum(p.size for p in jax.tree.leaves(theta))
    if m * size > _LARGEST_JACOBIAN:
        raise ValueError(
            f"this needs the singular values of a {m} x {size} Jacobian, too large to store; if it "
            "was for default damping, give alpha (and beta) yourself"
        )
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise ValueError("this needs real data; if it was for default damping, give alpha and beta")
    _, pullback = jax.vjp(f.predict, theta)
    (rows,) = jax.vmap(pullback)(jnp.eye(m, dtype=dtype).reshape((-1, *problem.y.shape)))
    return jnp.concatenate([p.reshape((m, -1)) for p in jax.tree.leaves(rows)], axis=1)


def jacobian_sigma_min(problem: Problem, generator: AbstractGenerator) -> Float[Array, ""]:
    """μ, the smallest non-zero singular value of J_F J_g at the start (of A J_g where F is linear).

    It is at least σ_A σ_min(J_g), the constant of the theorems, and sets the slowest rate of the
    linearised dynamics. From the dense Jacobian in reduced coordinates and its reduced SVD.

    Raises:
        ValueError: if that Jacobian would have more than 5e7 entries.
    """
    smaller, start, _ = reduce(problem, generator)
    J = dense_jacobian(smaller, start)
    values = jnp.linalg.svd(J, full_matrices=False, compute_uv=False)
    threshold = values[0] * max(J.shape) * float(jnp.finfo(values.dtype).eps)
    return jnp.min(jnp.where(values > threshold, values, jnp.inf))
