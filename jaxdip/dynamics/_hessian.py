"""The Hessian of f by its structure: small blocks plus low rank, never a dense k × k matrix."""

import abc
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._tree import tree_dtype
from jaxdip._types import Array, Float, Tree
from jaxdip.generators import Linear, TwoLayer
from jaxdip.problem import Parameters, Problem

#: Beyond this many entries of the (reduced) signal the low rank is not low.
LARGEST_RANK = 512
#: A block of I + c C counts as positive definite from this pivot on; an instability may then grow
#: by at most exp(1/γ) in a step.
_SMALLEST_PIVOT = 0.05


class SignalLoss(eqx.Module):
    """ℓ(x) = L_y(F(x)), the loss as a function of the flattened signal, to second order at x.

    Attributes:
        gradient: ∇ℓ, shape (q,).
        hessian: ∇²ℓ, shape (q, q).
    """

    gradient: Float[Array, " q"]
    hessian: Float[Array, "q q"]

    @classmethod
    def at(cls, problem: Problem, x: Array) -> Self:
        """Both derivatives at the signal x."""

        def loss(flat):
            return problem.loss(problem.operator(flat.reshape(x.shape)), problem.y)

        flat = x.ravel()
        return cls(jax.grad(loss)(flat), jax.hessian(loss)(flat))


class AbstractShiftedHessian(eqx.Module):
    """I + c ∇²f, factorised."""

    @property
    @abc.abstractmethod
    def sound(self) -> Array:
        """Whether it is positive definite."""

    @abc.abstractmethod
    def solve(self, b: Tree) -> Tree:
        """(I + c ∇²f)⁻¹ b, for b with the structure of θ."""


class AbstractStructuredHessian(eqx.Module):
    """∇²f(θ) = blockdiag(C_j) + Jᵀ ∇²ℓ J, with J the q × p Jacobian of the signal."""

    @abc.abstractmethod
    def shifted(self, theta: Tree, c: Array) -> AbstractShiftedHessian:
        """I + c ∇²f(θ), factorised, for c ≥ 0."""

    @abc.abstractmethod
    def norm(self, theta: Tree) -> Float[Array, ""]:
        """A bound on ‖∇²f(θ)‖, sharp up to the blocks."""


class _Capacitance(eqx.Module):
    """S = I + c ∇²ℓ K, with K = J (I + c C)⁻¹ Jᵀ: all that is left of the low rank.

    The inverse of I + c C + c Jᵀ ∇²ℓ J is B − B Jᵀ S⁻¹ (c ∇²ℓ) J B with B = (I + c C)⁻¹; no inverse
    of ∇²ℓ is needed, so it may be singular.
    """

    lu: Array
    order: Array
    weight: Float[Array, "q q"]
    positive: Array

    @classmethod
    def of(cls, K: Float[Array, "q q"], hessian: Float[Array, "q q"], c: Array) -> Self:
        """Factorises S."""
        weight = c * hessian
        S = jnp.eye(K.shape[0], dtype=K.dtype) + _dot(weight, K)
        lu, pivots, order = jax.lax.linalg.lu(S)
        # det S > 0 as long as no (or an even number of) negative curvatures are overstepped.
        swaps = jnp.sum(pivots != jnp.arange(pivots.shape[0], dtype=pivots.dtype))
        negative = jnp.sum(jnp.diagonal(lu) < 0) + swaps
        return cls(lu, order, weight, negative % 2 == 0)

    def __call__(self, r: Float[Array, " q"]) -> Float[Array, " q"]:
        """S⁻¹ (c ∇²ℓ) r."""
        b = _dot(self.weight, r)[self.order][:, None]
        solve = jax.lax.linalg.triangular_solve
        y = solve(self.lu, b, left_side=True, lower=True, unit_diagonal=True)
        return solve(self.lu, y, left_side=True, lower=False)[:, 0]


