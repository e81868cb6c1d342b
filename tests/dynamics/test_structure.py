"""What the flow conserves and what it dissipates, and what the discrete methods make of it."""

import dataclasses

import examples
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate

import jaxdip as jd
from jaxdip.dynamics import Travelled
from jaxdip.generators import ACTIVATIONS
from jaxdip.problem import parametrize

IDENTITY = dataclasses.replace(
    ACTIVATIONS["tanh"], name="identity", function=lambda h: h, lip_slope=0.0
)
OBSERVE = {
    "b": jd.Balancedness(),
    "drift": jd.BalancednessDrift(),
    "matrix": jd.BalanceMatrix(),
    "matrix drift": jd.BalanceMatrixDrift(),
}
TIMES = jnp.array([0.0, 1.0, 3.0])


def network(key, activation, *, both=True):
    """A problem and a two-layer network of that activation; V away from the row space of A."""
    problem, _, _ = examples.problem(key)
    g = jd.TwoLayer(
        latent=examples.D,
        width=examples.K,
        out=examples.N,
        key=key,
        activation=activation,
        both=both,
        output_law="uniform",
    )
    return problem, g


def matrix(problem, g):
    return g.W @ g.W.T - g.V.T @ g.V


def as_mlp(g):
    return jd.MLP(
        weights=(g.W, g.V), scales=(1.0, g.width**-0.5), activation=g.activation, out=g.out_shape
    )


@pytest.mark.parametrize(
    ("trained", "reduce"), [("W", True), ("W and V", True), ("W and V", False), ("mlp", True)]
)
def test_balancedness_is_that_of_the_weights_in_any_coordinates(key, trained, reduce):
    problem, g = network(key, "relu", both=trained != "W")
    g = as_mlp(g) if trained == "mlp" else g

    def full(problem, g):
        W, V = (g.W, g.V) if trained != "mlp" else g.weights
        return W @ W.T - V.T @ V

    run = jd.iterate(
        problem,
        jd.GradientDescent(0.2),
        g,
        30,
        every=15,
        reduce=reduce,
        observe={**OBSERVE, "full": full},
    )
    exact = np.asarray(run.observed["full"])
    np.testing.assert_allclose(run.observed["matrix"], exact, atol=1e-12)
    diagonal = np.diagonal(exact, axis1=1, axis2=2)
    np.testing.assert_allclose(run.observed["b"], diagonal, atol=1e-12)
    np.testing.assert_allclose(
        run.observed["drift"], np.linalg.norm(diagonal - diagonal[0], axis=1), atol=1e-12
    )
    np.testing.assert_allclose(
        run.observed["matrix drift"], np.linalg.norm(exact - exact[0], axis=(1, 2)), atol=1e-12
    )
    assert float(run.observed["matrix drift"][-1]) > 1e-2


@pytest.mark.parametrize(("activation", "kept"), [("relu", "drift"), (IDENTITY, "matrix drift")])
def test_the_flow_conserves_balancedness_of_homogeneous_networks(key, activation, kept):
    problem, g = network(key, activation)
    run = jd.integrate(problem, jd.GradientFlow(), g, TIMES, observe=OBSERVE, rtol=1e-9, atol=1e-11)
    assert float(run.loss[-1]) < 0.5 * float(run.loss[0])
    # At the kinks of ReLU the solver's error is larger.
    assert float(jnp.max(run.observed[kept])) < 1e-6
    if activation == "relu":
        assert float(run.observed["matrix drift"][-1]) > 1e-2


def test_sigmoid_and_a_fixed_layer_do_not_conserve_it(key):
    """Steps so small that a conserved quantity would drift by 1e-4 at most."""
    for activation, both in (("sigmoid", True), (IDENTITY, False)):
        problem, g = network(key, activation, both=both)
        run = jd.iterate(problem, jd.GradientDescent(1e-3), g, 1000, every=1000, observe=OBSERVE)
        assert float(run.observed["drift"][-1]) > 1e-2


@pytest.mark.parametrize(("activation", "kept"), [("relu", "drift"), (IDENTITY, "matrix drift")])
def test_gradient_descent_drifts_with_order_one(key, activation, kept):
    problem, g = network(key, activation)
    drifts = []
    for count in (200, 400):
        run = jd.iterate(
            problem, jd.GradientDescent(2.0 / count), g, count, every=count, observe=OBSERVE
        )
        drifts.append(float(run.observed[kept][-1]))
    np.testing.assert_allclose(np.log2(drifts[0] / drifts[1]), 1, atol=0.1)


