"""Images made of tiles: each tile is the run it would be alone, and tiles are blended."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
from jaxdip.reconstruction import tile_count, tile_shape
from jaxdip.reconstruction._tiles import _part, _ramp, _windows

SHAPE, TILE, OVERLAP = (9, 12), 6, 2
OPTIONS = {"steps": 6, "optimizer": "gd", "step_size": 0.05, "every": 2}


def network(key):
    """For one tile."""
    u = jnp.ones(3) / jnp.sqrt(3)
    return jd.TwoLayer(latent=3, width=8, out=(TILE, TILE), key=key), u


@pytest.fixture(scope="module")
def stated():
    keep = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 3 > 0
    operator = jd.operators.Mask(keep)
    x = jnp.sin(jnp.arange(float(keep.size))).reshape(SHAPE)
    return operator(x), operator, x


@pytest.fixture(scope="module")
def tiled(stated):
    y, operator, x = stated
    return tiles(y, operator, truth=x)


def tiles(y, operator, **options):
    return jd.reconstruct_tiles(
        y, operator, network, key=jax.random.key(3), tile=TILE, overlap=OVERLAP,
        **{**OPTIONS, **options},
    )  # fmt: skip


def test_a_pixel_of_one_tile_is_that_of_the_tile_alone(stated, tiled):
    y, operator, _ = stated
    assert tiled.total == tile_count(SHAPE, TILE, OVERLAP) == len(tiled.tiles) == 6
    assert tiled.shape == tile_shape(SHAPE, TILE) == (6, 6)
    assert [int(tile.steps) for tile in tiled.tiles] == [6] * 6
    window = tiled.tiles[2].window
    assert window == (slice(0, 6), slice(6, 12))
    data, part = _part(y, operator, window)
    key = jax.random.fold_in(jax.random.key(3), 2)
    alone = jd.reconstruct(data, part, network, key=key, **OPTIONS)
    np.testing.assert_array_equal(tiled.x[:3, 10:], alone.x[:3, 4:])


def test_a_pixel_of_several_tiles_is_their_weighted_mean(stated, tiled):
    """The corner pixel (3, 4) lies in rows 0–6, 3–9 and columns 0–6, 3–9, of overlap 3."""
    y, operator, _ = stated
    total, weights = 0.0, 0.0
    for i, tile in enumerate(tiled.tiles):
        rows, columns = tile.window
        if not (rows.start <= 3 < rows.stop and columns.start <= 4 < columns.stop):
            continue
        data, part = _part(y, operator, tile.window)
        key = jax.random.fold_in(jax.random.key(3), i)
        alone = jd.reconstruct(data, part, network, key=key, **OPTIONS).x
        row, column = 3 - rows.start, 4 - columns.start
        # In units of 1/3 the ramps rise 1, 2, then are 3; the same falling.
        down = min(3, row + 1 if rows.start else 3, TILE - row if rows.stop < 9 else 3)
        right = min(
            3, column + 1 if columns.start else 3, TILE - column if columns.stop < 12 else 3
        )
        total += down * right * float(alone[row, column])
        weights += down * right
    assert tiled.x[3, 4] == pytest.approx(total / weights, rel=1e-12)


def test_one_tile_is_the_whole_image():
    y = jnp.sin(jnp.arange(36.0)).reshape(6, 6)
    identity = jd.operators.Identity((6, 6))
    found = jd.reconstruct_tiles(
        y, identity, network, key=jax.random.key(1), tile=9, overlap=3, **OPTIONS
    )
    whole = jd.reconstruct(
        y, identity, network, key=jax.random.fold_in(jax.random.key(1), 0), **OPTIONS
    )
    np.testing.assert_array_equal(found.x, whole.x)
    np.testing.assert_allclose(found.x_average, whole.x_average, rtol=1e-14)
    assert found.notes == whole.notes
    assert found.stats.keys() == whole.stats.keys()


def test_an_ended_run_goes_on_to_the_same_bits(stated, tiled, tmp_path):
    y, operator, x = stated
    told = []

    def end(progress):
        told.append(progress)
        # In the third tile, of four records each.
        return np.bool_(len(told) == 10)

    # What another recovery left there is not taken for this one's.
    (tmp_path / "to" / "files").mkdir(parents=True)
    (tmp_path / "to" / "files" / "tile-4.npz").write_bytes(b"of another recovery")
    part = tiles(y, operator, truth=x, watch=end, checkpoint=tmp_path / "to" / "files")
    assert len(part.tiles) == 3
    assert part.tiles[-1].reason.startswith("the caller ended the run")
    assert np.isnan(part.x[-1, -1])
    np.testing.assert_array_equal(part.x[:3, :3], tiled.x[:3, :3])
    again = tiles(y, operator, truth=x, checkpoint=tmp_path / "to" / "files", resume=True)
    for name in ("x", "x_last", "x_average"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tiled, name))


def test_what_is_refused_leaves_earlier_checkpoints_alone(stated, tmp_path):
    y, operator, _ = stated
    earlier = tmp_path / "tile-0.npz"
    earlier.write_bytes(b"of another recovery")

    def refuse(memory):
        raise MemoryError("too large")

    with pytest.raises(MemoryError):
        tiles(y, operator, before=refuse, checkpoint=tmp_path)
    with pytest.raises(TypeError, match="step"):
        tiles(y, operator, step=3, checkpoint=tmp_path)
    # The last tile alone has no measured pixel.
    keep = np.ones(SHAPE, bool)
    keep[3:, 6:] = False
    few = jd.operators.Mask(keep)
    with pytest.raises(ValueError, match="rows 3:9 and columns 6:12 has no measured pixel"):
        tiles(few(jnp.ones(SHAPE)), few, checkpoint=tmp_path)
    assert earlier.read_bytes() == b"of another recovery"


def test_rules_may_depend_on_the_data_of_a_tile(stated):
    y, operator, _ = stated
    sizes = []

    def rules(data):
        sizes.append(data.size)
        return {"discrepancy": jd.stopping.Discrepancy(100.0 * data.size**0.5)}

    found = tiles(y, operator, stop=rules)
    inside = [int((np.asarray(_part(y, operator, t.window)[1].index)).size) for t in found.tiles]
    assert sizes == inside
    assert [tile.chosen for tile in found.tiles] == [{"discrepancy": 0}] * 6


@pytest.mark.parametrize(
    ("side", "tile", "overlap"), [(14, 10, 3), (40, 10, 3), (9, 10, 3), (31, 8, 0)]
)
def test_weights_of_tiles(side, tile, overlap):
    """Every pixel is in a tile, tiles are whole, and a pixel that two share belongs to both."""
    found = _windows(side, tile, overlap)
    assert found[0].start == 0
    assert found[-1].stop == side
    assert all(w.stop - w.start == min(tile, side) for w in found)
    assert all(a.stop - b.start >= overlap for a, b in itertools.pairwise(found))
    total = np.zeros(side)
    for i, w in enumerate(found):
        total[w] += _ramp(i, found, overlap)
    assert (total > 0).all()
    if all(a.stop - b.start == overlap for a, b in itertools.pairwise(found)):
        np.testing.assert_allclose(total, 1)


def test_a_part_of_a_mask_sees_its_part_of_the_data(stated):
    y, operator, x = stated
    window = (slice(1, 4), slice(2, 6))
    data, part = _part(y, operator, window)
    np.testing.assert_array_equal(part(x[window]), data)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"overlap": 3}, ValueError, "less than half, got overlap=3 of tile=6"),
        ({"tile": 1}, ValueError, "tile is a whole number, at least 2, got 1"),
        ({"seeds": 2}, TypeError, "takes no seeds="),
        ({"resume": True}, ValueError, "give checkpoint="),
        ({"step": 3}, TypeError, "step"),
        (
            {"operator": jd.operators.Blur.gaussian(SHAPE, 1.0, 1)},
            TypeError,
            "got Blur, which mixes",
        ),
        ({"operator": jd.operators.Identity(5), "y": jnp.ones(5)}, ValueError, "those of images"),
        (
            {"operator": jd.operators.Mask(np.eye(12, dtype=bool)[:9] > 0), "y": jnp.ones(9)},
            ValueError,
            "rows 0:6 and columns 6:12 has no measured pixel",
        ),
    ],
)
def test_wrong_calls(stated, options, error, says):
    y, operator, _ = stated
    given = {"y": y, "operator": operator, "tile": TILE, "overlap": OVERLAP, **OPTIONS, **options}
    with pytest.raises(error, match=says):
        jd.reconstruct_tiles(
            given.pop("y"), given.pop("operator"), network, key=jax.random.key(0), **given
        )
