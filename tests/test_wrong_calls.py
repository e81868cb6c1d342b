"""Wrong calls: each gets one line that says what came, what was expected, and how to mend it."""

import examples
import jax
import jax.numpy as jnp
import optax
import pytest

import jaxdip as jd

KEY = jax.random.key(0)
PROBLEM, G, DATA = examples.problem(KEY)
A, U, Y = PROBLEM.operator, PROBLEM.u, PROBLEM.y
MSE = jd.losses.MSE()
TS = jnp.array([1.0])
GF, GD = jd.GradientFlow(), jd.GradientDescent(0.1)


def problem(**changes):
    return jd.Problem(**{"u": U, "operator": A, "loss": MSE, "y": Y, **changes})


WRONG_CALLS = {
    # Stating the problem.
    "latent zero": (lambda: problem(u=0 * U), "must be finite and not zero; draw it by on_sphere"),
    "latent number": (lambda: problem(u=jnp.ones(())), "or channels on a grid, got one number"),
    "latent complex": (lambda: problem(u=U.astype(complex)), "the latent u is real"),
    "data shape": (lambda: problem(y=jnp.ones(4)), r"shape \(3,\), but y has \(4,\)"),
    "data NaN": (lambda: problem(y=Y.at[1].set(jnp.nan)), "y has 1 entries that are NaN"),
    "data complex": (
        lambda: problem(y=Y.astype(complex)),
        "the operator makes real observations",
    ),
    "data complex, loss real": (
        lambda: problem(
            y=Y.astype(complex),
            operator=jd.operators.Dense(jnp.eye(3, dtype=complex)),
            loss=jd.losses.LogCosh(),
        ),
        "the data y are complex, but LogCosh takes real predictions only",
    ),
    "data outside the loss": (
        lambda: problem(y=-jnp.abs(Y), loss=jd.losses.KullbackLeibler()),
        "positive",
    ),
    "operator a matrix": (lambda: problem(operator=jnp.eye(3)), "wrap a function of your own"),
    "loss a function": (lambda: problem(loss=jnp.sum), "for example jaxdip.losses.MSE()"),
    "generator shape": (
        lambda: jd.reduce(PROBLEM, jd.TwoLayer(latent=9, width=4, out=5, key=KEY)),
        r"signals of shape \(5,\), the operator takes \(6,\); set the generator's out",
    ),
    "generator latent": (
        lambda: jd.reduce(PROBLEM, jd.TwoLayer(latent=4, width=4, out=6, key=KEY)),
        "takes a latent of shape",
    ),
    "generator a function": (lambda: jd.iterate(PROBLEM, GD, jnp.sin, 3), "is a jaxdip generator"),
    # Generators.
    "no sizes": (lambda: jd.TwoLayer(latent=4, width=4), "needs latent, width, out and key"),
    "width zero": (lambda: jd.TwoLayer(latent=4, width=0, out=2, key=KEY), "width is at least 1"),
    "weights and key": (
        lambda: jd.TwoLayer(weights=(G.W, G.V), key=KEY),
        "either weights=.* or latent, width and key",
    ),
    "weights disagree": (lambda: jd.TwoLayer(weights=(G.W, G.V.T)), "whose k disagree"),
    "signal shape": (
        lambda: jd.TwoLayer(weights=(G.W, G.V), out=(2, 2)),
        "has 4 entries, the last matrix has 6 rows",
    ),
    "law of V": (
        lambda: jd.TwoLayer(latent=4, width=4, out=2, key=KEY, output_law="normal"),
        "choose one of rademacher, uniform",
    ),
    "fractional width": (
        lambda: jd.TwoLayer(latent=4, width=1e3, out=2, key=KEY),
        "width is a whole number, got 1000.0",
    ),
    "no weights": (lambda: jd.MLP(weights=[]), "at least two matrices"),
    "linear from a list of rows": (lambda: jd.Linear([1.0, 2.0]), "J is a matrix"),
    "integer key": (lambda: jd.on_sphere(5, key=0), "one typed key, got int"),
    "old-style key": (
        lambda: jd.operators.Gaussian(m=2, n=3, key=jax.random.PRNGKey(0)),
        "one typed key",
    ),
    "two precisions": (
        lambda: jd.reduce(PROBLEM, jd.TwoLayer(latent=9, width=4, out=6, key=KEY, dtype="float32")),
        "float32",
    ),
    "one layer": (lambda: jd.MLP(widths=(4,), out=2, key=KEY), "at least one hidden layer"),
    "unchained": (lambda: jd.MLP(weights=[jnp.ones((3, 2)), jnp.ones((4, 2))]), "that chain"),
    "linear coefficients": (lambda: jd.Linear(jnp.eye(3), jnp.ones(2)), "takes c of shape"),
    "sphere of dimension 0": (lambda: jd.on_sphere(0, key=KEY), "at least 1, got 0"),
    "legacy key": (lambda: jd.key_for(jnp.zeros(2, jnp.uint32), "noise"), "make one by jax.random"),
    # Measurements.
    "signal of another shape": (lambda: jd.measure(A, jnp.ones(7)), "takes signals of shape"),
    "negative noise": (lambda: jd.measure(A, DATA.x_true, noise=-1.0), "standard deviation >= 0"),
    "noise without key": (lambda: jd.measure(A, DATA.x_true, noise=1.0), "needs a random key"),
    # Dynamics.
    "step zero": (lambda: jd.GradientDescent(0.0), "step_size is finite and positive, got 0"),
    "step negative": (lambda: jd.GradientDescent(-1.0), "step_size is finite and positive, got -1"),
    "step NaN": (lambda: jd.GradientDescent(float("nan")), "step_size is finite and positive"),
    "several steps": (lambda: jd.GradientDescent(jnp.array([0.1, 0.2])), "use jax.vmap"),
    "step a word": (lambda: jd.GradientDescent("fast"), "step_size is a real number, got 'fast'"),
    "alpha zero": (lambda: jd.ISEHD(0.0, 1.0), "alpha is finite and positive, got 0"),
    "beta negative": (lambda: jd.ISEHD(1.0, -0.1), "beta is finite and zero or positive"),
    "too much damping": (lambda: jd.IGAHD(4.0, 1.0, 0.1), "take a smaller s or alpha"),
    "gradient elsewhere": (lambda: jd.IGAHD(gradient_at="x"), "'theta' or 'eta', got 'x'"),
    "optax function": (lambda: jd.Optax(optax.adam), "such as optax.adam"),
    # Drivers.
    "flow to iterate": (lambda: jd.iterate(PROBLEM, GF, G, 3), "flows go to integrate"),
    "optimiser to iterate": (
        lambda: jd.iterate(PROBLEM, optax.sgd(0.1), G, 3),
        r"optax optimisers into jaxdip.Optax",
    ),
    "method to integrate": (lambda: jd.integrate(PROBLEM, GD, G, TS), "go to iterate"),
    "no steps": (lambda: jd.iterate(PROBLEM, GD, G, 0), "steps is a whole number, at least 1"),
    "fractional steps": (lambda: jd.iterate(PROBLEM, GD, G, 1e3), "a whole number"),
    "records beyond the end": (lambda: jd.iterate(PROBLEM, GD, G, 3, every=5), "at most steps"),
    "times unsorted": (
        lambda: jd.integrate(PROBLEM, GF, G, jnp.array([2.0, 1.0])),
        "finite, increasing and at least 0",
    ),
    "times negative": (
        lambda: jd.integrate(PROBLEM, GF, G, jnp.array([-1.0, 1.0])),
        "finite, increasing and at least 0",
    ),
    "no times": (lambda: jd.integrate(PROBLEM, GF, G, jnp.array([])), "at least one time"),
    "nothing to integrate": (lambda: jd.integrate(PROBLEM, GF, G, jnp.array([0.0])), "ends at 0"),
    "loss renamed": (
        lambda: jd.iterate(PROBLEM, GD, G, 3, observe={"loss": jd.observables.Signal()}),
        "record yours under another name",
    ),
    "observables in a list": (
        lambda: jd.iterate(PROBLEM, GD, G, 3, observe=[jd.observables.Signal()]),
        "observe maps names to observables, got list",
    ),
    "truth of another shape": (
        lambda: jd.iterate(
            PROBLEM, GD, G, 3, observe={"e": jd.observables.SignalError(DATA.x_true[:, None])}
        ),
        r"x_true has shape \(6, 1\), the run makes \(6,\)",
    ),
    "clean data of another shape": (
        lambda: jd.iterate(
            PROBLEM, GD, G, 3, observe={"e": jd.observables.PredictionError(jnp.asarray(1.0))}
        ),
        "y_clean has shape",
    ),
    "observable a number": (lambda: jd.iterate(PROBLEM, GD, G, 3, observe={"x": 3}), "got int"),
    "tolerance negative": (lambda: jd.iterate(PROBLEM, GD, G, 3, tolerance=-1.0), "tolerance is"),
    "order without division": (
        lambda: jd.convergence_order(PROBLEM, GF, GD, G, horizon=1.0, steps=7),
        "records divides steps",
    ),
}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_wrong_calls_are_answered_in_one_line(name):
    call, message = WRONG_CALLS[name]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) > 25


def test_a_default_damping_too_large_to_compute_asks_for_alpha():
    g = jd.TwoLayer(latent=2, width=20_000, out=3000, key=KEY, both=True)
    A = jd.operators.Identity(3000)
    stated = jd.Problem(u=jd.on_sphere(2, key=KEY), operator=A, loss=MSE, y=jnp.ones(3000))
    with pytest.raises(ValueError, match="give alpha"):
        jd.integrate(stated, jd.ISEHD(), g, TS)
