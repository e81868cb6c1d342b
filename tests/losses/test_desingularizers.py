"""ψ and ψ⁻¹, Ψ and Ψ⁻¹ are inverse, Ψ' = −ψ'², and ψ survives very small and very large values."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_catalogue import BY_NAME, CASES, apply
from scipy.integrate import solve_ivp

from jaxdip.losses import KullbackLeibler, LogCosh, PowerDesingularizer, ReverseKullbackLeibler

GENERIC = {f"power({c}, {a})": PowerDesingularizer(c, a) for c, a in [
    (1.3, 0.25), (0.7, 0.4), (2.0, 0.4999), (1.1, 0.5), (0.9, 0.5001), (1.5, 0.75), (2.0, 1.0),
]}  # fmt: skip
ALL = [*BY_NAME, *GENERIC]
S = 10.0 ** np.linspace(-12, 5, 401)


def desingularizer(name):
    if name in GENERIC:
        return GENERIC[name]
    return BY_NAME[name].loss.desingularizer(BY_NAME[name].y)


@functools.cache
def table(name, shift=0.0):
    """ψ, ψ' and Ψ at s = S e^shift."""
    return {f: apply(desingularizer(name), f, S * np.exp(shift)) for f in ("psi", "dpsi", "Psi")}


def slope(name, quantity, h=1e-5):
    """The derivative at S by a central difference in ln s."""
    return (table(name, h)[quantity] - table(name, -h)[quantity]) / (2 * S * np.sinh(h))


