"""The linear generator has closed forms; SciPy and NumPy give every dynamics a second opinion."""

import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

import jaxdip as jd

ALPHA, BETA, S, GAMMA = 0.6, 0.25, 0.04, 0.1


def linear_problem(key):
    problem, g, _ = examples.problem(key, "linear", "wide")
    M = np.asarray(problem.operator.matrix() @ g.J)
    return problem, g, M, np.asarray(problem.y), np.asarray(g.c)


def predictions(run):
    return np.asarray(run.observed["v"])


OBSERVE = {"v": jd.observables.Prediction()}
TIMES = jnp.array([0.5, 2.0, 5.0])


def test_gradient_flow_of_a_linear_generator_is_an_exponential(key):
    problem, g, M, y, c = linear_problem(key)
    run = jd.integrate(
        problem, jd.GradientFlow(), g, TIMES, observe=OBSERVE, rtol=1e-12, atol=1e-13
    )
    r0 = M @ c - y
    exact = [scipy.linalg.expm(-M @ M.T * float(t)) @ r0 + y for t in TIMES]
    np.testing.assert_allclose(predictions(run), exact, atol=1e-10)


def test_isehd_of_a_linear_generator_is_an_exponential(key):
    """r̈ + (α + βK)ṙ + K r = 0 with ṙ(0) = 0."""
    problem, g, M, y, c = linear_problem(key)
    run = jd.integrate(
        problem, jd.ISEHD(ALPHA, BETA), g, TIMES, observe=OBSERVE, rtol=1e-12, atol=1e-13
    )
    K = M @ M.T
    m = K.shape[0]
    system = np.block([[np.zeros((m, m)), np.eye(m)], [-K, -ALPHA * np.eye(m) - BETA * K]])
    start = np.concatenate([M @ c - y, np.zeros(m)])
    exact = [(scipy.linalg.expm(system * float(t)) @ start)[:m] + y for t in TIMES]
    np.testing.assert_allclose(predictions(run), exact, atol=1e-10)


def test_gradient_descent_of_a_linear_generator_is_a_power(key):
    problem, g, M, y, c = linear_problem(key)
    run = jd.iterate(problem, jd.GradientDescent(GAMMA), g, 200, every=50, observe=OBSERVE)
    step = np.eye(3) - GAMMA * M @ M.T
    exact = [np.linalg.matrix_power(step, tau) @ (M @ c - y) + y for tau in (0, 50, 100, 150, 200)]
    np.testing.assert_allclose(predictions(run), exact, atol=1e-10)
    np.testing.assert_allclose(run.ts, GAMMA * np.arange(0, 201, 50), rtol=1e-14)


@pytest.mark.parametrize("gradient_at", ["theta", "eta"])
def test_igahd_of_a_linear_generator_is_its_recurrence(key, gradient_at):
    problem, g, M, y, c = linear_problem(key)
    method = jd.IGAHD(S, ALPHA, BETA, gradient_at=gradient_at)
    run = jd.iterate(problem, method, g, 200, every=50, observe=OBSERVE)
    h, K = np.sqrt(S), M @ M.T
    a, identity = 1 - ALPHA * h, np.eye(3)
    # On the residual the step is r⁺ = P r + Q r⁻, with a companion matrix for both.
    inertial = (1 + a) * identity - BETA * h * K
    memory = -(a * identity - BETA * h * K)
    if gradient_at == "theta":
        P, Q = inertial - S * K, memory
    else:
        P, Q = (identity - S * K) @ inertial, (identity - S * K) @ memory
    companion = np.block([[P, Q], [identity, np.zeros((3, 3))]])
    r0 = M @ c - y
    start = np.concatenate([r0, r0])
    exact = [
        (np.linalg.matrix_power(companion, tau) @ start)[:3] + y for tau in (0, 50, 100, 150, 200)
    ]
    np.testing.assert_allclose(predictions(run), exact, atol=1e-10)
    np.testing.assert_allclose(run.ts, h * np.arange(0, 201, 50), rtol=1e-14)


def numpy_network(problem, g):
    """f and its gradient for V tanh(W u)/√k with W trained, written out by hand in NumPy."""
    A = np.asarray(problem.operator.matrix())
    u, y, V = (np.asarray(a) for a in (problem.u, problem.y, g.V))
    k = V.shape[1]

    def predict(W):
        return A @ (V @ np.tanh(W @ u)) / np.sqrt(k)

    def gradient(W):
        r = predict(W) - y
        back = (V.T @ (A.T @ r)) / np.sqrt(k) * (1 - np.tanh(W @ u) ** 2)
        return np.outer(back, u)

    return predict, gradient, np.asarray(g.W)


