"""The flows that discrete methods follow to second order: by modes, by roots, and on networks."""

import equinox as eqx
import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import jaxdip as jd
from jaxdip._tree import tree_dot
from jaxdip.problem import parametrize

ALPHA, BETA = 0.6, 0.25
FORMS = ["theta", "eta"]


def slopes(errors):
    errors = np.asarray(errors)
    return np.log2(errors[:-1] / errors[1:])


def test_the_modified_gradient_flow_is_a_gradient_flow(key):
    """Of f + (γ/4)‖∇f‖², by automatic differentiation of that function."""
    problem, g, _ = examples.problem(key, "two-layer-both")
    f, theta = parametrize(problem, g)
    gamma = 0.3

    def modified(theta):
        gradient = f.gradient(theta)
        return f(theta) + gamma / 4 * tree_dot(gradient, gradient)

    velocity = jd.ModifiedGradientFlow(gamma).velocity(f.gradient, jnp.asarray(0.0), theta)
    for ours, theirs in zip(
        jax.tree.leaves(velocity), jax.tree.leaves(jax.grad(modified)(theta)), strict=True
    ):
        np.testing.assert_allclose(ours, -theirs, rtol=1e-10, atol=1e-14)


def _sup_gaps(method_of, flow_modes, eigenvalue, counts=(80, 160, 320, 640)):
    """Sup over eight times up to 2 of |method − flow|, for each step and each of the flows."""
    lam, rows = jnp.asarray(eigenvalue), []
    for count in counts:
        h = 2.0 / count
        taken = jnp.arange(count // 8, count + 1, count // 8, dtype=jnp.int32)
        steps = method_of(h).mode(lam, taken)
        rows.append(
            [jnp.max(jnp.abs(steps - mode(h, h * taken.astype(float)))) for mode in flow_modes]
        )
    return np.asarray(rows).T


@pytest.mark.parametrize("eigenvalue", [0.3, 2.0, 9.0])
def test_gradient_descent_follows_its_modified_mode_with_order_two(eigenvalue):
    lam = jnp.asarray(eigenvalue)
    plain, modified = _sup_gaps(
        jd.GradientDescent,
        [
            lambda h, t: jd.GradientFlow().mode(lam, t),
            lambda h, t: jd.ModifiedGradientFlow(h).mode(lam, t),
        ],
        eigenvalue,
    )
    np.testing.assert_allclose(slopes(plain)[-1], 1, atol=0.1)
    np.testing.assert_allclose(slopes(modified)[-1], 2, atol=0.1)


@pytest.mark.parametrize("gradient_at", FORMS)
@pytest.mark.parametrize("eigenvalue", [0.05, 0.6, 4.0, 30.0])
def test_igahd_follows_its_modified_mode_with_order_two(eigenvalue, gradient_at):
    lam = jnp.asarray(eigenvalue)

    def modified_flow(h):
        return jd.ModifiedISEHD(h * h, ALPHA, BETA, gradient_at=gradient_at)

    def from_rest(h, t):
        return np.array([_mode(modified_flow(h), eigenvalue, x, velocity=False) for x in t])

    plain, modified, at_rest = _sup_gaps(
        lambda h: jd.IGAHD(h * h, ALPHA, BETA, gradient_at=gradient_at),
        [
            lambda h, t: jd.ISEHD(ALPHA, BETA).mode(lam, t),
            lambda h, t: modified_flow(h).mode(lam, t),
            from_rest,
        ],
        eigenvalue,
    )
    np.testing.assert_allclose(slopes(plain)[-1], 1, atol=0.1)
    np.testing.assert_allclose(slopes(modified)[-1], 2, atol=0.1)
    # Without the velocity at the start the order is one: it is not an afterthought.
    np.testing.assert_allclose(slopes(at_rest)[-1], 1, atol=0.15)


def _mode(flow, lam, t, *, velocity=True):
    """The mode by a matrix exponential of the first-order system in (θ, v)."""
    numbers = {name: float(x) for name, x in flow.numbers().items()}
    h, alpha = numbers["s"] ** 0.5, numbers["alpha"]
    beta = numbers["beta"] + (h if flow.gradient_at == "eta" else 0)
    c = 1 + h / 2 * (alpha + beta * lam)
    first = np.array([-c * beta * lam, c])
    system = np.array([first, [-lam, 0] - alpha * first])
    start = np.array([1, (beta - h / 2 if velocity else beta) * lam])
    return (scipy.linalg.expm(system * t) @ start)[0]


@pytest.mark.parametrize("gradient_at", FORMS)
def test_modified_mode_against_the_matrix_exponential(gradient_at):
    # α = 2, β = 0: the mode is critically damped near λ = 1; others oscillate or creep.
    for alpha, beta in ((ALPHA, BETA), (2.0, 0.0)):
        flow = jd.ModifiedISEHD(0.04, alpha, beta, gradient_at=gradient_at)
        for lam in (0.0, 1e-9, 0.3, 1.0, 7.0, 400.0):
            for t in (0.0, 0.2, 5.0):
                ours = float(flow.mode(jnp.asarray(lam), jnp.asarray(t)))
                assert ours == pytest.approx(_mode(flow, lam, t), abs=1e-11)


@pytest.mark.parametrize("gradient_at", FORMS)
def test_the_roots_of_the_recurrence_are_those_of_the_modified_flow(gradient_at):
    """log(z)/h − ρ = O(h²) for both roots, and only O(h) against the unmodified flow."""
    for lam in (0.05, 0.6, 4.0):
        errors = {"plain": [], "modified": []}
        for h in (0.02, 0.01, 0.005):
            a, b, s = 1 - ALPHA * h, BETA * h, h * h
            last = 1 - s * lam if gradient_at == "eta" else 1.0
            extra = 0.0 if gradient_at == "eta" else s * lam
            z = np.roots([1, -(last * (1 + a - b * lam) - extra), last * (a - b * lam)])
            exponents = np.sort_complex(np.log(z.astype(complex)) / h)
            beta = BETA + (h if gradient_at == "eta" else 0)
            kappa = ALPHA + beta * lam
            c = 1 + h / 2 * kappa
            for name, roots in (
                ("plain", np.roots([1, ALPHA + BETA * lam, lam])),
                ("modified", np.roots([1, c * kappa, c * lam])),
            ):
                errors[name].append(np.max(np.abs(np.sort_complex(roots + 0j) - exponents)))
        np.testing.assert_allclose(slopes(errors["plain"])[-1], 1, atol=0.1)
        np.testing.assert_allclose(slopes(errors["modified"])[-1], 2, atol=0.1)


@pytest.mark.parametrize("name", ["gd", "theta", "eta"])
def test_networks_are_followed_with_order_two(key, name):
    problem, g, _ = examples.problem(key, "two-layer-both")
    if name == "gd":
        flow, method = jd.ModifiedGradientFlow, jd.GradientDescent()
    else:

        def flow(h):
            return jd.ModifiedISEHD(h * h, ALPHA, BETA, gradient_at=name)

        method = jd.IGAHD(1.0, ALPHA, BETA, gradient_at=name)
    order = jd.convergence_order(
        problem, flow, method, g, horizon=4.0, steps=80, halvings=2, records=2
    )
    assert order.extrapolation is None
    for what in ("loss", "signal", "theta"):
        assert order.fitted[what] == pytest.approx(2, abs=0.15)
        assert order.successive[what][-1] == pytest.approx(2, abs=0.1)


def test_the_modified_flow_of_another_step_has_order_one_only(key):
    """The order two above is no accident of small gaps."""
    problem, g, _ = examples.problem(key, "two-layer-both")
    order = jd.convergence_order(
        problem,
        lambda h: jd.ModifiedISEHD(0.25 * h * h, ALPHA, BETA),
        jd.IGAHD(1.0, ALPHA, BETA),
        g,
        horizon=4.0,
        steps=80,
        halvings=2,
        records=2,
    )
    assert order.fitted["theta"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("gradient_at", FORMS)
def test_velocity_is_the_system_of_the_modes(key, gradient_at):
    """On a quadratic f the velocity is linear in (θ, v), with the matrices written by hand."""
    problem, g, _ = examples.problem(key, "linear", "wide")
    f, theta = parametrize(problem, g)
    M = np.asarray(problem.operator.matrix() @ g.J)
    K, h = M.T @ M, 0.1
    gradient = M.T @ (M @ np.asarray(g.c) - np.asarray(problem.y))
    beta = BETA + (h if gradient_at == "eta" else 0)
    flow = jd.ModifiedISEHD(h * h, ALPHA, BETA, gradient_at=gradient_at)
    at, v = flow.init(f.gradient, theta)
    np.testing.assert_allclose(v.c, (beta - h / 2) * gradient, rtol=1e-12)
    kicked = eqx.tree_at(lambda v: v.c, v, jnp.linspace(-1, 2, v.c.size))
    moved, force = flow.velocity(f.gradient, jnp.asarray(0.0), (at, kicked))
    w = np.asarray(kicked.c) - beta * gradient
    expected = w + h / 2 * (ALPHA * w + beta * K @ w)
    np.testing.assert_allclose(moved.c, expected, rtol=1e-11)
    np.testing.assert_allclose(force.c, -gradient - ALPHA * expected, rtol=1e-11)


def test_the_numbers_are_required():
    for call in (
        lambda: jd.ModifiedGradientFlow(0.0),
        lambda: jd.ModifiedGradientFlow(None),
        lambda: jd.ModifiedISEHD(-1.0, ALPHA, BETA),
        lambda: jd.ModifiedISEHD(0.1, None, BETA),
        lambda: jd.ModifiedISEHD(0.1, ALPHA, BETA, gradient_at="x"),
    ):
        with pytest.raises(ValueError, match=r"step_size|s is|alpha|gradient_at"):
            call()
