"""Wilson's interval against SciPy, and frequencies over cells of a sweep."""

import re

import jax
import numpy as np
import pytest
from scipy.stats import binomtest

from jaxdip.sweeps import Grid, SweepResult, wilson


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("trials", [1, 2, 7, 50, 1000])
def test_the_interval_is_scipys(trials, level):
    hits = np.unique(np.linspace(0, trials, 11).astype(int))
    low, high = wilson(hits, np.full(hits.shape, trials), level)
    for h, a, b in zip(hits, low, high, strict=True):
        right = binomtest(int(h), trials).proportion_ci(level, method="wilson")
        np.testing.assert_allclose((a, b), (right.low, right.high), rtol=1e-12, atol=1e-15)


def test_without_trials_nothing_is_known():
    low, high = wilson([0, 0], [0, 3])
    assert (low[0], high[0]) == (0, 1)
    assert high[1] < 1


def test_the_ends_are_exact():
    N = np.array([1, 3, 50, 10**6])
    assert np.all(wilson(np.zeros(4), N)[0] == 0)
    assert np.all(wilson(N, N)[1] == 1)


def test_it_keeps_the_shape_and_is_symmetric():
    hits = np.arange(12).reshape(3, 4)
    low, high = wilson(hits, np.full((3, 4), 11))
    assert low.shape == high.shape == (3, 4)
    np.testing.assert_allclose(low[::-1, ::-1], 1 - high, atol=1e-15)
    low, high = wilson(3, 10)
    assert low.shape == high.shape == ()


def test_a_wider_level_has_a_wider_interval():
    narrow, wide = wilson(3, 10, 0.5), wilson(3, 10, 0.99)
    assert wide[0] < narrow[0] < 0.3 < narrow[1] < wide[1]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((-1, 3), "between 0 and the number of trials"),
        ((4, 3), "between 0 and the number of trials"),
        ((1, 0), "between 0 and the number of trials"),
        ((1, 3, 0.0), "level is between 0 and 1, got 0.0"),
        ((1, 3, 1), "level is between 0 and 1, got 1"),
        ((1, 3, 95), "level is between 0 and 1, got 95"),
        ((1, 3, float("nan")), "level is between 0 and 1, got nan"),
    ],
)
def test_wrong_calls(arguments, line):
    with pytest.raises(ValueError, match=line):
        wilson(*arguments)


# --- frequencies and labels of a result --------------------------------------------------------


def result_of(grid, outcomes, done):
    closed = np.zeros(grid.shape, bool)
    return SweepResult(grid=grid, outcomes=outcomes, done=done, closed=closed, provenance={})


@pytest.fixture
def result():
    """Two cells of five trials and one of which none was done; of one of them two were."""
    grid = Grid.of({"name": ["a", "b"], "rate": [0.5, 1.5], "m": 2, "what": "x"})
    loss = np.asarray(jax.random.uniform(jax.random.key(0), (2, 2, 5)))
    done = np.ones((2, 2, 5), bool)
    done[0, 1] = False
    done[1, 0, 2:] = False
    outcomes = {
        "loss": np.where(done, loss, np.nan),
        "hit": (loss < 0.5) & done,
        "path": np.ones((2, 2, 5, 3, 4)),
    }
    return result_of(grid, outcomes, done)


def test_a_frequency_counts_what_was_done(result):
    found = result.frequency("hit")
    assert np.array_equal(found.trials, [[5, 0], [2, 5]])
    assert np.isnan(found.value[0, 1])
    assert (found.low[0, 1], found.high[0, 1]) == (0, 1)
    for cell in [(0, 0), (1, 0), (1, 1)]:
        N = int(found.trials[cell])
        hits = int(result["hit"][cell][:N].sum())
        right = binomtest(hits, N).proportion_ci(method="wilson")
        assert found.value[cell] == hits / N
        np.testing.assert_allclose(
            (found.low[cell], found.high[cell]), (right.low, right.high), atol=1e-14
        )


def test_a_condition_is_an_event(result):
    one, other = result.frequency("hit"), result.frequency(lambda o: o["loss"] < 0.5)
    np.testing.assert_array_equal(one.value, other.value)
    # What is true of a trial that was not done does not count.
    always = result.frequency(lambda o: np.ones(o["hit"].shape, bool))
    np.testing.assert_array_equal(always.value, np.where(always.trials > 0, 1, np.nan))
    np.testing.assert_array_equal(always.high, 1)


def test_what_is_no_event(result):
    with pytest.raises(ValueError, match="one Boolean a trial, got float64 of shape"):
        result.frequency("loss")
    with pytest.raises(ValueError, match="one Boolean a trial"):
        result.frequency(lambda o: o["hit"].any(-1))
    with pytest.raises(KeyError, match="no outcome 'los'; there are loss, hit, path"):
        result.frequency("los")


def test_the_dataset_is_labelled(result):
    data = result.to_xarray()
    assert data["loss"].dims == ("name", "rate", "trial")
    assert data["path"].dims == ("name", "rate", "trial", "path_0", "path_1")
    assert data["rate"].values.tolist() == [0.5, 1.5]
    assert data["trial"].values.tolist() == list(range(5))
    picked = data["loss"].sel(name="b", rate=1.5, trial=3).item()
    assert picked == result["loss"][1, 1, 3]
    assert data["done"].dtype == bool
    assert data.attrs == {"constant_m": 2, "constant_what": "x"}
    assert not result.complete


def test_a_single_cell_has_trials_only():
    done = np.ones(3, bool)
    data = result_of(Grid.of({}), {"x": np.arange(3.0)}, done).to_xarray()
    assert data["x"].dims == ("trial",)


@pytest.mark.parametrize(
    ("parameters", "outcome"), [({}, "done"), ({"rate": [0.1, 0.2]}, "rate"), ({}, "trial")]
)
def test_an_outcome_does_not_vanish_behind_a_label(parameters, outcome):
    grid = Grid.of(parameters)
    given = np.full((*grid.shape, 3), 7.0)
    made = result_of(grid, {outcome: given}, np.ones(given.shape, bool))
    # Either it is there, whatever its label, or it is refused by its name.
    try:
        kept = any(np.array_equal(x.values, given) for x in made.to_xarray().values())
    except ValueError as error:
        kept = re.search(rf"outcome.*{outcome}", str(error))
    assert kept


def test_an_axis_of_trials_is_told_from_the_trials():
    grid = Grid.of({"trial": [1, 2]})
    given = np.zeros((2, 3))
    with pytest.raises(ValueError, match="trial"):
        result_of(grid, {"x": given}, np.ones((2, 3), bool)).to_xarray()
