"""The closed forms of the linearised dynamics, against runs that are linear and against SciPy."""

import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import jaxdip as jd
from jaxdip._result import RESULTS
from jaxdip.dynamics._modes import damped_mode, recurrence_mode

OBSERVE = {"signal": jd.observables.Signal(), "prediction": jd.observables.Prediction()}
DYNAMICS = {
    "gf": jd.GradientFlow(),
    "isehd": jd.ISEHD(0.6, 0.25),
    "gd": jd.GradientDescent(0.05),
    "igahd": jd.IGAHD(0.03, 0.6, 0.25),
    "igahd-eta": jd.IGAHD(0.03, 0.6, 0.25, gradient_at="eta"),
}


@pytest.mark.parametrize(
    ("name", "operator"),
    # A twin takes the operator's shape before it knows of a dynamics: one of each driver suffices.
    [(name, "wide") for name in DYNAMICS] + [("gf", "tall"), ("igahd", "tall")],
)
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


@pytest.mark.parametrize(("dtype", "condition"), [(jnp.float32, 1e4), (jnp.float64, 1e10)])
@pytest.mark.parametrize("dynamics", [jd.GradientFlow(), jd.ISEHD(1.0, 0.1)], ids=["gf", "isehd"])
@pytest.mark.parametrize("generator", ["linear", "wide"])
def test_signal_and_residual_agree_on_an_ill_conditioned_operator(
    key, dtype, condition, dynamics, generator
):
    """A x_lin(t) − y = r(t) up to κε, for well-resolved modes far below √ε of the largest."""
    n = 6
    spectrum = jnp.asarray(np.geomspace(1, 1 / condition, n), dtype)
    A = jd.operators.WithSpectrum(spectrum, m=n, n=n, key=jd.key_for(key, "A"), dtype=dtype)
    if generator == "linear":
        g = jd.Linear(jnp.eye(n, dtype=dtype), jnp.zeros(n, dtype))
    else:
        g = jd.TwoLayer(latent=4, width=3000, out=n, key=jd.key_for(key, "g"), dtype=dtype)
    y = jax.random.normal(jd.key_for(key, "y"), (n,), dtype)
    u = jd.on_sphere(4, key=key, dtype=dtype)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y)
    twin = jd.linearised(problem, g)
    allowed = 5 * condition * float(jnp.finfo(dtype).eps) * float(jnp.linalg.norm(twin.residual0))
    for t in (1.0, 1 / float(twin.eigenvalues[-1]), jnp.inf):
        predicted = A(twin.signal(dynamics, t))
        apart = jnp.linalg.norm(predicted - y - twin.residual(dynamics, t))
        assert predicted.dtype == dtype
        assert float(apart) < allowed
    assert float(jnp.max(jnp.abs(twin.residual(dynamics, jnp.inf)))) == 0
    assert float(twin.degrees_of_freedom(dynamics, jnp.inf)) == n


@pytest.mark.parametrize(
    ("width", "dtype"), [(100, jnp.float32), (20_000, jnp.float32), (20_000, jnp.float64)]
)
def test_modes_of_a_rank_deficient_operator_stay_everywhere(key, dtype, width):
    """Rank 3 of 5: the others are zero, not rounding that infinite time would blow up."""
    factors = [jax.random.normal(jd.key_for(key, str(i)), (5, 3), dtype) for i in range(2)]
    A = jd.operators.Dense(factors[0] @ factors[1].T)
    g = jd.TwoLayer(latent=4, width=width, out=5, key=jd.key_for(key, "g"), dtype=dtype)
    u = jd.on_sphere(4, key=key, dtype=dtype)
    y = jax.random.normal(jd.key_for(key, "y"), (5,), dtype)
    twin = jd.linearised(jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y), g)
    assert np.count_nonzero(twin.singular_values) == 3
    assert float(twin.degrees_of_freedom(jd.GradientFlow(), jnp.inf)) == 3
    x = twin.signal(jd.GradientFlow(), jnp.inf)
    # What remains of the residual is what no x could remove.
    M = np.asarray(factors[0] @ factors[1].T, np.float64)
    left = np.linalg.lstsq(np.asarray(factors[0], np.float64), np.asarray(y, np.float64))[0]
    best = np.asarray(factors[0], np.float64) @ left - np.asarray(y)
    tolerance = 2000 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(M @ np.asarray(x) - np.asarray(y), best, atol=tolerance)
    np.testing.assert_allclose(twin.residual(jd.GradientFlow(), jnp.inf), best, atol=tolerance)


