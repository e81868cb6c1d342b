"""Step-size rules by their laws, and the largest stable step against its linear prediction."""

import equinox as eqx
import examples
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdip as jd
from jaxdip.dynamics._clock import start_clock
from jaxdip.problem import parametrize


def quadratic(eigenvalues, dtype=None):
    """f(c) = ½ Σ λ_i (c_i − 1)², started at 0."""
    J = jnp.diag(jnp.sqrt(jnp.asarray(eigenvalues, dtype)))
    n = J.shape[0]
    A = jd.operators.Identity(n, dtype=J.dtype)
    u = jnp.ones(1, J.dtype)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=J @ jnp.ones(n, J.dtype))
    return problem, jd.Linear(J)


def every_step(problem, method, g, steps, **options):
    observe = {"gradient": jd.observables.GradientNorm()}
    return jd.iterate(problem, method, g, steps, every=1, observe=observe, **options)


def test_fractions_of_the_inverse_lipschitz_constant():
    problem, g = quadratic([8.0, 1.0])
    for factor, words in ((1.0, "1/L"), (0.5, "1/(2L)"), (0.3, "0.3/L")):
        rule = jd.steps.InverseL(factor)
        run = jd.iterate(problem, jd.GradientDescent(rule), g, 3)
        assert float(run.ts[-1]) == pytest.approx(3 * factor / 8)
        assert run.notes[0].startswith(f"step_size: {words}, L from")
        inertial = jd.iterate(problem, jd.IGAHD(rule, 0.1, 0.0), g, 3)
        assert float(inertial.stats["s"]) == pytest.approx(factor / 8)


def test_a_table_and_a_schedule_are_the_loop(key):
    problem, g, _ = examples.problem(key)
    f, _ = parametrize(problem, g)
    table = np.array([0.3, 0.05, 0.2, 0.1])

    def law(tau):
        return 0.3 / (1 + tau.astype(float))

    cases = {
        "table": (jd.steps.Table(table), lambda tau: table[min(tau, 3)], 1e-12),
        "schedule": (law, lambda tau: 0.3 / (1 + tau), 1e-12),
        "optax": (optax.exponential_decay(0.3, 5, 0.5), lambda tau: 0.3 * 0.5 ** (tau / 5), 1e-6),
    }
    for rule, exact, tolerance in cases.values():
        run = jd.iterate(problem, jd.GradientDescent(rule), g, 9, every=3)
        W, t, times = g.W, 0.0, [0.0]
        for tau in range(9):
            moved = jd.TwoLayer(weights=(W, g.V), activation="tanh")
            W = W - exact(tau) * f.gradient(parametrize(problem, moved)[1]).W
            t += exact(tau)
            times.append(t)
        # optax computes its schedules in single precision.
        np.testing.assert_allclose(run.generator.W, W, atol=tolerance)
        np.testing.assert_allclose(run.ts, np.array(times)[[0, 3, 6, 9]], rtol=tolerance)


@pytest.mark.parametrize("rule", [jd.steps.Table(jnp.array([0.3, 0.1, 0.2])), lambda tau: 0.2])
def test_known_steps_have_a_closed_form(key, rule):
    problem, g, _ = examples.problem(key, "linear")
    method = jd.GradientDescent(rule)
    twin = jd.linearised(problem, g)
    run = jd.iterate(problem, method, g, 7, every=1)
    exact = twin.trajectory(method, jnp.arange(8))
    np.testing.assert_allclose(run.loss, exact.loss, rtol=1e-10)
    np.testing.assert_allclose(run.ts, exact.ts, rtol=1e-12)


