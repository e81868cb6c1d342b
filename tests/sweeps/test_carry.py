"""What a finer grid takes over from a coarser one is what it would have computed itself."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxdip.sweeps import Grid, Narrow, Sweep, carry, finish
from jaxdip.sweeps._keeper import Memory

KEY = jax.random.key(5)


def draw(key, point):
    return {"x": jax.random.uniform(key) + point["a"], "up": jax.random.uniform(key) > 0.5}


def computed(described, keeper, told=None):
    devices = jax.local_devices()[:1]
    progress = None if told is None else told.append
    return finish(described, keeper, devices, {}, progress=progress)


@pytest.mark.parametrize("enough", [None, Narrow("up", 0.7, least=2)])
def test_units_of_shared_cells_are_taken_over_and_no_others(enough):
    coarse = Sweep.of(
        draw, {"a": [1.0, 4.0], "b": [1, 2]}, trials=5, key=KEY, block=2, enough=enough
    )
    grid = Grid.of({"a": [1.0, 2.0, 4.0], "b": [1, 2]})
    fine = dataclasses.replace(coarse, grid=grid)
    held, keeper, alone, told = Memory(), Memory(), Memory(), []
    before = computed(coarse, held)
    assert carry(coarse, held, fine, keeper) == len(held.done())
    # Again: all is there.
    assert carry(coarse, held, fine, keeper) == 0
    after = computed(fine, keeper, told)
    assert {point.unit.cell for point in told} == {2, 3}
    for name, x in before.outcomes.items():
        np.testing.assert_array_equal(after.outcomes[name][[0, 2]], x)
    for name, x in computed(fine, alone).outcomes.items():
        np.testing.assert_array_equal(after.outcomes[name], x)


def test_a_whole_number_is_not_the_float_that_is_equal_to_it():
    one = Sweep.of(draw, {"a": [1.0], "b": [1, 2]}, trials=2, key=KEY)
    other = dataclasses.replace(one, grid=Grid.of({"a": [1.0], "b": [1.0, 2.0]}))
    held = Memory()
    computed(one, held)
    assert carry(one, held, other, Memory()) == 0


def test_sweeps_that_differ_otherwise_share_nothing():
    one = Sweep.of(draw, {"a": [1.0]}, trials=2, key=KEY)
    other = Sweep.of(draw, {"a": [1.0]}, trials=3, key=KEY)
    with pytest.raises(ValueError, match="differ in trials, block, so they share no trials"):
        carry(one, Memory(), other, Memory())
