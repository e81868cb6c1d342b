"""What the README shows runs as printed."""

import pathlib
import re
import subprocess
import sys

import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def text():
    return README.read_text()


def test_the_examples_run_as_printed(text):
    first, images = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    shorter = images.replace('"steps": 2000', '"steps": 20').replace('"seeds": 5', '"seeds": 2')
    assert shorter.count('"steps": 20,') == shorter.count('"seeds": 2}') == 1
    example = f"{first}\n{shorter}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "The run went through all its steps" in done.stdout
    assert "step_size: 1/L" in done.stdout
    assert "all 20 steps were taken" in done.stdout


def test_the_two_commands_stand_where_ci_looks_for_them(text):
    for marker, part in (("recover", "jaxdip recover camera"), ("tests", "-m pytest")):
        (command,) = re.findall(rf"<!-- {marker} -->\n```bash\n(.*?)\n```", text, flags=re.DOTALL)
        assert part in command
        assert "\n" not in command


def test_pictures_and_names_exist(text):
    import jaxdip as jd

    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (README.parent / picture).stat().st_size < 150_000
    table = text[text.index("## The nouns") : text.index("## The dynamics")]
    for line in re.findall(r"^\| `jd\.(\w+)` \|.*?\|(.*)\|$", table, flags=re.MULTILINE):
        room = getattr(jd, line[0])
        for name in re.findall(r"`([A-Z]\w*)`", line[1]):
            assert hasattr(room, name), f"README names jd.{line[0]}.{name}"
    for name in re.findall(r"`python -m (benchmarks\.\w+)`", text):
        assert (README.parent / f"{name.replace('.', '/')}.py").exists()
