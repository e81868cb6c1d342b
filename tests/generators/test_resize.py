"""Resizing of grids: equal to JAX's, and its derivatives of every kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdip.generators import _resize
from jaxdip.generators._resize import resized


@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_resizing_is_jax_s_and_its_transpose_is_the_adjoint(method, key):
    x = jax.random.normal(key, (5, 7, 3))
    y = jax.random.normal(jax.random.fold_in(key, 1), (8, 4, 3))

    def ours(x):
        return resized(x, (8, 4), method)

    expected = jax.image.resize(x, (8, 4, 3), method, antialias=False)
    np.testing.assert_allclose(ours(x), expected, atol=1e-14)
    (back,) = jax.jit(lambda x, y: jax.vjp(ours, x)[1](y))(x, y)
    np.testing.assert_allclose(jnp.vdot(back, x), jnp.vdot(y, expected), rtol=1e-12)
    assert ours(x.astype(jnp.float32)).dtype == jnp.float32
    # Equal grids are left alone, whatever the method.
    assert resized(x, (5, 7), method) is x


def test_derivatives_forward_backward_twice_and_in_batches(key):
    x = jax.random.normal(key, (3, 2))

    def energy(x):
        return jnp.sum(jnp.sin(resized(x, (5,), "linear")))

    matrix = np.asarray(jax.jacrev(lambda x: resized(x, (5,), "linear"))(jnp.ones(3)))
    np.testing.assert_allclose(matrix.sum(1), 1)
    np.testing.assert_allclose(matrix @ np.asarray(x), resized(x, (5,), "linear"), rtol=1e-12)
    by_hand = -np.einsum("ia,ik,ib->kab", matrix, np.sin(matrix @ np.asarray(x)), matrix)
    found = np.asarray(jax.hessian(energy)(x))
    np.testing.assert_allclose(np.einsum("akbk->kab", found), by_hand, rtol=1e-12)
    stack = jax.vmap(lambda row: resized(row, (5,), "linear"), in_axes=1, out_axes=1)(x)
    np.testing.assert_allclose(stack, matrix @ np.asarray(x), rtol=1e-12)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("shape", [(6, 9, 5, 2), (3, 6, 9, 5)])
def test_the_lowering_of_cpus_is_the_general_one(shape, adjoint, key):
    axis = 0 if shape[0] == 6 else 1  # with and without an axis of batches
    sizes = ((11, 6), (9, 9), (4, 5)) if adjoint else ((6, 11), (9, 9), (5, 4))
    how = {"axis": axis, "sizes": sizes, "method": "linear", "adjoint": adjoint}
    x = jax.random.normal(key, shape)
    np.testing.assert_allclose(
        _resize._lookup_on_cpu(x, **how), _resize._lookup(x, **how), atol=1e-14
    )


def test_rows_that_come_in_parts_are_those_of_one_part(monkeypatch, key):
    x = jax.random.normal(key, (7, 6, 3))
    how = {"axis": 0, "sizes": ((7, 11), (6, 8)), "method": "linear", "adjoint": False}
    whole = _resize._lookup_on_cpu(x, **how)
    monkeypatch.setattr(_resize, "_CACHED", 4 * 8 * 3 * 8)  # four rows of eleven
    np.testing.assert_array_equal(_resize._lookup_on_cpu(x, **how), whole)
