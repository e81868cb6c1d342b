"""The factors on a mode and their complements to rounding, against arithmetic of 120 digits."""

from decimal import Decimal, localcontext

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import jaxdip as jd
from jaxdip.dynamics._closed_form import AbstractClosedForm
from jaxdip.dynamics._modes import damped_mode, damped_slope

EPS = 2.0**-52
S, ALPHA, BETA = 1e-4, 0.02, 3e-3
EIGENVALUES = np.logspace(-8, 4, 13) * 0.9
STEPS = (1, 2, 1000, 10**7)


def times(A, B):
    return [[A[i][0] * B[0][j] + A[i][1] * B[1][j] for j in range(2)] for i in range(2)]


def power(M, steps):
    product = [[Decimal(1), Decimal(0)], [Decimal(0), Decimal(1)]]
    while steps:
        if steps & 1:
            product = times(product, M)
        M, steps = times(M, M), steps >> 1
    return product


def exponential(M, t):
    """e^{Mt}, by Taylor's series after halving t until it is small."""
    halvings = 80
    small = [[x * t / 2**halvings for x in row] for row in M]
    total = term = power(small, 0)
    for j in range(1, 40):
        term = [[x / j for x in row] for row in times(term, small)]
        total = [[x + y for x, y in zip(*rows, strict=True)] for rows in zip(total, term)]  # noqa: B905
    return power(total, 2**halvings)


def igahd(at):
    def exact(lam, steps):
        s, alpha, beta = Decimal(S), Decimal(ALPHA), Decimal(BETA)
        h, x = s.sqrt(), s * lam
        carry = 1 - alpha * h - beta * h * lam
        if at == "eta":
            carry *= 1 - x
        return power([[1 - x, carry], [-x, carry]], steps)[0][0]

    return exact


def forward(lam, steps):
    s, alpha, beta = Decimal(S), Decimal(ALPHA), Decimal(BETA)
    h = s.sqrt()
    m = 1 / (1 + alpha * h)
    x, carry = s * m * lam, m * (1 - beta * h * lam)
    return power([[1 - x, carry], [-x, carry]], steps)[0][0]


def strongly_convex(lam, steps):
    s, beta, mu = Decimal(S), Decimal(BETA), Decimal(ALPHA)
    r = (mu * s).sqrt()
    x, carry = s * lam / (1 + r), (1 - r - beta * s.sqrt() * lam) / (1 + r)
    return power([[1 - x, carry], [-x, carry]], steps)[0][0]


def descent(lam, steps):
    return (1 - Decimal(S) * lam) ** steps


def inertial(lam, t):
    system = [[Decimal(0), Decimal(1)], [-lam, -Decimal(ALPHA) - Decimal(BETA) * lam]]
    return exponential(system, Decimal(t))[0][0]


def ahead(lam, t):
    """The flow that IGAHD follows: half a step ahead of one with rescaled numbers."""
    half = Decimal(S).sqrt() / 2
    kappa = Decimal(ALPHA) + Decimal(BETA) * lam
    c = 1 + half * kappa
    E = exponential([[Decimal(0), Decimal(1)], [-c * lam, -c * kappa]], Decimal(t))
    return E[0][0] + half * E[1][0]


def exponent(rate):
    return lambda lam, t: (-rate(lam) * Decimal(t)).exp()


DESCENTS = {
    "theta": (jd.IGAHD(S, ALPHA, BETA), igahd("theta")),
    "eta": (jd.IGAHD(S, ALPHA, BETA, gradient_at="eta"), igahd("eta")),
    "forward": (jd.IGAHDForward(S, ALPHA, BETA), forward),
    "strongly convex": (jd.IGAHDStronglyConvex(ALPHA, S, BETA), strongly_convex),
    "constant": (jd.GradientDescent(S), descent),
    "table": (jd.GradientDescent(jd.steps.Table(jnp.full(7, S))), descent),
    "carried": (jd.with_path_length(jd.IGAHD(S, ALPHA, BETA)), igahd("theta")),
}
FLOWS = {
    "gf": (jd.GradientFlow(), exponent(lambda lam: lam)),
    "modified gf": (
        jd.ModifiedGradientFlow(S),
        exponent(lambda lam: lam + Decimal(S) / 2 * lam * lam),
    ),
    "isehd": (jd.ISEHD(ALPHA, BETA), inertial),
    "modified isehd": (jd.ModifiedISEHD(S, ALPHA, BETA), ahead),
}