@pytest.mark.parametrize(("decrease", "growth"), [(0.5, 2.0), (0.1, 1.0), (0.9, 1.5)])
def test_armijo_decreases_enough_at_each_step(key, decrease, growth):
    """f(θ_{τ+1}) ≤ f(θ_τ) − cγ‖∇f(θ_τ)‖², and the step refused before would not have done."""
    problem, g, _ = examples.problem(key)
    rule = jd.steps.Armijo(3.0, decrease=decrease, growth=growth)
    run = every_step(problem, jd.GradientDescent(rule), g, 30)
    loss, gradient = np.asarray(run.loss), np.asarray(run.observed["gradient"])
    gamma = np.diff(run.ts)
    assert np.all(np.diff(loss) <= -decrease * gamma * gradient[:-1] ** 2 + 1e-13)
    assert np.all(gamma > 0)
    trials = np.concatenate([[3.0], growth * gamma[:-1]])
    shrunk = np.log2(trials / gamma)
    np.testing.assert_allclose(shrunk, np.round(shrunk), atol=1e-9)
    assert np.any(shrunk > 0.5)
    # Minimality: one reduction less fails, checked on the first step.
    f, theta = parametrize(problem, g)
    direction = f.gradient(theta)
    over = jax.tree.map(lambda p, d: p - 2 * gamma[0] * d, theta, direction)
    assert float(f(over)) > loss[0] - 2 * decrease * gamma[0] * gradient[0] ** 2


def test_armijo_steps_stay_above_the_bound_of_theory():
    """γ ≥ min(initial, 2ρ(1 − c)/L), and on a sphere γ ≤ 2(1 − c)/L exactly."""
    problem, g = quadratic([4.0, 4.0, 4.0])
    for c in (0.2, 0.7):
        rule = jd.steps.Armijo(5.0, decrease=c, shrink=0.9, growth=1.0)
        gamma = np.diff(every_step(problem, jd.GradientDescent(rule), g, 3).ts)[0]
        limit = 2 * (1 - c) / 4
        assert 0.9 * limit <= gamma <= limit * (1 + 1e-9)


def test_armijo_survives_convergence_and_flat_land():
    problem, g = quadratic([1.0, 3.0])
    run = jd.iterate(problem, jd.GradientDescent(jd.steps.Armijo()), g, 3000, every=100)
    assert bool(run.result == jd.RESULTS.completed)
    assert float(run.loss[-1]) < 1e-25
    dead = jd.iterate(
        eqx.tree_at(lambda p: p.y, problem, jnp.zeros(2)),
        jd.GradientDescent(jd.steps.Armijo()),
        g,
        3000,
    )
    assert bool(dead.result == jd.RESULTS.completed)
    assert bool(jnp.all(jnp.isfinite(dead.ts)))


def test_armijo_in_single_precision():
    problem, g = quadratic([1.0, 3.0], jnp.float32)
    run = jd.iterate(problem, jd.GradientDescent(jd.steps.Armijo(1.0)), g, 200)
    assert run.loss.dtype == jnp.float32
    assert float(run.loss[-1]) < 1e-9


ADAPTIVE = {
    "table": lambda: jd.GradientDescent(jd.steps.Table(jnp.array([0.3, 0.1]))),
    "armijo": lambda: jd.GradientDescent(jd.steps.Armijo(2.0)),
    "inertial": lambda: jd.IGAHDBacktracking(3.0, 0.6, 0.05, growth=1.2),
}


@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_steps_are_the_same_in_reduced_coordinates(key, name):
    """They look only at values, norms and inner products, which the reduction keeps."""
    problem, g, _ = examples.problem(key, "two-layer-both")
    runs = [every_step(problem, ADAPTIVE[name](), g, 25, reduce=r) for r in (True, False)]
    np.testing.assert_allclose(runs[0].ts, runs[1].ts, rtol=1e-12)
    np.testing.assert_allclose(runs[0].loss, runs[1].loss, rtol=1e-9)
    np.testing.assert_allclose(runs[0].generator.W, runs[1].generator.W, atol=1e-10)
    assert np.ptp(np.diff(runs[0].ts)) > 1e-3