BAD_MOMENTS = [
    (jd.GradientFlow(), [1.0, 2.0, 3.0], ValueError, "one number, got shape"),
    (jd.GradientFlow(), -1.0, ValueError, "at least 0"),
    (jd.GradientFlow(), float("nan"), ValueError, "at least 0"),
    (jd.GradientFlow(), True, TypeError, "a time for a flow"),
    (jd.GradientFlow(), 1j, TypeError, "a time for a flow"),
    (jd.GradientDescent(0.1), [1, 2, 3], ValueError, "one number, got shape"),
    (jd.GradientDescent(0.1), -3, ValueError, "at least 0"),
    (jd.GradientDescent(0.1), 3.0, TypeError, "a whole number of steps"),
    (jd.GradientDescent(0.1), float("inf"), TypeError, "a whole number of steps"),
    (lambda t: t, 3, TypeError, "a flow or a discrete method"),
]


@pytest.mark.parametrize(("dynamics", "at", "error", "says"), BAD_MOMENTS)
def test_moments_that_are_none_are_refused_in_one_line(key, dynamics, at, error, says):
    problem, g, _ = examples.problem(key)
    twin = jd.linearised(problem, g)
    at = jnp.asarray(at) if isinstance(at, list) else at
    calls = (twin.factors, twin.fitted, twin.residual, twin.loss, twin.displacement)
    calls += (twin.signal, twin.generator, twin.degrees_of_freedom)
    for call in (*calls, lambda *both: twin.sure(*both, noise=0.1)):
        with pytest.raises(error, match=says):
            call(dynamics, at)


@pytest.mark.parametrize(
    ("dynamics", "at", "error", "says"),
    [
        (jd.GradientFlow(), 1.0, ValueError, "is a vector"),
        (jd.GradientFlow(), jnp.ones((2, 2)), ValueError, "is a vector"),
        (jd.GradientFlow(), jnp.ones(0), ValueError, "is a vector"),
        (jd.GradientFlow(), jnp.array([0.0, -1.0]), ValueError, "at least 0"),
        (jd.GradientFlow(), jnp.array([0.0, jnp.inf]), ValueError, "are finite"),
        (jd.GradientDescent(0.1), 10, ValueError, "is a vector"),
        (jd.GradientDescent(0.1), jnp.array([0.0, 1.5]), TypeError, "a whole number of steps"),
        (jd.GradientDescent(0.1), jnp.array([0, -3]), ValueError, "at least 0"),
    ],
)
def test_a_trajectory_takes_a_vector_of_moments(key, dynamics, at, error, says):
    problem, g, _ = examples.problem(key)
    with pytest.raises(error, match=says):
        jd.linearised(problem, g).trajectory(dynamics, at)


def test_many_moments_by_vmap_and_jit_are_one_by_one(key):
    problem, g, _ = examples.problem(key)
    twin, t = jd.linearised(problem, g), jnp.array([0.0, 0.3, 4.0])
    many = jax.vmap(lambda a: twin.loss(jd.GradientFlow(), a))(t)
    closed = jax.jit(lambda t: twin.trajectory(jd.GradientFlow(), t).loss)(t)
    alone = [float(twin.loss(jd.GradientFlow(), float(a))) for a in t]
    np.testing.assert_allclose(many, alone, rtol=1e-12)
    np.testing.assert_allclose(closed, alone, rtol=1e-12)


