"""Every loss obeys its Kurdyka–Łojasiewicz inequality with its constant and with no smaller one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_catalogue import BY_NAME, CASES, apply, evaluate, sample

NAMES = [case.name for case in CASES]
FUNCTIONS = ("psi", "dpsi", "psi_inv", "Psi", "Psi_inv")
TIGHT = [case.name for case in CASES if case.tight]


def slack(name, spoil=1.0):
    """ψ'(L) ‖∇L‖, which is at least 1, for ψ multiplied by `spoil`."""
    case, points = BY_NAME[name], sample(name)
    norm = np.linalg.norm(points.gradient.reshape(len(points.v), -1), axis=1)
    return spoil * apply(case.loss.desingularizer(case.y), "dpsi", points.loss) * norm


def reach(name, spoil=1.0):
    """ψ(L)/dist(v, argmin), which is at least 1, for ψ multiplied by `spoil`."""
    case, points = BY_NAME[name], sample(name)
    psi = apply(case.loss.desingularizer(case.y), "psi", points.loss)
    return spoil * psi / points.distance


@pytest.mark.parametrize("name", NAMES)
def test_inequality(name):
    assert slack(name).min() >= 1 - 1e-9


@pytest.mark.parametrize("name", TIGHT)
def test_inequality_is_tight_and_fails_with_a_smaller_constant(name):
    assert slack(name).min() < 1.01
    assert slack(name, spoil=0.9).min() < 1


@pytest.mark.parametrize("name", NAMES)
def test_distance_to_minimisers_is_at_most_psi(name):
    assert reach(name).min() >= 1 - 1e-8


@pytest.mark.parametrize("name", TIGHT)
def test_distance_fails_with_a_smaller_constant(name):
    assert reach(name, spoil=0.9).min() < 1


@pytest.mark.parametrize("name", ["mse", "mse-complex", "power-0.2", "power-1.0", "power-complex"])
def test_psi_is_the_distance_for_radial_losses(name):
    np.testing.assert_allclose(reach(name), 1.0, rtol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_value_against_scipy(name):
    case, points = BY_NAME[name], sample(name)
    chosen = np.flatnonzero(points.loss > 1e-3)[:200]
    if not len(chosen):  # the radius is smaller than that
        chosen = np.argsort(points.loss)[-5:]
    expected = [case.reference(v, np.asarray(case.y)) for v in points.v[chosen]]
    np.testing.assert_allclose(points.loss[chosen], expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_zero_at_the_minimiser_and_positive_elsewhere(name):
    case, points = BY_NAME[name], sample(name)
    v = jnp.asarray(case.minimiser(np.asarray(case.y)))
    assert evaluate(case.loss, v[None], case.y)[0] < 1e-30
    assert np.all(points.loss[points.distance > 1e-6] > 0)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_against_differences(name):
    case, points = BY_NAME[name], sample(name)
    usual = np.flatnonzero((points.loss > np.median(points.loss) / 10) & (points.loss < 10))[:20]
    assert len(usual) == 20
    v = points.v[usual]
    d = np.random.default_rng(3).normal(size=v.shape) * case.room(v).real

    def value(v):
        return evaluate(case.loss, jnp.asarray(v), case.y)[0]

    for unit in (1.0, 1j) if np.iscomplexobj(v) else (1.0,):
        h = 1e-6 * unit
        difference = (value(v + h * d) - value(v - h * d)) / 2e-6
        # JAX's gradient of a real function of complex numbers is the conjugate of ∂/∂Re + i ∂/∂Im.
        slope = np.sum((points.gradient[usual] * d * unit).real.reshape(20, -1), axis=1)
        np.testing.assert_allclose(difference, slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_vanishes_at_the_minimiser(name):
    case = BY_NAME[name]
    v = jnp.asarray(case.minimiser(np.asarray(case.y)))
    np.testing.assert_allclose(evaluate(case.loss, v[None], case.y)[1], 0.0, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision(name):
    case, points = BY_NAME[name], sample(name)
    dtype = np.complex64 if np.iscomplexobj(case.y) else np.float32
    y = jnp.asarray(case.y, dtype)
    v = jnp.asarray(points.v[np.argsort(points.loss)[-50:]], dtype)
    found, _ = evaluate(case.loss, v, y)
    assert found.dtype == jnp.float32
    double, _ = evaluate(case.loss, v.astype(case.y.dtype), y.astype(case.y.dtype))
    # Targets next to one another in single precision leave few digits of so small a loss.
    tolerance = 5e-3 if name == "softmax" else 2e-5
    np.testing.assert_allclose(found, double, rtol=tolerance)
    psi = case.loss.desingularizer(y)
    np.testing.assert_allclose(apply(psi, "psi_inv", apply(psi, "psi", found)), found, rtol=1e-4)
    for function in FUNCTIONS:
        assert jax.eval_shape(getattr(psi, function), found).dtype == jnp.float32


@pytest.mark.parametrize("name", NAMES)
def test_data_may_be_traced(name):
    case = BY_NAME[name]
    s = sample(name).loss
    expected = case.loss.desingularizer(case.y)
    traced = eqx.filter_jit(lambda loss, y: loss.desingularizer(y))(case.loss, case.y)
    for function in FUNCTIONS:
        np.testing.assert_allclose(
            apply(traced, function, s), apply(expected, function, s), rtol=1e-12
        )
    np.testing.assert_allclose(traced.radius, expected.radius, rtol=1e-12)