class LinearHessian(AbstractStructuredHessian):
    """∇²f = Jᵀ ∇²ℓ J for the linear generator x = J c."""

    f: Parameters

    def shifted(self, theta: Tree, c: Array) -> "ShiftedLinear":
        """Factorises, with K = J Jᵀ."""
        J, loss = self._at(theta)
        return ShiftedLinear(J, _Capacitance.of(_dot(J, J.T), loss.hessian, c))

    def norm(self, theta: Tree) -> Float[Array, ""]:
        """‖Jᵀ ∇²ℓ J‖."""
        J, loss = self._at(theta)
        return _low_rank_norm(_dot(J, J.T), loss.hessian)

    def _at(self, theta: Tree) -> tuple[Array, SignalLoss]:
        generator = self.f.generator(theta)
        assert isinstance(generator, Linear)
        problem = self.f.problem
        return generator.J, SignalLoss.at(problem, generator(problem.u))


class ShiftedLinear(AbstractShiftedHessian):
    """I + c Jᵀ ∇²ℓ J, factorised."""

    J: Float[Array, "q p"]
    capacitance: _Capacitance

    @property
    def sound(self) -> Array:
        """Whether the matrix is positive definite."""
        return self.capacitance.positive

    def solve(self, b: Tree) -> Tree:
        """b − Jᵀ S⁻¹ (c ∇²ℓ) J b."""
        x = b.c - _dot(self.J.T, self.capacitance(_dot(self.J, b.c)))
        return eqx.tree_at(lambda t: t.c, b, x)


class TwoLayerHessian(AbstractStructuredHessian):
    """∇²f for x = V φ(W u)/√k, one block for each hidden unit and rank q besides.

    Along u the state of unit j is z_j = w_jᵀu/‖u‖ (W moves nowhere else, and there ∇²f is 0). With
    h = W u, s = ‖u‖, a_j = φ'(h_j) s/√k, f_j = φ(h_j)/√k and g = ∇ℓ (1/√k is the network's factor;
    in mean-field scaling read 1/k):

    - only W trained: C_j = φ''(h_j) s² v_jᵀg/√k, a number, and J has the columns a_j v_j;
    - V trained too: the block of (z_j, v_j) is the arrow [[C_j, a_j gᵀ], [a_j g, 0]], and J has
      the columns a_j v_j for z_j and f_j I for v_j.
    """

    f: Parameters

    def shifted(self, theta: Tree, c: Array) -> "ShiftedTwoLayer":
        """Factorises: the blocks by their pivots, then the q × q matrix of what is left."""
        V, direction, slope, bend, features, loss = self._at(theta)
        both = features is not None
        g = loss.gradient
        pivot = 1 + c * bend
        if both:
            pivot = pivot - (c * slope) ** 2 * jnp.sum(g * g)
        sound = jnp.all(pivot > _SMALLEST_PIVOT)
        # A rejected step must stay finite, or its derivative would poison the others.
        pivot = jnp.where(pivot > _SMALLEST_PIVOT, pivot, 1.0)
        columns = V - c * g[:, None] * features if both else V
        K = _dot(columns * (slope * slope / pivot), columns.T)
        if both:
            K = K + jnp.sum(features * features) * jnp.eye(K.shape[0], dtype=K.dtype)
        capacitance = _Capacitance.of(K, loss.hessian, c)
        return ShiftedTwoLayer(
            V, direction, slope, features, pivot, c * slope, g, capacitance, sound
        )

    def norm(self, theta: Tree) -> Float[Array, ""]:
        """‖Jᵀ ∇²ℓ J‖ + max_j ‖C_j‖."""
        V, _, slope, bend, features, loss = self._at(theta)
        K = _dot(V * (slope * slope), V.T)
        # The norm of the arrow [[C, bᵀ], [b, 0]] is at most |C| + ‖b‖.
        block = jnp.abs(bend)
        if features is not None:
            K = K + jnp.sum(features * features) * jnp.eye(K.shape[0], dtype=K.dtype)
            block = block + jnp.abs(slope) * jnp.linalg.norm(loss.gradient)
        return _low_rank_norm(K, loss.hessian) + jnp.max(block)

    def _at(self, theta: Tree):
        generator = self.f.generator(theta)
        assert isinstance(generator, TwoLayer)
        u, phi, scale = self.f.problem.u, generator.activation, generator.factor
        u = u.astype(generator.W.dtype)
        norm = jnp.linalg.norm(u)
        h = _dot(generator.W, u)
        value, first, second = _two_derivatives(phi, h)
        features = value * scale
        x = _dot(generator.V, features).reshape(generator.out_shape)
        loss = SignalLoss.at(self.f.problem, x)
        slope = first * (norm * scale)
        bend = second * (norm * norm * scale) * _dot(generator.V.T, loss.gradient)
        return generator.V, u / norm, slope, bend, features if generator.both else None, loss


