"""Bases, alignment, angles and energies, against SciPy and the DFT."""

import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import scipy.linalg

import jaxdip as jd
from jaxdip import analysis


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_trigonometric_basis_diagonalises_circular_convolution(key, n):
    """With the eigenvalues of a symmetric circulant matrix at the stated frequencies."""
    W = np.asarray(analysis.trigonometric_basis(n))
    np.testing.assert_allclose(W.T @ W, np.eye(n), atol=1e-14)
    kernel = np.asarray(jax.random.normal(key, (n,)))
    kernel = kernel + np.roll(kernel[::-1], 1)
    C = scipy.linalg.circulant(kernel)
    at = np.asarray(analysis.trigonometric_frequencies(n))
    eigenvalues = np.fft.fft(kernel).real[at]
    np.testing.assert_allclose(C @ W, W * eigenvalues, atol=1e-13)


def test_trigonometric_basis_has_the_signs_and_the_order_of_the_formula():
    n, j = 6, np.arange(6)
    W = np.asarray(analysis.trigonometric_basis(n)) * np.sqrt(n)
    wanted = [np.ones(n)] + [np.sqrt(2) * np.cos(2 * np.pi * i * j / n) for i in (1, 2)]
    wanted += [(-1.0) ** j] + [np.sqrt(2) * np.sin(2 * np.pi * i * j / n) for i in (4, 5)]
    np.testing.assert_allclose(W.T, wanted, atol=1e-14)
    np.testing.assert_array_equal(analysis.trigonometric_frequencies(n), [0, 1, 2, 3, 2, 1])


@pytest.mark.parametrize("shape", [5, (4,), (3, 4), (2, 3, 2)])
def test_cosine_basis_is_scipys_transform(key, shape):
    x = np.asarray(jax.random.normal(key, (shape,) if isinstance(shape, int) else shape))
    B = np.asarray(analysis.cosine_basis(shape))
    np.testing.assert_allclose(B.T @ x.ravel(), scipy.fft.dctn(x, norm="ortho").ravel(), atol=1e-14)
    assert analysis.cosine_basis(shape, dtype=jnp.float32).dtype == jnp.float32


def test_a_large_basis_keeps_its_digits():
    W = np.asarray(analysis.trigonometric_basis(601, dtype=jnp.float32), np.float64)
    assert np.max(np.abs(W.T @ W - np.eye(601))) < 1e-5


def test_alignment_of_a_basis_with_itself_and_with_another(key):
    Q = jnp.linalg.qr(jax.random.normal(key, (6, 6)))[0]
    np.testing.assert_allclose(analysis.alignment(Q, Q), np.eye(6), atol=1e-14)
    share = analysis.alignment(Q[:, :2], analysis.cosine_basis(6))
    np.testing.assert_allclose(np.sum(share, axis=1), 1, rtol=1e-13)
    np.testing.assert_allclose(
        share[1, 3], (Q[:, 1] @ scipy.fft.idct(np.eye(6)[3], norm="ortho")) ** 2
    )


def test_a_spectrum_aligns_with_the_singular_vectors_of_its_operator(key):
    """The kernel of a very wide network is near a multiple of A Aᵀ."""
    A = jd.operators.WithSpectrum(jnp.array([4.0, 2.0, 1.0]), m=3, n=3, key=key)
    g = jd.TwoLayer(latent=2, width=100_000, out=3, key=key)
    problem = jd.Problem(u=jnp.ones(2), operator=A, loss=jd.losses.MSE(), y=jnp.zeros(3))
    share = analysis.alignment(jd.spectrum(problem, g, vectors=True), A.left)
    np.testing.assert_allclose(share, np.eye(3), atol=1e-3)


@pytest.mark.parametrize("sizes", [(2, 2), (2, 4), (4, 2)])
def test_principal_angles_are_scipys(key, sizes):
    k1, k2 = jax.random.split(key)
    X, Y = (
        jnp.linalg.qr(jax.random.normal(k, (7, s)))[0] for k, s in zip((k1, k2), sizes, strict=True)
    )
    wanted = np.sort(scipy.linalg.subspace_angles(np.asarray(X), np.asarray(Y)))
    np.testing.assert_allclose(analysis.principal_angles(X, Y), wanted, atol=1e-14)


def test_small_angles_keep_their_digits():
    angle = 1e-9
    X = jnp.eye(3)[:, :1]
    Y = jnp.array([[np.cos(angle)], [np.sin(angle)], [0.0]])
    np.testing.assert_allclose(analysis.principal_angles(X, Y), angle, rtol=1e-12)


def test_energies_sum_to_the_squared_norm(key):
    problem, g, _ = examples.problem(key, "two-layer", "square")
    found = jd.spectrum(problem, g, vectors=True)
    r = problem.predict(g) - problem.y
    energies = analysis.mode_energies(found, r)
    np.testing.assert_allclose(jnp.sum(energies), jnp.sum(r * r), rtol=1e-13)
    np.testing.assert_allclose(energies[2], (found.left[:, 2] @ r) ** 2, rtol=1e-10)
    z = jax.lax.complex(jnp.arange(3.0), jnp.ones(3))
    np.testing.assert_allclose(analysis.mode_energies(jnp.eye(6), z), [0, 1, 4, 1, 1, 1])


def test_wrong_calls(key):
    problem, g, _ = examples.problem(key)
    with pytest.raises(ValueError, match="vectors=True"):
        analysis.alignment(jd.spectrum(problem, g), jnp.eye(3))
    with pytest.raises(ValueError, match="same number of rows"):
        analysis.alignment(jnp.eye(3), jnp.eye(4))
    with pytest.raises(ValueError, match="same number of rows"):
        analysis.mode_energies(jnp.eye(3), jnp.ones(4))
    with pytest.raises(ValueError, match="columns of a matrix"):
        analysis.mode_energies(jnp.ones(3), jnp.ones(3))
    for bad in (lambda: analysis.trigonometric_basis(0), lambda: analysis.cosine_basis((2, 0))):
        with pytest.raises(ValueError, match="integer >= 1"):
            bad()
    with pytest.raises(ValueError, match="at least one dimension"):
        analysis.cosine_basis(())