def test_of_stochastic_gradients_there_is_the_mean_alone(key):
    """Over all batches the mean of one step is the twin's; the mean of the losses is not."""
    problem, g, _ = examples.problem(key, "linear")
    twin, m = jd.linearised(problem, g), problem.y.size
    method = jd.StochasticGradientDescent(0.2, 1, key=key)
    f = lambda c: problem.predict(jd.Linear(g.J, c))  # noqa: E731
    J, r = jax.jacfwd(f)(g.c), f(g.c) - problem.y
    residuals = jnp.stack([f(g.c - 0.2 * m * J[i] * r[i]) for i in range(m)]) - problem.y
    np.testing.assert_allclose(residuals.mean(0), twin.residual(method, 1), rtol=1e-10)
    losses = 0.5 * (residuals**2).sum(1)
    full = float(twin.loss(jd.GradientDescent(0.2), 1))
    assert float(losses.mean()) > 1.01 * full
    for dynamics in (method, jd.with_path_length(method)):
        for call in (
            lambda d=dynamics: twin.loss(d, 1),
            lambda d=dynamics: twin.sure(d, 1, noise=0.1),
            lambda d=dynamics: twin.trajectory(d, jnp.arange(3)),
        ):
            with pytest.raises(ValueError, match="only the mean over its batches"):
                call()


def test_a_twin_that_overflows_has_diverged_as_the_run_has(key):
    problem, g, _ = examples.problem(key, "linear")
    twin = jd.linearised(problem, g)
    stable = 2 / float(twin.eigenvalues[0])
    at = jnp.array([0, 10, 3000, 4000])
    method = jd.GradientDescent(1.5 * stable)
    closed = twin.trajectory(method, at)
    run = jd.iterate(problem, method, g, 4000, at=[0, 10, 3000, 4000])
    assert bool(run.result == RESULTS.diverged)
    assert bool(closed.result == RESULTS.diverged)
    np.testing.assert_array_equal(np.isfinite(closed.loss), [True, True, False, False])
    np.testing.assert_allclose(closed.generator.c, twin.generator(method, 10).c, rtol=1e-12)
    np.testing.assert_allclose(closed.generator.c, run.generator.c, rtol=1e-8)
    nowhere = twin.trajectory(method, at[2:])
    np.testing.assert_array_equal(nowhere.generator.c, g.c)
    shorter = jd.GradientDescent(0.9 * stable)
    assert bool(twin.trajectory(shorter, at).result == RESULTS.completed)
    both = jax.vmap(lambda s: twin.trajectory(jd.GradientDescent(s), at).result == RESULTS.diverged)
    np.testing.assert_array_equal(both(jnp.array([1.5, 0.9]) * stable), [True, False])


@pytest.mark.parametrize("operator", ["wide", "tall"])
def test_at_infinity_the_twin_is_the_least_squares_solution(key, operator):
    problem, g, _ = examples.problem(key, "linear", operator)
    twin = jd.linearised(problem, g)
    J = np.asarray(problem.operator.matrix() @ g.J)
    best = np.asarray(g.c) - np.linalg.pinv(J) @ np.asarray(twin.residual0)
    for flow in (jd.GradientFlow(), jd.ISEHD(0.6, 0.25)):
        np.testing.assert_allclose(twin.generator(flow, jnp.inf).c, best, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("dynamics", "at"),
    [(jd.ISEHD(), 3.0), (jd.GradientDescent(), 30), (jd.IGAHD(), 30)],
    ids=["isehd", "gd", "igahd"],
)
def test_numbers_left_to_the_problem_are_those_of_the_drivers(key, dynamics, at):
    problem, g, _ = examples.problem(key, "linear", "wide")
    twin = jd.linearised(problem, g)
    if isinstance(dynamics, jd.ISEHD):
        run = jd.integrate(problem, dynamics, g, jnp.array([at]), rtol=1e-11, atol=1e-12)
    else:
        run = jd.iterate(problem, dynamics, g, at)
    closed = twin.trajectory(dynamics, jnp.array([at]))
    assert float(twin.loss(dynamics, at)) == pytest.approx(float(run.loss[-1]), rel=1e-8)
    assert float(closed.loss[0]) == pytest.approx(float(run.loss[-1]), rel=1e-8)
    assert set(run.notes) <= set(closed.notes)
    for name, value in closed.stats.items():
        assert float(value) == pytest.approx(float(run.stats[name]), rel=1e-12)


@pytest.mark.parametrize(
    ("noise", "error"), [(-1.0, ValueError), (float("nan"), ValueError), (None, TypeError)]
)
def test_a_noise_that_is_none_is_refused(key, noise, error):
    problem, g, _ = examples.problem(key)
    with pytest.raises(error, match=r"^noise is "):
        jd.linearised(problem, g).sure(jd.GradientFlow(), 1.0, noise=noise)
