"""Two motions side by side: their gaps against the drivers' own runs, their orders, their ends."""

import diffrax as dfx
import equinox as eqx
import examples
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg

import jaxdip as jd

ALPHA, BETA, H = 0.5, 0.3, 0.05


def weights(problem, g):
    return jnp.concatenate([g.W.ravel(), g.V.ravel()])


def test_gaps_are_those_of_the_drivers_own_runs(key):
    problem, g, _ = examples.problem(key, "two-layer-both")
    flow, method = jd.ISEHD(ALPHA, BETA), jd.IGAHD(H * H, ALPHA, BETA)
    ours = jd.compare(problem, flow, method, g, 50, every=20)
    wrong = jd.compare(problem, jd.ISEHD(ALPHA, 0.1), method, g, 50, every=20)
    # In full coordinates, with every weight stored: what compare avoids.
    observe = {
        "theta": weights,
        "signal": jd.observables.Signal(),
        "prediction": jd.observables.Prediction(),
    }
    steps = jd.iterate(problem, method, g, 50, every=10, observe=observe, reduce=False)
    solve = jd.integrate(
        problem, flow, g, steps.ts, observe=observe, reduce=False, rtol=1e-11, atol=1e-13
    )
    rows = np.array([0, 2, 4, 5])
    np.testing.assert_allclose(ours.ts, steps.ts[rows], rtol=1e-12)
    theirs = jd.gap(solve, steps).pointwise
    assert set(ours.gaps) == set(theirs)
    for name, gaps in ours.pointwise.items():
        np.testing.assert_allclose(gaps, theirs[name][rows], rtol=1e-6, atol=1e-10)
        assert float(ours.sup[name]) == pytest.approx(np.max(theirs[name][rows]), rel=1e-6)
        assert float(ours.sup[name]) > 1e-4
    np.testing.assert_allclose(ours.steps.loss, steps.loss[rows], rtol=1e-11)
    np.testing.assert_allclose(ours.steps.generator.W, steps.generator.W, atol=1e-12)
    np.testing.assert_allclose(ours.flow.generator.V, solve.generator.V, atol=1e-8)
    assert int(ours.steps.stats["steps"]) == 50
    assert ours.steps.notes == ()
    assert wrong.flow.notes == (
        "beta: the flow has 0.1, the method 0.3, so it does not tend to it",
    )


def linear(key):
    """A linear generator, on which everything here runs as one compiled program."""
    problem, g, _ = examples.problem(key, "linear")
    M = np.asarray(problem.operator.matrix() @ g.J)
    return problem, g, M.T @ M, M.T @ (M @ np.asarray(g.c) - np.asarray(problem.y))


