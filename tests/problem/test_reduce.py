"""The reduction is a change of coordinates: every linear dynamics agrees to rounding."""

import diffrax as dfx
import equinox as eqx
import examples
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdip as jd

OBSERVE = {
    "distance": jd.observables.ParameterDistance(),
    "gradient": jd.observables.GradientNorm(),
    "signal": jd.observables.Signal(),
    "prediction": jd.observables.Prediction(),
}


def assert_same(a, b, rtol):
    for name in a.observed:
        scale = float(jnp.max(jnp.abs(b.observed[name])))
        np.testing.assert_allclose(a.observed[name], b.observed[name], rtol=0, atol=rtol * scale)
    for p, q in zip(jax.tree.leaves(a.generator), jax.tree.leaves(b.generator), strict=True):
        np.testing.assert_allclose(p, q, rtol=0, atol=rtol * float(jnp.max(jnp.abs(q)) + 1))
    assert jax.tree.structure(a.generator) == jax.tree.structure(b.generator)


@pytest.mark.parametrize("operator", examples.OPERATORS)
@pytest.mark.parametrize("generator", examples.GENERATORS)
def test_objective_gradient_and_lift_agree(key, generator, operator):
    problem, g, _ = examples.problem(key, generator, operator)
    smaller, reduced, lift = jd.reduce(problem, g)
    np.testing.assert_allclose(smaller.objective(reduced), problem.objective(g), rtol=1e-13)
    np.testing.assert_allclose(lift.signal(reduced), g(problem.u), rtol=1e-12, atol=1e-13)
    for p, q in zip(jax.tree.leaves(lift(reduced)), jax.tree.leaves(g), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-13)


@pytest.mark.parametrize(
    ("generator", "descent"),
    # Every generator and every descent: neither knows of the other.
    [(generator, "igahd") for generator in examples.GENERATORS]
    + [("two-layer-both", descent) for descent in examples.LINEAR_DESCENTS if descent != "igahd"],
)
def test_discrete_trajectories_agree_to_rounding(key, generator, descent):
    problem, g, _ = examples.problem(key, generator, "wide")
    runs = [
        jd.iterate(
            problem, examples.LINEAR_DESCENTS[descent](), g, 60, observe=OBSERVE, reduce=reduce
        )
        for reduce in (True, False)
    ]
    assert_same(*runs, rtol=1e-11)


@pytest.mark.parametrize("operator", ["square", "tall", "mask"])
def test_trajectories_agree_on_every_shape_of_operator(key, operator):
    problem, g, _ = examples.problem(key, "two-layer-both", operator)
    runs = [
        jd.iterate(problem, jd.GradientDescent(0.05), g, 60, observe=OBSERVE, reduce=reduce)
        for reduce in (True, False)
    ]
    assert_same(*runs, rtol=1e-11)


@pytest.mark.parametrize(
    ("generator", "flow"),
    # Every generator, and both flows where both layers are reduced.
    [(generator, "isehd") for generator in examples.GENERATORS] + [("two-layer-both", "gf")],
)
def test_flows_agree_to_rounding_on_the_same_steps(key, generator, flow):
    problem, g, _ = examples.problem(key, generator, "wide")
    # Adaptive steps would differ between coordinates: with constant ones the rest must not.
    steps = dfx.StepTo(jnp.linspace(0, 2, 41))
    runs = [
        jd.integrate(
            problem,
            examples.FLOWS[flow](),
            g,
            jnp.array([0.0, 1.0, 2.0]),
            observe=OBSERVE,
            stepsize_controller=steps,
            reduce=reduce,
        )
        for reduce in (True, False)
    ]
    assert_same(*runs, rtol=1e-11)


def test_sizes_shrink_as_promised(key):
    wide, both, _ = examples.problem(key, "two-layer-both", "wide")
    _, reduced, _ = jd.reduce(wide, both)
    assert (reduced.W.shape, reduced.V.shape) == ((examples.K, 1), (3, examples.K))
    wide, hidden, _ = examples.problem(key, "two-layer", "wide")
    smaller, reduced, _ = jd.reduce(wide, hidden)
    assert (reduced.W.shape, reduced.V.shape) == ((examples.K, 1), (3, examples.K))
    assert isinstance(smaller.operator, jd.operators.Identity)
    square, both, _ = examples.problem(key, "two-layer-both", "square")
    _, reduced, _ = jd.reduce(square, both)
    assert (reduced.W.shape, reduced.V.shape) == ((examples.K, 1), both.V.shape)