@pytest.mark.parametrize("name", ["armijo", "inertial"])
def test_adaptive_steps_under_vmap_and_grad(key, name):
    problem, g, _ = examples.problem(key)

    def final(scale):
        method = {
            "armijo": lambda: jd.GradientDescent(jd.steps.Armijo(2.0 * scale)),
            "inertial": lambda: jd.IGAHDBacktracking(3.0 * scale, 0.6, 0.05),
        }[name]()
        return jd.iterate(problem, method, g, 8, every=4).loss[-1]

    scales = jnp.array([0.7, 1.0, 1.3])
    batch = jax.jit(jax.vmap(final))(scales)
    np.testing.assert_allclose(batch, [final(s) for s in scales], rtol=1e-11)
    h = 1e-6
    difference = (final(1.0 + h) - final(1.0 - h)) / (2 * h)
    assert float(jax.grad(final)(1.0)) == pytest.approx(float(difference), rel=1e-5)


def test_the_inertial_energy_decreases_at_each_step(key):
    """E = f + ½‖v‖² falls by cαh‖v‖² at least; with the same α and a fixed step it does not."""
    problem, g, _ = examples.problem(key)
    alpha, c = 0.6, 0.5
    # Growing trials keep the steps at the edge of what the inequality admits.
    method = jd.IGAHDBacktracking(16.0, alpha, 0.05, decrease=c, shrink=0.8, growth=1.3)
    f, theta = parametrize(problem, g)
    step = eqx.filter_jit(method.step)

    def energy(theta, state):
        square = sum(float(jnp.sum(p * p)) for p in jax.tree.leaves(state[0]))
        return float(f(theta)) + 0.5 * square, square

    state, t = method.init(f, theta), 0.0
    G_before, last = f.gradient(theta).W, 4.0
    E, _ = energy(theta, state)
    halved = 0
    for _ in range(40):
        before, v, G = theta, state[0].W, f.gradient(theta).W
        theta, state = step(f, theta, state)
        new, square = energy(theta, state)
        h = float(state[2])
        halved += h < 4.0
        faster = (v - h * (0.05 * (G - G_before) / last + G)) / (1 + alpha * h)
        np.testing.assert_allclose(state[0].W, faster, atol=1e-12)
        np.testing.assert_allclose(theta.W - before.W, h * faster, atol=1e-12)
        G_before, last = G, h
        assert new <= E - c * alpha * h * square + 1e-12
        E, t = new, t + h
    assert halved
    assert float(method.time(jnp.asarray(40), state)) == pytest.approx(t)
    fixed = jd.IGAHDForward(16.0, alpha, 0.05)
    wild = jd.iterate(problem, fixed, g, 10, every=1)
    assert bool(jnp.any(jnp.diff(wild.loss) > 0))


def test_without_reductions_the_adaptive_method_is_the_fixed_one(key):
    problem, g, _ = examples.problem(key)
    fixed = jd.iterate(problem, jd.IGAHDForward(0.01, 0.6, 0.05), g, 50)
    adaptive = jd.iterate(problem, jd.IGAHDBacktracking(0.01, 0.6, 0.05), g, 50)
    assert jd.gap(fixed, adaptive).sup["loss"] < 1e-11


# Stability.


def spectral_radius(name, h, lam, alpha, beta, mu):
    """Of the 2 × 2 companion of each method on one mode, written out anew."""
    s = h * h
    if name == "gd":
        return abs(1 - h * lam)
    a, b, c = 1 - alpha * h, beta * h, s
    if name == "forward":
        a, b, c = (x / (1 + alpha * h) for x in (1.0, beta * h, s))
    if name == "convex":
        r = np.sqrt(mu * s)
        a, b, c = (x / (1 + r) for x in (1 - r, beta * h, s))
    if name == "eta":
        M = np.array([[(1 - s * lam) * (1 + a - b * lam), -(1 - s * lam) * (a - b * lam)], [1, 0]])
    else:
        M = np.array([[1 + a - (b + c) * lam, -(a - b * lam)], [1, 0]])
    return np.abs(np.linalg.eigvals(M)).max()


