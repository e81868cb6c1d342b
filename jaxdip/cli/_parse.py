"""From words and an optional TOML file to a command's frozen dataclass."""

import contextlib
import dataclasses
import difflib
import io
import itertools
import re
import tomllib
from pathlib import Path
from typing import TypeVar

import tyro

from jaxdip.cli._runtime import UsageError

Command = TypeVar("Command")

_CONFIG = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.PositionalMetavarFromFieldName,
)


def parse(
    kind: type[Command], name: str, words: list[str]
) -> tuple[Command, frozenset[str]] | None:
    """The command that the words describe, and the flags given; None after its help was printed.

    A file given by --config fills in what the words leave out: one key per flag, with its name.

    Raises:
        UsageError: in one line, if the words or the file are wrong.
    """
    path = _option(words, "config")
    table = {} if path is None else _read_table(Path(path), kind)
    image = str(table.pop("image", ""))
    # The file's words come first: of two values of one flag the last counts.
    extra = [word for key, value in table.items() for word in _words(key, value)]
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            command = tyro.cli(kind, args=[*extra, *words], prog=f"jaxdip {name}", config=_CONFIG)
    except SystemExit as end:
        if not end.code:
            return None
        raise UsageError(f"{_one_line(told.getvalue())}; see jaxdip {name} --help") from None
    if image and not getattr(command, "image", image):
        command = dataclasses.replace(command, image=image)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return command, _flags([*extra, *words])


def _flags(words: list[str]) -> frozenset[str]:
    """The flags among the words, as --two-words."""
    given = (word.partition("=")[0] for word in words if word.startswith("--"))
    return frozenset("--" + flag[2:].replace("_", "-") for flag in given)


def flat_fields(value: object) -> dict[str, object]:
    """The fields of a dataclass and of the dataclasses within it, by name."""
    found: dict[str, object] = {}
    for field in dataclasses.fields(value):  # pyright: ignore[reportArgumentType]
        inner = getattr(value, field.name)
        found.update(flat_fields(inner) if dataclasses.is_dataclass(inner) else {field.name: inner})
    return found


def _field_names(kind: type) -> list[str]:
    names = []
    for field in dataclasses.fields(kind):
        inner = field.default_factory
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            names += _field_names(inner)
        else:
            names.append(field.name)
    return names


def _option(words: list[str], name: str) -> str | None:
    for position, word in enumerate(words):
        if word == f"--{name}" and position + 1 < len(words):
            return words[position + 1]
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return None


def _read_table(path: Path, kind: type) -> dict[str, object]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: not TOML ({error})") from None
    table = {key.replace("-", "_"): value for key, value in table.items()}
    names = [name for name in _field_names(kind) if name != "config"]
    for key, value in table.items():
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"
            raise UsageError(f"--config {path}: no option {key!r}{hint}")
        if isinstance(value, dict):
            raise UsageError(f"--config {path}: {key} is a table, expected one value")
    return table


def _words(key: str, value: object) -> list[str]:
    """The flag that a line of the file stands for."""
    flag = f"--{key.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag] if value else []
    if isinstance(value, list):
        return [flag, ",".join(map(str, value))]
    return [flag, str(value)]


def _one_line(box: str) -> str:
    """The message of the box that tyro draws: what follows its title, up to the next rule."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip(" │") for line in plain.splitlines() if line.strip(" │")]

    def rule(line: str) -> bool:
        return set(line) <= set("─-╰╯")

    # Where the terminal is not UTF-8 there is no frame, but a rule under the title.
    body = itertools.takewhile(lambda line: not rule(line), itertools.dropwhile(rule, lines[1:]))
    return " ".join(body).rstrip(". ") or "the command line is wrong"
