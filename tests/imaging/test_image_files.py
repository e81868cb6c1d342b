"""Images survive a way through files, and what is no image is refused in one line."""

import hashlib
import logging
import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from PIL import ImageOps

import jaxdip.imaging as im
from jaxdip.imaging import _png
from jaxdip.imaging._held_back import held_back


def _samples(rng, dtype, *channels, shape=(9, 13)):
    if np.dtype(dtype).kind == "f":
        return rng.random((*shape, *channels)).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, (*shape, *channels), dtype, endpoint=True)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("channels", [(), (3,)], ids=["gray", "colour"])
@pytest.mark.parametrize(
    ("ending", "bits"), [("png", 8), ("png", 16), ("tif", 8), ("tiff", 16), ("npy", 8), ("npy", 16)]
)
def test_integer_images_come_back_exactly(tmp_path, rng, channels, ending, bits):
    stored = _samples(rng, np.uint8 if bits == 8 else np.uint16, *channels)
    path = tmp_path / f"picture.{ending}"
    im.write_image(path, stored / (2.0**bits - 1), bits=bits)
    image = im.read_image(path)
    assert image.pixels.dtype == np.float64
    assert (image.bits, image.name, image.source) == (bits, "picture", str(path))
    np.testing.assert_array_equal(image.pixels * image.scale, stored)
    assert image.scale == 2.0**bits - 1


@pytest.mark.parametrize("ending", ["tiff", "npy"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_come_back_exactly_or_scaled_by_their_maximum(tmp_path, rng, ending, dtype):
    stored = _samples(rng, dtype, 3)
    path = tmp_path / f"f.{ending}"
    im.write_image(path, stored, bits=None)
    image = im.read_image(path)
    np.testing.assert_array_equal(image.pixels, stored.astype(np.float64))
    assert (image.bits, image.scale) == (None, 1.0)
    im.write_image(path, dtype(1000) * stored, bits=None)
    larger = im.read_image(path)
    assert larger.pixels.max() == 1.0
    np.testing.assert_allclose(larger.pixels * larger.scale, 1000 * stored, rtol=1e-6)


def test_jpeg_is_near(tmp_path):
    ramp = np.linspace(0, 1, 64)[:, None] * np.ones((64, 64))
    im.write_image(tmp_path / "r.jpg", ramp)
    assert np.abs(im.read_image(tmp_path / "r.jpg").pixels - ramp).max() < 3 / 255


def test_values_are_clipped_and_rounded_not_truncated(tmp_path):
    im.write_image(tmp_path / "c.npy", np.array([[-0.5, 0.4999 / 255, 0.5001 / 255, 3.0]]))
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), [[0, 0, 1, 255]])


def test_alpha_is_composited_on_white(tmp_path, rng):
    rgba = _samples(rng, np.uint8, 4)
    Pillow.fromarray(rgba).save(tmp_path / "a.png")
    alpha = rgba[..., 3:] / 255
    expected = alpha * (rgba[..., :3] / 255) + 1 - alpha
    np.testing.assert_allclose(im.read_image(tmp_path / "a.png").pixels, expected, atol=1e-12)
    Pillow.fromarray(rgba[..., :2].copy(), "LA").save(tmp_path / "la.png")
    expected = rgba[..., 1] / 255 * (rgba[..., 0] / 255) + 1 - rgba[..., 1] / 255
    np.testing.assert_allclose(im.read_image(tmp_path / "la.png").pixels, expected, atol=1e-12)


