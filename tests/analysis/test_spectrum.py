"""Singular values by every route, against automatic differentiation, formulas by hand and NumPy."""

import equinox as eqx
import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxdip as jd
from jaxdip.analysis import _decompose
from jaxdip.analysis._closed_factor import Factor
from jaxdip.problem import parametrize, reduce


def full_jacobian(problem, generator, of="AJ"):
    """J in the generator's own coordinates, real and imaginary parts stacked."""
    f, theta = parametrize(problem, generator)
    flat, unravel = ravel_pytree(theta)
    value = problem.predict if of == "AJ" else problem.signal

    def real(v):
        out = value(f.generator(unravel(v))).ravel()
        return jnp.concatenate([out.real, out.imag]) if jnp.iscomplexobj(out) else out

    return np.asarray(jax.jacrev(real)(flat))


CASES = [(g, a, "AJ") for g in examples.GENERATORS for a in examples.OPERATORS]
CASES += [(g, "wide", "J") for g in examples.GENERATORS]


@pytest.mark.parametrize(("generator", "operator", "of"), CASES)
def test_every_route_has_the_singular_values_of_the_full_jacobian(key, generator, operator, of):
    problem, g, _ = examples.problem(key, generator, operator)
    J = full_jacobian(problem, g, of)
    true = np.linalg.svd(J, compute_uv=False)
    routes = ["dense"] + ["closed form"] * (generator != "mlp")
    routes += ["krylov"] * (operator in ("wide", "tall"))
    for method in routes:
        found = jd.spectrum(problem, g, of=of, method=method, vectors=True, chunk=2)
        assert (found.method, found.of, found.shape) == (method, of, J.shape)
        np.testing.assert_allclose(found.values, true, rtol=0, atol=1e-13 * true[0])
        W = np.asarray(found.left)
        np.testing.assert_allclose(W.T @ W, np.eye(len(true)), atol=1e-12)
        # Left vectors diagonalise J Jᵀ, and the sum of squares is its trace.
        np.testing.assert_allclose(W.T @ J @ J.T @ W, np.diag(true**2), atol=1e-12 * true[0] ** 2)
        np.testing.assert_allclose(np.sum(found.values**2), np.sum(J**2), rtol=1e-12)
        rank = np.sum(true > 1e-12 * true[0])
        assert rank <= found.rank_bound <= min(J.shape)
        assert np.all(found.values[found.rank_bound :] == 0)
        zero = len(true) < J.shape[0] or found.rank_bound < J.shape[0]
        np.testing.assert_allclose(
            found.sigma_min.value, 0 if zero else true[-1], atol=1e-13 * true[0]
        )
        np.testing.assert_allclose(found.sigma_rank.value, true[rank - 1], rtol=1e-11)
        v, _ = ravel_pytree(found.right(0))
        np.testing.assert_allclose(J @ v, true[0] * W[:, 0], atol=1e-12 * true[0])


def test_auto_takes_the_closed_form_where_there_is_one(key):
    for name, method in (("two-layer-both", "closed form"), ("mlp", "dense")):
        problem, g, _ = examples.problem(key, name)
        assert jd.spectrum(problem, g).method == method


@pytest.mark.parametrize("method", ["closed form", "dense", "krylov"])
def test_sigma_min_of_the_inverse_square_spectrum(key, method):
    """1/(1 + i²), n = 100: a Gram matrix would have only half the digits."""
    A = jd.operators.WithSpectrum.inverse_square(100, key)
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=jnp.zeros(100))
    g = jd.generators.Linear(jnp.eye(100))
    found = jd.spectrum(problem, g, method=method, depth=100)
    np.testing.assert_allclose(found.sigma_min.value, 1 / (1 + 99**2), rtol=1e-10)
    np.testing.assert_allclose(found.values, 1 / (1 + np.arange(100) ** 2), rtol=1e-10)
    assert found.sigma_min_lower.value <= 1 / (1 + 99**2)


