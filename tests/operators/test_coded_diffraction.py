"""Diffraction patterns are intensities of Fourier transforms behind the masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdip import operators as ops


def test_patterns_are_intensities_behind_each_mask(key):
    x = np.arange(12.0).reshape(3, 4)

    @jax.jit
    def measure(key):
        operator = ops.CodedDiffraction.random((3, 4), 2, key, dtype="float64")
        return operator, operator(x)

    operator, patterns = measure(key)
    masks = np.asarray(operator.masks)
    expected = np.abs(np.fft.fft2(masks * x, norm="ortho")) ** 2
    np.testing.assert_allclose(patterns, expected, rtol=1e-12)
    # The transform is orthonormal: each pattern sums to the energy behind its mask.
    energy = np.sum(np.abs(masks * x) ** 2, axis=(1, 2))
    np.testing.assert_allclose(np.sum(patterns, axis=(1, 2)), energy, rtol=1e-12)


def test_a_phase_of_the_signal_is_lost():
    rng = np.random.default_rng(0)
    masks, x = rng.standard_normal((2, 2, 5)) + 1j * rng.standard_normal((2, 2, 5))
    operator = ops.CodedDiffraction(masks, dtype="complex128")
    np.testing.assert_allclose(operator(np.exp(0.7j) * x[0]), operator(x[0]), rtol=1e-12)


def test_octanary_masks_have_the_stated_moments(key):
    masks = np.asarray(jax.jit(lambda k: ops.CodedDiffraction.random((100, 100), 4, k).masks)(key))
    sizes = np.abs(masks) ** 2
    assert set(np.round(sizes.ravel(), 6).tolist()) == {0.5, 3.0}
    # |d|² is ½ or 3 with variance 1; the phase is one of four, so E d² = 0.
    assert abs(sizes.mean() - 1) < 5 / 200
    assert abs(np.mean((masks / np.abs(masks)) ** 2)) < 5 / 200
    assert len(set(np.round(np.angle(masks).ravel(), 3).tolist())) <= 5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda key: ops.CodedDiffraction(jnp.ones(4)), r"masks\[None\]"),
        (lambda key: ops.CodedDiffraction.random(4, 0, key), "patterns >= 1"),
    ],
)
def test_a_wrong_call_is_refused(build, message, key):
    with pytest.raises(ValueError, match=message):
        build(key)
