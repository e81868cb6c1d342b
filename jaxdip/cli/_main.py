"""Choosing a command, and turning what goes wrong into one line and an exit status."""

import difflib
import importlib
import importlib.metadata
import os
import sys
import warnings
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
#: After the reader of the output has gone away, as shells have it: 128 + SIGPIPE.
_UNREAD = 141


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
    before, warnings.formatwarning = warnings.formatwarning, _warning
    try:
        return _run(words[0], words[1:])
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return _unread()
    except (UsageError, ValueError, TypeError, ImportError) as error:
        return _say(f"error: {error}", _USAGE)
    except (RuntimeError, MemoryError, OSError) as error:
        # JAX's own errors (out of memory, a lost device) are RuntimeErrors.
        return _say(f"error: {_told(error) or type(error).__name__}", _FAILED)
    finally:
        warnings.formatwarning = before


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
    status = command.run()
    # Here an error of a pipe is still caught.
    sys.stdout.flush()
    return status


def _say(text: str, status: int) -> int:
    print("jaxdip:", _one_line(text), file=sys.stderr)
    return status


def _one_line(text: str) -> str:
    """Lines joined by semicolons, those after a colon by a space."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    joined = "".join(line + (" " if line.endswith((":", ",", ";")) else "; ") for line in lines)
    return joined.rstrip("; ") if lines else ""


def _told(error: BaseException) -> str:
    """An error in words; one of the disk without its number, and its file first."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error)


def _warning(message: Warning | str, *about: object) -> str:
    """A warning as a line of the program's own, without the place in its source."""
    return f"jaxdip: warning: {_one_line(str(message))}\n"


def _unread() -> int:
    """Ends quietly: what is left of the output would raise again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _UNREAD


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
