"""Closeness of gradient descent to its linearisation: constants, verdict, bounds along runs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import jaxdip as jd
from jaxdip._types import Array
from jaxdip.analysis import ConstantLipschitz
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import dense_jacobian
from jaxdip.theory import gradient_descent, igahd, isehd, near_linear

GAMMA, STEPS = 0.5, 400


def wide(key, k=100_000, weight=0.5, **options):
    A = jd.operators.Gaussian(m=2, n=4, key=jd.key_for(key, "operator"))
    g = jd.TwoLayer(latent=3, width=k, out=4, key=jd.key_for(key, "init"), **options)
    loss = jd.losses.MSE(weight)
    # Data near the start: the radius grows with the residual.
    y = A(g(jd.on_sphere(3, key=key))) + jnp.array([0.3, -0.2])
    return jd.Problem(u=jd.on_sphere(3, key=key), operator=A, loss=loss, y=y), g


@pytest.mark.parametrize("weight", [0.5, 1.3])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_bounds_hold_along_runs_and_fail_when_spoiled(seed, weight):
    problem, g = wide(jax.random.key(seed), weight=weight)
    gamma = GAMMA / (2 * weight)
    certificate = near_linear(problem, g, gamma)
    assert bool(certificate.holds)
    assert certificate.grade == "computed"
    assert float(certificate.margin) > 1
    observe = {
        "residual": jd.observables.ResidualNorm(),
        "distance": jd.observables.ParameterDistance(),
        "prediction": jd.observables.Prediction(),
    }
    at = jd.log_steps(STEPS, 30)
    run = jd.iterate(problem, jd.GradientDescent(gamma), g, STEPS, at=at, observe=observe)
    twin = jd.linearised(problem, g)
    lazy = twin.trajectory(jd.GradientDescent(gamma), jnp.asarray(at))
    seen = {name: run.observed[name] for name in ("loss", "residual", "distance")}
    gap = run.observed["prediction"] - lazy.observed["prediction"]
    seen["residual gap"] = jnp.linalg.norm(gap, axis=1)
    slack = {name: certificate.bound(name, run.ts) / seen[name] for name in seen}
    for name, ratio in slack.items():
        # At step 0 the gap is zero on both sides, up to rounding.
        assert (ratio[1:] >= 1 - 1e-9).all(), name
    # The slowest mode decays with σ_m² = 2α²: three times the rate is not a bound, nor half R.
    q = 1 - 2 * weight * gamma * 3 * float(certificate.numbers["α"].value) ** 2
    spoiled = q ** np.asarray(at) * seen["residual"][0]
    assert (seen["residual"] > spoiled * (1 + 1e-9)).any()
    assert float(slack["distance"][-1]) < 2


class Bent(AbstractGenerator):
    """x = θ + ½cθ², whose Jacobian has the Lipschitz constant c, attained everywhere."""

    theta: Array
    c: Array
    out_shape: tuple[int, ...] = eqx.field(static=True, default=(1,))

    def __call__(self, u):
        return self.theta + 0.5 * self.c * self.theta**2 + 0 * u

    def trainable(self):
        return Bent(True, False)


def test_the_gaps_are_bounded_where_the_curvature_is_at_its_worst():
    """In one dimension the bound on the residual's gap is loose by little, so spoiling it shows."""
    g = Bent(jnp.zeros(1), jnp.array(0.005))
    A = jd.operators.Identity(1)
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=jnp.ones(1))
    lipschitz = ConstantLipschitz(value=g.c, evidence="closed form", how="by construction")
    gamma = 0.3
    certificate = near_linear(problem, g, gamma, lipschitz=lipschitz)
    assert bool(certificate.holds)
    observe = {"x": jd.observables.Signal(), "d": jd.observables.ParameterDistance()}
    run = jd.iterate(problem, jd.GradientDescent(gamma), g, 40, every=1, observe=observe)
    steps = np.arange(41)
    lazy = 1 - (1 - gamma) ** steps
    gap = np.abs(np.asarray(run.observed["x"])[:, 0] - lazy)
    bound = np.asarray(certificate.bound("residual gap", run.ts))
    assert (gap <= bound + 1e-15).all()
    assert 1 < (bound[1:5] / gap[1:5]).min() < 30
    theta = np.abs(np.asarray(run.observed["d"]) - lazy)
    drift = float(certificate.bound("parameter gap", run.ts[-1]))
    assert theta.max() <= drift < 150 * theta.max()
    # 2βη ε τ q^{τ−1}‖r0‖, from the numbers shown.
    number = {name: float(q.value) for name, q in certificate.numbers.items()}
    rate = gamma * number["α"] ** 2
    written = 2 * number["β"] * gamma * number["ε"] * steps * (1 - rate) ** (steps - 1.0)
    np.testing.assert_allclose(bound, written * number["‖r0‖"], rtol=1e-12)
    written = 2.5 * number["β"] ** 2 / number["α"] ** 4 * number["ε"] * number["‖r0‖"]
    assert drift == pytest.approx(written, rel=1e-12)


