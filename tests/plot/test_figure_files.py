"""A saved figure carries its configuration."""

import json

import matplotlib
import pytest
from matplotlib.figure import Figure
from PIL import Image as Pillow

from jaxdip.plot import phase_diagram, read_config, save

CONFIG = {"operator": "blur", "noise": 0.01, "title": "Łojasiewicz ψ"}


@pytest.fixture
def figure():
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([1, 2])
    return figure


def test_png_carries_the_configuration(tmp_path, figure):
    save(figure, tmp_path / "a.png", CONFIG)
    assert read_config(tmp_path / "a.png") == CONFIG
    with Pillow.open(tmp_path / "a.png") as picture:
        assert json.loads(picture.text["jaxdip"]) == CONFIG
        assert picture.size == (200, 200)


@pytest.mark.parametrize("ending", ["pdf", "svg"])
def test_vector_files_carry_it_too(tmp_path, figure, ending):
    save(figure, tmp_path / f"a.{ending}", {"operator": "blur"})
    data = (tmp_path / f"a.{ending}").read_bytes()
    assert b"operator" in data
    assert b"blur" in data


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_the_same_figure_is_the_same_file(tmp_path, figure, ending):
    for name in "ab":
        save(figure, tmp_path / f"{name}.{ending}", CONFIG)
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_wrong_calls(tmp_path, figure):
    with pytest.raises(ValueError, match=r"\.bmp.*\.png"):
        save(figure, tmp_path / "a.bmp")
    with pytest.raises(ValueError, match="no folder"):
        save(figure, tmp_path / "none" / "a.png")
    figure.savefig(tmp_path / "plain.png")
    with pytest.raises(ValueError, match="no jaxdip configuration"):
        read_config(tmp_path / "plain.png")


def test_a_diagram_with_hatches_and_clips_is_the_same_file(tmp_path):
    """Hatches and clip paths get inner names in an SVG."""
    salt = matplotlib.rcParams["svg.hashsalt"]
    for name in ("a.svg", "b.svg"):
        drawn = phase_diagram(
            [1, 2], [3, 4], [[0.1, float("nan")], [0.9, 0.4]], x_label="x", y_label="y"
        )
        save(drawn, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert matplotlib.rcParams["svg.hashsalt"] == salt
