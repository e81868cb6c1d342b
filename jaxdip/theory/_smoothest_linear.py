"""Compressive sensing by a linear generator: gradient descent finds the smoothest signal."""

import math

import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._numbers import fraction, given
from jaxdip._types import Array, Float, RealScalar
from jaxdip.theory._certificate import Certificate, Condition, not_applicable
from jaxdip.theory._kl_bound import ConstantBound

_THEOREM = "smoothest approximation by a linear generator"
_PAPER = "Heckel & Soltanolkotabi, arXiv 2005.03991"


def minimum_norm_error(
    singular_values: Float[Array, " r"],
    coefficients: Float[Array, " r"],
    m: int,
    *,
    oversampling: int,
    deviation: RealScalar,
) -> Certificate:
    """‖x − x*‖ for the minimum-norm fit x of m Gaussian measurements of x*, for any split of m.

    x = J (A J)⁺ A x*, A with iid centred Gaussian entries, s_1 ≥ … ≥ s_r > 0 the singular values of
    J, c_i = ⟨w_i, x*⟩ the coefficients in its left singular vectors. With m = k + p,

        ‖x − x*‖² ≤ (Σ c_i²/s_i²) {s²_{k+1} + [s_{k+1}(e √(3k/(p+1)) + u a) + a (Σ_{j>k} s_j²)^½]²},
        a = e² √(k+p)/(p+1),

    with probability at least 1 − 2e^{−p} − e^{−u²/2}, for k ≥ 2, p ≥ 4, u ≥ 0. The printed a has
    one factor e only; the deviation bound it is taken from has t e √(k+p)/(p+1) at t = e, without
    which its failure probability 2 t^{−p} is not 2e^{−p}.

    Args:
        singular_values: s, descending and positive; leave null directions out.
        coefficients: c, shape (r,).
        m: measurements.
        oversampling: p.
        deviation: u.

    Returns:
        A certificate with the bound 'limit signal', on ‖x − x*‖ at convergence, constant in t.

    Raises:
        TypeError: unless u is a real number.
        ValueError: if the shapes disagree, or u is negative or not finite.

    Reference: Proposition 1 of arXiv 2005.03991; N. Halko, P.-G. Martinsson & J. Tropp,
    arXiv 0909.4061, Theorem 10.8.
    """
    s, c = _modes(singular_values, coefficients)
    k = m - oversampling
    source = f"{_PAPER}, Proposition 1"
    if oversampling < 4 or k < 2:
        why = f"it needs p >= 4 and m - p >= 2, got p = {oversampling} and m = {m}"
        return not_applicable(_THEOREM, source, why)
    u = given("deviation", deviation, positive=False).astype(s.dtype)
    tail = _tail(s, k)
    first = s[k] if k < s.shape[0] else jnp.zeros((), s.dtype)
    a = math.e**2 * math.sqrt(m) / (oversampling + 1)
    spread = first * (math.e * math.sqrt(3 * k / (oversampling + 1)) + u * a) + a * jnp.sqrt(tail)
    energy = jnp.sum((c / s) ** 2)
    value = jnp.sqrt(energy * (first**2 + spread**2))
    chance = 1 - 2 * math.exp(-oversampling) - jnp.exp(-(u**2) / 2)
    return _certificate(source, s, value, energy, tail, chance, {})


