"""The spectrum of a convolutional ReLU network: weights, expected kernel, and two norms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import circulant as scipy_circulant

from jaxdip.analysis import (
    circulant,
    circulant_weights,
    expected_relu_kernel,
    relu_jacobian_bound,
    relu_output_bound,
    trigonometric_basis,
)


def triangular(n, p):
    j = np.arange(-n // 2, n // 2)
    u = np.maximum(p - np.abs(j), 0.0)
    return u / np.linalg.norm(u)


def jacobian_by_hand(U, C, v):
    """J of ReLU(U C) v in the columns of C, one block a channel."""
    blocks = [v_l * (U @ c > 0)[:, None] * U for v_l, c in zip(v, C.T, strict=True)]
    return np.concatenate(blocks, axis=1)


def test_the_circulant_is_scipys(key):
    u = jax.random.normal(key, (7,))
    np.testing.assert_array_equal(circulant(u), scipy_circulant(np.asarray(u)))


def test_weights_are_the_spectrum_of_the_expected_kernel(key):
    """For any kernel, in the trigonometric basis; symmetric ones as the paper prints them too."""
    for u in (jax.random.normal(key, (12,)), jnp.asarray(triangular(12, 4))):
        Sigma = np.asarray(expected_relu_kernel(circulant(u)))
        W = np.asarray(trigonometric_basis(12))
        weights = np.asarray(circulant_weights(u))
        np.testing.assert_allclose(W @ np.diag(weights**2) @ W.T, Sigma, atol=1e-13)
    printed = circulant_weights(u, formula="convolution")
    np.testing.assert_allclose(printed, weights, rtol=1e-6)
    odd = jax.random.normal(key, (12,))
    apart = circulant_weights(odd, formula="convolution") / circulant_weights(odd) - 1
    assert np.abs(apart).max() > 0.02


def test_weights_of_the_paper_s_kernels():
    """n = 300: least and largest squared weight for half-widths 10 and 30, from the public code.

    That code prints a third of them: .00487, 1.957 and .00156, 5.896.
    """
    for p, low, high in ((10, 0.0146, 5.872), (30, 0.00468, 17.69)):
        squares = np.asarray(circulant_weights(jnp.asarray(triangular(300, p)))) ** 2
        assert squares.min() == pytest.approx(low, rel=4e-3)
        assert squares.max() == pytest.approx(high, rel=4e-3)


def test_expected_kernel_by_monte_carlo():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((5, 4))
    active = (U @ rng.standard_normal((4, 200_000)) > 0).astype(float)
    both = active @ active.T / active.shape[1]
    np.testing.assert_allclose(expected_relu_kernel(U), (U @ U.T) * both, atol=0.02)


def test_norm_lemmas_hold_on_draws():
    rng = np.random.default_rng(1)
    n, k, omega, delta = 10, 8, 0.3, 0.1
    U = np.asarray(circulant(jnp.asarray(triangular(n, 3))))
    v = np.repeat([1.0, -1.0], k // 2) / np.sqrt(k)
    bound = float(relu_output_bound(U, omega, delta).value)
    assert bound == pytest.approx(omega * np.sqrt(8 * np.log(2 * n / delta) * (U**2).sum()))
    sizes, slopes = [], []
    for _ in range(300):
        C = omega * rng.standard_normal((n, k))
        sizes.append(np.linalg.norm(np.maximum(U @ C, 0) @ v))
        slopes.append(np.linalg.norm(jacobian_by_hand(U, C, v), ord=2))
    assert np.mean(np.array(sizes) > bound) <= delta
    limit = float(relu_jacobian_bound(U, jnp.asarray(v)).value)
    assert limit == pytest.approx(np.linalg.norm(U, 2))
    assert max(slopes) <= limit
    assert max(slopes) > 0.5 * limit


def test_wrong_calls():
    with pytest.raises(ValueError, match="vector of n entries"):
        circulant_weights(jnp.ones(()))
    with pytest.raises(ValueError, match="'autocorrelation' or 'convolution'"):
        circulant_weights(jnp.ones(3), formula="correlation")
    with pytest.raises(ValueError, match="U is a matrix"):
        expected_relu_kernel(jnp.ones(3))