def test_optimisers_that_are_not_linear_are_refused(key):
    problem, g, _ = examples.problem(key)
    adam = jd.Optax(optax.adam(1e-2))
    with pytest.raises(ValueError, match="not linear in past gradients"):
        jd.iterate(problem, adam, g, 10, reduce=True)
    # optax's Adam itself mixes an int32 count with floats, which strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
        alone = jd.iterate(problem, adam, g, 10)
        full = jd.iterate(problem, adam, g, 10, reduce=False)
    assert jd.gap(alone, full).sup["loss"] == 0
    # The refusal is needed: Adam leaves W0 + R^k uᵀ, so its reduced run would be another one.
    moved = alone.generator.W - g.W
    off = moved - jnp.outer(moved @ problem.u, problem.u) / (problem.u @ problem.u)
    assert float(jnp.linalg.norm(off)) > 0.1 * float(jnp.linalg.norm(moved))


def test_unreduced_run_conserves_what_reduction_drops(key):
    problem, g, _ = examples.problem(key, "two-layer-both", "wide")
    run = jd.iterate(problem, jd.IGAHD(0.02, 0.5, 0.1), g, 50, reduce=False)
    u = problem.u / jnp.linalg.norm(problem.u)
    off = (run.generator.W - g.W) @ (jnp.eye(u.size) - jnp.outer(u, u))
    assert float(jnp.max(jnp.abs(off))) < 1e-12
    Q = jnp.linalg.qr(problem.operator.matrix().T)[0]
    moved = run.generator.V - g.V
    assert float(jnp.max(jnp.abs(moved - Q @ (Q.T @ moved)))) < 1e-12
    assert float(jnp.linalg.norm(moved)) > 1e-2


def test_complex_data_and_nonlinear_operators_keep_their_last_layer(key):
    problem, g, data = examples.problem(key, "two-layer-both", "wide")
    fourier = jd.operators.Dense(
        jax.random.normal(key, (3, examples.N), complex), in_dtype=jnp.float64
    )
    forwards = {
        "complex": fourier,
        "nonlinear": jd.operators.PhaseRetrieval(problem.operator),
    }
    for A in forwards.values():
        stated = jd.Problem(u=problem.u, operator=A, loss=problem.loss, y=A(data.x_true))
        runs = [
            jd.iterate(stated, jd.GradientDescent(0.01), g, 40, observe=OBSERVE, reduce=reduce)
            for reduce in (True, False)
        ]
        assert_same(*runs, rtol=1e-11)


def test_images_reduce_too(key):
    shape = (4, 5)
    g = jd.TwoLayer(latent=3, width=8, out=shape, key=key, both=True)
    A = jd.operators.Mask.random(shape, 0.4, key)
    data = jd.measure(A, jax.random.uniform(key, shape))
    problem = jd.Problem(u=jd.on_sphere(3, key=key), operator=A, loss=jd.losses.MSE(), y=data.y)
    error = {"error": jd.observables.SignalError(data.x_true), **OBSERVE}
    runs = [
        jd.iterate(problem, jd.GradientDescent(0.1), g, 30, observe=error, reduce=reduce)
        for reduce in (True, False)
    ]
    assert_same(*runs, rtol=1e-11)


def test_reduction_batches_over_random_operators(key):
    problem, g, _ = examples.problem(key, "two-layer-both", "wide")
    As = eqx.filter_vmap(lambda k: jd.operators.Gaussian(m=3, n=examples.N, key=k))(
        jax.random.split(key, 4)
    )

    def final(A):
        stated = eqx.tree_at(lambda p: p.operator, problem, A)
        return jd.iterate(stated, jd.GradientDescent(0.01), g, 20).loss[-1]

    batched = eqx.filter_vmap(final)(As)
    alone = jnp.stack([final(jax.tree.map(lambda x, i=i: x[i], As)) for i in range(4)])
    np.testing.assert_allclose(batched, alone, rtol=1e-12)
