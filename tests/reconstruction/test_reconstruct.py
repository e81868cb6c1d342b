"""Laws of `reconstruct`: what each rule keeps, what may not matter, and what must."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdip as jd
from jaxdip.dynamics import StochasticGradientDescent
from jaxdip.problem import parametrize
from jaxdip.reconstruction import TotalVariation, _loop, _run, reconstruct
from jaxdip.reconstruction._objective import Objective
from jaxdip.stopping import (
    Discrepancy,
    ExponentialVariance,
    HeldOut,
    Oracle,
    Plateau,
    Sure,
)

KEY = jax.random.key(7)
N, STEP, NOISE = 6, 0.1, 0.5
#: A diagonal Jacobian, on which probes of ±1 measure a divergence without error.
SCALES = jnp.linspace(0.3, 2.0, N)
#: Nothing but noise in the slow modes, so that stopping early helps.
TRUTH = jnp.array([0.0, 0.0, 1.5, -2.0, 2.0, -1.5])
Y = TRUTH + NOISE * jnp.array([0.4, -0.5, 1.2, -0.8, 0.3, 1.0])
LINEAR = {"generator": jd.Linear(jnp.diag(SCALES)), "u": jnp.ones(1), "key": KEY}
RULES = {
    "discrepancy": Discrepancy(NOISE * N**0.5),
    "sure": Sure(NOISE, patience=4),
    "oracle": Oracle(),
    "plateau": Plateau(3, 0.2),
}


def linear(steps, **options):
    """Gradient descent on the diagonal problem, under all rules."""
    asked = {"stop": RULES, "act": (), "truth": TRUTH, **LINEAR, **options}
    return reconstruct(Y, jd.operators.Identity(N), steps=steps, step_size=STEP, **asked)


@pytest.fixture(scope="module")
def traced():
    """A run of 60 steps with every step on record."""
    return linear(60, every=1)


def network(key):
    g = jd.TwoLayer(latent=3, width=8, out=N, key=key, activation="tanh", both=True)
    return g, jd.on_sphere(3, key=jd.key_for(key, "latent"))


def jittered(key=KEY, **options):
    """Twelve jittered steps of a network, averaged."""
    asked = {"jitter": 0.05, "average": 0.9, "every": 4, "stop": {"emv": ExponentialVariance()}}
    return reconstruct(
        Y, jd.operators.Identity(N), network, key=key, steps=12, step_size=0.1, **asked | options
    )


def same(one, other):
    """Equality to the last bit of everything but the static parts."""
    one, other = (jax.tree.leaves(x) for x in (one, other))
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_the_iterates_are_those_of_gradient_descent(traced):
    x, iterates = np.zeros(N), []
    for _ in range(61):
        iterates.append(x)
        x = x - STEP * np.asarray(SCALES) ** 2 * (x - np.asarray(Y))
    np.testing.assert_allclose(traced.x, iterates[-1], rtol=1e-12)
    errors = np.linalg.norm(np.array(iterates) - np.asarray(TRUTH), axis=1)
    np.testing.assert_allclose(traced.trace["error"], errors, rtol=1e-12)
    decibels = 10 * np.log10(4.0 / (errors**2 / N))
    np.testing.assert_allclose(traced.trace["psnr"], decibels, rtol=1e-12)
    np.testing.assert_allclose(traced.trace["loss"], 0.5 * traced.trace["residual"] ** 2)
    np.testing.assert_array_equal(traced.trace["step"], np.arange(61))
    np.testing.assert_allclose(traced.trace["t"], 0.1 * np.arange(61))
    average = iterates[0]
    for image in iterates:
        average = 0.99 * average + 0.01 * image
    np.testing.assert_allclose(traced.x_average, average, rtol=1e-12)
    assert bool(traced.result == jd.RESULTS.completed)
    assert traced.reason == "all 60 steps were taken and no rule ended the run"


def test_the_discrepancy_stops_at_the_first_step_within_the_noise(traced):
    residual = np.asarray(traced.trace["residual"])
    first = int(np.argmax(residual <= NOISE * N**0.5))
    assert 2 < first < 40
    assert int(traced.stops["discrepancy"].step) == first
    assert int(traced.stops["discrepancy"].fired_at) == first


def test_the_oracle_keeps_the_best_image(traced):
    errors = np.asarray(traced.trace["error"])
    best = int(traced.stops["oracle"].step)
    assert best == int(np.argmin(errors))
    assert 0 < best < 60
    assert not bool(traced.stops["oracle"].fired)
    kept = np.linalg.norm(np.asarray(traced.stops["oracle"].x - TRUTH))
    assert kept == pytest.approx(errors[best], rel=1e-12)


def test_the_divergence_is_the_degrees_of_freedom_of_the_linearised_run(traced):
    problem = jd.Problem(
        u=LINEAR["u"], operator=jd.operators.Identity(N), loss=jd.losses.MSE(), y=Y
    )
    twin = jd.linearised(problem, LINEAR["generator"])
    method, at = jd.GradientDescent(STEP), jnp.arange(0, 61, 10)
    df = jax.vmap(lambda k: twin.degrees_of_freedom(method, k))(at)
    np.testing.assert_allclose(traced.trace["divergence"][::10], df, rtol=1e-6, atol=1e-7)
    risk = jax.vmap(lambda k: twin.sure(method, k, noise=NOISE))(jnp.arange(61))
    assert int(traced.stops["sure"].step) == int(jnp.argmin(risk))
    assert 0 < int(jnp.argmin(risk)) < 60


def test_the_image_kept_is_that_of_a_run_of_exactly_so_many_steps():
    full = linear(60, every=60)
    for name in RULES:
        step = int(full.stops[name].step)
        assert step > 0
        alone = linear(step, every=step)
        same(full.stops[name].x, alone.x_last)
        same(full.stops[name].x_average, alone.x_average)
        same(alone.x, alone.generator(LINEAR["u"]))


def test_the_first_rule_that_acts_ends_the_run_with_its_image(traced):
    """Not the last image: the one that a rule with patience chose before."""
    ended = linear(60, every=1, act=("plateau", "sure"))
    first, step = int(traced.stops["sure"].fired_at), int(traced.stops["sure"].step)
    assert 0 < step < first < int(traced.stops["plateau"].fired_at)
    assert int(ended.steps) == first
    assert bool(ended.result == jd.RESULTS.stopped)
    assert ended.reason == f"sure fired at step {first}; its image is that of step {step}"
    same(ended.x, traced.stops["sure"].x)
    assert float(jnp.linalg.norm(ended.x - ended.x_last)) > 1e-3
    assert ended.trace["loss"].shape == (first + 1,)
    np.testing.assert_allclose(ended.trace["loss"], traced.trace["loss"][: first + 1], rtol=1e-12)
    same(ended.x_last, ended.generator(LINEAR["u"]))


def test_looking_at_every_step_costs_no_forward_pass(monkeypatch):
    """The compiler merges it with that of the gradient: counted in operations, not in seconds."""
    caught = []

    def spy(loop, state, end):
        caught.append((loop, state))
        return _loop.run_to(loop, state, end)

    monkeypatch.setattr(_run, "run_to", spy)
    large = {**LINEAR, "generator": jd.Linear(jnp.eye(300, 400))}
    A, rules = jd.operators.Identity(300), {"emv": ExponentialVariance()}
    reconstruct(jnp.ones(300), A, steps=1, step_size=STEP, stop=rules, **large)
    loop, state = caught[0]

    def operations(what):
        return jax.jit(what).lower(state).compile().cost_analysis()["flops"]

    step = operations(lambda s: loop.descent.step(loop.f, s.theta, s.memory))
    assert step > 4 * 300 * 400
    assert operations(lambda s: _loop._body(loop, s)) < 1.1 * step


def test_entries_held_out_never_touch_the_image(key):
    mask = jnp.arange(N) == 2
    options = {"stop": {"held": HeldOut(mask=mask)}, **LINEAR}
    J = jax.random.normal(key, (N, N))
    options["generator"] = jd.Linear(J)
    A = jd.operators.Identity(N)

    def run(y):
        return reconstruct(y, A, steps=5, every=1, step_size=0.01, **options)

    one, other = run(Y), run(Y.at[2].add(5.0))
    same((one.x, one.trace["loss"]), (other.x, other.trace["loss"]))
    assert float(one.trace["held_out"][-1]) != float(other.trace["held_out"][-1])
    c = jnp.zeros(N)
    for _ in range(5):
        c = c - 0.01 * J.T @ (jnp.where(mask, 0.0, 1.0) * (J @ c - Y))
    np.testing.assert_allclose(one.x, J @ c, rtol=1e-10)
    held = float((J @ c - Y)[2] ** 2)
    assert float(one.trace["held_out"][-1]) == pytest.approx(held, rel=1e-10)
    fitted = jnp.delete(J @ c - Y, 2)
    residual = float(jnp.linalg.norm(fitted)) * (N / (N - 1)) ** 0.5
    assert float(one.trace["residual"][-1]) == pytest.approx(residual, rel=1e-10)


@pytest.fixture(scope="module")
def three():
    return jittered(seeds=3)


def test_seeds_are_the_same_alone(three):
    assert three.x.shape == (3, N)
    assert three.x_average.shape == (3, N)
    assert three.trace["loss"].shape == (3, 4)
    assert three.stops["emv"].x.shape == (3, N)
    assert len(three.reason) == 3
    alone = jittered(jax.random.fold_in(KEY, 1))
    same(alone.trace, {name: row[1] for name, row in three.trace.items()})
    same((alone.x, alone.x_average), (three.x[1], three.x_average[1]))
    same(alone.generator, jax.tree.map(lambda x: x[1], three.generator))
    assert float(jnp.linalg.norm(three.x[0] - three.x[1])) > 0.01


def test_seeds_in_one_program_are_those_in_turn(three):
    batched = jittered(seeds=3, together=True)
    np.testing.assert_allclose(batched.x, three.x, rtol=1e-10)
    np.testing.assert_allclose(batched.trace["loss"], three.trace["loss"], rtol=1e-10)
    assert batched.reason == three.reason


def test_jitter_moves_the_latent_of_the_gradient_alone(three):
    """One step by hand: the gradient at u + noise, the image at u."""
    same(three.x, jittered(seeds=3).x)
    key = jax.random.fold_in(KEY, 0)
    g, u = network(jd.key_for(key, "init"))
    A, loss = jd.operators.Identity(N), jd.losses.MSE()
    theta = parametrize(jd.Problem(u=u, operator=A, loss=loss, y=Y), g)[1]
    for k in range(4):
        noise = jax.random.normal(jax.random.fold_in(jd.key_for(key, "jitter"), k), u.shape)
        f, _ = parametrize(jd.Problem(u=u + 0.05 * noise, operator=A, loss=loss, y=Y), g)
        theta = jax.tree.map(lambda p, d: p - 0.1 * d, theta, f.gradient(theta))
    clean = 0.5 * float(jnp.sum((f.generator(theta)(u) - Y) ** 2))
    assert float(three.trace["loss"][0, 1]) == pytest.approx(clean, rel=1e-10)


def test_a_killed_run_resumes_to_the_last_bit(tmp_path, three):
    path = tmp_path / "state.npz"

    class Killed(Exception):
        pass

    def kill(progress):
        if progress.done == 3:
            raise Killed

    with pytest.raises(Killed):
        jittered(seeds=3, watch=kill, checkpoint=path)
    seen = []
    resumed = jittered(seeds=3, resume=path, watch=seen.append)
    assert [progress.done for progress in seen] == [4]
    assert [progress.total for progress in seen] == [4]
    same(resumed, three)
    with pytest.raises(ValueError, match=r"belongs to another run: .*options"):
        jittered(seeds=3, resume=path, jitter=0.06)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        jittered(seeds=3, resume=tmp_path / "none")
    with pytest.raises(TypeError, match="resume takes a Checkpoint or the path"):
        jittered(seeds=3, resume=3)


def test_the_caller_may_end_a_run(three):
    ended = jittered(jax.random.fold_in(KEY, 0), watch=lambda progress: progress.done == 2)
    assert bool(ended.result == jd.RESULTS.stopped)
    assert ended.reason == f"the caller ended the run at step {int(ended.steps)}"
    assert int(ended.steps) == 5
    np.testing.assert_allclose(ended.trace["loss"][:2], three.trace["loss"][0, :2], rtol=1e-12)
    _, u = network(jd.key_for(jax.random.fold_in(KEY, 0), "init"))
    np.testing.assert_allclose(ended.x, ended.generator(u), rtol=1e-12)


C = np.array([1.0, 4.0, 2.0, 2.5])


def objective(**changes):
    """The value and the gradient at C of an objective whose data term is ½‖x‖², x = C."""
    problem = jd.Problem(
        u=jnp.ones(1), operator=jd.operators.Identity(4), loss=jd.losses.MSE(), y=jnp.zeros(4)
    )
    f, theta = parametrize(problem, jd.Linear(jnp.eye(4), jnp.asarray(C)))
    given = {"tv": None, "weight_decay": None, "clip": None} | changes
    value, gradient = evaluated(Objective(f, **given), theta)
    return float(value), np.asarray(gradient.c)


@eqx.filter_jit
def evaluated(f, theta):
    return f(theta), f.gradient(theta)


def test_penalties_are_what_their_formulas_say():
    plain, gradient = objective()
    np.testing.assert_allclose(gradient, C)
    decayed, shrinking = objective(weight_decay=jnp.asarray(0.3))
    assert decayed - plain == pytest.approx(0.15 * C @ C)
    np.testing.assert_allclose(shrinking, 1.3 * C)
    varied, smoothing = objective(tv=TotalVariation(2.0, smoothing=0.1))
    differences = np.diff(C)
    by_hand = 2.0 * np.sum(np.sqrt(differences**2 + 0.01) - 0.1)
    assert varied - plain == pytest.approx(by_hand)
    slope = 2.0 * differences / np.sqrt(differences**2 + 0.01)
    expected = np.concatenate([[0], slope]) - np.concatenate([slope, [0]])
    np.testing.assert_allclose(smoothing - C, expected, rtol=1e-12)


def test_total_variation_is_isotropic_and_takes_colours_apart():
    @eqx.filter_jit
    def tv(x, axes=None):
        return TotalVariation(1.0, smoothing=1e-9, axes=axes)(x)

    corner = np.zeros((3, 3, 2))
    corner[1:, 1:] = [1.0, 3.0]
    # Two steps down and two to the right, in each of two colours.
    assert float(tv(corner)) == pytest.approx((1 + 3) * 4, rel=1e-6)
    assert float(tv(corner, (0,))) == pytest.approx((1 + 3) * 2, rel=1e-6)
    # Both steps from one pixel: √2, not 2.
    dot = np.zeros((2, 2))
    dot[0, 0] = 1.0
    assert float(tv(dot)) == pytest.approx(2**0.5, rel=1e-6)


def test_long_gradients_are_clipped_and_short_ones_are_not():
    assert np.linalg.norm(C) > 2
    np.testing.assert_allclose(
        objective(clip=jnp.asarray(2.0))[1], 2.0 * C / np.linalg.norm(C), rtol=1e-12
    )
    np.testing.assert_array_equal(objective(clip=jnp.asarray(99.0))[1], C)


def test_a_function_of_ones_own_with_penalties_and_clipping_in_single_precision(key):
    """One step by hand: the adjoint by autodiff, the penalties added, the whole clipped."""
    A = jax.random.normal(key, (3, 4), jnp.float32)
    y = jnp.arange(3, dtype=jnp.float32)
    g = jd.Linear(jnp.eye(4, dtype=jnp.float32), jnp.arange(4, dtype=jnp.float32))
    options = {"clip": 0.5, "weight_decay": 0.3, "tv": 0.2, "truth": np.ones(4)}
    stop = {"emv": ExponentialVariance(), "held": HeldOut(0.4)}
    run = reconstruct(
        y,
        lambda x: A @ x,
        g,
        u=jnp.ones(1, jnp.float32),
        key=key,
        steps=1,
        step_size=0.5,
        stop=stop,
        **options,
    )
    floats = [x.dtype for x in jax.tree.leaves((run.x, run.stops, run.generator))]
    assert set(floats) == {jnp.dtype(jnp.float32), jnp.dtype(jnp.int32)}
    held = HeldOut(0.4).split((3,), jd.key_for(key, "held-out"))
    assert held.sum() == 1

    def f(x):
        tv = 0.2 * jnp.sum(jnp.sqrt(jnp.diff(x) ** 2 + 1e-6) - 1e-3)
        return 0.5 * jnp.sum((A @ x - y)[~held] ** 2) + tv + 0.15 * x @ x

    gradient = jax.grad(f)(g.c)
    assert float(jnp.linalg.norm(gradient)) > 0.5
    np.testing.assert_allclose(
        run.x, g.c - 0.25 * gradient / jnp.linalg.norm(gradient), rtol=1e-4, atol=1e-6
    )


def test_a_diverged_run_is_data():
    run = reconstruct(
        1e3 * Y, jd.operators.Identity(N), steps=600, every=100, step_size=9.0, **LINEAR
    )
    assert bool(run.result == jd.RESULTS.diverged)
    assert run.reason.startswith(f"diverged at step {int(run.steps)}: take a smaller step")
    assert bool(jnp.all(jnp.isfinite(run.x)))
    # The network is that of the record before, whose loss is a number.
    assert float(jnp.sum(run.generator.c**2)) < 1e14
    assert not np.isfinite(run.trace["loss"][-1])
    assert run.trace["loss"].shape == (-(-int(run.steps) // 100) + 1,)


def test_optimizers_by_name_and_of_ones_own():
    A = jd.operators.Identity(N)
    with jax.numpy_dtype_promotion("standard"):
        adam = reconstruct(Y, A, steps=1, optimizer="adam", **LINEAR)
    # Adam's first step is its learning rate, whatever the gradient.
    np.testing.assert_allclose(adam.generator.c, 0.01 * jnp.sign(Y), rtol=1e-6)
    assert adam.notes == ("step_size: 0.01, that of the Deep Image Prior",)
    sgd = reconstruct(Y, A, steps=1, optimizer=optax.sgd(STEP), **LINEAR)
    np.testing.assert_allclose(sgd.x, STEP * SCALES**2 * Y, rtol=1e-12)
    newton = reconstruct(Y, A, steps=2, optimizer="lm", **LINEAR)
    np.testing.assert_allclose(newton.x, Y, atol=1e-4)


def test_wrong_calls_are_answered_in_one_line():
    A = jd.operators.Identity(N)

    def call(y=Y, operator=A, steps=3, **changes):
        return reconstruct(y, operator, steps=steps, **{**LINEAR, **changes})

    rule = Discrepancy(1.0)
    batches = StochasticGradientDescent(0.1, 2, key=KEY)
    calls = {
        r"y has \(5,\)": lambda: call(y=Y[:5]),
        "y has 1 entries that are NaN": lambda: call(y=Y.at[0].set(jnp.nan)),
        "operator is a jaxdip operator or a function": lambda: call(operator=jnp.eye(N)),
        "give u=": lambda: call(u=None),
        "give a function from a key": lambda: call(seeds=2),
        "generator is a jaxdip generator or a function": lambda: call(generator=3),
        "leave u out": lambda: call(generator=network),
        r"returns the pair \(generator, u\), got TwoLayer": lambda: call(
            generator=lambda k: network(k)[0], u=None
        ),
        "seeds is a whole number, at least 1, got 0": lambda: call(
            generator=network, u=None, seeds=0
        ),
        "random key is one typed key": lambda: call(key=0),
        "steps is a whole number, at least 1, got 0": lambda: call(steps=0),
        "every is at most steps": lambda: call(every=9),
        "stop maps names to stopping rules, got Discrepancy": lambda: call(stop=rule),
        "rule 'a' is a stopping rule, got int": lambda: call(stop={"a": 3}),
        "act names the rule 'b', but stop has": lambda: call(stop={"a": rule}, act=["b"]),
        r"write act=\['a'\]": lambda: call(stop={"a": rule}, act="a"),
        "Oracle needs the true signal": lambda: call(stop={"a": Oracle()}),
        "one run takes one rule Sure, got 2": lambda: call(
            stop={"a": Sure(0.1) | rule, "b": Sure(0.2)}
        ),
        r"truth has shape \(2,\)": lambda: call(truth=jnp.ones(2)),
        "truth is complex": lambda: call(truth=TRUTH.astype(complex)),
        "average is between 0 and 1, got 1": lambda: call(average=1.0),
        "jitter is finite and zero or positive, got -1": lambda: call(jitter=-1.0),
        "clip is finite and positive, got 0": lambda: call(clip=0.0),
        "tv is finite and zero or positive": lambda: call(tv=-0.1),
        "got 'sgd'": lambda: call(optimizer="sgd"),
        "a jaxdip descent or an optax transformation, got int": lambda: call(optimizer=3),
        "step_size goes with an optimizer by name": lambda: call(optimizer=batches, step_size=1.0),
        "'lm' finds its own steps": lambda: call(optimizer="lm", step_size=1.0),
        "clip, tv cannot be used with it": lambda: call(optimizer="lm", tv=0.1, clip=1.0),
        "weight_decay cannot be used": lambda: call(optimizer=batches, weight_decay=0.1),
        "jitter cannot be used with it": lambda: call(optimizer="lbfgs", jitter=0.1),
        "axes of the total variation are those of the signal": lambda: call(
            tv=TotalVariation(1.0, axes=(1,))
        ),
        "watch is a function of a Progress": lambda: call(watch=3),
    }
    for message, wrong in calls.items():
        with pytest.raises((TypeError, ValueError), match=message) as caught:
            wrong()
        assert "\n" not in str(caught.value), message


def igahd(operator, make, **options):
    """Six steps of IGAHD from a start, and what they ran with."""
    x = jnp.linspace(0, 1, operator.n).reshape(operator.in_structure.shape)
    with jax.numpy_dtype_promotion("standard"):
        found = reconstruct(operator(x), operator, make, key=KEY, steps=6, **options)
    return found, {name: float(value) for name, value in found.stats.items()}


def decoder(shape):
    def make(key):
        g = jd.DeepDecoder(channels=4, start=(2, 2), grid=shape, layers=1, key=key, sigmoid=True)
        return g, g.latent(key)

    return make


def test_inertia_runs_where_the_singular_values_are_out_of_reach():
    """Complex data, and a network without a closed form: 1/L from the problem, α from that."""
    scan = jd.operators.MRI(jnp.ones((8, 8), bool), dtype=float)
    for operator in (scan, jd.operators.Mask.random((8, 8), 0.5, KEY)):
        found, numbers = igahd(operator, decoder((8, 8)), optimizer="igahd")
        assert numbers["alpha"] == pytest.approx(0.25 * numbers["s"] ** -0.5)
        assert numbers["beta"] == pytest.approx(numbers["s"] ** 0.5)
        assert float(found.trace["loss"][-1]) < float(found.trace["loss"][0])
        said = " ".join(found.notes)
        assert "s: 1/L" in said
        assert "alpha: 1/(4 sqrt(s))" in said
    given = {"optimizer": jd.IGAHD(0.01, 2.0, 0.05)}
    found, numbers = igahd(scan, decoder((8, 8)), **given)
    assert numbers == pytest.approx({"s": 0.01, "alpha": 2.0, "beta": 0.05})
    assert found.notes == ()
    # A part of 1/L, with α and β of it.
    _, half = igahd(scan, decoder((8, 8)), optimizer=jd.IGAHD(jd.steps.InverseL(0.5)))
    _, whole = igahd(scan, decoder((8, 8)), optimizer="igahd")
    assert half["s"] == pytest.approx(whole["s"] / 2)
    assert half["alpha"] == pytest.approx(whole["alpha"] * 2**0.5)


def test_inertia_of_a_small_two_layer_network_has_the_smallest_singular_value():
    operator = jd.operators.Dense(jnp.diag(jnp.linspace(0.01, 2.0, N)))
    found, numbers = igahd(operator, network, optimizer="igahd")
    problem, g = found_problem(operator)
    mu = float(jd.problem.jacobian_sigma_min(problem, g))
    assert mu < 0.25 * numbers["s"] ** -0.5
    assert numbers["alpha"] == pytest.approx(mu)
    assert any(note.startswith("alpha: mu") for note in found.notes)


def found_problem(operator):
    g, u = network(jd.key_for(KEY, "init"))
    y = operator(jnp.linspace(0, 1, N))
    return jd.Problem(u=u, operator=operator, loss=jd.losses.MSE(), y=y), g


def test_the_dense_jacobian_is_not_made_of_many_data(monkeypatch):
    def refused(*_):
        raise AssertionError("the singular values are out of reach")

    monkeypatch.setattr(jd.dynamics._scales, "_sigma_min", refused)
    operator = jd.operators.Identity((24, 24))

    def make(key):
        g = jd.TwoLayer(latent=3, width=8, out=(24, 24), key=key, activation="tanh", both=True)
        return g, jd.on_sphere(3, key=key)

    _, numbers = igahd(operator, make, optimizer=jd.IGAHD(0.01))
    assert numbers["alpha"] == pytest.approx(2.5)