@eqx.filter_jit
def both(dynamics, lam, at):
    known = isinstance(dynamics, AbstractClosedForm)
    return dynamics.mode(lam, at), dynamics.fitted(lam, at) if known else None


def off(dynamics, exact, at, clock):
    """The errors of q, and the relative ones of 1 − q, in units of ε."""
    lam = jnp.asarray(EIGENVALUES)
    q, gone = (None if x is None else np.asarray(x) for x in both(dynamics, lam, at))
    errors = np.zeros((2, lam.size))
    with localcontext() as context:
        context.prec = 120
        for i, eigenvalue in enumerate(EIGENVALUES):
            truth = exact(Decimal(float(eigenvalue)), clock)
            errors[0, i] = float(abs(Decimal(float(q[i])) - truth)) / EPS
            if gone is not None:
                errors[1, i] = float(abs(Decimal(float(gone[i])) / (1 - truth) - 1)) / EPS
    return errors


@pytest.mark.parametrize("name", DESCENTS)
def test_factors_of_descents_are_right_to_rounding(name):
    """λ over twelve decades, up to ten million steps."""
    method, exact = DESCENTS[name]
    for steps in STEPS:
        errors = off(method, exact, jnp.asarray(steps), steps)
        # An oscillating mode turns by √λ h a step, and its angle is known to ε of itself.
        turned = 1 + np.sqrt(EIGENVALUES * S) * min(steps, 1e4)
        assert np.all(errors[0] < 10 * turned)
        assert np.all(errors[1] < 20 * turned)


@pytest.mark.parametrize("t", [1e-6, 1e-2, 1.0, 40.0, 1e5])
@pytest.mark.parametrize("name", FLOWS)
def test_factors_of_flows_are_right_to_rounding(name, t):
    flow, exact = FLOWS[name]
    errors = off(flow, exact, jnp.asarray(t), t)
    turned = 1 + np.sqrt(EIGENVALUES) * min(t, 1e2)
    assert np.all(errors[0] < 10 * turned)
    assert np.all(errors[1] < 20 * turned)


