"""Energies of the inertial methods on quadratics, their certificates along runs, adaptive steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from wide_networks import OBSERVE, holds_along, wide

import jaxdip as jd
from jaxdip import theory
from jaxdip.theory._two_step import displacement_decay, longest_velocity_step, velocity_decay

pytestmark = pytest.mark.optimised


def igahd_on(eigenvalues, s, alpha, beta, steps):
    """Losses and path lengths of IGAHD on ½Σλ_i θ_i² from θ_0 = 1, in plain NumPy."""
    lam, h = np.asarray(eigenvalues, float), s**0.5
    theta = before = np.ones_like(lam)
    losses, path = [0.5 * np.sum(lam * theta**2)], [0.0]
    for _ in range(steps):
        move = (1 - alpha * h) * (theta - before) - beta * h * lam * (theta - before)
        theta, before = theta + move - s * lam * theta, theta
        losses.append(0.5 * np.sum(lam * theta**2))
        path.append(path[-1] + np.linalg.norm(theta - before))
    return np.array(losses), np.array(path)


def numbers(*values):
    return [jnp.asarray(x, float) for x in values]


def slowest_rate(eigenvalues, s, alpha, beta):
    """−ln of the square of the spectral radius of IGAHD on a quadratic, per step."""
    h = s**0.5
    radius = 0.0
    for lam in eigenvalues:
        momentum = 1 - alpha * h - beta * h * lam
        radius = max(radius, *abs(np.roots([1, -(1 + momentum - s * lam), momentum])))
    return -2 * np.log(radius)


#: How many times faster than certified the slowest mode may decay: exact for the better pair as
#: the step tends to zero, as ISEHD's theorem is.
LOOSENESS = {
    ("talk", 0.5): 3.6,
    ("talk", 0.1): 2.7,
    ("talk", 0.02): 2.5,
    ("better", 0.5): 2.1,
    ("better", 0.1): 1.13,
    ("better", 0.02): 1.03,
    ("strong", 0.5): 4.3,
    ("strong", 0.1): 3.6,
    ("strong", 0.02): 3.5,
}


@pytest.mark.parametrize(("damping", "stretch"), LOOSENESS)
def test_the_velocity_s_energy_on_quadratics(damping, stretch):
    eigenvalues = np.array([0.2, 0.35, 1.0, 7.0])
    mu_s, L, loss0 = 0.2, 7.0, 0.5 * eigenvalues.sum()
    gradient0 = np.linalg.norm(eigenvalues)
    mu = 2 * mu_s**0.5
    pairs = {
        "talk": (mu, 1 / (2 * mu)),
        "better": tuple(float(x) for x in theory.isehd_parameters(jnp.asarray(mu))),
        "strong": (3 * mu, 0.1 / mu),
    }
    alpha, beta = pairs[damping]
    h = stretch * float(longest_velocity_step(*numbers(alpha, beta, L)))
    decay = velocity_decay(*numbers(h**2, alpha, beta, L, mu_s, loss0, gradient0))
    losses, path = igahd_on(eigenvalues, h**2, alpha, beta, int(40 / h))
    assert (losses <= decay.bound(jnp.asarray(h))(h * np.arange(losses.size))).all()
    assert path[-1] <= decay.reach < 50 * path[-1]
    certified = -np.log1p(-float(decay.gap))
    seen = slowest_rate(eigenvalues, h**2, alpha, beta)
    assert certified <= seen <= LOOSENESS[damping, stretch] * certified


def test_the_velocity_s_constants_become_those_of_the_flow():
    problem, g = wide(3, k=20_000, offset=0.1)
    L = jd.gradient_lipschitz(problem, g)
    base = theory.ground(problem, g, "sketched")
    mu = base.mu.value
    for alpha, beta in ((mu, 1 / (2 * mu)), theory.isehd_parameters(mu)):
        flow = theory.certify_isehd(base, alpha, beta)
        errors = []
        for fraction in (1e-2, 1e-3):
            h = fraction * longest_velocity_step(alpha, beta, L.value)
            method = theory.certify_igahd(base, h**2, alpha, beta, L, energy="velocity")
            rate = -jnp.log1p(-method.numbers["1 − q"].value) / h
            errors.append(float(jnp.abs(rate / flow.numbers["ρ"].value - 1)))
            path = float(method.numbers["R'"].value / flow.numbers["R'"].value)
            assert path == pytest.approx(1, abs=3 * fraction)
        assert errors[1] == pytest.approx(errors[0] / 10, rel=0.1)


def test_the_longest_step_is_where_the_form_is_singular():
    alpha, beta, L = 0.7, 0.9, 11.0
    c = alpha * beta
    h = float(longest_velocity_step(*numbers(alpha, beta, L)))
    P = np.diag([alpha, (1 - c) * beta]) - h * L * np.array(
        [[(1 + c) / 2, -beta / 2], [-beta / 2, beta**2 / 2]]
    )
    assert np.linalg.eigvalsh(P) == pytest.approx([0, np.trace(P)], abs=1e-14)
    beyond = velocity_decay(*numbers((1.01 * h) ** 2, alpha, beta, L, 0.1, 1.0, 1.0))
    assert np.isnan(float(beyond.reach))
    assert np.isnan(float(longest_velocity_step(*numbers(alpha, 1.1 / alpha, L))))
    assert np.isnan(float(longest_velocity_step(*numbers(alpha, 0.0, L))))


@pytest.mark.parametrize("beta", [0.0, 0.05])
def test_the_displacement_s_energy_on_quadratics(beta):
    eigenvalues = np.array([0.2, 0.35, 1.0, 2.0])
    mu_s, L, alpha = 0.2, 2.0, 0.9
    h = 0.8 * 2 * (alpha / L - beta)
    a = 1 - alpha * h
    decay, delta = displacement_decay(
        *numbers(h**2, 1.0, a + beta * h * L, L, mu_s, 0.5 * eigenvalues.sum())
    )
    assert float(delta) == pytest.approx((alpha - beta * L) / h - L / 2)
    losses, path = igahd_on(eigenvalues, h**2, alpha, beta, 400)
    assert (losses <= decay.bound(jnp.asarray(h))(h * np.arange(losses.size))).all()
    assert path[-1] <= decay.reach
    assert path[-1] > decay.reach / 30


@pytest.mark.parametrize(("seed", "weight"), [(3, 0.5), (4, 1.7)])
def test_the_talk_s_pair_is_certified_in_the_velocity_only(seed, weight):
    problem, g = wide(seed, k=1_000_000, offset=0.02, loss=jd.losses.MSE(weight))
    L = jd.gradient_lipschitz(problem, g)
    base = theory.ground(problem, g, "sketched")
    mu = float(base.mu.value) * (2 * weight) ** 0.5
    alpha, beta = mu, 1 / (2 * mu)
    s = (0.8 * float(longest_velocity_step(*numbers(alpha, beta, L.value)))) ** 2
    assert not bool(theory.igahd(problem, g, s, alpha, beta, "sketched").holds)
    certificate = theory.igahd(problem, g, s, alpha, beta, "sketched", energy="velocity")
    run = jd.iterate(problem, jd.IGAHD(s, alpha, beta), g, 1500, every=50, observe=OBSERVE)
    slack = holds_along(certificate, run)
    assert slack["distance"] < 20
    rate = -np.log1p(-float(certificate.numbers["1 − q"].value))
    spoiled = run.loss[0] * np.exp(-40 * rate * 50 * np.arange(run.ts.size))
    assert (np.asarray(run.loss) > spoiled)[1:].any()
    best = jd.certify(problem, g, dynamics=jd.IGAHD(s, alpha, beta), kind="sketched")
    assert "velocity" in best.theorem
    assert float(best.margin) == float(certificate.margin)


def test_the_margin_of_steps_that_are_too_long_is_that_of_the_rule_they_break():
    # Without a decrease of V there is no R', so that R' < R has no margin.
    problem, g = wide(4, k=20_000, offset=0.02)
    certificate = theory.igahd(problem, g, 1.0, 0.01, 100.0)
    margins = {one.name: float(one.margin) for one in certificate.conditions}
    assert np.isnan(margins["R' < R"])
    assert float(certificate.margin) == margins["β + √s/2 < α/L"] < 1
    assert not bool(certificate.holds)
    # Where all the others hold, what is unknown is not hidden.
    rest = tuple(one for one in certificate.conditions if one.name != "β + √s/2 < α/L")
    alone = eqx.tree_at(lambda c: c.conditions, certificate, rest)
    assert np.isnan(float(alone.margin))


def test_no_rate_in_the_velocity_without_hessian_damping():
    problem, g = wide(4, k=20_000, offset=0.02)
    none = theory.igahd(problem, g, 0.01, 0.1, 0.0, energy="velocity")
    assert "β = 0 gives no rate" in none.verdict
    with pytest.raises(ValueError, match="choose 'displacement' or 'velocity'"):
        theory.igahd(problem, g, 0.01, 0.1, 0.0, energy="kinetic")


def test_forward_damping_stays_below_its_bounds():
    problem, g = wide(4, k=1_000_000, offset=0.02)
    L = jd.gradient_lipschitz(problem, g)
    alpha = float(theory.ground(problem, g, "sketched").mu.value)
    s, beta = 0.5 * (alpha / float(L.value)) ** 2, 0.25 * alpha / float(L.value)
    certificate = theory.igahd_forward(problem, g, s, alpha, beta, "sketched")
    run = jd.iterate(problem, jd.IGAHDForward(s, alpha, beta), g, 200, every=5, observe=OBSERVE)
    holds_along(certificate, run)
    found = jd.certify(problem, g, dynamics=jd.IGAHDForward(s, alpha, beta), kind="sketched")
    assert float(found.margin) == float(certificate.margin)
    # Large αh is no obstacle; β + h/2 ≥ α/L is.
    long = theory.igahd_forward(problem, g, (3 / alpha) ** 2, alpha, 0.0, "sketched")
    assert bool(long.conditions[3].holds) == (1.5 / alpha < alpha / float(L.value))


@pytest.mark.parametrize("first", [1.0, 500.0])
def test_the_adaptive_inertial_method_stays_below_its_bounds(first):
    """Also where the first trial is too long, so that steps shrink."""
    problem, g = wide(4, k=1_000_000, offset=0.02)
    L = float(jd.gradient_lipschitz(problem, g).value)
    alpha = float(theory.ground(problem, g, "sketched").mu.value)
    s, beta = first * 0.5 * (alpha / L) ** 2, 0.25 * alpha / L
    method = jd.IGAHDBacktracking(s, alpha, beta)
    certificate = jd.certify(problem, g, dynamics=method, kind="sketched")
    run = jd.iterate(problem, method, g, 200, every=1, observe=OBSERVE)
    holds_along(certificate, run)
    # Once the loss is at rounding, no step decreases it visibly.
    steps = np.diff(np.asarray(run.ts))[np.asarray(run.loss)[1:] > 1e-18]
    least = float(certificate.numbers["√s ≥"].value)
    assert steps.min() >= least * (1 - 1e-9)
    assert (steps.min() < s**0.5 * 0.9) == (first > 1)
    growing = jd.certify(
        problem, g, dynamics=jd.IGAHDBacktracking(s, alpha, beta, growth=1.5), kind="sketched"
    )
    assert "steps that grow again are not covered" in growing.verdict
    slow = jd.IGAHDBacktracking(s, alpha, alpha / L)
    assert not bool(jd.certify(problem, g, dynamics=slow, kind="sketched").holds)


@pytest.mark.parametrize("loss", [jd.losses.MSE(), jd.losses.Power(0.2), jd.losses.LogCosh()])
def test_armijo_s_rule_stays_below_its_bounds(loss):
    problem, g = wide(5, k=60_000, loss=loss, offset=0.1)
    method = jd.GradientDescent(jd.steps.Armijo(growth=1.3, decrease=0.3))
    certificate = jd.certify(problem, g, dynamics=method, kind="sketched")
    run = jd.iterate(problem, method, g, 150, every=1, observe=OBSERVE)
    slack = holds_along(certificate, run)
    assert slack["distance"] < 40
    steps = np.diff(np.asarray(run.ts))
    live = np.asarray(run.loss)[1:] > 1e-12
    assert steps[live].min() >= float(certificate.numbers["γ ≥"].value) * (1 - 1e-9)
    psi = problem.loss.desingularizer(problem.y)
    rate = float(certificate.bounds["loss"].rate)
    spoiled = psi.Psi_inv(1000 * rate * run.ts[1:] + psi.Psi(run.loss[0]))
    assert (np.asarray(run.loss[1:]) > np.asarray(spoiled)).any()
    mu = float(theory.ground(problem, g, "sketched").mu.value)
    assert rate == pytest.approx(0.3 * mu**2 / 4)


def test_adaptive_certificates_refuse_wrong_numbers():
    problem, g = wide(4, k=500)
    for call in (
        lambda c: theory.adaptive_descent(problem, g, 1.0, decrease=c),
        lambda c: theory.adaptive_descent(problem, g, 1.0, shrink=c),
        lambda c: theory.adaptive_inertia(problem, g, 1.0, 1.0, 0.0, decrease=c),
    ):
        with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
            call(1.5)
        with pytest.raises(TypeError, match="a real number, got None"):
            call(None)
    many = jax.vmap(
        lambda s: theory.igahd(problem, g, s, 0.1, 0.1, "sketched", energy="velocity").margin
    )(jnp.array([1e-4, 1e-2]))
    assert many.shape == (2,)


def forms(h, alpha, beta, L, mu_s):
    """P and N of `velocity_decay`, and κ, by hand."""
    c, a = alpha * beta, 1 - alpha * h
    kappa, M = (1 - c) / a, h**2 * L / (2 * a)
    off = h * L * beta / 2
    P = np.array([[alpha - h * L * (1 + c) / 2, off], [off, (1 - c) * beta - h * beta**2 * L / 2]])
    cross = kappa * h / 2 - M * beta
    N = np.array([[0.5 + M, cross], [cross, kappa / (2 * mu_s) - kappa * h * beta + M * beta**2]])
    return h / a * P, N, kappa


def test_the_forms_bound_the_energy_of_any_smooth_function():
    """From any state, on quadratics with curvature in [−L, L]: the descent lemma needs no more."""
    rng = np.random.default_rng(0)
    alpha, beta, L = 0.9, 0.7, 5.0
    h = 0.7 * float(longest_velocity_step(*numbers(alpha, beta, L)))
    P, N, kappa = forms(h, alpha, beta, L, mu_s=1.0)
    N[1, 1] -= kappa / 2  # the part that stands for κf(θ_ℓ) ≤ κ‖g‖²/(2μ_s)
    c, a = alpha * beta, 1 - alpha * h
    tightest = np.inf
    for _ in range(4000):
        lam = rng.choice([-L, L, rng.uniform(-L, L)], size=2)
        theta, before = rng.normal(size=2), rng.normal(size=2)
        g, g_before = lam * theta, lam * before
        d = theta - before
        new = theta + (1 - alpha * h) * d - beta * h * (g - g_before) - h**2 * g
        v, v_new = d / h + beta * g_before, (new - theta) / h + beta * g
        f, f_new = 0.5 * lam @ theta**2, 0.5 * lam @ new**2
        V = kappa * f + 0.5 * v @ v + c * L / (2 * a) * d @ d
        V_new = (
            kappa * f_new + 0.5 * v_new @ v_new + c * L / (2 * a) * (new - theta) @ (new - theta)
        )
        pair = np.stack([v_new, g])
        gram = pair @ pair.T
        falls = V - V_new - np.sum(P * gram)
        assert falls >= -1e-9 * abs(V)
        assert V_new - kappa * f <= np.sum(N * gram) + 1e-9 * abs(V)
        tightest = min(tightest, falls / np.trace(gram))
    # The form is not far below what happens somewhere.
    assert tightest < 0.25 * np.linalg.eigvalsh(P)[0]


@pytest.mark.parametrize("stretch", [0.9, 0.3])
def test_the_rate_and_path_are_those_of_the_forms(stretch):
    alpha, beta, L, mu_s, loss0, gradient0 = 0.9, 0.7, 5.0, 0.13, 2.0, 3.0
    h = stretch * float(longest_velocity_step(*numbers(alpha, beta, L)))
    P, N, kappa = forms(h, alpha, beta, L, mu_s)
    r = 1 / scipy.linalg.eigh(N, P, eigvals_only=True)[-1]
    w, q = np.array([1, -beta]), (1 + r) ** -0.5
    start = kappa * loss0 + 0.5 * (beta * gradient0) ** 2
    path = h * np.sqrt(w @ np.linalg.solve(P, w) * (1 + q) / (1 - q) * start)
    decay = velocity_decay(*numbers(h**2, alpha, beta, L, mu_s, loss0, gradient0))
    assert float(decay.gap) == pytest.approx(r / (1 + r), rel=1e-9)
    assert float(decay.reach) == pytest.approx(path, rel=1e-9)
    assert float(decay.scale) == pytest.approx(start / kappa, rel=1e-12)


def constants(problem, g):
    base = theory.ground(problem, g, "sketched")
    L = float(jd.gradient_lipschitz(problem, g).value)
    mu, loss0 = float(base.mu.value), float(base.loss0.value)
    return mu, mu**2 / 4, L, loss0


def test_the_numbers_of_forward_damping_by_hand():
    problem, g = wide(4, k=50_000, offset=0.02)
    mu, mu_s, L, loss0 = constants(problem, g)
    alpha, beta, h = mu, 0.25 * mu / L, 0.7 * mu / L
    found = theory.igahd_forward(problem, g, h**2, alpha, beta, "sketched")
    ahead, carried = 1 + alpha * h, 1 + beta * h * L
    delta = (alpha - beta * L) / h - L / 2
    G = max(ahead, carried) ** 2 / (mu_s * h**4) + carried / (2 * h**2)
    P = carried / (np.sqrt(2 * mu_s) * h**2) + np.sqrt(carried / 2) / h
    Q = ahead / (np.sqrt(2 * mu_s) * h**2)
    expected = {
        "δ": delta,
        "1 − q": 1 - np.sqrt(G / (G + delta)),
        "R'": 2 * (P + Q) * np.sqrt(loss0) / delta,
    }
    for name, value in expected.items():
        assert float(found.numbers[name].value) == pytest.approx(value, rel=1e-7), name


def test_the_numbers_of_the_adaptive_method_by_hand():
    problem, g = wide(4, k=50_000, offset=0.02)
    mu, mu_s, L, loss0 = constants(problem, g)
    alpha, beta, c, rho = mu, 0.25 * mu / L, 0.2, 0.6
    first = 3 * mu / L
    found = theory.adaptive_inertia(
        problem, g, first**2, alpha, beta, "sketched", decrease=c, shrink=rho
    )
    h = min(first, rho * 2 * ((1 - c) * alpha - beta * L) / (L * (1 + beta**2 * L)))
    assert h < first
    p, q = 1 / h + beta * L, 1 / h + alpha
    G = 0.5 + (p**2 + q**2) / (2 * mu_s)
    expected = {
        "√s ≥": h,
        "1 − q": 1 - np.sqrt(G / (G + c * alpha * h)),
        "R'": 2 * ((p + q) / np.sqrt(2 * mu_s) + 0.5**0.5) * np.sqrt(loss0) / (c * alpha),
    }
    for name, value in expected.items():
        assert float(found.numbers[name].value) == pytest.approx(value, rel=1e-7), name
    assert found.numbers["L"].evidence == "assumed"


@pytest.mark.parametrize("stretch", [1.0, 0.3])
def test_every_step_that_is_short_enough_passes_the_rule(stretch):
    """h ≤ 2[(1 − c)α − βL]/[L(1 + β²L)], on quadratics of curvature in [−L, L], any state."""
    rng = np.random.default_rng(1)
    alpha, beta, c, L = 1.1, 0.1, 0.2, 4.0
    h = stretch * 2 * ((1 - c) * alpha - beta * L) / (L * (1 + beta**2 * L))
    least = np.inf
    for _ in range(4000):
        lam = rng.choice([-L, L, rng.uniform(-L, L)], size=2)
        theta, v, last = rng.normal(size=2), rng.normal(size=2), h * rng.uniform(1, 3)
        g, before = lam * theta, lam * (theta - last * v)
        new_v = (v - h * (beta * (g - before) / last + g)) / (1 + alpha * h)
        new = theta + h * new_v
        E = 0.5 * lam @ theta**2 + 0.5 * v @ v
        fall = E - 0.5 * lam @ new**2 - 0.5 * new_v @ new_v - c * alpha * h * new_v @ new_v
        least = min(least, fall / (theta @ theta + v @ v))
        assert fall >= -1e-12
    assert least < 0.05
