"""How runs are driven: compilation, batches, early exit, failure, watching, differentiation."""

import diffrax as dfx
import equinox as eqx
import examples
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdip as jd
from jaxdip.problem import parametrize


class Counter:
    """Counts how often an operator is traced."""

    def __init__(self, operator):
        self.operator, self.traces = operator, 0

    def __call__(self, x):
        self.traces += 1
        return self.operator(x)


def counted(key, loss=None):
    problem, g, _ = examples.problem(key)
    counter = Counter(problem.operator)
    A = jd.operators.Callable(counter, (examples.N,))
    loss = problem.loss if loss is None else loss
    return counter, jd.Problem(u=problem.u, operator=A, loss=loss, y=problem.y), g


def test_new_numbers_do_not_recompile(key):
    counter, problem, g = counted(key, jd.losses.Power(0.3))
    ts = jnp.array([0.5, 1.0])
    linear = examples.problem(key)[0].operator
    measuring = Counter(linear)

    @jax.jit
    def noisy(y, level):
        measuring(jnp.zeros(examples.N))
        return jd.measure(jd.operators.Identity(3), y, noise=level, key=key).y

    def run(step, alpha, beta, p, noise, rtol):
        A = problem.operator
        y = noisy(problem.y, noise)
        stated = jd.Problem(u=problem.u, operator=A, loss=jd.losses.Power(p), y=y)
        before = counter.traces
        jd.iterate(stated, jd.GradientDescent(step), g, 6, every=3)
        jd.iterate(stated, jd.GradientDescent(step), g, 6, every=3, tolerance=0.1 * step)
        jd.iterate(stated, jd.IGAHD(step, alpha, beta), g, 6, every=3)
        jd.integrate(stated, jd.GradientFlow(), g, ts, rtol=rtol)
        jd.integrate(stated, jd.ISEHD(alpha, beta), g, ts * (1 + step), rtol=rtol)
        return counter.traces - before

    first = run(0.01, 0.5, 0.1, 0.2, 0.0, 1e-4)
    # Stating a problem evaluates shapes (no compilation): count that part alone.
    stating = [run(0.02, 0.6, 0.2, 0.7, 0.1, 1e-5), run(0.03, 0.7, 0.0, 1.0, 0.3, 1e-3)]
    assert stating[0] == stating[1]
    assert first > stating[0] + 10
    assert stating[0] <= 12
    assert measuring.traces == 1


