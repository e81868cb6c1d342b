"""The non-uniform transform is its sum, to the tolerance asked for."""

import jax
import numpy as np
import pytest

from jaxdip import operators as ops


def _direct(x, frequencies):
    """The transform by its sum."""
    axes = [(np.arange(n) - n // 2) / n for n in x.shape]
    places = np.stack([grid.ravel() for grid in np.meshgrid(*axes, indexing="ij")])
    return np.exp(-2j * np.pi * frequencies @ places) @ x.ravel() / x.size**0.5


@pytest.mark.parametrize(
    ("shape", "tolerance"),
    [((9,), 1e-3), ((8, 9), 1e-12), ((4, 5, 6), 1e-4)],
    ids=str,
)
def test_it_is_its_sum_to_the_tolerance(shape, tolerance):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    # Beyond the grid's own frequencies too.
    frequencies = rng.uniform(-20, 20, (30, len(shape)))
    operator = ops.NonUniformFourier(shape, frequencies, tolerance=tolerance)
    y, back = jax.jit(lambda a, x: (a(x), a.adjoint(a(x))))(operator, x)
    expected = _direct(x, frequencies)
    error = np.linalg.norm(y - expected) / np.linalg.norm(expected)
    # Not needlessly exact, either: that would cost time.
    assert 1e-3 * tolerance < error < tolerance
    energy = np.sum(np.abs(y) ** 2)
    np.testing.assert_allclose(np.vdot(x, back), energy, rtol=1e-12)


def test_at_integers_it_is_the_centred_transform_of_a_real_image():
    x = np.random.default_rng(1).standard_normal((6, 5))
    down, right = np.indices((6, 5)) - np.array([3, 2])[:, None, None]
    frequencies = np.stack([down.ravel(), right.ravel()], axis=1)
    operator = ops.NonUniformFourier((6, 5), frequencies, dtype="float64")
    np.testing.assert_allclose(operator(x), ops.centred_fft(x).ravel(), atol=1e-11)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ops.NonUniformFourier((2,) * 4, np.ones((3, 4))), "one to three axes"),
        (lambda: ops.NonUniformFourier((4, 4), np.ones((3, 1))), r"\(m, 2\), got \(3, 1\)"),
        (lambda: ops.NonUniformFourier(4, [[np.nan]]), "NaN"),
        (lambda: ops.NonUniformFourier(4, [[1.0]], tolerance=0.0), "tolerance is within"),
    ],
)
def test_a_wrong_call_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