@pytest.mark.parametrize(
    "step_size", [1.0, jd.steps.Table(jnp.ones(64))], ids=["constant", "table"]
)
def test_a_decayed_factor_of_gradient_descent_keeps_its_digits(step_size):
    """(1 − γλ)^τ for τ from 0 to where it is tiny; and step by step from a table."""
    x, steps = jnp.array([1e-12, 0.3, 1.0, 1.5, 1.99]), jnp.array([0, 1, 37, 1000])
    q = jd.GradientDescent(step_size).mode(x, steps[:, None])
    exact = [[float((1 - Decimal(float(z))) ** int(t)) if t else 1.0 for z in x] for t in steps]
    np.testing.assert_allclose(q, exact, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("name", ["theta", "eta", "forward"])
def test_a_decayed_inertial_factor_keeps_its_digits(name):
    """Overdamped (4λ < α²), so that q has no zero: relative accuracy down to 1e-200."""
    method, exact = DESCENTS[name]
    lam = jnp.array([1e-6, 3e-5, 9e-5])
    steps = jnp.array([6e8, 2e7, 6e6]).astype(jnp.int32)
    ours = method.mode(lam, steps)
    with localcontext() as context:
        context.prec = 120
        for i in range(3):
            truth = exact(Decimal(float(lam[i])), int(steps[i]))
            assert truth < Decimal("1e-50")
            assert abs(Decimal(float(ours[i])) / truth - 1) < 1000 * abs(truth.ln()) * Decimal(EPS)


def test_a_schedule_is_its_table():
    values = jnp.linspace(0.1, 1.4, 9)
    table = jd.GradientDescent(jd.steps.Table(values))
    schedule = jd.GradientDescent(lambda tau: values[jnp.minimum(tau, 8)])
    lam, steps = jnp.logspace(-12, 0.1, 7), jnp.asarray(8)
    np.testing.assert_allclose(schedule.mode(lam, steps), table.mode(lam, steps), rtol=1e-14)
    np.testing.assert_allclose(schedule.fitted(lam, steps), table.fitted(lam, steps), rtol=1e-14)
    np.testing.assert_allclose(table.fitted(lam[:1], steps), lam[:1] * values[:8].sum(), rtol=1e-11)


def test_an_unstable_mode_grows_as_it_should():
    """x = 2.5: |1 − x|^τ, also where powers beyond τ would overflow; and its derivative."""
    factor = lambda x, steps: jd.GradientDescent(1.0).mode(x, jnp.asarray(steps))  # noqa: E731
    assert float(factor(jnp.asarray(2.5), 1500)) == pytest.approx(1.5**1500, rel=1e-11)
    slope = jax.grad(factor)(jnp.asarray(2.5), 1500)
    assert float(slope) == pytest.approx(-1500 * -(1.5**1499), rel=1e-10)


@pytest.mark.parametrize("damping", [0.0, 0.3, 2.0, 9.0])
@pytest.mark.parametrize("t", [1e-3, 0.8, 7.0])
def test_the_slope_of_a_mode_is_its_derivative(damping, t):
    b, lam, t = (jnp.asarray(x) for x in (damping, 0.9, t))
    mode = lambda t: damped_mode(b, lam, t)  # noqa: E731
    now, slopes = jax.jvp(mode, (t,), (jnp.ones_like(t),))
    slope = damped_slope(b, lam, t)
    np.testing.assert_allclose([slopes.left, -slopes.gone], slope, rtol=1e-12)
    np.testing.assert_allclose(now.left + now.gone, 1, rtol=1e-15)


@pytest.mark.parametrize("name", ["theta", "constant", "table"])
def test_derivatives_in_the_eigenvalue_by_both_modes(name):
    method = DESCENTS[name][0]
    lam, steps = jnp.asarray(40.0), jnp.asarray(1001)
    backward = jax.grad(method.mode)(lam, steps)
    h = 1e-4
    difference = (method.mode(lam + h, steps) - method.mode(lam - h, steps)) / (2 * h)
    assert float(backward) == pytest.approx(float(difference), rel=1e-6)
    _, ahead_ = jax.jvp(lambda x: method.fitted(x, steps), (lam,), (jnp.ones_like(lam),))
    assert float(ahead_) == pytest.approx(-float(backward), rel=1e-12)


@pytest.mark.parametrize("damping", [0.1, 5.0])
def test_derivatives_of_flows_in_both_regimes(damping):
    """Underdamped and overdamped, forward and backward, are finite and right."""
    flow, t, h = jd.ISEHD(damping, 0.2), jnp.asarray(1.7), 1e-5
    backward = jax.grad(flow.mode)(jnp.asarray(0.8), t)
    ends = [float(flow.mode(jnp.asarray(0.8 + d), t)) for d in (h, -h)]
    assert float(backward) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-8)


