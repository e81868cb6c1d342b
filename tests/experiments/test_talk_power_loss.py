"""The bound is the theorem's, times are found between records, and verdicts turn."""

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from jaxdip.experiments import TalkPowerLoss
from jaxdip.experiments._power_flow import flow_times
from jaxdip.experiments._talk_power_loss import residual_bound, time_to
from jaxdip.losses import Power

TS = flow_times(12, 10)
POWERS = (0.0, 0.2, 0.5, 1.0)
MU = 3e-3
BELOW, ABOVE = "a smaller p is faster", "a smaller p is faster from the start on"


@pytest.mark.parametrize("p", POWERS)
def test_the_bound_is_that_of_the_desingularizing_function(p):
    psi = Power(p).desingularizer(jnp.zeros(2))
    start, ts = 1.7, np.array([0.0, 1e2, 1e5])
    loss0 = start ** (2 * (p + 1)) / (2 * (p + 1))
    expected = psi.psi(psi.Psi_inv(MU**2 * jnp.asarray(ts) / 4 + psi.Psi(jnp.asarray(loss0))))
    np.testing.assert_allclose(residual_bound(ts, p, start, MU), expected, rtol=1e-9)


def test_the_time_to_a_level_is_found_between_records():
    residual = 5 * np.maximum(TS, 2.5e-17) ** -0.5
    assert time_to(TS, residual, 0.1) == pytest.approx(2500)
    assert time_to(TS, residual, 1e9) == 0
    assert np.isnan(time_to(TS, residual, 1e-20))


def one_mode(p, start, rate):
    """The residual of a single mode: ṙ = −rate ‖r‖^{2p} r."""
    return residual_bound(TS, p, start, 2 * rate**0.5)


def verdicts(starts=(3.0, 5.0), powers=POWERS, speed=None, mu=MU):
    """One mode of λ = μ² for each p, whose exponent is that of `powers`, `speed` times as fast."""
    speed = np.ones(len(POWERS)) if speed is None else speed
    residual = np.array(
        [
            [one_mode(q, start, c * MU**2) for start in starts]
            for q, c in zip(powers, speed, strict=True)
        ]
    )
    exponent = 2 * (np.array(POWERS)[:, None, None] + 1)
    bound = [[residual_bound(TS, p, start, mu) for start in starts] for p in POWERS]
    data = xr.Dataset(
        {
            "residual": (("p", "trial", "time"), residual),
            "loss": (("p", "trial", "time"), residual**exponent / exponent),
            "bound": (("p", "trial", "time"), np.array(bound)),
            "mu": (("p", "trial"), np.full((len(POWERS), len(starts)), MU)),
        },
        coords={"p": list(POWERS), "trial": np.arange(len(starts)), "time": TS},
    )
    return {claim.name: claim.holds for claim in TalkPowerLoss().claims(data)}


def test_one_mode_holds_all_but_what_is_wrong_above_one():
    found = verdicts()
    assert len(found) == 9
    assert {name for name, holds in found.items() if not holds} == {ABOVE}


def test_runs_that_begin_below_one_say_nothing_above_it():
    assert ABOVE not in verdicts(starts=(0.5, 0.8))


@pytest.mark.parametrize(
    ("name", "spoiled"),
    [
        ("the loss falls like t^{-(p+1)/p} for p = 0.5", {"powers": (0.0, 0.2, 0.8, 1.0)}),
        ("the loss falls exponentially for p = 0", {"speed": (0.1, 1, 1, 1)}),
        ("the bound lies above the curve throughout", {"mu": 3 * MU}),
        (BELOW, {"speed": (1e-6, 1, 1, 1)}),
    ],
)
def test_a_spoiled_curve_turns_a_verdict(name, spoiled):
    assert not verdicts(**spoiled)[name]


@pytest.mark.parametrize(
    ("speed", "loss", "slide", "proof"),
    [(0.2, False, False, False), (0.3, True, False, True), (0.55, True, True, True)],
)
def test_distances_have_half_of_the_exponent_of_the_loss(speed, loss, slide, proof):
    found = verdicts(starts=(0.5, 0.8), speed=(speed, 1, 1, 1))
    assert found["the loss falls exponentially for p = 0"] is loss
    assert found["distances fall like exp(−μ²t/2) for p = 0"] is slide
    assert found["distances fall like exp(−μ²t/4) for p = 0"] is proof


def test_a_smaller_p_that_is_faster_above_one_holds():
    assert verdicts(speed=(1e6, 1e4, 1e2, 1))[ABOVE]