def test_gradient_flow_against_scipy(key):
    problem, g, _ = examples.problem(key)
    predict, gradient, W = numpy_network(problem, g)
    run = jd.integrate(
        problem, jd.GradientFlow(), g, TIMES, observe=OBSERVE, rtol=1e-11, atol=1e-13
    )
    reference = scipy.integrate.solve_ivp(
        lambda t, w: -gradient(w.reshape(W.shape)).ravel(),
        (0, float(TIMES[-1])),
        W.ravel(),
        method="DOP853",
        t_eval=np.asarray(TIMES),
        rtol=1e-12,
        atol=1e-13,
    )
    exact = [predict(w.reshape(W.shape)) for w in reference.y.T]
    np.testing.assert_allclose(predictions(run), exact, atol=1e-8)


def test_isehd_against_scipy(key):
    """Against the other first-order form, in (θ, z): θ̇ + β∇f + (α − 1/β)θ + z/β = 0."""
    problem, g, _ = examples.problem(key)
    predict, gradient, W = numpy_network(problem, g)
    run = jd.integrate(
        problem, jd.ISEHD(ALPHA, BETA), g, TIMES, observe=OBSERVE, rtol=1e-11, atol=1e-13
    )

    def field(t, state):
        theta, z = state.reshape(2, -1)
        dz = -(ALPHA - 1 / BETA) * theta - z / BETA
        return np.concatenate([-BETA * gradient(theta.reshape(W.shape)).ravel() + dz, dz])

    z0 = (1 - ALPHA * BETA) * W.ravel() - BETA**2 * gradient(W).ravel()
    reference = scipy.integrate.solve_ivp(
        field,
        (0, float(TIMES[-1])),
        np.concatenate([W.ravel(), z0]),
        method="DOP853",
        t_eval=np.asarray(TIMES),
        rtol=1e-12,
        atol=1e-13,
    )
    exact = [predict(state[: W.size].reshape(W.shape)) for state in reference.y.T]
    np.testing.assert_allclose(predictions(run), exact, atol=1e-8)


@pytest.mark.parametrize("name", ["gd", "theta", "eta"])
def test_discrete_methods_against_numpy_loops(key, name):
    problem, g, _ = examples.problem(key)
    predict, gradient, W = numpy_network(problem, g)
    h = np.sqrt(S)
    before, G_before = W, gradient(W)
    for _ in range(40):
        G = gradient(W)
        if name == "gd":
            W = W - GAMMA * G
            continue
        eta = W + (1 - ALPHA * h) * (W - before) - BETA * h * (G - G_before)
        before, G_before = W, G
        W = eta - S * (G if name == "theta" else gradient(eta))
    method = (
        jd.GradientDescent(GAMMA) if name == "gd" else jd.IGAHD(S, ALPHA, BETA, gradient_at=name)
    )
    run = jd.iterate(problem, method, g, 40, observe=OBSERVE)
    np.testing.assert_allclose(predictions(run)[-1], predict(W), atol=1e-12)
    np.testing.assert_allclose(run.generator.W, W, atol=1e-12)


def test_single_precision_follows_double(key):
    runs = []
    for dtype in ("float32", "float64"):
        problem, g, _ = examples.problem(key, dtype="float64")
        cast = jax.tree.map(
            lambda x, to=dtype: x.astype(to) if jnp.issubdtype(x.dtype, jnp.floating) else x,
            (problem.u, problem.y, problem.operator.matrix(), g),
        )
        u, y, A, g = cast
        stated = jd.Problem(u=u, operator=jd.operators.Dense(A), loss=jd.losses.MSE(), y=y)
        for run in (
            jd.iterate(stated, jd.IGAHD(S, ALPHA, BETA), g, 100),
            jd.integrate(stated, jd.ISEHD(ALPHA, BETA), g, TIMES),
        ):
            assert run.loss.dtype == jnp.dtype(dtype)
            assert run.generator.W.dtype == jnp.dtype(dtype)
            runs.append(np.asarray(run.loss, float))
    np.testing.assert_allclose(runs[0], runs[2], rtol=1e-3)
    np.testing.assert_allclose(runs[1], runs[3], rtol=2e-2)
