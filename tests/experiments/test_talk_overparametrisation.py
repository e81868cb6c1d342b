"""The scale of the normalised operator, and verdicts that turn when the shares are spoiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import jaxdip as jd
from jaxdip.experiments import TalkOverparametrisation
from jaxdip.experiments._talk_overparametrisation import exponent, normalized
from jaxdip.sweeps import wilson
from jaxdip.trials import TwoLayerTrial

WIDTHS = np.array([8, 16, 32, 64, 128, 256, 512])
SIGNALS, OBSERVATIONS = np.array([2, 4, 8, 16]), np.array([5, 10, 20])


def test_the_trial_is_descent_with_a_normalised_operator(key):
    n, m, k, steps = 3, 2, 40, 25

    def rows(purpose, count, draw):
        keys = [jax.random.fold_in(jd.key_for(key, purpose), i) for i in range(count)]
        return jnp.stack([draw(one) for one in keys])

    A = rows("operator", m, lambda one: jax.random.normal(one, (n,))) / m**0.5
    V = rows("output", n, lambda one: jnp.where(jax.random.uniform(one, (k,)) < 0.5, 1.0, -1.0))
    x = jax.random.normal(jd.key_for(key, "signal"), (n,))
    z = jax.random.normal(jd.key_for(key, "init"), (k,))

    def loss(z):
        return jnp.sum((A @ V @ jax.nn.sigmoid(z) / k**0.5 - A @ x) ** 2) / 2

    for _ in range(steps):
        z = z - 0.7 * jax.grad(loss)(z)
    trial = TwoLayerTrial()
    point = {"n": n, "m": m, "k": k, "steps": steps, **normalized(m, 0.7, 1e-20)}
    found = trial.run(key, trial.program(point), trial.numbers(point))
    assert found["loss"] / m == pytest.approx(float(loss(z)), rel=1e-10)
    ends = {**point, **normalized(m, 0.7, float(loss(z)) * (1 + 1e-9))}
    found = trial.run(key, trial.program(ends), trial.numbers(ends))
    assert found["converged"]
    assert found["steps"] == steps


def shares(middles, trials=50):
    """Shares that rise around these widths."""
    part = 1 / (1 + (np.asarray(middles)[:, None] / WIDTHS) ** 8)
    hits = np.round(part * trials)
    low, high = wilson(hits, np.full(hits.shape, trials))
    return {"": hits / trials, "_low": low, "_high": high, "_trials": np.full(hits.shape, trials)}


def verdicts(over_n=9.2 * SIGNALS, over_m=9.2 * OBSERVATIONS):
    parts = {f"by_n{end}": (("n", "k"), x) for end, x in shares(over_n).items()}
    parts |= {f"by_m{end}": (("m", "k"), x) for end, x in shares(over_m).items()}
    data = xr.Dataset(parts, coords={"n": SIGNALS, "m": OBSERVATIONS, "k": WIDTHS})
    return {claim.name: claim.holds for claim in TalkOverparametrisation().claims(data)}


def test_thresholds_where_solutions_begin_to_exist():
    found = verdicts()
    assert len(found) == 8
    assert {name for name, holds in found.items() if not holds} == {"the threshold grows as n²"}


@pytest.mark.parametrize(
    ("name", "holds", "spoiled"),
    [
        ("the threshold grows as n²", True, {"over_n": 1.6 * SIGNALS**2.0}),
        ("the threshold grows as m", False, {"over_m": 0.9 * OBSERVATIONS**2.0}),
        ("the threshold grows with n", False, {"over_n": [20, 40, 39, 100]}),
        ("the threshold grows with m", False, {"over_m": [40, 90, 80]}),
        ("n²m is enough, over n", False, {"over_n": [400, 410, 420, 430]}),
        ("n²m is enough, over m", False, {"over_m": [40, 90, 1e6]}),
        (
            "the threshold is where solutions begin to exist, over m",
            False,
            {"over_m": [120, 121, 184]},
        ),
        (
            "the threshold is where solutions begin to exist, over n",
            False,
            {"over_n": [18, 37, 74, 60]},
        ),
    ],
)
def test_a_spoiled_share_turns_a_verdict(name, holds, spoiled):
    assert verdicts(**spoiled)[name] is holds


def test_the_exponent_passes_over_what_is_not_known():
    sizes = np.array([1.0, 2, 4, 8])
    assert exponent(sizes, 3 * sizes**1.5) == pytest.approx(1.5)
    assert exponent(sizes, np.array([3, np.nan, 12, np.nan])) == pytest.approx(1.0)
    assert np.isnan(exponent(sizes, np.array([3, np.nan, np.nan, np.nan])))
