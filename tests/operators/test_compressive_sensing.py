"""Measurements without a stored matrix are those of the matrix they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import scipy.linalg

from jaxdip import operators as ops


def _hadamard(n):
    return scipy.linalg.hadamard(n) / n**0.5


def _cosines(n):
    return scipy.fft.dct(np.eye(n), axis=0, norm="ortho")


def _waves(n):
    return scipy.fft.fft(np.eye(n), axis=0, norm="ortho")


@pytest.mark.parametrize(
    ("make", "transform", "shape", "dtype"),
    [
        # 256 entries take more than one factor of the transform.
        (ops.SubsampledHadamard, _hadamard, (16, 16), "float64"),
        (ops.SubsampledHadamard, _hadamard, (2, 4), "complex128"),
        (ops.SubsampledDCT, _cosines, (3, 5), "complex128"),
        (ops.SubsampledFourier, _waves, (3, 5), "complex128"),
    ],
)
def test_rows_are_those_of_the_signed_transform(make, transform, shape, dtype, key):
    n = int(np.prod(shape))
    x = np.random.default_rng(0).standard_normal(shape)
    x = x * (1 - 2j) if dtype == "complex128" else x

    # One program: as many small ones would take longer to compile.
    @jax.jit
    def measure(key, x):
        operator = make(shape, 6, key, dtype=dtype)
        return operator, operator(x), operator.adjoint(operator(x))

    operator, y, back = measure(key, x)
    rows = np.asarray(operator.rows)
    assert len(set(rows.tolist())) == 6
    assert set(np.asarray(operator.signs).tolist()) <= {-1, 1}
    matrix = transform(n)[rows] * np.asarray(operator.signs)
    np.testing.assert_allclose(y, matrix @ x.ravel(), atol=1e-13)
    expected = (matrix.conj().T @ matrix @ x.ravel()).reshape(shape)
    np.testing.assert_allclose(back, expected, atol=1e-13)


@pytest.mark.parametrize("n", [8, 9])
def test_the_fourier_rows_of_real_signals_are_the_interior_ones(n, key):
    m = (n - 1) // 2

    @jax.jit
    def measure(key):
        operator = ops.SubsampledFourier(n, m, key)
        return operator, operator(jnp.arange(n).astype(float))

    operator, y = measure(key)
    matrix = 2**0.5 * _waves(n)[1 + np.asarray(operator.rows)] * np.asarray(operator.signs)
    np.testing.assert_allclose(y, matrix @ np.arange(n), atol=1e-13)
    assert sorted(np.asarray(operator.rows).tolist()) == list(range(m))


def test_normalised_data_have_the_norm_of_the_signal_in_the_mean(key):
    x = jnp.arange(8.0) ** 2
    square = float(jnp.sum(x**2))

    def energy(k):
        operator = ops.SubsampledHadamard(8, 2, k, normalized=True)
        return jnp.sum(operator(x) ** 2)

    energies = np.asarray(jax.jit(jax.vmap(energy))(jax.random.split(key, 4000)))
    assert abs(energies.mean() - square) < 5 * energies.std() / 4000**0.5
    assert energies.std() / 4000**0.5 < 0.05 * square
    # Each complex observation of a real signal counts as two.
    norm = jax.jit(lambda k: ops.SubsampledFourier(9, 2, k, normalized=True).norm())(key)
    np.testing.assert_allclose(norm, (9 / 4) ** 0.5)


@pytest.mark.parametrize("make", [ops.SubsampledDCT, ops.ChunkedGaussian])
def test_the_first_rows_do_not_depend_on_m(make, key):
    both = jax.jit(lambda k: (make(12, 3, k).matrix(), make(12, 7, k).matrix()))
    few, many = both(key)
    factor = (3 / 7) ** 0.5 if make is ops.ChunkedGaussian else 1
    np.testing.assert_allclose(factor * few, many[:3], rtol=1e-12)


def test_a_chunked_gaussian_is_its_matrix_whatever_the_chunk(key):
    y = np.arange(5) * (1 - 2j)
    x = np.arange(6).reshape(2, 3) * (2 + 1j)

    @jax.jit
    def apply(key):
        whole = ops.ChunkedGaussian((2, 3), 5, key, dtype="complex128", chunk=8)
        parts = ops.ChunkedGaussian((2, 3), 5, key, dtype="complex128", chunk=2)
        return whole.matrix(), parts(x), parts.adjoint(y)

    matrix, image, pulled = apply(key)
    assert matrix.shape == (5, 6)
    np.testing.assert_allclose(image, matrix @ x.ravel(), rtol=1e-13)
    np.testing.assert_allclose(pulled, (matrix.conj().T @ y).reshape(2, 3), rtol=1e-13)


def test_its_entries_have_variance_one_over_m(key):
    entries = np.asarray(ops.ChunkedGaussian(400, 100, key).matrix())
    assert abs(entries.mean()) < 5 / 10 / 40_000**0.5
    assert abs(100 * np.mean(entries**2) - 1) < 5 * (2 / 40_000) ** 0.5


def test_its_memory_is_bounded_by_the_chunk_under_differentiation_too(key):
    operator = ops.ChunkedGaussian(1024, 1024, key, chunk=16, dtype="float32")
    x = jnp.ones(1024, "float32")
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(operator(x) ** 2)))
    used = gradient.lower(x).compile().memory_analysis().temp_size_in_bytes
    assert used < 6 * 16 * 1024 * 4


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda k: ops.SubsampledHadamard((2, 6), 3, k), ValueError, "power of two.*SubsampledDCT"),
        (lambda k: ops.SubsampledDCT(6, 7, k), ValueError, "keeps 1 to 6.*m=7"),
        (lambda k: ops.SubsampledFourier(6, 3, k), ValueError, "keeps 1 to 2.*m=3"),
        (lambda k: ops.SubsampledDCT(6, 2, 0), TypeError, r"jax\.random\.key"),
        (lambda k: ops.ChunkedGaussian(6, 0, k), ValueError, "m >= 1"),
        (
            lambda k: ops.ChunkedGaussian(6, 2, jax.random.key(0, impl="rbg")),
            ValueError,
            "threefry2x32.*rbg",
        ),
        (lambda k: ops.ChunkedGaussian(20_000, 20_000, k).norm(), ValueError, "estimate_norm"),
    ],
)
def test_a_wrong_call_is_refused(build, error, message, key):
    with pytest.raises(error, match=message):
        build(key)