def test_compiled_programs_are_reused(key):
    """The number of XLA compilations after the first call is zero, whatever the numbers."""
    problem, g, _ = examples.problem(key)
    compiled = []

    def listener(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        for step in (0.01, 0.02):
            before = len(compiled)
            jd.iterate(problem, jd.GradientDescent(step), g, 6, every=3)
            jd.integrate(problem, jd.ISEHD(0.5 + step, step), g, jnp.array([0.5, 1.0]))
            count = len(compiled) - before
            if step == 0.01:
                assert count > 0
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    assert count == 0


def test_iterate_works_under_jit_and_vmap(key):
    problem, g, _ = examples.problem(key)
    method = examples.LINEAR_DESCENTS["igahd"]()
    alone = jd.iterate(problem, method, g, 40, every=10)
    jitted = jax.jit(lambda p, g: jd.iterate(p, method, g, 40, every=10))(problem, g)
    np.testing.assert_allclose(jitted.loss, alone.loss, rtol=1e-12)
    assert bool(jitted.result == jd.RESULTS.completed)
    ys = problem.y + jnp.array([0.0, 0.5, 1.0])[:, None]
    batch = jax.vmap(
        lambda y: jd.iterate(
            eqx.tree_at(lambda p: p.y, problem, y), method, g, 40, every=10, tolerance=1e-3
        )
    )(ys)
    assert batch.ts.shape == (3, 5)
    for i, y in enumerate(ys):
        one = jd.iterate(
            eqx.tree_at(lambda p: p.y, problem, y), method, g, 40, every=10, tolerance=1e-3
        )
        reached = np.isfinite(batch.ts[i])
        np.testing.assert_allclose(batch.loss[i][reached], one.loss, rtol=1e-10)
        assert int(batch.stats["steps"][i]) == int(one.stats["steps"])


def test_integrate_works_under_jit_and_vmap(key):
    problem, g, _ = examples.problem(key)
    ts = jnp.array([0.5, 1.0])
    alone = jd.integrate(problem, jd.GradientFlow(), g, ts)
    ys = problem.y + jnp.array([0.0, 0.5])[:, None]
    batch = jax.jit(
        jax.vmap(
            lambda y: (
                jd.integrate(eqx.tree_at(lambda p: p.y, problem, y), jd.GradientFlow(), g, ts).loss
            )
        )
    )(ys)
    np.testing.assert_allclose(batch[0], alone.loss, rtol=1e-6)


def test_early_exit_at_the_first_step_below_the_tolerance(key):
    problem, g, _ = examples.problem(key)
    full = jd.iterate(problem, jd.GradientDescent(0.2), g, 400, every=1)
    tolerance = float(full.loss[137]) * (1 + 1e-9)
    run = jd.iterate(problem, jd.GradientDescent(0.2), g, 400, every=50, tolerance=tolerance)
    assert bool(run.result == jd.RESULTS.converged)
    assert int(run.stats["steps"]) == 137
    np.testing.assert_allclose(run.ts, 0.2 * np.array([0, 50, 100, 137]), rtol=1e-12)
    np.testing.assert_allclose(run.loss, full.loss[jnp.array([0, 50, 100, 137])], rtol=1e-10)
    at_once = jd.iterate(problem, jd.GradientDescent(0.2), g, 400, tolerance=1e9)
    assert int(at_once.stats["steps"]) == 0
    assert at_once.ts.shape == (1,)


def test_records_at_multiples_and_at_the_end(key):
    problem, g, _ = examples.problem(key)
    run = jd.iterate(problem, jd.GradientDescent(0.2), g, 25, every=10)
    np.testing.assert_allclose(run.ts, 0.2 * np.array([0, 10, 20, 25]), rtol=1e-12)


def test_a_diverged_run_is_data(key):
    problem, g, _ = examples.problem(key, "linear", "square")
    run = jd.iterate(problem, jd.GradientDescent(50.0), g, 2000, every=100)
    assert bool(run.result == jd.RESULTS.diverged)
    assert not jnp.isfinite(run.loss[-1])
    assert run.ts.shape[0] < 21
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(run.generator))
    with pytest.raises(RuntimeError, match="take a smaller step"):
        jd.iterate(problem, jd.GradientDescent(50.0), g, 2000, throw=True)


def test_a_diverged_lane_leaves_its_neighbours_alone(key):
    problem, g, _ = examples.problem(key, "linear", "square")
    steps = jnp.array([0.001, 50.0, 0.002])
    batch = jax.vmap(
        lambda step: jd.iterate(problem, jd.GradientDescent(step), g, 1000, every=100)
    )(steps)
    assert (batch.result == jd.RESULTS.diverged).tolist() == [False, True, False]
    for i in (0, 2):
        alone = jd.iterate(problem, jd.GradientDescent(float(steps[i])), g, 1000, every=100)
        np.testing.assert_allclose(batch.loss[i], alone.loss, rtol=1e-9)


def test_infinite_weights_are_not_called_converged(key):
    """tanh(∞) = 1 is finite: the loss alone would not notice."""
    problem, g, _ = examples.problem(key)
    broken = eqx.tree_at(lambda g: g.W, g, g.W.at[0, 0].set(jnp.inf))
    run = jd.iterate(problem, jd.GradientDescent(0.1), broken, 10, tolerance=1e9)
    assert bool(run.result == jd.RESULTS.diverged)


def test_a_solver_that_runs_out_of_steps_says_so(key):
    problem, g, _ = examples.problem(key)
    ts = jnp.linspace(0, 10.0, 11)
    run = jd.integrate(problem, jd.GradientFlow(), g, ts, max_steps=3, rtol=1e-10, atol=1e-12)
    assert bool(run.result == jd.RESULTS.out_of_steps)
    assert run.ts.shape[0] < 11
    assert bool(jnp.all(jnp.isfinite(run.loss)))
    with pytest.raises(RuntimeError, match="raise max_steps"):
        jd.integrate(
            problem, jd.GradientFlow(), g, ts, max_steps=3, rtol=1e-10, atol=1e-12, throw=True
        )


