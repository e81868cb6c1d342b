"""The two-layer convolutional generator: its formula, its kernels, its expected Jacobian."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import convolve

import jaxdip as jd
from jaxdip.analysis import circulant_weights
from jaxdip.generators import (
    ConvTwoLayer,
    SmoothRectifier,
    box_kernel,
    gaussian_kernel,
    triangular_kernel,
)


def by_hand(g, u):
    """φ(U C) v by scipy's periodic convolution; its kernel is centred in the middle."""
    middle = np.fft.fftshift(np.asarray(u))
    # scipy wants an odd kernel or one shifted by its origin: even sizes are centred at n/2 alike.
    images = [convolve(np.asarray(c), middle, mode="wrap") for c in g.C]
    return np.einsum("ok,k...->...o", np.asarray(g.v), np.maximum(np.stack(images), 0))


@pytest.mark.parametrize("grid", [(12,), (5, 6), (3, 4, 2)])
def test_the_generator_is_its_formula(grid, key):
    g = ConvTwoLayer(channels=8, grid=grid, key=key, colours=3)
    u = jax.random.normal(jd.key_for(key, "u"), grid)
    x = g(u)
    assert x.shape == g.out_shape == (*grid, 3)
    np.testing.assert_allclose(x, by_hand(g, u), rtol=1e-12, atol=1e-12)
    direct = eqx.tree_at(
        lambda g: g.C,
        ConvTwoLayer(channels=8, grid=grid, key=key, colours=3, convolve="matrix"),
        g.C,
    )
    np.testing.assert_allclose(direct(u), x, rtol=1e-12, atol=1e-12)
    marks = eqx.filter(g, g.trainable())
    assert [leaf.shape for leaf in jax.tree.leaves(marks)] == [(8, *grid)]


def test_outputs_are_half_and_half_and_orthogonal(key):
    g = ConvTwoLayer(channels=8, grid=4, key=key, colours=3, complex=True)
    assert g(g.latent(width=2)).shape == (4, 3)
    assert g(g.latent(width=2)).dtype == jnp.complex128
    np.testing.assert_allclose(g.v @ g.v.T, np.eye(6), atol=1e-15)
    np.testing.assert_allclose(g.v.sum(1), 0, atol=1e-15)
    one = ConvTwoLayer(channels=6, grid=4, key=key)
    np.testing.assert_allclose(one.v[0], np.repeat([1, -1], 3) / np.sqrt(6))
    whole = ConvTwoLayer(channels=8, grid=4, key=key, complex=True)
    real, imaginary = np.asarray(whole.v) @ np.maximum(np.asarray(whole.C), 0)
    np.testing.assert_allclose(whole(box_kernel(4, 1)), real + 1j * imaginary, atol=1e-14)


def test_kernels_and_the_weights_that_the_paper_s_code_prints():
    """n = 300, σ²/3 of eq. (11) from the public notebook: least and largest."""
    np.testing.assert_allclose(
        triangular_kernel(7, 2.5), np.array([2.5, 1.5, 0.5, 0, 0, 0.5, 1.5]) / np.sqrt(11.25)
    )
    np.testing.assert_allclose(box_kernel(6, 2), np.array([1, 1, 0, 0, 0, 1]) / np.sqrt(3))
    plane = np.asarray(gaussian_kernel((5, 4), 0.8))
    np.testing.assert_allclose(plane[2, 1] / plane[0, 0], np.exp(-(4 + 1) / (2 * 0.64)))
    assert np.linalg.norm(plane) == pytest.approx(1)
    printed = [
        (triangular_kernel(300, 1), 1 / 6, 1 / 6),
        (triangular_kernel(300, 10), 0.00487, 1.9574511),
        (triangular_kernel(300, 30), 0.0015585, 5.8962188),
        (gaussian_kernel(300, 0.005 * 300 / 2**0.5), 0.02109, 0.49605),
        (gaussian_kernel(300, 0.01 * 300 / 2**0.5), 0.009149, 0.98299),
        (gaussian_kernel(300, 0.05 * 300 / 2**0.5), 0.0017704, 4.9007),
    ]
    for kernel, low, high in printed:
        third = np.asarray(circulant_weights(kernel)) ** 2 / 3
        assert (third.min(), third.max()) == pytest.approx((low, high), rel=3e-4)


@pytest.mark.parametrize(
    "kernel",
    [triangular_kernel(12, 3), gaussian_kernel((4, 6), 1.0), box_kernel((3, 2, 4), 2)],
    ids=["triangular", "gaussian", "box"],
)
def test_the_expected_jacobian_kernel_is_diagonal_with_the_weights_squared(kernel, key):
    """J Jᵀ for k = 20 000 is F* diag(s²) F up to Monte Carlo error 1/√k."""
    g = ConvTwoLayer(channels=20_000, grid=kernel.shape, key=key)
    problem = jd.Problem(
        u=kernel,
        operator=jd.operators.Identity(kernel.shape),
        loss=jd.losses.MSE(),
        y=jnp.zeros(kernel.shape),
    )
    n = kernel.size
    K = np.asarray(jd.analysis.kernel(problem, g)).reshape(kernel.shape * 2)
    axes = tuple(range(kernel.ndim))
    # Rows transformed, columns transformed back: unitary, so diagonal exactly for a convolution.
    spectrum = np.fft.ifftn(np.fft.fftn(K, axes=axes), axes=[kernel.ndim + a for a in axes])
    spectrum = spectrum.reshape(n, n)
    s2 = np.asarray(circulant_weights(kernel)).ravel() ** 2
    assert s2.max() > 3 * s2.min()
    np.testing.assert_allclose(spectrum, np.diag(s2), atol=0.02 * s2.max())


def test_it_trains_in_single_precision_with_a_smooth_rectifier(key):
    g = ConvTwoLayer(
        channels=32,
        grid=(6, 5),
        key=key,
        complex=True,
        activation=SmoothRectifier(0.1),
        dtype=jnp.float32,
    )
    u = g.latent("gaussian", 1.0)
    assert g.activation.smooth
    assert g(u).dtype == jnp.complex64
    problem = jd.Problem(
        u=u,
        operator=jd.operators.Identity((6, 5), dtype=jnp.complex64),
        loss=jd.losses.MSE(),
        y=jnp.full((6, 5), 1 + 2j, jnp.complex64),
    )
    run = jd.iterate(problem, jd.GradientDescent(jnp.float32(0.3)), g, 200)
    assert float(run.loss[-1]) < 1e-2 * float(run.loss[0])


def test_wrong_calls(key):
    sizes = {"channels": 4, "grid": (4, 4), "key": key}
    cases = [
        ({"convolve": "direct"}, "choose 'fft' or 'matrix'"),
        ({"channels": 0}, "channels is at least 1"),
        ({"grid": (4, 0)}, "out is at least 1"),
        ({"colours": 4}, "4 outputs need at least 8 channels"),
    ]
    for other, says in cases:
        with pytest.raises(ValueError, match=says):
            ConvTwoLayer(**(sizes | other))
    g = ConvTwoLayer(**sizes)
    with pytest.raises(ValueError, match=r"takes a kernel of shape \(4, 4\), got \(4,\)"):
        g(jnp.ones(4))
    with pytest.raises(ValueError, match="choose one of triangular, gaussian, box"):
        g.latent("cubic")
    with pytest.raises(ValueError, match="width is a positive number of pixels, got 0"):
        box_kernel(4, 0)
