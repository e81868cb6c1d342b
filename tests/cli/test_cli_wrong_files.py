"""`jaxdip recover` on files that are damaged, or hold no image: one line, and no trace.

Both ways of recovering read their files before anything is drawn or compiled, so each is cheap.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from jaxdip.cli import main

WAYS = {
    "dynamics": ["--dynamics", "gd"],
    "generator": ["--generator", "deep-decoder"],
}
GRAY = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)


def npy(values):
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


def picture(values, kind, mode=None):
    buffer = io.BytesIO()
    image = Pillow.fromarray(values)
    (image if mode is None else image.convert(mode)).save(buffer, format=kind)
    return buffer.getvalue()


def frames():
    """A film of two pictures."""
    buffer = io.BytesIO()
    first, second = Pillow.fromarray(COLOUR), Pillow.fromarray(COLOUR[::-1])
    first.save(buffer, format="PNG", save_all=True, append_images=[second])
    return buffer.getvalue()


def tiff(values, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def cut(data, kept=0.6):
    return data[: int(kept * len(data))]


def huge_npy():
    """A header that promises six terabytes."""
    header = str({"descr": "<f8", "fortran_order": False, "shape": (900_000, 900_000)})
    header = header.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(100)


def huge_png(bits):
    """Of 200 000 × 200 000 pixels, none of which is there."""
    header = struct.pack(">IIBBBBB", 200_000, 200_000, bits, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


PNG, JPEG, NPY = picture(COLOUR, "PNG"), picture(COLOUR, "JPEG"), npy(GRAY)
PNG16, TIFF16 = picture(GRAY.astype(np.uint16), "PNG"), tiff(GRAY.astype(np.uint16))
FLOATS = np.full((8, 8), 0.5)

#: Contents of a file by its name, and what the line says.
WRONG = {
    # No file, or nothing in it.
    "missing.png": (None, "no such file"),
    "folder.png": ("folder", "a folder, expected a file"),
    "empty.png": (b"", "the file is empty"),
    "empty.jpg": (b"", "the file is empty"),
    "empty.tif": (b"", "the file is empty"),
    "empty.npy": (b"", "the file is empty"),
    "text.png": (b"once upon a time\nthere was", "not an image this reads; expected PNG, JPEG"),
    "text.npy": (b"once upon a time\nthere was", "not an image this reads; expected PNG, JPEG"),
    "zeros.tif": (bytes(500), "not an image this reads"),
    # Cut short, or spoiled.
    "short.png": (cut(PNG), "a damaged image file"),
    "short16.png": (cut(PNG16), "the PNG ends within a chunk"),
    "short.jpg": (cut(JPEG), "a damaged image file"),
    "short.tif": (cut(TIFF16), "a damaged TIFF file"),
    "start.tif": (TIFF16[:4], "a damaged TIFF file"),
    "pageless.tif": (TIFF16[:8], "a damaged TIFF file (no page in it)"),
    "short.npy": (cut(NPY), "a damaged NPY file"),
    "header.npy": (NPY[:20], "a damaged NPY file"),
    "unclosed.npy": (NPY.replace(b"}", b" ", 1), "a damaged NPY file"),
    "flipped.png": (flipped(PNG, 100), "a damaged image file"),
    "deflated.tif": (
        flipped(tiff(GRAY, compression="zlib"), 300),
        "a damaged TIFF file",
    ),
    # Headers that ask for more memory than there is.
    "huge.npy": (huge_npy(), "takes 6480000000000 bytes, the file holds 100"),
    "huge.png": (huge_png(8), "too many pixels"),
    "huge16.png": (huge_png(16), "too few for 200000 × 200000 pixels"),
    # Arrays that are no image.
    "0d.npy": (npy(np.float64(3)), "shape (), expected (H, W)"),
    "1d.npy": (npy(np.ones(9)), "shape (9,), expected (H, W)"),
    "5d.npy": (npy(np.ones((2,) * 5)), "shape (2, 2, 2, 2, 2), expected (H, W)"),
    "two.npy": (npy(np.ones((8, 8, 2))), "2 channels in shape (8, 8, 2)"),
    "five.npy": (npy(np.ones((8, 8, 5))), "5 channels in shape (8, 8, 5)"),
    "first.npy": (npy(np.ones((3, 16, 16))), "16 channels in shape (3, 16, 16)"),
    "none.npy": (npy(np.ones((0, 4))), "no pixels"),
    "nan.npy": (npy(np.full((8, 8), np.nan)), "64 values are NaN or infinite"),
    "inf.npy": (npy(np.full((8, 8), np.inf)), "64 values are NaN or infinite"),
    "negative.npy": (npy(-FLOATS), "negative values"),
    "large.npy": (npy(np.full((8, 8), 1e308)), "values up to 1e+308"),
    "alpha.npy": (npy(np.full((8, 8, 4), 255.0)), "alpha up to 255"),
    "int16.npy": (npy(GRAY.astype(np.int16)), "samples of type int16"),
    "int64.npy": (npy(GRAY.astype(np.int64)), "samples of type int64"),
    "complex.npy": (npy(FLOATS + 1j), "complex values, expected real ones; pass np.abs"),
    "words.npy": (npy(np.array([["a"]])), "samples of type <U1"),
    "object.npy": (npy(np.array([[{}]])), "pickled Python objects"),
    "archive.npz": (b"PK\x03\x04" + bytes(50), "a ZIP archive such as NPZ"),
    "nan.tif": (tiff(np.full((8, 8), np.nan, np.float32)), "64 values are NaN"),
    # Kinds of images that have no one right reading.
    "pages.tif": (tiff(np.zeros((4, 9, 9), np.uint8), photometric="minisblack"), "4 pages"),
    "int16.tif": (tiff(GRAY.astype(np.int16)), "samples of type int16"),
    "five.tif": (
        tiff(np.ones((9, 9, 5), np.float32), photometric="minisblack", planarconfig="contig"),
        "5 channels",
    ),
    "cmyk.jpg": (picture(COLOUR, "JPEG", mode="CMYK"), "colours of kind CMYK, expected gray, RGB"),
    "frames.png": (frames(), "2 frames, expected one"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("files")
    for name, (content, _) in WRONG.items():
        if isinstance(content, bytes):
            (found / name).write_bytes(content)
        elif content == "folder":
            (found / name).mkdir()
    return found


def refused(words, says, out, capsys):
    """The command ends with status 2 and one line, and leaves nothing."""
    assert main(["recover", *words, "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("jaxdip: error: ")
    assert printed.err.count("\n") == 1
    assert says in printed.err
    assert not out.exists()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_image_is_one_line(name, way, folder, tmp_path, capsys):
    refused([str(folder / name), *WAYS[way]], WRONG[name][1], tmp_path / "out", capsys)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b"nothing", "not an image this reads"),
        (cut(NPY), "a damaged NPY file"),
        (huge_npy(), "the file holds 100"),
        (npy(np.array([[{}]])), "pickled Python objects"),
        (npy(np.ones((3, 3, 2))), "shape (3, 3, 2), expected a kernel of one or two axes"),
        (npy(np.float64(1)), "shape (), expected a kernel"),
        (npy(np.ones((0, 3))), "shape (0, 3), expected a kernel"),
        (npy(np.ones((3, 3)) * 1j), "entries of type complex128, expected real"),
        (npy(np.full((3, 3), np.nan)), "9 entries are NaN"),
        (npy(np.zeros((3, 3))), "zero everywhere"),
        (npy(np.array([[1.0, -1.0]])), "sums to zero"),
        (npy(np.array([[1e308, 1e308], [-1e308, -1e308]])), "sums to zero"),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_kernel_is_one_line(content, says, way, tmp_path, capsys):
    np.save(tmp_path / "image.npy", FLOATS)
    if content is not None:
        (tmp_path / "kernel.npy").write_bytes(content)
    words = [str(tmp_path / "image.npy"), "--size", "0", *WAYS[way]]
    words += ["--blur-kernel", str(tmp_path / "kernel.npy")]
    refused(words, says, tmp_path / "out", capsys)


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_may_not_be_read_is_one_line(way, tmp_path, monkeypatch, capsys):
    """Said by the system; whoever runs the tests may be allowed to read all."""

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.png").write_bytes(PNG)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    says = "a.png: cannot be read (Permission denied)"
    refused([str(tmp_path / "a.png"), *WAYS[way]], says, tmp_path / "out", capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--dynamics", "gd", "--width", "10000000", "--size", "64"],
            "the network of an image of shape (64, 2560) takes",
        ),
        (
            ["--optimizer", "adam", "--width", "10000000", "--size", "64"],
            "the network of an image of shape (64, 2560) takes",
        ),
        (
            ["--generator", "deep-decoder", "--size", "1000000"],
            "an image of shape (1, 40) brought to (1000000, 40000000) takes",
        ),
    ],
)
def test_what_the_machine_cannot_hold_is_refused_before_it_is_made(words, says, tmp_path, capsys):
    """A long strip grows with its shorter side, which --size sets."""
    np.save(tmp_path / "strip.npy", np.tile(FLOATS[:1], (1, 5)))
    refused([str(tmp_path / "strip.npy"), *words], says, tmp_path / "out", capsys)


def test_an_image_without_light_is_refused_by_dynamics(tmp_path, capsys):
    """Their errors are relative to the image."""
    np.save(tmp_path / "black.npy", np.zeros((8, 8)))
    words = [str(tmp_path / "black.npy"), "--size", "0", "--dynamics", "gd"]
    refused(words, "black everywhere", tmp_path / "out", capsys)