def test_colours_multiplied_by_alpha_are_not_multiplied_again(tmp_path):
    """Half-transparent red, stored straight and premultiplied, is one image on white."""
    straight = np.full((4, 5, 4), (200, 0, 0, 51), np.uint8)
    multiplied = np.full((4, 5, 4), (40, 0, 0, 51), np.uint8)
    for name, values, kind in (("s", straight, "unassalpha"), ("m", multiplied, "assocalpha")):
        options = {"photometric": "rgb", "extrasamples": [kind]}
        tifffile.imwrite(tmp_path / f"{name}.tif", values, **options)
        pixels = im.read_image(tmp_path / f"{name}.tif").pixels
        np.testing.assert_allclose(pixels[0, 0] * 255, [244, 204, 204], atol=1e-9)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_images_are_put_upright(tmp_path, rng, orientation):
    """PNG by Pillow and TIFF by the tag, each as Pillow's own transposition has it."""
    stored = _samples(rng, np.uint8, 3)
    exif = Pillow.Exif()
    exif[0x112] = orientation
    Pillow.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    tags = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extratags=tags)
    with Pillow.open(tmp_path / "a.png") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture)) / 255
    assert expected.shape[:2] == ((13, 9) if orientation > 4 else (9, 13))
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(im.read_image(tmp_path / name).pixels, expected)


def test_what_decoders_say_is_heard_only_of_files_that_are_read(tmp_path, caplog, capfd):
    """A damaged file is one error and no warning beside it."""
    im.write_image(tmp_path / "a.tif", np.ones((4, 4)))
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:8])
    with pytest.raises(ValueError, match="no page in it"):
        im.read_image(tmp_path / "b.tif")
    assert not caplog.records
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("default")
def test_what_is_held_back_comes_out_at_the_end(recwarn, caplog):
    with held_back("tifffile"):
        logging.getLogger("tifffile").warning("a doubtful tag")
        warnings.warn("a doubtful profile", UserWarning, stacklevel=1)
        assert not caplog.records
        assert not recwarn
    assert [str(one.message) for one in recwarn] == ["a doubtful profile"]
    assert [record.message for record in caplog.records] == ["a doubtful tag"]


def test_palettes(tmp_path, rng):
    colours = Pillow.fromarray(_samples(rng, np.uint8, 3)).quantize(16)
    colours.save(tmp_path / "p.png")
    expected = np.asarray(colours.convert("RGB")) / 255
    np.testing.assert_array_equal(im.read_image(tmp_path / "p.png").pixels, expected)
    gray = Pillow.fromarray(_samples(rng, np.uint8)).convert("P")
    gray.save(tmp_path / "g.png")
    expected = np.asarray(gray.convert("L")) / 255
    np.testing.assert_array_equal(im.read_image(tmp_path / "g.png").pixels, expected)
    table = rng.integers(0, 2**16, (3, 256), np.uint16)
    index = _samples(rng, np.uint8)
    tifffile.imwrite(tmp_path / "p.tif", index, photometric="palette", colormap=table)
    expected = np.moveaxis(table[:, index], 0, -1) / 65535
    np.testing.assert_array_equal(im.read_image(tmp_path / "p.tif").pixels, expected)


def test_black_and_white(tmp_path, rng):
    bits = rng.random((9, 13)) < 0.5
    Pillow.fromarray(bits).save(tmp_path / "b.png")
    np.testing.assert_array_equal(im.read_image(tmp_path / "b.png").pixels, bits)
    np.save(tmp_path / "b.npy", bits)
    np.testing.assert_array_equal(im.read_image(tmp_path / "b.npy").pixels, bits)


def test_tiff_kinds(tmp_path, rng):
    gray = _samples(rng, np.uint16)
    tifffile.imwrite(tmp_path / "w.tif", gray, photometric="miniswhite")
    np.testing.assert_array_equal(im.read_image(tmp_path / "w.tif").pixels * 65535, 65535 - gray)
    planes = rng.integers(0, 2**16, (3, 9, 13), np.uint16)
    tifffile.imwrite(tmp_path / "s.tif", planes, photometric="rgb", planarconfig="separate")
    read = im.read_image(tmp_path / "s.tif").pixels
    np.testing.assert_array_equal(read * 65535, np.moveaxis(planes, 0, -1))
    Pillow.fromarray(_samples(rng, np.uint8, 3)).save(tmp_path / "l.tif", compression="tiff_lzw")
    with Pillow.open(tmp_path / "l.tif") as picture:
        expected = np.asarray(picture) / 255
    np.testing.assert_array_equal(im.read_image(tmp_path / "l.tif").pixels, expected)