@pytest.mark.parametrize("depth", [1, 5, 20, 40])
def test_ritz_values_lie_inside_and_certify_nothing(key, depth):
    A = jd.operators.WithSpectrum.inverse_square(40, key)
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=jnp.zeros(40))
    found = jd.spectrum(problem, jd.generators.Linear(jnp.eye(40)), method="krylov", depth=depth)
    true = 1 / (1 + np.arange(40) ** 2)
    assert found.values.shape == (depth,)
    assert found.sigma_max.value <= true[0] * (1 + 1e-14)
    assert found.sigma_min.value >= true[-1] * (1 - 1e-10)
    # Each Ritz value has a singular value within its error.
    nearest = np.min(np.abs(np.asarray(found.values)[:, None] - true), axis=1)
    assert np.all(nearest <= found.error)
    assert found.sigma_min.evidence == "estimate from above"
    assert found.sigma_max.evidence == "estimate from below"
    assert {q.grade for q in (found.sigma_min, found.sigma_max, found.sigma_rank)} == {"estimated"}
    assert found.sigma_min_lower.value == 0


def test_few_krylov_steps_find_the_top_but_not_the_bottom(key):
    A = jd.operators.WithSpectrum.inverse_square(100, key)
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=jnp.zeros(100))
    found = jd.spectrum(problem, jd.generators.Linear(jnp.eye(100)), method="krylov", depth=15)
    np.testing.assert_allclose(found.values[:2], [1, 0.5], rtol=1e-10)
    assert found.sigma_min.value > 2 / (1 + 99**2)


def test_krylov_goes_on_where_the_space_is_exhausted(key):
    """Rank 2 in dimension 5, twice the same value: one Krylov space holds only one of the two."""
    J = jnp.zeros((5, 7)).at[0, 0].set(3.0).at[1, 1].set(3.0)
    problem = jd.Problem(
        u=jnp.ones(1), operator=jd.operators.Identity(5), loss=jd.losses.MSE(), y=jnp.zeros(5)
    )
    found = jd.spectrum(problem, jd.generators.Linear(J), method="krylov", vectors=True)
    np.testing.assert_allclose(found.values, [3, 3, 0, 0, 0], atol=1e-14)
    np.testing.assert_allclose(found.left.T @ found.left, np.eye(5), atol=1e-14)


@pytest.mark.parametrize("both", [False, True])
def test_gram_matrix_and_factor_agree_within_the_stated_error(key, both, monkeypatch):
    g = jd.TwoLayer(latent=4, width=60, out=20, key=key, both=both)
    problem = jd.Problem(
        u=jd.on_sphere(4, key=key), operator=jd.operators.Identity(20), loss=jd.losses.MSE(),
        y=jnp.zeros(20),
    )  # fmt: skip
    svd = jd.spectrum(problem, g, of="J", vectors=True)
    monkeypatch.setattr(_decompose, "_LARGEST_SVD", 1)
    gram = jd.spectrum(problem, g, of="J", vectors=True)
    assert "SVD" in svd.how
    assert "Gram" in gram.how
    assert np.all(np.abs(gram.values - svd.values) <= gram.error)
    np.testing.assert_allclose(np.abs(np.sum(gram.left * svd.left, axis=0)), 1, atol=1e-8)
    assert 0.99 * svd.sigma_min.value < gram.sigma_min_lower.value <= svd.sigma_min.value


def test_gram_matrix_that_is_too_inexact_gives_way(key, monkeypatch):
    monkeypatch.setattr(_decompose, "_LARGEST_SVD", 1)
    values = jnp.geomspace(1, 1e-9, 30)
    A = jd.operators.WithSpectrum(values, m=30, n=30, key=key)
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=jnp.zeros(30))
    g = jd.generators.Linear(jnp.eye(30))
    found = jd.spectrum(problem, g)
    assert "SVD" in found.how
    np.testing.assert_allclose(found.sigma_min.value, 1e-9, rtol=1e-4)
    # Inside jit its value cannot be looked at; the error then says how little it is worth.
    sigma, error, safe = jax.jit(
        lambda p: (lambda s: (s.smallest, s.smallest_error, s.sigma_min_lower.value))(
            jd.spectrum(p, g)
        )
    )(problem)
    assert abs(sigma - 1e-9) <= error
    assert safe == 0


