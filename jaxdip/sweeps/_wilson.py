"""How well a frequency is known."""

import statistics

import numpy as np
from numpy.typing import ArrayLike


def wilson(successes: ArrayLike, trials: ArrayLike, level: float = 0.95):
    """Wilson's interval of a probability.

    (p̂ + z²/2N ± z √(p̂(1 − p̂)/N + z²/4N²))/(1 + z²/N) with p̂ = successes/N.

    Args:
        successes: how often it happened.
        trials: N, of the same shape; where 0 the interval is [0, 1].
        level: the coverage, in ]0, 1[.

    Returns:
        The lower and the upper end, arrays of that shape.

    Raises:
        ValueError: unless 0 ≤ successes ≤ trials and 0 < level < 1.

    Reference: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    J. Amer. Statist. Assoc. 22, 1927.
    """
    hits, N = np.asarray(successes, float), np.asarray(trials, float)
    if not 0 < level < 1:
        raise ValueError(f"level is between 0 and 1, got {level}")
    if np.any(hits < 0) or np.any(hits > N):
        raise ValueError("successes lie between 0 and the number of trials")
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    safe = np.maximum(N, 1)
    p = hits / safe
    centre = p + z**2 / (2 * safe)
    half = z * np.sqrt(p * (1 - p) / safe + z**2 / (4 * safe**2))
    scale = 1 + z**2 / safe
    # At the ends the formula gives 0 and 1 only up to rounding.
    low = np.where(hits == 0, 0.0, (centre - half) / scale)
    high = np.where(hits == N, 1.0, (centre + half) / scale)
    known = N > 0
    return np.where(known, low, 0.0), np.where(known, high, 1.0)
