"""What an installation is made from: versions, bounds, extras, and an import that stays light."""

import json
import pathlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version

import yaml

import jaxdip

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: What `import jaxdip` may take beyond jax, diffrax and equinox, in seconds.
LIMIT = 1.0


def requirements(lines):
    """Name and lower bound of each requirement; extras of the project itself are left out."""
    found = {}
    for line in lines:
        if not line.startswith("jaxdip["):
            name, bound = re.fullmatch(r"([A-Za-z][\w.-]*)>=([\d.]+)(?:,<[\d.]+)?", line).groups()
            found[name] = bound
    return found


def pins(name):
    """Name and version of each line of a constraints file."""
    text = (ROOT / name).read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    matches = [re.fullmatch(r"([a-z][\w.-]*)==(\d[\w.]*)", line) for line in lines]
    assert all(matches), f"{name} has more than NAME==VERSION"
    found = dict(match.groups() for match in matches)
    assert len(found) == len(lines)
    return found


def numbers(text):
    """A version as numbers, without zeros at its end."""
    parts = [int(part) for part in text.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return parts


RUNTIME = requirements(PROJECT["dependencies"])
EXTRAS = {name: requirements(lines) for name, lines in PROJECT["optional-dependencies"].items()}


def test_one_version_everywhere():
    assert PROJECT["version"] == jaxdip.__version__ == version("jaxdip")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    (newest, *_) = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    assert newest == PROJECT["version"]


def test_the_citation_names_authors_licence_and_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == PROJECT["authors"]
    assert citation["license"] == PROJECT["license"]
    values = [one["value"] for paper in citation["references"] for one in paper["identifiers"]]
    papers = ["2309.12128", "2403.05395", "2506.02986", "2005.03991"]
    assert values == [f"arXiv:{number}" for number in papers]


def test_what_is_imported_is_required():
    import ast

    names = set()
    for path in (ROOT / "jaxdip").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    ours = {"jaxdip", "jax"}
    required = set(RUNTIME) | set(EXTRAS["mri"])
    assert names - set(sys.stdlib_module_names) - ours <= required
    # Nothing is required in vain either: jaxlib and zarr are used by way of jax and xarray.
    assert set(RUNTIME) - names - ours <= {"jaxlib", "zarr"}


def test_the_lowest_constraints_are_the_bounds():
    lowest = pins("constraints-lowest.txt")
    bounds = RUNTIME | EXTRAS["images"] | EXTRAS["mri"]
    for name, bound in bounds.items():
        assert numbers(lowest.pop(name)) == numbers(bound), name
    assert lowest == {}, "constraints-lowest.txt pins what has no bound"


def test_the_tested_versions_are_within_the_bounds():
    tested = pins("constraints.txt")
    every = RUNTIME | {name: bound for extra in EXTRAS.values() for name, bound in extra.items()}
    every.pop("torch")
    for name, bound in every.items():
        assert numbers(tested[name]) >= numbers(bound), name


def test_extras_are_documented():
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", readme.partition("| extra |")[2], flags=re.M)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(EXTRAS) <= told
    # And those that messages ask for exist.
    asked = set()
    for path in (ROOT / "jaxdip").rglob("*.py"):
        asked |= set(re.findall(r"jaxdip\[(\w+)\]", path.read_text()))
    assert asked
    assert asked <= set(EXTRAS)


def test_the_import_is_light_and_quick():
    done = [_import() for _ in range(3)]
    for one in done:
        assert one["heavy"] == []
    # Of the processor, which is the clock's on a quiet machine; others can only slow it down.
    assert min(one["beyond"] for one in done) < LIMIT


def test_a_heavy_import_is_noticed():
    assert _import("import tyro")["heavy"] == ["tyro"]


def _import(more="pass"):
    """Seconds of the processor and heavy modules of the import, in a fresh process."""
    code = f"""
import json, sys, time
import diffrax, equinox, jax
start = time.process_time()
import jaxdip
{more}
seconds = time.process_time() - start
heavy = sorted({{"matplotlib", "zarr", "skimage", "tyro"}} & set(sys.modules))
print(json.dumps({{"beyond": seconds, "heavy": heavy}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout)
