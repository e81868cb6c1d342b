"""The factor 1/k: everything that rests on the network's factor, and what it does to the motion."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxdip as jd
from jaxdip.dynamics._hessian import structured_hessian
from jaxdip.problem import parametrize

D, N, M, K = 5, 4, 2, 9


def case(key, scaling, *, width=K, both=False, m=M):
    keys = {name: jd.key_for(key, name) for name in ("A", "g", "u", "x")}
    A = jd.operators.Gaussian(m=m, n=N, key=keys["A"], normalized=True)
    g = jd.TwoLayer(
        latent=D, width=width, out=N, key=keys["g"], both=both, scaling=scaling, activation="tanh"
    )
    u = 1.5 * jd.on_sphere(D, key=keys["u"])
    y = A(jax.random.normal(keys["x"], (N,)))
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y), g


def test_the_factor(key):
    problem, g = case(key, "mean-field")
    np.testing.assert_allclose(g(problem.u), g.V @ np.tanh(g.W @ problem.u) / K, rtol=1e-13)
    _, ntk = case(key, "ntk")
    np.testing.assert_allclose(ntk(problem.u), g.V @ np.tanh(g.W @ problem.u) / 3, rtol=1e-13)
    with pytest.raises(ValueError, match="unknown scaling 'lazy'; choose one of ntk, mean-field"):
        jd.TwoLayer(latent=D, width=K, out=N, key=key, scaling="lazy")


@pytest.mark.parametrize("both", [False, True])
def test_the_reduction_stays_exact(key, both):
    problem, g = case(key, "mean-field", both=both)
    observe = {"x": jd.observables.Signal(), "d": jd.observables.ParameterDistance()}
    runs = [
        jd.iterate(problem, jd.IGAHD(0.02 * K, 0.2, 0.1), g, 60, observe=observe, reduce=reduce)
        for reduce in (True, False)
    ]
    assert max(jd.gap(*runs).sup.values()) < 1e-11
    assert runs[0].generator.scaling == "mean-field"
    for p, q in zip(*(jax.tree.leaves(run.generator) for run in runs), strict=True):
        np.testing.assert_allclose(p, q, atol=1e-11)
    assert float(runs[0].loss[-1]) < 0.9 * float(runs[0].loss[0])


@pytest.mark.parametrize("both", [False, True])
def test_structured_solves_are_those_of_the_dense_hessian(key, both):
    problem, g, _ = jd.reduce(*case(key, "mean-field", both=both))
    f, theta = parametrize(problem, g)
    flat, unravel = ravel_pytree(theta)
    H = np.asarray(jax.jit(jax.hessian(lambda x: f(unravel(x))))(flat))
    hessian = structured_hessian(f, theta)
    b = jax.random.normal(key, flat.shape)
    factor = hessian.shifted(theta, jnp.asarray(2.0))
    exact = np.linalg.solve(np.eye(flat.size) + 2.0 * H, b)
    assert factor.sound
    np.testing.assert_allclose(ravel_pytree(factor.solve(unravel(b)))[0], exact, rtol=1e-9)
    assert float(hessian.norm(theta)) >= np.linalg.norm(H, 2) * (1 - 1e-12)


def test_the_lipschitz_bound_holds_and_scales(key):
    problem, g = case(key, "mean-field")
    bound = jd.lipschitz_bound(problem, g)
    true = jd.lipschitz_local(problem, g)
    assert float(true.value) <= float(bound.value) <= 20 * float(true.value)
    M = problem.operator.matrix() @ g.V / K
    residual = np.linalg.norm(problem.predict(g) - problem.y)
    phi = g.activation
    formula = np.linalg.norm(M, 2) ** 2 + phi.lip_slope * residual * np.max(
        np.linalg.norm(M, axis=0)
    )
    np.testing.assert_allclose(bound.value, formula * 1.5**2, rtol=1e-12)


def test_features_move_in_mean_field_scaling_and_not_in_the_lazy_one(key):
    """‖θ − θ0‖/√k at one scaled time: constant in k with 1/k, falling as 1/√k with 1/√k."""
    widths = (64, 256, 1024)
    moved = {}
    for scaling in ("mean-field", "ntk"):
        moved[scaling] = []
        for k in widths:
            problem, g = case(key, scaling, width=k)
            # The same residual at every start.
            y = problem.predict(g) + jnp.array([0.8, -0.6])
            problem = eqx.tree_at(lambda p: p.y, problem, y)
            step = jd.GradientDescent(0.1 * (k if scaling == "mean-field" else 1))
            observe = {"d": jd.observables.ParameterDistance()}
            run = jd.iterate(problem, step, g, 40, every=40, observe=observe)
            assert float(run.loss[-1]) < 0.5 * float(run.loss[0])
            moved[scaling].append(float(run.observed["d"][-1]) / k**0.5)
    print({name: np.round(values, 4).tolist() for name, values in moved.items()})
    features, lazy = (np.array(moved[name]) for name in ("mean-field", "ntk"))
    assert np.max(features) / np.min(features) < 1.3
    slope = np.polyfit(np.log(widths), np.log(lazy), 1)[0]
    assert -0.65 < slope < -0.35


def test_the_clock_of_mean_field_scaling_is_k(key):
    """The kernel falls as 1/k in one scaling, and settles in the other."""
    norms = {
        scaling: [float(jd.kernel_norm(*case(key, scaling, width=k)).value) for k in (256, 1024)]
        for scaling in ("mean-field", "ntk")
    }
    np.testing.assert_allclose(norms["mean-field"][0] / norms["mean-field"][1], 4, rtol=0.25)
    np.testing.assert_allclose(norms["ntk"][0] / norms["ntk"][1], 1, rtol=0.25)


def test_single_precision_and_vmap(key):
    def network(key):
        return jd.TwoLayer(
            latent=D, width=K, out=N, key=key, scaling="mean-field", dtype=jnp.float32
        )

    batch = eqx.filter_vmap(network)(jax.random.split(key, 3))
    u = jd.on_sphere(D, key=key, dtype=jnp.float32)
    x = eqx.filter_vmap(lambda g: g(u))(batch)
    assert (x.shape, x.dtype) == ((3, N), jnp.float32)
