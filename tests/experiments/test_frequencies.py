"""Shares over the cells of a sweep, and the place where they rise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from jaxdip.experiments._frequencies import frequencies, threshold, told
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
    assert told(threshold(shares([0.2, 0.8]), "won", "k")).startswith("10^1.50 [")
    assert "below" in told(None)
