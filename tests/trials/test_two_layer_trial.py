"""The reduced, padded trial is the papers' experiment: same data, same steps, same verdicts."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.trials import RESULT_CODES, TwoLayerTrial, rows_bucket, width_bucket
from jaxdip.trials._two_layer_data import draw

TRIAL = TwoLayerTrial()
SIZES = {"n": 5, "m": 3, "k": 50}
D = 20


def law_of_v(law, key, k, dtype):
    if law == "rademacher":
        # `jax.random.rademacher` draws in the default precision, whatever its dtype.
        return jnp.where(jax.random.uniform(key, (k,), dtype) < 0.5, 1, -1).astype(dtype)
    if law == "uniform":
        return jax.random.uniform(key, (k,), dtype, -math.sqrt(3), math.sqrt(3))
    return jax.random.truncated_normal(key, -2, 2, (k,), dtype) / 0.8796256610342398


def plain_draws(key, point):
    """The data as a reader of the docstring would draw them."""
    n, m, k = (point[name] for name in "nmk")
    dtype = point.get("dtype", "float64")
    law = point.get("output_law", "rademacher")

    def row(purpose, i):
        return jax.random.fold_in(jd.key_for(key, purpose), i)

    A = jnp.stack([jax.random.normal(row("operator", i), (n,), dtype) for i in range(m)])
    V = jnp.stack([law_of_v(law, row("output", i), k, dtype) for i in range(n)])
    x = jax.random.normal(jd.key_for(key, "signal"), (n,), dtype)
    noise = jax.random.normal(jd.key_for(key, "noise"), (m,), dtype)
    z = jax.random.normal(jd.key_for(key, "init"), (k,), dtype)
    return A, V, x, noise, z


def full_problem(key, point):
    """The experiment with W of shape (k, d), nothing reduced."""
    A, V, x, noise, z = plain_draws(key, point)
    dtype = z.dtype
    u = jd.on_sphere(D, key=jd.key_for(key, "latent"), dtype=dtype)
    W = jax.random.normal(jd.key_for(key, "rest"), (point["k"], D), dtype)
    W = W + (z - W @ u)[:, None] * u
    p = point.get("p", 0.0)
    problem = jd.Problem(
        u=u,
        operator=jd.operators.Dense(A),
        loss=jd.losses.Power(jnp.asarray(p, dtype)) if p else jd.losses.MSE(),
        y=A @ x + jnp.asarray(point.get("noise", 0.0), dtype) * noise,
    )
    activation = point.get("activation", "sigmoid")
    g = jd.TwoLayer(weights=(W, V), out=point["n"], activation=activation)
    return problem, g, x


def run(key, point, program=None):
    program = program or TRIAL.program(point)
    return jax.jit(lambda key, numbers: TRIAL.run(key, program, numbers))(key, TRIAL.numbers(point))


def compare(key, point, method, rtol):
    problem, g, x = full_problem(key, point)
    tolerance = TRIAL.numbers(point).tolerance
    solution = jd.iterate(
        problem, method, g, point["steps"], reduce=False, tolerance=float(tolerance)
    )
    out = run(key, point)
    np.testing.assert_allclose(out["loss0"], solution.loss[0], rtol=rtol)
    scale = float(out["loss0"])
    np.testing.assert_allclose(out["loss"], solution.loss[-1], rtol=0, atol=rtol * scale)
    error = jnp.linalg.norm(problem.signal(solution.generator) - x) / jnp.linalg.norm(x)
    np.testing.assert_allclose(out["error"], error, rtol=10 * rtol)
    moved = jnp.linalg.norm(solution.generator.W - g.W)
    np.testing.assert_allclose(out["distance"], moved, rtol=10 * rtol)
    return out, int(solution.stats["steps"])


METHODS = {
    "gd": (lambda: jd.GradientDescent(jd.steps.InverseL(0.5)), {"step": 0.5}),
    "gd, γ given": (lambda: jd.GradientDescent(0.25), {"step_size": 0.25}),
    "igahd": (lambda: jd.IGAHD(), {"dynamics": "igahd"}),
    "igahd, given": (
        lambda: jd.IGAHD(jd.steps.InverseL(0.5), 0.3, 0.1),
        {"dynamics": "igahd", "step": 0.5, "alpha": 0.3, "beta": 0.1},
    ),
}


@pytest.mark.parametrize("method", METHODS)
def test_same_steps_as_the_unreduced_experiment(key, method):
    make, keys = METHODS[method]
    point = {**SIZES, **keys, "noise": 0.1, "steps": 3000, "tolerance": 1e-10, "d": D}
    out, steps = compare(key, point, make(), rtol=1e-10)
    assert out["steps"] == steps
    assert steps > 1
    assert out["result"] == RESULT_CODES["converged" if steps < 3000 else "out_of_steps"]


def test_same_steps_in_float32(key):
    make, keys = METHODS["igahd, given"]
    point = {**SIZES, **keys, "steps": 3000, "tolerance": 1e-5, "dtype": "float32"}
    out, steps = compare(key, point, make(), rtol=1e-4)
    assert abs(int(out["steps"]) - steps) <= 1 + steps // 200
    assert all(x.dtype != jnp.float64 for x in out.values())


@pytest.mark.parametrize(("activation", "m"), [("tanh", 3), ("softplus", 3), ("relu", 9)])
def test_every_activation_and_both_forms_of_the_product(key, activation, m):
    point = {"n": 10, "m": m, "k": 50, "steps": 40, "step_size": 0.02, "activation": activation}
    out, steps = compare(key, point, jd.GradientDescent(0.02), rtol=1e-10)
    assert out["steps"] == steps == 40
    assert out["result"] == RESULT_CODES["out_of_steps"]


@pytest.mark.parametrize("law", jd.generators.OUTPUT_BOUND)
def test_data_are_plain_draws_whatever_the_padding(key, law):
    point = {**SIZES, "noise": 0.3, "output_law": law}
    A, V, x, noise, z = plain_draws(key, point)
    program, numbers = TRIAL.program(point), TRIAL.numbers(point)
    larger = dataclasses.replace(program, width=104, observations=12, entries=16)
    V = V / jnp.sqrt(50.0)
    for padded in (program, larger):
        data = draw(key, padded, numbers)
        np.testing.assert_array_equal(data.signal[:5], x)
        np.testing.assert_array_equal(data.z[:50], z)
        # Bounded laws are made by another order of the same operations.
        np.testing.assert_allclose(data.V[:5, :50], V, rtol=1e-14, atol=1e-16)
        np.testing.assert_allclose(data.M[:3, :50], A @ V, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(data.y[:3], A @ x + 0.3 * noise, rtol=1e-13, atol=1e-14)
        for array, sizes in zip(data, ((3, 50), (3,), (5, 50), (5,), (50,)), strict=True):
            beyond = array.at[tuple(slice(size) for size in sizes)].set(0.0)
            np.testing.assert_array_equal(beyond, 0.0)
    first, second = (draw(key, p, numbers) for p in (program, larger))
    np.testing.assert_array_equal(first.V[:5, :50], second.V[:5, :50])


@pytest.mark.parametrize("dynamics", ["gd", "igahd"])
def test_padding_changes_no_step(key, dynamics):
    point = {**SIZES, "tolerance": 1e-10, "dynamics": dynamics, "steps": 2000, "step_size": 0.3}
    program = TRIAL.program(point)
    a = run(key, point)
    b = run(key, point, dataclasses.replace(program, width=200, observations=8, entries=12))
    assert a["steps"] == b["steps"]
    assert a["result"] == b["result"]
    for name in ("loss0", "error", "distance"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-10)


def test_points_of_one_bucket_share_a_program():
    programs = {TRIAL.program({"n": 5, "m": m, "k": k}) for m in (5, 6) for k in (73, 90, 104)}
    assert len(programs) == 1
    more = {"n": 5, "m": 5, "k": 90, "noise": 0.1, "steps": 7, "p": 0.2, "step": 0.5}
    assert TRIAL.program(more | {"p": 0.0}) in programs
    assert TRIAL.program(more) not in programs


def test_buckets_hold_what_they_pad_and_waste_little():
    for k in range(1, 5000):
        K = width_bucket(k)
        assert k <= K
        assert K % 8 == 0
        assert width_bucket(K) == K
        # Up to 1000 compiling takes longer than what is wasted.
        assert k <= 40 or (2.61 if k <= 1000 else 1.55) * k >= K
    assert [width_bucket(k) for k in (100, 200, 1000, 10_000)] == [104, 200, 1000, 10_000]
    assert [rows_bucket(m) for m in range(1, 14)] == [2, 2, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 16]


def test_the_step_is_a_fraction_of_the_same_bound(key):
    point = dict(SIZES)
    problem, g, _ = full_problem(key, point)
    state = TRIAL.begin(key, TRIAL.program(point), TRIAL.numbers(point))
    bound = jd.gradient_lipschitz(problem, g)
    np.testing.assert_allclose(1 / state.fixed.step, bound.value, rtol=1e-12)


def test_the_bound_holds_for_powers(key):
    point = {**SIZES, "p": 0.4}
    problem, g, _ = full_problem(key, point)
    state = TRIAL.begin(key, TRIAL.program(point), TRIAL.numbers(point))
    local = jd.lipschitz_local(problem, g).value
    assert local <= 1 / state.fixed.step <= 100 * local
    small = {**point, "p": 1e-9}
    near = TRIAL.begin(key, TRIAL.program(small), TRIAL.numbers(small)).fixed.step
    plain = TRIAL.begin(key, TRIAL.program(SIZES), TRIAL.numbers(SIZES)).fixed.step
    np.testing.assert_allclose(near, plain, rtol=1e-7)


def test_powers_of_the_residual_agree_too(key):
    point = {**SIZES, "p": 0.2, "step_size": 0.1, "steps": 200, "tolerance": 1e-6}
    out, steps = compare(key, point, jd.GradientDescent(0.1), rtol=1e-10)
    assert out["steps"] == steps


def batched(keys, program, numbers):
    return jax.jit(jax.vmap(lambda key, x: TRIAL.run(key, program, x)))(keys, numbers)


@pytest.mark.parametrize("dynamics", ["gd", "igahd"])
def test_batches_agree_and_poison_does_not_spread(key, dynamics):
    point = {**SIZES, "tolerance": 1e-10, "dynamics": dynamics, "step_size": 0.2, "noise": 0.1}
    program, numbers = TRIAL.program(point), TRIAL.numbers(point)
    keys = jax.random.split(key, 6)
    many = jax.tree.map(lambda x: jnp.broadcast_to(x, (6,)), numbers)
    healthy = batched(keys, program, many)
    alone = jax.jit(lambda ks: jax.lax.map(lambda k: TRIAL.run(k, program, numbers), ks))(keys)
    np.testing.assert_array_equal(healthy["steps"], alone["steps"])
    np.testing.assert_array_equal(healthy["result"], alone["result"])
    np.testing.assert_allclose(healthy["error"], alone["error"], rtol=1e-9)
    poisoned = many._replace(
        noise=many.noise.at[1].set(jnp.nan).at[2].set(jnp.inf),
        step=many.step.at[3].set(1e300).at[4].set(jnp.inf),
    )
    ill = batched(keys, program, poisoned)
    for name, values in ill.items():
        assert jnp.all(jnp.isfinite(values))
        np.testing.assert_array_equal(values[jnp.array([0, 5])], healthy[name][jnp.array([0, 5])])
    assert (ill["result"][1:5] == RESULT_CODES["diverged"]).all()
    np.testing.assert_array_equal(ill["steps"][1:5], 0)


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_a_state_that_breaks_on_the_way_stops_and_never_converges(key, value):
    point = {**SIZES, "activation": "tanh"}
    program = TRIAL.program(point)
    state = TRIAL.begin(key, program, TRIAL.numbers(point))
    state = state._replace(z=state.z.at[3].set(value))
    # tanh(inf) = 1: the prediction looks sound, so the loss may reach the tolerance.
    ended = state._replace(loss=jnp.zeros_like(state.loss))
    assert TRIAL.outcome(program, ended)["result"] == RESULT_CODES["diverged"]
    if math.isnan(value):
        assert not TRIAL.running(TRIAL.step(program, state))


def test_a_step_too_large_diverges_and_says_so(key):
    point = {**SIZES, "activation": "softplus", "step_size": 1e6, "steps": 1000}
    out = run(key, point)
    assert out["result"] == RESULT_CODES["diverged"]
    assert out["steps"] == 1
    assert not out["converged"]


def test_the_runtime_numbers_do_not_recompile(key):
    program = TRIAL.program(SIZES)
    compiled = jax.jit(lambda key, numbers: TRIAL.run(key, program, numbers))
    for more in ({}, {"steps": 5}, {"k": 55, "n": 6, "step": 0.5, "noise": 0.1}):
        point = {**SIZES, **more}
        assert TRIAL.program(point) in (program, dataclasses.replace(program, entries=6))
        compiled(key, TRIAL.numbers(point))
    assert compiled._cache_size() == 1


WRONG = {
    "unknown key": ({"with": 3}, "'with'"),
    "near miss": ({"sigma": 3, "nose": 1.0}, "no parameter 'sigma'"),
    "nearest": ({"tolerence": 1.0}, r"did you mean tolerance\?"),
    "float size": ({"k": 10.0}, "k is a whole number"),
    "no size": ({"m": 0}, "m is at least 1"),
    "latent": ({"d": 1.5}, "d is a whole number"),
    "activation": ({"activation": "sigmod"}, r"did you mean sigmoid\?"),
    "law": ({"output_law": "normal"}, "truncated-normal"),
    "dynamics": ({"dynamics": "adam"}, "choose one of gd, igahd"),
    "alpha of gd": ({"alpha": 1.0}, "alpha belongs to IGAHD"),
    "both steps": ({"step": 1.0, "step_size": 1.0}, "not both"),
    "negative": ({"noise": -1.0}, "noise is finite and zero or positive"),
    "zero step": ({"step": 0.0}, "step is finite and positive"),
    "not a number": ({"p": "two"}, "p is a real number"),
    "rough": ({"activation": "relu"}, "give step_size"),
    "unreachable": ({"tolerance": 1e-14, "dtype": "float32"}, "float32 rounding"),
    "overdamped": (
        {"dynamics": "igahd", "alpha": 2.0, "step_size": 1.0},
        "alpha sqrt\\(s\\) <= 1",
    ),
    "dtype": ({"dtype": "float16"}, "choose one of float32, float64"),
    "steps": ({"steps": 1e4}, "steps is a whole number"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_points_are_refused_in_one_line(case):
    wrong, words = WRONG[case]
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        TRIAL.numbers({**SIZES, **wrong})
    assert "\n" not in str(caught.value)


def test_missing_sizes_are_named():
    with pytest.raises(ValueError, match="m is missing"):
        TRIAL.program({"k": 5, "n": 3})


def test_float64_needs_the_mode():
    with jax.enable_x64(False):
        with pytest.raises(ValueError, match="JAX_ENABLE_X64"):
            TRIAL.program({**SIZES, "dtype": "float64"})
        assert TRIAL.program(SIZES).dtype == "float32"
