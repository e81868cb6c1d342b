"""The closed forms of the linearised dynamics, against runs that are linear and against SciPy."""

import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import jaxdip as jd
from jaxdip.dynamics._modes import damped_mode, recurrence_mode

OBSERVE = {"signal": jd.observables.Signal(), "prediction": jd.observables.Prediction()}
DYNAMICS = {
    "gf": jd.GradientFlow(),
    "isehd": jd.ISEHD(0.6, 0.25),
    "gd": jd.GradientDescent(0.05),
    "igahd": jd.IGAHD(0.03, 0.6, 0.25),
    "igahd-eta": jd.IGAHD(0.03, 0.6, 0.25, gradient_at="eta"),
}


@pytest.mark.parametrize("operator", ["wide", "tall"])
@pytest.mark.parametrize("name", DYNAMICS)
def test_twin_of_a_linear_generator_is_the_run_itself(key, name, operator):
    problem, g, _ = examples.problem(key, "linear", operator, loss=jd.losses.MSE(0.05))
    dynamics = DYNAMICS[name]
    twin = jd.linearised(problem, g)
    if name in ("gf", "isehd"):
        at = jnp.array([0.5, 2.0, 6.0])
        run = jd.integrate(problem, dynamics, g, at, observe=OBSERVE, rtol=1e-12, atol=1e-13)
    else:
        at = jnp.array([0, 20, 40, 60], jnp.int32)
        run = jd.iterate(problem, dynamics, g, 60, every=20, observe=OBSERVE)
    closed = twin.trajectory(dynamics, at)
    gaps = jd.gap(run, closed)
    np.testing.assert_allclose(gaps.ts, run.ts)
    assert max(gaps.sup.values()) < 1e-10
    np.testing.assert_allclose(closed.generator.c, run.generator.c, atol=1e-10)


def test_the_twin_departs_from_a_network_and_less_so_when_it_is_wide(key):
    """Laziness: the gap ‖x(t) − x_lin(t)‖ shrinks with the width."""
    gaps = []
    for width in (50, 5000):
        A = jd.operators.Gaussian(m=3, n=6, key=key, normalized=True)
        g = jd.TwoLayer(latent=4, width=width, out=6, key=key)
        y = A(jax.random.normal(key, (6,)))
        problem = jd.Problem(u=jd.on_sphere(4, key=key), operator=A, loss=jd.losses.MSE(), y=y)
        run = jd.iterate(problem, jd.GradientDescent(0.5), g, 300, every=100, observe=OBSERVE)
        twin = jd.linearised(problem, g).trajectory(
            jd.GradientDescent(0.5), jnp.array([0, 100, 200, 300], jnp.int32)
        )
        gaps.append(jd.gap(run, twin).sup["signal"])
    assert gaps[0] > 1e-3
    # Lip(J) ∝ 1/√k, so a hundredfold width divides the gap by about ten.
    assert gaps[1] < gaps[0] / 4


@pytest.mark.parametrize("eigenvalue", [0.0, 1e-12, 0.04, 0.25, 0.2500001, 1.0, 50.0, 1e6])
@pytest.mark.parametrize("damping", [0.0, 1.0, 2e3])
def test_damped_mode_against_the_matrix_exponential(eigenvalue, damping):
    """Overdamped, critically damped (b = 1, λ = ¼) and oscillating, at short and long times."""
    system = np.array([[0.0, 1.0], [-eigenvalue, -damping]])
    for t in (0.0, 1e-3, 0.7, 13.0):
        exact = scipy.linalg.expm(system * t)[0, 0]
        ours = float(
            damped_mode(jnp.asarray(damping), jnp.asarray(eigenvalue), jnp.asarray(t)).left
        )
        scale = 1 + abs(eigenvalue) ** 0.5 * t
        assert ours == pytest.approx(exact, abs=1e-9 * scale)


def test_damped_mode_survives_extreme_times():
    slow = damped_mode(jnp.asarray(1e3), jnp.asarray(1e-3), jnp.asarray(1e6)).left
    # λ/b = 1e-6: the slow root alone, e^{−1}; cancellation would show here.
    assert float(slow) == pytest.approx(np.exp(-1.0), rel=1e-6)
    gone = damped_mode(jnp.asarray(5.0), jnp.asarray(2.0), jnp.asarray(1e9))
    assert (float(gone.left), float(gone.gone)) == (0, 1)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 7, 100, 1023])
