"""Choosing a command, and turning what goes wrong into one line and an exit status."""

import difflib
import importlib
import importlib.metadata
import sys
from collections.abc import Sequence

from jaxdip.cli._parse import parse
from jaxdip.cli._runtime import INTERRUPTED, UsageError, configure, version_line

#: Each command's module, class, and what it is for.
_COMMANDS = {
    "recover": ("jaxdip.cli.recover", "Recover", "recover an image from a simulated measurement"),
    "certify": ("jaxdip.cli.certify", "Certify", "apply the theorems, and draw bounds over runs"),
    "spectrum": ("jaxdip.cli.spectrum", "SpectrumOf", "singular values of the Jacobian"),
    "sweep": ("jaxdip.cli.sweep", "SweepCommand", "run a Monte Carlo sweep from a file"),
    "status": ("jaxdip.cli.status", "Status", "how far a sweep is, and what it found"),
    "batch": ("jaxdip.cli.batch", "Batch", "print a script that runs a sweep on a cluster"),
    "reproduce": ("jaxdip.cli.reproduce", "Reproduce", "the papers' figures and claims, by name"),
    "compare": ("jaxdip.cli.compare", "Compare", "measure how a method approaches its flow"),
}
_DONE, _FAILED, _USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; those of the process by default.

    Returns:
        The exit status: 0, or 1 if a run failed, 2 for a wrong call, 130 after an interrupt.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return _DONE if words else _USAGE
    if words[0] == "--version":
        print(version_line())
        return _DONE
    try:
        return _run(words[0], words[1:])
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except (UsageError, ValueError, TypeError, ImportError) as error:
        return _say(f"error: {error}", _USAGE)
    except (RuntimeError, MemoryError, OSError) as error:
        # JAX's own errors (out of memory, a lost device) are RuntimeErrors.
        return _say(f"error: {error or type(error).__name__}", _FAILED)


def _run(name: str, words: list[str]) -> int:
    if name not in _COMMANDS:
        near = difflib.get_close_matches(name, _COMMANDS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"no command {name!r}; {hint}there are {', '.join(_COMMANDS)}")
    module, kind, _ = _COMMANDS[name]
    parsed = parse(getattr(importlib.import_module(module), kind), name, words)
    if parsed is None:
        return _DONE
    command, given = parsed
    command.check(given)
    configure(command.machine)
    return command.run()


def _say(text: str, status: int) -> int:
    print("jaxdip:", " ".join(text.split()), file=sys.stderr)
    return status


def _help() -> str:
    width = max(map(len, _COMMANDS))
    lines = (f"  {name:{width}}  {what}" for name, (_, _, what) in _COMMANDS.items())
    return "\n".join(
        [
            "usage: jaxdip COMMAND [options]",
            "",
            "Training dynamics of untrained networks that solve inverse problems.",
            "",
            "commands:",
            *lines,
            "",
            "jaxdip COMMAND --help lists a command's options; jaxdip --version says what runs.",
        ]
    )
