"""The rates that ψ(s) = c sᵃ promises, for every exponent."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxdip._types import Array, RealScalar


class KLRate(NamedTuple):
    """How loss and distances fall along gradient flow with pull μ.

    Attributes:
        kind: 'algebraic' (a < ½), 'linear' (a = ½) or 'finite' (a > ½).
        loss: for 'algebraic' the q of L = O(t^{−q}), for 'linear' that of O(e^{−qt}), for 'finite'
            that of O((t̂ − t)^q).
        distance: the same for ‖θ − θ∞‖, ‖y − y(t)‖ and ‖x − x∞‖.
        end: t̂, when the loss is zero; infinite unless 'finite'.
    """

    kind: str
    loss: Array
    distance: Array
    end: Array


def kl_rate(c: RealScalar, a: float, mu: RealScalar, *, loss0: RealScalar = 1.0) -> KLRate:
    """The exponents of gradient flow for ψ(s) = c sᵃ.

    - a < ½: L = O(t^{−1/(1−2a)}), distances O(t^{−a/(1−2a)}).
    - a = ½: L ≤ L0 e^{−μ²t/c²}, distances with half the rate (the slides print the loss's).
    - a > ½: L ≤ [((2a−1)μ²/(4c²a²)) (t̂ − t)]^{1/(2a−1)}, distances with a/(2a−1), and zero from
      t̂ = 4c²a²L0^{2a−1}/((2a−1)μ²) on (the slides print negative exponents). No loss with a
      locally Lipschitz gradient has such an a.

    Args:
        c: the factor, positive.
        a: the exponent in ]0, 1], a Python number: it decides the kind.
        mu: μ of the `Ground`.
        loss0: L0, which only t̂ depends on.

    Raises:
        ValueError: unless 0 < a ≤ 1.
    """
    if not 0 < a <= 1:
        raise ValueError(f"a lies in ]0, 1], got {a}")
    c, mu, loss0 = (jnp.asarray(x, jnp.result_type(float)) for x in (c, mu, loss0))
    never = jnp.asarray(jnp.inf)
    if a == 0.5:
        rate = (mu / c) ** 2
        return KLRate("linear", rate, rate / 2, never)
    power = jnp.asarray(1 / abs(1 - 2 * a))
    if a < 0.5:
        return KLRate("algebraic", power, a * power, never)
    end = 4 * (c * a) ** 2 * loss0 ** (2 * a - 1) / ((2 * a - 1) * mu**2)
    return KLRate("finite", power, a * power, end)