def test_one_step_of_gradient_descent_drifts_by_the_formula(key):
    problem, g = network(key, "relu")
    f, theta = parametrize(problem, g)
    gradient, gamma = f.gradient(theta), 0.3
    run = jd.iterate(problem, jd.GradientDescent(gamma), g, 1, observe=OBSERVE)
    expected = gamma**2 * (jnp.sum(gradient.W**2, axis=1) - jnp.sum(gradient.V**2, axis=0))
    change = run.observed["b"][1] - run.observed["b"][0]
    np.testing.assert_allclose(change, expected, atol=1e-12)
    assert float(jnp.max(jnp.abs(expected))) > 1e-3


def test_w_moves_along_the_latent_only_for_methods_linear_in_gradients(key):
    problem, g = network(key, "tanh")
    observe = {"drift": jd.OrthogonalDrift()}
    for method in (
        jd.GradientDescent(0.1),
        jd.IGAHD(0.01, 0.5, 0.1),
        jd.Optax(optax.sign_sgd(0.05)),
    ):
        run = jd.iterate(problem, method, g, 20, every=20, reduce=False, observe=observe)
        if isinstance(method, jd.Optax):
            assert float(run.observed["drift"][-1]) > 0.1
        else:
            assert float(run.observed["drift"][-1]) < 1e-13
        assert float(jnp.linalg.norm(run.generator.W - g.W)) > 1e-3


def test_balancedness_of_other_networks_is_refused(key):
    problem, g, _ = examples.problem(key, "mlp")
    with pytest.raises(TypeError, match="two-layer networks"):
        jd.iterate(problem, jd.GradientDescent(0.1), g, 1, observe=OBSERVE)


def test_path_length_against_quadrature_and_sums(key):
    """GF and GD on a linear generator, whose velocity is known, by SciPy and NumPy."""
    problem, g, _ = examples.problem(key, "linear")
    gamma = 0.05
    ours = jd.compare(
        problem,
        jd.GradientFlow(),
        jd.GradientDescent(gamma),
        g,
        40,
        every=10,
        observe={"length": jd.PathLength(), "moved": jd.observables.ParameterDistance()},
    )
    M, c, y = (np.asarray(a) for a in (problem.operator.matrix() @ g.J, g.c, problem.y))
    values, U = np.linalg.eigh(M.T @ M)
    start = U.T @ (M.T @ (M @ c - y))

    def speed(t):
        return np.linalg.norm(np.exp(-values * t) * start)

    exact = [
        scipy.integrate.quad(speed, 0, gamma * tau, epsabs=1e-11)[0] for tau in range(0, 41, 10)
    ]
    length = ours.flow.observed["length"]
    np.testing.assert_allclose(length, exact, atol=1e-8)
    strides = [gamma * np.linalg.norm((1 - gamma * values) ** tau * start) for tau in range(40)]
    sums = [sum(strides[:tau]) for tau in range(0, 41, 10)]
    np.testing.assert_allclose(ours.steps.observed["length"], sums, atol=1e-11)
    for run in (ours.flow, ours.steps):
        assert bool(jnp.all(run.observed["length"][1:] > run.observed["moved"][1:]))
    assert "length" not in ours.gaps
    # The main inequality: ψ(f) + μ·length never increases along the flow; with 10 μ it does.
    mu, psi = np.linalg.svd(M, compute_uv=False)[-1], np.sqrt(2 * np.asarray(ours.flow.loss))
    assert np.all(np.diff(psi + mu * length) < 0)
    assert np.any(np.diff(psi + 10 * mu * length) > 0)


def test_carrying_the_path_length_changes_nothing(key):
    problem, g, _ = examples.problem(key)
    f, theta = parametrize(problem, g)
    lam, steps, zero = jnp.array([0.5, 2.0]), jnp.array([3, 4]), jnp.asarray(0.0)
    inner = jd.ISEHD(0.5, 0.3)
    flow = jd.with_path_length(inner)
    plain = inner.velocity(f.gradient, zero, inner.init(f.gradient, theta))
    carried = flow.velocity(f.gradient, zero, flow.init(f.gradient, theta))
    np.testing.assert_array_equal(carried.state[1].W, plain[1].W)
    np.testing.assert_array_equal(flow.mode(lam, lam), inner.mode(lam, lam))
    descent = jd.IGAHD(0.01, 0.5, 0.1)
    method = jd.with_path_length(descent)
    plain = descent.step(f, theta, descent.init(f, theta))
    carried = method.step(f, theta, method.init(f, theta))
    np.testing.assert_array_equal(carried[0].W, plain[0].W)
    np.testing.assert_array_equal(carried[1].state.W, plain[1].W)
    np.testing.assert_array_equal(method.mode(lam, steps), descent.mode(lam, steps))
    np.testing.assert_array_equal(method.stable_time_step(lam), descent.stable_time_step(lam))
    assert float(method.with_time_step(0.2).time(jnp.asarray(3))) == pytest.approx(0.6)
    assert jd.with_path_length(method) is method
    with pytest.raises(TypeError, match="belongs to a flow"):
        jd.with_path_length(g)


