"""Cells are known by their parameters: the grid around them changes nothing."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdip.sweeps import Grid, cell_key


def data(key):
    return np.asarray(jax.random.key_data(key)).tolist()


def test_lists_are_axes_and_the_rest_is_shared():
    grid = Grid.of({"m": [1, 2], "rate": np.array([0.5, 1.5, 2.5]), "loss": "mse", "on": True})
    assert grid.axes == {"m": (1, 2), "rate": (0.5, 1.5, 2.5)}
    assert grid.constants == {"loss": "mse", "on": True}
    assert grid.shape == (2, 3)
    assert len(grid) == 6


def test_points_in_order_are_the_cells():
    grid = Grid.of({"a": range(2), "b": ["x", "y", "z"], "c": (True, False), "d": 0.5})
    points = list(grid.points())
    assert len(points) == len(grid) == 12
    assert points == [grid.point(cell) for cell in range(12)]
    assert points[1] == {"a": 0, "b": "x", "c": False, "d": 0.5}
    assert points == [
        {"a": a, "b": b, "c": c, "d": 0.5}
        for a, b, c in itertools.product((0, 1), "xyz", (True, False))
    ]


def test_a_grid_without_axes_has_one_cell():
    assert len(Grid.of({})) == 1
    assert Grid.of({"m": 3}).point(0) == {"m": 3}
    assert list(Grid.of({"m": 3}).points()) == [{"m": 3}]


def test_a_cell_beyond_the_last_is_none():
    with pytest.raises(ValueError, match="out of bounds"):
        Grid.of({"m": [1, 2]}).point(2)


def test_values_are_pythons_own():
    grid = Grid.of(
        {
            "i": np.int32(3),
            "f": np.float32(0.5),
            "b": np.bool_(True),
            "j": jnp.asarray(2),
            "axis": np.arange(2, dtype=np.int8),
            "flags": np.array([True, False]),
            "names": np.array(["a", "b"]),
            "drawn": jnp.linspace(0, 1, 3),
        }
    )
    assert {name: type(x) for name, x in grid.constants.items()} == {
        "i": int,
        "f": float,
        "b": bool,
        "j": int,
    }
    kinds = {name: {type(x) for x in values} for name, values in grid.axes.items()}
    assert kinds == {"axis": {int}, "flags": {bool}, "names": {str}, "drawn": {float}}
    assert Grid.from_json(json.loads(json.dumps(grid.as_json()))) == grid


def test_one_float_makes_an_axis_of_floats():
    values = Grid.of({"m": [1, 2.5]}).axes["m"]
    assert values == (1.0, 2.5)
    assert {type(x) for x in values} == {float}


def test_a_grid_is_a_grid():
    grid = Grid.of({"m": [1, 2]})
    assert Grid.of(grid) is grid


@pytest.mark.parametrize(
    ("given", "error", "line"),
    [
        ([], ValueError, "k has no values; give one, or a list of them"),
        (np.zeros(0), ValueError, "k has no values"),
        ([1, 2, 1], ValueError, "k repeats a value"),
        ([1, 1.0], ValueError, "k repeats a value"),
        ([0.0, -0.0], ValueError, "k repeats a value"),
        ([1, "a"], TypeError, "k mixes int, str in one axis"),
        ([True, 2], TypeError, "k mixes bool, int in one axis"),
        ([1.0, float("nan")], ValueError, "k is a finite number, got nan"),
        (float("inf"), ValueError, "k is a finite number, got inf"),
        (None, TypeError, "k is a number, a string, a Boolean, or a list of them, got None"),
        ([None], TypeError, "k is a number"),
        ({1, 2}, TypeError, "k is a number"),
        (1j, TypeError, "k is a number"),
        ([[1, 2], [3, 4]], TypeError, "k is a number"),
        (np.ones((2, 2)), (TypeError, ValueError), "k is a number"),
        ([1, [2, 3]], (TypeError, ValueError), "k is a number"),
    ],
)
def test_wrong_axes(given, error, line):
    with pytest.raises(error, match=line):
        Grid.of({"k": given})


def test_parameters_have_names():
    with pytest.raises(TypeError, match="grid"):
        Grid.of([1, 2])


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_is_of_the_parameters(key):
    one = cell_key(key, {"m": 1, "rate": 0.5, "loss": "mse"})
    assert data(one) == data(cell_key(key, {"loss": "mse", "rate": 0.5, "m": 1}))
    others = [
        {"m": 2, "rate": 0.5, "loss": "mse"},
        {"m": 1, "rate": np.nextafter(0.5, 1).item(), "loss": "mse"},
        {"m": 1, "rate": 0.5, "loss": "huber"},
        {"m": 1, "rate": 0.5},
        {"m": True, "rate": 0.5, "loss": "mse"},
        {"m": 0.5, "rate": 1, "loss": "mse"},
    ]
    keys = [data(one), *(data(cell_key(key, other)) for other in others)]
    assert len({tuple(k) for k in keys}) == 7


def test_another_sweep_has_other_keys(key):
    point = {"m": 1}
    assert data(cell_key(key, point)) != data(cell_key(jax.random.fold_in(key, 1), point))


def test_paired_cells_share_their_key(key):
    one, other = {"m": 1, "rate": 0.5}, {"m": 1, "rate": 0.7}
    assert data(cell_key(key, one, ["rate"])) == data(cell_key(key, other, ["rate"]))
    assert data(cell_key(key, one)) != data(cell_key(key, other))
    assert data(cell_key(key, one, ["rate"])) != data(cell_key(key, {**one, "m": 2}, ["rate"]))


def test_all_cells_of_a_large_grid_have_their_own_key(key):
    grid = Grid.of({"n": range(1, 21), "m": range(1, 21), "k": [50, 100, 200], "rate": 0.1})
    keys = [cell_key(key, point) for point in grid.points()]
    assert len({tuple(data(k)) for k in keys}) == len(grid)


def test_a_key_is_typed():
    with pytest.raises(TypeError, match="one typed key, got int; make one by"):
        cell_key(0, {"m": 1})
