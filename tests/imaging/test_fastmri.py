"""Files in fastMRI's layout are read whole or by the slice; others are refused in one line."""

import h5py
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd
import jaxdip.imaging as im


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def _write(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            if values is not None:
                file.create_dataset(name, data=values)
        file.attrs["acquisition"] = "CORPD_FBK"
        file.attrs["max"] = np.float64(0.5)
        file.attrs["patient_id"] = np.bytes_(b"0abc")
    return path


def _complex(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def test_a_multi_coil_file_comes_back(tmp_path, rng):
    kspace = _complex(rng, 3, 2, 6, 4)
    target = rng.random((3, 4, 4)).astype(np.float32)
    mask = np.array([1, 0, 1, 1], np.float32)
    header = "<ismrmrdHeader/>"
    path = _write(
        tmp_path / "file1.h5",
        kspace=kspace,
        reconstruction_rss=target,
        mask=mask,
        ismrmrd_header=header,
    )
    found = im.read_fastmri(path)
    np.testing.assert_array_equal(found.kspace, kspace)
    assert found.kspace.dtype == np.complex64
    np.testing.assert_array_equal(found.target, target)
    np.testing.assert_array_equal(found.mask, [True, False, True, True])
    assert found.attributes == {"acquisition": "CORPD_FBK", "max": 0.5, "patient_id": "0abc"}
    assert (found.name, found.source) == ("file1", str(path))
    one = im.read_fastmri(path, slice=-1)
    np.testing.assert_array_equal(one.kspace, kspace[2])
    np.testing.assert_array_equal(one.target, target[2])


def test_a_single_coil_file_has_one_coil(tmp_path, rng):
    kspace, target = _complex(rng, 3, 6, 4), rng.random((3, 4, 4))
    path = _write(tmp_path / "s.h5", kspace=kspace, reconstruction_esc=target)
    found = im.read_fastmri(path)
    np.testing.assert_array_equal(found.kspace, kspace[:, None])
    assert found.mask is None
    one = im.read_fastmri(path, slice=1)
    np.testing.assert_array_equal(one.kspace, kspace[1][None])
    np.testing.assert_array_equal(one.target, target[1])
    assert im.read_fastmri(_write(tmp_path / "t.h5", kspace=kspace)).target is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kspace": None}, "no dataset 'kspace', found mask, reconstruction_rss"),
        ({"kspace": np.ones((4, 4), complex)}, r"shape \(4, 4\), expected \(slices, coils"),
        ({"kspace": np.ones((2, 1, 4, 4))}, "expected complex"),
        ({"kspace": np.full((2, 1, 4, 4), np.nan, complex)}, "32 values of kspace are NaN"),
        ({"kspace": np.ones((2, 1, 4, 0), complex)}, "shape"),
        ({"mask": np.ones(5)}, r"shape \(5,\), expected \(4,\)"),
        ({"mask": np.array([1, np.nan, 0, 0])}, "1 values of mask"),
        ({"reconstruction_rss": np.ones((3, 4, 4))}, r"reconstruction_rss of shape \(3, 4, 4\)"),
        ({"reconstruction_rss": np.full((2, 4, 4), np.inf)}, "reconstruction_rss are NaN"),
    ],
)
def test_another_layout_is_refused(tmp_path, changes, message):
    good = {
        "kspace": np.ones((2, 1, 4, 4), complex),
        "mask": np.ones(4),
        "reconstruction_rss": np.ones((2, 4, 4)),
    }
    path = _write(tmp_path / "f.h5", **(good | changes))
    with pytest.raises(ValueError, match=message):
        im.read_fastmri(path)


def test_what_is_no_file_or_slice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        im.read_fastmri(tmp_path / "f.h5")
    (tmp_path / "f.h5").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not an HDF5 file"):
        im.read_fastmri(tmp_path / "f.h5")
    path = _write(tmp_path / "g.h5", kspace=np.ones((2, 1, 4, 4), complex))
    for number in (2, -3):
        with pytest.raises(ValueError, match=f"no slice {number}, there are 2"):
            im.read_fastmri(path, slice=number)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "jaxdip\[mri\]"'):
        im.read_fastmri(tmp_path / "f.h5")


def test_from_the_file_to_an_image(tmp_path, key):
    side = 16
    across = np.linspace(-1, 1, side)
    x = jnp.asarray(np.exp(-np.add.outer(across**2, across**2)), jnp.complex64)
    maps = jd.operators.birdcage_maps(3, (side, side), dtype=jnp.complex64)
    kspace = jd.operators.centred_fft(maps * x)
    scan = im.read_fastmri(_write(tmp_path / "f.h5", kspace=np.asarray(kspace)[None]), slice=0)
    read = jnp.asarray(scan.kspace)
    keep = jd.operators.cartesian_mask(read.shape[-2:], 2, None, key)
    estimated = jd.operators.estimate_sensitivities(read, calibration=side)
    A = jd.operators.MRI(keep, sensitivities=estimated, dtype=read.dtype)
    y = A.sample(read)
    # Up to what the estimate blurs, the coils' data are those of one image.
    everything = jd.operators.MRI(jnp.ones_like(keep), sensitivities=estimated, dtype=read.dtype)
    image = everything.adjoint(everything.sample(read))
    assert float(jnp.linalg.norm((A(image) - y).ravel())) < 0.1 * float(jnp.linalg.norm(y.ravel()))

    def network(key):
        g = jd.DeepDecoder(
            channels=8,
            start=(2, 2),
            grid=(side, side),
            layers=3,
            complex=True,
            key=key,
            dtype="float32",
        )
        return g, g.latent(key)

    found = jd.reconstruct(y, A, network, key=key, steps=40, step_size=0.02, optimizer="adam")
    assert found.x.shape == (side, side)
    assert jnp.iscomplexobj(found.x)
    assert float(found.trace["residual"][-1]) < 0.5 * float(jnp.linalg.norm(y.ravel()))
