"""Stiff flows: the structured solves, the Rosenbrock method, the choice of solver."""

import diffrax as dfx
import equinox as eqx
import examples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxdip as jd
from jaxdip.dynamics._flow_jacobian import flow_jacobian
from jaxdip.dynamics._hessian import LARGEST_RANK, structured_hessian
from jaxdip.dynamics._rosenbrock import (
    AbstractFactorization,
    AbstractJacobian,
    Rodas5P,
)
from jaxdip.problem import parametrize


class Quartic(jd.losses.AbstractLoss):
    """Σ r⁴/4 − r³/3 + r²/2: a convex loss whose Hessian varies and is not a multiple of I."""

    takes_complex = False
    fits_data = True
    smooth = True

    def __call__(self, v, y):
        r = v - y
        return jnp.sum(r**4 / 4 - r**3 / 3 + r**2 / 2)

    def desingularizer(self, y):
        raise ValueError("none is needed here")

    def check_data(self, y):
        """Any data will do."""


def setting(key, generator, operator="wide", reduce=True, loss=None):
    """f, θ away from the start of anything special, and the structure of the Hessian there."""
    problem, g, _ = examples.problem(key, generator, operator, loss=loss)
    if reduce:
        problem, g, _ = jd.reduce(problem, g)
    f, theta = parametrize(problem, g)
    hessian = structured_hessian(f, theta)
    assert hessian is not None
    return f, theta, hessian


def flow_matrix(flow, H):
    """The dense Jacobian of the flow's vector field."""
    if isinstance(flow, jd.GradientFlow):
        return -H
    alpha, beta = (float(x) for x in flow.numbers().values())
    identity = np.eye(H.shape[0])
    return np.block([[-beta * H, identity], [-(1 - alpha * beta) * H, -alpha * identity]])


@jax.jit
def dense_hessian(f, theta):
    flat, unravel = ravel_pytree(theta)
    return jax.hessian(lambda x: f(unravel(x)))(flat)


@eqx.filter_jit
def shifted_solve(jacobian, state, h, b):
    factor = jacobian.factorize(state, h)
    _, unravel = ravel_pytree(state)
    return ravel_pytree(factor.solve(unravel(b)))[0], factor.sound


rate = eqx.filter_jit(lambda jacobian, theta: jacobian.rate(theta))


@pytest.mark.parametrize(
    ("generator", "operator", "loss", "reduce"),
    [
        ("two-layer", "wide", jd.losses.MSE(0.7), True),
        ("two-layer", "tall", Quartic(), False),
        ("two-layer-both", "wide", Quartic(), True),
        ("two-layer-both", "square", jd.losses.MSE(), False),
        ("two-layer", "square", jd.losses.WeightedMSE(jnp.linspace(0.1, 1.0, 6)), True),
        ("two-layer-both", "tall", jd.losses.LogCosh(), True),
        ("linear", "wide", Quartic(), True),
        ("linear", "tall", jd.losses.Huber(0.1), False),
    ],
)
def test_shifted_solves_are_those_of_the_dense_jacobian(key, generator, operator, loss, reduce):
    """(I − hJ)⁻¹ b for steps from tiny to as large as the negative curvature allows."""
    f, theta, hessian = setting(key, generator, operator, reduce, loss)
    H = np.asarray(dense_hessian(f, theta))
    for flow in (jd.GradientFlow(), jd.ISEHD(0.5, 0.3), jd.ISEHD(2.0, 3.0)):
        jacobian = flow_jacobian(flow, hessian)
        J = flow_matrix(flow, H)
        state = flow.init(f.gradient, theta)
        b = jax.random.normal(jd.key_for(key, "b"), (J.shape[0],))
        modes = np.linalg.eigvals(J)
        fastest, growth = np.max(np.abs(modes)), max(1e-6, float(np.max(modes.real)))
        for h in (1e-6, 0.01 / growth, 0.1 / growth):
            x, sound = shifted_solve(jacobian, state, jnp.asarray(h), b)
            exact = np.linalg.solve(np.eye(b.size) - h * J, b)
            assert bool(sound)
            # What the low rank takes away from b cancels it in the stiff directions.
            close = (1e-9 + 1e-13 * h * fastest) * np.linalg.norm(exact)
            np.testing.assert_allclose(x, exact, rtol=1e-7, atol=close)
        assert fastest * (1 - 1e-9) <= float(rate(jacobian, theta)) <= 3 * fastest


