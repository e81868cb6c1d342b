"""Lambert's W against SciPy, and against long decimal arithmetic where SciPy has no digits."""

import math
from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxdip.losses._entropy import excess
from jaxdip.losses._lambert import (
    inverse_excess,
    lambert_w0,
    lambert_w0_exp,
    lambert_wm1,
    one_plus_lambert_w0,
)

FEW = 8 * np.finfo(float).eps


def branch_in_decimals(x, side):
    """W(x) next to −1/e from τ − ln(1 + τ) = −ln(−e x), τ = −1 − W, with 60 digits."""
    with localcontext() as context:
        context.prec = 60
        s = -(-Decimal(float(x)) * Decimal(1).exp()).ln()
        tau = side * (2 * s).sqrt()
        for _ in range(30):
            tau -= (tau - (1 + tau).ln() - s) * (1 + tau) / tau
        return float(-1 - tau)


def test_principal_branch_against_scipy():
    x = np.concatenate([
        10.0 ** np.linspace(-300, 300, 3000),
        -(10.0 ** np.linspace(-300, -1, 1000)),
        np.linspace(-0.35, 10, 3000),
    ])  # fmt: skip
    np.testing.assert_allclose(lambert_w0(jnp.asarray(x)), special.lambertw(x).real, rtol=FEW)


def test_lower_branch_against_scipy():
    x = -(10.0 ** np.linspace(-300, -1, 2000))
    expected = special.lambertw(x, -1).real
    np.testing.assert_allclose(lambert_wm1(jnp.asarray(x)), expected, rtol=FEW)


@pytest.mark.parametrize(
    ("branch", "side", "top"), [(lambert_w0, -1, -1.3), (lambert_wm1, 1, -0.6)]
)
def test_next_to_the_branch_point(branch, side, top):
    x = -math.exp(-1) + 10.0 ** np.linspace(-15.5, top, 30)
    expected = [branch_in_decimals(one, side) for one in x]
    np.testing.assert_allclose(branch(jnp.asarray(x)), expected, rtol=FEW)


@pytest.mark.parametrize("branch", [lambert_w0, lambert_wm1])
def test_single_precision(branch):
    x = np.linspace(-0.36, -1e-4, 500, dtype=np.float32)
    k = 0 if branch is lambert_w0 else -1
    found = branch(jnp.asarray(x))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, special.lambertw(x.astype(float), k).real, rtol=1e-6)


def test_outside_the_domain():
    assert np.all(np.isnan(lambert_w0(jnp.asarray([-0.37, -5.0, np.nan]))))
    assert np.all(np.isnan(lambert_wm1(jnp.asarray([-0.37, 0.0, 1.0, np.nan]))))
    assert lambert_w0(jnp.asarray(0.0)) == 0


def test_exponential_form_without_overflow():
    a = np.concatenate([np.linspace(-700, 700, 2000), [1e5, 1e200]])
    w = np.asarray(lambert_w0_exp(jnp.asarray(a)))
    np.testing.assert_allclose(w, special.wrightomega(a), rtol=50 * np.finfo(float).eps)
    np.testing.assert_allclose(w + np.log(w), a, rtol=1e-14, atol=1e-15)


def test_excess_and_its_inverse():
    s = 10.0 ** np.linspace(-300, 300, 3000)
    tau = np.asarray(inverse_excess(jnp.asarray(s)))
    np.testing.assert_allclose(excess(jnp.asarray(tau)), s, rtol=FEW)
    small = 1e-8
    np.testing.assert_allclose(excess(jnp.asarray(small)), small**2 / 2 - small**3 / 3, rtol=FEW)
    ordinary = s[(s > 1e-2) & (s < 600)]
    expected = -1 - special.lambertw(-np.exp(-1 - ordinary), -1).real
    np.testing.assert_allclose(inverse_excess(jnp.asarray(ordinary)), expected, rtol=1e-12)


def test_distance_from_the_branch_point():
    """c = 1 + W₀((δ − 1)/e) solves (c − 1) eᶜ + 1 = δ."""
    delta = 10.0 ** np.linspace(-300, 2, 1000)
    c = np.asarray(one_plus_lambert_w0(jnp.asarray(delta)))
    tiny = delta < 1e-12
    np.testing.assert_allclose(c[tiny], np.sqrt(2 * delta[tiny]), rtol=2e-6)
    large = delta > 1e-2
    np.testing.assert_allclose(((c - 1) * np.exp(c) + 1)[large], delta[large], rtol=1e-11)
    both = (delta > 1e-10) & (delta < 0.3)
    series = sum((k - 1) * c[both] ** k / math.factorial(k) for k in range(2, 25))
    np.testing.assert_allclose(series, delta[both], rtol=1e-14)


def test_runs_under_vmap_and_jit():
    x = jnp.linspace(-0.3, 5.0, 12).reshape(3, 4)
    np.testing.assert_array_equal(
        jax.jit(jax.vmap(jax.vmap(lambert_w0)))(x), jax.jit(lambert_w0)(x)
    )
