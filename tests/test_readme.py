"""What the README shows runs as printed, or in the smaller size that is declared here."""

import dataclasses
import importlib
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"
TEXT = README.read_text()

#: Commands that .ci/run takes from the README, each in an environment of its own: by their marker.
IN_CI = ("recover", "tests", "install", "develop")
#: What stands for the sizes of the others, so that each takes seconds.
SMALLER = {
    "jaxdip recover camera --gray": {
        **{"--size": "16", "--layers": "1", "--channels": "4", "--steps": "40", "--seeds": "2"},
    },
    "jaxdip certify": {"--width": "200", "--steps": "20", "--dynamics": "gd,igahd"},
    "jaxdip spectrum": {"--width": "50"},
    "jaxdip compare": {"--width": "50", "--steps": "20", "--halvings": "2", "--dynamics": "gd"},
    "jaxdip sweep phase.toml": {},  # the file is smaller
    "jaxdip status phase": {},
    "jaxdip batch": {},
    "jaxdip reproduce --list": {},
    "jaxdip reproduce gd-1b": {"--preset": "smoke"},
    # What was printed is for a scheduler: the script is read, or a stand-in takes it.
    "sbatch": {},
    "kubectl apply": {},
    "bash tpu.sh": "bash -n tpu.sh",
    # It is run, in its quick size, in tests/benchmarks.
    "python -m benchmarks.gpu": "python -m benchmarks.gpu --help",
    "python -m benchmarks": "python -m benchmarks import_time",
}
#: Stand-ins for the schedulers' programs: each fails where the real one would not take the file.
STAND_INS = {
    "sbatch": """
[ "$(head -c 11 "$1")" = '#!/bin/bash' ] && grep -q '^#SBATCH' "$1" && bash -n "$1"
""",
    "kubectl": """
[ "$1 $2" = 'apply -f' ] && python -c '
import sys, yaml
kinds = [part["kind"] for part in yaml.safe_load_all(open(sys.argv[1]))]
assert kinds == ["PersistentVolumeClaim", "ConfigMap", "Job"], kinds' "$3"
""",
}
BLOCKS = re.findall(r"(?:<!-- (\w+) -->\n)?```bash\n(.*?)\n```", TEXT, flags=re.DOTALL)
#: Commands within a sentence; those of jaxdip are names there, without what they need to run.
BLOCKS += [("", span) for span in re.findall(r"`(python -m [^`\n]+)`", TEXT)]


def section(title):
    """The text of a section."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def parts(line):
    """The commands of a line: `A && B > file` has two."""
    return [part.strip() for part in line.split(" && ")]


def smaller(command):
    """A command in the size of its test.

    Raises:
        StopIteration: if none is declared.
    """
    options = next(sizes for begin, sizes in SMALLER.items() if command.startswith(begin))
    if isinstance(options, str):
        return options
    for option, value in options.items():
        given = re.sub(rf"{option} \S+", f"{option} {value}", command)
        command = given if option in command else f"{command} {option} {value}"
    return command


@pytest.fixture
def shell(tmp_path):
    """Runs a script in a folder with phase.toml, where jaxdip and python are those of the tests."""
    programs = tmp_path / "programs"
    programs.mkdir()
    here = shlex.quote(sys.executable)
    texts = {"python": f'exec {here} "$@"', "jaxdip": f'exec {here} -m jaxdip "$@"', **STAND_INS}
    for name, text in texts.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "phase.toml").write_text(phase())
    environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    environ["JAX_COMPILATION_CACHE_DIR"] = str(tmp_path / "cache")
    environ["PYTHONPATH"] = str(README.parent)  # of the benchmarks

    def run(script):
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            **{"capture_output": True, "text": True, "check": False, "timeout": 300},
            **{"cwd": tmp_path, "env": environ},
        )

    return run


def phase():
    """The README's sweep with fewer cells, trials and steps."""
    (text,) = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)
    few = {"trials = 50": "trials = 4", '"1:5"': '"1:2"', "1000, 9)": "40, 3)", "20000": "200"}
    for old, new in few.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def test_the_handbook_is_short_and_has_its_parts():
    assert len(TEXT.splitlines()) <= 300
    titles = re.findall(r"^## (.*)$", TEXT, flags=re.MULTILINE)
    asked = ["Two commands", "Ten lines", "Choosing a dynamics", "Choosing an operator"]
    asked += ["Choosing a stop", "What a certificate proves", "Sweeps", "Map", "Contributing"]
    assert [title for title in titles if title in asked] == asked
    for place in ("On one machine", "On Slurm", "On TPU"):
        assert f"**{place}**" in section("Sweeps")


def test_the_examples_run_as_printed():
    first, images = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
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


def test_ci_runs_the_marked_commands():
    script = (README.parent / ".ci" / "run").read_text()
    marked = {marker: text for marker, text in BLOCKS if marker}
    assert tuple(marked) == IN_CI
    for marker, program in zip(
        IN_CI, ("recover camera", "pytest", "pip", "docs/api.py"), strict=True
    ):
        assert program in marked[marker]
        assert f"readme_command {marker})" in script


