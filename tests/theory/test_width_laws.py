"""The papers' scaling laws: their powers, what they print, and that none passes for a width."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip import theory
from jaxdip._evidence import Quantity


def stated(key, sigma=(1.0, 0.5), n=4, loss=None, scale=1.0):
    A = jd.operators.WithSpectrum(scale * jnp.array(sigma), m=2, n=n, key=key)
    u = jd.on_sphere(3, key=key)
    loss = jd.losses.MSE() if loss is None else loss
    return jd.Problem(u=u, operator=A, loss=loss, y=jnp.array([0.3, -0.4]))


def value(law):
    return float(law.up_to_constant.value)


def test_no_law_can_be_taken_for_a_width(key):
    laws = [
        theory.squared_error_width(3, 4),
        theory.corollary_width(stated(key), latent=10, clean_sup=1.0),
        theory.convolutional_width(30, 0.5),
    ]
    for law in laws:
        assert law.up_to_constant.evidence == "assumed"
        assert "not usable" in law.up_to_constant.how
        certificate = law.certificate(10**12)
        assert not bool(certificate.holds)
        assert certificate.verdict.startswith("not applicable: k = 1000000000000 cannot be judged")
        assert np.isnan(float(certificate.margin))
        assert "C not given" in str(law)
        with pytest.raises(TypeError):
            float(law)


def test_the_powers_of_the_squared_error_laws():
    """κ²n²m and κ⁴n³m² from the corollary; κn²m, n²m and n³m² as printed."""

    def powers(**options):
        base = theory.squared_error_width(3, 5, kappa=2.0, **options)
        pairs = ((6, 5, 2.0), (3, 10, 2.0), (3, 5, 4.0))
        others = [theory.squared_error_width(m, n, kappa=c, **options) for m, n, c in pairs]
        return [float(jnp.log2(other.ratio(base))) for other in others]

    assert powers() == pytest.approx([1, 2, 2])
    assert powers(both=True) == pytest.approx([2, 3, 4])
    assert powers(both=True, version="paper") == pytest.approx([1, 2, 1])
    assert powers(version="slides") == pytest.approx([1, 2, 0])
    assert powers(both=True, version="slides") == pytest.approx([2, 3, 0])


def test_the_corollary_by_hand(key):
    n, m, d = 4, 2, 50
    problem = stated(key, loss=jd.losses.MSE(1.5))
    law = theory.corollary_width(problem, latent=d, clean_sup=0.7, noise_sup=0.2, both=True)
    radius = 1.0 * np.sqrt(n * np.log(d)) + np.sqrt(m) * 0.9
    # ℓ = 2w, and ψ(s) = √(s/w): ψ(ℓ/2 ρ²) = ρ.
    assert value(law) == pytest.approx(0.5**-4 * n * radius**4, rel=1e-10)
    alone = theory.corollary_width(problem, latent=d, clean_sup=0.7, noise_sup=0.2)
    assert value(alone) == pytest.approx(0.5**-2 * n * radius**2, rel=1e-10)
    assert float(law.probability.value) == pytest.approx(1 - 2 / n - 1 / d)
    printed = theory.corollary_width(problem, latent=d, clean_sup=0.7, both=True, version="slides")
    argument = (np.sqrt(n * np.log(d)) + np.sqrt(m)) ** 2
    assert value(printed) == pytest.approx(0.5**-4 * n * (argument / 1.5) ** 2, rel=1e-10)
    assert float(printed.probability.value) == pytest.approx(1 - 1 / n - 1 / d)
    # Power loss: ℓ = (ρ + ‖y‖)^{2p}, ψ(s) = (2(p+1)s)^{1/(2(p+1))}.
    p = 0.5
    curved = stated(key, loss=jd.losses.Power(p))
    law = theory.corollary_width(curved, latent=d, clean_sup=0.9)
    level = (radius + 0.5) ** (2 * p) * radius**2 / 2
    psi = (2 * (p + 1) * level) ** (1 / (2 * (p + 1)))
    assert value(law) == pytest.approx(0.5**-2 * n * psi**2, rel=1e-10)


def test_the_squared_error_law_is_the_corollary_for_large_sizes(key):
    """κ²n²m is the most that (√n + √m)² n κ² can be: below it up to a constant, by m and n ≥ 1."""
    for m, n in ((2, 2), (10, 300), (300, 10)):
        corollary = n * (np.sqrt(n) + np.sqrt(m)) ** 2
        law = theory.squared_error_width(m, n)
        assert corollary <= 4 * value(law)


def test_a_nonlinear_operator(key):
    F = jd.operators.PhaseRetrieval(jd.operators.Gaussian(m=2, n=4, key=key))
    u = jd.on_sphere(3, key=key)
    problem = jd.Problem(u=u, operator=F, loss=jd.losses.MSE(), y=jnp.ones(2))
    with pytest.raises(ValueError, match="give sigma_F= and forward="):
        theory.corollary_width(problem, latent=9, clean_sup=1.0)
    numbers = {
        "sigma_F": Quantity(jnp.asarray(0.4), "given", "assumed"),
        "forward": Quantity(jnp.asarray(3.0), "given", "assumed"),
    }
    law = theory.corollary_width(problem, latent=9, clean_sup=1.0, both=True, **numbers)
    radius = 3 * np.sqrt(4 * np.log(9)) + np.sqrt(2)
    assert value(law) == pytest.approx(0.4**-4 * 4 * radius**4, rel=1e-10)


def test_wrong_calls(key):
    problem = stated(key)
    with pytest.raises(ValueError, match="only widths of one law"):
        theory.squared_error_width(2, 3).ratio(theory.squared_error_width(2, 3, both=True))
    with pytest.raises(ValueError, match="give both=True"):
        theory.squared_error_width(2, 3, version="paper")
    with pytest.raises(ValueError, match="version is one of"):
        theory.squared_error_width(2, 3, version="book")
    with pytest.raises(ValueError, match="d is at least 2"):
        theory.corollary_width(problem, latent=1, clean_sup=1.0)
    with pytest.raises(ValueError, match="both layers; give both=True"):
        theory.corollary_width(problem, latent=5, clean_sup=1.0, version="slides")
    robust = jd.Problem(
        u=problem.u, operator=problem.operator, loss=jd.losses.LogCosh(), y=problem.y
    )
    with pytest.raises(ValueError, match="give smoothness="):
        theory.corollary_width(robust, latent=5, clean_sup=1.0)
    zero = jd.Problem(
        u=problem.u,
        operator=jd.operators.Dense(jnp.zeros((2, 4))),
        loss=problem.loss,
        y=problem.y,
    )
    assert np.isnan(value(theory.corollary_width(zero, latent=5, clean_sup=1.0)))
    assert jax.tree.leaves(theory.squared_error_width(2, 3))