def test_energies_decrease_along_both_motions_and_not_when_spoiled(key):
    problem, g, _ = examples.problem(key)
    L = float(jd.gradient_lipschitz(problem, g).value)
    alpha = 0.5
    h = 0.8 * alpha / L
    beta = 0.9 * (alpha / L - h / 2)
    flow, method = jd.ISEHD(alpha, beta), jd.IGAHD(h * h, alpha, beta)
    observe = {"E": jd.Energy(L), "gradient": jd.observables.GradientNorm()}
    ours = jd.compare(problem, flow, method, g, 600, every=1, observe=observe)
    E, V = ours.flow.observed["E"], ours.steps.observed["E"]
    assert float(E[-1]) < 0.5 * float(E[0])
    # The solver's tolerance is all that may push E up.
    assert bool(jnp.all(jnp.diff(E) < 1e-9 * E[0]))
    expected = (1 - alpha * beta) * ours.flow.loss[0] + 0.5 * (
        beta * ours.flow.observed["gradient"][0]
    ) ** 2
    assert float(E[0]) == pytest.approx(float(expected), rel=1e-12)
    # V starts at f(θ0), and falls by at least δ‖θ_{ℓ+1} − θ_ℓ‖² at each step.
    assert float(V[0]) == pytest.approx(float(ours.steps.loss[0]), rel=1e-12)
    a, b, s = 1 - alpha * h, beta * h, h * h
    delta = (1 - a - b * L) / s - L / 2
    strides = (V - ours.steps.loss) / ((a + b * L) / (2 * s))
    assert delta > 0
    assert bool(jnp.all(V[1:] <= V[:-1] - delta * strides[1:] + 1e-14))
    assert bool(jnp.any(V[1:] > V[:-1] - 100 * delta * strides[1:]))
    # Strides of the first two steps, from θ_{−1} = θ_0: s‖∇f(θ0)‖, by hand.
    first = (s * float(ours.steps.observed["gradient"][0])) ** 2
    assert float(strides[1]) == pytest.approx(first, rel=1e-6)
    # The loss alone is not dissipated: inertia carries θ uphill.
    assert bool(jnp.any(jnp.diff(ours.flow.loss) > 1e-6))


def test_energy_of_first_order_dynamics(key):
    problem, g, _ = examples.problem(key)
    f, theta = parametrize(problem, g)
    zero = jnp.asarray(0.0)

    def energy(dynamics, theta):
        return jd.Energy()(jd.Moment(f, dynamics, theta, theta, zero, zero))

    assert float(energy(jd.GradientDescent(0.4), theta)) == float(f(theta))
    for flow in (jd.GradientFlow(), jd.ModifiedGradientFlow(0.4)):
        velocity = flow.velocity(f.gradient, zero, theta)
        rate = jax.jvp(lambda x, flow=flow: energy(flow, x), (theta,), (velocity,))[1]
        assert float(rate) == pytest.approx(-float(jnp.sum(velocity.W**2)), rel=1e-10)


def test_energies_that_are_not_known_are_refused(key):
    problem, g, _ = examples.problem(key)

    def run(method, energy):
        jd.compare(problem, jd.ISEHD(0.5, 0.1), method, g, 1, observe={"E": energy})

    with pytest.raises(ValueError, match="needs the Lipschitz constant"):
        run(jd.IGAHD(0.01, 0.5, 0.1), jd.Energy())
    with pytest.raises(TypeError, match="no Lyapunov function is known"):
        run(jd.IGAHD(0.01, 0.5, 0.1, gradient_at="eta"), jd.Energy(1.0))
    with pytest.raises(ValueError, match="lipschitz is finite and positive"):
        jd.Energy(0.0)


def test_the_speed_of_a_flow_is_that_of_its_parameters(key):
    problem, g, _ = examples.problem(key, "two-layer-both")
    f, theta = parametrize(problem, g)
    flow = jd.with_path_length(jd.ISEHD(0.5, 0.3))
    state = flow.init(f.gradient, theta)
    assert isinstance(state, Travelled)
    # At the start ISEHD is at rest; a kick in v is the whole velocity of θ.
    assert float(flow.velocity(f.gradient, jnp.asarray(0.0), state).length) == 0
    kick = jax.tree.map(lambda v: v + 1.0, state.state[1])
    kicked = Travelled((state.state[0], kick), state.length, state.stride)
    size = sum(leaf.size for leaf in jax.tree.leaves(theta))
    speed = flow.velocity(f.gradient, jnp.asarray(0.0), kicked).length
    assert float(speed) == pytest.approx(size**0.5, rel=1e-12)
