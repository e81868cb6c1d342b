"""The decoder's fast parts: normalisation folded into the mix, and the product over pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.generators._channels import mixed_after, normalisation
from jaxdip.generators._pixel_product import pixel_product

EPS = 1e-5


def drawn(key, *shapes, dtype=None):
    """One normal array for each shape."""
    return [
        jax.random.normal(jd.key_for(key, f"x{i}"), shape, dtype) for i, shape in enumerate(shapes)
    ]


def by_hand(B, scale, shift, C):
    """Normalise, then mix, as the formula stands."""
    axes = tuple(range(B.ndim - 1))
    centred = B - jnp.mean(B, axes)
    normal = centred / jnp.sqrt(jnp.mean(centred**2, axes) + EPS)
    return jnp.einsum("...k,ok->...o", normal * scale + shift, C)


def folded(B, scale, shift, C):
    """The library's way."""
    return mixed_after(normalisation(B, scale, shift), C)


def test_the_folded_normalisation_and_its_derivatives_are_the_formula_s(key):
    arguments = drawn(key, (3, 4, 5), (5,), (5,), (2, 5))
    # Pixels far from mean zero, so that a variance without its centre would be seen.
    arguments[0] = arguments[0] + 30.0
    np.testing.assert_allclose(folded(*arguments), by_hand(*arguments), rtol=1e-11, atol=1e-12)

    def energy(way):
        return lambda *a: jnp.sum(jnp.sin(way(*a)))

    every = (0, 1, 2, 3)
    for found, true in zip(
        jax.jit(jax.grad(energy(folded), every))(*arguments),
        jax.grad(energy(by_hand), every)(*arguments),
        strict=True,
    ):
        np.testing.assert_allclose(found, true, rtol=1e-9, atol=1e-11)
    found = jax.tree.leaves(jax.hessian(energy(folded), every)(*arguments))
    true = jax.tree.leaves(jax.hessian(energy(by_hand), every)(*arguments))
    for one, other in zip(found, true, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)


def test_single_precision_survives_a_mean_far_from_zero(key):
    """With E B² − (E B)² for the variance, nothing would be left here."""
    B, scale, shift, C = drawn(key, (16, 16, 4), (4,), (4,), (3, 4))
    B = B + 1000.0
    single = folded(*(x.astype(jnp.float32) for x in (B, scale, shift, C)))
    assert single.dtype == jnp.float32
    # Rounding B itself moves it by 3e-5.
    np.testing.assert_allclose(single, by_hand(B, scale, shift, C), atol=2e-3)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_product_over_pixels_in_every_transformation(dtype, key):
    X, C = drawn(key, (7, 4), (3, 4), dtype=dtype)
    tolerance = 1e-5 if dtype == jnp.float32 else 1e-12

    def close(found, true):
        np.testing.assert_allclose(found, true, rtol=tolerance, atol=tolerance)
        assert found.dtype == dtype

    close(pixel_product(X, C), np.asarray(X) @ np.asarray(C).T)
    (dX, dC), (Y,) = (
        drawn(jd.key_for(key, "d"), X.shape, C.shape, dtype=dtype),
        drawn(jd.key_for(key, "Y"), (7, 3), dtype=dtype),
    )
    close(jax.jvp(pixel_product, (X, C), (dX, dC))[1], dX @ C.T + X @ dC.T)
    back_X, back_C = jax.jit(lambda X, C, Y: jax.vjp(pixel_product, X, C)[1](Y))(X, C, Y)
    close(back_X, Y @ C)
    close(back_C, Y.T @ X)
    close(jax.jacfwd(pixel_product, 1)(X, C), jax.jacrev(pixel_product, 1)(X, C))
    stack = jnp.stack([C, 2 * C], -1)
    close(jax.vmap(pixel_product, (None, 2))(X, stack)[1], 2 * X @ C.T)
    close(jax.vmap(pixel_product)(X[None], C[None])[0], X @ C.T)

    def cubic(X, C):
        return jnp.sum(pixel_product(X, C) ** 3)

    def plain(X, C):
        return jnp.sum((X @ C.T) ** 3)

    for found, true in zip(
        jax.tree.leaves(jax.hessian(cubic, (0, 1))(X, C)),
        jax.tree.leaves(jax.hessian(plain, (0, 1))(X, C)),
        strict=True,
    ):
        np.testing.assert_allclose(found, true, rtol=100 * tolerance, atol=100 * tolerance)
    with pytest.raises(TypeError, match="need one dtype"):
        pixel_product(X, C.astype(jnp.bfloat16))
