"""Gaussian widths of cones, and what a Gaussian A is then certain to keep of them."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdip._evidence import Evidence, Quantity
from jaxdip._numbers import given
from jaxdip._types import Array, Float, Key, RealScalar
from jaxdip.analysis._jacobian import check_count

_HIGHEST = jax.lax.Precision.HIGHEST
#: Above this, log-gamma differences lose more digits than the asymptotic series leaves out.
_LARGE = 1_000_000


def chi_mean(m: int) -> float:
    """a_m = E‖g‖ = √2 Γ((m+1)/2)/Γ(m/2) for g ~ N(0, I_m); m/√(m+1) ≤ a_m ≤ √m."""
    check_count("m", m)
    if m > _LARGE:
        return math.sqrt(m) * (1 - 1 / (4 * m) + 1 / (32 * m**2))
    return math.sqrt(2) * math.exp(math.lgamma((m + 1) / 2) - math.lgamma(m / 2))


def subspace_width(r: int, *, dtype=None) -> Quantity:
    """w(T ∩ S^{n−1}) = a_r ≤ √r for a subspace T of dimension r."""
    value = jnp.asarray(chi_mean(r), jnp.dtype(dtype or jnp.result_type(float)))
    return Quantity(value, f"Gaussian width of a subspace of dimension {r}", "closed form")


class GordonBound(NamedTuple):
    """What Gordon's theorem promises.

    Attributes:
        injectivity: λ ≤ λ_min(A; T), zero where nothing is promised.
        probability: with which it holds at least.
    """

    injectivity: Quantity
    probability: Quantity


def gordon_bound(
    m: int, width: Quantity, deviation: RealScalar, *, normalized: bool = False
) -> GordonBound:
    """λ_min(A; T) ≥ a_m − w(T ∩ S) − t with probability at least 1 − e^{−t²/2}.

    For A with m rows of iid N(0, 1) entries, and the same divided by √m for N(0, 1/m).

    Args:
        m: the number of rows.
        width: w(T ∩ S), of `subspace_width`, `cone_width` or `l1_descent_width`. The bound is as
            good as it: a width known from samples only makes an estimate.
        deviation: t ≥ 0.
        normalized: the entries are N(0, 1/m).

    Raises:
        TypeError: unless t is a real number.
        ValueError: unless t is finite and at least 0.

    Reference: Y. Gordon, "On Milman's inequality and random subspaces which escape through a mesh
    in R^n" (1988); Corollary 3.3 of V. Chandrasekaran, B. Recht, P. Parrilo & A. Willsky,
    arXiv 1012.0621.
    """
    w = width.value
    t = given("deviation", deviation, positive=False).astype(w.dtype)
    scale = math.sqrt(m) if normalized else 1.0
    value = jnp.maximum(chi_mean(m) - w - t, 0) / scale
    evidence = _of_a_bound(width)
    how = f"a_m - w - t, with probability 1 - exp(-t^2/2); {width.how}"
    chance = Quantity(-jnp.expm1(-(t**2) / 2), "1 - exp(-t^2/2)", "closed form")
    return GordonBound(Quantity(value, how, evidence), chance)


def sample_bound(width: Quantity) -> Quantity:
    """The number of Gaussian measurements w² + 1 above which A is injective on the cone.

    It keeps λ_min(A; T) > 0 with probability at least 1 − e^{−(a_m − w)²/2}, because a_m > √(m−1).

    Reference: Corollary 3.3 of arXiv 1012.0621.
    """
    evidence = _of_a_bound(width)
    return Quantity(width.value**2 + 1, f"m > w^2 + 1; {width.how}", evidence)


def cone_width(
    directions: Float[Array, "n q"], *, key: Key, draws: int = 200, steps: int = 500
) -> Quantity:
    """Gaussian width of the convex cone that some directions generate, by Monte Carlo.

    w = E sup{⟨g, z⟩ : z ∈ T, ‖z‖ ≤ 1} = E‖Π_T g‖, T = {D c : c ≥ 0}, each projection by `steps`
    accelerated projected gradients. (Over ‖z‖ = 1 the width is at most this, and differs where T is
    so narrow that Π_T g = 0 often.)

    Args:
        directions: D, one direction a column, such as secants x − x_Σ or columns of a Jacobian and
            their negatives.
        key: for the draws.
        draws: how many.
        steps: of each projection; a stopped one makes the estimate too small.

    Returns:
        The mean; `how` names the number of draws. Its standard error is at most 1/√draws, because
        g ↦ ‖Π_T g‖ is 1-Lipschitz.
    """
    check_count("draws", draws)
    D = _unit_columns(directions)
    g = jax.random.normal(key, (draws, D.shape[0]), D.dtype)
    value = jnp.mean(jax.lax.map(lambda v: _support(D, v, steps), g, batch_size=min(draws, 64)))
    return Quantity(value, f"mean of ‖Π_T g‖ over {draws} draws", "sampled")


def l1_descent_width(x: Float[Array, " n"], *, key: Key, draws: int = 1000) -> Quantity:
    """Gaussian width of the descent cone of ‖·‖₁ at x, from above, by Monte Carlo.

    w ≤ E min_{τ ≥ 0} dist(g, τ ∂‖x‖₁), whose square is at most 2 s log(n/s) + 5s/4 for s non-zero
    entries.

    Reference: Propositions 3.6 and 3.10 of arXiv 1012.0621.
    """
    check_count("draws", draws)
    sign = jnp.sign(jnp.asarray(x))
    g = jax.random.normal(key, (draws, sign.shape[0]), sign.dtype)
    value = jnp.mean(jax.vmap(lambda v: _l1_distance(v, sign))(g))
    return Quantity(value, f"mean of dist(g, cone ∂‖x‖₁) over {draws} draws", "sampled")


def _of_a_bound(width: Quantity) -> Evidence:
    """What a bound that uses this width rests on."""
    return "bound" if width.grade == "proven" else width.evidence


def _unit_columns(directions: Array) -> Array:
    D = jnp.asarray(directions)
    if D.ndim != 2:
        raise ValueError(f"directions are the columns of a matrix (n, q), got shape {D.shape}")
    norms = jnp.linalg.norm(D, axis=0)
    return D / jnp.where(norms > 0, norms, 1)


def _support(D: Array, g: Array, steps: int) -> Array:
    """⟨g, z⟩/‖z‖ at z ≈ Π_T g: never above sup{⟨g, z⟩ : z ∈ T, ‖z‖ ≤ 1}."""
    target = jnp.matmul(D.T, g, precision=_HIGHEST)
    gram = jnp.matmul(D.T, D, precision=_HIGHEST)
    # The trace bounds the norm but is far above it for spread directions.
    largest = jnp.linalg.norm(gram, ord=2)

    def step(_, carry):
        c, before, momentum = carry
        after = (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2
        ahead = c + ((momentum - 1) / after) * (c - before)
        slope = jnp.matmul(gram, ahead, precision=_HIGHEST) - target
        return jnp.maximum(ahead - slope / largest, 0), c, after

    zero = jnp.zeros_like(target)
    c, _, _ = jax.lax.fori_loop(0, steps, step, (zero, zero, jnp.ones((), D.dtype)))
    z = jnp.matmul(D, c, precision=_HIGHEST)
    size = jnp.linalg.norm(z)
    inner = jnp.vdot(g, z, precision=_HIGHEST)
    return jnp.where(size > 0, jnp.maximum(inner, 0) / jnp.where(size > 0, size, 1), 0)


def _l1_distance(g: Array, sign: Array) -> Array:
    live = sign != 0

    def slope(tau):
        inside = jnp.where(live, tau - g * sign, jnp.minimum(tau - jnp.abs(g), 0))
        return jnp.sum(inside)

    def halve(_, bracket):
        low, high = bracket
        middle = (low + high) / 2
        rising = slope(middle) > 0
        return jnp.where(rising, low, middle), jnp.where(rising, middle, high)

    zero = jnp.zeros((), g.dtype)
    tau, _ = jax.lax.fori_loop(0, 60, halve, (zero, jnp.max(jnp.abs(g))))
    # The bracket ends at 0 where the distance grows from there on.
    gap = jnp.where(live, g - tau * sign, jnp.maximum(jnp.abs(g) - tau, 0))
    return jnp.linalg.norm(gap)
