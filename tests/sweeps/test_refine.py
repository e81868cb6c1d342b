"""Crossings of a level, finer grids around them, and the rule that ends a cell."""

import itertools
import math
import pickle

import jax
import numpy as np
import pytest

import jaxdip.sweeps as sweeps
from jaxdip.sweeps import Frequency, Grid, sweep, wilson
from jaxdip.sweeps._refine import Crossing, Narrow, crossing, refined


def frequency(hits, trials):
    hits, N = np.broadcast_arrays(np.asarray(hits), np.asarray(trials))
    low, high = wilson(hits, N)
    return Frequency(np.where(N > 0, hits / np.maximum(N, 1), np.nan), low, high, N)


def places(found):
    return [each.at for each in found]


def test_a_crossing_by_hand():
    # From 0.2 at 2 to 0.8 at 3: half way. The upper end passes ½ between 1 and 2, at 1 + ½; the
    # lower end between 3 and 4, at 3 + 0.1/0.4.
    found = crossing(
        [1, 2, 3, 4],
        [0.1, 0.2, 0.8, 0.9],
        low=[0.0, 0.1, 0.4, 0.8],
        high=[0.4, 0.6, 0.9, 1.0],
    )
    (one,) = found
    np.testing.assert_allclose([one.at, one.low, one.high], [2.5, 1.5, 3.25], rtol=1e-14)


def test_geometric_axes_are_interpolated_in_the_logarithm():
    assert places(crossing([10, 100, 1000], [0, 0.25, 0.75])) == pytest.approx([10**2.5])
    assert places(crossing([10, 100, 1000], [0, 0.25, 0.75], log=False)) == pytest.approx([550])
    assert places(crossing([10, 20, 30], [0, 0.25, 0.75])) == pytest.approx([25])


def test_several_crossings_none_and_touching():
    assert places(crossing(range(5), [0, 1, 0, 1, 1])) == [0.5, 1.5, 2.5]
    assert crossing(range(3), [0.6, 0.9, 1.0]) == ()
    assert crossing(range(3), [0.9, 0.5, 0.9]) == ()
    assert crossing(range(2), [0.9, 0.5]) == ()
    # At the level over some cells: the middle of them.
    assert places(crossing(range(4), [1, 0.5, 0.5, 0])) == [1.5]
    assert places(crossing(range(3), [1, 0.5, 0])) == [1.0]


def test_an_interval_is_open_where_the_axis_ends_first():
    wide = {"low": [0, 0, 0.1], "high": [0.9, 1, 1]}
    assert crossing([0, 1, 2], [0.2, 0.4, 0.8], **wide)[0] == Crossing(
        pytest.approx(1.25), -math.inf, math.inf
    )
    assert crossing([0, 1], [0, 1])[0] == Crossing(0.5, -math.inf, math.inf)


def test_cells_without_trials_are_passed_over():
    p = [0, np.nan, 1]
    found = crossing([0, 1, 2], p, low=[0, 0, 1], high=[0, 1, 1])
    assert found == (Crossing(1.0, 1.0, 1.0),)
    assert crossing([0, 1], [np.nan, np.nan]) == ()


@pytest.mark.parametrize("seed", range(5))
def test_laws_of_crossings(seed):
    draws = np.random.default_rng(seed)
    x = draws.permutation(np.geomspace(1, 1e4, 12))
    many = frequency(draws.integers(0, 101, 12), 100)
    ends = {"low": many.low, "high": many.high}
    found = crossing(x, many.value, **ends)
    order = np.argsort(x)
    # The interpolated probability is at the level there, and in its interval up to the ends.
    u, p = np.log(x[order]), many.value[order]
    np.testing.assert_allclose(np.interp(np.log(places(found)), u, p), 0.5, rtol=1e-10)
    assert len(found) == np.count_nonzero(np.diff(np.sign(p[p != 0.5] - 0.5)))
    for one in found:
        inside = np.clip([one.low, one.high], x.min(), x.max())
        t = np.linspace(*np.log(inside), 200)[1:-1]
        assert (np.interp(t, u, many.low[order]) <= 0.5 + 1e-12).all()
        assert (np.interp(t, u, many.high[order]) >= 0.5 - 1e-12).all()
    # In another unit, upside down, and in another order.
    kwargs = {"low": 1 - many.high, "high": 1 - many.low}
    for same in (
        crossing(x, 1 - many.value, **kwargs),
        crossing(x[order], p, low=many.low[order], high=many.high[order]),
    ):
        np.testing.assert_allclose(
            [(a.at, a.low, a.high) for a in same],
            [(a.at, a.low, a.high) for a in found],
            rtol=1e-10,
        )
    scaled = crossing(7 * x, many.value, **ends)
    np.testing.assert_allclose(places(scaled), 7 * np.array(places(found)), rtol=1e-12)