class ShiftedTwoLayer(AbstractShiftedHessian):
    """I + c ∇²f for a two-layer network, factorised."""

    V: Float[Array, "q k"]
    direction: Float[Array, " d"]
    slope: Float[Array, " k"]
    features: Float[Array, " k"] | None
    pivot: Float[Array, " k"]
    arrow: Float[Array, " k"]
    gradient: Float[Array, " q"]
    capacitance: _Capacitance
    blocks_sound: Array

    @property
    def sound(self) -> Array:
        """Whether the matrix is positive definite (known by its blocks and a determinant)."""
        return self.blocks_sound & self.capacitance.positive

    def solve(self, b: Tree) -> Tree:
        """B b − B Jᵀ S⁻¹ (c ∇²ℓ) J B b; across u, b itself."""
        z = _dot(b.W, self.direction)
        x, v = self._blocks(z, b.V)
        signal = _dot(self.V, self.slope * x)
        if self.features is not None:
            signal = signal + _dot(v, self.features)
        w = self.capacitance(signal)
        lift = None if self.features is None else w[:, None] * self.features
        dx, dv = self._blocks(self.slope * _dot(self.V.T, w), lift)
        moved = eqx.tree_at(lambda t: t.W, b, b.W + (x - dx - z)[:, None] * self.direction)
        return moved if v is None else eqx.tree_at(lambda t: t.V, moved, v - dv)

    def _blocks(self, z: Array, v: Any) -> tuple[Array, Any]:
        """(I + c C)⁻¹ (z, v), unit by unit; v is None where V does not train."""
        if v is None:
            return z / self.pivot, None
        x = (z - self.arrow * _dot(self.gradient, v)) / self.pivot
        return x, v - self.gradient[:, None] * (self.arrow * x)


def signal_size(f: Parameters, theta: Tree) -> int:
    """q, the number of entries of the signal."""
    return jax.eval_shape(f.generator(theta), f.problem.u).size


def structured_hessian(f: Parameters, theta: Tree) -> AbstractStructuredHessian | None:
    """The structure of ∇²f where there is one that pays, by the kind of generator."""
    generator = f.generator(theta)
    if signal_size(f, theta) > LARGEST_RANK or not jnp.issubdtype(tree_dtype(theta), jnp.floating):
        return None
    if isinstance(generator, TwoLayer):
        return TwoLayerHessian(f)
    if isinstance(generator, Linear):
        return LinearHessian(f)
    return None


def _dot(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _two_derivatives(phi, h: Array) -> tuple[Array, Array, Array]:
    """φ, φ' and φ'' at h."""
    ones = jnp.ones_like(h)

    def value_and_slope(h):
        return jax.jvp(phi, (h,), (ones,))

    (value, first), (_, second) = jax.jvp(value_and_slope, (h,), (ones,))
    return value, first, second


def _low_rank_norm(K: Array, hessian: Array) -> Array:
    """‖Jᵀ H J‖ from K = J Jᵀ: the largest |eigenvalue| of K^½ H K^½."""
    values, vectors = jnp.linalg.eigh(K)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0))
    return jnp.max(jnp.abs(jnp.linalg.eigvalsh(_dot(root.T, _dot(hessian, root)))))