@pytest.mark.parametrize(
    "block",
    [text for marker, text in BLOCKS if not marker],
    ids=[text.split(" --")[0].replace(" ", "-") for marker, text in BLOCKS if not marker],
)
def test_commands_run(block, shell, tmp_path):
    lines = [" && ".join(map(smaller, parts(line))) for line in block.splitlines()]
    done = shell("\n".join(lines))
    assert done.returncode == 0, done.stderr
    # Each says what it writes, and writes it.
    written = re.findall(r"> ?(\S+)", block)
    for command in (part for line in lines for part in parts(line) if " batch " not in part):
        written += re.findall(r"--(?:out|diagram|export) (\S+)", command)
    for name in written:
        path = tmp_path / name
        assert any(path.iterdir()) if path.is_dir() else path.stat().st_size > 0


def test_every_smaller_size_is_of_a_command_there_is():
    commands = [part for marker, text in BLOCKS if not marker for part in parts(text)]
    commands += [part for _, text in BLOCKS for line in text.splitlines() for part in parts(line)]
    for begin in SMALLER:
        assert any(command.startswith(begin) for command in commands), begin


def test_a_command_without_a_size_is_noticed():
    with pytest.raises(StopIteration):
        smaller("jaxdip nonsense")
    assert smaller("jaxdip certify --width 100000 --n 3") == (
        "jaxdip certify --width 200 --n 3 --steps 20 --dynamics gd,igahd"
    )


def flags(kind):
    """All options of a command, nested ones included."""
    found = set()
    for field in dataclasses.fields(kind):
        found.add("--" + field.name.replace("_", "-"))
        made = field.default_factory
        if isinstance(made, type) and dataclasses.is_dataclass(made):
            found |= flags(made)
    return found


def test_commands_and_options_in_the_text_exist():
    from jaxdip.cli._main import _COMMANDS

    kinds = {name: getattr(importlib.import_module(m), k) for name, (m, k, _) in _COMMANDS.items()}
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", prose)
    named = [words[1] for words in map(str.split, spans) if words[0] == "jaxdip" and words[1:]]
    assert named
    assert set(named) <= set(kinds)
    known = set().union(*map(flags, kinds.values()))
    used = {word for span in spans for word in re.findall(r"(?<!\S)--[a-z][\w-]*", span)}
    assert used
    assert used <= known


def test_files_and_names_exist():
    import jaxdip as jd

    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", TEXT)
    assert pictures
    for picture in pictures:
        assert (README.parent / picture).stat().st_size < 150_000
    for name in re.findall(r"`((?:benchmarks|notebooks|tests)/[\w/.]+)`", TEXT):
        assert (README.parent / name).exists(), name
    for name in re.findall(r"`([A-Z]+\.(?:md|cff)|constraints[\w-]*\.txt)`", TEXT):
        assert (README.parent / name).is_file(), name
    for line in re.findall(r"^\| `jd\.(\w+)` \|.*?\|(.*)\|$", section("The nouns"), flags=re.M):
        for name in re.findall(r"`([A-Z]\w*)`", line[1]):
            assert hasattr(getattr(jd, line[0]), name), f"README names jd.{line[0]}.{name}"
    for title, room in (("an operator", jd.operators), ("a stop", jd.stopping)):
        for cells in re.findall(r"^\|([^|]*)\|", section(f"Choosing {title}"), flags=re.M):
            for name in re.findall(r"`([A-Z]\w+)`", cells):
                assert hasattr(room, name), f"README names {name}, choosing {title}"
    everywhere = (jd, jd.theory, jd.operators, jd.stopping, jd.generators, jd.losses, jd.noise)
    everywhere += (jd.observables, jd.experiments, jd.sweeps)
    for name in set(re.findall(r"`([A-Z][a-z]+[A-Z]\w*)(?:\([^`]*\))?`", TEXT)):
        assert any(hasattr(room, name) for room in everywhere), f"README names {name}"


def test_the_map_names_every_room():
    import jaxdip

    text = section("Map")
    for path in pathlib.Path(jaxdip.__file__).parent.iterdir():
        if path.is_dir() and path.name != "__pycache__":
            assert f"{path.name}/ " in text, path.name


def test_every_operator_and_rule_is_told_of():
    import jaxdip as jd

    helpers = (
        "Linear",
        "Abstract",
        "Law",
        "Operator",
        "Scaled",
        "Sum",
        "Composition",
        "Linearized",
    )
    operators = {n for n in vars(jd.operators) if n[0].isupper() and not n.startswith(helpers)}
    assert operators <= set(re.findall(r"`(\w+)`", section("Choosing an operator")))
    rules = {n for n in vars(jd.stopping) if n[0].isupper()} - {"AbstractStopping", "Seen"}
    told = set(re.findall(r"`(\w+)`", section("Choosing a stop")))
    assert rules - {"Combination"} <= told
