"""The constants of the activations, by quadrature and by maximisation on a fine grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.generators import ACTIVATIONS, activation

# Gauss–Hermite for the normal law; 200 nodes integrate these functions to rounding.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(200)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
SMOOTH = [name for name in ACTIVATIONS if name != "relu"]


def slopes(phi, order, grid):
    f = phi.function
    for _ in range(order):
        f = jax.grad(f)
    return np.asarray(jax.vmap(f)(jnp.asarray(grid)))


@pytest.mark.parametrize("name", SMOOTH)
def test_gaussian_moments(name):
    phi = ACTIVATIONS[name]
    values = np.asarray(phi(jnp.asarray(NODES)))
    assert phi.C_phi == pytest.approx(np.sqrt(WEIGHTS @ values**2), rel=1e-9)
    assert phi.C_dphi == pytest.approx(np.sqrt(WEIGHTS @ slopes(phi, 1, NODES) ** 2), rel=1e-9)


@pytest.mark.parametrize("name", SMOOTH)
def test_slope_bounds_hold_and_are_attained(name):
    phi = ACTIVATIONS[name]
    grid = np.linspace(-8, 8, 200_001)
    for order, bound in ((1, phi.sup_slope), (2, phi.lip_slope)):
        largest = np.abs(slopes(phi, order, grid)).max()
        assert largest <= bound * (1 + 1e-12)
        # Softplus approaches its bound at infinity only: 1 − 3.4e-4 at x = 8.
        assert largest >= bound * (1 - 1e-3)
    assert phi.smooth
    assert max(phi.sup_slope, phi.lip_slope) == phi.B


def test_relu_is_marked_non_smooth():
    relu = ACTIVATIONS["relu"]
    assert not relu.smooth
    draws = np.random.default_rng(0).normal(size=400_000)
    assert np.sqrt(np.mean(np.maximum(draws, 0) ** 2)) == pytest.approx(relu.C_phi, abs=5e-3)
    assert np.sqrt(np.mean(draws > 0)) == pytest.approx(relu.C_dphi, abs=5e-3)


def test_unknown_activations_name_the_known_ones():
    with pytest.raises(ValueError, match="unknown activation 'swish'; choose one of sigmoid, tanh"):
        activation("swish")
    with pytest.raises(TypeError, match="wrap a function of your own"):
        jd.TwoLayer(latent=2, width=3, out=1, key=jax.random.key(0), activation=jnp.tanh)
