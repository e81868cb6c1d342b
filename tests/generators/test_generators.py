"""Generators against their formulas in NumPy, their laws of initialisation, and their errors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.generators import OUTPUT_BOUND


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_layer_is_its_formula(key, dtype):
    g = jd.TwoLayer(latent=4, width=7, out=(2, 3), key=key, dtype=dtype)
    u = jd.on_sphere(4, key=key, dtype=dtype)
    W, V = np.asarray(g.W, float), np.asarray(g.V, float)
    expected = V @ sigmoid(W @ np.asarray(u, float)) / np.sqrt(7)
    x = g(u)
    assert (x.shape, x.dtype) == ((2, 3), jnp.dtype(dtype))
    np.testing.assert_allclose(x.ravel(), expected, rtol=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("both", [False, True])
def test_two_layer_jacobian_gram_has_its_closed_form(key, both):
    """J Jᵀ = (1/k)[V diag(φ'(h)²) Vᵀ + ‖φ(h)‖² I], the second term if V trains."""
    g = jd.TwoLayer(latent=3, width=50, out=4, key=key, both=both)
    u = jd.on_sphere(3, key=key)
    theta, rest = eqx.partition(g, g.trainable())
    rows = jax.jacrev(lambda t: eqx.combine(t, rest)(u))(theta)
    J = np.concatenate([r.reshape(4, -1) for r in jax.tree.leaves(rows)], axis=1)
    h = np.asarray(g.W @ u)
    slope = sigmoid(h) * (1 - sigmoid(h))
    V = np.asarray(g.V)
    gram = V @ np.diag(slope**2) @ V.T + (np.sum(sigmoid(h) ** 2) if both else 0) * np.eye(4)
    np.testing.assert_allclose(J @ J.T, gram / 50, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("law", OUTPUT_BOUND)
def test_output_laws_are_centred_bounded_and_of_unit_variance(key, law):
    V = np.asarray(jd.TwoLayer(latent=1, width=400, out=500, key=key, output_law=law).V)
    count = V.size
    fourth = np.mean(V**4)
    assert abs(V.mean()) < 5 / np.sqrt(count)
    assert abs(np.mean(V**2) - 1) < 5 * np.sqrt(max(fourth - 1, 1e-30) / count) + 1e-12
    assert np.abs(V).max() <= OUTPUT_BOUND[law] * (1 + 1e-12)
    assert np.abs(V).max() >= OUTPUT_BOUND[law] * 0.999
    # Identity covariance of the columns: off-diagonal entries are of size 1/√k.
    covariance = V[:20] @ V[:20].T / V.shape[1]
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 6 / np.sqrt(V.shape[1])


def test_hidden_weights_are_standard_normal(key):
    W = np.asarray(jd.TwoLayer(latent=300, width=400, out=1, key=key).W)
    assert abs(W.mean()) < 5 / np.sqrt(W.size)
    assert abs(np.mean(W**2) - 1) < 5 * np.sqrt(2 / W.size)


def test_a_wider_network_begins_with_the_narrower_one(key):
    narrow, wide = (jd.TwoLayer(latent=3, width=k, out=4, key=key) for k in (8, 20))
    np.testing.assert_array_equal(narrow.W, wide.W[:8])
    np.testing.assert_array_equal(narrow.V, wide.V[:, :8])


def test_latent_is_uniform_on_the_sphere(key):
    us = jax.vmap(lambda k: jd.on_sphere(3, key=k))(jax.random.split(key, 20_000))
    np.testing.assert_allclose(jnp.linalg.norm(us, axis=1), 1, rtol=1e-14)
    # Archimedes: each coordinate of a uniform point of the sphere in R³ is uniform on [−1, 1].
    assert np.abs(np.asarray(us).mean(axis=0)).max() < 5 / np.sqrt(3 * 20_000)
    assert np.abs(np.mean(np.asarray(us) ** 2, axis=0) - 1 / 3).max() < 5 * np.sqrt(4 / 45 / 20_000)


@pytest.mark.parametrize("ntk", [False, True])
def test_mlp_is_definition_ii_1(key, ntk):
    g = jd.MLP(widths=(4, 5, 6), out=3, key=key, activation="tanh", ntk=ntk)
    u = np.asarray(jd.on_sphere(4, key=key))
    W1, W2, W3 = (np.asarray(W) for W in g.weights)
    s2, s3 = (5**-0.5, 6**-0.5) if ntk else (1, 1)
    expected = s3 * W3 @ np.tanh(s2 * W2 @ np.tanh(W1 @ u))
    np.testing.assert_allclose(g(jnp.asarray(u)), expected, rtol=1e-13)
    assert all(jax.tree.leaves(g.trainable()))


def test_ntk_scaling_is_the_same_function_at_the_start(key):
    standard, ntk = (jd.MLP(widths=(4, 5, 6), out=3, key=key, ntk=ntk) for ntk in (False, True))
    u = jd.on_sphere(4, key=key)
    np.testing.assert_allclose(standard(u), ntk(u), rtol=1e-13)
    assert float(jnp.abs(standard.weights[1] - ntk.weights[1]).max()) > 0.1


def test_linear_generator_ignores_the_latent(key):
    J = jax.random.normal(key, (6, 3))
    g = jd.Linear(J, jnp.arange(3.0), out_shape=(2, 3))
    np.testing.assert_allclose(g(jnp.ones(5)).ravel(), J @ jnp.arange(3.0), rtol=1e-14)
    assert not jnp.any(jd.Linear(J).c)


def test_which_leaves_train(key):
    for both in (False, True):
        g = jd.TwoLayer(latent=2, width=3, out=4, key=key, both=both)
        marks = g.trainable()
        assert (True, both) == (marks.W, marks.V)
    marks = jd.Linear(jnp.eye(2)).trainable()
    assert (marks.J, marks.c) == (False, True)


def test_generators_batch_over_keys(key):
    keys = jax.random.split(key, 5)
    batch = eqx.filter_vmap(lambda k: jd.TwoLayer(latent=3, width=4, out=2, key=k))(keys)
    u = jd.on_sphere(3, key=key)
    xs = eqx.filter_vmap(lambda g: g(u))(batch)
    alone = jnp.stack([jd.TwoLayer(latent=3, width=4, out=2, key=k)(u) for k in keys])
    np.testing.assert_allclose(xs, alone, rtol=1e-13)
