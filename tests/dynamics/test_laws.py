"""Laws that every trajectory obeys, and that fail when a constant is spoiled."""

import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.problem import parametrize

TIMES = jnp.linspace(0.0, 6.0, 61)


@pytest.mark.parametrize("generator", examples.GENERATORS)
def test_gradient_flow_dissipates_at_the_rate_of_the_squared_gradient(key, generator):
    """d f/dt = −‖∇f‖² all along the solution, so f never increases."""
    problem, g, _ = examples.problem(key, generator)
    middles = jnp.array([0.0, 0.3, 1.0, 3.0, 9.0]) + 0.001
    ts = jnp.sort(jnp.concatenate([middles - 0.001, middles, middles + 0.001]))
    run = jd.integrate(
        problem,
        jd.GradientFlow(),
        g,
        ts,
        observe={"gradient": jd.observables.GradientNorm()},
        rtol=1e-11,
        atol=1e-13,
    )
    assert bool(jnp.all(jnp.diff(run.loss) < 0))
    slopes = (run.loss[2::3] - run.loss[0::3]) / 0.002
    rates = -(run.observed["gradient"][1::3] ** 2)
    np.testing.assert_allclose(slopes, rates, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(("alpha", "beta"), [(0.4, 0.0), (0.5, 0.3), (1.0, 0.9)])
@pytest.mark.parametrize("generator", ["two-layer", "two-layer-both"])
def test_isehd_dissipates_its_lyapunov_function(key, generator, alpha, beta):
    """E = (1 − αβ)f + ½‖v‖² has dE/dt = −(1 − αβ)β‖∇f‖² − α‖v‖² ≤ 0."""
    problem, g, _ = examples.problem(key, generator)
    f, theta = parametrize(problem, g)
    flow = jd.ISEHD(alpha, beta)
    c = alpha * beta

    def energy(state):
        theta, v = state
        return (1 - c) * f(theta) + 0.5 * sum(jnp.sum(p * p) for p in jax.tree.leaves(v))

    def square(tree):
        return sum(jnp.sum(p * p) for p in jax.tree.leaves(tree))

    state = flow.init(f.gradient, theta)
    for _ in range(5):
        velocity = flow.velocity(f.gradient, jnp.asarray(0.0), state)
        rate = jax.jvp(energy, (state,), (velocity,))[1]
        expected = -(1 - c) * beta * square(f.gradient(state[0])) - alpha * square(state[1])
        assert float(rate) == pytest.approx(float(expected), rel=1e-9, abs=1e-14)
        assert float(rate) <= 0
        state = jax.tree.map(lambda x, dx: x + 0.3 * dx, state, velocity)


def test_isehd_energy_decreases_along_the_solution(key):
    problem, g, _ = examples.problem(key)
    alpha, beta = 0.5, 0.3
    observe = {"gradient": jd.observables.GradientNorm(), "W": lambda problem, g: g.W}
    run = jd.integrate(
        problem, jd.ISEHD(alpha, beta), g, TIMES, observe=observe, rtol=1e-10, atol=1e-12
    )
    f, _ = parametrize(problem, g)
    # θ̇ by central differences, so that the check does not use the system's own v.
    h = float(TIMES[1])
    speed = (run.observed["W"][2:] - run.observed["W"][:-2]) / (2 * h)
    gradients = jnp.stack(
        [
            f.gradient(parametrize(problem, jd.TwoLayer(weights=(W, g.V), activation="tanh"))[1]).W
            for W in run.observed["W"][1:-1]
        ]
    )
    v = (speed + beta * gradients).reshape(len(TIMES) - 2, -1)
    E = (1 - alpha * beta) * run.loss[1:-1] + 0.5 * jnp.sum(v * v, axis=1)
    assert bool(jnp.all(jnp.diff(E) < 1e-3 * E[0]))
    assert float(E[-1]) < 0.5 * float(E[0])
    # The loss itself may rise: inertia trades it for speed.
    spoiled = 0.2 * run.loss[1:-1] + 0.5 * jnp.sum(v * v, axis=1)
    assert bool(jnp.any(jnp.diff(spoiled) > 1e-3 * spoiled[0]))


LOSSES = {
    "mse": jd.losses.MSE,
    "power": lambda: jd.losses.Power(0.5),
    "lq": lambda: jd.losses.Lq(3.0),
    "log-cosh": jd.losses.LogCosh,
    "huber": lambda: jd.losses.Huber(0.7),
    "kl": jd.losses.KullbackLeibler,
    "reverse-kl": jd.losses.ReverseKullbackLeibler,
    "cross-entropy": jd.losses.CrossEntropy,
}


def positive_problem(key, loss, name):
    """One observation in the loss's domain, by a sigmoid or softplus at the end."""
    g = jd.TwoLayer(latent=3, width=60, out=1, key=key, activation="tanh")
    u = jd.on_sphere(3, key=key)
    ends = {"cross-entropy": jax.nn.sigmoid, "kl": jax.nn.softplus, "reverse-kl": jax.nn.softplus}
    end = ends.get(name, lambda x: x)
    A = jd.operators.Callable(end, (1,))
    # The flatter side of the divergences is v > y; a target of ½ has the least curvature.
    y = A(jnp.array([0.0 if name == "cross-entropy" else -2.0]))
    return jd.Problem(u=u, operator=A, loss=loss, y=y), g


@pytest.mark.parametrize("name", LOSSES)
def test_kl_inequality_holds_along_trajectories_and_fails_when_spoiled(key, name):
    """ψ'(L)‖∇L‖ ≥ 1 at every prediction of the run; not with ψ shrunk by a stated factor."""
    loss = LOSSES[name]()
    problem, g = positive_problem(key, loss, name)
    run = jd.integrate(
        problem,
        jd.GradientFlow(),
        g,
        jnp.linspace(0.0, 30.0, 31),
        observe={"v": jd.observables.Prediction()},
        throw=True,
    )
    desingularizer = loss.desingularizer(problem.y)
    gradients = jax.vmap(jax.grad(loss), (0, None))(run.observed["v"], problem.y)
    values = run.loss
    assert float(values[-1]) < 0.3 * float(values[0])
    # Below this the rounding of the loss itself decides.
    seen = values > 1e-12
    products = (desingularizer.dpsi(values) * jnp.linalg.norm(gradients, axis=1))[seen]
    assert float(jnp.min(products)) >= 1 - 1e-7
    # With one observation, approached from the flatter side, each ψ is tight: a tenth less fails.
    assert float(jnp.min(0.9 * products)) < 1


def test_gradient_flow_path_obeys_the_main_inequality(key):
    """ψ(L(t)) + (μ/2)·length(t) never increases while σ_min(A J) ≥ μ/2; here with its own μ."""
    problem, g, _ = examples.problem(key)
    run = jd.integrate(
        problem,
        jd.GradientFlow(),
        g,
        TIMES,
        observe={
            "gradient": jd.observables.GradientNorm(),
            "mu": lambda p, g: jd.jacobian_sigma_min(p, g),
        },
        rtol=1e-9,
        atol=1e-11,
    )
    mu = 2 * float(jnp.min(run.observed["mu"]))
    speed = np.asarray(run.observed["gradient"])
    length = np.concatenate([[0], np.cumsum(0.1 * (speed[1:] + speed[:-1]) / 2)])
    psi = np.sqrt(2 * np.asarray(run.loss))
    # The trapezoidal rule overestimates the length of a decaying speed, here by less than 1 %.
    assert np.all(np.diff(psi + 0.5 * mu * 0.99 * length) < 0)
    assert np.any(np.diff(psi + 0.5 * mu * 10 * length) > 0)


def test_small_steps_of_gradient_descent_never_increase_the_loss(key):
    problem, g, _ = examples.problem(key, "two-layer")
    run = jd.iterate(problem, jd.GradientDescent(), g, 200, every=1)
    assert bool(jnp.all(jnp.diff(run.loss) < 0))
    assert run.notes[0].startswith("step_size: 1/L")


ORDER_PAIRS = {
    "gd": (jd.GradientFlow(), jd.GradientDescent()),
    "igahd": (jd.ISEHD(0.5, 0.3), jd.IGAHD(1.0, 0.5, 0.3)),
    "igahd-eta": (jd.ISEHD(0.5, 0.3), jd.IGAHD(1.0, 0.5, 0.3, gradient_at="eta")),
}


@pytest.mark.parametrize("pair", ORDER_PAIRS)
def test_discrete_methods_approach_their_flow_with_order_one(key, pair):
    problem, g, _ = examples.problem(key, "two-layer-both")
    order = jd.convergence_order(
        problem,
        *ORDER_PAIRS[pair],
        g,
        horizon=4.0,
        steps=160,
        halvings=3,
        observe={"x": jd.observables.Signal()},
    )
    for name in ("loss", "x"):
        assert order.fitted[name] == pytest.approx(1, abs=0.1)
        assert order.successive[name][-1] == pytest.approx(1, abs=0.1)


def test_a_flow_with_another_damping_is_not_the_limit(key):
    """The gap to the wrong flow stops shrinking: the order test can fail."""
    problem, g, _ = examples.problem(key, "two-layer-both")
    order = jd.convergence_order(
        problem, jd.ISEHD(0.5, 0.2), jd.IGAHD(1.0, 0.5, 0.3), g, horizon=4.0, steps=160, halvings=2
    )
    assert order.fitted["loss"] < 0.5
