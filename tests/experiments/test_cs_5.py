"""The verdicts of Figure 5 of arXiv 2005.03991 turn when its numbers are spoiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from jaxdip.experiments import CS5
from jaxdip.experiments._cs_5 import _coil_images, _Coils, _psnr
from jaxdip.imaging import EllipsePhantom
from jaxdip.operators import MRI, centred_fft

STEPS = np.arange(101)
EXPERIMENT = CS5(size=8)


def made(rise=1.0):
    """Errors that fall and settle at `rise` times the least, in squares."""
    error = np.broadcast_to(1e-3 + np.exp(-STEPS / 5), (2, 2, 101)).copy()
    error[..., 60:] = rise * error.min()
    truth = np.ones((2, 2, 8, 8))
    dims = ("object", "acceleration")
    return xr.Dataset(
        {
            "train": ((*dims, "step"), error),
            "error": ((*dims, "step"), error),
            "truth": ((*dims, "row", "column"), truth),
            "kept": ((*dims, "row", "column"), truth + 0.01),
            "zero_filled": ((*dims, "row", "column"), truth + 0.1),
            "parameters": ("object", [200, 100]),
        },
        coords={"object": ["slice", "ellipses"], "acceleration": [4, 8], "step": STEPS},
    )


def verdicts(data):
    return {claim.name: claim.holds for claim in EXPERIMENT.claims(data)}


def test_a_settled_error_holds():
    assert list(verdicts(made()).values()) == [True, True, True]


@pytest.mark.parametrize(("rise", "holds"), [(1.4, True), (1.5, False)])
def test_the_rise_is_judged_in_norm(rise, holds):
    name = "the best early stop is only marginally better than going on"
    assert verdicts(made(rise))[name] is holds


def test_a_decoder_worse_than_zero_filling_or_too_small_is_seen():
    data = made()
    data["kept"][1, 0] += 0.2
    data["parameters"][1] = 60
    found = verdicts(data)
    assert not found["the decoder is better than zero-filling"]
    assert not found["the decoder is over-parametrised"]


def test_a_spike_at_the_end_does_not_hide_that_the_data_were_fitted():
    data = made()
    data["train"] = data.train.copy()
    data["train"][..., -1] = 0.5
    (claim,) = [c for c in EXPERIMENT.claims(data) if c.name.startswith("the decoder is over")]
    assert "falls to 0.001 of" in claim.finds


def test_the_reference_is_the_scanned_object():
    point = {"size": 32, "dtype": "float64", "noise": jnp.zeros(()), "coils": 3}
    ellipses = _coil_images(jax.random.key(0), {**point, "object": "ellipses"})
    expected = EllipsePhantom.shepp_logan().kspace((32, 32))
    np.testing.assert_allclose(centred_fft(ellipses[..., 0]), expected, atol=1e-12)
    coils = _coil_images(jax.random.key(0), {**point, "object": "slice"})
    assert coils.shape == (32, 32, 3)
    noisy = {**point, "object": "slice", "noise": jnp.asarray(0.5)}
    difference = _coil_images(jax.random.key(0), noisy) - coils
    ratio = jnp.linalg.norm(difference.ravel()) / jnp.linalg.norm(coils.ravel())
    assert float(ratio) == pytest.approx(0.5, rel=0.05)


def test_every_coil_is_measured_on_its_own():
    keep = jnp.arange(6) % 2 == 0
    mri = MRI(keep, shape=(4, 6), dtype="complex128")
    images = jax.random.normal(jax.random.key(0), (4, 6, 3), complex)
    y = _Coils(mri)(images)
    for coil in range(3):
        np.testing.assert_allclose(y[coil], mri(images[..., coil]), atol=1e-14)


def test_the_peak_is_the_truth_s_maximum():
    truth = np.array([[0.0, 2.0]])
    assert _psnr(truth + 0.2, truth) == pytest.approx(20)
