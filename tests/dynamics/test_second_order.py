"""L-BFGS and Levenberg-Marquardt: what second-order methods promise, and where they end."""

import equinox as eqx
import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.dynamics import LBFGS, LevenbergMarquardt
from jaxdip.problem import parametrize


def linear(key, m=5, p=8, dtype=None):
    """A linear problem of condition number 30 that an exact fit solves."""
    scales = jnp.linspace(1.0, 30.0, m).astype(jnp.result_type(dtype or float))
    J = jnp.linalg.qr(jax.random.normal(key, (p, m), dtype))[0].T * scales[:, None]
    g = jd.Linear(J)
    A = jd.operators.Identity(m, dtype=dtype)
    y = jnp.arange(1.0, m + 1, dtype=J.dtype)
    return jd.Problem(u=jnp.ones(1, J.dtype), operator=A, loss=jd.losses.MSE(), y=y), g


@eqx.filter_jit
def first_step(method, f, theta):
    """The memory at the start, the θ after one step, and the memory there."""
    state = method.init(f, theta)
    return state, *method.step(f, theta, state)


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_undamped_gauss_newton_solves_least_squares_in_one_step(key, solver):
    problem, g = linear(key)
    method = LevenbergMarquardt(1e-14, solver=solver, tolerance=1e-13)
    f, theta = parametrize(problem, g)
    state, there, after = first_step(method, f, theta)
    np.testing.assert_allclose(
        there.c, jnp.linalg.pinv(g.J) @ problem.y, rtol=1e-8, err_msg="the least solution"
    )
    # The linear model was right, so λ falls as far as one step lets it.
    assert float(after.value / state.value) == pytest.approx(1 / 3)


def test_a_damped_step_is_that_of_the_normal_equations():
    """−(JᵀJ + λI)⁻¹Jᵀr, in p unknowns instead of m, for F(x) = tanh x."""
    M = np.array([[1.0, -0.4, 0.2, 0.6], [0.2, 0.8, -0.6, 0.4], [-0.4, 0.2, 1.2, 0.2]])
    c, y = np.array([0.5, -1.0, 0.3, 0.8]), np.array([0.3, -0.2, 0.6])
    g = jd.Linear(jnp.asarray(M), jnp.asarray(c))
    A = jd.operators.Callable(jnp.tanh, (3,))
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=jnp.asarray(y))
    state, there, after = first_step(LevenbergMarquardt(0.1), *parametrize(problem, g))
    J = (1 - np.tanh(M @ c) ** 2)[:, None] * M
    r, moved = np.tanh(M @ c) - y, np.tanh(M @ np.asarray(there.c)) - y
    damping = 0.1 * np.sum((J.T @ r) ** 2) / (r @ r)
    assert float(state.value) == pytest.approx(damping)
    by_hand = -np.linalg.solve(J.T @ J + damping * np.eye(4), J.T @ r)
    np.testing.assert_allclose(np.asarray(there.c) - c, by_hand, atol=1e-12)
    assert moved @ moved < r @ r
    # The gain ratio decides by how much λ falls.
    predicted = r + J @ by_hand
    gain = (r @ r - moved @ moved) / (r @ r - predicted @ predicted)
    factor = max(1 / 3, 1 - (2 * gain - 1) ** 3)
    assert 1 / 3 < factor < 1, "neither end of the rule, so that the cube is seen"
    assert float(after.value / state.value) == pytest.approx(factor)


def test_a_step_that_does_not_help_is_not_taken():
    """F(x) = arctan x from 3: the undamped step lands at −9.5, where the misfit is larger."""
    g = jd.Linear(jnp.ones((1, 1)), jnp.array([3.0]))
    A = jd.operators.Callable(jnp.arctan, (1,))
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=jnp.zeros(1))
    f, theta = parametrize(problem, g)
    method = LevenbergMarquardt(1e-6)
    state, there, after = first_step(method, f, theta)
    assert float(there.c[0]) == 3.0
    assert float(after.value) == pytest.approx(2 * float(state.value))
    assert float(after.growth) == 4.0
    run = jd.iterate(problem, method, g, 60, every=60)
    assert float(run.loss[-1]) < 1e-20