def test_watching_changes_nothing_and_may_stop(key):
    problem, g, _ = examples.problem(key)
    method = jd.IGAHD(0.02, 0.5, 0.1)
    seen = []
    plain = jd.iterate(problem, method, g, 50, every=10)
    watched = jd.iterate(problem, method, g, 50, every=10, watch=seen.append)
    np.testing.assert_allclose(watched.loss, plain.loss, rtol=1e-12)
    assert [p.done for p in seen] == [1, 2, 3, 4, 5, 6]
    assert {p.total for p in seen} == {6}
    stopped = jd.iterate(problem, method, g, 50, every=10, watch=lambda p: p.done == 3)
    assert bool(stopped.result == jd.RESULTS.stopped)
    np.testing.assert_allclose(stopped.ts, plain.ts[:3])
    np.testing.assert_allclose(problem.objective(stopped.generator), plain.loss[2], rtol=1e-10)


def test_watching_a_flow(key):
    problem, g, _ = examples.problem(key)
    ts = jnp.array([0.0, 0.5, 1.0, 2.0])
    tight = {"rtol": 1e-10, "atol": 1e-12}
    plain = jd.integrate(problem, jd.ISEHD(0.5, 0.3), g, ts, **tight)
    seen = []
    watched = jd.integrate(problem, jd.ISEHD(0.5, 0.3), g, ts, watch=seen.append, **tight)
    np.testing.assert_allclose(watched.loss, plain.loss, rtol=1e-7)
    np.testing.assert_allclose(watched.generator.W, plain.generator.W, atol=1e-8)
    assert [float(p.t) for p in seen] == [0.0, 0.5, 1.0, 2.0]
    stopped = jd.integrate(problem, jd.ISEHD(0.5, 0.3), g, ts, watch=lambda p: p.done == 2)
    assert bool(stopped.result == jd.RESULTS.stopped)
    assert stopped.ts.shape == (2,)
    # Every save between two stops is that of the watched run, so momentum is carried over.
    assert float(jnp.max(jnp.abs(watched.loss[:2] - plain.loss[:2]))) < 1e-7


@pytest.mark.parametrize("name", ["step", "beta"])
def test_gradients_through_the_drivers(key, name):
    problem, g, _ = examples.problem(key)

    def final(value):
        if name == "step":
            return jd.iterate(problem, jd.GradientDescent(value), g, 30, every=10).loss[-1]
        return jd.integrate(
            problem, jd.ISEHD(0.5, value), g, jnp.array([1.0]), rtol=1e-10, atol=1e-12
        ).loss[-1]

    at, h = 0.1, 1e-5
    reverse = float(jax.grad(final)(at))
    difference = (float(final(at + h)) - float(final(at - h))) / (2 * h)
    assert reverse == pytest.approx(difference, rel=1e-5)
    if name == "step":
        forward = float(jax.jvp(final, (at,), (1.0,))[1])
        assert forward == pytest.approx(difference, rel=1e-5)


def test_optax_runs_on_its_own_clock(key):
    problem, g, _ = examples.problem(key)
    plain = jd.iterate(problem, jd.GradientDescent(0.1), g, 20, every=10)
    sgd = jd.iterate(problem, jd.Optax(optax.sgd(0.1), time_step=0.1), g, 20, every=10)
    assert jd.gap(plain, sgd).sup["loss"] < 1e-13


def test_optax_takes_adam_with_a_rate_that_is_data(key):
    problem, g, _ = examples.problem(key)
    run = jd.iterate(problem, jd.Optax(optax.adam(jnp.asarray(0.01))), g, 1)
    # Its first step moves every weight by the rate, up to Adam's ε.
    np.testing.assert_allclose(jnp.abs(run.generator.W - g.W), 0.01, rtol=1e-3)


def test_gap_needs_common_times(key):
    problem, g, _ = examples.problem(key)
    a = jd.iterate(problem, jd.GradientDescent(0.1), g, 20, every=10)
    b = jd.iterate(problem, jd.GradientDescent(0.05), g, 40, every=10)
    shared = jd.gap(a, b)
    np.testing.assert_allclose(shared.ts, [0.0, 1.0, 2.0], atol=1e-12)
    assert 0 < shared.sup["loss"] == shared.pointwise["loss"].max()
    flow = jd.integrate(problem, jd.GradientFlow(), g, jnp.array([0.33]))
    with pytest.raises(ValueError, match="share no time"):
        jd.gap(a, flow)


