"""Below which width a two-layer network with W alone trained cannot fit at all."""

import jax.numpy as jnp
import numpy as np

from jaxdip._evidence import Quantity

#: The range of each activation; its closure where an end is not attained.
RANGES = {
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "erf": (-1.0, 1.0),
    "sin": (-1.0, 1.0),
    "softplus": (0.0, np.inf),
    "relu": (0.0, np.inf),
    "gelu": (-0.16997120747, np.inf),
    "silu": (-0.27846454276, np.inf),
}


def existence_width(
    m: int,
    n: int,
    *,
    activation: str = "sigmoid",
    value_range: tuple[float, float] | None = None,
    signal_scale: float = 1.0,
) -> Quantity:
    """The width at which A V s/√k = A x̄ gets a solution s in (range φ)^k: about half of draws do.

    With r = min(m, n), A V of k columns that are close to isotropic, x̄ with entries of mean square
    c², and [a, b] = range φ, a solution exists about when

        k ≥ r/δ,   δ = max_{β>0} (E[−h s])²/(E s² + c²),  s = clip(−βh, a, b),  h ~ N(0, 1),

    from Gordon's comparison, which is sharp for Gaussian columns as r grows. For the sigmoid and
    c = 1 this is 9.2 min(m, n); for a range [−1, 1], 2.96 min(m, n); for softplus and ReLU, 2
    min(m, n), which is Wendel's theorem. `zonotope_width` is the simpler estimate, 7.9 min(m, n)
    for the sigmoid. Descent needs more than existence (observed: about 10 min(m, n)), and the
    papers' n²m law is far above.

    Args:
        m: data, in general position.
        n: entries of the signal.
        activation: its name, for its range.
        value_range: (a, b) for an activation of your own.
        signal_scale: c.

    Returns:
        k, an estimate from below of what makes a solution certain.

    Raises:
        ValueError: for an unknown activation or an empty range.

    Reference: the comparison of Y. Gordon (1988) in the form of C. Thrampoulidis, S. Oymak &
    B. Hassibi, "Regularized linear regression: a precise analysis of the estimation error" (2015);
    J. Wendel, "A problem in geometric probability" (1962).
    """
    low, high = _range(activation, value_range)
    return _threshold(min(m, n) / _density(low, high, signal_scale), "Gordon's comparison")


def zonotope_width(
    m: int,
    n: int,
    *,
    activation: str = "sigmoid",
    value_range: tuple[float, float] | None = None,
    signal_scale: float = 1.0,
) -> Quantity:
    """An estimate of `existence_width`, from the mean support of the zonotope V (range φ)^k/√k.

    The zonotope's support function in a unit direction is about w√(2k/π), with w = (b − a)/2 the
    half width of range φ, around a centre of mean square (a + b)²/4 per entry. So x̄ fits if

        k ≥ (π/2) (c² + (a + b)²/4) min(m, n)/w²,

    2π·1.25 min(m, n) = 7.9 min(m, n) for the sigmoid and c = 1. It takes the support's mean for its
    least value, so it is below the true threshold: by 15 % for the sigmoid, by half for tanh.

    Args:
        m: data.
        n: entries of the signal.
        activation: its name, for its range.
        value_range: (a, b), finite.
        signal_scale: c.

    Raises:
        ValueError: for an unbounded range.
    """
    low, high = _range(activation, value_range)
    if not np.isfinite(high - low):
        raise ValueError(f"a zonotope needs a bounded range, got {(low, high)}")
    half, centre = (high - low) / 2, (high + low) / 2
    factor = np.pi / 2 * (signal_scale**2 + centre**2) / half**2
    return _threshold(factor * min(m, n), "mean support of a zonotope")


def _range(activation: str, given: tuple[float, float] | None) -> tuple[float, float]:
    if given is None and activation not in RANGES:
        raise ValueError(
            f"the range of {activation!r} is not known; give value_range=(a, b), or one of "
            f"{', '.join(RANGES)}"
        )
    low, high = RANGES[activation] if given is None else given
    if not low < high:
        raise ValueError(f"a range has a < b, got {(low, high)}")
    return low, high


def _density(low: float, high: float, scale: float) -> float:
    """δ, by quadrature over h and a search over β."""
    h = np.linspace(-9, 9, 3_601)
    weight = np.exp(-(h**2) / 2)
    weight /= weight.sum()

    def ratio(log_beta: float) -> float:
        s = np.clip(-np.exp(log_beta) * h, low, high)
        return np.sum(weight * h * s) ** 2 / (np.sum(weight * s**2) + scale**2)

    grid = np.linspace(-8, 8, 41)
    best = grid[np.argmax([ratio(b) for b in grid])]
    fine = np.linspace(best - 0.4, best + 0.4, 41)
    return max(ratio(b) for b in fine)


def _threshold(value: float, how: str) -> Quantity:
    k = jnp.asarray(value, jnp.result_type(float))
    return Quantity(k, f"where solutions begin to exist: {how}", "estimate from below")
