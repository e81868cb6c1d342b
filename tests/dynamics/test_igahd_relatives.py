"""The relatives of IGAHD: recurrences, energies, rates and limits."""

import equinox as eqx
import examples
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd

S, ALPHA, BETA, MU = 0.04, 0.6, 0.25, 0.3
H = S**0.5

RELATIVES = {
    "forward": lambda: jd.IGAHDForward(S, ALPHA, BETA),
    "convex": lambda: jd.IGAHDStronglyConvex(MU, S, BETA),
    "vanishing": lambda: jd.IGAHDVanishing(S, 3.5, BETA),
    "backtracking": lambda: jd.IGAHDBacktracking(S, ALPHA, 0.05),
}


def quadratic(eigenvalues):
    """f(c) = ½ Σ λ_i (c_i − 1)², started at 0."""
    J = jnp.diag(jnp.sqrt(jnp.asarray(eigenvalues)))
    n = J.shape[0]
    A = jd.operators.Identity(n, dtype=J.dtype)
    y = J @ jnp.ones(n)
    return jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=y), jd.Linear(J)


def numpy_loop(name, gradient, start, steps):
    """Each method as its paper prints it, in NumPy."""
    before, now, G_before = start, start, gradient(start)
    for k in range(1, steps + 1):
        G, d = gradient(now), now - before
        if name in ("forward", "backtracking"):
            beta = 0.05 if name == "backtracking" else BETA
            new = now + (d - beta * H * (G - G_before) - S * G) / (1 + ALPHA * H)
        elif name == "convex":
            r = np.sqrt(MU * S)
            new = now + (1 - r) / (1 + r) * d
            new = new - BETA * H / (1 + r) * (G - G_before) - S / (1 + r) * G
        else:
            eta = now + (1 - 3.5 / k) * d - BETA * H * (G - G_before) - BETA * H / k * G_before
            new = eta - S * gradient(eta)
        before, now, G_before = now, new, G
    return now


@pytest.mark.parametrize("name", RELATIVES)
def test_recurrences_against_numpy_loops(key, name):
    problem, g, _ = examples.problem(key)
    A, u, y, V = (np.asarray(a) for a in (problem.operator.matrix(), problem.u, problem.y, g.V))
    scale = np.sqrt(V.shape[1])

    def gradient(W):
        r = A @ (V @ np.tanh(W @ u)) / scale - y
        return np.outer(V.T @ (A.T @ r) / scale * (1 - np.tanh(W @ u) ** 2), u)

    exact = numpy_loop(name, gradient, np.asarray(g.W), 40)
    # The full run for one of them; the others in reduced coordinates.
    reduce = name != "convex"
    run = jd.iterate(problem, RELATIVES[name](), g, 40, every=20, reduce=reduce)
    np.testing.assert_allclose(run.generator.W, exact, atol=1e-11)
    np.testing.assert_allclose(run.ts, H * np.array([0, 20, 40]), rtol=1e-12)