def test_recurrence_mode_against_a_loop(steps):
    # Distinct real, complex and double roots (p = 1.4, c = −0.49 has the double root 0.7).
    p, c = np.array([1.2, 1.4, 1.4, -0.3]), np.array([-0.3, -0.6, -0.49, 0.1])
    now, before = np.ones(4), np.ones(4)
    for _ in range(steps):
        now, before = p * now + c * before, now
    # q_{τ+1} = p q_τ + c q_{τ−1} is q_τ − (1 − p − c) q_τ − c (q_τ − q_{τ−1}).
    drop, carry = jnp.asarray(1 - p - c), jnp.asarray(-c)
    ours = recurrence_mode(drop, carry, 1 - carry, jnp.asarray(steps, jnp.int32))
    np.testing.assert_allclose(ours.left, now, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(ours.gone, 1 - now, rtol=1e-11, atol=1e-13)


def test_degrees_of_freedom_are_the_trace_of_the_smoother(key):
    problem, g, _ = examples.problem(key, "two-layer", "wide")
    twin, dynamics = jd.linearised(problem, g), jd.ISEHD(0.6, 0.25)

    def predict(y):
        stated = jd.Problem(u=problem.u, operator=problem.operator, loss=problem.loss, y=y)
        return jd.linearised(stated, g).residual(dynamics, 3.0) + y

    trace = np.trace(jax.jacfwd(predict)(problem.y))
    assert float(twin.degrees_of_freedom(dynamics, 3.0)) == pytest.approx(trace, rel=1e-9)


def test_sure_is_unbiased(key):
    """E SURE = E‖A x_lin(t) − ȳ‖² over the noise, within five standard errors."""
    problem, g, data = examples.problem(key, "two-layer", "wide", noise=0.0)
    dynamics, sigma, t = jd.GradientFlow(), 0.4, 2.0
    noises = sigma * jax.random.normal(key, (2000, 3))

    def one(noise):
        y = data.y_clean + noise
        stated = jd.Problem(u=problem.u, operator=problem.operator, loss=problem.loss, y=y)
        twin = jd.linearised(stated, g)
        risk = jnp.sum((twin.residual(dynamics, t) + y - data.y_clean) ** 2)
        return twin.sure(dynamics, t, noise=sigma), risk

    sure, risk = jax.vmap(one)(noises)
    difference = np.asarray(sure - risk)
    assert abs(difference.mean()) < 5 * difference.std() / np.sqrt(len(difference))
    # Without its third term the estimate would be biased by −2σ² df.
    twin = jd.linearised(problem, g)
    bias = 2 * sigma**2 * float(twin.degrees_of_freedom(dynamics, t))
    assert bias > 10 * difference.std() / np.sqrt(len(difference))


def test_parameters_are_those_of_the_minimum_norm_path(key):
    """J (θ_lin − θ0) is the change of the signal, and the path lies in the range of Jᵀ Aᵀ."""
    problem, g, _ = examples.problem(key, "two-layer-both", "wide")
    twin, dynamics = jd.linearised(problem, g), jd.GradientDescent(0.1)
    end = twin.generator(dynamics, 50)
    moved = jax.tree.map(lambda a, b: a - b, end, g)
    _, change = jax.jvp(lambda q: problem.predict(q), (g,), (moved,))
    r0 = problem.predict(g) - problem.y
    np.testing.assert_allclose(change + r0, twin.residual(dynamics, 50), atol=1e-12)
    # Minimum norm: any other preimage of the same change is longer.
    squared = sum(float(jnp.sum(x * x)) for x in jax.tree.leaves(moved))
    inner = np.asarray(change) @ np.linalg.solve(_kernel(problem, g), np.asarray(change))
    assert squared == pytest.approx(inner, rel=1e-9)


def _kernel(problem, g):
    rows = jax.jacrev(problem.predict)(g)
    J = np.concatenate([np.asarray(x).reshape(3, -1) for x in jax.tree.leaves(rows)], axis=1)
    return J @ J.T


def test_igahd_stability_is_where_the_formula_says():
    """λ < 2(2 − αh)/(h² + 2βh) separates decay from growth."""
    s, alpha, beta = 0.04, 0.8, 0.3
    h = s**0.5
    edge = 2 * (2 - alpha * h) / (h * h + 2 * beta * h)
    method = jd.IGAHD(s, alpha, beta)
    factors = method.mode(jnp.array([0.99 * edge, 1.01 * edge]), jnp.asarray(4000, jnp.int32))
    assert abs(float(factors[0])) < 1e-3
    assert abs(float(factors[1])) > 1e3


def test_what_has_no_closed_form_is_refused(key):
    import optax

    problem, g, _ = examples.problem(key)
    twin = jd.linearised(problem, g)
    with pytest.raises(ValueError, match="no closed form"):
        twin.residual(jd.Optax(optax.sgd(0.1)), 3)
    stated = jd.Problem(
        u=problem.u, operator=problem.operator, loss=jd.losses.LogCosh(), y=problem.y
    )
    with pytest.raises(TypeError, match="needs the squared error"):
        jd.linearised(stated, g)
    nonlinear = jd.Problem(
        u=problem.u,
        operator=jd.operators.PhaseRetrieval(problem.operator),
        loss=problem.loss,
        y=problem.y,
    )
    with pytest.raises(TypeError, match="needs a linear operator"):
        jd.linearised(nonlinear, g)
