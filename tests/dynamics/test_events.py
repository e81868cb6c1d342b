"""Events: runs that end at them, and the first times that are noted on the way."""

import diffrax as dfx
import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd

LAM, R0 = 0.7, 3.0


def one_mode(dtype=None):
    """f = ½ r² with J = √λ: gradient flow has r(t) = r0 e^{−λt}."""
    A = jd.operators.Identity(1, dtype=dtype)
    g = jd.Linear(jnp.array([[LAM**0.5]], dtype), jnp.zeros(1, dtype))
    y = jnp.array([-R0], dtype)
    problem = jd.Problem(u=jnp.ones(1, dtype), operator=A, loss=jd.losses.MSE(), y=y)
    return problem, g


def time_below(eps):
    return np.log(0.5 * R0**2 / eps) / (2 * LAM)


TIGHT = {"rtol": 1e-9, "atol": 1e-12}


@pytest.mark.parametrize("solver", ["explicit", "implicit", dfx.Kvaerno5()])
def test_a_flow_ends_where_the_closed_form_says(solver):
    problem, g = one_mode()
    ts = jnp.linspace(0, 20, 21)
    run = jd.integrate(
        problem,
        jd.GradientFlow(),
        g,
        ts,
        until=jd.events.LossBelow(1e-3),
        mark={"1": jd.events.LossBelow(1.0), "never": jd.events.LossBelow(1e-9)},
        solver=solver,
        **TIGHT,
    )
    assert bool(run.result == jd.RESULTS.converged)
    t = time_below(1e-3)
    np.testing.assert_allclose(run.hits["until"], t, rtol=1e-6)
    np.testing.assert_allclose(run.hits["1"], time_below(1.0), rtol=1e-6)
    assert np.isinf(run.hits["never"])
    # The moment of the event is the last record and the last generator.
    np.testing.assert_allclose(run.ts, [*range(int(t) + 1), t], rtol=1e-6)
    np.testing.assert_allclose(run.loss[-1], 1e-3, rtol=1e-6)
    np.testing.assert_allclose(problem.objective(run.generator), 1e-3, rtol=1e-6)


def test_the_time_is_located_far_below_the_solver_s_step():
    """The interpolant is smooth: bisection on it does not stop at the ends of steps."""
    problem, g = one_mode()
    for eps in np.geomspace(1e-3, 1, 5):
        run = jd.integrate(
            problem,
            jd.GradientFlow(),
            g,
            jnp.array([30.0]),
            until=jd.events.LossBelow(eps),
            **TIGHT,
        )
        assert float(run.hits["until"]) == pytest.approx(time_below(eps), rel=1e-6)
        assert float(run.stats["num_steps"]) < 200


def test_watched_flows_meet_the_same_events():
    problem, g = one_mode()
    ts = jnp.linspace(0, 20, 6)
    events = {
        "until": jd.events.LossBelow(1e-3),
        "mark": {"1": jd.events.LossBelow(1.0), "never": jd.events.LossBelow(1e-9)},
    }
    plain = jd.integrate(problem, jd.GradientFlow(), g, ts, **events, **TIGHT)
    seen = []
    run = jd.integrate(problem, jd.GradientFlow(), g, ts, watch=seen.append, **events, **TIGHT)
    assert bool(run.result == jd.RESULTS.converged)
    for name, t in plain.hits.items():
        np.testing.assert_allclose(run.hits[name], t, rtol=1e-6)
    np.testing.assert_allclose(run.ts, plain.ts, rtol=1e-6)
    np.testing.assert_allclose(seen[-1].t, run.hits["until"], rtol=1e-12)


