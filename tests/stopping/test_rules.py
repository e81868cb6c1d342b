"""Each rule against a plain account of what it should do, on sequences given in advance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.stopping import (
    Discrepancy,
    ExponentialVariance,
    HeldOut,
    Oracle,
    Plateau,
    Seen,
    Sure,
    TheoremTime,
    WindowedVariance,
)

STEPS, N, M = 90, 4, 3


def sequence(key):
    """Images that come to rest about step 40 and then wander off, with losses that level out."""
    k = np.arange(STEPS)
    spread = np.exp(-k / 12) + 0.02 + 0.02 * np.maximum(0, k - 40) / 10
    noise = np.asarray(jax.random.normal(key, (STEPS, N)))
    y = jnp.ones((STEPS, M))
    prediction = y + jnp.asarray(np.exp(-k / 20))[:, None]
    return Seen(
        step=jnp.asarray(k, jnp.int32),
        t=0.25 * jnp.asarray(k, jnp.float64),
        loss=jnp.asarray(np.maximum(np.exp(-k / 10), 0.01)),
        residual=jnp.linalg.norm(prediction - y, axis=1),
        x=jnp.asarray(np.ones(N) + spread[:, None] * noise),
        prediction=prediction,
        y=y,
        # Best at 33, and better still long after a rule has lost its patience.
        held_out=jnp.asarray(np.where(k < 60, (k - 33.0) ** 2 + 1, 0)),
        divergence=jnp.asarray(0.02 * k),
        truth=jnp.ones((STEPS, N)),
    )


RULES = {
    "discrepancy": Discrepancy(0.5, tau=1.1),
    "time": TheoremTime(7.6),
    "plateau": Plateau(6, 0.05),
    "wmv": WindowedVariance(8, patience=15),
    "emv": ExponentialVariance(0.2, patience=15),
    "held": HeldOut(0.5, patience=7),
    "sure": Sure(0.4, patience=11),
    "oracle": Oracle(),
    "both": Discrepancy(0.5, tau=1.1) & TheoremTime(7.6),
    "either": Discrepancy(0.5, tau=1.1) | TheoremTime(7.6),
}


@jax.jit
def watched(seen):
    """For each rule: whether it had fired, and what it chose, after every step."""
    template = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), seen)

    def body(states, now):
        states = {name: rule.update(states[name], now) for name, rule in RULES.items()}
        out = {n: (r.fired(states[n]), r.chosen(states[n])) for n, r in RULES.items()}
        values = (states["wmv"].variance, states["emv"].variance, states["sure"].value)
        return states, (out, values)

    return jax.lax.scan(body, {n: r.init(template) for n, r in RULES.items()}, seen)[1]


def patient(values, patience, first=0):
    """The step of the least value so far, and the step at which it has been so for long."""
    best, at, waited = np.inf, -1, 0
    for k in range(first, len(values)):
        if values[k] < best:
            best, at, waited = values[k], k, 0
        else:
            waited += 1
        if waited >= patience:
            return at, k
    return at, None


def verdict(out, name):
    """The last step chosen up to the firing, and the step of the firing."""
    fired, chosen = (np.asarray(x) for x in out[name])
    at = int(np.argmax(fired)) if fired.any() else None
    assert not fired.any() or fired[at:].all(), "a rule that has fired stays so"
    upto = chosen if at is None else chosen[: at + 1]
    assert at is None or not chosen[at + 1 :].any(), "nothing is chosen after the firing"
    return (int(np.flatnonzero(upto)[-1]) if upto.any() else -1), at


@pytest.fixture(scope="module")
def told():
    """One run of all rules over one sequence."""
    seen = sequence(jax.random.key(3))
    return seen, *watched(seen)


def test_thresholds_fire_at_the_first_step_that_meets_them(told):
    seen, out, _ = told
    first = int(np.argmax(np.asarray(seen.residual) <= 0.55))
    assert 20 < first < 26
    assert verdict(out, "discrepancy") == (first, first)
    assert verdict(out, "time") == (31, 31)
    # The loss falls by more than 5 % in every step until it is flat at step 47.
    assert verdict(out, "plateau") == (52, 52)


def test_combinations_fire_with_the_later_or_the_earlier(told):
    _, out, _ = told
    one, other = verdict(out, "discrepancy"), verdict(out, "time")
    assert one < other
    assert verdict(out, "both") == other
    assert verdict(out, "either") == one


def test_windowed_variance_is_that_of_numpy(told):
    seen, out, (variance, _, _) = told
    x = np.asarray(seen.x)
    by_hand = np.full(STEPS, np.inf)
    for k in range(7, STEPS):
        window = x[k - 7 : k + 1]
        by_hand[k] = np.mean(np.sum((window - window.mean(axis=0)) ** 2, axis=1))
    np.testing.assert_allclose(variance, by_hand, rtol=1e-12)
    at, fired = patient(by_hand, 15, first=7)
    assert fired is not None
    assert verdict(out, "wmv") == (at, fired)


def test_exponential_variance_is_that_of_numpy(told):
    seen, out, (_, variance, _) = told
    x, a = np.asarray(seen.x), 0.2
    mean, v, by_hand = x[0].copy(), 0.0, []
    for image in x:
        d = image - mean
        mean += a * d
        v = (1 - a) * (v + a * np.sum(d * d))
        by_hand.append(v)
    np.testing.assert_allclose(variance, by_hand, rtol=1e-12)
    at, fired = patient(by_hand, 15, first=16)
    assert fired is not None
    assert verdict(out, "emv") == (at, fired)


def test_rules_with_patience_choose_the_least(told):
    seen, out, (_, _, sure) = told
    assert verdict(out, "held") == (33, 40)
    square = np.sum((np.asarray(seen.prediction) - 1) ** 2, axis=1)
    by_hand = square - M * 0.16 + 2 * 0.16 * np.asarray(seen.divergence)
    np.testing.assert_allclose(sure, by_hand, rtol=1e-12)
    assert verdict(out, "sure") == patient(by_hand, 11)
    errors = np.linalg.norm(np.asarray(seen.x) - 1, axis=1)
    assert verdict(out, "oracle") == (int(np.argmin(errors)), None)


def test_many_runs_side_by_side_are_those_runs(told):
    seen, out, values = told
    others = [seen, sequence(jax.random.key(4))]
    batch = jax.vmap(watched)(jax.tree.map(lambda *x: jnp.stack(x), *others))
    alone = [(out, values), watched(others[1])]
    for i, one in enumerate(alone):
        for name in RULES:
            lane = {name: tuple(x[i] for x in batch[0][name])}
            assert verdict(lane, name) == verdict(one[0], name), name
        for here, there in zip(batch[1], one[1], strict=True):
            np.testing.assert_allclose(here[i], there, rtol=1e-12)


def test_the_time_of_a_certificate(key):
    """For the squared error and gradient flow (4/μ²) ln(‖y(0) − y‖/‖ε‖)."""
    g = jd.Linear(jnp.diag(jnp.array([1.0, 2.0])))
    A = jd.operators.Identity(2)
    y = jnp.array([3.0, 4.0])
    problem = jd.Problem(u=jnp.ones(1), operator=A, loss=jd.losses.MSE(), y=y)
    certificate = jd.certify(problem, g, dynamics=jd.GradientFlow())
    rule = TheoremTime.of(certificate, 0.5)
    mu = float(certificate.numbers["μ"].value)
    assert float(rule.t) == pytest.approx(4 / mu**2 * np.log(5 / 0.5))


def test_a_split_is_reproducible_and_of_the_size_asked_for(key):
    held = HeldOut(0.25).split((4, 5), key)
    assert held.shape == (4, 5)
    assert held.sum() == 5
    np.testing.assert_array_equal(held, HeldOut(0.25).split((4, 5), key))
    assert (held != HeldOut(0.25).split((4, 5), jax.random.fold_in(key, 1))).any()
    mask = jnp.arange(6) == 2
    np.testing.assert_array_equal(HeldOut(mask=mask).split((6,), key), mask)


def test_wrong_rules_are_answered_in_one_line():
    bare = Seen(*[jnp.zeros(())] * 7)
    key = jax.random.key(0)
    calls = {
        "noise_norm is finite and zero or positive, got -1": lambda: Discrepancy(-1.0),
        "tau is finite and positive, got 0": lambda: Discrepancy(1.0, 0.0),
        "t is a time, got nan; where a certificate is not applicable": lambda: TheoremTime(np.nan),
        "window is a whole number, at least 2, got 1": lambda: WindowedVariance(1),
        "patience is a whole number, at least 1, got 0": lambda: WindowedVariance(patience=0),
        "a is between 0 and 1, got 1": lambda: ExponentialVariance(1.0),
        "relative is between 0 and 1, got 2": lambda: Plateau(3, 2.0),
        "fraction is between 0 and 1, got 1.5": lambda: HeldOut(1.5),
        "mask is boolean, .* got int": lambda: HeldOut(mask=jnp.arange(3)),
        r"has shape \(3,\), the data \(4,\)": lambda: HeldOut(mask=jnp.arange(3) > 1).split(
            (4,), key
        ),
        "keeps 0 of 3 entries out": lambda: HeldOut(mask=jnp.arange(3) > 9).split((3,), key),
        "probes is a whole number": lambda: Sure(0.1, probes=0),
        "noise is finite": lambda: Sure(-0.1),
        "no perturbed twin": lambda: Sure(0.1).init(bare),
        "holds no entries out": lambda: HeldOut().init(bare),
        "Oracle needs the true signal": lambda: Oracle().init(bare),
        "unsupported operand": lambda: Oracle() & 3,
    }
    for message, call in calls.items():
        with pytest.raises((TypeError, ValueError), match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