@pytest.mark.parametrize("generator", ["two-layer", "two-layer-both"])
def test_a_step_past_an_instability_is_refused(key, generator):
    """I + h ∇²f has negative eigenvalues for a large h, and that is noticed, without NaN."""
    f, theta, hessian = setting(key, generator, "square")
    growth = -float(np.linalg.eigvalsh(dense_hessian(f, theta))[0])
    assert growth > 1e-3
    jacobian = flow_jacobian(jd.GradientFlow(), hessian)
    b, _ = ravel_pytree(theta)
    assert bool(shifted_solve(jacobian, theta, jnp.asarray(0.2 / growth), b)[1])
    x, sound = shifted_solve(jacobian, theta, jnp.asarray(3.0 / growth), b)
    assert not bool(sound)
    assert bool(jnp.all(jnp.isfinite(x)))


class DenseFactor(AbstractFactorization):
    matrix: jax.Array

    @property
    def sound(self):
        return jnp.asarray(True)

    def solve(self, b):
        return jnp.linalg.solve(self.matrix, b)


class DenseJacobian(AbstractJacobian):
    f: object = eqx.field(static=True)

    def factorize(self, state, h):
        return DenseFactor(jnp.eye(state.size) - h * jax.jacfwd(self.f)(state))


def three_species(y):
    return jnp.stack([-2 * y[0] + y[1] ** 2, jnp.sin(y[2]) - y[1] * y[0], y[0] * y[1] - y[2]])


def test_the_method_has_order_five_and_its_dense_output_order_four():
    y0, ts = jnp.array([1.0, 0.5, -0.3]), jnp.linspace(0.1, 2.0, 37)

    def run(solver, dt, controller=None):
        return dfx.diffeqsolve(
            dfx.ODETerm(lambda t, y, args: three_species(y)),
            solver,
            0.0,
            2.0,
            dt,
            y0,
            saveat=dfx.SaveAt(ts=ts),
            stepsize_controller=dfx.ConstantStepSize() if controller is None else controller,
        ).ys

    exact = run(dfx.Dopri8(), 1e-3, dfx.PIDController(rtol=1e-13, atol=1e-14))
    errors = np.asarray(
        [jnp.abs(run(Rodas5P(DenseJacobian(three_species)), 2.0 / n) - exact) for n in (10, 20, 40)]
    )
    at_the_end = np.log2(errors[:-1, -1].max(axis=1) / errors[1:, -1].max(axis=1))
    between = np.log2(errors[:-1].max(axis=(1, 2)) / errors[1:].max(axis=(1, 2)))
    assert np.all(at_the_end > 4.6)
    assert np.all(at_the_end < 5.4)
    assert np.all(between > 3.7)


def test_the_method_is_l_stable_and_exact_in_the_limit():
    """On y' = λ(cos t − y) − sin t with t as a state, one step of h = 0.1 lands on cos."""

    def field(y):
        return jnp.stack([1e9 * (jnp.cos(y[1]) - y[0]) - jnp.sin(y[1]), jnp.ones_like(y[1])])

    solution = dfx.diffeqsolve(
        dfx.ODETerm(lambda t, y, args: field(y)),
        Rodas5P(DenseJacobian(field)),
        0.0,
        1.0,
        0.1,
        jnp.array([1.0, 0.0]),
        stepsize_controller=dfx.ConstantStepSize(),
    )
    assert float(jnp.abs(solution.ys[-1, 0] - np.cos(1.0))) < 1e-6


TIGHT = {"rtol": 1e-9, "atol": 1e-12}


@pytest.mark.parametrize(
    ("generator", "operator", "flow"),
    [
        ("two-layer", "square", "gf"),
        ("two-layer-both", "wide", "isehd"),
    ],
)
def test_implicit_and_explicit_agree_where_both_can(key, generator, operator, flow):
    problem, g, _ = examples.problem(key, generator, operator)
    flow, ts = examples.FLOWS[flow](), jnp.array([0.3, 1.0, 4.0])
    observe = {"x": jd.observables.Signal()}
    runs = [
        jd.integrate(problem, flow, g, ts, observe=observe, solver=solver, **TIGHT)
        for solver in ("explicit", "implicit")
    ]
    np.testing.assert_allclose(runs[0].observed["x"], runs[1].observed["x"], atol=1e-7)
    np.testing.assert_allclose(runs[0].generator.W, runs[1].generator.W, atol=1e-7)
    np.testing.assert_allclose(runs[0].generator.V, runs[1].generator.V, atol=1e-7)