def _png_rows(samples, kinds):
    """The samples of a PNG filtered row by row, straight from the specification."""
    rows, _, channels = samples.shape
    step = 2 * channels
    lines = samples.astype(">u2").reshape(rows, -1).view(np.uint8).astype(int)
    out = bytearray()
    for i in range(rows):
        out.append(kinds[i % len(kinds)])
        for j in range(lines.shape[1]):
            a = lines[i, j - step] if j >= step else 0
            b = lines[i - 1, j] if i else 0
            c = lines[i - 1, j - step] if i and j >= step else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            guess = (0, a, b, (a + b) // 2, paeth)[kinds[i % len(kinds)]]
            out.append((lines[i, j] - guess) % 256)
    return bytes(out)


def _png_file(samples, body, interlaced=0, extra=()):
    height, width, channels = samples.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, interlaced)
    parts = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kinds", [(0,), (1,), (2,), (3,), (4,), (4, 1, 3, 0, 2)], ids=str)
def test_deep_png_undoes_every_filter(rng, channels, kinds):
    samples = _samples(rng, np.uint16, channels, shape=(11, 5))
    data = _png_file(samples, _png_rows(samples, kinds))
    np.testing.assert_array_equal(_png.decode_png16(data), samples)


@pytest.mark.parametrize("shape", [(11, 5), (1, 1), (8, 17), (3, 2)])
def test_deep_png_interlaced(rng, shape):
    samples = _samples(rng, np.uint16, 3, shape=shape)
    grid = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    passes = [samples[i::di, j::dj] for i, j, di, dj in [*grid, (1, 0, 2, 1)]]
    body = b"".join(_png_rows(block, (4, 3)) for block in passes if block.size)
    data = _png_file(samples, body, interlaced=1)
    np.testing.assert_array_equal(_png.decode_png16(data), samples)


def test_deep_png_is_read_by_others(tmp_path, rng):
    """Pillow keeps 16 bits of gray, and the upper 8 of colour."""
    gray = _samples(rng, np.uint16)
    im.write_image(tmp_path / "g.png", gray / 65535.0, bits=16)
    colour = _samples(rng, np.uint16, 3)
    im.write_image(tmp_path / "c.png", colour / 65535.0, bits=16)
    with Pillow.open(tmp_path / "g.png") as g, Pillow.open(tmp_path / "c.png") as c:
        np.testing.assert_array_equal(np.asarray(g), gray)
        np.testing.assert_array_equal(np.asarray(c), colour >> 8)
    Pillow.fromarray(gray).save(tmp_path / "p.png")
    np.testing.assert_array_equal(im.read_image(tmp_path / "p.png").pixels * 65535, gray)


def test_deep_png_transparent_colour_becomes_white(tmp_path, rng):
    samples = _samples(rng, np.uint16, 3)
    key = samples[2, 3].astype(">u2").tobytes()
    data = _png_file(samples, _png_rows(samples, (1,)), extra=[(b"tRNS", key)])
    (tmp_path / "t.png").write_bytes(data)
    pixels = im.read_image(tmp_path / "t.png").pixels
    assert (pixels[2, 3] == 1).all()
    np.testing.assert_array_equal(pixels[0, 0] * 65535, samples[0, 0])