METHODS = {
    "gd": lambda alpha, beta, mu: jd.GradientDescent(1.0),
    "theta": lambda alpha, beta, mu: jd.IGAHD(1e-6, alpha, beta),
    "eta": lambda alpha, beta, mu: jd.IGAHD(1e-6, alpha, beta, gradient_at="eta"),
    "forward": lambda alpha, beta, mu: jd.IGAHDForward(1e-6, alpha, beta),
    "convex": lambda alpha, beta, mu: jd.IGAHDStronglyConvex(mu, 1e-6, beta),
}


@pytest.mark.parametrize("name", METHODS)
def test_linear_stability_limits_against_companion_eigenvalues(name):
    generator = np.random.default_rng(0)
    for _ in range(40):
        lam, alpha, mu = 10 ** generator.uniform(-1, 2, 3)
        beta = generator.choice([0.0, 10 ** generator.uniform(-2, 0)])
        method = METHODS[name](alpha, beta, mu)
        limit = float(method.stable_time_step(jnp.asarray(lam)))
        assert spectral_radius(name, limit * 1.001, lam, alpha, beta, mu) > 1
        for fraction in np.linspace(0.01, 0.999, 40):
            assert spectral_radius(name, limit * fraction, lam, alpha, beta, mu) < 1


@pytest.mark.parametrize("name", ["gd", "theta", "forward", "convex"])
def test_bisection_finds_the_linear_limit_on_a_quadratic(name):
    problem, g = quadratic([9.0, 4.0, 0.5])
    method = METHODS[name](0.7, 0.1, 0.5)
    found = jd.largest_stable_step(problem, method, g, steps=400, rtol=1e-4)
    assert float(found.eigenvalue) == pytest.approx(9.0)
    assert float(found.measured) == pytest.approx(float(found.predicted), rel=5e-3)
    assert "bisection" in found.how
    assert "linearised" in found.how


