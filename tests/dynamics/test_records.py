"""What a run records, when, and how it goes on from where it stood."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap

import examples
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxdip as jd


@given(st.integers(1, 10**6), st.integers(2, 200))
def test_logarithmic_steps_cover_every_decade(steps, records):
    chosen = jd.log_steps(steps, records)
    assert (chosen[0], chosen[-1]) == (0, steps)
    assert (np.diff(chosen) > 0).all()
    assert len(chosen) <= records + 1
    ratio = steps ** (1 / (records - 1))
    for a, b in itertools.pairwise(chosen[1:]):
        # Rounding moves each end by at most half a step.
        assert b - 0.5 <= ratio * (a + 0.5) * (1 + 1e-9)


def test_logarithmic_times_are_even_in_their_logarithm():
    ts = np.asarray(jd.log_times(1e-3, 1e8, 12))
    assert (ts[0], ts[1], ts[-1], len(ts)) == (0.0, 1e-3, 1e8, 13)
    np.testing.assert_allclose(np.diff(np.log10(ts[1:])), 1.0, rtol=1e-12)
    for wrong in ((0.0, 1.0, 5), (2.0, 1.0, 5), (1.0, np.inf, 5)):
        with pytest.raises(ValueError, match="0 < first < last"):
            jd.log_times(*wrong)
    with pytest.raises(ValueError, match="at least 2"):
        jd.log_times(1.0, 2.0, 1)
    with pytest.raises(ValueError, match="steps is a whole number"):
        jd.log_steps(0, 4)


@pytest.mark.parametrize("method", [jd.GradientDescent(0.05), jd.IGAHD(0.04, 1.0, 0.2)])
@pytest.mark.parametrize("watched", [False, True])
def test_records_at_chosen_steps_are_of_the_same_run(method, watched, key):
    problem, g, _ = examples.problem(key, "two-layer-both")
    steps = [1, 2, 5, 6, 20]
    observe = {"signal": jd.observables.Signal()}
    seen = []
    watch = (lambda p: seen.append(p.done)) if watched else None
    some = jd.iterate(problem, method, g, 25, at=steps, observe=observe, watch=watch)
    every = jd.iterate(problem, method, g, 25, every=1, observe=observe)
    at = np.array([0, *steps, 25])
    np.testing.assert_allclose(some.ts, every.ts[at], rtol=1e-15)
    np.testing.assert_allclose(
        some.observed["signal"], every.observed["signal"][at], rtol=1e-10, atol=1e-13
    )
    np.testing.assert_allclose(some.generator.W, every.generator.W, rtol=1e-9, atol=1e-12)
    assert seen == ([1, 2, 3, 4, 5, 6, 7] if watched else [])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"at": [3, 2]}, "increasing list"),
        ({"at": [0.5]}, "increasing list"),
        ({"at": [5, 11]}, "between 0 and steps=10"),
        ({"at": [5], "every": 2}, "not both"),
    ],
)
def test_wrong_record_steps_are_said(wrong, says, key):
    problem, g, _ = examples.problem(key)
    with pytest.raises(ValueError, match=says):
        jd.iterate(problem, jd.GradientDescent(0.1), g, 10, **wrong)


def test_motions_are_recorded_by_both_drivers_as_by_compare(key):
    problem, g, _ = examples.problem(key)
    L = jd.gradient_lipschitz(problem, g).value
    observe = {"E": jd.Energy(L), "length": jd.PathLength()}
    flow, method = jd.ISEHD(0.5, 0.3), jd.IGAHD(0.01, 0.5, 0.3)
    both = jd.compare(problem, flow, method, g, 60, every=20, observe=observe)
    tight = {"rtol": 1e-10, "atol": 1e-12}
    ode = jd.integrate(problem, flow, g, both.ts, observe=observe, **tight)
    steps = jd.iterate(problem, method, g, 60, every=20, observe=observe)
    for name in observe:
        np.testing.assert_allclose(ode.observed[name], both.flow.observed[name], rtol=1e-7)
        np.testing.assert_allclose(steps.observed[name], both.steps.observed[name], rtol=1e-12)
    assert (np.diff(ode.observed["E"]) < 0).all()
    moved = jd.iterate(
        problem, method, g, 60, every=20, observe={"d": jd.observables.ParameterDistance()}
    )
    assert (steps.observed["length"] >= moved.observed["d"] - 1e-12).all()
    assert any("path length" in note for note in ode.notes)


@pytest.mark.parametrize("solver", ["explicit", "implicit"])
def test_dense_output_is_the_solution_between_records(key, solver):
    problem, g, _ = examples.problem(key)
    tight = {"rtol": 1e-9, "atol": 1e-12, "solver": solver}
    observe = {"signal": jd.observables.Signal()}
    run = jd.integrate(
        problem, jd.ISEHD(0.5, 0.3), g, jnp.array([4.0]), dense=True, observe=observe, **tight
    )
    between = jnp.array([0.0, 0.123, 1.7, 3.99, 4.0])
    direct = jd.integrate(problem, jd.ISEHD(0.5, 0.3), g, between, observe=observe, **tight)
    seen = run.dense.observe(between)
    for name in ("loss", "signal"):
        np.testing.assert_allclose(seen[name], direct.observed[name], rtol=1e-5, atol=1e-8)
    assert run.dense.observe(between[1])["loss"].shape == ()
    np.testing.assert_allclose(
        problem.objective(run.dense.generator(1.7)), seen["loss"][2], rtol=1e-12
    )
    with pytest.raises(ValueError, match="not both"):
        jd.integrate(problem, jd.GradientFlow(), g, between, dense=True, watch=lambda p: None)


METHODS = {
    "gd": lambda: jd.GradientDescent(0.05),
    "igahd": lambda: jd.IGAHD(0.04, 1.0, 0.2),
    "igahd-eta": lambda: jd.IGAHD(0.04, 1.0, 0.2, gradient_at="eta"),
    "armijo": lambda: jd.GradientDescent(jd.steps.Armijo(1.0)),
    "momentum": lambda: jd.Optax(optax.sgd(0.02, momentum=0.8, nesterov=True)),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("stop", [3, 4])
def test_a_resumed_run_is_the_run_to_the_last_bit(name, stop, key, tmp_path):
    problem, g, _ = examples.problem(key, "two-layer-both")
    # Times of the records of adaptive steps come from the memory, which resumes too.
    run = {"every": 7, "observe": {"signal": jd.observables.Signal()}}
    keep = lambda p: None  # noqa: E731
    whole = jd.iterate(problem, METHODS[name](), g, 50, watch=keep, **run)
    saved = tmp_path / "run.npz"

    def watch(progress):
        progress.checkpoint.save(saved)
        return progress.done == stop

    part = jd.iterate(problem, METHODS[name](), g, 50, watch=watch, **run)
    assert bool(part.result == jd.RESULTS.stopped)
    for resume in (saved, part.checkpoint):
        rest = jd.iterate(problem, METHODS[name](), g, 50, watch=keep, resume=resume, **run)
        for a, b, c in zip(
            *(jax.tree.leaves((x.ts, x.observed)) for x in (whole, part, rest)), strict=True
        ):
            np.testing.assert_array_equal(a, np.concatenate([b[:-1], c]))
        for a, b in zip(
            jax.tree.leaves(whole.generator), jax.tree.leaves(rest.generator), strict=True
        ):
            np.testing.assert_array_equal(a, b)
        assert int(rest.stats["steps"]) == 50
    # Unwatched, the rest is one program: the same to rounding.
    rest = jd.iterate(problem, METHODS[name](), g, 50, resume=saved, **run)
    np.testing.assert_allclose(rest.loss, whole.loss[stop - 1 :], rtol=1e-10)


def test_a_resumed_run_remembers_its_first_times(key):
    problem, g, _ = examples.problem(key)
    loss = jd.iterate(problem, jd.GradientDescent(0.1), g, 40, every=1).loss
    mark = {"early": jd.events.LossBelow(loss[5]), "late": jd.events.LossBelow(loss[30])}
    part = jd.iterate(
        *(problem, jd.GradientDescent(0.1), g, 40),
        every=10,
        mark=mark,
        watch=lambda p: p.done == 3,
    )
    assert np.isinf(part.hits["late"])
    rest = jd.iterate(
        problem, jd.GradientDescent(0.1), g, 40, every=10, mark=mark, resume=part.checkpoint
    )
    np.testing.assert_allclose(rest.hits["early"], 0.5)
    np.testing.assert_allclose(rest.hits["late"], 3.0)


def test_a_checkpoint_of_another_run_is_refused(key, tmp_path):
    problem, g, _ = examples.problem(key)
    method = jd.GradientDescent(0.1)
    stop = lambda p: p.done == 2  # noqa: E731
    saved = tmp_path / "run.npz"
    part = jd.iterate(problem, method, g, 20, every=5, watch=stop)
    part.checkpoint.save(saved)
    other, _, _ = examples.problem(jax.random.fold_in(key, 1))
    wider = jd.TwoLayer(latent=examples.D, width=99, out=examples.N, key=key, activation="tanh")
    cases = [
        ((other, method, g, 20), {}, "differ in numbers"),
        ((problem, jd.GradientDescent(0.2), g, 20), {}, "differ in numbers"),
        ((problem, jd.IGAHD(0.1, 1.0, 0.1), g, 20), {}, "belongs to another run"),
        ((problem, method, wider, 20), {}, "float64"),
        ((problem, method, g, 5), {}, "ask for more"),
        ((problem, method, g, 20), {"until": jd.events.LossBelow(0.1)}, "another run|events"),
    ]
    for resume in (part.checkpoint, saved):
        for args, extra, says in cases:
            with pytest.raises(ValueError, match=says):
                jd.iterate(*args, resume=resume, **extra)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        jd.iterate(problem, method, g, 20, resume=tmp_path / "nothing.npz")
    with pytest.raises(TypeError, match="Checkpoint or the path"):
        jd.iterate(problem, method, g, 20, resume=3)
    saved.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="not a jaxdip checkpoint"):
        jd.iterate(problem, method, g, 20, resume=saved)
    np.savez(saved, x=np.ones(3))
    with pytest.raises(ValueError, match="not a jaxdip checkpoint"):
        jd.iterate(problem, method, g, 20, resume=saved)


def test_a_single_precision_run_does_not_go_on_from_a_double_one(key, tmp_path):
    double, g, _ = examples.problem(key)
    saved = tmp_path / "run.npz"
    part = jd.iterate(double, jd.GradientDescent(0.1), g, 9, every=3, watch=lambda p: p.done == 2)
    part.checkpoint.save(saved)
    single, g32, _ = examples.problem(key, dtype=jnp.float32)
    with pytest.raises(ValueError, match="float64 where the run has float32"):
        jd.iterate(single, jd.GradientDescent(0.1), g32, 9, every=3, resume=saved)


def test_a_killed_process_leaves_a_checkpoint_to_go_on_from(tmp_path):
    """A real kill, in the middle of writing as likely as not."""
    saved = tmp_path / "run.npz"
    script = textwrap.dedent(
        f"""
        import sys, jax, jax.numpy as jnp, jaxdip as jd
        jax.config.update("jax_enable_x64", True)
        key = jax.random.key(0)
        A = jd.operators.Gaussian(m=3, n=5, key=key)
        g = jd.TwoLayer(latent=4, width=50, out=5, key=key)
        problem = jd.Problem(u=jd.on_sphere(4, key=key), operator=A, loss=jd.losses.MSE(),
                             y=jnp.ones(3))
        def watch(p):
            if len(sys.argv) > 1:
                p.checkpoint.save({str(saved)!r})
                print(p.done, flush=True)
        run = jd.iterate(problem, jd.GradientDescent(0.01), g, 600, every=1, watch=watch,
                         resume=None if len(sys.argv) < 3 else {str(saved)!r})
        print("loss", float(run.loss[-1]).hex())
        """
    )
    start = [sys.executable, "-c", script]
    whole = subprocess.run(start, capture_output=True, text=True, check=True).stdout.split()[-1]
    with subprocess.Popen([*start, "save"], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) >= 50:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert saved.is_file()
    rest = subprocess.run([*start, "save", "on"], capture_output=True, text=True, check=True)
    assert int(rest.stdout.split()[0]) == 1
    assert len(rest.stdout.splitlines()) < 600
    assert rest.stdout.split()[-1] == whole


def checkpoint_of(problem, method, g, **options):
    part = jd.iterate(problem, method, g, 9, every=3, watch=lambda p: p.done == 2, **options)
    return part.checkpoint


def stochastic(batch):
    return jd.StochasticGradientDescent(0.1, batch, key=jax.random.key(0))


def decaying(first):
    return jd.GradientDescent(lambda tau: first / (1 + tau.astype(float)))


OTHER_SETTINGS = {
    "static field": (
        jd.IGAHD(0.04, 1.0, 0.2),
        jd.IGAHD(0.04, 1.0, 0.2, gradient_at="eta"),
    ),
    "batch": (stochastic(1), stochastic(3)),
    "closure": (decaying(0.01), decaying(0.1)),
    "code": (
        jd.GradientDescent(lambda tau: 0.01 * jnp.exp(-tau.astype(float))),
        jd.GradientDescent(lambda tau: 0.01 * jnp.cos(tau.astype(float))),
    ),
    "optax": (jd.Optax(optax.sgd(0.1)), jd.Optax(optax.sgd(0.2))),
}


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_other_settings_are_another_run(name, key):
    problem, g, _ = examples.problem(key)
    one, other = OTHER_SETTINGS[name]
    saved = checkpoint_of(problem, one, g)
    jd.iterate(problem, one, g, 9, every=3, resume=saved)
    with pytest.raises(ValueError, match=r"differ in numbers, settings or code: method;"):
        jd.iterate(problem, other, g, 9, every=3, resume=saved)


def test_one_entry_of_many_is_seen():
    A = jd.operators.Identity(10_000)
    g = jd.Linear(jnp.ones((10_000, 1)))
    y = jnp.linspace(0, 1, 10_000)
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=y)
    other = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=y.at[4321].add(1e-9))
    method = jd.GradientDescent(1e-5)
    saved = checkpoint_of(problem, method, g)
    with pytest.raises(ValueError, match="settings or code: problem;"):
        jd.iterate(other, method, g, 9, every=3, resume=saved)


def test_other_events_are_refused_by_name(key):
    problem, g, _ = examples.problem(key)
    method = jd.GradientDescent(0.1)
    run = {"mark": {"half": jd.events.LossBelow(1.0)}}
    saved = checkpoint_of(problem, method, g, until=jd.events.LossBelow(1e-3), **run)
    jd.iterate(problem, method, g, 9, every=3, until=jd.events.LossBelow(1e-3), resume=saved, **run)
    with pytest.raises(ValueError, match=r"rules for until\['until'\], and what happened"):
        jd.iterate(
            problem, method, g, 9, every=3, until=jd.events.LossBelow(1e-6), resume=saved, **run
        )
    run["mark"] = {"half": jd.events.When(lambda p, g: p.objective(g) - 0.5)}
    with pytest.raises(ValueError, match=r"rules for mark\['half'\]"):
        jd.iterate(
            problem, method, g, 9, every=3, until=jd.events.LossBelow(1e-3), resume=saved, **run
        )


def test_a_fingerprint_is_that_of_another_process():
    script = textwrap.dedent(
        """
        import jax, jax.numpy as jnp, jaxdip as jd, optax
        from jaxdip._fingerprint import fingerprint
        key, names = jax.random.key(0), {"b", "a", "c", "d"}
        rate = 0.1
        class Own:
            def __init__(self): self.gain = 2.0
            def __call__(self, x): return self.gain * x
        print(fingerprint(
            a=jd.operators.Callable(Own(), (3,)), b=jd.TwoLayer(latent=2, width=9, out=3, key=key),
            c=jd.Optax(optax.adam(1e-2)), d=jax.jit(lambda x: rate * jnp.tanh(x)), e=names,
            f=lambda x: x in {"p", "q", "r"}))
        """
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(found.pop()) > 200


def test_a_checkpoint_with_a_foreign_header_is_refused(key, tmp_path):
    problem, g, _ = examples.problem(key)
    saved = tmp_path / "run.npz"
    np.savez(saved, header=np.array("[1, 2]"))
    with pytest.raises(ValueError, match=r"not a jaxdip checkpoint: its header is a list"):
        jd.iterate(problem, jd.GradientDescent(0.1), g, 9, resume=saved)


def test_counts_of_numpy_are_counts(key):
    problem, g, _ = examples.problem(key)
    method = jd.GradientDescent(0.1)
    ours = jd.iterate(problem, method, g, np.int64(10), at=np.array([1, 2, 5]))
    np.testing.assert_array_equal(ours.loss, jd.iterate(problem, method, g, 10, at=[1, 2, 5]).loss)
    jd.iterate(problem, method, g, jnp.asarray(10), every=np.int32(5))
    assert jd.log_steps(np.int64(100), np.int32(4)) == jd.log_steps(100, 4)
    for wrong in (True, 2.0, np.float64(3.0), "3"):
        with pytest.raises(TypeError, match="steps is a whole number, at least 1, got"):
            jd.iterate(problem, method, g, wrong)
    for wrong in (3, np.ones((2, 2), int), np.array(3)):
        with pytest.raises(TypeError, match="at is an increasing list of whole numbers"):
            jd.iterate(problem, method, g, 10, at=wrong)


@pytest.mark.parametrize("method", [jd.GradientDescent, lambda s: jd.IGAHD(s, 0.5, 0.1)])
def test_chosen_records_are_differentiable_in_reverse(method, key):
    problem, g, _ = examples.problem(key)

    def losses(step):
        return jnp.sum(jd.iterate(problem, method(step), g, 13, at=[1, 2, 7]).loss)

    reverse, (_, forward) = jax.grad(losses)(0.05), jax.jvp(losses, (0.05,), (1.0,))
    h = 1e-5
    difference = (losses(0.05 + h) - losses(0.05 - h)) / (2 * h)
    np.testing.assert_allclose(reverse, forward, rtol=1e-9)
    np.testing.assert_allclose(reverse, difference, rtol=1e-6)


def test_functions_of_the_motion_need_an_explicit_solver(key):
    problem, g, _ = examples.problem(key)
    observe = {"length": jd.PathLength()}
    with pytest.raises(ValueError, match='take solver="explicit"'):
        jd.integrate(
            problem, jd.ISEHD(0.5, 0.3), g, jnp.ones(1), observe=observe, solver="implicit"
        )


def test_no_energy_is_told_where_damping_has_none(key):
    problem, g, _ = examples.problem(key)
    for alpha, known in ((1.0, True), (4.0, False)):
        run = jd.integrate(
            problem, jd.ISEHD(alpha, 0.5), g, jnp.ones(1), observe={"E": jd.Energy()}
        )
        assert bool(jnp.isfinite(run.observed["E"][0])) == known


def test_solutions_of_different_runs_stack(key):
    """Trials that run one after another are gathered as those under vmap are."""
    runs = []
    for trial in range(3):
        problem, g, _ = examples.problem(jax.random.fold_in(key, trial))
        runs.append(jd.iterate(problem, jd.GradientDescent(0.1), g, 9))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
    assert stacked.loss.shape == (3, runs[0].loss.shape[0])
    assert len(np.unique(np.asarray(stacked.checkpoint.fingerprint["problem"]), axis=0)) == 3