def two_layer_by_hand(W, V, u, both):
    """∂x_a/∂W_ij = V_ai φ'(h_i) u_j/√k and ∂x_a/∂V_bi = δ_ab φ(h_i)/√k, for φ = tanh."""
    h, k = W @ u, W.shape[0]
    of_W = np.einsum("ai,i,j->aij", V, 1 - np.tanh(h) ** 2, u).reshape(len(V), -1)
    of_V = np.kron(np.eye(len(V)), np.tanh(h))
    return np.concatenate([of_W, of_V] if both else [of_W], axis=1) / np.sqrt(k)


@pytest.mark.parametrize("both", [False, True])
def test_two_layer_network_by_hand(key, both):
    g = jd.TwoLayer(latent=5, width=9, out=4, key=key, both=both, activation="tanh")
    A = jd.operators.Gaussian(m=3, n=4, key=key)
    u = 1.5 * jd.on_sphere(5, key=key)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=jnp.zeros(3))
    J = two_layer_by_hand(*(np.asarray(x) for x in (g.W, g.V, u)), both)
    for of, matrix in (("J", J), ("AJ", np.asarray(A.matrix()) @ J)):
        true = np.linalg.svd(matrix, compute_uv=False)
        np.testing.assert_allclose(jd.spectrum(problem, g, of=of).values, true, rtol=1e-10)


def mlp_by_hand(weights, scales, u):
    """∂x/∂W_l = B_l ⊗ s_l g^{l−1}, with B_l the derivative of x by the l-th layer's input."""
    layers, slopes = [u], []
    for W, s in zip(weights[:-1], scales[:-1], strict=True):
        h = s * W @ layers[-1]
        layers.append(np.tanh(h))
        slopes.append(1 - np.tanh(h) ** 2)
    back, blocks = np.eye(len(weights[-1])), []
    for level in range(len(weights) - 1, -1, -1):
        block = np.einsum("ai,j->aij", back, scales[level] * layers[level])
        blocks.insert(0, block.reshape(len(back), -1))
        if level:
            back = (back @ (scales[level] * weights[level])) * slopes[level - 1]
    return np.concatenate(blocks, axis=1)


def test_mlp_by_hand_and_by_differences_in_long_double(key):
    g = jd.MLP(widths=(4, 7, 6), out=5, key=key, activation="tanh", ntk=True)
    u = jd.on_sphere(4, key=key)
    problem = jd.Problem(
        u=u, operator=jd.operators.Identity(5), loss=jd.losses.MSE(), y=jnp.zeros(5)
    )
    weights = [np.asarray(W) for W in g.weights]
    J = mlp_by_hand(weights, g.scales, np.asarray(u))
    true = np.linalg.svd(J, compute_uv=False)
    for method in ("dense", "krylov"):
        found = jd.spectrum(problem, g, of="J", method=method)
        np.testing.assert_allclose(found.values, true, rtol=1e-10)
    wide = np.longdouble

    def signal(theta):
        x = np.asarray(u, wide)
        cuts = np.cumsum([W.size for W in weights])[:-1]
        parts = zip(np.split(theta, cuts), weights, g.scales, strict=True)
        for level, (part, W, s) in enumerate(parts):
            x = wide(s) * part.reshape(W.shape) @ x
            x = np.tanh(x) if level < len(weights) - 1 else x
        return x

    theta = np.concatenate([W.ravel() for W in weights]).astype(wide)
    step = wide(1e-6)
    shifts = step * np.eye(theta.size, dtype=wide)
    differences = np.stack([signal(theta + d) - signal(theta - d) for d in shifts], 1) / (2 * step)
    np.testing.assert_allclose(
        np.linalg.svd(differences.astype(float), compute_uv=False), found.values, rtol=1e-10
    )


