"""What the convergence theorems stand on: how hard the loss pulls θ near the start."""

from typing import get_args

import equinox as eqx
import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._tree import tree_norm
from jaxdip._types import Array
from jaxdip.analysis import AbstractJacobianLipschitz, Spectrum, jacobian_lipschitz, spectrum
from jaxdip.generators import AbstractGenerator
from jaxdip.losses import MSE, AbstractDesingularizer, Power
from jaxdip.operators import AbstractLinearOperator, Dense
from jaxdip.problem import Problem, check_generator, parametrize, reduce
from jaxdip.theory._certificate import Condition, Kind


class Inapplicable(Exception):
    """Why the theorems say nothing about a problem; they make it a certificate's verdict."""


class Ground(eqx.Module):
    """A pull μ and a radius R with ‖∇f(θ)‖ ≥ (μ/2)‖∇L_y(y(θ))‖ on the ball B(θ0, R).

    Three ways to have it, with J = J_g:

    - 'network', as the papers do: μ = σ_A σ_n(J(θ0)), and R the largest radius with
      R Lip(J; B(θ0, R)) ≤ σ_n(J(θ0))/2.
    - 'row space': with P the projector on Ran(Aᵀ) and r = rank A, σ_r(P J(θ0)) ≥ σ_n(J(θ0)) in
      place of σ_n: it also serves where the generator cannot reach all of R^n.
    - 'sketched': μ = σ_r(A J(θ0)) ≥ σ_A σ_r(P J), and R with R Lip(A J; B(θ0, R)) ≤ μ/2. The rate
      is at least as good; the radius may lose a factor ‖A‖/σ_A.

    Attributes:
        kind: which of them.
        mu: μ, in units of the data over θ.
        radius: R, in units of θ.
        sigma: the singular value that halves on the ball.
        loss0: L_y(y(0)).
        gradient0: ‖∇f(θ0)‖.
        psi: the loss's desingularizing function.
        fits_data: whether ψ(L_y) bounds the distance to y itself, as where y is the only minimiser.
        hypotheses: without which nothing is said.
    """

    kind: Kind = eqx.field(static=True)
    mu: Quantity
    radius: Quantity
    sigma: Quantity
    loss0: Quantity
    gradient0: Quantity
    psi: AbstractDesingularizer
    fits_data: bool = eqx.field(static=True)
    hypotheses: tuple[Condition, ...]

    def numbers(self) -> dict[str, Quantity]:
        """For a certificate's table."""
        return {"μ": self.mu, "R": self.radius, "L0": self.loss0}

    @property
    def psi0(self) -> Array:
        """ψ(L0): how far the start may be from fitting, in units of the data."""
        return self.psi.psi(self.loss0.value)


