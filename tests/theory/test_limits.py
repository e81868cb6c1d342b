"""What certificates must not say: at the edges of losses, of evidence, of recovery."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from wide_networks import OBSERVE, holds_along, wide

import jaxdip as jd
from jaxdip import theory
from jaxdip.theory._two_step import velocity_level


def exact(value):
    return jd.Quantity(jnp.asarray(float(value)), "given", "closed form")


def linear(start, loss, y):
    return jd.Problem(
        u=jnp.ones(1), operator=jd.operators.Identity(len(start)), loss=loss, y=jnp.asarray(y)
    ), jd.Linear(jnp.eye(len(start)), jnp.asarray(start))


def test_targets_on_the_edge_of_the_domain_have_no_theorem():
    """A flow towards y = 1 steps over the edge, where the loss is infinite."""
    problem, g = linear([0.5, 0.5, 0.5], jd.losses.CrossEntropy(), [1.0, 0.0, 1.0])
    found = theory.gradient_flow(problem, g, "sketched")
    assert "on the edge of the domain" in found.verdict
    run = jd.integrate(problem, jd.GradientFlow(), g, jnp.linspace(0, 4, 5))
    assert not np.isfinite(run.loss).all()
    inner, g = linear([0.5, 0.5, 0.5], jd.losses.CrossEntropy(), [0.9, 0.2, 0.7])
    assert bool(theory.gradient_flow(inner, g, "sketched").holds)
    # Under vmap the targets cannot be looked at: the theorem is not applicable there either.
    targets = jnp.array([[0.9, 0.2, 0.7], [1.0, 0.2, 0.7]])
    held = jax.vmap(
        lambda y: (
            theory.gradient_flow(
                jd.Problem(u=inner.u, operator=inner.operator, loss=inner.loss, y=y), g, "sketched"
            ).holds
        )
    )(targets)
    assert held.tolist() == [True, False]


def test_logits_are_not_the_data():
    """argmin is a line of logits, so ψ(L) bounds no distance to the probabilities y."""
    problem, g = linear([5.3, 5.1, 4.9], jd.losses.SoftmaxCrossEntropy(0.05), [0.5, 0.3, 0.2])
    found = theory.gradient_flow(problem, g, "sketched")
    assert bool(found.holds)
    assert "residual" not in found.bounds
    with pytest.raises(KeyError, match="promises nothing about 'residual'"):
        found.bound("residual", 1.0)
    assert np.isnan(float(theory.stopping_time(found, 0.1)))
    recovery = theory.with_recovery(
        found, injectivity=exact(1), norm=exact(1), noise_norm=exact(0), distance=exact(0)
    )
    assert "not its only minimiser" in recovery.verdict
    run = jd.integrate(problem, jd.GradientFlow(), g, jnp.linspace(0, 40, 9))
    assert (np.asarray(run.loss) <= np.asarray(found.loss_bound(run.ts)) * (1 + 1e-6)).all()


def test_the_energy_in_the_velocity_takes_its_own_sublevel_set():
    problem, g = wide(3, k=50_000, offset=0.1)
    base = theory.ground(problem, g, "sketched")
    mu = base.mu.value
    alpha, beta = mu, 1 / (2 * mu)
    s = (0.1 * mu / jd.gradient_lipschitz(problem, g).value) ** 2
    level = velocity_level(s, alpha, beta, base.loss0.value, base.gradient0.value)
    kappa = 0.5 / (1 - alpha * s**0.5)
    by_hand = base.loss0.value + (beta * base.gradient0.value) ** 2 / (2 * kappa)
    assert float(level) == pytest.approx(float(by_hand), rel=1e-12)
    found = theory.igahd(problem, g, s, alpha, beta, "sketched", energy="velocity")
    L = jd.gradient_lipschitz(problem, g, level=level).value
    assert (
        float(found.numbers["L"].value) == float(L) > float(jd.gradient_lipschitz(problem, g).value)
    )
    same = jd.gradient_lipschitz(problem, g, level=problem.objective(g)).value
    assert float(same) == pytest.approx(float(jd.gradient_lipschitz(problem, g).value), rel=1e-12)
    for w in (0.5, 2.0):
        scaled = jd.Problem(
            u=problem.u, operator=problem.operator, loss=jd.losses.MSE(w), y=problem.y
        )
        again = jd.gradient_lipschitz(scaled, g, level=scaled.objective(g)).value
        expected = jd.gradient_lipschitz(scaled, g).value
        assert float(again) == pytest.approx(float(expected), rel=1e-12)


def test_deviations_are_not_negative():
    width = jd.analysis.subspace_width(10)
    with pytest.raises(ValueError, match="deviation is finite and zero or positive"):
        jd.analysis.gordon_bound(20, width, -5.0)
    s, c = jnp.linspace(1, 0.1, 20), jnp.ones(20)
    with pytest.raises(ValueError, match="deviation is finite and zero or positive"):
        theory.minimum_norm_error(s, c, 18, oversampling=6, deviation=-8.0)
    with pytest.raises(ValueError, match=r"decay is between 0 and 1, got 1\.5"):
        theory.geometric_example(30, 1.5)
    with pytest.raises(ValueError, match="output_bound bounds the entries of V"):
        theory.conditioning_failure(100, 5, output_bound=-1.0)
    problem, g = wide(k=2000)
    with pytest.raises(ValueError, match="noise_norm is finite and positive"):
        theory.stopping_time(theory.gradient_flow(problem, g), -1.0)


def test_a_tangent_space_is_the_cone_of_flat_networks_only(key):
    """(θ, θ²) is curved: on its tangent A is injective, and yet two of its points share data."""
    u = jd.on_sphere(4, key=key)
    A = jd.operators.Gaussian(m=2, n=6, key=key)
    y = jnp.ones(2)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y)
    thin = jd.TwoLayer(latent=4, width=2, out=6, key=key)
    assert jd.analysis.restricted_injectivity(problem, thin).evidence == "dense spectrum"
    curved = jd.MLP(widths=(4, 1), out=6, key=key, activation="tanh")
    both = jd.TwoLayer(latent=4, width=1, out=6, key=key, both=True)
    for g in (curved, both):
        tall = jd.Problem(
            u=u, operator=jd.operators.Gaussian(m=9, n=6, key=key), loss=problem.loss, y=jnp.ones(9)
        )
        found = jd.analysis.restricted_injectivity(tall, g)
        full = "all of R^n" in found.how or "6 of 6" in found.how
        assert found.evidence == ("dense spectrum" if full else "estimate from above")


def test_a_recovery_bound_is_no_stronger_than_its_weakest_number():
    problem, g = wide(k=50_000, m=3, n=3, offset=0.05)
    start = theory.gradient_flow(problem, g, "sketched")
    assert start.verdict == "holds (computed)"
    numbers = {"injectivity": exact(0.6), "norm": exact(1), "noise_norm": exact(0.1)}
    sampled = jd.Quantity(jnp.asarray(0.1), "draws", "sampled")
    above = jd.Quantity(jnp.asarray(0.1), "a fit", "estimate from above")
    below = jd.Quantity(jnp.asarray(0.1), "a fit", "estimate from below")
    verdicts = {
        name: theory.with_recovery(start, **{**numbers, "distance": distance}).verdict
        for name, distance in {"above": above, "below": below, "sampled": sampled}.items()
    }
    assert verdicts == {
        "above": "holds (computed)",
        "below": "holds (estimated)",
        "sampled": "holds (estimated)",
    }
    for name in ("norm", "noise_norm", "distance"):
        broken = {**numbers, "distance": exact(0), name: exact(np.nan)}
        assert "is no" in theory.with_recovery(start, **broken).verdict
    negative = theory.with_recovery(start, **numbers, distance=exact(-3))
    assert "dist is no distance" in negative.verdict


def test_the_recovery_bound_off_the_range_by_hand():
    """A rank-deficient network: Σ = Ran Φ + …, and x̄ lies at a known distance from it."""
    key = jax.random.key(4)
    n, r, k = 5, 2, 150_000
    Phi = jnp.linalg.qr(jax.random.normal(key, (n, r)))[0]
    inner = jd.TwoLayer(latent=4, width=k, out=r, key=key)
    g = jd.TwoLayer(weights=(inner.W, Phi @ inner.V))
    u = jd.on_sphere(4, key=key)
    A = jd.operators.Gaussian(m=r, n=n, key=jax.random.key(5))
    off = jnp.linalg.svd(Phi)[0][:, r]
    x = g(u) + Phi @ jnp.array([0.05, -0.03]) + 0.2 * off
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x))
    lam = jd.analysis.restricted_injectivity(problem, g)
    dense = np.linalg.svd(np.asarray(A.matrix() @ Phi), compute_uv=False)
    assert float(lam.value) == pytest.approx(dense[-1], rel=1e-6)
    start = theory.gradient_flow(problem, g, "sketched")
    found = theory.with_recovery(
        start,
        injectivity=lam,
        norm=exact(A.norm()),
        noise_norm=exact(0),
        distance=exact(0.2),
    )
    assert bool(found.holds), str(found)
    run = jd.integrate(
        problem,
        jd.GradientFlow(),
        g,
        jnp.linspace(0, 400, 12),
        observe={"error": jd.observables.SignalError(x), **OBSERVE},
    )
    bound = np.asarray(found.bound("signal", run.ts))
    assert (bound >= np.asarray(run.observed["error"])).all()
    t = run.ts[3]
    by_hand = start.bound("residual", t) / lam.value + (1 + A.norm() / lam.value) * 0.2
    assert float(found.bound("signal", t)) == pytest.approx(float(by_hand), rel=1e-12)
    # What is left in the end is the distance and what A makes of it.
    assert float(run.observed["error"][-1]) > 0.2


@pytest.mark.parametrize("generator", ["linear", "mlp"])
def test_gradient_flow_s_bounds_hold_for_other_networks(generator):
    key = jax.random.key(2)
    u = jd.on_sphere(3, key=key)
    g = {
        "linear": lambda: jd.Linear(jax.random.normal(key, (3, 7)), jnp.linspace(-1, 1, 7)),
        "mlp": lambda: jd.MLP(widths=(3, 40, 40), out=3, key=key, ntk=True, activation="softplus"),
    }[generator]()
    A = jd.operators.WithSpectrum(jnp.array([1.0, 0.6]), m=2, n=3, key=key)
    offset = 0.3 if generator == "linear" else 1e-5
    y = A(g(u)) + offset * jnp.array([1.0, -0.7])
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y)
    for kind in ("row space", "sketched"):
        certificate = theory.gradient_flow(problem, g, kind)
        rate = float(certificate.numbers["rate μ²/4"].value)
        ts = jd.log_times(0.05 / rate, 6 / rate, 15)
        tight = {"rtol": 1e-10, "atol": 1e-16}
        run = jd.integrate(problem, jd.GradientFlow(), g, ts, observe=OBSERVE, **tight)
        slack = holds_along(certificate, run)
        assert slack["distance"] < 40


def test_complex_data_have_a_row_space(key):
    """The same constants as for real and imaginary parts stacked."""
    u = jd.on_sphere(4, key=key)
    g = jd.TwoLayer(latent=4, width=3000, out=4, key=key)
    M = jax.random.normal(key, (2, 4), complex)
    for rows in (M, M[:1]):
        A = jd.operators.Dense(rows, in_dtype=jnp.float64)
        stacked = jd.operators.Dense(jnp.concatenate([rows.real, rows.imag]))
        y = A(g(u))
        ours = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y)
        real = jd.Problem(
            u=u, operator=stacked, loss=jd.losses.MSE(), y=jnp.concatenate([y.real, y.imag])
        )
        for kind in ("network", "row space", "sketched"):
            one, other = (theory.ground(p, g, kind) for p in (ours, real))
            assert float(one.mu.value) == pytest.approx(float(other.mu.value), rel=1e-9), kind
            assert float(one.radius.value) == pytest.approx(float(other.radius.value), rel=1e-9)


def test_dead_networks_get_a_verdict_and_no_number():
    problem, g = wide(k=50)
    dead = jd.TwoLayer(weights=(g.W, 0 * g.V))
    for dynamics in (jd.GradientFlow(), jd.ISEHD(), jd.IGAHD(), jd.ISEHD(1.0, 0.5)):
        found = jd.certify(problem, dead, dynamics=dynamics)
        assert "not applicable" in found.verdict
        assert not bool(found.holds)
        assert "β = 0" not in found.verdict
