"""MRI measures centred k-space, through coils whose maps are known or estimated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from operators.catalogue import SPECTRUM

from jaxdip import operators as ops


def _direct(x):
    """The centred orthonormal Fourier transform by its sum."""

    def waves(n):
        k = np.arange(n) - n // 2
        return np.exp(-2j * np.pi * np.outer(k, k) / n) / n**0.5

    return waves(x.shape[-2]) @ x @ waves(x.shape[-1]).T


@pytest.mark.parametrize("shape", [(4, 5), (5, 4)])
def test_the_centred_transform_is_its_sum(shape):
    x = np.random.default_rng(0).standard_normal(shape) * (1 + 2j)
    np.testing.assert_allclose(ops.centred_fft(x), _direct(x), atol=1e-13)
    np.testing.assert_allclose(ops.centred_ifft(ops.centred_fft(x)), x, atol=1e-13)


def test_one_coil_measures_what_the_mask_keeps():
    x = np.random.default_rng(1).standard_normal((4, 5))
    keep = np.asarray(SPECTRUM)
    operator = ops.MRI(SPECTRUM, dtype="float64")
    y = operator(x)
    np.testing.assert_allclose(y, _direct(x)[keep], atol=1e-13)
    np.testing.assert_allclose(operator.fill(y), np.where(keep, _direct(x), 0), atol=1e-13)
    np.testing.assert_array_equal(operator.sample(operator.fill(y)), y)


def test_a_complex_image_and_one_coil_have_orthonormal_rows():
    operator = ops.MRI(SPECTRUM, dtype="complex128")
    assert operator.orthonormal_rows
    assert operator.complex_linear
    y = np.arange(9.0) * (2 - 1j)
    np.testing.assert_allclose(operator(operator.adjoint(y)), y, atol=1e-13)
    np.testing.assert_allclose(operator.pseudo_inverse(y), operator.adjoint(y), atol=1e-13)
    np.testing.assert_array_equal(operator.singular_values(), np.ones(9))


def test_coils_see_the_image_through_their_maps():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((4, 6)) + 1j * rng.standard_normal((4, 6))
    maps = rng.standard_normal((3, 4, 6)) + 1j * rng.standard_normal((3, 4, 6))
    columns = np.array([True, False, True, True, False, False])
    operator = ops.MRI(columns, sensitivities=maps)
    expected = _direct(maps * x)[..., columns].reshape(3, -1)
    np.testing.assert_allclose(operator(x), expected, atol=1e-12)
    assert operator.in_structure.dtype == "complex128"


def test_birdcage_maps_are_normalised_and_turn_with_the_coil():
    maps = np.asarray(ops.birdcage_maps(4, (8, 8)))
    np.testing.assert_allclose(np.sum(np.abs(maps) ** 2, axis=0), 1.0)
    # Coil 0 stands to the right, coil 1 below, coil 2 to the left; pixel (4, 4) is the centre.
    np.testing.assert_allclose(np.abs(maps[:, 4, 4]), 0.5)
    assert np.argmax(np.abs(maps[:, 4, 7])) == 0
    assert np.argmax(np.abs(maps[:, 7, 4])) == 1
    assert np.argmax(np.abs(maps[:, 4, 0])) == 2
    # By hand at the pixel (2, 4), x = 0 and y = -1/2: coil 0 lies at (1.5, 0).
    distances = np.hypot([1.5, 0.0, 1.5, 0.0], [0.5, 2.0, 0.5, 1.0])
    expected = 1 / distances / np.linalg.norm(1 / distances)
    np.testing.assert_allclose(np.abs(maps[:, 2, 4]), expected)
    # Its phase is the direction to the coil, from which the coil's own angle is taken off.
    np.testing.assert_allclose(np.angle(maps[0, 2, 4]), np.arctan2(-1.5, 0.5))
    np.testing.assert_allclose(np.angle(maps[1, 2, 4]), -np.pi / 2)
    assert ops.birdcage_maps(2, (3, 4), dtype="complex64").dtype == "complex64"


def test_estimated_sensitivities_are_near_the_true_ones_where_there_is_signal():
    maps = np.asarray(ops.birdcage_maps(4, (32, 32)))
    grid = (np.arange(32) - 16) / 16
    bell = np.exp(-4 * (grid[:, None] ** 2 + grid**2))
    image = bell * np.exp(1j * grid)
    kspace = ops.centred_fft(maps * image)
    found = np.asarray(ops.estimate_sensitivities(kspace, 16))
    seen = bell > 0.1
    np.testing.assert_allclose(np.sum(np.abs(found[:, seen]) ** 2, axis=0), 1.0)
    # The estimate carries the image's phase.
    true = maps * np.exp(1j * grid)
    error = np.linalg.norm((found - true)[:, seen]) / np.linalg.norm(true[:, seen])
    assert error < 0.05
    # What lies outside the calibration region does not matter.
    noise = np.zeros_like(kspace)
    noise[:, :8] = noise[:, 24:] = 1e3
    np.testing.assert_array_equal(ops.estimate_sensitivities(kspace + noise, 16), found)
    assert not np.any(ops.estimate_sensitivities(jnp.zeros_like(kspace), (4, 6)))


def test_the_estimate_tapers_the_centre_by_a_hann_window():
    kspace = np.random.default_rng(3).standard_normal((2, 6, 6)) * (1 + 1j)
    window = np.outer([0, 0, 0.5, 1, 0.5, 0], [0, 0, 0, 1, 0, 0])
    images = np.asarray(ops.centred_ifft(window * kspace))
    expected = images / np.sqrt(np.sum(np.abs(images) ** 2, axis=0))
    np.testing.assert_allclose(ops.estimate_sensitivities(kspace, (4, 2)), expected, atol=1e-13)


def test_the_root_sum_of_squares_of_normalised_coils_is_the_magnitude():
    x = np.arange(12.0).reshape(3, 4) * (3 - 4j)
    combined = ops.root_sum_of_squares(ops.birdcage_maps(3, (3, 4)) * x)
    np.testing.assert_allclose(combined, 5 * np.arange(12.0).reshape(3, 4))
    np.testing.assert_allclose(ops.root_sum_of_squares(jnp.array([[3.0], [4.0]])), [5.0])


@pytest.mark.parametrize(
    ("density", "acceleration", "kept", "centre"),
    [("uniform", 4, 80, 26), ("variable", 8, 40, 13), ("equispaced", 8, 40, 13)],
)
def test_masks_keep_the_lines_of_the_fastmri_rules(density, acceleration, kept, centre, key):
    draw = jax.jit(lambda k: ops.cartesian_mask((3, 320), acceleration, None, k, density=density))
    mask = np.asarray(draw(key))
    assert mask.shape == (3, 320)
    assert (mask == mask[0]).all()
    start = 160 - centre // 2
    assert mask[0, start : start + centre].all()
    assert abs(mask[0].sum() - kept) <= (2 if density == "equispaced" else 0)
    assert (mask != np.asarray(draw(jax.random.key(99)))).any()


def test_densities_differ_as_they_say(key):
    def both(k):
        return [ops.cartesian_mask((1, 64), 4, 0.0, k, density=d) for d in ("uniform", "variable")]

    masks = jax.jit(jax.vmap(both))(jax.random.split(key, 50))
    even, dense = (np.mean(np.asarray(mask)[:, 0, 16:48].sum(axis=1)) / 16 for mask in masks)
    assert abs(even - 0.5) < 0.08
    # ∫ (1 − r)² over [0, ½], of that over [0, 1], is 7/8.
    assert abs(dense - 7 / 8) < 0.08
    lines = np.flatnonzero(ops.cartesian_mask((1, 64), 4, 0.0, key, density="equispaced")[0])
    np.testing.assert_array_equal(np.diff(lines), 4)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ops.MRI(jnp.ones((4, 4))), TypeError, "boolean"),
        (lambda: ops.MRI(SPECTRUM[0]), ValueError, r"needs shape=\(H, W\)"),
        (lambda: ops.MRI(SPECTRUM, shape=(4, 4)), ValueError, "disagree"),
        (
            lambda: ops.MRI(SPECTRUM, sensitivities=jnp.ones((2, 4, 4), complex)),
            ValueError,
            "disagree",
        ),
        (lambda: ops.MRI(SPECTRUM, sensitivities=jnp.ones((4, 5))), ValueError, "coils, H, W"),
        (
            lambda: ops.MRI(SPECTRUM, sensitivities=jnp.full((1, 4, 5), jnp.nan)),
            ValueError,
            "NaN",
        ),
        (lambda: ops.MRI(SPECTRUM[None]), ValueError, r"\(H, W\) or \(W,\)"),
        (lambda: ops.birdcage_maps(0, (4, 4)), ValueError, "coils >= 1"),
        (lambda: ops.birdcage_maps(2, (4, 4), dtype="float32"), TypeError, "complex"),
        (lambda: ops.estimate_sensitivities(jnp.ones((2, 4, 4)), 2), TypeError, "complex"),
        (lambda: ops.estimate_sensitivities(jnp.ones((4, 4), complex), 2), ValueError, "coils"),
        (
            lambda: ops.estimate_sensitivities(jnp.ones((2, 4, 4), complex), 0),
            ValueError,
            "positive",
        ),
        (lambda: _mask(density="radial"), ValueError, "density is one of"),
        (lambda: _mask(acceleration=0.5), ValueError, "acceleration is >= 1"),
        (lambda: _mask(center_fraction=0.5), ValueError, "fewer than the 16"),
        (lambda: _mask(center_fraction=-1.0), ValueError, "center_fraction"),
    ],
)
def test_a_wrong_call_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def _mask(acceleration=4, center_fraction=None, density="uniform"):
    return ops.cartesian_mask(
        (2, 32), acceleration, center_fraction, jax.random.key(0), density=density
    )
