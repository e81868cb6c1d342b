"""The README's gallery has a small picture of every experiment, with its time."""

import pathlib
import re

from PIL import Image

from jaxdip.experiments import EXPERIMENTS

ROOT = pathlib.Path(__file__).parents[1]
NAMES = [kind.name for kind in EXPERIMENTS]


def test_every_experiment_is_shown():
    readme = (ROOT / "README.md").read_text()
    gallery = readme.partition("<!-- gallery -->")[2].partition("<!-- end of gallery -->")[0]
    assert re.findall(r'src="docs/gallery/([\w-]+)\.png"', gallery) == NAMES
    told = re.findall(r"<code>([\w-]+)</code>, ([\d.]+) (s|min): ([^<]+)<", gallery)
    assert [name for name, *_ in told] == NAMES
    assert [title for *_, title in told] == [kind.title for kind in EXPERIMENTS]
    assert all(float(number) > 0 for _, number, *_ in told)


def test_pictures_are_small():
    pictures = sorted((ROOT / "docs" / "gallery").glob("*.png"))
    assert [picture.stem for picture in pictures] == sorted(NAMES)
    for picture in pictures:
        assert picture.stat().st_size < 150_000, picture.name
        with Image.open(picture) as image:
            assert min(image.size) > 200