def _bad_files(folder):
    rng = np.random.default_rng(0)
    good = folder / "good.png"
    im.write_image(good, rng.random((20, 20, 3)), bits=16)
    shallow = folder / "shallow.png"
    im.write_image(shallow, rng.random((20, 20)))
    tiff = folder / "good.tif"
    im.write_image(tiff, rng.random((20, 20)), bits=16)
    flipped = bytearray(good.read_bytes())
    flipped[200] ^= 255
    arrays = {
        "nan.npy": np.array([[0.0, np.nan]]),
        "complex.npy": np.ones((2, 2), complex),
        "four.npy": np.ones((2, 2, 2, 2)),
        "line.npy": np.ones(5),
        "five.npy": np.ones((4, 4, 5)),
        "nothing.npy": np.ones((0, 4)),
        "negative.npy": np.array([[-1.0, 1.0]]),
        "wide.npy": np.ones((2, 2), np.int64),
        "words.npy": np.array([["a", "b"]]),
    }
    for name, values in arrays.items():
        np.save(folder / name, values)
    np.save(folder / "object.npy", np.array([[None]]), allow_pickle=True)
    (folder / "flipped.png").write_bytes(flipped)
    (folder / "short.png").write_bytes(good.read_bytes()[:150])
    (folder / "short8.png").write_bytes(shallow.read_bytes()[:100])
    (folder / "short.tif").write_bytes(tiff.read_bytes()[:100])
    (folder / "short.npy").write_bytes((folder / "five.npy").read_bytes()[:140])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_bytes(b"once upon a time")
    (folder / "folder.png").mkdir()
    tifffile.imwrite(
        folder / "pages.tif", np.zeros((4, 20, 20), np.uint8), photometric="minisblack"
    )
    Pillow.fromarray(np.zeros((8, 8, 4), np.uint8), "CMYK").save(folder / "cmyk.tif")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing.png", "no such file"),
        ("folder.png", "a folder"),
        ("empty.png", "is empty"),
        ("text.png", "not an image"),
        ("flipped.png", "damaged"),
        ("short.png", "ends within"),
        ("short8.png", "damaged"),
        ("short.tif", "damaged"),
        ("short.npy", "short.npy"),
        ("pages.tif", "4 pages"),
        ("cmyk.tif", "expected gray, RGB"),
        ("nan.npy", "1 values are NaN"),
        ("complex.npy", "complex"),
        ("four.npy", r"shape \(2, 2, 2, 2\), expected"),
        ("line.npy", r"shape \(5,\), expected"),
        ("five.npy", "5 channels"),
        ("nothing.npy", "no pixels"),
        ("negative.npy", "negative"),
        ("wide.npy", "int64"),
        ("words.npy", "samples of type"),
        ("object.npy", "object.npy"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(tmp_path, name, says):
    _bad_files(tmp_path)
    with pytest.raises(ValueError, match=says) as caught:
        im.read_image(tmp_path / name)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / name))
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "pixels", "bits", "says"),
    [
        ("a.bmp", np.ones((2, 2)), 8, "ending '.bmp'"),
        ("a", np.ones((2, 2)), 8, "ending 'missing'"),
        ("a.png", np.ones((2, 2)), 12, "bits is 8, 16 or None"),
        ("a.jpg", np.ones((2, 2)), 16, "JPEG cannot hold 16 bits"),
        ("a.png", np.ones((2, 2)), None, "PNG cannot hold floating point"),
        ("a.png", np.ones((2, 2, 4)), 8, "shape"),
        ("a.png", np.ones((2, 2), int), 8, "floating point"),
        ("a.png", np.full((2, 2), np.nan), 8, "4 pixels are NaN"),
        ("none/a.png", np.ones((2, 2)), 8, "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, pixels, bits, says):
    with pytest.raises(ValueError, match=says):
        im.write_image(tmp_path / name, pixels, bits=bits)
    assert not list(tmp_path.iterdir())


def test_missing_package_names_the_extra(tmp_path, monkeypatch, rng):
    im.write_image(tmp_path / "a.tif", rng.random((4, 4)))
    found = im._extra.importlib.util.find_spec
    monkeypatch.setattr(
        im._extra.importlib.util, "find_spec", lambda n: None if n == "tifffile" else found(n)
    )
    with pytest.raises(ImportError, match=r"tifffile.*jaxdip\[images\]"):
        im.read_image(tmp_path / "a.tif")


def test_files_are_the_same_bytes_each_time(tmp_path, rng):
    pixels = rng.random((20, 20, 3))
    digests = set()
    for i in range(2):
        im.write_image(tmp_path / f"{i}.png", pixels, bits=16)
        digests.add(hashlib.sha256((tmp_path / f"{i}.png").read_bytes()).hexdigest())
    assert len(digests) == 1