def test_the_twin_is_right_where_it_has_hardly_moved(key):
    """At λt = 1e-12 the displacement is −t∇f(θ0) and the degrees of freedom are Σ λ_i t."""
    A = jd.operators.Gaussian(m=3, n=6, key=jd.key_for(key, "A"), normalized=True)
    g = jd.TwoLayer(latent=4, width=30, out=6, key=jd.key_for(key, "g"))
    y = A(jax.random.normal(jd.key_for(key, "x"), (6,)))
    problem = jd.Problem(u=jd.on_sphere(4, key=key), operator=A, loss=jd.losses.MSE(), y=y)
    twin = jd.linearised(problem, g)
    t = 1e-12 / float(twin.eigenvalues[0])
    slope = jax.grad(lambda W: problem.objective(eqx.tree_at(lambda g: g.W, g, W)))(g.W)
    trace = float(jnp.sum(twin.eigenvalues))
    along = g.W @ problem.u
    for dynamics, at, moved in (
        (jd.GradientFlow(), t, t),
        (jd.GradientDescent(t), 1, t),
        (jd.ISEHD(0.3, 0.2), (2 * t) ** 0.5, t),
        (jd.IGAHD(t, 0.3, 0.2), 1, t),
    ):
        damped = 1e-5 if isinstance(dynamics, jd.ISEHD) else 1e-11
        df = float(twin.degrees_of_freedom(dynamics, at))
        assert df == pytest.approx(moved * trace, rel=damped, abs=0)
        # Reduced coordinates: z = W u/‖u‖, of which the gradient is that of W times u/‖u‖.
        moves = twin.displacement(dynamics, at).W[:, 0]
        exact = -moved * slope @ problem.u / jnp.linalg.norm(problem.u)
        assert along.shape == moves.shape
        np.testing.assert_allclose(moves, exact, rtol=2 * damped, atol=damped * moved)


def test_single_precision_and_batches():
    """In float32 the complement is right to that precision, under vmap and jit alike."""
    lam = jnp.logspace(-6, 0, 5, dtype=jnp.float32)
    for dynamics, at in ((jd.ISEHD(0.3, 0.2), 2.0), (jd.IGAHD(0.01, 0.3, 0.2), 20)):
        narrow = jax.jit(jax.vmap(lambda x, d=dynamics, at=at: d.fitted(x, jnp.asarray(at))))(lam)
        wide = dynamics.fitted(lam.astype(float), jnp.asarray(at))
        assert narrow.dtype == jnp.float32
        np.testing.assert_allclose(narrow, wide, rtol=1e-5)


#: D = b²/4 − λ as a fraction of b²/4: at, next to, near and away from critical damping.
NEAR_CRITICAL = [0.0, 1e-16, -1e-16, 1e-9, -1e-9, 1e-3, -1e-3, 0.15, -0.15, 0.3, -0.3]


@pytest.mark.parametrize("t", [1e-4, 0.3, 2.0, 30.0])
def test_factors_near_critical_damping_are_right_to_rounding(t):
    b = 1.4
    lam = jnp.asarray([b * b / 4 * (1 - x) for x in NEAR_CRITICAL])
    ours = damped_mode(jnp.asarray(b), lam, jnp.asarray(t))
    slopes = damped_slope(jnp.asarray(b), lam, jnp.asarray(t))
    with localcontext() as context:
        context.prec = 120
        for i, x in enumerate(lam):
            system = [[Decimal(0), Decimal(1)], [-Decimal(float(x)), -Decimal(b)]]
            (truth, _), (slope, _) = exponential(system, Decimal(t))
            assert abs(Decimal(float(ours.left[i])) - truth) < Decimal(10 * EPS)
            assert abs(Decimal(float(ours.gone[i])) / (1 - truth) - 1) < Decimal(20 * EPS)
            assert abs(Decimal(float(slopes[i])) / slope - 1) < Decimal(200 * EPS)


