"""Derivatives through both drivers, against finite differences, in every number that a run has."""

import examples
import jax
import jax.numpy as jnp
import pytest
from jax.flatten_util import ravel_pytree

import jaxdip as jd

STEPS = 24
TS = jnp.array([0.4, 1.2])
TIGHT = {"rtol": 1e-11, "atol": 1e-13}


def loss_after(driver, problem, g, *, gamma=0.05, alpha=0.5, beta=0.3):
    if driver == "gf":
        return jd.integrate(problem, jd.GradientFlow(), g, TS, **TIGHT).loss[-1]
    if driver == "isehd":
        return jd.integrate(problem, jd.ISEHD(alpha, beta), g, TS, **TIGHT).loss[-1]
    if driver == "stiff":
        flow = jd.ISEHD(alpha, beta)
        return jd.integrate(problem, flow, g, TS, solver="implicit", **TIGHT).loss[-1]
    if driver == "gd":
        return jd.iterate(problem, jd.GradientDescent(gamma), g, STEPS, every=10).loss[-1]
    if driver == "igahd-eta":
        method = jd.IGAHD(gamma, alpha, beta, gradient_at="eta")
        return jd.iterate(problem, method, g, STEPS, every=10).loss[-1]
    return jd.iterate(problem, jd.IGAHD(gamma, alpha, beta), g, STEPS, every=10).loss[-1]


FLOWS = ("gf", "isehd", "stiff")
METHODS = ("gd", "igahd", "igahd-eta")
INERTIAL = ("isehd", "stiff", "igahd", "igahd-eta")

#: Where each number is differentiated; along a fixed direction where it is many.
AT = {"gamma": 0.05, "alpha": 0.5, "beta": 0.3, "weights": 0.0, "noise": 0.2, "operator": 0.0}


def objective(key, driver):
    """The loss at the end as a function of every number of the run."""
    problem, g, data = examples.problem(key, "two-layer-both")
    A = problem.operator.matrix()
    towards = jax.random.normal(jd.key_for(key, "A"), A.shape, A.dtype)
    unit = (data.y - data.y_clean) / data.noise_norm
    weights, rebuild = ravel_pytree((g.W, g.V))
    direction = jax.random.normal(jd.key_for(key, "direction"), weights.shape, weights.dtype)

    def final(at):
        operator = jd.operators.Dense(A + at["operator"] * towards)
        y = data.y_clean + at["noise"] * unit
        moved = rebuild(weights + at["weights"] * direction)
        start = jd.TwoLayer(weights=moved, both=True, activation=g.activation)
        stated = jd.Problem(u=problem.u, operator=operator, loss=problem.loss, y=y)
        numbers = {name: at[name] for name in ("gamma", "alpha", "beta")}
        return loss_after(driver, stated, start, **numbers)

    return final


def numbers_of(driver):
    flow, inertial = driver in FLOWS, driver in INERTIAL
    return [
        name
        for name in AT
        if (name != "gamma" or not flow) and (name not in ("alpha", "beta") or inertial)
    ]


@pytest.mark.parametrize("driver", FLOWS + METHODS)
def test_derivatives_are_those_of_finite_differences_in_both_modes(driver, key):
    final = objective(key, driver)
    value, reverse = jax.jit(final), jax.jit(jax.grad(final))(AT)
    h = 1e-4
    for name in numbers_of(driver):

        def moved(by, name=name):
            return float(value({**AT, name: AT[name] + by}))

        # Fourth order: errors of h⁴ and of rounding / h, both below 1e-8 relative.
        near, far = (moved(h) - moved(-h)) / (2 * h), (moved(2 * h) - moved(-2 * h)) / (4 * h)
        difference = (4 * near - far) / 3
        assert abs(difference) > 1e-6, name
        assert float(reverse[name]) == pytest.approx(difference, rel=1e-5), name
    if driver in METHODS:
        towards = {name: 1.0 if name == "gamma" else 0.0 for name in AT}
        forward = jax.jit(lambda at: jax.jvp(final, (at,), (towards,))[1])(AT)
        assert float(forward) == pytest.approx(float(reverse["gamma"]), rel=1e-10)