def test_bisection_is_one_program_for_all_numbers(key):
    problem, g, _ = examples.problem(key, "two-layer-both")
    compiled = []

    def listener(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        first = jd.largest_stable_step(problem, jd.GradientDescent(0.1), g, steps=50, level=4.0)
        assert compiled
        other = eqx.tree_at(lambda p: p.y, problem, 1.3 * problem.y)
        compiled.clear()
        jd.largest_stable_step(other, jd.GradientDescent(0.2), g, steps=50, level=3.0)
        assert not compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    # The end of the bisection is what it says: stable at it, unstable a little beyond.
    h = float(first.measured)
    assert np.isfinite(h)
    runs = [jd.iterate(problem, jd.GradientDescent(x), g, 50) for x in (h, 1.002 * h)]
    assert float(runs[0].loss[-1]) <= 4.0
    assert not float(runs[1].loss[-1]) <= 4.0


def companion_rate(beta, h, eigenvalues, alpha=1.0):
    """1 − ρ of IGAHD over all modes, from the roots of z² − (1 + a − bλ − sλ)z + (a − bλ)."""
    a, b, s = 1 - alpha * h, beta * h, h * h
    p, c = 1 + a - (b + s) * eigenvalues, a - b * eigenvalues
    root = np.sqrt(p * p - 4 * c + 0j)
    return 1 - np.max(np.maximum(np.abs(p + root), np.abs(p - root)) / 2)


def test_the_talks_damping_loses_the_acceleration_and_the_default_keeps_it():
    """α = μ = 1, modes from (μ/2)² to 10⁴: 1 − ρ at the best h of each choice of β.

    About 1.2e-4 for β = 1/(2α), 9e-3 for β = 0, 5.2e-3 for β = √s, against 5e-5 for gradient
    descent: the first is within a small factor of 1/κ, the others of 1/√κ.
    """
    hs = np.geomspace(1e-5, 0.03, 1500)
    best = {}
    for top in (1e4, 1e6):
        modes = np.geomspace(0.25, top, 600)
        for name, beta in (("talk", lambda h: 0.5), ("none", lambda h: 0.0), ("h", lambda h: h)):
            scaled = hs * (1e4 / top) ** (1.0 if name == "talk" else 0.5)
            best[name, top] = max(companion_rate(beta(h), h, modes) for h in scaled)
        best["gd", top] = 1 - (top - 0.25) / (top + 0.25)
    assert best["talk", 1e4] == pytest.approx(1.2e-4, rel=0.05)
    assert best["none", 1e4] == pytest.approx(8.9e-3, rel=0.05)
    assert best["h", 1e4] == pytest.approx(5.2e-3, rel=0.05)
    assert best["gd", 1e4] == pytest.approx(5e-5, rel=0.05)
    # From κ to 100 κ: the talk's pair slows down like κ, the others like √κ.
    assert best["talk", 1e4] / best["talk", 1e6] == pytest.approx(100, rel=0.15)
    assert best["none", 1e4] / best["none", 1e6] == pytest.approx(10, rel=0.15)
    assert best["h", 1e4] / best["h", 1e6] == pytest.approx(10, rel=0.15)


def test_steps_to_solve_an_ill_conditioned_quadratic():
    """The same by running: λ from 1/4 to 10⁴, the loss to 10⁻⁸ of its start."""
    problem, g = quadratic([1e4, 3e2, 10.0, 0.25])
    tolerance = 1e-8 * float(problem.objective(g))
    talk_h = float(jd.IGAHD(1e-9, 1.0, 0.5).stable_time_step(jnp.asarray(1e4)))
    methods = {
        "talk": jd.IGAHD((0.99 * talk_h) ** 2, 1.0, 0.5),
        "default": jd.IGAHD(jd.steps.InverseL(), 1.0),
        "none": jd.IGAHD(jd.steps.InverseL(), 1.0, 0.0),
        "gd": jd.GradientDescent(),
    }
    count = {
        name: int(jd.iterate(problem, m, g, 400_000, tolerance=tolerance).stats["steps"])
        for name, m in methods.items()
    }
    assert count["default"] < 3500
    assert count["none"] < 3500
    assert count["talk"] > 20 * count["default"]
    assert count["gd"] > 20 * count["default"]


# Lipschitz constants.


def dense_hessian_norm(problem, g):
    f, theta = parametrize(problem, g)
    flat, unravel = jax.flatten_util.ravel_pytree(theta)
    H = jax.hessian(lambda z: f(unravel(z)))(flat)
    return float(np.abs(np.linalg.eigvalsh(H)).max())


def test_lipschitz_constants_say_their_evidence(key):
    problem, g, _ = examples.problem(key)
    local, bound = jd.lipschitz_local(problem, g), jd.lipschitz_bound(problem, g)
    assert float(local.value) == pytest.approx(dense_hessian_norm(problem, g), rel=1e-3)
    assert local.evidence == "estimate from below"
    assert bound.evidence == "bound"
    assert jd.gradient_lipschitz(problem, g).evidence == "bound"
    along = jd.lipschitz_along(problem, jd.GradientDescent(), g, 40, every=20)
    assert along.evidence == "estimate from below"
    gamma = 1 / float(bound.value)
    points = [
        g,
        *(jd.iterate(problem, jd.GradientDescent(gamma), g, n).generator for n in (20, 40)),
    ]
    expected = max(dense_hessian_norm(problem, point) for point in points)
    assert float(along.value) == pytest.approx(expected, rel=1e-3)
    assert float(local.value) <= float(along.value) * 1.001
    assert float(along.value) < float(bound.value)


def test_a_linear_generator_has_its_exact_constant(key):
    problem, g, _ = examples.problem(key, "linear", loss=jd.losses.MSE(0.3))
    exact = dense_hessian_norm(problem, g)
    for L in (jd.gradient_lipschitz(problem, g), jd.kernel_norm(problem, g)):
        assert L.evidence == "dense spectrum"
        assert float(L.value) == pytest.approx(exact, rel=1e-10)


def test_kernel_norm_of_other_losses_is_that_of_gauss_newton(key):
    problem, g, _ = examples.problem(key, loss=jd.losses.LogCosh())
    f, theta = parametrize(problem, g)
    flat, unravel = jax.flatten_util.ravel_pytree(theta)
    J = jax.jacrev(lambda z: f.predict(unravel(z)))(flat)
    H = jax.hessian(lambda v: problem.loss(v, problem.y))(f.predict(theta))
    exact = float(np.linalg.eigvalsh(J.T @ H @ J).max())
    found = jd.kernel_norm(problem, g)
    assert found.evidence == "estimate from below"
    assert float(found.value) == pytest.approx(exact, rel=1e-3)


WRONG = {
    "empty table": (lambda: jd.steps.Table(jnp.zeros(0)), "at least one number"),
    "negative in table": (lambda: jd.steps.Table([0.1, -0.2]), "got -0.2 at entry 1"),
    "schedule of vectors": (lambda: jd.GradientDescent(lambda t: jnp.ones(2)), "one real number"),
    "class for rule": (lambda: jd.GradientDescent(jd.steps.Armijo), "a function of the step, got"),
    "factor zero": (lambda: jd.steps.InverseL(0.0), "factor is finite and positive"),
    "decrease one": (lambda: jd.steps.Armijo(decrease=1.0), "decrease is between 0 and 1"),
    "shrink large": (lambda: jd.steps.Armijo(shrink=2.0), "shrink is between 0 and 1, got 2"),
    "growth small": (lambda: jd.steps.Armijo(growth=0.5), "growth is at least 1"),
    "most zero": (lambda: jd.IGAHDBacktracking(most=0), "most is a whole number"),
    "initial negative": (lambda: jd.steps.Armijo(-1.0), "initial is finite and positive"),
    "constant none": (lambda: jd.steps.Constant(None), "a real number, got None"),
    "unresolved": (
        lambda: jd.GradientDescent().mode(jnp.ones(1), jnp.asarray(3)),
        "not known yet; call resolve",
    ),
    "mode of armijo": (
        lambda: jd.GradientDescent(jd.steps.Armijo(1.0)).mode(jnp.ones(1), jnp.asarray(3)),
        "no closed form on a mode",
    ),
    "clock of armijo": (
        lambda: jd.GradientDescent(jd.steps.Armijo(1.0)).time(jnp.asarray(3)),
        "read Solution.ts",
    ),
    "stable step of a flow": (
        lambda: jd.largest_stable_step(PROBLEM, jd.GradientFlow(), G),
        "a discrete dynamics such as",
    ),
    "stable step of optax itself": (
        lambda: jd.largest_stable_step(PROBLEM, jd.Optax(optax.sgd(0.1)), G),
        "use GradientDescent or IGAHD",
    ),
    "no steps": (
        lambda: jd.largest_stable_step(PROBLEM, jd.GradientDescent(), G, steps=0),
        "steps is a whole number",
    ),
    "width": (
        lambda: jd.largest_stable_step(PROBLEM, jd.GradientDescent(), G, rtol=0.0),
        "rtol is between 0 and 1",
    ),
    "no bound": (
        lambda: jd.lipschitz_bound(*examples.problem(jax.random.key(0), "mlp")[:2]),
        "estimate it by lipschitz_local",
    ),
}
PROBLEM, G = quadratic([1.0])


@pytest.mark.parametrize("name", WRONG)
def test_wrong_numbers_are_answered_in_one_line(name):
    call, message = WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_schedule_that_turns_negative_is_refused_or_diverges(key):
    problem, g, _ = examples.problem(key)
    for first in (-0.1, np.nan, np.inf):
        with pytest.raises(ValueError, match="at step 0 of the schedule"):
            jd.steps.Schedule(lambda tau, first=first: first + 0.0 * tau.astype(float))
    run = jd.iterate(
        problem, jd.GradientDescent(lambda tau: 0.1 - 0.02 * tau.astype(float)), g, 20, every=4
    )
    assert bool(run.result == jd.RESULTS.diverged)
    np.testing.assert_allclose(run.ts[:2], [0.0, 0.4 - 0.02 * 6], rtol=1e-12)
    assert np.isfinite(run.ts).all()
    warming = jd.iterate(problem, jd.GradientDescent(lambda tau: 1e-3 * tau.astype(float)), g, 5)
    assert bool(warming.result == jd.RESULTS.completed)


def test_the_clock_does_not_drift_in_single_precision():
    """10⁵ steps of 0.1 in single precision: plain sums are off by 1e-3 relatively."""
    step = jnp.asarray(0.1, jnp.float32)

    def body(_, carry):
        clock, plain = carry
        return clock.after(step), plain + step

    start = (start_clock(step), jnp.zeros((), jnp.float32))
    clock, plain = jax.lax.fori_loop(0, 100_000, body, start)
    exact = 100_000 * float(np.float32(0.1))
    assert abs(float(clock.t) / exact - 1) < 2e-7
    assert abs(float(plain) / exact - 1) > 1e-5


@pytest.mark.parametrize(
    "method",
    [
        jd.GradientDescent(lambda tau: 0.1 + 0.0 * tau.astype(float)),
        jd.GradientDescent(jd.steps.Armijo(0.1, growth=1.0)),
        jd.IGAHDBacktracking(0.01, 1.0, 0.0),
    ],
)
def test_rules_that_accumulate_time_use_that_clock(method):
    # So slow that every step passes to the end.
    problem, g = quadratic([1e-4])
    f, theta = parametrize(problem, g)

    def body(_, carry):
        return method.step(f, *carry)

    first = (theta, method.init(f, theta))
    _, memory = jax.lax.fori_loop(0, 20_000, body, first)
    # A plain sum of 20 000 steps is off by about 1e-12.
    assert float(method.time(jnp.asarray(20_000), memory)) == pytest.approx(2000, rel=1e-15)


def test_the_default_level_sees_saturation():
    """A start from which every step ends below it: the limit is finite nevertheless."""
    problem, g, _ = examples.problem(jax.random.key(3))
    method = jd.GradientDescent(1.0)
    start = float(problem.objective(g))
    wild = jd.iterate(problem, jd.GradientDescent(1e6), g, 500)
    assert float(wild.loss[-1]) < 0.2 * start
    found = jd.largest_stable_step(problem, method, g)
    assert 1 < float(found.measured) / float(found.predicted) < 100
    assert "half the predicted step" in found.how
    same = jd.largest_stable_step(problem, method, g, level=start)
    assert float(same.measured) > 100 * float(found.measured)


def test_the_measured_step_of_igahd_is_one_that_it_takes():
    """λ = 10⁻² is stable nearly up to h = 1, and α h ≤ 1 ends the search at 1/2."""
    problem, g = quadratic([0.01])
    method = jd.IGAHD(0.04, 2.0, 0.0)
    found = jd.largest_stable_step(problem, method, g, steps=50)
    assert float(found.predicted) > 0.9
    assert float(found.measured) == pytest.approx(0.5)
    assert "at most 1/alpha" in found.how
    method.with_time_step(found.measured)


@pytest.mark.parametrize(
    "method",
    [
        jd.GradientDescent(jd.steps.Armijo(1.0)),
        jd.GradientDescent(jd.steps.Table(jnp.array([0.1, 0.2]))),
        jd.GradientDescent(lambda tau: 0.1 / (1 + tau.astype(float))),
        jd.IGAHDBacktracking(0.1, 1.0, 0.1),
    ],
)
def test_rules_that_would_be_replaced_have_no_stable_step(method):
    with pytest.raises(ValueError, match="chooses its steps as it goes"):
        jd.largest_stable_step(PROBLEM, method, G)
