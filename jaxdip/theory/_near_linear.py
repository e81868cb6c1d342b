"""How close gradient descent stays to its linearisation."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._evidence import Evidence, Quantity, weakest
from jaxdip._numbers import given
from jaxdip._types import Array, Float, RealScalar
from jaxdip.analysis import AbstractJacobianLipschitz, jacobian_lipschitz
from jaxdip.generators import AbstractGenerator
from jaxdip.losses import MSE
from jaxdip.operators import AbstractLinearOperator
from jaxdip.problem import Problem, dense_jacobian, parametrize, reduce
from jaxdip.theory._certificate import AbstractBound, Certificate, Condition, not_applicable

_THEOREM = "closeness of gradient descent to its linearisation"
_SOURCE = "Heckel & Soltanolkotabi, arXiv 2005.03991, Theorem 4"
_ITERATIONS = 500


class NearLinearBound(AbstractBound):
    """One of the theorem's bounds, at the times t = γτ of gradient descent.

    With q = 1 − ηα² and η = 2wγ:

    - 'residual': ‖r_τ‖ ≤ q^τ‖r_0‖; 'loss': w times its square;
    - 'residual gap': ‖r_τ − r_τ^lin‖ ≤ 2βη(ε0 + ε) τ q^{τ−1}‖r_0‖ (the factor τ is in the proof;
      the statement, as printed, has lost it);
    - 'parameter gap': ‖θ_τ − θ_τ^lin‖ ≤ 2.5 (β²/α⁴)(ε0 + ε)‖r_0‖;
    - 'distance': ‖θ_τ − θ_0‖ ≤ R/2.

    Attributes:
        rate: ηα².
        step_size: γ.
        scale: what multiplies the decaying part.
        kind: which of them.
    """

    rate: Float[Array, ""]
    step_size: Float[Array, ""]
    scale: Float[Array, ""]
    kind: Literal["power", "square", "linear", "constant"] = eqx.field(static=True)

    def __call__(self, t: Array) -> Array:
        """The bound at time t."""
        t = jnp.asarray(t, self.scale.dtype)
        steps = t / self.step_size
        log = jnp.log1p(-self.rate)
        if self.kind == "power":
            return self.scale * jnp.exp(steps * log)
        if self.kind == "square":
            return self.scale * jnp.exp(2 * steps * log)
        if self.kind == "linear":
            return self.scale * steps * jnp.exp((steps - 1) * log)
        return self.scale + 0 * t


def near_linear(
    problem: Problem,
    generator: AbstractGenerator,
    step_size: RealScalar,
    *,
    lipschitz: AbstractJacobianLipschitz | None = None,
) -> Certificate:
    """Whether gradient descent on ½‖A g(u, θ) − y‖² follows the linearised one, and how closely.

    With the Jacobian J of A g at θ0 as its own reference (ε0 = 0), α = σ_m(J)/√2,
    ε = 2R Lip(J; B(θ0, R)), β = ‖J‖ + ε/2 ≥ ‖J(θ)‖ on that ball (the paper asks for all θ; its
    proof uses the ball alone) and

        R = 2 [ ‖J⁺r_0‖ + 2.5 (β²/α⁴)(ε0 + ε)‖r_0‖ ],

    solved for the least R, the theorem needs 2β(ε0 + ε) ≤ α² and η ≤ 1/β². In reduced coordinates,
    which are isometric. A loss w‖·‖² is ½‖·‖² with J and r scaled by √(2w), or η = 2wγ; the bounds
    are those of the unscaled residual.

    Args:
        problem: with a linear operator and `losses.MSE`.
        generator: the network at its start.
        step_size: γ of gradient descent, positive.
        lipschitz: Lip(A J) of your own; by default `jacobian_lipschitz(..., observed=True)`.

    Returns:
        The certificate, with bounds 'loss', 'residual', 'residual gap', 'parameter gap' and
        'distance' at times t = γτ. Compare with `linearised(...).trajectory` by `gap`.

    Raises:
        TypeError: unless γ is a real number.
        ValueError: unless γ is finite and positive; or if the Jacobian is too large to store.
    """
    gamma = given("step_size", step_size, positive=True)
    if not isinstance(problem.operator, AbstractLinearOperator):
        why = f"it needs a linear operator, got {type(problem.operator).__name__}"
        return not_applicable(_THEOREM, _SOURCE, why)
    if not isinstance(problem.loss, MSE):
        why = f"it needs the squared error, got {type(problem.loss).__name__}"
        return not_applicable(_THEOREM, _SOURCE, why)
    if lipschitz is None:
        try:
            lipschitz = jacobian_lipschitz(problem, generator, observed=True)
        except ValueError as error:
            return not_applicable(_THEOREM, _SOURCE, str(error))
    smaller, start, _ = reduce(problem, generator)
    f, theta0 = parametrize(smaller, start)
    J = dense_jacobian(smaller, start)
    r0 = (f.predict(theta0) - smaller.y).ravel()
    weight = jnp.asarray(problem.loss.weight).astype(J.dtype)
    return _certificate(J, r0, weight, gamma.astype(J.dtype), lipschitz)


def _certificate(
    J: Array, r0: Array, weight: Array, gamma: Array, lipschitz: AbstractJacobianLipschitz
) -> Certificate:
    U, s, _ = jnp.linalg.svd(J, full_matrices=False)
    m = J.shape[0]
    sigma = s[-1] if J.shape[1] >= m else jnp.zeros_like(s[-1])
    floor = s[0] * (max(J.shape) * float(jnp.finfo(J.dtype).eps))
    modes = jnp.matmul(U.T, r0, precision=jax.lax.Precision.HIGHEST)
    first = jnp.linalg.norm(modes / jnp.where(s > floor, s, jnp.inf))
    norm = jnp.linalg.norm(r0)
    alpha = sigma / 2**0.5

    def spread(R):
        """ε, β and the coefficient of the second term, on the ball of radius R."""
        eps = 2 * R * lipschitz(R)
        beta = s[0] + eps / 2
        return eps, beta, 2.5 * beta**2 / alpha**4

    def enlarge(_, R):
        eps, _, slope = spread(R)
        return 2 * (first + slope * eps * norm)

    # The map is increasing, so from below it climbs to its least fixed point, if it has one.
    R = jax.lax.fori_loop(0, _ITERATIONS, enlarge, 2 * first)
    # Just beyond tangency the climb is slow and no fixed point comes: ask for one above.
    R = R * (1 + 1e-6)
    R = jnp.where(enlarge(0, R) <= R, R, jnp.inf)
    eps, beta, slope = spread(R)
    rate = 2 * weight * gamma * alpha**2
    # R starts from ‖J⁺r0‖, so it and all that follows from it rest on the dense spectrum too.
    rests = _weaker("dense spectrum", lipschitz.evidence)
    scales = {
        "loss": (weight * norm**2, "square"),
        "residual": (norm, "power"),
        "residual gap": (4 * weight * gamma * beta * eps * norm, "linear"),
        "parameter gap": (slope * eps * norm, "constant"),
        "distance": (R / 2, "constant"),
    }
    return Certificate(
        theorem=_THEOREM,
        source=_SOURCE,
        conditions=(
            Condition(
                "σ_m(J) > 0",
                Quantity(floor, "rounding of the singular values", "dense spectrum"),
                Quantity(sigma, "m-th singular value of A J at the start", "dense spectrum"),
                otherwise="A J has not full row rank at the start",
            ),
            Condition(
                "2β(ε0 + ε) ≤ α²",
                Quantity(2 * beta * eps, "from ‖A J‖ and Lip(A J)", rests),
                Quantity(alpha**2, "σ_m(J)²/2", "dense spectrum"),
                strict=False,
            ),
            Condition(
                "η ≤ 1/β²",
                Quantity(2 * weight * gamma, "2wγ, as given", "closed form"),
                Quantity(beta**-2, "from ‖A J‖ and Lip(A J)", rests),
                strict=False,
            ),
        ),
        numbers={
            "α": Quantity(alpha, "σ_m(A J)/√2", "dense spectrum"),
            "β": Quantity(beta, "‖A J‖ + ε/2", rests),
            "ε": Quantity(eps, f"2R Lip, {lipschitz.how}", rests),
            "R": Quantity(R, "least radius that reproduces itself", rests),
            "‖r0‖": Quantity(norm, "‖A g(u, θ0) − y‖", "closed form"),
        },
        bounds={name: NearLinearBound(rate, gamma, *scale) for name, scale in scales.items()},
    )


def _weaker(first: Evidence, second: Evidence) -> Evidence:
    """What a number made of both rests on."""
    nothing = jnp.zeros(())
    one, other = Quantity(nothing, "", first), Quantity(nothing, "", second)
    return first if weakest(one.grade, other.grade) == one.grade else second
