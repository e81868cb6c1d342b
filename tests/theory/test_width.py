"""Widths with constants: probabilities by Monte Carlo, conditions against the certificates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

import jaxdip as jd
from jaxdip import analysis, theory
from jaxdip._evidence import Quantity
from jaxdip.analysis import ConstantLipschitz
from jaxdip.generators import OUTPUT_BOUND, activation


def sigmas(rng, n, k, draws, phi="sigmoid", both=False):
    """σ_n(J) over draws with Rademacher V, from J Jᵀ."""
    found = []
    for _ in range(draws):
        h = jnp.asarray(rng.standard_normal(k))
        value, slope = jax.jvp(activation(phi), (h,), (jnp.ones(k),))
        V = rng.choice([-1.0, 1.0], (n, k))
        K = (V * np.asarray(slope) ** 2) @ V.T / k
        K = K + both * np.mean(np.asarray(value) ** 2) * np.eye(n)
        found.append(np.sqrt(max(np.linalg.eigvalsh(K)[0], 0)))
    return np.array(found)


@pytest.mark.parametrize(("phi", "both"), [("sigmoid", False), ("tanh", False), ("sigmoid", True)])
def test_the_jacobian_is_conditioned_as_often_as_promised(phi, both):
    rng = np.random.default_rng(0)
    n, fraction = 4, 0.8
    C = activation(phi).C_dphi ** 2 + both * activation(phi).C_phi ** 2
    options = {"activation": phi, "both": both, "fraction": fraction}
    for k in (10, 60, 300):
        low = sigmas(rng, n, k, 300, phi, both) < fraction * np.sqrt(C)
        bound = theory.conditioning_failure(k, n, **options)
        assert bound.evidence == "bound"
        assert low.mean() <= float(bound.value)
    # The bound falls below 1 and the event does happen: neither side is empty.
    assert sigmas(rng, n, 10, 300, phi, both).min() < fraction * np.sqrt(C)
    enough = float(theory.conditioning_width(n, 0.01, **options).value)
    after = theory.conditioning_failure(int(np.ceil(enough)), n, **options)
    assert 0.001 < float(after.value) <= 0.01


def test_the_chernoff_bound_in_figures():
    """n·0.668^{k C²/(B₁²n)} at τ = ½, and 3.5 n ln(n/p) for the sigmoid."""
    C, B1 = activation("sigmoid").C_dphi, 0.25
    base = np.exp(-0.75) / 0.25**0.25
    assert base == pytest.approx(0.668, abs=1e-3)
    n, k = 5, 100
    found = float(theory.conditioning_failure(k, n).value)
    assert found == pytest.approx(n * base ** (k * C**2 / (B1**2 * n)), rel=1e-12)
    k = float(theory.conditioning_width(n, 0.1).value)
    assert k == pytest.approx(3.46 * n * np.log(n / 0.1), rel=2e-3)
    wide = float(theory.conditioning_width(n, 0.1, output_bound=3**0.5).value)
    assert wide == pytest.approx(3 * k)
    # Both layers, the second exponent: E φ⁴ by SciPy instead of Gauss-Hermite.
    fourth = quad(lambda x: norm.pdf(x) / (1 + np.exp(-x)) ** 4, -12, 12)[0]
    k = float(theory.conditioning_width(500, 0.1, both=True, fraction=0.99).value)
    square = 0.99**2
    rate = (1 - square + square * np.log(square)) * C**2 / (B1**2 * 500)
    first = np.log(2 * 500 / 0.1) / rate
    second = 2 * fourth * np.log(20) / ((1 - square) ** 2 * activation("sigmoid").C_phi ** 4)
    assert k == pytest.approx(max(first, second), rel=1e-9)
    k = float(theory.conditioning_width(1, 0.1, both=True, output_bound=0.01).value)
    square = 0.25
    second = 2 * fourth * np.log(20) / ((1 - square) ** 2 * activation("sigmoid").C_phi ** 4)
    assert k == pytest.approx(second, rel=1e-9)


def test_the_mean_square_of_the_initial_residual(key):
    """E‖g(0)‖² = n C_φ² and E‖A g(0) − y‖² = C_φ²‖A‖_F² + ‖y‖², whatever k."""
    n, draws = 3, 20_000
    A = jd.operators.Gaussian(m=2, n=n, key=key)
    y = jnp.array([0.5, -1.0])
    u = jd.on_sphere(2, key=key)

    def one(k):
        x = jd.TwoLayer(latent=2, width=3, out=n, key=k, output_law="uniform")(u)
        return jnp.sum(x**2), jnp.sum((A(x) - y) ** 2)

    squares, residuals = jax.vmap(one)(jax.random.split(key, draws))
    C = activation("sigmoid").C_phi
    assert float(squares.mean()) == pytest.approx(n * C**2, rel=0.03)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y)
    k = float(theory.limit_width(problem, nu1=1.5).value)
    B2, slope = activation("sigmoid").lip_slope, activation("sigmoid").C_dphi
    expected = C**2 * np.sum(np.asarray(A.matrix()) ** 2) + 1.25
    assert float(residuals.mean()) == pytest.approx(expected, rel=0.03)
    by_hand = 16 * 1.5**2 * B2**2 * n * expected / (float(A.sigma_min()) ** 2 * slope**4)
    assert k == pytest.approx(by_hand, rel=1e-12)


def stated(key, m=2, n=4, k=500, both=False, loss=None, offset=1.0, **options):
    A = jd.operators.Gaussian(m=m, n=n, key=jd.key_for(key, "A"))
    g = jd.TwoLayer(latent=3, width=k, out=n, key=jd.key_for(key, "g"), both=both, **options)
    u = jd.on_sphere(3, key=key)
    y = A(g(u)) + offset * jnp.linspace(0.5, 1.0, m)
    loss = jd.losses.MSE() if loss is None else loss
    return jd.Problem(u=u, operator=A, loss=loss, y=y), g


@pytest.mark.parametrize("both", [False, True])
def test_the_lazy_width_is_the_verdict_turned_into_k(both, key):
    """R' < R by the convergence theorem exactly where k exceeds k*: where R' = R, k* = k."""

    @jax.jit
    def log_margin(offset):
        return jnp.log(theory.gradient_flow(*stated(key, both=both, offset=offset)).margin)

    edge = brentq(log_margin, 1e-2, 1e3, rtol=1e-10)
    found = theory.lazy_width(*stated(key, both=both, offset=edge))
    assert float(found.value.value) == pytest.approx(500, rel=1e-6)
    for factor, expected in ((0.9, True), (1.1, False)):
        problem, g = stated(key, both=both, offset=factor * edge)
        assert bool(theory.gradient_flow(problem, g).holds) is expected
        assert bool(theory.lazy_width(problem, g).certificate(500).holds) is expected


def test_the_lazy_width_in_closed_form(key):
    problem, g = stated(key)
    found = theory.lazy_width(problem, g, nu1=1.7)
    h = np.asarray(g.W @ problem.u)
    slope = np.exp(-h) / (1 + np.exp(-h)) ** 2
    sigma = np.linalg.svd(np.asarray(g.V) * slope / np.sqrt(500), compute_uv=False)[-1]
    rest = np.linalg.norm(np.asarray(problem.predict(g) - problem.y))
    sigma_A = np.linalg.svd(np.asarray(problem.operator.matrix()), compute_uv=False)[-1]
    tallest = np.linalg.norm(np.asarray(g.V), axis=0).max()
    root = 4 * 1.7 / (6 * np.sqrt(3)) * tallest * rest / (sigma_A * sigma**2)
    assert float(found.value.value) == pytest.approx(root**2, rel=1e-8)
    assert found.value.grade == "computed"


def test_the_limit_is_what_wide_draws_need(key):
    """k* over draws of a wide network against its closed form (Rademacher: D√n = ‖v‖)."""
    A = jd.operators.WithSpectrum(jnp.array([1.0, 0.7]), m=2, n=2, key=key)
    u = jd.on_sphere(2, key=key)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=jnp.ones(2))

    def one(k):
        g = jd.TwoLayer(latent=2, width=8000, out=2, key=k)
        return theory.lazy_width(problem, g).value.value

    draws = jax.vmap(one)(jax.random.split(key, 200))
    assert float(draws.mean()) == pytest.approx(float(theory.limit_width(problem).value), rel=0.15)


def test_the_thresholds_of_the_paper_s_first_experiment():
    """log10 k for R' < R: n = 5, A and x̄ standard normal, uniform V, B = 1/4, Lip = B D √(n/k).

    With ν₁ = 1 the medians over m = 1, 2, 3, 5 are about 3.6, 4.5, 5.0, 6.5; with ν₁ = 4 (γ =
    1/L), the 98 % quantile at m = 2 is the k ≥ 10^6.8 of arXiv 2403.05395, Section IV.
    """
    n, k = 5, 600
    D = OUTPUT_BOUND["uniform"]

    def one(key, m):
        A = jd.operators.Gaussian(m=m, n=n, key=jd.key_for(key, "A"))
        x = jax.random.normal(jd.key_for(key, "x"), (n,))
        u = jd.on_sphere(2, key=key)
        g = jd.TwoLayer(latent=2, width=k, out=n, key=key, output_law="uniform")
        problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(x))
        crude = ConstantLipschitz(
            value=jnp.asarray(0.25 * D * (n / k) ** 0.5), evidence="bound", how="the paper's"
        )
        return theory.lazy_width(problem, g, lipschitz=crude).value.value

    medians = []
    for m in (1, 2, 3, 5):
        keys = jax.random.split(jax.random.key(m), 200 if m == 2 else 80)
        widths = np.log10(jax.jit(jax.vmap(lambda key, m=m: one(key, m)))(keys))
        medians.append(np.median(widths))
        if m == 2:
            assert np.quantile(widths, 0.98) + np.log10(16) == pytest.approx(6.8, abs=0.3)
    np.testing.assert_allclose(medians, [3.6, 4.5, 5.0, 6.5], atol=0.3)


@pytest.mark.parametrize("both", [False, True])
def test_a_sufficient_width_suffices_as_often_as_promised(both):
    key = jax.random.key(3)
    A = jd.operators.WithSpectrum(jnp.array([1.0, 0.8]), m=2, n=2, key=key)
    u = jd.on_sphere(2, key=key)
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=jnp.array([0.1, 0.2]))
    p = 0.5
    found = theory.required_width(problem, failure=p, both=both)
    k = int(np.ceil(float(found.value.value)))
    # No better than σ_A, which comes from a dense decomposition of A.
    assert found.value.evidence == "dense spectrum"
    assert float(found.probability.value) == pytest.approx(1 - p)
    assert bool(found.certificate(k).holds)
    assert not bool(found.certificate(k - 2).holds)

    def holds(key, k):
        g = jd.TwoLayer(latent=2, width=k, out=2, key=key, both=both)
        return theory.gradient_flow(problem, g).holds

    keys = jax.random.split(key, 40)
    assert float(jnp.mean(jax.lax.map(lambda c: holds(c, k), keys))) >= 1 - p
    narrow = jax.vmap(lambda c: holds(c, max(4, k // 2000)))(keys)
    assert float(jnp.mean(narrow)) < 1 - p


def test_a_sufficient_width_by_hand():
    """From the numbers of its docstring, and its growth with n, ψ and σ_A."""
    key = jax.random.key(0)
    C, Cp = activation("sigmoid").C_phi, activation("sigmoid").C_dphi
    B1, B2, p = 0.25, activation("sigmoid").lip_slope, 0.2

    def width(n=3, sigma=1.0, size=1.0, **options):
        A = jd.operators.WithSpectrum(sigma * jnp.ones(2), m=2, n=n, key=key)
        u = jd.on_sphere(2, key=key)
        y = jnp.array([size, 0.0])
        problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(1.3), y=y)
        return float(theory.required_width(problem, failure=p, **options).value.value)

    rho = np.sqrt(2 / p * (C**2 * 2 + 1))
    reach = 2 * rho / (Cp / 2)
    by_hand = (reach / (Cp / 2) * 2 * B2 * np.sqrt(3)) ** 2
    assert width() == pytest.approx(by_hand, rel=1e-10)
    both = np.sqrt(C**2 + Cp**2)
    reach = 2 * rho / (both / 2)
    c = np.sqrt(3) + reach
    by_hand = (reach / (both / 2) * (c * B2 + np.sqrt((c * B2) ** 2 + 4 * B1**2))) ** 2
    assert width(both=True) == pytest.approx(by_hand, rel=1e-10)
    assert width(n=6) == pytest.approx(2 * width(), rel=1e-10)
    assert width(output_bound=2.0) == pytest.approx(4 * width(), rel=1e-10)
    assert width(nu1=4.0) == pytest.approx(16 * width(), rel=1e-10)
    # Large data: k ~ ‖y‖² for W alone, ‖y‖⁴ for both; A a thousandth: σ_A^-2 and σ_A^-4.
    assert width(size=1e5) / width(size=1e4) == pytest.approx(1e2, rel=1e-3)
    assert width(size=1e5, both=True) / width(size=1e4, both=True) == pytest.approx(1e4, rel=1e-2)
    small = width(sigma=1e-4, both=True) / width(sigma=1e-3, both=True)
    assert small == pytest.approx(1e4, rel=1e-2)


def test_a_nonlinear_operator_needs_its_constants(key):
    F = jd.operators.PhaseRetrieval(jd.operators.Gaussian(m=2, n=3, key=key))
    u = jd.on_sphere(3, key=key)
    problem = jd.Problem(u=u, operator=F, loss=jd.losses.MSE(), y=jnp.ones(2))
    missing = theory.required_width(problem, failure=0.1)
    assert "give sigma_F= and forward=" in missing.certificate(10**9).verdict
    sigma_F = Quantity(jnp.asarray(0.3), "given", "assumed")
    L_F = Quantity(jnp.asarray(2.0), "given", "assumed")
    found = theory.required_width(problem, failure=0.1, sigma_F=sigma_F, forward=L_F)
    C, Cp = activation("sigmoid").C_phi, activation("sigmoid").C_dphi
    rho = 2.0 * C * np.sqrt(2 * 3 / 0.1) + np.sqrt(2)
    by_hand = (2 * rho / (0.3 * Cp / 2) / (Cp / 2) * 2 * activation("sigmoid").lip_slope) ** 2 * 3
    assert float(found.value.value) == pytest.approx(by_hand, rel=1e-10)
    assert found.certificate(10**12).verdict == "holds (assumed)"
    g = jd.TwoLayer(latent=3, width=100, out=3, key=key)
    at_draw = theory.lazy_width(problem, g, sigma_F=sigma_F)
    sigma = float(analysis.spectrum(problem, g, of="J").sigma_min.value)
    rest = np.linalg.norm(np.asarray(problem.predict(g) - problem.y))
    root = 4 * activation("sigmoid").lip_slope * np.sqrt(3) * rest / (0.3 * sigma**2)
    assert float(at_draw.value.value) == pytest.approx(root**2, rel=1e-8)
    assert "give sigma_F=" in theory.lazy_width(problem, g).certificate(10**9).verdict
    zero = Quantity(jnp.asarray(0.0), "given", "assumed")
    dead = theory.required_width(problem, failure=0.1, sigma_F=zero, forward=L_F)
    assert "may be singular" in dead.certificate(10**12).verdict
    assert np.isnan(float(dead.value.value))


def test_other_losses_by_their_smoothness(key):
    problem, _ = stated(key, loss=jd.losses.LogCosh())
    missing = theory.required_width(problem, failure=0.1)
    assert "give smoothness=" in missing.obstacle
    given = theory.required_width(problem, failure=0.1, smoothness=1.0)
    plain = theory.required_width(stated(key)[0], failure=0.1)
    C = activation("sigmoid").C_phi
    A = np.asarray(problem.operator.matrix())
    rho2 = 2 / 0.1 * (C**2 * (A**2).sum() + float(jnp.sum(problem.y**2)))
    # log-cosh: ψ(s) = arcosh e^s, here at s = ρ²/2.
    psi = np.arccosh(np.exp(rho2 / 2))
    ratio = float(given.value.value) / float(plain.value.value)
    assert ratio == pytest.approx(psi**2 / rho2, rel=1e-8)


def test_where_nothing_can_be_said_there_is_no_number(key):
    problem, g = stated(key)
    dead = jd.TwoLayer(weights=(g.W, 0 * g.V))
    found = theory.lazy_width(problem, dead)
    assert "singular at the start" in found.certificate(10**9).verdict
    assert np.isnan(float(found.value.value))
    mean_field = jd.TwoLayer(latent=3, width=10, out=4, key=key, scaling="mean-field")
    assert "V φ(W u)/√k" in theory.lazy_width(problem, mean_field).certificate(10).verdict
    relu = jd.TwoLayer(latent=3, width=10, out=4, key=key, activation="relu")
    assert "not Lipschitz" in theory.lazy_width(problem, relu).certificate(10).verdict
    # A of rank 1 with data outside its range; and A = 0.
    for matrix, says in ((jnp.ones((2, 4)), "not in the range"), (jnp.zeros((2, 4)), "A is zero")):
        low = jd.Problem(
            u=problem.u,
            operator=jd.operators.Dense(matrix),
            loss=problem.loss,
            y=jnp.array([1.0, 2.0]),
        )
        certificate = theory.required_width(low, failure=0.1).certificate(10**15)
        assert not bool(certificate.holds)
        assert says in certificate.verdict
        assert np.isnan(float(certificate.margin))
    one_hot = jd.Problem(u=problem.u, operator=problem.operator, loss=jd.losses.L1(), y=problem.y)
    assert theory.lazy_width(one_hot, g).obstacle is not None


def test_it_runs_in_single_precision_and_batches(key):
    A = jd.operators.Gaussian(m=2, n=4, key=key, dtype=jnp.float32)
    u = jd.on_sphere(3, key=key, dtype=jnp.float32)

    def one(y):
        problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y)
        return theory.required_width(problem, failure=0.1).certificate(1000)

    many = jax.jit(jax.vmap(one))(jnp.ones((3, 2), jnp.float32))
    assert many.numbers["k*"].value.dtype == jnp.float32
    assert many.holds.shape == (3,)


def test_wrong_calls(key):
    problem, _ = stated(key)
    with pytest.raises(ValueError, match="probability between 0 and 1"):
        theory.required_width(problem, failure=1.0)
    with pytest.raises(ValueError, match="'relu' is not Lipschitz"):
        theory.required_width(problem, failure=0.1, activation="relu")
    far = jd.Problem(u=2 * problem.u, operator=problem.operator, loss=problem.loss, y=problem.y)
    with pytest.raises(ValueError, match="‖u‖ = 1"):
        theory.required_width(far, failure=0.1)
    with pytest.raises(ValueError, match="fraction lies between"):
        theory.conditioning_failure(10, 3, fraction=1.5)
    with pytest.raises(ValueError, match="at least 1"):
        theory.conditioning_failure(10, 0)