def test_complex_data_take_conjugate_gradients(key):
    """A real x seen by a complex matrix: the least-squares solution, by an independent solver."""
    kr, ki = jax.random.split(key)
    M = jax.lax.complex(jax.random.normal(kr, (4, 3)), jax.random.normal(ki, (4, 3)))
    A = jd.operators.Callable(lambda x: M @ x.astype(M.dtype), (3,))
    y = jax.lax.complex(jnp.arange(4.0), jnp.ones(4))
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=y)
    run = jd.iterate(
        problem, LevenbergMarquardt(1e-9, tolerance=1e-12), jd.Linear(jnp.eye(3)), 3, every=3
    )
    both, data = jnp.concatenate([M.real, M.imag]), jnp.concatenate([y.real, y.imag])
    np.testing.assert_allclose(run.generator.c, jnp.linalg.lstsq(both, data)[0], rtol=1e-6)


def test_lbfgs_needs_fewer_steps_than_gradient_descent(key):
    """In single precision, which it keeps."""
    problem, g = linear(key, dtype=jnp.float32)
    ours = jd.iterate(problem, LBFGS(), g, 2000, tolerance=1e-5)
    plain = jd.iterate(problem, jd.GradientDescent(1 / 900), g, 2000, tolerance=1e-5)
    assert bool(ours.result == jd.RESULTS.converged)
    assert ours.generator.c.dtype == jnp.float32
    assert int(ours.stats["steps"]) < 30
    assert int(plain.stats["steps"]) > 10 * int(ours.stats["steps"])


def test_damped_steps_are_the_same_in_reduced_and_full_coordinates(key):
    problem, g, _ = examples.problem(key, "two-layer-both")
    runs = [
        jd.iterate(problem, LevenbergMarquardt(), g, 4, every=4, reduce=r) for r in (True, False)
    ]
    np.testing.assert_allclose(runs[0].loss, runs[1].loss, rtol=1e-6, atol=1e-14)
    np.testing.assert_allclose(runs[0].generator.W, runs[1].generator.W, atol=1e-7)
    assert float(runs[0].loss[-1]) < 0.01 * float(runs[0].loss[0])


def test_lbfgs_is_the_same_in_turned_coordinates(key):
    """What the exact reduction, an isometry, asks of a method."""
    problem, g = linear(key)
    Q = jnp.linalg.qr(jax.random.normal(jax.random.fold_in(key, 1), (8, 8)))[0]
    runs = [jd.iterate(problem, LBFGS(), jd.Linear(J), 6, every=1) for J in (g.J, g.J @ Q)]
    np.testing.assert_allclose(runs[0].loss, runs[1].loss, rtol=1e-8)
    np.testing.assert_allclose(runs[0].generator.c, Q @ runs[1].generator.c, atol=1e-8)
    assert float(runs[0].loss[-1]) < 0.1 * float(runs[0].loss[0])


def test_single_precision_stays_single(key):
    problem, g = linear(key, dtype=jnp.float32)
    run = jd.iterate(problem, LevenbergMarquardt(), g, 10, every=10)
    assert run.generator.c.dtype == jnp.float32
    assert float(run.loss[-1]) < 1e-5 * float(run.loss[0])


def test_wrong_second_order_calls(key):
    problem, g = linear(key)
    robust = jd.Problem(u=problem.u, operator=problem.operator, loss=jd.losses.L1(), y=problem.y)
    calls = {
        "needs the squared error": lambda: jd.iterate(robust, LevenbergMarquardt(), g, 3),
        "solver is 'auto', 'dense' or 'cg', got 'qr'": lambda: LevenbergMarquardt(solver="qr"),
        "damping is finite and positive, got 0": lambda: LevenbergMarquardt(0.0),
        "history is a whole number, at least 1, got 0": lambda: LBFGS(0),
        "L-BFGS has no closed form": lambda: LBFGS().mode(jnp.ones(1), 3),
        "Levenberg-Marquardt has no closed form": lambda: LevenbergMarquardt().mode(jnp.ones(1), 3),
        "searches its steps": lambda: jd.largest_stable_step(problem, LBFGS(), g),
    }
    for message, call in calls.items():
        with pytest.raises((TypeError, ValueError), match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert float(LBFGS().with_time_step(0.5).time(jnp.asarray(4))) == 2.0
    assert float(LevenbergMarquardt().with_time_step(0.5).time(jnp.asarray(4))) == 2.0