def run(problem, g, gamma, steps=40, **options):
    GF, GD = jd.GradientFlow(), jd.GradientDescent(gamma)
    return jd.compare(problem, GF, GD, g, steps, every=steps // 4, **options)


def test_the_parameter_gap_of_a_linear_generator_against_matrices(key):
    problem, g, hessian, gradient = linear(key)
    gamma = 0.1
    ours = run(problem, g, gamma)
    moved = np.linalg.pinv(hessian) @ gradient
    exact = []
    for tau in range(0, 41, 10):
        one = scipy.linalg.expm(-gamma * tau * hessian) @ moved
        two = np.linalg.matrix_power(np.eye(len(moved)) - gamma * hessian, tau) @ moved
        exact.append(np.linalg.norm(one - two))
    np.testing.assert_allclose(ours.pointwise["theta"], exact, atol=1e-9)


def test_extrapolation_raises_the_order_from_one_to_two(key):
    problem, g, _ = examples.problem(key, "two-layer-both")
    flow, method = jd.ISEHD(ALPHA, BETA), jd.IGAHD(H * H, ALPHA, BETA)
    order = jd.compare(problem, flow, method, g, 80, halvings=3, every=16).order()
    np.testing.assert_allclose(order.time_steps, H / 2.0 ** np.arange(4), rtol=1e-12)
    for name in ("loss", "signal", "prediction", "theta"):
        assert order.fitted[name] == pytest.approx(1, abs=0.1)
        assert order.successive[name][-1] == pytest.approx(1, abs=0.05)
        assert order.extrapolation.fitted[name] == pytest.approx(2, abs=0.1)
        assert order.extrapolation.gaps[name][0] < 0.1 * order.gaps[name][0]
    same = jd.convergence_order(
        problem, flow, jd.IGAHD(1.0, ALPHA, BETA), g, horizon=4.0, steps=80, halvings=3, records=5
    )
    np.testing.assert_allclose(same.gaps["theta"], order.gaps["theta"], rtol=1e-6)


def test_works_under_jit_and_vmap(key):
    problem, g, _, _ = linear(key)

    def sup(y, gamma):
        return run(eqx.tree_at(lambda p: p.y, problem, y), g, gamma).sup

    ys = problem.y + jnp.array([0.0, 0.5])[:, None]
    gammas = jnp.array([0.05, 0.1])
    batch = jax.jit(jax.vmap(sup))(ys, gammas)
    for i in range(2):
        for name, value in sup(ys[i], gammas[i]).items():
            assert float(batch[name][i]) == pytest.approx(float(value), rel=1e-6)


def test_a_diverging_method_is_data_and_the_flow_stops_with_it(key):
    problem, g, hessian, _ = linear(key)
    # Grows by 19 a step: finite after 100 steps, infinite after 300.
    gamma = 20 / np.linalg.eigvalsh(hessian)[-1]
    ours = run(problem, g, gamma, 400)
    assert bool(ours.steps.result == jd.RESULTS.diverged)
    assert bool(ours.flow.result == jd.RESULTS.completed)
    assert ours.ts.shape == ours.flow.ts.shape == ours.pointwise["theta"].shape
    assert 2 <= ours.ts.shape[0] < 5
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in ours.pointwise.values())
    assert bool(jnp.all(jnp.isfinite(ours.steps.generator.c)))
    with pytest.raises(RuntimeError, match="take a smaller step"):
        run(problem, g, gamma, 400, throw=True)


def test_the_flow_follows_the_clock_of_a_method_that_chooses_its_steps(key):
    problem, g, hessian, gradient = linear(key)
    method = jd.GradientDescent(jd.steps.Armijo())
    ours = jd.compare(problem, jd.GradientFlow(), method, g, 12, every=4)
    run = jd.iterate(problem, method, g, 12, every=4)
    np.testing.assert_allclose(ours.ts, run.ts, rtol=1e-12)
    np.testing.assert_allclose(ours.steps.loss, run.loss, rtol=1e-10)
    end = scipy.linalg.expm(-float(ours.ts[-1]) * hessian) - np.eye(len(gradient))
    moved = np.linalg.pinv(hessian) @ end @ gradient
    np.testing.assert_allclose(ours.flow.generator.c - g.c, moved, atol=1e-8)


def test_single_precision_stays_single(key):
    problem, g, _ = examples.problem(key, dtype="float32")
    ours = jd.compare(problem, jd.GradientFlow(), jd.GradientDescent(0.1), g, 20, every=10)
    assert {x.dtype for x in ours.gaps.values()} == {jnp.dtype("float32")}
    assert bool(ours.flow.result == jd.RESULTS.completed)
    assert 1e-5 < float(ours.sup["theta"]) < 1