def ground(
    problem: Problem,
    generator: AbstractGenerator,
    kind: Kind | Ground = "network",
    *,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> Ground:
    """The constants of the convergence theorems at the generator's own θ.

    Args:
        problem: with a loss that has a desingularizing function.
        generator: the network at its start.
        kind: 'network', 'row space' or 'sketched'; a `Ground` is returned as it is.
        lipschitz: of J_g, or of F' J_g for 'sketched'; by default `jacobian_lipschitz`.

    Raises:
        ValueError: for an unknown kind.
        Inapplicable: if there is no such ground, with the reason.
    """
    if isinstance(kind, Ground):
        return kind
    if kind not in get_args(Kind):
        raise ValueError(f"unknown ground {kind!r}; choose one of {', '.join(get_args(Kind))}")
    check_generator(problem, generator)
    A, loss = problem.operator, problem.loss
    if not loss.smooth:
        raise Inapplicable(f"the gradient of {type(loss).__name__} is not locally Lipschitz")
    if not isinstance(A, AbstractLinearOperator) and (kind != "sketched" or lipschitz is None):
        raise Inapplicable(
            f"{type(A).__name__} is not linear: take the ground 'sketched' and give lipschitz=, a "
            "Lipschitz bound of F' J_g"
        )
    try:
        psi = loss.desingularizer(problem.y)
        if lipschitz is None:
            lipschitz = jacobian_lipschitz(problem, generator, observed=kind == "sketched")
    except ValueError as error:
        raise Inapplicable(str(error)) from error
    sigma, sigma_A = pull(problem, generator, kind)
    how = {
        "network": "σ_A σ_n(J)",
        "row space": "σ_A σ_r(P J)",
        "sketched": "σ_r(F' J)",
    }[kind]
    mu = sigma.value if sigma_A is None else sigma.value * sigma_A
    reach = lipschitz.largest_radius(sigma.value / 2)
    loss0, slope0 = _at_start(problem, generator)
    return Ground(
        kind=kind,
        mu=Quantity(mu, f"{how}; {sigma.how}", sigma.evidence),
        radius=Quantity(reach, f"R Lip(R) <= σ/2, {lipschitz.how}", lipschitz.evidence),
        sigma=sigma,
        loss0=Quantity(loss0, "the loss at the start", "closed form"),
        gradient0=Quantity(slope0, "‖∇f(θ0)‖", "closed form"),
        psi=psi,
        fits_data=loss.fits_data,
        hypotheses=_hypotheses(problem, sigma, loss0, psi),
    )


# One program instead of one an operation: without jit each of them is compiled by itself.
@eqx.filter_jit
def _at_start(problem: Problem, generator: AbstractGenerator) -> tuple[Array, Array]:
    """f(θ0) and ‖∇f(θ0)‖."""
    smaller, start, _ = reduce(problem, generator)
    f, theta = parametrize(smaller, start)
    return f(theta), tree_norm(f.gradient(theta))


def squared_error_ground(
    problem: Problem,
    generator: AbstractGenerator,
    kind: Kind | Ground = "network",
    *,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> tuple[Ground, Array]:
    """`ground` and w, for the theorems on inertial methods, which ask for the loss w‖·‖².

    Raises:
        ValueError: for an unknown kind.
        Inapplicable: if there is no such ground, or the loss is another one.
    """
    if not isinstance(problem.loss, MSE):
        raise Inapplicable(f"it needs the squared error, got {type(problem.loss).__name__}")
    return ground(problem, generator, kind, lipschitz=lipschitz), problem.loss.weight


def pull(
    problem: Problem, generator: AbstractGenerator, kind: Kind
) -> tuple[Quantity, Array | None]:
    """The singular value of a ground at θ, less its rounding error, and σ_A where it enters."""
    A = problem.operator
    if kind == "network":
        sigma = spectrum(problem, generator, of="J").sigma_min_lower
        return sigma, jnp.asarray(_linear(A).sigma_min()).astype(sigma.value.dtype)
    if kind == "row space":
        rows = _row_space(problem)
        sigma = _at_rank(spectrum(rows, generator, of="AJ"), _real_rank(_linear(A)))
        return sigma, jnp.asarray(_linear(A).sigma_min()).astype(sigma.value.dtype)
    found = spectrum(problem, generator, of="AJ")
    if isinstance(A, AbstractLinearOperator):
        return _at_rank(found, _real_rank(A)), None
    return found.sigma_min_lower, None


def _real_rank(A: AbstractLinearOperator):
    """The rank in real coordinates, in which spectra are: a complex dimension counts twice."""
    complex_signal = jnp.issubdtype(A.in_structure.dtype, jnp.complexfloating)
    return 2 * jnp.asarray(A.rank()) if complex_signal and A.complex_linear else A.rank()


def _at_rank(found: Spectrum, rank) -> Quantity:
    """The r-th singular value, less its rounding error."""
    if found.method == "krylov":
        return found.sigma_min_lower
    rank = jnp.asarray(rank)
    index = jnp.clip(rank - 1, 0, found.values.shape[0] - 1)
    lower = jnp.maximum(found.values[index] - found.error[index], 0)
    reached = (rank > 0) & (rank <= found.values.shape[0])
    return Quantity(jnp.where(reached, lower, 0), f"r-th value: {found.how}", found.evidence)


def _row_space(problem: Problem) -> Problem:
    """The problem that observes the row space of A by orthonormal rows."""
    A = _linear(problem.operator)
    complex_signal = jnp.issubdtype(A.in_structure.dtype, jnp.complexfloating)
    if complex_signal and not A.complex_linear:
        raise Inapplicable(
            "the row space of an operator that is linear over the reals only is no subspace of "
            "complex signals: take the ground 'network' or 'sketched'"
        )
    # Over real signals the rows that count are those of the real and imaginary parts.
    matrix = A.matrix() if complex_signal else A.real_matrix()
    _, s, rows = jnp.linalg.svd(matrix, full_matrices=False)
    live = jnp.arange(s.size) < jnp.asarray(A.rank())
    P = Dense(rows * live[:, None].astype(rows.dtype), in_shape=A.in_structure.shape)
    return Problem(u=problem.u, operator=P, loss=MSE(), y=jnp.zeros(s.size, rows.dtype))


def _hypotheses(
    problem: Problem, sigma: Quantity, loss0: Array, psi: AbstractDesingularizer
) -> tuple[Condition, ...]:
    zero = jnp.zeros_like(sigma.value)
    full = Condition(
        "σ > 0",
        Quantity(zero, "zero", "closed form"),
        sigma,
        otherwise="the Jacobian is singular at the start (a dead or too narrow network)",
    )
    inside = Condition(
        "L0 < r0",
        Quantity(loss0, "the loss at the start", "closed form"),
        Quantity(jnp.asarray(psi.radius).astype(loss0.dtype), "where ψ serves", "closed form"),
        otherwise=f"the loss at the start is beyond where ψ serves ({psi.domain})",
    )
    return full, inside, _attainable(problem, sigma)


@eqx.filter_jit
def _missed(A: AbstractLinearOperator, y: Array) -> tuple[Array, Array]:
    """‖y − A A⁺y‖ and ‖y‖."""
    left = y - A(A.pseudo_inverse(y))
    return jnp.linalg.norm(left.ravel()), jnp.linalg.norm(y.ravel())


def _attainable(problem: Problem, sigma: Quantity) -> Condition:
    """∇L_y must lie in the range of A, or the loss cannot fall to zero as the theorems say."""
    A = problem.operator
    why = "A does not map onto the data, and y is not in its range: the loss has a floor above zero"
    if isinstance(A, AbstractLinearOperator) and isinstance(problem.loss, MSE | Power):
        rest, size = _missed(A, problem.y)
        slack = size * float(jnp.finfo(size.dtype).eps) ** 0.75
        return Condition(
            "y ∈ Im A",
            Quantity(rest, "‖y − A A⁺y‖", "dense spectrum"),
            Quantity(slack, "rounding", "closed form"),
            strict=False,
            otherwise=why,
        )
    rows, dtype = problem.y.size, sigma.value.dtype
    # Where F is not linear, σ is the m-th singular value of F' J_g: positive means onto.
    rank = A.rank() if isinstance(A, AbstractLinearOperator) else rows * (sigma.value > 0)
    return Condition(
        "m ≤ rank A",
        Quantity(jnp.asarray(rows, dtype), "entries of the data", "closed form"),
        Quantity(jnp.asarray(rank).astype(dtype), "rank of A", "dense spectrum"),
        strict=False,
        otherwise=why,
    )


def _linear(operator) -> AbstractLinearOperator:
    assert isinstance(operator, AbstractLinearOperator)
    return operator
