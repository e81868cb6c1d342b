"""Blur is a convolution, as SciPy computes it, with the spectrum that it claims."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from operators.catalogue import ASYMMETRIC, SYMMETRIC

from jaxdip import operators as ops

SCIPY_MODES = {"periodic": "wrap", "zero": "constant", "reflect": "reflect"}
KERNELS = {
    "odd by odd": np.arange(1.0, 10.0).reshape(3, 3),
    "even by odd": np.array(ASYMMETRIC),
    "odd by even": np.array(ASYMMETRIC).T,
    "even by even": np.array([[1.0, -2.0], [3.0, 0.5]]),
}


@pytest.mark.parametrize("boundary", SCIPY_MODES)
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_blur_is_scipys_convolution(boundary, kernel, key):
    x = np.asarray(jax.random.normal(key, (6, 7)))
    expected = scipy.ndimage.convolve(x, kernel, mode=SCIPY_MODES[boundary], cval=0.0)
    found = ops.Blur(kernel, shape=x.shape, boundary=boundary)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    correlation = scipy.ndimage.correlate(x, kernel, mode=SCIPY_MODES[boundary], cval=0.0)
    assert np.max(np.abs(correlation - expected)) > 0.1


@pytest.mark.parametrize("boundary", SCIPY_MODES)
def test_a_kernel_larger_than_the_signal(boundary, key):
    x, kernel = np.asarray(jax.random.normal(key, (3,))), np.arange(1.0, 10.0)
    extended = {"periodic": "wrap", "zero": "constant", "reflect": "symmetric"}[boundary]
    expected = scipy.signal.convolve(np.pad(x, 8, mode=extended), kernel, mode="same")[8:-8]
    found = ops.Blur(kernel, shape=3, boundary=boundary)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("boundary", SCIPY_MODES)
def test_the_image_of_a_point_is_the_kernel(boundary):
    point = jnp.zeros((7, 7)).at[3, 3].set(1.0)
    image = ops.Blur(KERNELS["odd by odd"], shape=(7, 7), boundary=boundary)(point)
    np.testing.assert_allclose(image[2:5, 2:5], KERNELS["odd by odd"], rtol=1e-13)


def test_channels_are_blurred_alike(key):
    x = jax.random.normal(key, (5, 6, 3))
    for boundary in SCIPY_MODES:
        whole = ops.Blur(ASYMMETRIC, shape=x.shape, boundary=boundary)(x)
        one = ops.Blur(ASYMMETRIC, shape=(5, 6), boundary=boundary)
        for channel in range(3):
            np.testing.assert_allclose(whole[..., channel], one(x[..., channel]), atol=1e-13)


@pytest.mark.parametrize(
    ("boundary", "kernel"),
    [("periodic", ASYMMETRIC), ("reflect", SYMMETRIC), ("reflect", [1.0, 4.0, 1.0])],
)
def test_closed_forms_agree_with_the_dense_matrix(boundary, kernel, key):
    operator = ops.Blur(kernel, shape=(4, 5, 2), boundary=boundary)
    dense = np.asarray(operator.matrix())
    values = np.linalg.svd(dense, compute_uv=False)
    np.testing.assert_allclose(operator.singular_values(), values, atol=1e-12)
    np.testing.assert_allclose(operator.norm(), values[0], rtol=1e-13)
    y = np.asarray(jax.random.normal(key, (4, 5, 2)))
    expected = (np.linalg.pinv(dense, rcond=1e-12) @ y.ravel()).reshape(y.shape)
    np.testing.assert_allclose(operator.pseudo_inverse(y), expected, rtol=1e-8, atol=1e-10)
    assert int(operator.rank()) == np.linalg.matrix_rank(dense)


def test_the_pseudo_inverse_leaves_out_frequencies_that_are_lost():
    # A kernel of mean zero loses the constant signals.
    operator = ops.Blur([1.0, 0.0, -1.0], shape=6)
    assert int(operator.rank()) == 4
    np.testing.assert_allclose(operator.pseudo_inverse(jnp.ones(6)), np.zeros(6), atol=1e-14)


def test_complex_signals_are_blurred_in_both_parts(key):
    x = jax.random.normal(key, (5, 6), "complex128")
    real = ops.Blur(ASYMMETRIC, shape=(5, 6), boundary="reflect")
    whole = ops.Blur(ASYMMETRIC, shape=(5, 6), boundary="reflect", dtype="complex128")
    np.testing.assert_allclose(whole(x), jax.lax.complex(real(x.real), real(x.imag)), rtol=1e-12)


def test_the_gaussian_kernel(key):
    kernel = np.asarray(ops.Blur.gaussian((32, 32), 1.5).kernel)
    assert kernel.shape == (13, 13)
    np.testing.assert_allclose(kernel.sum(), 1.0, rtol=1e-14)
    x = np.asarray(jax.random.normal(key, (32, 32)))
    for boundary, mode in SCIPY_MODES.items():
        found = ops.Blur.gaussian((32, 32), 1.5, boundary=boundary)(x)
        expected = scipy.ndimage.gaussian_filter(x, 1.5, mode=mode, radius=6)
        np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize("boundary", ["periodic", "reflect"])
@pytest.mark.parametrize(
    ("radius", "expected"), [(1, 1.5e-5), (2, 5.4e-4), (3, 2.1e-4), (None, 2.1e-4)]
)
def test_sigma_min_depends_on_where_the_gaussian_is_cut_off(radius, expected, boundary):
    operator = ops.Blur.gaussian((64, 64), 1.0, radius, boundary)
    # Mirrors reach N − 1 of the N half periods, so reflection ends a little above.
    upper = 1.05 if boundary == "periodic" else 1.4
    assert 0.9 * expected < float(operator.sigma_min()) < upper * expected
    assert float(operator.norm()) == pytest.approx(1.0, rel=1e-13)
    assert int(operator.rank()) == 64**2


@pytest.mark.parametrize("radius", range(1, 17))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gaussian_kernel_is_symmetric_to_the_last_bit(radius, dtype):
    # A vectorised exp rounds by place: offsets −r, …, r gave an asymmetric kernel at r = 7.
    for std in (1.0, 1.6, 2.5):
        assert ops.Blur.gaussian((40, 40), std, radius, dtype=dtype).symmetric


def test_single_precision_keeps_the_smallest_singular_value():
    operator = ops.Blur.gaussian((64, 64), 1.0, 1, dtype="float32")
    assert float(operator.sigma_min()) == pytest.approx(1.5e-5, rel=0.05)


def test_levels_of_blur_under_vmap_and_jit(key):
    x, stds = jax.random.normal(key, (6, 6)), jnp.array([0.5, 1.0, 2.0])
    traces = []

    @jax.jit
    def measure(std):
        traces.append(None)
        operator = ops.Blur.gaussian((6, 6), std, radius=2, boundary="reflect")
        return operator(x), operator.sigma_min()

    images, smallest = jax.vmap(measure)(stds)
    traces.clear()
    measure.clear_cache()
    for i, std in enumerate(stds):
        image, value = measure(std)
        np.testing.assert_allclose(images[i], image, rtol=1e-12)
        np.testing.assert_allclose(smallest[i], value, rtol=1e-10)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ops.Blur(jnp.ones((2, 2, 2)), shape=(4, 4)), ValueError, "one or two axes"),
        (lambda: ops.Blur(jnp.ones((3, 3)), shape=9), ValueError, "at least as many"),
        (lambda: ops.Blur(jnp.ones(3), shape=9, boundary="mirror"), ValueError, "periodic, zero"),
        (lambda: ops.Blur(jnp.ones(3, complex), shape=9), TypeError, "real"),
        (lambda: ops.Blur(jnp.arange(3.0), shape=9, symmetric=True), ValueError, "mirror image"),
        (lambda: ops.Blur.gaussian((4, 4), 0.0), ValueError, "std > 0"),
        (lambda: ops.Blur.gaussian((4, 4), 1.0, -1), ValueError, "radius"),
        (lambda: jax.vmap(lambda s: ops.Blur.gaussian(4, s))(jnp.ones(2)), ValueError, "radius="),
    ],
)
def test_a_wrong_call_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()