@pytest.mark.parametrize("inertial", [False, True])
def test_the_closed_form_of_a_linear_generator_to_the_end_of_time(key, inertial):
    """Eight decades between the fastest rate and 1/T, per eigenvector of A J Jᵀ Aᵀ."""
    n, T = 12, 1e8
    A = jd.operators.WithSpectrum.inverse_square(n, jd.key_for(key, "A"))
    y = A(jax.random.normal(jd.key_for(key, "x"), (n,)))
    g = jd.Linear(jnp.eye(n))
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=y)
    alpha, beta = 1e-3, 50.0
    flow = jd.ISEHD(alpha, beta) if inertial else jd.GradientFlow()
    ts = jnp.logspace(0, np.log10(T), 9)
    run = jd.integrate(
        problem,
        flow,
        g,
        ts,
        observe={"v": jd.observables.Prediction()},
        solver="implicit",
        rtol=1e-8,
        atol=1e-10,
    )
    sigma, U = np.linalg.eigh(np.asarray(A.matrix() @ A.matrix().T))
    r0 = U.T @ -np.asarray(y)

    def factor(s, t):
        if not inertial:
            return np.exp(-s * t)
        # By its two roots, because expm loses all digits over such times.
        roots = np.roots([1.0, alpha + beta * s, s]).astype(complex)
        weights = np.array([-roots[1], roots[0]]) / (roots[0] - roots[1])
        return float(np.real(np.sum(weights * np.exp(roots * t))))

    exact = [U @ (r0 * [factor(s, float(t)) for s in sigma]) + np.asarray(y) for t in ts]
    np.testing.assert_allclose(run.observed["v"], exact, atol=2e-7)
    assert int(run.stats["num_steps"]) < 2000


def stiff_problem(key, *, width=60, both=False):
    """Time scales from 10 to 1e7."""
    n = 8
    A = jd.operators.WithSpectrum.inverse_square(n, jd.key_for(key, "A"))
    init = jd.key_for(key, "g")
    g = jd.TwoLayer(latent=4, width=width, out=n, key=init, activation="tanh", both=both)
    y = A(0.3 * jax.random.normal(jd.key_for(key, "x"), (n,)))
    u = jd.on_sphere(4, key=jd.key_for(key, "u"))
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y), g


TIMES = jnp.logspace(0, 5, 6)


def test_a_stiff_flow_resolves_its_loss_in_few_steps(key):
    problem, g = stiff_problem(key)
    run = jd.integrate(problem, jd.GradientFlow(), g, TIMES)
    tight = jd.integrate(problem, jd.GradientFlow(), g, TIMES, solver="implicit", **TIGHT)
    np.testing.assert_allclose(run.loss, tight.loss, rtol=1e-3, atol=1e-16)
    assert int(run.stats["num_steps"]) < 400
    assert np.all(np.diff(np.asarray(tight.loss)) < 0)


def test_auto_chooses_by_stiffness_and_says_why(key):
    problem, g = stiff_problem(key)
    flow = jd.GradientFlow()
    short = jd.integrate(problem, flow, g, 1e-5 * TIMES)
    long = jd.integrate(problem, flow, g, TIMES, solver="auto")
    assert short.notes == ()
    assert "Rodas5P" in long.notes[0]
    assert "stiff" in long.notes[0]
    assert float(long.stats["stiffness"]) == pytest.approx(1e5 * float(short.stats["stiffness"]))
    # One explicit run short enough to afford shows what the choice avoids.
    medium = jd.integrate(problem, flow, g, 0.03 * TIMES, solver="explicit")
    assert int(medium.stats["num_steps"]) > 2 * int(long.stats["num_steps"])
    assert "stiffness" not in medium.stats


def test_auto_cannot_judge_traced_values_and_says_so(key):
    problem, g = stiff_problem(key)
    run = jax.jit(lambda ts: jd.integrate(problem, jd.GradientFlow(), g, ts))(1e-3 * TIMES)
    assert "traced" in run.notes[0]
    assert "implicit" in run.notes[0]
    alone = jd.integrate(problem, jd.GradientFlow(), g, 1e-3 * TIMES, solver="explicit")
    np.testing.assert_allclose(run.loss, alone.loss, rtol=1e-10)


def test_auto_by_name_always_says_why(key):
    problem, g = stiff_problem(key)

    def notes(generator=g, flow=None, **how):
        flow = jd.GradientFlow() if flow is None else flow
        return jd.integrate(problem, flow, generator, 1e-5 * TIMES, solver="auto", **how).notes

    (short,) = notes()
    assert "Tsit5, because stability" in short
    mlp = jd.MLP(widths=(4, 6), out=8, key=key)
    assert "no structure" in notes(mlp)[0]
    assert "no structure" in notes(flow=jd.ModifiedGradientFlow(0.1))[0]
    fixed = dfx.StepTo(jnp.linspace(0.0, 1.0, 11))
    assert "stepsize_controller" in notes(stepsize_controller=fixed)[0]


