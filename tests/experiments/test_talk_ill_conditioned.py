"""Verdicts on the ill-conditioned recovery turn when its curves are spoiled."""

import numpy as np
import pytest
import xarray as xr

from jaxdip.experiments import TalkIllConditioned
from jaxdip.experiments._power_flow import FLOOR, flow_times, late_slope

TS = flow_times(9, 10)
NOISES = np.array([0.0, 0.01, 0.05])
DRAWS = 3


def test_times_begin_at_zero_and_are_even_in_the_logarithm():
    assert TS[0] == 0
    assert TS[-1] == pytest.approx(1e9)
    np.testing.assert_allclose(TS[2:] / TS[1:-1], 10**0.1)


def test_the_slope_is_that_of_the_records_above_the_floor():
    values = 3 * np.maximum(TS, 1e-9) ** -2.5
    residual = np.where(TS <= 1e6, 1.0, FLOOR / 2)
    values[TS > 1e6] = 7.0
    assert late_slope(TS, values, residual, 1.0) == pytest.approx(-2.5)
    assert np.isnan(late_slope(TS, values, np.full(TS.shape, FLOOR / 2), 1.0))


def verdicts(plateau=1.0, drift=0.0, dip=0.5, power=2.5, clean=1e-4, factors=(1, 1, 5)):
    """Errors that settle at ‖A⁻¹ε‖ after a dip, and a residual that falls like t^{-power}."""
    settled = TS / (TS + 1e3)
    floors = np.array([0.0, 0.9, 0.9])[:, None] * np.asarray(factors)[:, None]
    shape = plateau * (settled - (1 - dip) * np.exp(-(np.log((TS + 1) / 1e3) ** 2)))
    error = floors * shape * (1 + drift * np.log10(TS + 1)) + 3 * (1 - settled)
    error[0] += clean * 3
    residual = 2 * (1 + TS / 1e6) ** -power
    over = (len(NOISES), DRAWS, len(TS))
    data = xr.Dataset(
        {
            "error": (("noise", "trial", "time"), np.broadcast_to(error[:, None], over)),
            "residual": (("noise", "trial", "time"), np.broadcast_to(residual, over)),
            "loss": (("noise", "trial", "time"), np.broadcast_to(residual**2.4 / 2.4, over)),
            "inverted_noise": (("noise", "trial"), np.broadcast_to(floors, over[:2])),
            "signal_norm": (("noise", "trial"), np.full(over[:2], 3.0)),
        },
        coords={"noise": NOISES, "trial": np.arange(DRAWS), "time": TS},
    )
    return {claim.name: claim.holds for claim in TalkIllConditioned().claims(data)}


def test_the_expected_curves_hold():
    found = verdicts()
    assert len(found) == 6
    assert all(found.values())


@pytest.mark.parametrize(
    ("name", "spoiled"),
    [
        ("each level of noise ends in a plateau", {"drift": 0.5}),
        ("the plateau is the inverted noise", {"plateau": 1.3}),
        ("more noise, higher plateau", {"factors": (1, 5, 1)}),
        ("with much noise an earlier stop is better", {"dip": 1.0, "plateau": 0.5}),
        ("the loss goes on falling meanwhile", {"power": 1.5}),
        ("without noise the signal is recovered", {"clean": 0.1}),
    ],
)
def test_a_spoiled_curve_turns_a_verdict(name, spoiled):
    assert not verdicts(**spoiled)[name]