def test_descent_ends_at_the_first_step_and_notes_the_others():
    problem, g = one_mode()
    step = 0.3
    expected = {}
    for eps in (1.0, 1e-3):
        residuals = R0 * (1 - step * LAM) ** np.arange(100)
        expected[eps] = int(np.argmax(0.5 * residuals**2 <= eps))
    run = jd.iterate(
        problem,
        jd.GradientDescent(step),
        g,
        100,
        every=7,
        until={"fit": jd.events.LossBelow(1e-3)},
        mark={"1": jd.events.LossBelow(1.0)},
    )
    assert int(run.stats["steps"]) == expected[1e-3]
    np.testing.assert_allclose(run.hits["fit"], step * expected[1e-3], rtol=1e-12)
    np.testing.assert_allclose(run.hits["1"], step * expected[1.0], rtol=1e-12)
    np.testing.assert_allclose(run.ts[-1], run.hits["fit"])


def test_noise_events_are_what_they_say(key):
    problem, g, data = examples.problem(key, noise=0.3)
    kinds = {
        "clean": jd.events.WithinNoise(data),
        "morozov": jd.events.ResidualBelow(data.noise_norm, factor=1.1),
        "own": jd.events.When(lambda p, g: p.objective(g) - 0.2),
    }
    observe = {
        "clean": jd.observables.PredictionError(data.y_clean),
        "morozov": jd.observables.ResidualNorm(),
        "own": jd.observables.Loss(),
    }
    levels = {"clean": 2 * data.noise_norm, "morozov": 1.1 * data.noise_norm, "own": 0.2}
    run = jd.iterate(problem, jd.GradientDescent(0.1), g, 300, every=1, observe=observe, mark=kinds)
    flow = jd.integrate(
        problem, jd.GradientFlow(), g, jnp.array([30.0]), observe=observe, mark=kinds, dense=True
    )
    for name, level in levels.items():
        below = np.asarray(run.observed[name] <= level)
        assert below.any()
        assert not below[0]
        np.testing.assert_allclose(run.hits[name], 0.1 * np.argmax(below), rtol=1e-12)
        at = flow.dense.observe(flow.hits[name])[name]
        np.testing.assert_allclose(at, level, rtol=1e-9)


def test_what_has_happened_before_the_start_ends_the_run_there():
    problem, g = one_mode()
    event = jd.events.LossBelow(R0**2)
    for ts in (jnp.array([0.0, 1.0]), jnp.array([1.0, 2.0])):
        for watch in (None, lambda p: False):
            run = jd.integrate(problem, jd.GradientFlow(), g, ts, until=event, watch=watch)
            assert bool(run.result == jd.RESULTS.converged)
            np.testing.assert_array_equal(run.ts, [0.0])
            np.testing.assert_allclose(run.loss, [0.5 * R0**2])
            assert float(run.hits["until"]) == 0.0
    run = jd.iterate(problem, jd.GradientDescent(0.1), g, 10, until=event)
    assert int(run.stats["steps"]) == 0
    assert float(run.hits["until"]) == 0.0


def test_divergence_ends_a_run_early():
    problem, g = one_mode()
    run = jd.iterate(
        problem, jd.GradientDescent(4.0), g, 10_000, until=jd.events.LossAbove(1e6), every=10_000
    )
    assert bool(run.result == jd.RESULTS.diverged)
    growth = (1 - 4.0 * LAM) ** 2
    expected = int(np.ceil(np.log(1e6 / (0.5 * R0**2)) / np.log(growth)))
    assert int(run.stats["steps"]) == expected
    assert 1e6 <= float(run.loss[-1]) < 1e6 * growth


def test_only_the_first_of_several_events_happens():
    problem, g = one_mode()
    until = {"later": jd.events.LossBelow(1e-3), "first": jd.events.ResidualBelow(1.0)}
    # A step of the solver that passes both: t1 is far beyond either.
    run = jd.integrate(problem, jd.GradientFlow(), g, jnp.array([9.0]), until=until, rtol=1e-2)
    assert bool(run.result == jd.RESULTS.stopped)
    assert np.isinf(run.hits["later"])
    np.testing.assert_allclose(run.hits["first"], np.log(R0) / LAM, rtol=1e-2)