def test_the_constants_are_those_of_an_independent_computation():
    problem, g = wide(jax.random.key(0))
    certificate = near_linear(problem, g, GAMMA)
    J = np.asarray(dense_jacobian(problem, g), dtype=np.float64)
    s = np.linalg.svd(J, compute_uv=False)
    r0 = np.asarray(problem.predict(g) - problem.y)
    # The residual norm enters ‖J⁺r0‖ through the least-squares solution.
    first = np.linalg.norm(np.linalg.lstsq(J, r0, rcond=None)[0])
    M = np.asarray(problem.operator.matrix()) @ np.asarray(g.V)
    # sigmoid: Lip φ' = 1/(6√3)
    lip = np.sqrt((M**2).sum(0).max()) / (6 * np.sqrt(3) * np.sqrt(g.V.shape[1]))
    alpha = s[-1] / np.sqrt(2)

    R_given = float(certificate.numbers["R"].value)

    def excess(R):
        eps = 2 * lip * R
        beta = s[0] + eps / 2
        return R / 2 - first - 2.5 * beta**2 / alpha**4 * eps * np.linalg.norm(r0)

    R = brentq(excess, first, 1.05 * R_given)
    assert float(certificate.numbers["α"].value) == pytest.approx(alpha, rel=1e-9)
    assert float(certificate.numbers["R"].value) == pytest.approx(R, rel=1e-5)
    assert float(certificate.numbers["ε"].value) == pytest.approx(2 * lip * R, rel=1e-5)
    assert float(certificate.numbers["β"].value) == pytest.approx(s[0] + lip * R, rel=1e-5)
    held = 2 * (s[0] + lip * R) * 2 * lip * R
    assert float(certificate.conditions[1].margin) == pytest.approx(alpha**2 / held, rel=1e-4)


def test_the_verdict_turns_with_the_width_and_with_the_step():
    widths = (300, 3_000, 300_000)
    holds = []
    for k in widths:
        problem, g = wide(jax.random.key(0), k=k)
        holds.append(bool(near_linear(problem, g, GAMMA).holds))
    assert holds == [False, False, True]
    problem, g = wide(jax.random.key(0))
    limit = float(near_linear(problem, g, GAMMA).numbers["β"].value) ** -2
    assert bool(near_linear(problem, g, 0.99 * limit).holds)
    assert not bool(near_linear(problem, g, 1.01 * limit).holds)


def test_many_certificates_at_once():
    def one(key):
        return near_linear(*wide(key), GAMMA)

    keys = jax.random.split(jax.random.key(5), 3)
    many = jax.vmap(one)(keys)
    alone = [one(key) for key in keys]
    np.testing.assert_array_equal(many.holds, [bool(c.holds) for c in alone])
    np.testing.assert_allclose(many.margin, [float(c.margin) for c in alone], rtol=1e-6)
    assert "batch" in str(many)


def test_where_the_theorem_says_nothing_there_is_no_number():
    problem, g = wide(jax.random.key(0), k=50)
    A, u, y = problem.operator, problem.u, problem.y
    robust = jd.Problem(u=u, operator=A, loss=jd.losses.Huber(1.0), y=y)
    relu = jd.TwoLayer(latent=3, width=50, out=4, key=jax.random.key(0), activation="relu")
    dead = jd.TwoLayer(weights=(g.W, 0 * g.V))
    for stated, network, says in (
        (robust, g, "squared error"),
        (problem, relu, "not Lipschitz"),
        (problem, dead, "full row rank"),
    ):
        certificate = near_linear(stated, network, GAMMA)
        assert not bool(certificate.holds)
        assert not bool(certificate.applicable)
        assert says in certificate.verdict
        assert np.isnan(float(certificate.margin))
        assert says in str(certificate)
        if certificate.bounds:
            assert np.isnan(float(certificate.bound("residual", jnp.asarray(1.0))))
    with pytest.raises(KeyError, match="promises nothing about 'signal'"):
        near_linear(problem, g, GAMMA).bound("signal", 1.0)


@pytest.mark.parametrize(
    ("lipschitz", "together"),
    [("closed form", "dense spectrum"), ("bound", "dense spectrum"), ("sampled", "sampled")],
)
def test_what_is_made_of_two_numbers_rests_on_the_weaker(lipschitz, together):
    """β = ‖A J‖ + ε/2 and R, which starts from ‖J⁺r0‖, need the spectrum and Lip(A J)."""
    problem, g = wide(jax.random.key(0), k=50)
    lip = ConstantLipschitz(value=jnp.array(1e-3), evidence=lipschitz, how="by assumption")
    certificate = near_linear(problem, g, GAMMA, lipschitz=lip)
    assert {certificate.numbers[name].evidence for name in "βεR"} == {together}
    assert certificate.conditions[1].left.evidence == together
    assert certificate.conditions[2].right.evidence == together
    assert certificate.grade == ("estimated" if lipschitz == "sampled" else "computed")


@pytest.mark.parametrize("bad", [0.0, -0.1, float("inf"), float("nan"), None, "1"])
def test_a_step_or_a_damping_of_which_no_theorem_speaks_is_refused(bad):
    problem, g = wide(jax.random.key(0), k=50)
    kind = ValueError if isinstance(bad, float) else TypeError
    calls = {
        "step_size": [
            lambda: near_linear(problem, g, bad),
            lambda: gradient_descent(problem, g, bad),
        ],
        "alpha": [
            lambda: isehd(problem, g, bad, 0.1),
            lambda: igahd(problem, g, 0.1, bad, 0.1),
        ],
        "s": [lambda: igahd(problem, g, bad, 0.1, 0.1)],
    }
    # β = 0 is allowed.
    beta = [lambda: isehd(problem, g, 0.1, bad), lambda: igahd(problem, g, 0.1, 0.1, bad)]
    calls["beta"] = beta if bad != 0 else []
    for name, each in calls.items():
        for call in each:
            with pytest.raises(kind, match=f"^{name} is "):
                call()
