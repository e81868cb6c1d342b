"""Sweeps whose trials descend in the kernel: interpreted, against those of the plain loop."""

import re

import jax
import numpy as np
import pytest

from jaxdip.cli import main
from jaxdip.sweeps import sweep
from jaxdip.sweeps._kernels import in_tile
from jaxdip.trials import FusedTwoLayerTrial, TwoLayerTrial

FUSED = FusedTwoLayerTrial(interpret=True)
GRID = {"n": 4, "m": [1, 3], "k": 100, "steps": 60, "tolerance": 0.05, "step": [0.5, 1.0]}


def swept(trial, grid=GRID, lanes=0, **options):
    options = {"mesh": jax.local_devices()[:1], "key": jax.random.key(5), **options}
    return sweep(trial, grid, trials=6, block=3, lanes=lanes, **options)


@pytest.fixture(scope="module")
def fused():
    return swept(FUSED, lanes=8)


def test_a_fused_sweep_is_that_of_the_loop_up_to_rounding(fused):
    loop = swept(TwoLayerTrial())
    assert fused.provenance["fingerprint"]["kernel"] == "tiles of 8"
    assert set(loop.outcomes) == set(fused.outcomes)
    for name in ("result", "converged", "steps"):
        np.testing.assert_array_equal(fused[name], loop[name])
    for name in ("loss", "loss0", "error", "distance"):
        np.testing.assert_allclose(fused[name], loop[name], rtol=1e-8)
    # Some end by the tolerance and some by the limit, at steps of their own.
    assert set(np.unique(loop["converged"])) == {False, True}
    assert len(np.unique(loop["steps"])) > 5


def test_single_precision_ends_within_a_step_of_the_loop():
    grid = {**GRID, "dtype": "float32"}
    loop, fused = swept(TwoLayerTrial(), grid), swept(FUSED, grid, lanes=8)
    assert fused["loss"].dtype == np.float32
    assert np.max(np.abs(fused["steps"].astype(int) - loop["steps"])) <= 1
    np.testing.assert_allclose(fused["error"], loop["error"], rtol=1e-3)


def test_company_and_order_change_no_bit(fused):
    part = swept(FUSED, {**GRID, "m": [3]}, lanes=8)["loss"]
    np.testing.assert_array_equal(part[0], fused["loss"][1])
    both = swept(FUSED, lanes=8, mesh=jax.local_devices()[:1] * 2)["loss"]
    np.testing.assert_array_equal(both, fused["loss"])


def test_padded_sizes_are_powers_of_two():
    padded = {(1, 1): (1, 128), (8, 128): (8, 128), (9, 129): (16, 256), (5, 1000): (8, 1024)}
    for (m, k), sizes in padded.items():
        program = FUSED.program({"n": 5, "m": m, "k": k})
        assert (program.observations, program.width) == sizes


@pytest.mark.parametrize(
    ("point", "says"),
    [
        (
            {"m": 3, "k": 8193},
            r"M of 4 x 16384 numbers \(m = 3, k = 8193, padded\) is larger than what stays on "
            "chip, 32768 numbers in float64",
        ),
        ({"dynamics": "igahd"}, "got dynamics 'igahd' and p = 0"),
        ({"p": 0.5}, "got dynamics 'gd' and p > 0"),
        ({"k": 0}, "k is at least 1"),
    ],
)
def test_what_the_kernel_cannot_do_is_refused(point, says):
    with pytest.raises(ValueError, match=says):
        FUSED.program({"n": 4, "m": 2, "k": 30} | point)


def test_float32_fits_twice_as_many_numbers():
    program = FUSED.program({"n": 4, "m": 3, "k": 8193, "dtype": "float32"})
    assert (program.observations, program.width) == (4, 16_384)


def test_on_a_cpu_it_is_refused_before_anything_runs(tmp_path, capsys):
    with pytest.raises(ValueError, match="for GPUs and TPUs, and this process computes on a CPU"):
        swept(FusedTwoLayerTrial(), store=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    file = tmp_path / "s.toml"
    file.write_text('trial = "two-layer-fused"\ntrials = 2\n[grid]\nn = 3\nm = 2\nk = [8, 16]\n')
    for more in (["--show"], ["--out", str(tmp_path / "out")]):
        assert main(["sweep", str(file), *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "take TwoLayerTrial (trial = 'two-layer')" in line


@pytest.mark.parametrize(("platform", "call"), [("cuda", "triton"), ("tpu", "tpu_custom_call")])
def test_a_tile_lowers_for_devices_that_are_not_here(platform, call, key):
    if platform == "cuda" and jax.__version_info__ >= (0, 12):
        pytest.skip("JAX 0.12 lowers kernels for GPUs only where there is one")
    trial, point = FusedTwoLayerTrial(), {"n": 4, "m": 2, "k": 30, "dtype": "float32"}
    numbers = jax.tree.map(lambda x: x[None], trial.numbers(point))
    cell, ids = np.zeros(8, np.int32), np.arange(8, dtype=np.int32)

    def tile(numbers, keys, cell, ids):
        return in_tile(trial, trial.program(point), numbers, keys, cell, ids, 8)

    traced = jax.jit(tile).trace(numbers, key[None], cell, ids)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    (name,) = set(re.findall(r"custom_call @([\w$.]*(?:triton|tpu_custom)[\w$.]*)", text))
    assert call in name