def test_fixed_steps_stay_explicit(key):
    problem, g = stiff_problem(key)
    run = jd.integrate(
        problem,
        jd.GradientFlow(),
        g,
        jnp.array([1e5]),
        stepsize_controller=dfx.StepTo(jnp.linspace(0.0, 1e5, 11)),
    )
    assert run.notes == ()
    assert int(run.stats["num_steps"]) == 10


def test_a_generator_without_structure_takes_krylov_spaces(key):
    problem, g, _ = examples.problem(key, "mlp", "square")
    ts = jnp.array([1.0, 3.0])
    explicit = jd.integrate(problem, jd.GradientFlow(), g, ts, rtol=1e-8, atol=1e-10)
    implicit = jd.integrate(
        problem, jd.GradientFlow(), g, ts, solver="implicit", rtol=1e-8, atol=1e-10
    )
    assert "GMRES" in implicit.notes[0]
    assert explicit.notes == ()
    np.testing.assert_allclose(explicit.loss, implicit.loss, rtol=1e-4)


def test_a_signal_of_high_rank_has_no_structure_that_pays(key):
    n = LARGEST_RANK + 1
    A = jd.operators.Identity((n,))
    g = jd.TwoLayer(latent=2, width=3, out=n, key=key)
    problem = jd.Problem(u=jnp.ones(2), operator=A, loss=jd.losses.MSE(), y=jnp.ones(n))
    f, theta = parametrize(problem, g)
    assert structured_hessian(f, theta) is None


def test_implicit_works_under_vmap(key):
    problem, g = stiff_problem(key)
    ts, scales = TIMES, jnp.array([0.5, 1.0])

    def run(scale):
        scaled = eqx.tree_at(lambda p: p.y, problem, scale * problem.y)
        return jd.integrate(scaled, jd.GradientFlow(), g, ts, solver="implicit").loss

    batch = jax.jit(jax.vmap(run))(scales)
    for i, scale in enumerate(scales):
        np.testing.assert_allclose(batch[i], run(scale), rtol=1e-5)


def test_implicit_works_under_vmap_over_operators(key):
    """Each lane has its own operator; "auto" cannot judge it there, and says so."""

    def run(key, solver="implicit"):
        A = jd.operators.Gaussian(m=4, n=6, key=key, normalized=True)
        g = jd.TwoLayer(latent=4, width=20, out=6, key=jd.key_for(key, "g"))
        u = jd.on_sphere(4, key=jd.key_for(key, "u"))
        problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=A(jnp.ones(6)))
        return jd.integrate(problem, jd.GradientFlow(), g, 0.01 * TIMES, solver=solver)

    keys = jax.random.split(key, 3)
    batch = eqx.filter_jit(jax.vmap(run))(keys)
    for i, one in enumerate(keys):
        np.testing.assert_allclose(batch.loss[i], run(one).loss, rtol=1e-5, atol=1e-12)
    judged = eqx.filter_jit(jax.vmap(lambda k: run(k, "auto")))(keys)
    assert "traced" in judged.notes[0]
    np.testing.assert_allclose(judged.loss, batch.loss, rtol=1e-2, atol=1e-10)


@pytest.mark.parametrize(
    ("generator", "alpha", "beta"), [("two-layer", 0.1, 0.0), ("two-layer-both", 0.02, 25.0)]
)
def test_reverse_mode_where_lanes_arrive_apart_and_steps_are_refused(key, generator, alpha, beta):
    """A lane that has arrived takes steps of length 0, which must not poison the derivative."""
    problem, g = stiff_problem(key, width=12, both=generator == "two-layer-both")

    @jax.jit
    def total(x):
        def run(scale):
            moved = eqx.tree_at(lambda p: p.y, problem, problem.y * (scale + x))
            flow = jd.ISEHD(alpha * (1 + x), beta)
            return jd.integrate(
                moved,
                flow,
                g,
                jnp.array([30.0]),
                solver="implicit",
                rtol=1e-10,
                atol=1e-12,
                max_steps=4096,
            )

        runs = jax.vmap(run)(jnp.array([0.5, 2.0]))
        return jnp.sum(runs.loss), (runs.stats["num_steps"], runs.stats["num_rejected_steps"])

    h = 1e-4
    difference = (float(total(h)[0]) - float(total(-h)[0])) / (2 * h)
    slope, (steps, rejected) = jax.grad(total, has_aux=True)(0.0)
    assert int(steps[0]) != int(steps[1])
    assert int(rejected.min()) > 0
    assert float(slope) == pytest.approx(difference, rel=1e-4)


