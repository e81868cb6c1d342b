"""What gradient flow conserves in a two-layer network, and by how much a run departs from it."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float
from jaxdip.generators import MLP, AbstractGenerator, TwoLayer
from jaxdip.problem.observables import AbstractObservable, Snapshot

# The reduction replaces W by z = W û and V by QᵀV, both orthogonal coordinates of all that moves.
# So W Wᵀ = W0 W0ᵀ + z zᵀ − z0 z0ᵀ and VᵀV = V0ᵀV0 + BᵀB − B0ᵀB0: what the run's own coordinates
# gained is what the matrices gained, in full and in reduced coordinates alike.


class Balancedness(AbstractObservable):
    """The balancedness ‖w_i‖² − ‖v_i‖² of every hidden unit i, shape (k,).

    w_i is the i-th row of W and v_i the i-th column of V. For a two-layer network whose activation
    is positively homogeneous of degree one (ReLU, leaky ReLU, linear) and both of whose layers
    train, gradient flow conserves it, since then ⟨w_i, ∂f/∂w_i⟩ = ⟨v_i, ∂f/∂v_i⟩. Gradient descent
    changes it by exactly γ²(‖∂f/∂w_i‖² − ‖∂f/∂v_i‖²) a step, which adds up to O(γ). Other
    activations do not conserve it.

    Reference: Du, Hu & Lee, "Algorithmic regularization in learning deep homogeneous models",
    arXiv 1806.00900, Theorem 2.1.
    """

    def __call__(self, snapshot: Snapshot) -> Array:
        """‖w_i‖² − ‖v_i‖²."""
        W, V = two_layers(snapshot.lift.generator)
        return _rows(W) - _columns(V) + _gained(snapshot)


class BalancednessDrift(AbstractObservable):
    """The Euclidean norm, over the hidden units, of the change of `Balancedness` since the start.

    Taken from the change of the weights alone, so that a small drift is not lost in rounding.
    """

    def __call__(self, snapshot: Snapshot) -> Array:
        """(Σ_i (b_i(θ) − b_i(θ0))²)^½."""
        return jnp.linalg.norm(_gained(snapshot))


class BalanceMatrix(AbstractObservable):
    """The matrix W Wᵀ − VᵀV, shape (k, k).

    Gradient flow conserves all of it if the activation is linear and both layers train; its
    diagonal is `Balancedness`. To see only by how much it moved, record `BalanceMatrixDrift`.

    Reference: Arora, Cohen & Hazan, "On the optimization of deep networks: implicit acceleration by
    overparameterization", arXiv 1802.06509, Theorem 1 (there for zero imbalance).
    """

    def __call__(self, snapshot: Snapshot) -> Array:
        """W Wᵀ − VᵀV."""
        W, V = two_layers(snapshot.lift.generator)
        (w, v), (w0, v0) = _now_and_then(snapshot)
        return _outer(W) - _outer(V.T) + (_outer(w) - _outer(w0)) - (_outer(v.T) - _outer(v0.T))


class BalanceMatrixDrift(AbstractObservable):
    """The Frobenius norm of the change of `BalanceMatrix` since the start, never k × k.

    The change is F S Fᵀ with F = [W, W0, Vᵀ, V0ᵀ] in the run's coordinates and S a diagonal of
    signs, so with F = Q R its norm is that of R S Rᵀ.
    """

    def __call__(self, snapshot: Snapshot) -> Array:
        """‖(W Wᵀ − VᵀV)(θ) − (W Wᵀ − VᵀV)(θ0)‖."""
        (w, v), (w0, v0) = _now_and_then(snapshot)
        parts = (w, w0, v.T, v0.T)
        F = jnp.concatenate(parts, axis=1)
        signs = jnp.concatenate(
            [jnp.full(p.shape[1], s, F.dtype) for p, s in zip(parts, (1, -1, -1, 1), strict=True)]
        )
        R = jnp.linalg.qr(F, mode="r")
        return jnp.linalg.norm(jnp.matmul(R * signs, R.T, precision=jax.lax.Precision.HIGHEST))


class OrthogonalDrift(AbstractObservable):
    """‖(W − W0)(I − uuᵀ/‖u‖²)‖: how far W moved other than along the latent u.

    Zero for every method that is linear in past gradients, flow or discrete, since ∂f/∂W is a
    multiple of uᵀ; that is what the reduction rests on, so in reduced coordinates it is zero by
    construction. Run with `reduce=False` to see it, or Adam to see it violated.
    """

    def __call__(self, snapshot: Snapshot) -> Array:
        """The Frobenius norm."""
        u = snapshot.problem.u
        direction = u / jnp.linalg.norm(u)
        W = two_layers(snapshot.generator())[0] - two_layers(snapshot.lift.generator)[0]
        along = jnp.matmul(W, direction, precision=jax.lax.Precision.HIGHEST)
        return jnp.linalg.norm(W - along[:, None] * direction)


def two_layers(generator: AbstractGenerator) -> tuple[Float[Array, "k d"], Float[Array, "n k"]]:
    """W and V of a network with two layers.

    Raises:
        TypeError: for any other generator.
    """
    if isinstance(generator, TwoLayer):
        return generator.W, generator.V
    if isinstance(generator, MLP) and len(generator.weights) == 2:
        return generator.weights[0], generator.weights[1]
    raise TypeError(
        f"balancedness is recorded for two-layer networks, got {type(generator).__name__}; take "
        "TwoLayer(..., both=True), or an MLP with one hidden layer"
    )


def _now_and_then(snapshot: Snapshot):
    return two_layers(snapshot.current), two_layers(snapshot.lift.reduced_start)


def _gained(snapshot: Snapshot) -> Float[Array, " k"]:
    """‖w_i‖² − ‖v_i‖² now, minus the same at the start."""
    (w, v), (w0, v0) = _now_and_then(snapshot)
    # p² − q² as (p − q)(p + q): what did not move cancels exactly.
    rows = jnp.sum((w - w0) * (w + w0), axis=1)
    return rows - jnp.sum((v - v0) * (v + v0), axis=0)


def _rows(W: Float[Array, "k d"]) -> Float[Array, " k"]:
    return jnp.sum(W * W, axis=1)


def _columns(V: Float[Array, "n k"]) -> Float[Array, " k"]:
    return jnp.sum(V * V, axis=0)


def _outer(X: Float[Array, "k c"]) -> Float[Array, "k k"]:
    return jnp.matmul(X, X.T, precision=jax.lax.Precision.HIGHEST)
