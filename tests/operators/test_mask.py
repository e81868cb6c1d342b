"""Masks keep what they say, in order, and their adjoint puts it back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from operators.catalogue import KEEP

from jaxdip import operators as ops


def test_a_mask_is_boolean_indexing(key):
    x = np.asarray(jax.random.normal(key, (2, 3)))
    mask = ops.Mask(KEEP)
    np.testing.assert_array_equal(mask(x), x[np.array(KEEP)])
    np.testing.assert_array_equal(mask.adjoint(mask(x)), np.where(KEEP, x, 0.0))
    np.testing.assert_array_equal(mask.pseudo_inverse(mask(x)), np.where(KEEP, x, 0.0))
    assert mask.orthonormal_rows
    assert mask.index.dtype == jnp.int32


def test_a_random_mask_keeps_its_share_and_every_entry_as_often(key):
    count = 2000

    def kept(k):
        mask = ops.Mask.random((3, 4), 0.25, k)
        return mask.adjoint(jnp.ones(3))

    masks = np.asarray(jax.vmap(kept)(jax.random.split(key, count)))
    np.testing.assert_array_equal(masks.sum(axis=(1, 2)), 3.0)
    deviation = np.abs(masks.mean(axis=0) - 0.25) / (0.25 * 0.75 / count) ** 0.5
    assert deviation.max() < 5


def test_a_traced_mask_with_its_count():
    keep = jnp.array([KEEP, np.logical_not(KEEP)])
    batch = jax.vmap(lambda k: ops.Mask(k, count=3))(keep)
    data = jax.vmap(lambda mask: mask(jnp.arange(6.0).reshape(2, 3)))(batch)
    np.testing.assert_array_equal(data, [[0, 2, 5], [1, 3, 4]])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ops.Mask(jnp.ones(3)), TypeError, "boolean"),
        (lambda: ops.Mask([False, False]), ValueError, "at least one"),
        (lambda: ops.Mask([True, False], count=2), ValueError, "keeps 1"),
        (lambda: jax.vmap(ops.Mask)(jnp.array([KEEP])), ValueError, "count="),
        (lambda: ops.Mask.random(4, 0.0, jax.random.key(0)), ValueError, "fraction"),
        (lambda: ops.Mask.random(4, 1.5, jax.random.key(0)), ValueError, "fraction"),
        (lambda: ops.Mask.random(4, 0.01, jax.random.key(0)), ValueError, "at least one"),
    ],
)
def test_a_wrong_call_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()