def smoothest_constant(m: int) -> float:
    """C of `smoothest_linear` for m measurements, at most 471 for every m ≥ 12.

    From Proposition 1 with p = ⌈m/3⌉ and u = √p; s²_{k+1} is among the tail that it multiplies.
    """
    p = -(-m // 3)
    k = m - p
    a = math.e**2 * math.sqrt(m) / (p + 1)
    return 1 + (math.e * math.sqrt(3 * k / (p + 1)) + (math.sqrt(p) + 1) * a) ** 2


def smoothest_linear(
    singular_values: Float[Array, " r"], coefficients: Float[Array, " r"], m: int
) -> Certificate:
    """‖x − x*‖² ≤ C (Σ c_i²/s_i²) (Σ_{i > 2m/3} s_i²), with an explicit C.

    With probability at least 1 − 3e^{−m/6}, for m ≥ 12 Gaussian measurements (the paper prints
    1 − 3e^{−m/2}, but its proof, with u = √p and p = m/3, gives m/6). The paper's C is "a fixed
    numerical constant"; here it is `smoothest_constant(m)` ≤ 471. See `minimum_norm_error`.

    Args:
        singular_values: s of the generator matrix J, descending and positive.
        coefficients: c_i = ⟨w_i, x*⟩.
        m: measurements.

    Returns:
        A certificate with the bound 'limit signal', on ‖x − x*‖ at convergence, constant in t.

    Raises:
        ValueError: if the shapes disagree.

    Reference: Theorem 1 of arXiv 2005.03991.
    """
    s, c = _modes(singular_values, coefficients)
    source = f"{_PAPER}, Theorem 1, with the probability of its proof"
    if m < 12:
        return not_applicable(_THEOREM, source, f"it needs m >= 12 measurements, got {m}")
    C = smoothest_constant(m)
    energy, tail = jnp.sum((c / s) ** 2), _tail(s, 2 * m // 3)
    value = jnp.sqrt(C * energy * tail)
    chance = jnp.asarray(1 - 3 * math.exp(-m / 6), s.dtype)
    number = Quantity(jnp.asarray(C, s.dtype), "Proposition 1 at p = m/3, u = √p", "bound")
    return _certificate(source, s, value, energy, tail, chance, {"C": number})


def geometric_example(m: int, decay: RealScalar) -> Quantity:
    """‖x − x*‖²/‖x*‖² ≤ C γ^{m/3}/(1 − γ) for s_i² = γ^i and x* in the span of w_1, …, w_{m/3}.

    Args:
        m: measurements, at least 12.
        decay: γ in ]0, 1[.

    Raises:
        TypeError: unless γ is a real number.
        ValueError: for m < 12, or γ outside ]0, 1[.

    Reference: (8) of arXiv 2005.03991, with the constant of `smoothest_linear`.
    """
    if m < 12:
        raise ValueError(f"it needs m >= 12 measurements, got {m}")
    gamma = fraction("decay", decay)
    value = smoothest_constant(m) * gamma ** (m / 3) / (1 - gamma)
    return Quantity(value, "C γ^(m/3)/(1 − γ), with probability 1 − 3 exp(−m/6)", "bound")


def _modes(singular_values: Array, coefficients: Array) -> tuple[Array, Array]:
    s, c = jnp.asarray(singular_values), jnp.asarray(coefficients)
    if s.ndim != 1 or s.shape != c.shape:
        raise ValueError(
            f"singular values and coefficients are vectors of one length, got {s.shape} and "
            f"{c.shape}; give ⟨w_i, x*⟩ for each left singular vector w_i of J"
        )
    return s, c.astype(s.dtype)


def _tail(s: Array, k: int) -> Array:
    return jnp.sum(s[k:] ** 2)


def _certificate(source, s, value, energy, tail, chance, numbers) -> Certificate:
    zero = jnp.zeros((), s.dtype)
    chance = jnp.asarray(chance, s.dtype)
    probability = Quantity(chance, "over the draw of A, at least", "bound")
    hypotheses = (
        Condition(
            "s_r > 0",
            Quantity(s[0] * (s.shape[0] * float(jnp.finfo(s.dtype).eps)), "rounding", "bound"),
            Quantity(s[-1], "least singular value of J", "dense spectrum"),
            otherwise="a singular value of J is zero: x* may be out of its range",
        ),
        Condition(
            "s descending",
            Quantity(jnp.max(jnp.diff(s, append=s[-1:])), "largest rise", "dense spectrum"),
            Quantity(zero, "zero", "closed form"),
            strict=False,
            otherwise="the singular values are not in descending order",
        ),
        Condition(
            "0 < probability",
            Quantity(zero, "zero", "closed form"),
            probability,
            otherwise="the probability it promises is not positive",
        ),
    )
    return Certificate(
        theorem=_THEOREM,
        source=source,
        conditions=hypotheses,
        numbers={
            **numbers,
            "probability": probability,
            "Σ c²/s²": Quantity(energy, "energy of x* weighted by 1/s²", "dense spectrum"),
            "Σ s² beyond": Quantity(tail, "of the tail", "dense spectrum"),
        },
        bounds={"limit signal": ConstantBound(value)},
    )
