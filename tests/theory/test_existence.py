"""From which width on a network with W alone trained can fit: against linear programs."""

import numpy as np
import pytest
from scipy.optimize import linprog

from jaxdip.theory import existence_width, zonotope_width


def reachable(rng, m, n, k, low, high):
    """Whether A V s/√k = A x̄ has a solution s in [low, high]^k."""
    A = rng.standard_normal((m, n)) if m < n else np.eye(n)
    V = rng.choice([-1.0, 1.0], (n, k))
    x = rng.standard_normal(n)
    fit = linprog(np.zeros(k), A_eq=A @ V / np.sqrt(k), b_eq=A @ x, bounds=(low, high))
    return fit.status == 0


def share(rng, m, n, factor, name, low, high, draws=30):
    k = round(factor * float(existence_width(m, n, activation=name).value))
    return np.mean([reachable(rng, m, n, k, low, high) for _ in range(draws)])


@pytest.mark.parametrize(
    ("m", "n", "name", "low", "high"),
    [
        (30, 30, "sigmoid", 0, 1),
        (20, 60, "sigmoid", 0, 1),
        (40, 40, "tanh", -1, 1),
        (40, 40, "softplus", 0, None),
    ],
)
def test_solutions_begin_to_exist_there(m, n, name, low, high):
    rng = np.random.default_rng(0)
    assert share(rng, m, n, 0.6, name, low, high) < 0.35
    assert share(rng, m, n, 1.6, name, low, high) > 0.8
    assert 0.2 < share(rng, m, n, 1.0, name, low, high, draws=60) < 0.85


def test_known_coefficients():
    assert float(existence_width(7, 3).value) == pytest.approx(3 * 9.197, rel=1e-3)
    assert float(existence_width(1, 9, activation="tanh").value) == pytest.approx(2.964, rel=1e-3)
    # Wendel: the cone of k symmetric vectors of R^r holds a given one with probability ½ at 2r.
    for name in ("softplus", "relu"):
        assert float(existence_width(4, 4, activation=name).value) == pytest.approx(8, rel=1e-5)
    # All of R: r columns are needed.
    line = existence_width(4, 4, value_range=(-np.inf, np.inf))
    assert float(line.value) == pytest.approx(4, rel=1e-5)
    assert float(zonotope_width(5, 8).value) == pytest.approx(2 * np.pi * 1.25 * 5)
    assert float(zonotope_width(5, 8, activation="tanh").value) == pytest.approx(np.pi / 2 * 5)


def test_the_mean_support_is_that_of_a_zonotope_and_below_the_threshold():
    rng = np.random.default_rng(1)
    n, k = 40, 4000
    V = rng.choice([-1.0, 1.0], (n, k)) / np.sqrt(k)
    w = rng.standard_normal(n)
    w /= np.linalg.norm(w)
    # max over s in [0, 1]^k of ⟨w, V(s − ½)⟩ = ½Σ|⟨w, v_i⟩|.
    assert 0.5 * np.abs(w @ V).sum() == pytest.approx(0.5 * np.sqrt(2 * k / np.pi), rel=0.03)
    for name in ("sigmoid", "tanh"):
        below = float(zonotope_width(3, 3, activation=name).value)
        assert below < float(existence_width(3, 3, activation=name).value)
    small = float(existence_width(3, 3, signal_scale=0.1).value)
    assert small < float(existence_width(3, 3).value)


def test_wrong_calls():
    with pytest.raises(ValueError, match="range of 'cube' is not known"):
        existence_width(2, 3, activation="cube")
    with pytest.raises(ValueError, match="a < b"):
        existence_width(2, 3, value_range=(1.0, 1.0))
    with pytest.raises(ValueError, match="bounded range"):
        zonotope_width(2, 3, activation="relu")
