"""The exponents of every desingularizing power, by the curves that Ψ itself draws."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip import theory
from jaxdip.losses import PowerDesingularizer
from jaxdip.theory._kl_bound import LossBound


@pytest.mark.parametrize("a", [0.25, 0.4, 0.5, 0.7, 1.0])
def test_the_exponents_are_those_of_the_bound(a):
    c, mu, loss0 = 1.3, 0.8, 2.0
    psi = PowerDesingularizer(c, a)
    bound = LossBound(psi, jnp.asarray(loss0), jnp.asarray(mu**2 / 4))
    rate = theory.kl_rate(c, a, mu, loss0=loss0)
    if rate.kind == "algebraic":
        ts = np.array([1e7, 1e9])
        slope = -np.diff(np.log(bound(ts))) / np.diff(np.log(ts))
        assert slope[0] == pytest.approx(float(rate.loss), rel=1e-3)
        assert float(rate.distance) == pytest.approx(a * float(rate.loss))
    elif rate.kind == "linear":
        ts = np.array([3.0, 5.0])
        slope = -np.diff(np.log(bound(ts))) / np.diff(ts)
        assert slope[0] == pytest.approx(float(rate.loss), rel=1e-9)
        assert float(rate.distance) == pytest.approx(float(rate.loss) / 2)
    else:
        end = float(rate.end)
        assert float(bound(end * 1.0001)) == 0.0
        before = end - np.array([1e-3, 1e-5]) * end
        slope = np.diff(np.log(bound(before))) / np.diff(np.log(end - before))
        assert slope[0] == pytest.approx(float(rate.loss), rel=1e-3)


def test_the_losses_have_the_rates_of_the_papers():
    for p in (0.2, 1.0):
        psi = jd.losses.Power(p).desingularizer(jnp.ones(3))
        rate = theory.kl_rate(psi.c, float(psi.a), 1.0)
        assert float(rate.loss) == pytest.approx((p + 1) / p)
        assert float(rate.distance) == pytest.approx(1 / (2 * p))
    half = jd.losses.MSE().desingularizer(jnp.ones(3))
    rate = theory.kl_rate(half.c, float(half.a), 0.6)
    assert (float(rate.loss), float(rate.distance)) == (
        pytest.approx(0.6**2 / 2),
        pytest.approx(0.6**2 / 4),
    )
    with pytest.raises(ValueError, match="a lies in"):
        theory.kl_rate(1.0, 1.5, 1.0)
