"""Two numbers that set the scales of time: L, the Lipschitz constant of ∇f, and μ."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._tree import tree_norm, tree_scale
from jaxdip._types import Array, Float, RealScalar, Tree
from jaxdip.generators import AbstractGenerator, Linear, TwoLayer
from jaxdip.losses import MSE
from jaxdip.operators import Identity
from jaxdip.problem._problem import Problem, parametrize
from jaxdip.problem._reduce import reduce

#: Beyond this many rows no default takes a Gram matrix: it costs seconds.
_LARGEST_GRAM = 512
#: Largest number of entries of A J(θ0) that is stored.
_LARGEST_JACOBIAN = 50_000_000
_POWER_STEPS = 200
_LEAST_POWER_STEPS = 30


def gradient_lipschitz(
    problem: Problem, generator: AbstractGenerator, *, level: RealScalar | None = None
) -> Quantity:
    """L, the Lipschitz constant of ∇f near the start, for the step size 1/L.

    For a two-layer network that trains W only, with a real linear operator (m ≤ n) and the mean
    squared error w‖r‖², a bound that holds on the whole sublevel set {f ≤ level}:

        L ≤ 2w [ (sup|φ'|)² ‖A V‖²/k + Lip(φ') √(level/w) max_i‖A v_i‖/√k ] ‖u‖²,

    the corrected form of (10) in arXiv 2403.05395 (whose first term, ‖A‖² n/k, vanishes with k
    although the true constant does not), with A applied to V instead of bounded by ‖A‖ (in
    mean-field scaling with 1/k for 1/√k). For a linear generator, 2w‖A J‖², exactly and everywhere.
    Otherwise ‖∇²f(θ0)‖ by power iteration: a local estimate, approached from below. So also for
    more than 512 data, where a default should not cost seconds; `lipschitz_bound` proves them too.

    Args:
        problem: the problem.
        generator: the network at its start.
        level: of the sublevel set, by default f(θ0): gradient descent stays below it, an inertial
            method need not.

    Returns:
        The number with its evidence.
    """
    smaller, start, _ = reduce(problem, generator)
    proven = _proven(smaller, start, level) if smaller.y.size <= _LARGEST_GRAM else None
    return _local(smaller, start) if proven is None else proven


def lipschitz_bound(
    problem: Problem, generator: AbstractGenerator, *, level: RealScalar | None = None
) -> Quantity:
    """L by a proof, or not at all: the first cases of `gradient_lipschitz`, for any number of data.

    An m × m Gram matrix and its eigenvalues: m²k operations, 12 s for m = 4096 and
    k = 10 000 on two cores. To be given to the theorems of discrete methods, so that their step
    does not rest on an estimate: `theory.gradient_descent(problem, g, 1 / L.value, L=L)`.

    Args:
        problem: the problem.
        generator: the network at its start.
        level: of the sublevel set, by default f(θ0).

    Raises:
        ValueError: if nothing is proven for this problem.
    """
    smaller, start, _ = reduce(problem, generator)
    proven = _proven(smaller, start, level)
    if proven is None:
        raise ValueError(
            "no Lipschitz bound is proven here: it takes a two-layer network that trains W alone, "
            "or a linear one, a real linear operator with m <= n, and losses.MSE; "
            "estimate it by lipschitz_local or lipschitz_along"
        )
    return proven


def lipschitz_local(problem: Problem, generator: AbstractGenerator) -> Quantity:
    """‖∇²f(θ)‖ at the generator's own θ, by power iteration.

    It is approached from below, and the Lipschitz constant on any set around θ is at least this.
    """
    return _local(*reduce(problem, generator)[:2])


def kernel_norm(problem: Problem, generator: AbstractGenerator) -> Quantity:
    """λ_max of the kernel at θ: L of the problem linearised there, whatever the residual.

    The largest eigenvalue of the Gauss-Newton matrix (J_F J_g)ᵀ ∇²L (J_F J_g), which for w‖·‖² is
    that of 2w A J Jᵀ Aᵀ: from the dense Jacobian for real data of at most 512 entries and MSE, by
    power iteration otherwise.
    """
    smaller, start, _ = reduce(problem, generator)
    f, theta = parametrize(smaller, start)
    m, size = smaller.y.size, sum(p.size for p in jax.tree.leaves(theta))
    real = not jnp.issubdtype(smaller.operator.out_structure.dtype, jnp.complexfloating)
    fits = m <= _LARGEST_GRAM and m * size <= _LARGEST_JACOBIAN
    if isinstance(smaller.loss, MSE) and real and fits:
        largest = _gram_norm(dense_jacobian(smaller, start))
        value = 2 * jnp.asarray(smaller.loss.weight, largest.dtype) * largest
        return Quantity(value, "the kernel's dense spectrum", "dense spectrum")

    def gauss_newton(v):
        predicted, moved = jax.jvp(f.predict, (theta,), (v,))
        slope = jax.grad(smaller.loss)
        curved = jax.jvp(lambda p: slope(p, smaller.y), (predicted,), (moved,))[1]
        return jax.vjp(f.predict, theta)[1](curved)[0]

    value = _power_iteration(gauss_newton, theta)
    return Quantity(value, "power iteration on the kernel", "estimate from below")


def _proven(
    smaller: Problem, start: AbstractGenerator, level: RealScalar | None
) -> Quantity | None:
    """L by a proof, in reduced coordinates; None where there is none."""
    if not isinstance(smaller.operator, Identity) or not isinstance(smaller.loss, MSE):
        return None
    if isinstance(start, TwoLayer) and not start.both and start.activation.smooth:
        value = _two_layer_bound(smaller, start, level)
        return Quantity(value, "a bound on the sublevel set", "bound")
    if isinstance(start, Linear):
        largest = _gram_norm(start.J)
        value = 2 * jnp.asarray(smaller.loss.weight, largest.dtype) * largest
        return Quantity(value, "the exact constant of a linear generator", "dense spectrum")
    return None


def _local(smaller: Problem, start: AbstractGenerator) -> Quantity:
    return Quantity(
        hessian_norm(smaller, start),
        "the norm of the Hessian at the start, by power iteration",
        "estimate from below",
    )


def _gram_norm(J: Float[Array, "m p"]) -> Float[Array, ""]:
    """‖J‖²."""
    gram = jnp.matmul(J, J.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.linalg.eigvalsh(gram)[-1]


def _two_layer_bound(
    problem: Problem, generator: TwoLayer, level: RealScalar | None
) -> Float[Array, ""]:
    M = generator.V * generator.factor
    largest = _gram_norm(M)
    columns = jnp.sqrt(jnp.max(jnp.sum(M * M, axis=0)))
    weight = jnp.asarray(problem.loss.weight, M.dtype)  # pyright: ignore[reportAttributeAccessIssue]
    residual = jnp.linalg.norm((problem.predict(generator) - problem.y).ravel())
    if level is not None:
        residual = jnp.sqrt(jnp.asarray(level, M.dtype) / weight)
    phi = generator.activation
    sup, lip = (jnp.asarray(x).astype(M.dtype) for x in (phi.sup_slope, phi.lip_slope))
    curvature = sup**2 * largest + lip * residual * columns
    return 2 * weight * curvature * jnp.sum(problem.u * problem.u)


def hessian_norm(problem: Problem, generator: AbstractGenerator) -> Float[Array, ""]:
    """‖∇²f(θ)‖, by power iteration in the coordinates given."""
    f, theta = parametrize(problem, generator)

    def hessian(v):
        return jax.jvp(f.gradient, (theta,), (v,))[1]

    return _power_iteration(hessian, theta)


def _power_iteration(product: Callable[[Tree], Tree], theta: Tree) -> Float[Array, ""]:
    """The largest modulus of the eigenvalues of a symmetric operator on trees like θ."""
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
        w = product(v)
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