@pytest.mark.parametrize("t", [0.3, 2.0, 30.0])
@pytest.mark.parametrize("near", NEAR_CRITICAL)
def test_derivatives_near_critical_damping(near, t):
    """Against the sensitivities s = ∂q: s̈ + bṡ + λs = −q̇ for b, −q for λ."""
    b = 1.4
    lam = b * b / 4 * (1 - near)
    A = np.array([[0, 1], [-lam, -b]])
    mode = lambda b, lam: damped_mode(b, lam, jnp.asarray(t))  # noqa: E731
    backward = jax.grad(lambda *x: mode(*x).left, (0, 1))(jnp.asarray(b), jnp.asarray(lam))
    for which, source in enumerate(([0, -1], [-1, 0])):
        both = np.block([[A, np.zeros((2, 2))], [np.array([[0, 0], source]), A]])
        exact = scipy.linalg.expm(both * t)[2, 0]
        assert float(backward[which]) == pytest.approx(exact, rel=1e-9, abs=1e-13)
        ones = [jnp.asarray(float(i == which)) for i in range(2)]
        _, along = jax.jvp(mode, (jnp.asarray(b), jnp.asarray(lam)), tuple(ones))
        np.testing.assert_allclose([along.left, -along.gone], exact, rtol=1e-9, atol=1e-13)


def test_derivatives_of_flows_at_critical_damping():
    """b = 2, λ = t = 1: q = e^{−a}(cosh r + a sinh r/r), r² = a² − 1, so dq/dα = 1/(6e)."""
    factor = lambda alpha: jd.ISEHD(alpha, 0.0).mode(jnp.array([1.0]), 1.0)[0]  # noqa: E731
    assert float(jax.grad(factor)(2.0)) == pytest.approx(np.exp(-1) / 6, rel=1e-13)
    h = 1e-4
    ends = [float(jax.grad(factor)(2.0 + d)) for d in (h, -h)]
    second = jax.grad(jax.grad(factor))(2.0)
    assert float(second) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-7)
    # c κ = 2√(cλ) at h = 0.2, α = 1: the critical λ of the modified flow, with β = 0.
    modified = lambda lam: jd.ModifiedISEHD(0.04, 1.0, 0.0).mode(lam, jnp.asarray(3.0))  # noqa: E731
    edge = jnp.asarray(1.1 / 4)
    ends = [float(modified(edge + d)) for d in (h, -h)]
    assert float(jax.grad(modified)(edge)) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", FLOWS)
def test_at_infinity_modes_are_at_their_limit(name, dtype):
    """What can be fitted is; a mode with λ = 0 stays; and so under jit and vmap."""
    flow = FLOWS[name][0]
    lam = jnp.array([0.0, 1e-20, 1e-4, 1.0, 1e6], dtype)
    for call in (
        flow.mode,
        eqx.filter_jit(flow.mode),
        eqx.filter_vmap(flow.mode, in_axes=(0, None)),
    ):
        np.testing.assert_array_equal(call(lam, jnp.asarray(jnp.inf)), [1, 0, 0, 0, 0])
    np.testing.assert_array_equal(flow.fitted(lam, jnp.asarray(jnp.inf)), [0, 1, 1, 1, 1])
    # It is the limit: the same at any finite time beyond.
    late = flow.mode(lam, jnp.asarray(1e30))
    np.testing.assert_allclose(late, [1, 0, 0, 0, 0], atol=1e-30)


def test_without_damping_there_is_no_limit():
    zero, one, never = jnp.zeros(()), jnp.ones(()), jnp.asarray(jnp.inf)
    assert np.isnan(damped_mode(zero, one, never).left)
    assert np.isnan(damped_slope(zero, one, never))
    assert float(damped_mode(zero, zero, never).left) == 1


def test_a_carried_path_length_does_not_cost_the_twin_its_digits(key):
    A = jd.operators.Gaussian(m=3, n=6, key=jd.key_for(key, "A"), normalized=True)
    g = jd.TwoLayer(latent=4, width=30, out=6, key=jd.key_for(key, "g"))
    problem = jd.Problem(
        u=jd.on_sphere(4, key=key), operator=A, loss=jd.losses.MSE(), y=jnp.ones(3)
    )
    twin = jd.linearised(problem, g)
    for dynamics, at in ((jd.GradientFlow(), 1e-12), (jd.GradientDescent(1e-12), 1)):
        carried = twin.fitted(jd.with_path_length(dynamics), at)
        np.testing.assert_array_equal(carried, twin.fitted(dynamics, at))
