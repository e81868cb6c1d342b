"""The operators that the flags stand for."""

import jax
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.cli._forward import Forward
from jaxdip.cli._network import Damping, Network, critical_damping
from jaxdip.cli._runtime import UsageError
from jaxdip.imaging import write_image

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


def test_a_mask_from_a_file(tmp_path, key):
    keep = np.zeros(SHAPE, bool)
    keep[1:3, 2:] = True
    kept = {(*SHAPE,): keep, (*SHAPE, 3): np.stack([keep] * 3, axis=-1)}
    write_image(tmp_path / "keep.png", np.where(keep, 0.6, 0.4), 8)
    files = {"keep.png": None, "bool.npy": keep, "byte.npy": keep.astype(np.uint8)}
    files |= {"white.npy": 255 * keep.astype(np.uint8), "real.npy": np.where(keep, 0.6, 0.5)}
    for name, values in files.items():
        if values is not None:
            np.save(tmp_path / name, values)
        for shape, expected in kept.items():
            options = Forward("mask", mask=tmp_path / name)
            operator = options.build(shape, key)
            np.testing.assert_array_equal(operator.index, np.flatnonzero(expected))
            assert operator.in_structure.shape == shape
            assert name in options.describe(shape)
    np.save(tmp_path / "colours.npy", kept[(*SHAPE, 3)])
    operator = Forward("mask", mask=tmp_path / "colours.npy").build((*SHAPE, 3), key)
    np.testing.assert_array_equal(operator.index, np.flatnonzero(kept[(*SHAPE, 3)]))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.ones((4, 4)), r"of shape \(4, 4\), but the image at hand has \(6, 5\).*--size 0"),
        (np.full(SHAPE, 0.5), "no pixel is kept"),
        (np.full(SHAPE, 1j), "entries of type complex128, expected 0 and 1"),
    ],
)
def test_a_mask_that_does_not_fit(tmp_path, key, values, says):
    np.save(tmp_path / "mask.npy", values)
    with pytest.raises(ValueError, match=says):
        Forward("mask", mask=tmp_path / "mask.npy").build(SHAPE, key)


@pytest.mark.parametrize(
    ("options", "shape", "says"),
    [
        (Forward("super-resolution", factor=4), (12, 10), "--factor 4: expected a divisor of"),
        (Forward("hadamard"), (6, 5), "power of two pixel values, got 30.*--operator dct"),
        (Forward("hadamard"), (8, 8, 3), "--size 64 and --gray"),
        (Forward("mri", acceleration=17), (8, 8), "--acceleration 17: .* one of 8 columns"),
        (Forward("dct", measurements=31), (6, 5), "--measurements 31: expected at most 30"),
        (Forward("fourier", measurements=15), (6, 5), "--measurements 15: expected at most 14"),
    ],
)
def test_what_an_operator_cannot_do_is_told_by_flags(options, shape, says, key):
    with pytest.raises(UsageError, match=says):
        options.build(shape, key)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (Forward("mri", acceleration=15.9), (8, 8)),
        (Forward("dct", measurements=30), (6, 5)),
        (Forward("fourier", measurements=14), (6, 5)),
        (Forward("super-resolution", factor=5), (10, 5)),
    ],
)
def test_what_an_operator_can_just_do(options, shape, key):
    assert options.build(shape, key).in_structure.shape == shape