@pytest.mark.parametrize("name", ["forward", "convex"])
def test_constant_coefficients_have_a_closed_form(key, name):
    problem, g, _ = examples.problem(key, "linear")
    method = RELATIVES[name]()
    run = jd.iterate(problem, method, g, 60, every=1)
    exact = jd.linearised(problem, g).trajectory(method, jnp.arange(61))
    np.testing.assert_allclose(run.loss, exact.loss, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(run.ts, exact.ts, rtol=1e-12)


@pytest.mark.parametrize("name", ["vanishing", "backtracking"])
def test_changing_coefficients_have_none(name):
    with pytest.raises(ValueError, match="no closed form on a mode"):
        RELATIVES[name]().mode(jnp.ones(2), jnp.asarray(3))


ORDER_PAIRS = {
    "forward": (jd.ISEHD(0.5, 0.3), lambda: jd.IGAHDForward(1.0, 0.5, 0.3)),
    "convex": (jd.ISEHD(2 * 0.3**0.5, 0.3), lambda: jd.IGAHDStronglyConvex(0.3, 1.0, 0.3)),
}


@pytest.mark.parametrize("name", ORDER_PAIRS)
def test_relatives_approach_isehd_with_order_one(key, name):
    problem, g, _ = examples.problem(key, "two-layer-both")
    flow, descent = ORDER_PAIRS[name]
    order = jd.convergence_order(
        problem, flow, descent(), g, horizon=2.0, steps=320, halvings=1,
        observe={"x": jd.observables.Signal()},
    )  # fmt: skip
    for what in ("loss", "x"):
        assert order.successive[what][-1] == pytest.approx(1, abs=0.1)


def test_steps_that_change_keep_to_isehd(key):
    """Steps that grow threefold on the way: the gap is still of order one in the step."""
    problem, g, _ = examples.problem(key)
    observe = {"x": jd.observables.Signal()}
    gaps = []
    for count in (80, 160):
        growing = jd.IGAHDBacktracking((0.8 / count) ** 2, 0.5, 0.05, growth=3 ** (1 / count))
        run = jd.iterate(problem, growing, g, count, every=count // 4, observe=observe)
        assert float(np.diff(run.ts)[-1]) > 2 * float(np.diff(run.ts)[0])
        flow = jd.integrate(
            problem, jd.ISEHD(0.5, 0.05), g, run.ts, observe=observe, rtol=1e-9, atol=1e-11
        )
        gaps.append(jd.gap(flow, run).sup["x"])
    assert np.log2(gaps[0] / gaps[1]) == pytest.approx(1, abs=0.15)


# Descent certificates.


def lyapunov(kind, L, h, alpha, beta, start, steps=400):
    """V along a run on f(x) = L(1 − cos x), whose gradient is exactly L-Lipschitz, not convex."""
    values, before, now, G_before = [], start, start, L * np.sin(start)
    a = 1 - alpha * h
    weight = (a + beta * h * L) if kind == "theta" else (1 + beta * h * L)
    for _ in range(steps):
        values.append(L * (1 - np.cos(now)) + weight / (2 * h * h) * (now - before) ** 2)
        G, d = L * np.sin(now), now - before
        move = (a if kind == "theta" else 1) * d - beta * h * (G - G_before) - h * h * G
        if kind == "forward":
            move = move / (1 + alpha * h)
        before, now, G_before = now, now + move, G
    return np.array(values)


@pytest.mark.parametrize("kind", ["theta", "forward"])
def test_the_lyapunov_function_decreases_iff_the_condition_holds(key, kind):
    """V_{ℓ+1} ≤ V_ℓ − δ‖d‖² with δ = (α − βL)/h − L/2, on random networks' real runs."""
    problem, g, _ = examples.problem(key)
    # The sublevel set's bound serves as L; V decreases along the run, so it stays inside.
    L = float(jd.lipschitz_bound(problem, g).value)
    alpha, h = 0.9 * L**0.5, 0.5 / L**0.5
    beta = 0.9 * (alpha / L - h / 2)
    cls = jd.IGAHD if kind == "theta" else jd.IGAHDForward
    observe = {"W": lambda problem, g: g.W}
    run = jd.iterate(problem, cls(h * h, alpha, beta), g, 200, every=1, observe=observe)
    moves = np.diff(np.asarray(run.observed["W"]), axis=0)
    squares = np.concatenate([[0.0], np.sum(moves**2, axis=(1, 2))])
    base = (1 - alpha * h) if kind == "theta" else 1.0
    V = np.asarray(run.loss) + (base + beta * h * L) / (2 * h * h) * squares
    delta = (alpha - beta * L) / h - L / 2
    assert delta > 0
    assert np.all(np.diff(V) <= -delta * squares[1:] + 1e-12)
    # The rate δ is a real statement: many times it fails on the same run.
    assert np.any(np.diff(V) > -100 * delta * squares[1:])


@pytest.mark.parametrize("kind", ["theta", "forward"])
def test_the_condition_on_beta_is_needed(kind):
    """On f = L(1 − cos x): within the condition V falls from any start, beyond it it rises."""
    L, h = 4.0, 0.1
    starts = np.linspace(0.1, 3.1, 13)
    for alpha in (0.5, 2.0):
        limit = alpha / L - h / 2
        for start in starts:
            if limit > 0:
                inside = lyapunov(kind, L, h, alpha, 0.99 * limit, start)
                assert np.all(np.diff(inside) <= 1e-12)
        beyond = [lyapunov(kind, L, h, alpha, max(limit, 0) + 1.5, x) for x in starts]
        assert any(np.any(np.diff(v) > 1e-6) for v in beyond)


def test_the_strongly_convex_energy_decays_at_its_rate():
    """E_ℓ ≤ E_1 q^{ℓ−1} with q = 1/(1 + √(μs)/2), under the theorem's conditions."""
    mu, L = 1.0, 5.0
    beta = mu**0.5 / (8 * L)
    s = 0.0055
    room = (mu**0.5 / (2 * s) + mu / s**0.5) / (2 * beta * mu + s**-0.5 + mu**0.5 / 2)
    assert room >= L
    problem, g = quadratic([mu, 2.0, L])
    observe = {"c": lambda problem, g: g.c}
    run = jd.iterate(problem, jd.IGAHDStronglyConvex(mu, s, beta), g, 400, every=1, observe=observe)
    e = np.asarray(run.observed["c"]) - 1.0
    lam = np.array([mu, 2.0, L])
    move = np.diff(e, axis=0) / s**0.5
    v = mu**0.5 * e[:-1] + move + beta * lam * e[:-1]
    E = np.asarray(run.loss)[1:] + 0.5 * np.sum(v**2, axis=1)
    ell = np.arange(E.size)
    q = 1 / (1 + (mu * s) ** 0.5 / 2)
    assert np.all(E / q**ell <= E[0] * (1 + 1e-12))
    assert np.all(E[1:] <= q * E[:-1] * (1 + 1e-12))
    # Twice the rate in the exponent is too much to ask for at every step.
    assert np.any(E[1:] > q**5 * E[:-1])


def test_vanishing_damping_is_of_order_two_where_gradient_descent_is_of_order_one():
    """f(θ_k) − min f ≤ 2‖θ_0 − θ*‖²/(s(k − 1)²) though the modes reach down to 0.

    The energy starts at ‖θ_0 − θ*‖²/(2s), and t_k = (k − 1)/2 for α = 3; the factor 4 instead of 2
    leaves room for the first steps, where it may rise.
    """
    problem, g = quadratic(np.geomspace(1e-7, 1.0, 60))
    steps = 2000
    bound = 4 * 60.0

    def scaled(method):
        run = jd.iterate(problem, method, g, steps, every=1)
        return np.asarray(run.loss) * np.arange(steps + 1) ** 2

    for beta in (0.0, 1.0, 1.9):
        assert scaled(jd.IGAHDVanishing(1.0, 3.0, beta)).max() <= bound
    assert scaled(jd.GradientDescent(1.0)).max() > 5 * bound


def test_nesterovs_method_is_the_case_without_hessian_damping():
    problem, g = quadratic([1.0, 0.1, 0.01])
    lam = np.array([1.0, 0.1, 0.01])
    x = before = np.zeros(3)
    for k in range(1, 31):
        eta = x + (1 - 3 / k) * (x - before)
        before, x = x, eta - 0.9 * lam * (eta - 1)
    run = jd.iterate(problem, jd.IGAHDVanishing(0.9, beta=0.0), g, 30)
    np.testing.assert_allclose(run.generator.c, x, rtol=1e-12)


@pytest.mark.parametrize("name", RELATIVES)
def test_relatives_under_vmap_and_without_recompiling(key, name):
    problem, g, _ = examples.problem(key)
    traces = []

    @eqx.filter_jit
    def final(method, y):
        traces.append(None)
        stated = eqx.tree_at(lambda p: p.y, problem, y)
        return jd.iterate(stated, method, g, 12, every=6).loss[-1]

    method = RELATIVES[name]()
    ys = problem.y + jnp.array([0.0, 0.4])[:, None]
    alone = [final(method, y) for y in ys]
    final(method.with_time_step(0.1) if name != "backtracking" else doubled(method), problem.y)
    assert len(traces) == 1
    batch = eqx.filter_vmap(final, in_axes=(None, 0))(method, ys)
    np.testing.assert_allclose(batch, alone, rtol=1e-11)


def doubled(method):
    return eqx.tree_at(lambda m: m.s, method, 2 * method.s)


def test_single_precision_stays_single(key):
    problem, g, _ = examples.problem(key, dtype="float32")
    for name in ("forward", "backtracking"):
        run = jd.iterate(problem, RELATIVES[name](), g, 20)
        assert run.loss.dtype == run.generator.W.dtype == jnp.float32
        assert float(run.loss[-1]) < float(run.loss[0])


def test_defaults_come_from_the_problem_and_are_said(key):
    problem, g, _ = examples.problem(key)
    L = float(jd.gradient_lipschitz(problem, g).value)
    mu = float(jd.jacobian_sigma_min(problem, g))
    forward = jd.iterate(problem, jd.IGAHDForward(), g, 2)
    assert float(forward.stats["s"]) == pytest.approx(1 / L)
    assert float(forward.stats["alpha"]) == pytest.approx(mu)
    assert float(forward.stats["beta"]) == pytest.approx(L**-0.5)
    assert len(forward.notes) == 3
    adaptive = jd.iterate(problem, jd.IGAHDBacktracking(), g, 2)
    assert float(adaptive.stats["beta"]) == pytest.approx(mu / (2 * L))
    # The documented condition: the search ends wherever the gradient is L-Lipschitz.
    assert float(adaptive.stats["beta"]) < (1 - 0.1) * mu / L
    vanishing = jd.iterate(problem, jd.IGAHDVanishing(), g, 2)
    assert float(vanishing.stats["alpha"]) == 3.0


WRONG = {
    "forward s": (lambda: jd.IGAHDForward(0.0), "s is finite and positive, got 0"),
    "forward beta": (lambda: jd.IGAHDForward(1.0, 1.0, -1.0), "beta is finite and zero or"),
    "convex mu": (lambda: jd.IGAHDStronglyConvex(-1.0), "mu is finite and positive, got -1"),
    "convex without mu": (lambda: jd.IGAHDStronglyConvex(None), "is a real number, got None"),
    "vanishing alpha": (lambda: jd.IGAHDVanishing(1.0, 0.0), "alpha is finite and positive"),
    "backtracking alpha": (lambda: jd.IGAHDBacktracking(1.0, jnp.nan), "alpha is finite and"),
    "not resolved": (lambda: jd.IGAHDForward().numbers(), "not known yet; call resolve"),
    "not resolved either": (lambda: jd.IGAHDStronglyConvex(1.0).numbers(), "not known yet"),
    "clock of a rule": (
        lambda: RELATIVES["backtracking"]().time(jnp.asarray(3)),
        "read Solution.ts",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_numbers_are_answered_in_one_line(name):
    call, message = WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
