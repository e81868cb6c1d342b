"""The verdicts of Figure 1b turn when its numbers are spoiled."""

import jax
import numpy as np
import pytest

from jaxdip.experiments import GD1b, Lab
from jaxdip.sweeps import wilson


def table(shares):
    """The data of the quick preset with these shares at k = 10, 32, 100, 316, 1000."""
    import xarray as xr

    shares = np.asarray(shares)
    low, high = wilson(np.round(shares * 50), np.full(shares.shape, 50))
    parts = {"converged": shares, "converged_low": low, "converged_high": high}
    coords = {"m": [1, 2, 3, 4], "k": [10, 32, 100, 316, 1000]}
    return xr.Dataset({name: (("m", "k"), part) for name, part in parts.items()}, coords=coords)


KNOWN = [
    [0.80, 0.94, 1, 1, 1],
    [0.42, 0.88, 1, 1, 1],
    [0.22, 0.72, 0.96, 1, 1],
    [0.10, 0.54, 0.88, 1, 1],
]


def verdicts(shares):
    return {claim.name: claim.holds for claim in GD1b().claims(table(shares))}


def test_the_known_shares_hold():
    assert verdicts(KNOWN) == dict.fromkeys(verdicts(KNOWN), True)


@pytest.mark.parametrize(
    ("cell", "share", "name"),
    [
        ((1, 3), 0.9, "m = 2 converges from k = 10^2.5"),
        ((1, 0), 0.9, "shares agree with an independent program"),
        ((3, 1), 0.95, "the threshold grows with m"),
    ],
)
def test_a_spoiled_share_turns_a_verdict(cell, share, name):
    spoiled = np.array(KNOWN)
    spoiled[cell] = share
    if name.startswith("the threshold"):
        spoiled[3] = 0.95
        spoiled[3, 0] = 0.49
        spoiled[2, :2] = 0.1
    assert not verdicts(spoiled)[name]


def test_a_missing_threshold_counts_by_its_side():
    name = "the threshold grows with m"
    spoiled = np.array(KNOWN)
    # m = 1 and m = 2 begin above one half, and so does m = 4, which asks for no more width.
    spoiled[1, 0] = 0.9
    assert verdicts(spoiled)[name]
    spoiled[3] = 0.95
    assert not verdicts(spoiled)[name]


def test_the_first_width_at_which_all_converge_is_told():
    (claim,) = [c for c in GD1b().claims(table(KNOWN)) if c.name.startswith("m = 2")]
    assert claim.finds.endswith("all runs converge from k = 100 on")
    spoiled = np.array(KNOWN)
    spoiled[1, 4] = 0.98
    (claim,) = [c for c in GD1b().claims(table(spoiled)) if c.name.startswith("m = 2")]
    assert claim.finds.endswith("never all runs")


def test_a_run_goes_on_from_its_folder(tmp_path):
    experiment = GD1b.presets()["smoke"]
    lab = Lab(jax.random.key(0), folder=tmp_path)
    first = experiment.run(lab)
    units = sorted((tmp_path / "widths" / "units").iterdir())
    assert units
    times = [unit.stat().st_mtime_ns for unit in units]
    experiment.run(lab).identical(first)
    assert [unit.stat().st_mtime_ns for unit in units] == times