def test_reverse_mode_through_the_implicit_solver(key):
    problem, g = stiff_problem(key, width=12)

    @jax.jit
    def final(x):
        moved = eqx.tree_at(lambda p: p.y, problem, problem.y * (1 + x))
        flow, ts = jd.ISEHD(0.1, 5.0 * (1 + x)), jnp.array([300.0])
        return jd.integrate(
            moved, flow, g, ts, solver="implicit", rtol=1e-10, atol=1e-12, max_steps=4096
        ).loss[-1]

    h = 1e-4
    difference = (float(final(h)) - float(final(-h))) / (2 * h)
    assert float(jax.grad(final)(0.0)) == pytest.approx(difference, rel=1e-4)


def test_new_tolerances_do_not_recompile(key):
    problem, g = stiff_problem(key)
    compiled = []

    def listener(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration)

    def run(scale):
        jd.integrate(
            problem, jd.GradientFlow(), g, scale * TIMES, rtol=1e-6 * scale, atol=1e-9 * scale
        )

    run(1.0)
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        run(2.0)
        assert compiled == []
        jax.jit(lambda x: x + 17)(jnp.ones(17))
        assert compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)


def test_single_precision(key):
    """The closed form again, where the defaults of single precision are 1e-4 and 1e-6."""
    n, key = 5, jd.key_for(key, "A")
    A = jd.operators.WithSpectrum.inverse_square(n, key, dtype=jnp.float32)
    y = jnp.ones(n, jnp.float32)
    problem = jd.Problem(u=jnp.ones(1, jnp.float32), operator=A, loss=jd.losses.MSE(), y=y)
    ts = (0.1 * TIMES).astype(jnp.float32)
    g = jd.Linear(jnp.eye(n, dtype=jnp.float32))
    run = jd.integrate(problem, jd.GradientFlow(), g, ts, solver="implicit")
    sigma, U = np.linalg.eigh(np.asarray(A.matrix() @ A.matrix().T, float))
    r0 = U.T @ np.ones(n)
    exact = [0.5 * np.sum((np.exp(-sigma * float(t)) * r0) ** 2) for t in ts]
    assert run.loss.dtype == jnp.float32
    np.testing.assert_allclose(run.loss, exact, rtol=5e-3, atol=1e-7)


@pytest.mark.parametrize("inertial", [False, True])
def test_single_precision_with_both_layers(key, inertial):
    """The same problem in both precisions, to the tolerance of the coarser."""
    problem, g = stiff_problem(key, width=20, both=True)
    flow = jd.ISEHD(0.1, 5.0) if inertial else jd.GradientFlow()

    def narrow(tree):
        return jax.tree.map(lambda x: x.astype(jnp.float32) if eqx.is_array(x) else x, tree)

    A = jd.operators.Dense(narrow(problem.operator.matrix()))
    single = jd.Problem(u=narrow(problem.u), operator=A, loss=problem.loss, y=narrow(problem.y))
    wide = jd.integrate(problem, flow, g, TIMES, solver="implicit")
    run = jd.integrate(single, flow, narrow(g), TIMES, solver="implicit")
    assert run.loss.dtype == jnp.float32
    assert bool(run.result == jd.RESULTS.completed)
    np.testing.assert_allclose(run.loss, wide.loss, rtol=1e-2, atol=1e-5 * float(wide.loss[0]))


def test_weights_that_are_not_finite_are_a_result_and_not_an_exception(key):
    problem, g = stiff_problem(key)
    broken = eqx.tree_at(lambda g: g.W, g, g.W.at[0, 0].set(jnp.nan))
    run = jd.integrate(problem, jd.GradientFlow(), broken, TIMES, solver="implicit", max_steps=50)
    assert not bool(run.result == jd.RESULTS.completed)


def test_wrong_solvers_are_refused(key):
    problem, g = stiff_problem(key)
    with pytest.raises(ValueError, match="choose one of auto, explicit, implicit"):
        jd.integrate(problem, jd.GradientFlow(), g, jnp.array([1.0]), solver="stiff")
    with pytest.raises(TypeError, match="an object, not the class"):
        jd.integrate(problem, jd.GradientFlow(), g, jnp.array([1.0]), solver=dfx.Tsit5)