def test_nonlinear_operator(key):
    """F'(x) J for F = |·|², whose derivative is 2 diag of what is measured."""
    F = jd.operators.PhaseRetrieval(jd.operators.Gaussian(m=4, n=6, key=key))
    for name in ("two-layer-both", "linear"):
        g = examples.GENERATORS[name](key)
        g = eqx.tree_at(lambda g: g.c, g, jnp.ones(7)) if name == "linear" else g
        u = jd.on_sphere(examples.D, key=key)
        problem = jd.Problem(u=u, operator=F, loss=jd.losses.MSE(), y=jnp.ones(4))
        true = np.linalg.svd(full_jacobian(problem, g), compute_uv=False)
        for method in ("auto", "dense", "krylov"):
            found = jd.spectrum(problem, g, method=method)
            np.testing.assert_allclose(found.values, true, atol=1e-12 * true[0])


def test_complex_data_count_twice(key):
    k1, k2 = jax.random.split(key)
    M = jax.lax.complex(jax.random.normal(k1, (4, 6)), jax.random.normal(k2, (4, 6)))
    F = jd.operators.Callable(lambda x: jnp.matmul(M, x.astype(M.dtype)), 6)
    for name in ("two-layer-both", "mlp"):
        g = examples.GENERATORS[name](key)
        u = jd.on_sphere(examples.D, key=key)
        y = jnp.zeros(4, M.dtype)
        problem = jd.Problem(u=u, operator=F, loss=jd.losses.MSE(), y=y)
        J = full_jacobian(problem, g)
        true = np.linalg.svd(J, compute_uv=False)
        for method in ("auto", "dense", "krylov"):
            found = jd.spectrum(problem, g, method=method)
            assert found.shape[0] == 8
            assert found.rank_bound == 6
            assert found.sigma_min.value == 0
            np.testing.assert_allclose(found.values, true, atol=1e-12 * true[0])
        K = jd.analysis.kernel(problem, g)
        np.testing.assert_allclose(K, J @ J.T, atol=1e-12 * true[0] ** 2)


def test_count_keeps_the_largest_and_still_knows_the_smallest(key):
    problem, g, _ = examples.problem(key, "two-layer", "square")
    everything = jd.spectrum(problem, g)
    some = jd.spectrum(problem, g, count=2, vectors=True)
    np.testing.assert_allclose(some.values, everything.values[:2], rtol=1e-13)
    assert some.left.shape == (6, 2)
    np.testing.assert_allclose(some.sigma_min.value, everything.sigma_min.value, rtol=1e-12)


@pytest.mark.parametrize("name", ["two-layer", "mlp"])
def test_reduced_and_own_coordinates_agree(key, name):
    problem, g, _ = examples.problem(key, name, "wide")
    smaller, start, _ = reduce(problem, g)
    for method in ("auto", "dense", "krylov"):
        own = jd.spectrum(problem, g, method=method)
        again = jd.spectrum(smaller, start, method=method)
        np.testing.assert_allclose(own.values, again.values, rtol=1e-12)


@pytest.mark.parametrize("method", ["closed form", "dense", "krylov"])
def test_float32_stays_float32_and_its_errors_are_honest(key, method):
    wide, g, _ = examples.problem(key, "two-layer", "square")
    M, u = np.asarray(wide.operator.matrix()), np.asarray(wide.u)
    J = M @ two_layer_by_hand(np.asarray(g.W), np.asarray(g.V), u, False)
    true = np.linalg.svd(J, compute_uv=False)
    h = eqx.tree_at(lambda g: (g.W, g.V), g, replace_fn=lambda x: x.astype(jnp.float32))
    A = jd.operators.Dense(jnp.asarray(M, jnp.float32))
    u, y = wide.u.astype(jnp.float32), wide.y.astype(jnp.float32)
    narrow = jd.Problem(u=u, operator=A, loss=wide.loss, y=y)
    found = jd.spectrum(narrow, h, method=method)
    assert found.values.dtype == jnp.float32
    # The entries of J are rounded too, by a few units; so three times the decomposition's error.
    assert np.all(np.abs(np.asarray(found.values, float) - true) <= 3 * float(found.rounding))
    assert found.rounding < 1e-4 * found.values[0]
    assert found.sigma_min_lower.value < found.sigma_min.value


