"""One call for the theorem of a dynamics, and what it prints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip import theory


def case(k=50_000, offset=0.2):
    key = jax.random.key(0)
    A = jd.operators.WithSpectrum(jnp.array([1.0, 0.7]), m=2, n=3, key=key)
    g = jd.TwoLayer(latent=4, width=k, out=3, key=key)
    u = jd.on_sphere(4, key=key)
    y = A(g(u)) + offset * jnp.array([1.0, -1.0])
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y), g


def test_every_dynamics_finds_its_theorem():
    problem, g = case()
    mu = theory.ground(problem, g, "sketched").mu.value
    L = jd.gradient_lipschitz(problem, g).value
    cases = {
        "gradient flow": (jd.GradientFlow(), theory.gradient_flow(problem, g)),
        "gradient descent": (jd.GradientDescent(0.5), theory.gradient_descent(problem, g, 0.5)),
        "ISEHD": (jd.ISEHD(mu, 1.0), theory.isehd(problem, g, mu, 1.0)),
        "IGAHD": (
            jd.IGAHD(0.01, mu, 0.1),
            theory.igahd(problem, g, 0.01, mu, 0.1, energy="velocity"),
        ),
        "IGAHDForward": (
            jd.IGAHDForward(0.01, mu, 0.1),
            theory.igahd_forward(problem, g, 0.01, mu, 0.1),
        ),
        "IGAHDBacktracking": (
            jd.IGAHDBacktracking(0.01, mu, 0.01, decrease=0.2, shrink=0.6),
            theory.adaptive_inertia(problem, g, 0.01, mu, 0.01, decrease=0.2, shrink=0.6),
        ),
        "gradient descent with Armijo's rule": (
            jd.GradientDescent(jd.steps.Armijo(0.5, decrease=0.3, shrink=0.6)),
            theory.adaptive_descent(problem, g, 0.5, decrease=0.3, shrink=0.6),
        ),
    }
    for name, (dynamics, direct) in cases.items():
        found = jd.certify(problem, g, dynamics=dynamics, kind="network")
        assert f"convergence of {name} (" in found.theorem
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(direct), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    # The default step is 1/L, which the theorem allows.
    assert bool(jd.certify(problem, g, dynamics=jd.GradientDescent()).holds)
    assert not bool(jd.certify(problem, g, dynamics=jd.GradientDescent(1.001 / L)).holds)


def test_the_best_ground_is_the_one_with_the_largest_margin():
    problem, g = case()
    margins = {
        kind: float(theory.gradient_flow(problem, g, kind).margin)
        for kind in ("network", "row space", "sketched")
    }
    best = jd.certify(problem, g, dynamics=jd.GradientFlow())
    assert float(best.margin) == max(margins.values())
    assert max(margins, key=lambda kind: margins[kind]) in best.theorem
    with pytest.raises(
        ValueError, match="inside jit or vmap margins cannot be compared: give kind"
    ):
        jax.jit(lambda g: jd.certify(problem, g, dynamics=jd.GradientFlow()).holds)(g)


def test_dynamics_without_a_theorem_are_refused():
    problem, g = case(k=50)
    for dynamics in (
        jd.GradientDescent(lambda tau: 0.1 / (1 + tau.astype(float))),
        jd.IGAHD(0.01, 0.1, 0.1, gradient_at="eta"),
        jd.ModifiedGradientFlow(0.1),
    ):
        with pytest.raises(TypeError, match="no convergence theorem is known"):
            jd.certify(problem, g, dynamics=dynamics, kind="network")
    with pytest.raises(TypeError, match="a flow or a discrete method"):
        jd.certify(problem, g, dynamics="gf")


def test_a_certificate_prints_its_verdict_margins_and_evidence():
    problem, g = case()
    text = str(jd.certify(problem, g, dynamics=jd.GradientFlow(), kind="network"))
    assert "holds (computed)" in text.splitlines()[0]
    assert "✓ R' < R" in text
    assert "✗" not in text
    assert "dense spectrum" in text
    narrow = str(jd.certify(*case(k=30), dynamics=jd.GradientFlow(), kind="network"))
    assert "fails" in narrow.splitlines()[0]
    assert "✗ R' < R" in narrow


def test_a_verdict_is_no_stronger_than_its_weakest_number():
    problem, g = case()
    estimate = jd.lipschitz_local(problem, g)
    certificate = theory.gradient_descent(problem, g, 0.5, L=estimate)
    assert bool(certificate.holds)
    assert certificate.grade == "estimated"
    assert certificate.verdict == "holds (estimated)"
    assert theory.gradient_descent(problem, g, 0.5).grade == "computed"


def test_single_precision_certificates_are_close():
    double, g = case()
    as32 = lambda x: x.astype(jnp.float32)  # noqa: E731
    A = jd.operators.Dense(as32(double.operator.matrix()))
    single = jd.TwoLayer(weights=(as32(g.W), as32(g.V)))
    problem = jd.Problem(u=as32(double.u), operator=A, loss=jd.losses.MSE(), y=as32(double.y))
    certificate = theory.gradient_flow(problem, single)
    assert certificate.margin.dtype == jnp.float32
    exact = theory.gradient_flow(double, g)
    # Rounding is allowed for on the safe side: σ_min less its error.
    ratio = float(certificate.margin) / float(exact.margin)
    assert 0.97 < ratio < 1.0005


def test_verdicts_along_a_run_are_those_of_its_networks():
    problem, g = case(k=100, offset=1.0)
    observe = {
        "holds": theory.Holds(theory.gradient_flow),
        "margin": theory.Margin(theory.gradient_flow),
    }
    run = jd.iterate(problem, jd.GradientDescent(5.0), g, 300, every=100, observe=observe)
    first = theory.gradient_flow(problem, g)
    np.testing.assert_allclose(run.observed["margin"][0], first.margin, rtol=1e-9)
    last = theory.gradient_flow(problem, run.generator)
    np.testing.assert_allclose(run.observed["margin"][-1], last.margin, rtol=1e-6)
    np.testing.assert_array_equal(run.observed["holds"], run.observed["margin"] > 1)
    # Nearer to fitting, the theorem comes to hold: a later start is a better one.
    assert not bool(run.observed["holds"][0])
    assert bool(run.observed["holds"][-1])


def test_other_numbers_compile_nothing_and_a_first_call_few_programs():
    """Operations outside of jit are programs each: their number is the time of a first call."""
    compiled = []

    def listener(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration)

    problem, g = case(k=1000)
    other, h = case(k=1000, offset=0.3)
    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        jax.block_until_ready(
            jd.certify(problem, g, dynamics=jd.GradientFlow(), kind="network").margin
        )
        assert 0 < len(compiled) <= 50
        compiled.clear()
        jax.block_until_ready(
            jd.certify(other, h, dynamics=jd.GradientFlow(), kind="network").margin
        )
        assert compiled == []
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
