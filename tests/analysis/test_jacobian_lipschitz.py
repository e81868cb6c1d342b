"""Lipschitz constants of Jacobians: attained, above what is sampled, and their radii."""

import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.analysis import ConstantLipschitz, jacobian_lipschitz, sampled_jacobian_lipschitz
from jaxdip.problem import dense_jacobian, reduce


def sampled(problem, g, radius, observed):
    return float(
        sampled_jacobian_lipschitz(
            problem, g, key=jax.random.key(3), radius=radius, samples=12, observed=observed
        ).value
    )


@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize("name", ["two-layer", "two-layer-both", "mean-field", "mlp"])
def test_the_bound_is_above_every_sample(name, observed, key):
    problem, g, _ = examples.problem(key, name)
    bound = jacobian_lipschitz(problem, g, observed=observed)
    assert bound.evidence == "bound"
    for radius in (1e-3, 0.3, 3.0):
        seen = sampled(problem, g, radius, observed)
        assert 0 < seen <= float(bound(radius)) * (1 + 1e-6)
    values = [float(bound(r)) for r in (0.0, 0.1, 1.0, 10.0)]
    assert values == sorted(values)


def test_the_bound_of_one_trained_layer_is_attained():
    """A change of the unit with the longest column, at the steepest point of φ', reaches it."""
    lip = 1 / (6 * np.sqrt(3))
    # Lip φ' of the sigmoid is reached where φ'' is largest.
    z = np.log(2 + np.sqrt(3))
    V = jnp.array([[1.0, 3.0, 0.5], [2.0, -1.0, 0.1]])
    g = jd.TwoLayer(weights=(jnp.full((3, 1), z), V))
    A = jd.operators.Identity(2)
    problem = jd.Problem(u=jnp.array([1.0]), operator=A, loss=jd.losses.MSE(), y=jnp.ones(2))
    bound = jacobian_lipschitz(problem, g)
    moved = jd.TwoLayer(weights=(g.W.at[1].add(1e-5), V))
    change = dense_jacobian(problem, moved) - dense_jacobian(problem, g)
    attained = float(jnp.linalg.norm(change, ord=2)) / 1e-5
    assert attained == pytest.approx(float(bound(1.0)), rel=1e-6)
    assert attained == pytest.approx(lip * np.sqrt(10) / np.sqrt(3), rel=1e-6)


def test_the_radius_of_both_layers_is_the_closed_form():
    key = jax.random.key(0)
    g = jd.TwoLayer(latent=4, width=70, out=3, key=key, both=True)
    A = jd.operators.Identity(3)
    problem = jd.Problem(
        u=jd.on_sphere(4, key=key), operator=A, loss=jd.losses.MSE(), y=jnp.ones(3)
    )
    bound = jacobian_lipschitz(problem, g)
    B1, B2 = 0.25, 1 / (6 * np.sqrt(3))
    c0 = float(jnp.sqrt(jnp.max(jnp.sum(g.V**2, axis=0))))
    for sigma in (0.05, 0.6, 4.0):
        K = sigma * np.sqrt(70)
        R = (
            K
            * (np.sqrt(B2**2 * c0**2 + 4 * B1**2 + 2 * K * B2) - B2 * c0)
            / (4 * B1**2 + 2 * K * B2)
        )
        assert float(bound.largest_radius(sigma / 2)) == pytest.approx(R, rel=1e-9)


def test_radii_of_constants():
    constant = ConstantLipschitz(value=jnp.asarray(0.2), evidence="assumed", how="given")
    assert float(constant.largest_radius(3.0)) == pytest.approx(15.0, rel=1e-9)
    none = ConstantLipschitz(value=jnp.asarray(0.0), evidence="closed form", how="linear")
    assert np.isinf(float(none.largest_radius(3.0)))
    assert float(constant.largest_radius(0.0)) == 0.0
    many = jax.vmap(constant.largest_radius)(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(many, [5.0, 10.0], rtol=1e-9)


def test_it_is_that_of_reduced_coordinates_too(key):
    """Reduction is isometric, so the constant of A J cannot change."""
    for name in ("two-layer", "two-layer-both"):
        problem, g, _ = examples.problem(key, name)
        smaller, start, _ = reduce(problem, g)
        own = jacobian_lipschitz(problem, g, observed=True)
        less = jacobian_lipschitz(smaller, start, observed=True)
        np.testing.assert_allclose(own(0.7), less(0.7), rtol=1e-9)


def test_what_has_no_bound_is_said(key):
    problem, _, _ = examples.problem(key)
    relu = jd.TwoLayer(latent=9, width=5, out=6, key=key, activation="relu")
    with pytest.raises(ValueError, match="not Lipschitz"):
        jacobian_lipschitz(problem, relu)
    linear, g, _ = examples.problem(key, "linear")
    assert float(jacobian_lipschitz(linear, g)(1.0)) == 0.0


@pytest.mark.parametrize("radius", [0.0, 0.4])
def test_the_bound_of_deep_networks_by_hand(radius, key):
    """The formulas of `SequentialLipschitz`, layer by layer for L = 3."""
    g = jd.MLP(widths=(4, 6, 5), out=3, key=key, ntk=True, activation="tanh")
    u = 1.3 * jd.on_sphere(4, key=key)
    A = jd.operators.Gaussian(m=2, n=3, key=key)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=jnp.ones(2))
    s1, s2, s3 = g.scales
    W1, W2, W3 = (np.asarray(W) for W in g.weights)
    h1 = np.tanh(s1 * W1 @ u)
    h2 = np.tanh(s2 * W2 @ h1)
    w2, w3 = (np.linalg.norm(W, 2) + radius for W in (W2, W3))
    B1, B2 = 1.0, 4 / (3 * np.sqrt(3))
    H0 = np.linalg.norm(u)
    lam1 = s1 * H0
    l1 = B1 * lam1
    H1 = np.linalg.norm(h1) + l1 * radius
    lam2 = s2 * (H1 + w2 * l1)
    l2 = B1 * lam2
    H2 = np.linalg.norm(h2) + l2 * radius
    g3, gamma3 = float(A.norm()), 0.0
    g2 = g3 * s3 * w3 * B1
    gamma2 = s3 * (gamma3 * w3 * B1 + g3 * B1 + g3 * w3 * B2 * lam2)
    g1 = g2 * s2 * w2 * B1
    gamma1 = s2 * (gamma2 * w2 * B1 + g2 * B1 + g2 * w2 * B2 * lam1)
    parts = [
        s1 * (gamma1 * H0 + g1 * 0),
        s2 * (gamma2 * H1 + g2 * l1),
        s3 * (gamma3 * H2 + g3 * l2),
    ]
    found = jacobian_lipschitz(problem, g, observed=True)(radius)
    assert float(found) == pytest.approx(np.linalg.norm(parts), rel=1e-12)
