"""The convergence theorems: constants by hand, bounds along real runs, and what spoils them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from wide_networks import OBSERVE, holds_along, wide

import jaxdip as jd
from jaxdip import theory

KINDS = ("network", "row space", "sketched")


LOSSES = {
    "half": lambda: jd.losses.MSE(),
    "mean": lambda: jd.losses.MSE(1.7),
    "power": lambda: jd.losses.Power(0.2),
    "log-cosh": lambda: jd.losses.LogCosh(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_flow_stays_below_its_bounds(loss, kind):
    problem, g = wide(loss=LOSSES[loss]())
    certificate = theory.gradient_flow(problem, g, kind)
    rate = float(certificate.numbers["rate μ²/4"].value)
    ts = jd.log_times(0.05 / rate, 12 / rate, 25)
    run = jd.integrate(problem, jd.GradientFlow(), g, ts, observe=OBSERVE, rtol=1e-9, atol=1e-12)
    slack = holds_along(certificate, run)
    # Ψ(L) grows at most with ‖A J‖², here about 1 to 40 times μ²: with 200 times the rate it fails.
    psi = problem.loss.desingularizer(problem.y)
    spoiled = psi.Psi_inv(200 * rate * run.ts[1:8] + psi.Psi(run.loss[0]))
    assert (np.asarray(run.loss[1:8]) > np.asarray(spoiled)).any()
    # R' = 2ψ(L0)/μ is at least as long as the way.
    assert slack["distance"] < 40


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_gradient_descent_stays_below_its_bounds(seed, both):
    problem, g = wide(seed, k=60_000, both=both, offset=0.1)
    L = jd.gradient_lipschitz(problem, g)
    if both:
        L = jd.Quantity(2 * L.value, "twice the Hessian at the start", "assumed")
    gamma = 1 / float(L.value)
    for sharp in (True, False):
        certificate = theory.gradient_descent(problem, g, gamma, "sketched", L=L, sharp=sharp)
        run = jd.iterate(problem, jd.GradientDescent(gamma), g, 150, every=10, observe=OBSERVE)
        holds_along(certificate, run)
        assert certificate.grade == ("assumed" if both else "computed")
    beyond = theory.gradient_descent(problem, g, 1.01 * gamma, "sketched", L=L)
    assert not bool(beyond.holds)


def test_the_inertial_flow_stays_below_its_bounds():
    for weight in (0.5, 1.7):
        problem, g = wide(3, k=60_000, loss=jd.losses.MSE(weight), offset=0.1)
        mu = theory.ground(problem, g, "sketched").mu.value * (2 * weight) ** 0.5
        pairs = {"talk": (mu, 1 / (2 * mu)), "better": theory.isehd_parameters(mu)}
        rates = {}
        for name, (alpha, beta) in pairs.items():
            certificate = theory.isehd(problem, g, alpha, beta, "sketched")
            rates[name] = float(certificate.numbers["ρ"].value)
            ts = jnp.linspace(0, 20 / rates[name], 30)
            tight = {"rtol": 1e-9, "atol": 1e-12}
            run = jd.integrate(problem, jd.ISEHD(alpha, beta), g, ts, observe=OBSERVE, **tight)
            holds_along(certificate, run)
            faster = run.loss[0] * jnp.exp(-12 * rates[name] * run.ts)
            assert (run.loss > faster).any()
        # The talk's exponent is μ/4 for the loss; the better pair's √½ μ.
        assert rates["talk"] == pytest.approx(float(mu) / 4, rel=1e-9)
        assert rates["better"] == pytest.approx(0.5**0.5 * float(mu), rel=1e-9)


def test_igahd_stays_below_its_bounds():
    problem, g = wide(4, k=400_000, offset=0.02)
    base = theory.ground(problem, g, "sketched")
    L = jd.gradient_lipschitz(problem, g)
    alpha = float(base.mu.value)
    s = 0.5 * (alpha / float(L.value)) ** 2
    beta = 0.25 * alpha / float(L.value)
    certificate = theory.igahd(problem, g, s, alpha, beta, "sketched")
    run = jd.iterate(problem, jd.IGAHD(s, alpha, beta), g, 120, every=4, observe=OBSERVE)
    holds_along(certificate, run)
    q = 1 - float(certificate.numbers["1 − q"].value)
    # How loose the rate is: a q with so many times the exponent is no bound.
    late = int(np.argmax(np.asarray(run.loss) < 1e-12))
    looseness = np.log(float(run.loss[0] / run.loss[late])) / (-np.log(q) * 4 * late)
    assert 1 < looseness < 2000
    # The talk's pair asks for L < 2μ², which fails here.
    talk = theory.igahd(problem, g, s, alpha, 1 / (2 * alpha), "sketched")
    assert bool(talk.conditions[4].holds) == (float(L.value) < 2 * alpha**2)
    # The Lyapunov function's decrease needs β + h/2 < α/L, and nothing else.
    edge = theory.igahd(problem, g, s, alpha, alpha / float(L.value) - s**0.5 / 2, "sketched")
    assert float(edge.numbers["δ"].value) == pytest.approx(0, abs=1e-6)


def test_the_constants_are_those_of_numpy():
    problem, g = wide(5, k=3000)
    k = 3000
    A, V = np.asarray(problem.operator.matrix()), np.asarray(g.V)
    h = np.asarray(g.W @ problem.u)
    slope = np.exp(-h) / (1 + np.exp(-h)) ** 2
    J = V * slope / np.sqrt(k)
    sigma = np.linalg.svd(J, compute_uv=False)
    s_A = np.linalg.svd(A, compute_uv=False)
    columns = np.sqrt((V**2).sum(0).max())
    lip = columns / (6 * np.sqrt(3)) / np.sqrt(k)
    residual = np.linalg.norm(np.asarray(problem.predict(g) - problem.y))
    base = theory.ground(problem, g, "network")
    np.testing.assert_allclose(base.mu.value, s_A[-1] * sigma[-1], rtol=1e-9)
    np.testing.assert_allclose(base.radius.value, sigma[-1] / (2 * lip), rtol=1e-9)
    certificate = theory.gradient_flow(problem, g)
    np.testing.assert_allclose(
        certificate.numbers["R'"].value, 2 * residual / (s_A[-1] * sigma[-1]), rtol=1e-9
    )
    row = theory.ground(problem, g, "row space")
    _, _, Vt = np.linalg.svd(A, full_matrices=False)
    np.testing.assert_allclose(row.sigma.value, np.linalg.svd(Vt @ J, compute_uv=False)[-1])
    sketched = theory.ground(problem, g, "sketched")
    np.testing.assert_allclose(sketched.mu.value, np.linalg.svd(A @ J, compute_uv=False)[-1])
    assert float(sketched.mu.value) >= float(row.mu.value) >= float(base.mu.value)
    # MSE: t* = (4/μ²) ln(‖y(0) − y‖/‖ε‖).
    wanted = 4 / (s_A[-1] * sigma[-1]) ** 2 * np.log(residual / 0.01)
    np.testing.assert_allclose(theory.stopping_time(certificate, 0.01), wanted, rtol=1e-9)
    assert float(theory.stopping_time(certificate, 2 * residual)) == 0.0


def test_the_stopping_time_is_late_enough():
    """From t* on, ‖y(t) − ȳ‖ ≤ 2‖ε‖, with data whose noise is known."""
    clean, g = wide(6, offset=0.5)
    noise = 0.02 * jax.random.normal(jax.random.key(9), clean.y.shape)
    problem = jd.Problem(u=clean.u, operator=clean.operator, loss=clean.loss, y=clean.y + noise)
    size = float(jnp.linalg.norm(noise))
    for make in (
        lambda: (theory.gradient_flow(problem, g, "sketched"), None),
        lambda: (theory.gradient_descent(problem, g, 0.5, "sketched"), 0.5),
    ):
        certificate, gamma = make()
        assert bool(certificate.holds)
        t = float(theory.stopping_time(certificate, size))
        observe = {"error": jd.observables.PredictionError(clean.y)}
        if gamma is None:
            run = jd.integrate(
                problem, jd.GradientFlow(), g, t * jnp.linspace(1, 3, 9), observe=observe
            )
        else:
            steps = int(np.ceil(t / gamma))
            run = jd.iterate(
                problem, jd.GradientDescent(gamma), g, 3 * steps, at=[steps, 2 * steps],
                observe=observe,
            )  # fmt: skip
        late = np.asarray(run.ts) >= t
        assert (np.asarray(run.observed["error"])[late] <= 2 * size).all()


def test_nu_is_what_the_paper_says():
    L = 3.0
    x = np.linspace(1e-3, 1, 400)
    nu1, nu2 = jax.vmap(lambda g: jnp.stack(theory.nu(g, L)))(jnp.asarray(x / L)).T
    assert (np.diff(nu1) > 0).all()
    assert nu1[0] == pytest.approx(1, abs=2e-3)
    assert nu1[-1] == pytest.approx(4)
    assert x[np.argmin(nu2)] == pytest.approx(0.5, abs=3e-3)
    assert nu2.min() == pytest.approx(6 * L, rel=1e-4)
    assert nu2[-1] == pytest.approx(8 * L)
    s1, s2 = theory.nu(1 / L, L, concave=True)
    assert (float(s1), float(s2)) == (pytest.approx(2), pytest.approx(2 * L))


def test_psi_of_the_loss_plus_the_path_never_increases():
    """The identity behind the theorem: ψ(L(t)) + (μ/2)·length(t) falls, with that constant."""
    problem, g = wide(7)
    certificate = theory.gradient_flow(problem, g, "sketched")
    assert bool(certificate.holds)
    mu = float(certificate.numbers["μ"].value)
    observe = {"length": jd.PathLength()}
    ts = jnp.linspace(0, 40, 60)
    run = jd.integrate(problem, jd.GradientFlow(), g, ts, observe=observe, rtol=1e-10, atol=1e-13)
    psi = problem.loss.desingularizer(problem.y)
    value = np.asarray(psi.psi(run.loss) + mu / 2 * run.observed["length"])
    assert (np.diff(value) <= 1e-10).all()
    spoiled = np.asarray(psi.psi(run.loss) + 40 * mu * run.observed["length"])
    assert (np.diff(spoiled) > 0).any()


def test_the_run_s_own_jacobians_certify_where_the_theorem_does_not():
    problem, g = wide(8, k=60, offset=1.0)
    assert not bool(theory.gradient_flow(problem, g, "sketched").holds)
    observe = {"sigma": jd.analysis.SigmaMin(of="AJ")}
    ts = jnp.linspace(0, 300, 400)
    run = jd.integrate(problem, jd.GradientFlow(), g, ts, observe=observe, rtol=1e-9, atol=1e-12)
    psi = problem.loss.desingularizer(problem.y)
    bound = theory.a_posteriori_loss(psi, run.loss[0], run.ts, run.observed["sigma"])
    seen = np.asarray(run.loss)
    live = seen > 1e-15
    assert (np.asarray(bound)[live] >= seen[live] * (1 - 1e-6)).all()
    assert float(bound[-1]) < 1e-3 * float(bound[0])
    spoiled = theory.a_posteriori_loss(psi, run.loss[0], run.ts, 8 * run.observed["sigma"])
    assert (np.asarray(spoiled)[live] < seen[live]).any()
    with pytest.raises(ValueError, match="two equal lists"):
        theory.a_posteriori_loss(psi, 1.0, run.ts, run.ts[:3])


def test_early_warnings_say_when_the_theorem_stops_describing_the_run():
    problem, g = wide(9, k=40_000)
    base = theory.ground(problem, g, "network")
    kept = theory.StillKept(base)
    observe = {"kept": kept, "ball": theory.BallUsed(base.radius.value)}
    run = jd.integrate(problem, jd.GradientFlow(), g, jnp.linspace(0, 200, 9), observe=observe)
    assert float(run.observed["kept"][0]) == pytest.approx(1, rel=1e-9)
    assert (np.asarray(run.observed["kept"]) > 0.5).all()
    assert (np.asarray(run.observed["ball"]) < 1).all()
    far = jd.TwoLayer(latent=4, width=12, out=3, key=jax.random.key(0))
    narrow = jd.Problem(u=problem.u, operator=problem.operator, loss=problem.loss, y=problem.y + 3)
    base = theory.ground(narrow, far, "network")
    observe = {"ball": theory.BallUsed(base.radius.value)}
    run = jd.integrate(narrow, jd.GradientFlow(), far, jnp.linspace(0, 200, 9), observe=observe)
    assert float(run.observed["ball"][-1]) > 1


def test_the_recovery_bound_has_its_three_parts():
    """A square and well conditioned: λ = σ_A, dist = 0, and the bound lies above the error."""
    key = jax.random.key(0)
    A = jd.operators.WithSpectrum.evenly_spaced(3, key)
    g = jd.TwoLayer(latent=4, width=150_000, out=3, key=key)
    u = jd.on_sphere(4, key=key)
    x = g(u) + jnp.array([0.1, -0.1, 0.05])
    noise = 0.01 * jax.random.normal(key, (3,))
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x) + noise)
    size = jnp.linalg.norm(noise)
    certificate = theory.with_recovery(
        theory.gradient_flow(problem, g),
        injectivity=jd.Quantity(A.sigma_min(), "σ_A", "closed form"),
        norm=jd.Quantity(A.norm(), "‖A‖", "closed form"),
        noise_norm=jd.Quantity(size, "‖ε‖", "closed form"),
        distance=jd.Quantity(jnp.zeros(()), "J is onto", "closed form"),
    )
    assert bool(certificate.holds)
    observe = {"error": jd.observables.SignalError(x)}
    run = jd.integrate(problem, jd.GradientFlow(), g, jnp.linspace(0, 800, 30), observe=observe)
    bound = certificate.bound("signal", run.ts)
    assert (np.asarray(bound) >= np.asarray(run.observed["error"])).all()
    # Late, the bound is ‖ε‖/λ, at most κ(A) = 2 times the error ‖A⁻¹ε‖.
    assert float(bound[-1] / run.observed["error"][-1]) < 2.1
    blind = theory.with_recovery(
        theory.gradient_flow(problem, g),
        injectivity=jd.Quantity(jnp.zeros(()), "m < n", "closed form"),
        norm=jd.Quantity(A.norm(), "‖A‖", "closed form"),
        noise_norm=jd.Quantity(size, "‖ε‖", "closed form"),
        distance=jd.Quantity(jnp.zeros(()), "", "closed form"),
    )
    assert "vacuous" in blind.verdict
    assert np.isnan(float(blind.bound("signal", 1.0)))


def test_where_a_theorem_says_nothing_there_is_no_number():
    problem, g = wide(k=50)
    A, u, y = problem.operator, problem.u, problem.y
    tall = jd.operators.Gaussian(m=5, n=3, key=jax.random.key(1))
    relu = jd.TwoLayer(latent=4, width=50, out=3, key=jax.random.key(0), activation="relu")
    singular = jd.operators.Dense(jnp.ones((2, 3)))

    def stated(operator=A, loss=None, data=y):
        return jd.Problem(
            u=u, operator=operator, loss=jd.losses.MSE() if loss is None else loss, y=data
        )

    cases = [
        (stated(loss=jd.losses.L1()), g, "not locally Lipschitz"),
        (stated(), relu, "not Lipschitz"),
        (stated(), jd.TwoLayer(weights=(g.W, 0 * g.V)), "singular at the start"),
        (stated(tall, data=jnp.arange(5.0)), g, "not in its range"),
        (stated(singular), g, "not in its range"),
        (stated(tall, jd.losses.Huber(1.0), jnp.arange(5.0)), g, "loss has a floor"),
    ]
    for problem, network, says in cases:
        for kind in KINDS:
            certificate = theory.gradient_flow(problem, network, kind)
            assert not bool(certificate.holds)
            assert says in certificate.verdict, (says, kind, certificate.verdict)
            assert np.isnan(float(certificate.margin))
            assert np.isnan(float(theory.stopping_time(certificate, 0.1)))
            if certificate.bounds:
                assert np.isnan(np.asarray(certificate.loss_bound(jnp.ones(2)))).all()
    one_hot = jd.Problem(
        u=u, operator=A, loss=jd.losses.SoftmaxCrossEntropy(0.01), y=jnp.array([1.0, 0.0])
    )
    assert "not applicable" in theory.gradient_flow(one_hot, g).verdict
    for other in (theory.isehd, theory.igahd):
        numbers = (0.1, 0.1) if other is theory.isehd else (0.01, 0.1, 0.1)
        certificate = other(stated(loss=jd.losses.Huber(1.0)), g, *numbers)
        assert "squared error" in certificate.verdict


def test_a_consistent_tall_operator_is_served():
    """Rank n < m with y in the range: the loss reaches zero, and the r-th value carries it."""
    key = jax.random.key(2)
    A = jd.operators.Gaussian(m=5, n=3, key=key)
    g = jd.TwoLayer(latent=4, width=80_000, out=3, key=key)
    u = jd.on_sphere(4, key=key)
    y = A(g(u) + jnp.array([0.1, 0.05, -0.1]))
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y)
    for kind in KINDS:
        certificate = theory.gradient_flow(problem, g, kind)
        run = jd.integrate(problem, jd.GradientFlow(), g, jnp.linspace(0, 60, 10), observe=OBSERVE)
        assert min(holds_along(certificate, run).values()) >= 1 - 1e-9


def test_many_certificates_at_once():
    """Figure 1a is the mean of `holds` over draws."""

    @jax.jit
    @jax.vmap
    def holds(key):
        A = jd.operators.Gaussian(m=2, n=5, key=jd.key_for(key, "operator"))
        g = jd.TwoLayer(latent=3, width=20_000, out=5, key=jd.key_for(key, "init"))
        x = jax.random.normal(jd.key_for(key, "signal"), (5,))
        u = jd.on_sphere(3, key=jd.key_for(key, "latent"))
        problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x))
        certificate = theory.gradient_flow(problem, g)
        return certificate.holds, certificate.margin

    keys = jax.random.split(jax.random.key(0), 20)
    verdicts, margins = holds(keys)
    np.testing.assert_array_equal(verdicts, margins > 1)
    # Around its threshold: neither none nor all.
    assert 0 < int(verdicts.sum()) < 20
