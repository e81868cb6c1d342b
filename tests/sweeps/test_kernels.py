"""Programs for many trials: the bits of a trial do not depend on its company."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdip.sweeps import (
    AbstractLoopTrial,
    AbstractPaddedTrial,
    _kernels,
    _sweep,
    cell_key,
    in_lanes,
    one_by_one,
    sweep,
)
from jaxdip.sweeps._kernels import begin_each, begun_apart

N, TRACES = 5, []


class Descent(AbstractLoopTrial):
    """Gradient descent of a two-layer fit; some trials end in a few steps, others in hundreds."""

    def program(self, point):
        return point["m"], point["k"]

    def numbers(self, point):
        names = ("rate", "limit", "poison")
        return {name: jnp.asarray(float(point[name])) for name in names}

    def begin(self, key, program, numbers):
        TRACES.append(program)
        m, k = program
        # One draw for all: a compilation of each takes half a second.
        drawn = jax.random.uniform(key, (m * N + N * k + N + 1,), minval=-1.7, maxval=1.7)
        A, V, x, p = jnp.split(drawn, [m * N, m * N + N * k, m * N + N * k + N])
        A, V = A.reshape(m, N) / N**0.5, V.reshape(N, k) / k**0.5
        y = A @ x
        bad = jnp.abs(p[0]) < numbers["poison"]
        y = jnp.where(bad, jnp.nan, y)
        state = {"M": A @ V, "y": y, "z": jnp.zeros(k), "steps": jnp.asarray(0, jnp.int32)}
        return {**state, **numbers, "loss": 0.5 * jnp.sum(y * y), "bad": bad}

    def running(self, state):
        more = state["steps"].astype(float) < state["limit"]
        return jnp.isfinite(state["loss"]) & (state["loss"] > 1e-6) & more

    def step(self, program, state):
        M, z = state["M"], state["z"]
        r = M @ jnp.tanh(z) - state["y"]
        z = z - state["rate"] * (1 - jnp.tanh(z) ** 2) * (r @ M)
        r = M @ jnp.tanh(z) - state["y"]
        return {**state, "z": z, "loss": 0.5 * jnp.sum(r * r), "steps": state["steps"] + 1}

    def outcome(self, program, state):
        return {name: state[name] for name in ("z", "loss", "steps", "bad")}


TRIAL, PROGRAM = Descent(), (2, 40)


def numbers(rate=0.5, limit=300, poison=0.0):
    return TRIAL.numbers({"rate": rate, "limit": limit, "poison": poison})


def stacked(*each):
    return jax.tree.map(lambda *xs: jnp.stack(xs), *each)


def ids(*which):
    return jnp.asarray(which, jnp.int32)


def host(outcomes):
    return {name: np.asarray(x) for name, x in outcomes.items()}


def assert_same_bits(one, other, where=slice(None)):
    assert one.keys() == other.keys()
    for name in one:
        x, y = np.asarray(one[name])[where], np.asarray(other[name])[where]
        assert x.dtype == y.dtype
        assert x.shape == y.shape
        assert x.tobytes() == y.tobytes(), name


def assert_close(one, other):
    assert np.array_equal(one["steps"], other["steps"])
    for name in ("z", "loss"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=1e-14)


# --- one by one ------------------------------------------------------------------------------


def test_a_trial_is_the_same_in_any_list(key):
    run = lambda which: host(one_by_one(TRIAL, PROGRAM, numbers(), key, ids(*which)))  # noqa: E731
    whole = run(range(12))
    assert whole["steps"].min() < whole["steps"].max()
    for which in ([5], [11, 3, 7, 7, 0], list(range(11, -1, -1))):
        assert_same_bits({name: x[which] for name, x in whole.items()}, run(which))


def test_a_trial_has_the_key_of_its_number(key):
    found = one_by_one(TRIAL, PROGRAM, numbers(limit=0), key, ids(3, 8))
    for i, loss in zip((3, 8), found["loss"], strict=True):
        state = TRIAL.begin(jax.random.fold_in(key, i), PROGRAM, numbers())
        np.testing.assert_allclose(loss, state["loss"], rtol=1e-14)


def test_a_sick_trial_is_alone_with_it(key):
    well = host(one_by_one(TRIAL, PROGRAM, numbers(), key, ids(*range(12))))
    mixed = host(one_by_one(TRIAL, PROGRAM, numbers(poison=0.4), key, ids(*range(12))))
    assert 0 < mixed["bad"].sum() < 12
    assert_same_bits(well, mixed, ~mixed["bad"])
    assert np.all(np.isnan(mixed["loss"][mixed["bad"]]))
    assert np.all(mixed["steps"][mixed["bad"]] == 0)


def test_floats_never_recompile(key):
    TRIAL_HERE = (3, 7)  # a program of this test's own
    one_by_one(TRIAL, TRIAL_HERE, numbers(), key, ids(0, 1))
    before = len(TRACES)
    for rate in (0.1, 0.2, 0.3):
        other = jax.random.fold_in(key, round(10 * rate))
        one_by_one(TRIAL, TRIAL_HERE, numbers(rate), other, ids(4, 5))
    assert len(TRACES) == before


# --- lanes -------------------------------------------------------------------------------------

WIDTH = 4
CELLS = ((0.5, 300), (0.2, 300), (0.5, 5))


@pytest.fixture(scope="module")
def lanes():
    """Trials of three cells in lanes, by their names (cell, id)."""
    keys = jax.random.split(jax.random.key(7), len(CELLS))
    given = stacked(*(numbers(*cell) for cell in CELLS))

    def run(jobs, width=WIDTH, given=given, **options):
        cell, which = zip(*jobs, strict=True)
        made = in_lanes(TRIAL, PROGRAM, given, keys, ids(*cell), ids(*which), width, **options)
        return host(made)

    run.keys = keys
    return run


JOBS = [(cell, i) for cell in range(len(CELLS)) for i in range(6)]


@pytest.fixture(scope="module")
def whole(lanes):
    return lanes(JOBS)


def test_lanes_are_one_by_one_up_to_rounding(lanes, whole):
    for c, cell in enumerate(CELLS):
        alone = one_by_one(TRIAL, PROGRAM, numbers(*cell), lanes.keys[c], ids(*range(6)))
        assert_close(host(alone), {name: x[6 * c : 6 * c + 6] for name, x in whole.items()})


@pytest.mark.parametrize("seed", range(4))
def test_the_order_changes_no_bit(lanes, whole, seed):
    order = np.random.default_rng(seed).permutation(len(JOBS))
    found = lanes([JOBS[j] for j in order])
    assert_same_bits({name: x[order] for name, x in whole.items()}, found)


@pytest.mark.parametrize("size", [1, 11])
def test_a_part_has_the_bits_of_the_whole(lanes, whole, size):
    for seed in range(3):
        part = np.random.default_rng(seed).choice(len(JOBS), size, replace=False)
        found = lanes([JOBS[j] for j in part])
        assert_same_bits({name: x[part] for name, x in whole.items()}, found)


def test_the_chunk_changes_no_bit(lanes, whole):
    assert_same_bits(whole, lanes(JOBS, chunk=7))


def test_the_number_of_cells_changes_no_bit(lanes, whole):
    one = stacked(numbers(*CELLS[0]))
    found = in_lanes(TRIAL, PROGRAM, one, lanes.keys[:1], ids(0, 0, 0, 0), ids(4, 0, 2, 2), WIDTH)
    assert_same_bits({name: x[[4, 0, 2, 2]] for name, x in whole.items()}, host(found))


def test_a_sick_lane_is_alone_with_it(lanes, whole):
    given = stacked(*(numbers(*cell, poison=0.4) for cell in CELLS))
    found = lanes(JOBS, given=given)
    assert 0 < found["bad"].sum() < len(JOBS)
    assert_same_bits(whole, found, ~found["bad"])
    assert np.all(np.isnan(found["loss"][found["bad"]]))


def test_all_lanes_may_be_sick(lanes):
    given = stacked(*(numbers(*cell, poison=99.0) for cell in CELLS))
    found = lanes(JOBS, given=given)
    assert np.all(found["bad"])
    assert np.all(found["steps"] == 0)


def test_one_lane_does_it_all(lanes, whole):
    assert_close(whole, lanes(JOBS, width=1))


def test_all_lanes_may_end_at_once(lanes):
    given = stacked(*(numbers(limit=5) for _ in CELLS))
    found = lanes(JOBS, given=given)
    assert np.all(found["steps"] <= 5)
    assert np.any(found["steps"] == 5)


def test_a_trial_that_never_starts_is_kept_as_it_began(lanes):
    given = stacked(numbers(limit=0), numbers(), numbers(limit=0))
    found = lanes(JOBS, given=given)
    idle = np.array([cell != 1 for cell, _ in JOBS])
    assert np.all(found["steps"][idle] == 0)
    assert np.all(found["z"][idle] == 0)
    assert np.all(found["steps"][~idle] > 0)
    none = lanes(JOBS, given=stacked(*(numbers(limit=0) for _ in CELLS)))
    assert np.all(none["steps"] == 0)
    assert_same_bits(found, none, idle)


# --- a sweep in lanes ----------------------------------------------------------------------------

GRID = {"rate": [0.5, 0.2], "m": [2, 1], "k": 40, "limit": [300.0, 5.0], "poison": 0.0}


def swept(lanes, block=3, **options):
    options = {"mesh": jax.local_devices()[:1], **options}
    key = jax.random.key(9)
    return sweep(TRIAL, GRID, trials=7, key=key, lanes=lanes, block=block, **options)


@pytest.fixture(scope="module")
def filled():
    return swept(WIDTH)


def test_a_sweep_in_lanes_is_one_by_one_up_to_rounding(filled):
    alone = swept(0)
    assert alone.provenance["fingerprint"]["kernel"] == "one by one"
    assert filled.provenance["fingerprint"]["kernel"] == "4 lanes, 63 trials"
    assert filled.complete
    assert filled["z"].shape == (2, 2, 2, 7, 40)
    assert_close(alone.outcomes, filled.outcomes)


@pytest.mark.parametrize("block", [2, 7])
def test_blocks_and_threads_change_no_bit_of_lanes(filled, tmp_path, block):
    device = jax.local_devices()[0]
    again = swept(WIDTH, block, mesh=[device] * 3, store=tmp_path)
    assert_same_bits(filled.outcomes, again.outcomes)


def test_interrupted_lanes_go_on_to_the_same_bits(filled, tmp_path):
    told = []
    stop = lambda: len(told) > 0  # noqa: E731
    part = swept(WIDTH, 2, store=tmp_path, worker=(1, 3), stop=stop, progress=told.append)
    assert 0 < part.done.sum() < part.done.size
    assert_same_bits(filled.outcomes, swept(WIDTH, 2, store=tmp_path).outcomes)


def test_lanes_are_filled_from_all_cells_of_a_program(monkeypatch):
    calls = []
    monkeypatch.setattr(_sweep, "in_lanes", lambda *a: calls.append(a) or in_lanes(*a))
    grid = {**GRID, "poison": [0.0, 0.1]}
    # Both programs, though cells of one do not follow one another, with 4 · 16 // 7 = 9 units.
    sweep(TRIAL, grid, trials=7, key=jax.random.key(0), lanes=4, mesh=jax.local_devices()[:1])
    assert [a[1] for a in calls] == [(2, 40), (1, 40)]
    assert all(int(a[-1]) == 8 * 7 for a in calls)


def walk(key, point):
    """A trial that is no loop of steps."""
    x = jax.random.uniform(key)
    return {"x": x, "y": jax.lax.while_loop(lambda v: v < 5, lambda v: 1.3 * v + point["a"], x)}


def test_other_trials_are_computed_in_tiles(tmp_path):
    options = {"trials": 5, "key": jax.random.key(1), "mesh": jax.local_devices()[:1]}
    grid = {"a": [0.1, 0.2, 0.3]}
    tiles = sweep(walk, grid, lanes=8, block=2, **options)
    assert tiles.provenance["fingerprint"]["kernel"] == "tiles of 8"
    alone = sweep(walk, grid, lanes=0, block=5, **options)
    assert tiles["x"].tobytes() == alone["x"].tobytes()
    np.testing.assert_allclose(tiles["y"], alone["y"], rtol=1e-13)
    parts = sweep(walk, grid, lanes=8, block=4, **options)
    assert parts["y"].tobytes() == tiles["y"].tobytes()


def test_lanes_are_a_whole_number():
    with pytest.raises(ValueError, match="lanes is a whole number, at least 0, got -1"):
        swept(-1)


def test_threads_that_need_one_program_trace_it_once():
    grid = {"rate": [0.5, 0.2, 0.3, 0.4], "m": 1, "k": 24, "limit": 3.0, "poison": 0.0}
    before = len(TRACES)
    one = swept_with(grid, jax.local_devices()[:1])
    alone = len(TRACES) - before
    assert alone > 0
    fresh = {**grid, "k": 25}
    before = len(TRACES)
    swept_with(fresh, jax.local_devices()[:1] * 4)
    assert len(TRACES) - before == alone
    assert_same_bits(one.outcomes, swept_with(grid, jax.local_devices()[:1] * 4).outcomes)


def swept_with(grid, mesh):
    return sweep(TRIAL, grid, trials=8, key=jax.random.key(2), block=1, mesh=mesh)


# --- begun apart -----------------------------------------------------------------------------


class _Shared(AbstractPaddedTrial):
    """z ← z/2 from a draw of `program` numbers, begun with at least eight."""

    def program(self, point):
        return point["size"]

    def numbers(self, point):
        return jnp.asarray(point["end"])

    def beginning(self, program):
        return max(program, 8)

    def cut(self, program, state):
        return {**state, "z": state["z"][:program]}

    def begin(self, key, program, numbers):
        BEGUN.append(program)
        return {"z": jax.random.normal(key, (program,)), "end": numbers}

    def running(self, state):
        return jnp.max(jnp.abs(state["z"])) > state["end"]

    def step(self, program, state):
        return {**state, "z": state["z"] / 2}

    def outcome(self, program, state):
        return {"z": state["z"][:3], "sum": jnp.sum(state["z"])}


BEGUN = []


def apart(size, which, key, end=0.01):
    trial = _Shared()
    return host(begun_apart(trial, size, jnp.asarray(end), key, ids(*which)))


def test_programs_that_begin_alike_are_begun_in_one_compiled_form(key):
    BEGUN.clear()
    for size in (3, 5, 8):
        apart(size, range(6), key)
    # Shapes are asked for too, which compiles nothing.
    compiled = begin_each._cached._cache_size()
    apart(4, range(6), key)
    assert set(BEGUN) == {8}
    assert begin_each._cached._cache_size() == compiled


def test_a_sweep_begins_padded_loops_apart(key):
    grid, options = {"size": [3, 5], "end": 0.01}, {"trials": 4, "key": key}
    whole = sweep(_Shared(), grid, **options)
    for cell, size in enumerate((3, 5)):
        made = apart(size, range(4), cell_key(key, {"size": size, "end": 0.01}))
        assert np.array_equal(whole["sum"][cell], made["sum"])


def test_begun_apart_a_trial_is_what_it_would_be_in_one(key):
    for size in (3, 8, 11):
        found = apart(size, range(6), key)
        for i in range(6):
            drawn = jax.random.normal(jax.random.fold_in(key, i), (max(size, 8),))[:size]
            halvings = max(0, int(np.ceil(np.log2(np.max(np.abs(drawn)) / 0.01))))
            np.testing.assert_allclose(found["z"][i], drawn[:3] / 2**halvings, rtol=1e-15)
            np.testing.assert_allclose(found["sum"][i], np.sum(drawn) / 2**halvings, rtol=1e-13)


def test_states_that_wait_take_bounded_memory_and_change_no_bit(key, monkeypatch):
    whole = apart(3, range(11), key)
    monkeypatch.setattr(_kernels, "_WAITING", 3 * (8 * 8 + 8))
    assert _kernels.together(_Shared(), 3, jnp.asarray(0.01), key, ids(*range(11))) == 3
    assert_same_bits(whole, apart(3, range(11), key))
    alone = apart(3, [7], key)
    assert_same_bits({name: x[7:8] for name, x in whole.items()}, alone)
