"""The operators that the flags stand for."""

import jax
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.cli._forward import Forward
from jaxdip.cli._network import Damping, Network, critical_damping
from jaxdip.cli._runtime import UsageError

SHAPE = (6, 5)


@pytest.mark.parametrize(
    ("options", "kind", "out"),
    [
        (Forward(), jd.operators.Blur, SHAPE),
        (Forward("identity"), jd.operators.Identity, SHAPE),
        (Forward("mask", keep=0.2), jd.operators.Mask, (6,)),
        (Forward("gaussian"), jd.operators.Gaussian, (15,)),
        (Forward("gaussian", measurements=7), jd.operators.Gaussian, (7,)),
        (Forward("spectrum"), jd.operators.WithSpectrum, (30,)),
    ],
)
def test_build(options, kind, out, key):
    options.check()
    operator = options.build(SHAPE, key)
    assert isinstance(operator, kind)
    assert operator.in_structure.shape == SHAPE
    assert operator.out_structure.shape == out
    assert options.describe(SHAPE)


def test_numbers_arrive(key):
    blur = Forward(blur_std=2.0, blur_radius=2, boundary="zero").build((9, 9), key)
    bell = np.exp(-0.5 * (np.arange(-2, 3) / 2.0) ** 2)
    bell /= bell.sum()
    np.testing.assert_allclose(blur.kernel, np.outer(bell, bell), rtol=1e-12)
    assert blur.boundary == "zero"
    spectrum = Forward("spectrum", spectrum_low=0.5, spectrum_high=3.0).build(SHAPE, key)
    values = np.linalg.svd(spectrum.matrix(), compute_uv=False)
    np.testing.assert_allclose(values, np.linspace(3.0, 0.5, 30), rtol=1e-10)


def test_too_large_a_matrix_is_refused_before_it_is_made(key):
    with pytest.raises(UsageError, match=r"matrix of 131072 . 262144 numbers"):
        Forward("gaussian").build((512, 512), key)


@pytest.mark.parametrize("train", ["both", "hidden"])
def test_default_damping_is_twice_the_root_of_the_mean_eigenvalue(train, key):
    """Against the trace of the dense kernel J J*, for V with entries +-1."""
    operator = Forward("spectrum").build(SHAPE, key)
    generator, u = Network(width=50, latent=3, train=train).build(SHAPE, key)
    y = jax.random.normal(key, (30,))
    problem = jd.Problem(u=u, operator=operator, loss=jd.losses.MSE(), y=y)
    jacobian = jax.jacobian(lambda g: g(u).ravel())(generator)
    parts = [jacobian.W] + ([jacobian.V] if train == "both" else [])
    trace = sum(float((part**2).sum()) for part in parts)
    expected = 2 * 2.0 * (trace / 30) ** 0.5
    np.testing.assert_allclose(critical_damping(problem, generator), expected, rtol=1e-10)
    alpha, beta = Damping().numbers(problem, generator, 0.01)
    np.testing.assert_allclose((alpha, beta), (min(expected, 2.5), 0.1), rtol=1e-10)
    # The limit leaves the mode 1/s room: its roots lie inside the unit circle.
    alpha, beta = Damping().numbers(problem, generator, 100.0)
    assert alpha < expected
    a, b = 1 - 10 * alpha, beta * 10 / 100
    assert np.abs(np.roots([1, -(1 + a - b - 1), a - b])).max() < 0.9
    assert Damping(0.3, 0.2).numbers(problem, generator, 0.01) == (0.3, 0.2)
