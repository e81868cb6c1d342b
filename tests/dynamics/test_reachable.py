"""A threshold of the loss below what the dtype can tell from a fit is refused in one line."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd


def stated(key, dtype, loss=None, scale=1.0):
    """A problem in a dtype whose data have the norm `scale`."""
    A = jd.operators.Gaussian(m=3, n=6, key=jd.key_for(key, "operator"), dtype=dtype)
    y = jax.random.uniform(jd.key_for(key, "data"), (3,), dtype, 0.5, 1.0)
    y = scale * y / jnp.linalg.norm(y)
    g = jd.TwoLayer(latent=4, width=40, out=6, key=jd.key_for(key, "init"), dtype=dtype)
    u = jd.on_sphere(4, key=jd.key_for(key, "latent")).astype(dtype)
    return jd.Problem(u=u, operator=A, loss=loss or jd.losses.MSE(), y=y.astype(dtype)), g


def run(problem, g, threshold, kind="until", driver="iterate"):
    event = {kind: {"fit": jd.events.LossBelow(threshold)}}
    if driver == "iterate":
        return jd.iterate(problem, jd.GradientDescent(1e-3), g, 2, **event)
    ts = jnp.asarray([1e-3, 2e-3], problem.y.dtype)
    return jd.integrate(problem, jd.GradientFlow(), g, ts, **event)


@pytest.mark.parametrize("driver", ["iterate", "integrate"])
@pytest.mark.parametrize("kind", ["until", "mark"])
def test_float32_refuses_what_float64_takes(key, driver, kind):
    # 8 eps² ‖y‖² = 1.1e-13 · 4 in float32.
    single, double = (stated(key, dtype, scale=2.0) for dtype in ("float32", "float64"))
    with pytest.raises(ValueError, match=r"1e-13 of event 'fit' is below 4\.5e-13.*float32") as why:
        run(*single, 1e-13, kind, driver)
    assert "\n" not in str(why.value)
    assert "float64" in str(why.value)
    run(*double, 1e-14, kind, driver)
    run(*single, 5e-13, kind, driver)
    run(*single, 0.0, kind, driver)


def test_the_bound_follows_the_data_and_the_loss(key):
    eps = float(np.finfo(np.float32).eps)
    for loss, least in (
        (jd.losses.MSE(), 0.5 * (4 * eps * 30) ** 2),
        (jd.losses.Power(1.0), 0.25 * (4 * eps * 30) ** 4),
    ):
        problem, g = stated(key, "float32", loss, scale=30.0)
        run(problem, g, 1.01 * least)
        with pytest.raises(ValueError, match="rounding leaves"):
            run(problem, g, 0.99 * least)


def test_float64_has_a_floor_of_its_own(key):
    problem, g = stated(key, "float64")
    run(problem, g, 4e-31)
    with pytest.raises(ValueError, match="float64 rounding leaves") as why:
        run(problem, g, 3e-31)
    assert "JAX_ENABLE_X64" not in str(why.value)


def test_the_short_form_is_refused_too_and_traced_problems_are_not_looked_at(key):
    problem, g = stated(key, "float32", scale=2.0)
    with pytest.raises(ValueError, match="event 'tolerance'"):
        jd.iterate(problem, jd.GradientDescent(1e-3), g, 2, tolerance=1e-14)

    @jax.jit
    def traced(y):
        moved = eqx.tree_at(lambda p: p.y, problem, y)
        return jd.iterate(moved, jd.GradientDescent(1e-3), g, 2, tolerance=1e-14).loss

    assert np.all(np.isfinite(traced(problem.y)))


def test_a_problem_that_jit_closes_over_is_looked_at(key):
    problem, g = stated(key, "float32", scale=2.0)
    ending = jd.events.LossBelow(1e-14)

    @jax.jit
    def closed(step):
        return jd.iterate(problem, jd.GradientDescent(step), g, 2, until=ending).loss

    with pytest.raises(ValueError, match="rounding leaves"):
        closed(jnp.float32(1e-3))


def test_losses_whose_minimiser_is_not_y_say_nothing(key):
    problem, g = stated(key, "float32")
    one_hot = jd.Problem(
        u=problem.u,
        operator=problem.operator,
        loss=jd.losses.SoftmaxCrossEntropy(0.1),
        y=jnp.asarray([1.0, 0.0, 0.0], jnp.float32),
    )
    run(one_hot, g, 1e-30)
