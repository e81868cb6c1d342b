"""Spectra along a run are those of the generators on the way, in any coordinates."""

import examples
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip import analysis

OBSERVE = {
    "min": analysis.SigmaMin(),
    "min J": analysis.SigmaMin("J"),
    "ritz": analysis.SigmaMin("J", "krylov", depth=4),
    "values": analysis.SingularValues(),
    "two J": analysis.SingularValues("J", 2),
    "drift": analysis.KernelDrift(),
    "drift J": analysis.KernelDrift("J"),
    "residual": analysis.ModeEnergies(jnp.eye(3)),
    "signal": analysis.ModeEnergies(analysis.cosine_basis(6), "signal"),
}
STEPS = 10


def drift(first, now):
    return jnp.linalg.norm(now - first) / jnp.linalg.norm(first)


@pytest.mark.parametrize("name", ["two-layer", "two-layer-both", "mlp"])
def test_observed_are_recomputed(key, name):
    problem, g, _ = examples.problem(key, name, "wide")
    method = jd.GradientDescent(0.05)
    run = jd.iterate(problem, method, g, STEPS, every=STEPS, observe=OBSERVE)
    exact = {what: OBSERVE[what] for what in ("values", "min J", "drift J", "signal")}
    own = jd.iterate(problem, method, g, STEPS, every=STEPS, observe=exact, reduce=False)
    for what in exact:
        np.testing.assert_allclose(
            run.observed[what], own.observed[what], rtol=1e-8, atol=1e-11, err_msg=what
        )
    starts = [analysis.kernel(problem, g, of=of) for of in ("AJ", "J")]
    for row, end in enumerate((g, run.generator)):
        at = {what: values[row] for what, values in run.observed.items()}
        both = [jd.spectrum(problem, end, of=of, vectors=True) for of in ("AJ", "J")]
        np.testing.assert_allclose(at["min"], both[0].sigma_min.value, rtol=1e-9)
        np.testing.assert_allclose(at["min J"], both[1].sigma_min.value, rtol=1e-9)
        np.testing.assert_allclose(at["values"], both[0].values, rtol=1e-9)
        np.testing.assert_allclose(at["two J"], both[1].values[:2], rtol=1e-9)
        assert at["ritz"] >= both[1].sigma_min.value * (1 - 1e-12)
        for of, first, what in (("AJ", starts[0], "drift"), ("J", starts[1], "drift J")):
            now = analysis.kernel(problem, end, of=of)
            np.testing.assert_allclose(at[what], drift(first, now), rtol=1e-7, atol=1e-12)
        r = problem.predict(end) - problem.y
        np.testing.assert_allclose(at["residual"], r**2, rtol=1e-8, atol=1e-20)
        x = problem.signal(end)
        np.testing.assert_allclose(jnp.sum(at["signal"]), jnp.sum(x**2), rtol=1e-9)
    assert run.observed["drift"][0] == 0
    assert run.observed["drift"][-1] > 1e-4


def test_along_a_flow(key):
    problem, g, _ = examples.problem(key, "two-layer", "square")
    observe = {"min": analysis.SigmaMin(), "drift": analysis.KernelDrift()}
    run = jd.integrate(problem, jd.GradientFlow(), g, jnp.array([0.0, 1.0]), observe=observe)
    end = jd.spectrum(problem, run.generator).sigma_min.value
    np.testing.assert_allclose(run.observed["min"][-1], end, rtol=1e-10)


def test_a_linear_generator_never_drifts(key):
    problem, g, _ = examples.problem(key, "linear", "tall")
    observe = {"drift": analysis.KernelDrift(), "min": analysis.SigmaMin()}
    run = jd.iterate(problem, jd.GradientDescent(0.05), g, 10, every=5, observe=observe)
    assert np.all(run.observed["drift"] == 0)
    assert np.all(run.observed["min"] == 0)


def test_wrong_calls(key):
    problem, g, _ = examples.problem(key)
    for call, text in (
        (lambda: analysis.SigmaMin("K"), "of is 'AJ'"),
        (lambda: analysis.SigmaMin(method="svd"), "method is one of"),
        (lambda: analysis.SingularValues(count=0), "count is an integer"),
        (lambda: analysis.KernelDrift("K"), "of is 'AJ'"),
        (lambda: analysis.ModeEnergies(jnp.eye(3), "loss"), "what is one of"),
        (lambda: analysis.ModeEnergies(jd.spectrum(problem, g)), "vectors=True"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
