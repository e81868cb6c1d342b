"""The kernel J Jᵀ by each of its routes."""

import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.analysis import _jacobian, _kernel
from jaxdip.problem import dense_jacobian


@pytest.mark.parametrize("operator", ["wide", "tall"])
@pytest.mark.parametrize("generator", examples.GENERATORS)
def test_kernel_is_j_times_its_transpose(key, generator, operator):
    problem, g, _ = examples.problem(key, generator, operator)
    J = np.asarray(dense_jacobian(problem, g))
    np.testing.assert_allclose(jd.analysis.kernel(problem, g), J @ J.T, atol=1e-13 * np.sum(J * J))


def test_kernel_without_the_jacobian(key, monkeypatch):
    problem, g, _ = examples.problem(key, "mlp", "tall")
    stored = jd.analysis.kernel(problem, g)
    monkeypatch.setattr(_kernel, "LARGEST", 100)
    monkeypatch.setattr(_jacobian, "LARGEST", 100)
    np.testing.assert_allclose(jd.analysis.kernel(problem, g, chunk=3), stored, rtol=1e-12)
    monkeypatch.setattr(_kernel, "LARGEST", 10)
    with pytest.raises(ValueError, match="a dense 8 x 8 kernel"):
        jd.analysis.kernel(problem, g)


def test_wide_networks_have_a_kernel_near_the_identity(key):
    """J_g J_gᵀ → (C_φ'² + C_φ²) I as k grows, if both layers train and u has norm 1."""
    g = jd.TwoLayer(latent=3, width=200_000, out=4, key=key, both=True)
    problem = jd.Problem(
        u=jd.on_sphere(3, key=key), operator=jd.operators.Identity(4), loss=jd.losses.MSE(),
        y=jnp.zeros(4),
    )  # fmt: skip
    phi = g.activation
    limit = (phi.C_dphi**2 + phi.C_phi**2) * jnp.eye(4)
    np.testing.assert_allclose(
        jd.analysis.kernel(problem, g, of="J"), limit, atol=5e-3 * limit[0, 0]
    )


def test_wrong_calls(key):
    problem, g, _ = examples.problem(key)
    with pytest.raises(ValueError, match="of is 'AJ'"):
        jd.analysis.kernel(problem, g, of="K")
    with pytest.raises(ValueError, match="chunk is an integer"):
        jd.analysis.kernel(problem, g, chunk=0)


def test_kernel_under_vmap(key):
    problem, _, _ = examples.problem(key)
    keys = jax.random.split(key, 2)

    def one(k):
        return jd.analysis.kernel(problem, examples.GENERATORS["mlp"](k), of="J")

    batch = jax.vmap(one)(keys)
    np.testing.assert_allclose(batch[1], one(keys[1]), rtol=1e-12)