def test_wrong_calls_are_answered_in_one_line(key):
    problem, g, _, _ = linear(key)
    GF, GD = jd.GradientFlow(), jd.GradientDescent(0.1)
    armijo = jd.GradientDescent(jd.steps.Armijo())
    calls = {
        "takes the flow first": lambda: jd.compare(problem, GD, GD, g, 3),
        "a discrete dynamics after": lambda: jd.compare(problem, GF, GF, g, 3),
        "steps is a whole": lambda: jd.compare(problem, GF, GD, g, 0),
        "halvings is a whole": lambda: jd.compare(problem, GF, GD, g, 3, halvings=-1),
        "every is a whole": lambda: jd.compare(problem, GF, GD, g, 3, every=4),
        "rtol is finite": lambda: jd.compare(problem, GF, GD, g, 3, rtol=-1.0),
        "always the gap": lambda: jd.compare(problem, GF, GD, g, 3, observe={"theta": weights}),
        "at least two step sizes": lambda: run(problem, g, 0.1).order(),
        "known only from a run": lambda: jd.compare(problem, GF, armijo, g, 3, halvings=1),
    }
    for message, call in calls.items():
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_orders_that_mean_nothing_are_refused(key):
    problem, g, _, _ = linear(key)
    GF = jd.GradientFlow()
    label = jd.Optax(optax.sgd(0.1), time_step=0.1)
    random = jd.StochasticGradientDescent(0.1, 1, key=key)
    for method, message in ((label, "is a label"), (random, "weak_gap")):
        jd.compare(problem, GF, method, g, 4)
        with pytest.raises(ValueError, match=message):
            jd.compare(problem, GF, method, g, 4, halvings=1)
        with pytest.raises(ValueError, match=message):
            jd.convergence_order(problem, GF, method, g, horizon=1.0, steps=10)
    whole = jd.StochasticGradientDescent(0.01, problem.y.size, key=key)
    order = jd.compare(problem, GF, whole, g, 20, every=10, halvings=2).order()
    assert order.successive["theta"][-1] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("flow", "method", "pair"),
    [
        (jd.GradientFlow(), jd.GradientDescent(0.1), True),
        (jd.ISEHD(0.5, 0.1), jd.IGAHD(0.01, 0.5, 0.1), True),
        (jd.GradientFlow(), jd.IGAHD(0.01, 0.5, 0.1), False),
        (jd.ISEHD(0.5, 0.1), jd.GradientDescent(0.1), False),
        (jd.ISEHD(0.5, 0.1), jd.IGAHDVanishing(0.01, 3.0, 0.1), False),
    ],
)
def test_flows_and_methods_that_are_no_pair_are_noted(key, flow, method, pair):
    problem, g, _, _ = linear(key)
    notes = jd.compare(problem, flow, method, g, 2, observe={"E": jd.PathLength()}).flow.notes
    assert any("are no pair" in note for note in notes) != pair


def test_mistakes_about_flows_solvers_and_counts_are_answered(key):
    problem, g, _, _ = linear(key)
    GF, GD = jd.GradientFlow(), jd.GradientDescent(0.1)

    def order(flow=GF, method=GD, **options):
        return jd.convergence_order(problem, flow, method, g, **{"horizon": 1.0, **options})

    calls = {
        "solver='implicit'": lambda: jd.compare(problem, GF, GD, g, 3, solver="implicit"),
        "not the class": lambda: jd.compare(problem, GF, GD, g, 3, solver=dfx.Tsit5),
        "got the class itself": lambda: jd.compare(problem, jd.GradientFlow, GD, g, 3),
        r"ISEHD\(...\), an object": lambda: jd.compare(problem, jd.ISEHD, GD, g, 3),
        "returned int": lambda: jd.compare(problem, lambda h: 3, GD, g, 3),
        "takes the time step alone": lambda: jd.compare(problem, jd.ModifiedISEHD, GD, g, 3),
        "steps is a whole number": lambda: order(steps=0),
        "convergence_order takes the flow first": lambda: order(GD, GD, steps=10),
        "convergence_order takes a discrete": lambda: order(GF, GF, steps=10),
        "horizon is finite and positive": lambda: order(steps=10, horizon=-1.0),
        "halvings is a whole number": lambda: order(steps=10, halvings=0),
    }
    for message, call in calls.items():
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    one, two = (jd.compare(problem, GF, GD, g, 3, solver=s) for s in ("explicit", None))
    np.testing.assert_array_equal(one.gaps["theta"], two.gaps["theta"])