@pytest.mark.parametrize("name", ALL)
def test_inverses(name):
    d, t = desingularizer(name), table(name)
    back, again = apply(d, "psi_inv", t["psi"]), apply(d, "Psi_inv", t["Psi"])
    np.testing.assert_allclose(back, S, rtol=1e-10)
    np.testing.assert_allclose(apply(d, "psi", back), t["psi"], rtol=1e-10)
    np.testing.assert_allclose(again, S, rtol=1e-10)
    np.testing.assert_allclose(apply(d, "Psi", again), t["Psi"], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(apply(d, "psi", again), t["psi"], rtol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_derivatives(name):
    t = table(name)
    np.testing.assert_allclose(slope(name, "psi"), t["dpsi"], rtol=1e-6)
    np.testing.assert_allclose(slope(name, "Psi"), -(t["dpsi"] ** 2), rtol=1e-6)
    np.testing.assert_allclose(apply(desingularizer(name), "grad psi", S), t["dpsi"], rtol=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_concave_as_claimed_and_increasing_from_zero(name):
    d, t = desingularizer(name), table(name)
    steps = np.diff(t["dpsi"])
    assert type(d).concave is bool(np.all(steps <= 1e-12 * t["dpsi"][1:]))
    assert np.all(np.diff(t["psi"]) > 0)
    assert np.all(np.diff(t["Psi"]) < 0)
    assert apply(d, "psi", np.zeros(1)) == 0
    assert apply(d, "psi_inv", np.zeros(1)) == 0


@pytest.mark.parametrize("name", ALL)
def test_bound_solves_the_worst_flow(name):
    """Along dL/dt = −1/ψ'(L)², the slowest flow that the inequality allows, L = Ψ⁻¹(t + Ψ(L0))."""
    d = desingularizer(name)
    start, t = 1.3, 0.8
    flow = solve_ivp(
        lambda _, s: -1.0 / apply(d, "dpsi", s) ** 2, (0, t), [start], rtol=1e-8, atol=1e-12
    )
    bound = apply(d, "Psi_inv", t + apply(d, "Psi", np.array([start])))
    np.testing.assert_allclose(flow.y[:, -1], bound, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_extreme_values_stay_numbers(name):
    d = desingularizer(name)
    s = np.array([1e-300, 1e-150, 1e-20, 1e20, 1e100])
    u = apply(d, "psi", s)
    assert np.all(np.isfinite(u))
    assert np.all(u > 0)
    assert np.all(np.isfinite(apply(d, "dpsi", s[1:])))
    np.testing.assert_allclose(apply(d, "psi_inv", u)[1:4], s[1:4], rtol=1e-10)
    assert not np.any(np.isnan(apply(d, "Psi", s)))
    assert np.all(apply(d, "Psi_inv", np.array([-1e9, -1.0, 0.0, 1.0, 1e9])) >= 0)


@pytest.mark.parametrize(
    ("loss", "y", "limit"),
    [
        (KullbackLeibler(), [3.0], lambda w: 3.0 * np.exp(-1.0 - w / 3.0)),
        (ReverseKullbackLeibler(), [3.0], lambda w: 3.0 * np.exp(-np.euler_gamma - w / 3.0)),
        (LogCosh(), [3.0], lambda w: np.exp(-w)),
    ],
)
def test_late_distances_keep_their_digits(loss, y, limit):
    d = loss.desingularizer(jnp.asarray(y))
    w = np.linspace(150.0, 300.0, 50)
    np.testing.assert_allclose(apply(d, "psi", apply(d, "Psi_inv", w)), limit(w), rtol=1e-12)


def test_generic_closed_forms():
    s, w = 0.37, 1.9
    algebraic = PowerDesingularizer(1.3, 0.25)
    np.testing.assert_allclose(algebraic.Psi(s), 1.69 * 0.0625 / 0.5 * s**-0.5, rtol=1e-14)
    np.testing.assert_allclose(algebraic.Psi_inv(w), (0.5 * w / (1.69 * 0.0625)) ** -2, rtol=1e-14)
    linear = PowerDesingularizer(1.1, 0.5)
    np.testing.assert_allclose(linear.Psi(s), -1.21 / 4 * np.log(s), rtol=1e-14)
    np.testing.assert_allclose(linear.Psi_inv(w), np.exp(-4 * w / 1.21), rtol=1e-14)
    finite = PowerDesingularizer(1.5, 0.75)
    np.testing.assert_allclose(finite.Psi_inv(-w), (0.5 * w / (2.25 * 0.5625)) ** 2, rtol=1e-14)


def test_bound_ends_in_finite_time_only_above_one_half():
    w = jnp.asarray([0.0, 1e-9, 5.0])
    np.testing.assert_array_equal(PowerDesingularizer(1.5, 0.75).Psi_inv(w), 0.0)
    assert np.all(PowerDesingularizer(1.5, 0.4).Psi_inv(w) > 0)
    assert np.all(PowerDesingularizer(1.5, 0.5).Psi_inv(w) > 0)


def test_nothing_is_bounded_below_the_range_of_the_primitive():
    np.testing.assert_array_equal(
        PowerDesingularizer(1.0, 0.3).Psi_inv(jnp.asarray([-2.0, 0.0])), np.inf
    )


def test_bound_is_continuous_across_one_half():
    """The constants chosen for Ψ cancel: next to a = 1/2, (s^{−b} + b t/C)^{−1/b}, b = 1 − 2a."""

    def bound(a):
        d = PowerDesingularizer(1.2, a)
        return d.Psi_inv(0.7 + d.Psi(jnp.asarray(2.0)))

    a = jnp.asarray([0.4949, 0.4951, 0.4999999, 0.5000001, 0.5049, 0.5051])
    b = 1 - 2 * np.asarray(a, np.longdouble)
    expected = (2.0**-b + b * 0.7 / (1.44 * (1 - b) ** 2 / 4)) ** (-1 / b)
    np.testing.assert_allclose(jax.vmap(bound)(a), expected.astype(float), rtol=1e-11)
    half = 2.0 * np.exp(-4 * 0.7 / 1.44)
    np.testing.assert_allclose(bound(0.5), half, rtol=1e-14)
    np.testing.assert_allclose(bound(0.5 + 1e-12), half, rtol=1e-10)


@pytest.mark.parametrize(("c", "a"), [(0.0, 0.5), (-1.0, 0.5), (1.0, 0.0), (1.0, 1.1)])
def test_refuses_parameters_outside_their_range(c, a):
    with pytest.raises(ValueError, match="must be"):
        PowerDesingularizer(c, a)


def test_every_case_is_covered():
    assert {type(case.loss).__name__ for case in CASES} == {
        "MSE", "WeightedMSE", "Mahalanobis", "Power", "Lq", "L1", "LogCosh", "Huber",
        "SmoothL1", "KullbackLeibler", "ReverseKullbackLeibler", "CrossEntropy",
        "SoftmaxCrossEntropy",
    }  # fmt: skip