def test_events_under_vmap_and_in_single_precision():
    problem, g = one_mode()

    def hits(eps):
        event = {"until": jd.events.LossBelow(eps), "mark": {"m": jd.events.LossBelow(2 * eps)}}
        flow = jd.integrate(problem, jd.GradientFlow(), g, jnp.array([30.0]), **event, **TIGHT)
        steps = jd.iterate(problem, jd.GradientDescent(1e-3), g, 20_000, **event)
        return flow.hits, steps.hits

    eps = jnp.array([1.0, 1e-2, 1e-4])
    flow, steps = jax.jit(jax.vmap(hits))(eps)
    np.testing.assert_allclose(flow["until"], time_below(np.asarray(eps)), rtol=1e-6)
    np.testing.assert_allclose(flow["m"], time_below(2 * np.asarray(eps)), rtol=1e-6)
    # (1 − γλ)^τ is e^{−λt} up to γλ/2.
    np.testing.assert_allclose(steps["until"], time_below(np.asarray(eps)), rtol=1e-3)
    problem, g = one_mode(jnp.float32)
    ts = jnp.array([30.0], jnp.float32)
    run = jd.integrate(problem, jd.GradientFlow(), g, ts, until=jd.events.LossBelow(1e-2))
    assert run.hits["until"].dtype == jnp.float32
    np.testing.assert_allclose(run.hits["until"], time_below(1e-2), rtol=1e-3)


def test_the_first_time_is_differentiable():
    """t = ln(r0²/2ε)/(2λ): dt/dε = −1/(2λε), by the implicit function theorem."""
    problem, g = one_mode()

    def hit(eps, kind):
        run = jd.integrate(
            problem,
            jd.GradientFlow(),
            g,
            jnp.array([30.0]),
            **{kind: {"e": jd.events.LossBelow(eps)}},
            **TIGHT,
        )
        return run.hits["e"]

    for kind in ("until", "mark"):
        slope = jax.grad(hit)(1e-2, kind)
        np.testing.assert_allclose(slope, -1 / (2 * LAM * 1e-2), rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"until": 1e-3}, TypeError, "until takes an event"),
        ({"mark": {"a": lambda p, g: 0}}, TypeError, "a function goes into"),
        (
            {
                "until": {"a": jd.events.LossBelow(1.0)},
                "mark": {"a": jd.events.LossBelow(1.0)},
            },
            ValueError,
            "share the name 'a'",
        ),
    ],
)
def test_wrong_events_are_said(wrong, error, says):
    problem, g = one_mode()
    with pytest.raises(error, match=says):
        jd.iterate(problem, jd.GradientDescent(0.1), g, 10, **wrong)
    with pytest.raises(error, match=says):
        jd.integrate(problem, jd.GradientFlow(), g, jnp.array([1.0]), **wrong)


def test_wrong_thresholds_are_said(key):
    with pytest.raises(ValueError, match="threshold is finite and zero or positive"):
        jd.events.LossBelow(-1.0)
    with pytest.raises(TypeError, match=r"what jaxdip\.measure returned"):
        jd.events.WithinNoise(0.5)
    with pytest.raises(TypeError, match="takes a function"):
        jd.events.When(3)
    problem, g = one_mode()
    with pytest.raises(ValueError, match="one real number"):
        jd.iterate(
            problem, jd.GradientDescent(0.1), g, 3, until=jd.events.When(lambda p, g: jnp.ones(2))
        )
    with pytest.raises(ValueError, match="'tolerance'"):
        jd.iterate(
            *(problem, jd.GradientDescent(0.1), g, 3),
            tolerance=1.0,
            until={"tolerance": jd.events.LossBelow(1.0)},
        )


def test_runs_with_events_are_differentiable_forward():
    problem, g = one_mode()

    def end(step):
        return jd.iterate(
            problem, jd.GradientDescent(step), g, 20, mark=jd.events.LossBelow(1e-3)
        ).loss[-1]

    _, slope = jax.jvp(end, (0.1,), (1.0,))
    exact = 0.5 * R0**2 * 40 * (1 - 0.1 * LAM) ** 39 * -LAM
    np.testing.assert_allclose(slope, exact, rtol=1e-9)