def test_batches_of_networks_and_no_recompilation(key):
    problem, _, _ = examples.problem(key, "two-layer", "wide")
    traces = []

    @jax.jit
    @jax.vmap
    def values(k):
        traces.append(None)
        g = jd.TwoLayer(latent=examples.D, width=12, out=examples.N, key=k)
        return jd.spectrum(problem, g).values, jd.spectrum(problem, g, method="krylov").values

    keys = jax.random.split(key, 3)
    closed, ritz = values(keys)
    values(jax.random.split(keys[0], 3))
    assert len(traces) == 1
    for i in range(3):
        g = jd.TwoLayer(latent=examples.D, width=12, out=examples.N, key=keys[i])
        np.testing.assert_allclose(closed[i], jd.spectrum(problem, g).values, rtol=1e-12)
        np.testing.assert_allclose(ritz[i], closed[i], rtol=1e-10)


def test_gradient_of_sigma_min(key):
    """dσ/dV by differentiation, against a difference quotient."""
    problem, g, _ = examples.problem(key, "two-layer", "wide")

    def sigma(scale):
        moved = eqx.tree_at(lambda g: g.V, g, g.V.at[0].mul(scale))
        return jd.spectrum(problem, moved).sigma_min.value

    slope = jax.grad(sigma)(1.0)
    assert abs(slope) > 1e-3
    np.testing.assert_allclose(slope, (sigma(1 + 1e-5) - sigma(1 - 1e-5)) / 2e-5, rtol=1e-6)


def test_wrong_calls(key):
    problem, g, _ = examples.problem(key, "mlp")
    for options, text in (
        ({"of": "K"}, "of is 'AJ'"),
        ({"method": "svd"}, "method is one of"),
        ({"method": "closed form"}, "no closed form"),
        ({"count": 0}, "count is an integer >= 1"),
        ({"depth": 1.5}, "depth is an integer >= 1"),
        ({"chunk": True}, "chunk is an integer >= 1"),
    ):
        with pytest.raises(ValueError, match=text):
            jd.spectrum(problem, g, **options)
    with pytest.raises(ValueError, match="vectors=True"):
        jd.spectrum(problem, g).right(0)


def test_what_does_not_fit_is_refused_before_it_is_computed():
    g = jax.eval_shape(lambda: jd.MLP(widths=(50, 3000, 3000), out=4000, key=jax.random.key(0)))
    operator = jd.operators.Identity(4000)
    u, y = jnp.ones(50), jnp.zeros(4000)
    problem = jd.Problem(u=u, operator=operator, loss=jd.losses.MSE(), y=y)
    for method, text in (("dense", "method='krylov'"), ("krylov", "smaller depth=")):
        with pytest.raises(ValueError, match=text):
            jax.eval_shape(
                lambda g, m=method: jd.spectrum(problem, g, method=m, depth=100).values, g
            )


def test_gram_matrix_promises_nothing_below_its_rounding():
    """An eigenvalue of 0.9 e, known within e, may be zero."""
    e = 4 * np.finfo(float).eps
    factor = Factor(jnp.diag(jnp.array([1.0, (0.9 * e) ** 0.5])), jnp.zeros(()), "test")
    found = _decompose._by_gram(factor, 2, False)
    np.testing.assert_allclose(found.values[1], (0.9 * e) ** 0.5, rtol=1e-6)
    assert found.values[1] - found.error[1] <= 0
    assert found.values[0] - found.error[0] > 1 - 1e-12
