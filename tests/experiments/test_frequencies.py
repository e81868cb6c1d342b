"""Shares over the cells of a sweep, and the place where they rise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from jaxdip.experiments._frequencies import beyond, frequencies, grows, place, threshold, told
from jaxdip.sweeps import sweep


def shares(values):
    parts = {"won": values, "won_low": np.subtract(values, 0.1), "won_high": np.add(values, 0.1)}
    places = 10.0 ** np.arange(1, len(values) + 1)
    return xr.Dataset({name: ("k", part) for name, part in parts.items()}, coords={"k": places})


def test_shares_are_those_of_the_sweep(key):
    found = sweep(
        lambda key, point: {"low": jax.random.uniform(key) < point["p"], "one": jnp.ones(())},
        {"p": [0.0, 0.5, 1.0]},
        trials=40,
        key=key,
    )
    data = frequencies(found, "low", "won")
    np.testing.assert_array_equal(data.won, found["low"].mean(-1))
    assert data.won.dims == ("p",)
    assert np.all((data.won_low <= data.won) & (data.won <= data.won_high))
    assert np.all(data.won_trials == 40)


def test_the_threshold_is_where_the_share_rises():
    assert threshold(shares([0.2, 0.8]), "won", "k").at == pytest.approx(10**1.5)
    falls_first = threshold(shares([0.8, 0.2, 0.2, 0.8]), "won", "k")
    assert falls_first.at == pytest.approx(10**3.5)
    assert threshold(shares([0.8, 0.2]), "won", "k") is None
    # The level itself may be met at a place.
    assert threshold(shares([0.2, 0.5, 0.8]), "won", "k").at == pytest.approx(100)
    assert threshold(shares([0.2, 0.5]), "won", "k") is None
    assert threshold(shares([0.2, 0.3]), "won", "k") is None


def test_a_threshold_is_told_in_powers_of_ten():
    assert told(shares([0.2, 0.8]), "won", "k").startswith("10^1.50 [")
    assert told(shares([0.3, 0.6, 0.9]), "won", "k") == "10^1.67 [1.33, 2.00]"
    assert told(shares([0.45, 0.55]), "won", "k") == "10^1.50 [≤ 1.00, ≥ 2.00]"


@pytest.mark.parametrize(
    ("values", "at", "text"),
    [
        ([0.8, 0.9], 0.0, "at most 10^1.00"),
        ([0.5, 0.9], 0.0, "at most 10^1.00"),
        ([0.2, 0.4], np.inf, "at least 10^2.00"),
    ],
)
def test_a_threshold_beyond_the_ends_is_told_by_its_side(values, at, text):
    assert place(shares(values), "won", "k") == at
    assert told(shares(values), "won", "k") == text


def test_the_side_is_that_of_the_level():
    assert told(shares([0.2, 0.4]), "won", "k", 0.1) == "at most 10^1.00"
    assert place(shares([0.2, 0.4]), "won", "k", 0.3) == pytest.approx(10**1.5)


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0.0, 10.0, 20.0], True),
        ([10.0, 20.0, np.inf], True),
        ([10.0, 0.0, 20.0], False),
        ([10.0, np.inf, 20.0], False),
        ([10.0, 10.0, 20.0], False),
        ([0.0, 10.0, np.inf], False),
        ([], False),
    ],
)
def test_growth_counts_what_lies_beyond_the_ends(places, expected):
    assert grows(places) is expected


def test_sizes_beyond_the_ends_are_named():
    assert beyond({1: 5.0}, "m", "converge") == ""
    told_both = beyond({1: 0.0, 2: 0.0, 3: 5.0, 4: np.inf}, "m", "converge")
    assert told_both == (
        "for m = 1, 2 half of the runs converge at every width shown; "
        "for m = 4 fewer than half of the runs converge at all widths shown"
    )