def test_more_trials_give_a_shorter_interval():
    x, p = np.arange(9), np.linspace(0, 1, 9)
    spans = []
    for N in (80, 800, 8000):
        known = frequency(np.round(p * N).astype(int), N)
        (one,) = crossing(x, known.value, low=known.low, high=known.high)
        assert one.low < one.at < one.high
        spans.append(one.high - one.low)
    np.testing.assert_allclose(np.divide(spans[:-1], spans[1:]), math.sqrt(10), rtol=0.1)


def test_wrong_crossings():
    with pytest.raises(ValueError, match="two ends"):
        crossing([0, 1], [0, 1], low=[0, 1])
    with pytest.raises(ValueError, match=r"shape \(2,\).*shape \(3,\)"):
        crossing([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match="level"):
        crossing([0, 1], [0, 1], level=1)
    with pytest.raises(TypeError, match="no numbers"):
        crossing(["relu", "tanh"], [0, 1])
    with pytest.raises(ValueError, match="log=False"):
        crossing([0, 1], [0, 1], log=True)
    with pytest.raises(ValueError, match="repeats"):
        crossing([1, 1], [0, 1])
    with pytest.raises(ValueError, match="finite"):
        crossing([1, np.inf], [0, 1])


def test_a_finer_grid_by_hand():
    grid = Grid.of({"m": [1, 2], "k": [10, 100, 1000, 10000], "d": 500})
    known = frequency([[0, 0, 1000, 1000], [0, 0, 0, 1000]], 1000)
    finer = refined(grid, "k", known)
    # Geometric means of 100, 1000 and 10000: 316.2 and 3162.3.
    assert finer.axes == {"m": (1, 2), "k": (10, 100, 316, 1000, 3162, 10000)}
    assert finer.constants == grid.constants
    assert list(finer.axes) == ["m", "k"]
    assert {type(k) for k in finer.axes["k"]} == {int}
    assert refined(grid, "k", known, log=False).axes["k"] == (10, 100, 550, 1000, 5500, 10000)
    assert refined(grid, "m", known).axes["m"] == (1, 2)
    two = refined(grid, "k", known, points=2).axes["k"]
    assert two == (10, 100, 215, 464, 1000, 2154, 4642, 10000)


def test_old_cells_keep_their_keys():
    import jax

    grid = Grid.of({"a": [0.0, 1.0], "b": ["x", "y"]})
    finer = refined(grid, "a", frequency([[0, 0], [9, 9]], 9))
    assert finer.axes["a"] == (0.0, 0.5, 1.0)
    old, new = list(grid.points()), list(finer.points())
    assert all(point in new for point in old)
    key = jax.random.key(3)
    keys = {str(point): jax.random.key_data(sweeps.cell_key(key, point)).tolist() for point in new}
    for point in old:
        same = jax.random.key_data(sweeps.cell_key(key, point)).tolist()
        assert keys[str(point)] == same


def test_cells_whose_interval_holds_the_level_divide_both_gaps():
    grid = Grid.of({"a": [0.0, 1.0, 2.0, 3.0]})
    # 3 of 9 leaves ½ within the interval, 300 of 900 does not.
    assert refined(grid, "a", frequency([0, 3, 0, 0], 9)).axes["a"] == (0, 0.5, 1, 1.5, 2, 3)
    assert refined(grid, "a", frequency([0, 300, 0, 0], 900)) is grid
    # With another level it is passed.
    divided = refined(grid, "a", frequency([0, 300, 0, 0], 900), level=0.2).axes["a"]
    assert divided == (0, 0.5, 1, 1.5, 2, 3)


def test_cells_without_trials_divide_nothing():
    grid = Grid.of({"a": [0.0, 1.0, 2.0]})
    assert refined(grid, "a", frequency([0, 0, 0], 0)) is grid
    assert refined(grid, "a", frequency([0, 0, 99], [99, 0, 99])) is grid
    assert refined(grid, "a", frequency([5, 0, 99], [9, 0, 99])) is grid
    assert refined(Grid.of({"a": [1.0]}), "a", frequency([5], 9)).axes["a"] == (1.0,)


def test_whole_numbers_end_at_their_neighbours():
    grid = Grid.of({"n": [8, 4, 1]})
    known = frequency([99, 0, 0], 99)
    seen = []
    for _ in range(4):
        seen.append(grid.axes["n"])
        more = refined(grid, "n", known, points=3)
        hits = [99 * (n >= 6) for n in more.axes["n"]]
        grid, known = more, frequency(hits, 99)
    # 4·2^(1/4), 4·2^(1/2), 4·2^(3/4) are 4.76, 5.66 and 6.73.
    assert seen == [(8, 4, 1), (1, 4, 5, 6, 7, 8), (1, 4, 5, 6, 7, 8), (1, 4, 5, 6, 7, 8)]


def test_refining_again_and_again_finds_the_transition():
    grid, truth = Grid.of({"k": list(np.geomspace(10, 1e4, 4))}), 777.7
    for _ in range(20):
        k = np.array(grid.axes["k"])
        grid = refined(grid, "k", frequency(99 * (k > truth), 99))
    k = np.array(grid.axes["k"])
    assert (np.diff(k) > 0).all()
    assert len(k) == 24
    i = np.searchsorted(k, truth)
    # Each step halves the gap's logarithm, as far as 12 digits show it.
    assert math.log(k[i] / k[i - 1]) == pytest.approx(math.log(10) / 2**20, rel=1e-4)
    assert all(value == float(f"{value:.12g}") for value in k[(k > 100.1) & (k < 999.9)])


def test_wrong_refinements():
    grid = Grid.of({"a": [0.0, 1.0], "b": ["x", "y"], "c": [False, True]})
    known = frequency(np.zeros(grid.shape, int), 9)
    with pytest.raises(ValueError, match="no axis 'k'"):
        refined(grid, "k", known)
    with pytest.raises(TypeError, match="b holds no numbers"):
        refined(grid, "b", known)
    with pytest.raises(TypeError, match="c holds no numbers"):
        refined(grid, "c", known)
    with pytest.raises(ValueError, match=r"shape \(2,\) for a grid of shape \(2, 2, 2\)"):
        refined(grid, "a", frequency([0, 9], 9))
    with pytest.raises(ValueError, match="points"):
        refined(grid, "a", known, points=0)
    with pytest.raises(ValueError, match="level"):
        refined(grid, "a", known, level=0)
    with pytest.raises(ValueError, match="logarithm"):
        refined(grid, "a", known, log=True)


def outcomes(hits, N):
    return {"found": np.arange(N) < hits, "loss": np.where(np.arange(N) < hits, 0.0, 1.0)}


def test_a_cell_ends_when_its_interval_is_narrow():
    rule = Narrow("found", 0.2)
    # At ½ the interval is z/√(N + z²) wide: below 0.2 from N = 93 on.
    z = 1.959963984540054
    least = math.floor(z**2 / 0.2**2 - z**2) + 1
    assert least == 93
    for N in range(90, 100, 2):
        assert rule.enough(outcomes(N // 2, N)) == (least <= N)
    # All alike is known sooner: z²/(N + z²) from N = 16 on, but not before 20 trials.
    assert not rule.enough(outcomes(0, 19))
    assert rule.enough(outcomes(0, 20))
    assert rule.enough(outcomes(20, 20))
    early = Narrow("found", 0.2, least=1)
    assert [early.enough(outcomes(0, N)) for N in (15, 16)] == [False, True]
    assert not Narrow("found", 0.2, level=0.99).enough(outcomes(0, 20))


def test_the_event_may_be_a_condition():
    rule = Narrow(lambda o: o["loss"] < 0.5, 0.2)
    for hits, N in itertools.product((0, 10, 50), (50, 100, 200)):
        same = Narrow("found", 0.2).enough(outcomes(hits, N))
        assert rule.enough(outcomes(hits, N)) == same
    assert pickle.loads(pickle.dumps(Narrow("found", 0.2))) == Narrow("found", 0.2)


def test_wrong_rules():
    for width in (0, 1, -0.1):
        with pytest.raises(ValueError, match="width"):
            Narrow("found", width)
    with pytest.raises(ValueError, match="level"):
        Narrow("found", 0.1, level=95)
    with pytest.raises(ValueError, match="least"):
        Narrow("found", 0.1, least=0)
    with pytest.raises(KeyError, match="found, loss"):
        Narrow("lost", 0.1).enough(outcomes(1, 30))
    with pytest.raises(ValueError, match="Boolean a trial"):
        Narrow("loss", 0.1).enough(outcomes(1, 30))
    with pytest.raises(ValueError, match="Boolean a trial"):
        Narrow(lambda o: o["found"][1:], 0.1).enough(outcomes(1, 30))


def at_the_stop(rule, p, block, most):
    """Exactly: how often the interval at the stop covers p, and the mean frequency there."""
    step = np.array([math.comb(block, i) * p**i * (1 - p) ** (block - i) for i in range(block + 1)])
    running, cover, mean = np.ones(1), 0.0, 0.0
    for N in range(block, most + 1, block):
        running, hits = np.convolve(running, step), np.arange(N + 1)
        low, high = wilson(hits, N + 0 * hits)
        stop = (high - low < rule.width) & (rule.least <= N) | (most == N)
        cover += running[stop & (low <= p) & (p <= high)].sum()
        mean += (running * hits / N)[stop].sum()
        running = np.where(stop, 0, running)
    return cover, mean


@pytest.mark.parametrize(("width", "block"), [(0.3, 10), (0.2, 10), (0.2, 50), (0.1, 50)])
def test_what_stopping_costs_is_as_the_docstring_says(width, block):
    probabilities = np.linspace(0.02, 0.5, 49)
    found = [at_the_stop(Narrow("found", width), p, block, 1000) for p in probabilities]
    cover, mean = np.array(found).T
    assert cover.min() > 0.92
    assert cover.mean() > 0.95
    # Away from ½, and not at ½ itself.
    bias = mean - probabilities
    assert bias.min() > -0.015
    assert bias.max() < 0.001
    assert abs(bias[-1]) < 1e-12


def drawn(key, point):
    x = jax.random.uniform(key)
    return {"hit": x < point["q"], "x": x}


@pytest.mark.parametrize("devices", [1, 3])
def test_a_sweep_ends_cells_that_are_known_well_enough(devices, tmp_path):
    """What counts is the same whoever computed it, and what was computed beyond is left out."""
    settings = {"trials": 200, "block": 20, "key": jax.random.key(0), "enough": Narrow("hit", 0.2)}
    grid = {"q": [0.01, 0.5, 0.99, 0.8]}
    alone = sweep(drawn, grid, mesh=jax.devices()[:1], **settings)
    here = sweep(drawn, grid, mesh=jax.devices()[:devices], store=tmp_path, **settings)
    assert here.complete
    np.testing.assert_array_equal(here.done, alone.done)
    np.testing.assert_array_equal(here["x"], alone["x"])
    full = sweep(drawn, grid, **{**settings, "enough": None})
    for cell, closed in enumerate(here.closed):
        count = int(here.done[cell].sum())
        assert here.done[cell, :count].all()
        rule = settings["enough"]
        so_far = [rule.enough({"hit": full["hit"][cell, :n]}) for n in range(20, count + 1, 20)]
        assert so_far == [False] * (len(so_far) - 1) + [bool(closed)]
    assert here.done.sum() < 200 * 4
    again = sweep(drawn, grid, store=tmp_path, **settings)
    np.testing.assert_array_equal(again.done, here.done)
    with pytest.raises(ValueError, match="enough"):
        sweep(drawn, grid, store=tmp_path, **{**settings, "enough": Narrow("hit", 0.3)})