def test_defaults_come_from_the_spectrum_and_are_said(key):
    problem, g, _ = examples.problem(key)
    mu = float(jd.jacobian_sigma_min(problem, g))
    L = float(jd.gradient_lipschitz(problem, g).value)
    flow = jd.integrate(problem, jd.ISEHD(), g, jnp.array([0.1]))
    assert float(flow.stats["alpha"]) == pytest.approx(mu)
    assert float(flow.stats["beta"]) == pytest.approx(1 / (2 * mu))
    assert len(flow.notes) == 2
    run = jd.iterate(problem, jd.IGAHD(), g, 3)
    assert float(run.stats["s"]) == pytest.approx(1 / L)
    assert float(run.stats["beta"]) == pytest.approx(L**-0.5)
    assert float(run.stats["alpha"]) == pytest.approx(min(mu, L**0.5 / 4))
    assert len(run.notes) == 3


@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_default_igahd_converges_where_the_damping_is_capped(key, spread):
    """J = I, κ(A) ≤ 2: μ is as large as √L, and α√s = ½ would leave a mode oscillating forever."""
    A = jd.operators.Dense(jnp.diag(jnp.linspace(1.0, spread, 5)))
    g = jd.Linear(jnp.eye(5))
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=jnp.arange(1.0, 6.0))
    run = jd.iterate(problem, jd.IGAHD(), g, 200)
    assert float(run.loss[-1]) < 1e-24 * float(run.loss[0])


def test_a_start_from_which_nothing_can_be_learned_is_said(key):
    g = jd.Linear(jnp.zeros((3, 2)))
    A = jd.operators.Identity(3)
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=jnp.ones(3))
    with pytest.raises(ValueError, match="A J, which is zero at the start"):
        jd.integrate(problem, jd.ISEHD(), g, jnp.array([1.0]))
    with pytest.raises(ValueError, match="needs L > 0"):
        jd.iterate(problem, jd.GradientDescent(), g, 3)


def test_other_solvers_and_a_flow_of_ones_own(key):
    problem, g, _ = examples.problem(key)
    ts = jnp.array([1.0])
    tsit = jd.integrate(problem, jd.GradientFlow(), g, ts, rtol=1e-9, atol=1e-11)
    dopri = jd.integrate(
        problem, jd.GradientFlow(), g, ts, rtol=1e-9, atol=1e-11, solver=dfx.Dopri8()
    )
    np.testing.assert_allclose(tsit.loss, dopri.loss, rtol=1e-7)
    f, theta = parametrize(problem, g)
    assert float(f(theta)) == pytest.approx(float(problem.objective(g)))


def test_wrong_ways_to_run_are_answered_in_one_line(key):
    problem, g, _ = examples.problem(key)
    GF, GD, ts = jd.GradientFlow(), jd.GradientDescent(0.1), jnp.ones(1)
    calls = {
        "max_steps is a whole number, at least 1, got 0": {"max_steps": 0},
        "max_steps is a whole number, at least 1, got -1": {"max_steps": -1},
        "both 0": {"rtol": 0.0, "atol": 0.0},
        "adjoint is a diffrax object": {"adjoint": "x"},
        "stepsize_controller is a diffrax object": {"stepsize_controller": "x"},
        "watch is a function": {"watch": 3},
    }
    for message, options in calls.items():
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            jd.integrate(problem, GF, g, ts, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="ts holds real times"):
        jd.integrate(problem, GF, g, ts.astype(complex))
    with pytest.raises(TypeError, match="watch is a function"):
        jd.iterate(problem, GD, g, 3, watch=3)
    told = lambda p: None  # noqa: E731
    with pytest.raises(ValueError, match="not inside jit, vmap or grad"):
        jax.jit(lambda p: jd.iterate(p, GD, g, 3, watch=told).loss)(problem)
    with pytest.raises(ValueError, match="not inside jit, vmap or grad"):
        jax.jit(lambda p: jd.integrate(p, GF, g, ts, watch=told).loss)(problem)
    jd.integrate(problem, GF, g, ts, max_steps=np.int64(1000), rtol=0.0, atol=1e-4)
