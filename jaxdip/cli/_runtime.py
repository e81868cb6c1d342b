"""The process: precision, device, versions, interrupts and progress."""

import contextlib
import dataclasses
import importlib.metadata
import platform
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Literal

import jax
from tqdm import tqdm

#: The exit status after Ctrl-C, as shells have it: 128 + SIGINT.
INTERRUPTED = 130
_PACKAGES = ("jaxdip", "jax", "jaxlib", "equinox", "diffrax", "numpy")


class UsageError(ValueError):
    """A user's mistake, said in one line."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """Where and how numbers are computed."""

    precision: Literal["float64", "float32"] = "float64"
    """Floating-point precision of everything."""
    platform: Literal["cpu", "gpu", "tpu"] | None = None
    """The device's kind; JAX's own choice by default."""
    seed: int = 0
    """Of operator, noise, latent and initial weights, each with a stream of its own."""


@dataclasses.dataclass
class Interrupt:
    """Whether the user has asked to stop; a second Ctrl-C stops at once."""

    asked: bool = False


def configure(machine: Machine) -> None:
    """Set JAX's precision and platform, before the first array exists.

    Raises:
        UsageError: if the platform is not there.
    """
    jax.config.update("jax_enable_x64", machine.precision == "float64")
    if machine.platform == "cpu":
        jax.config.update("jax_platforms", "cpu")
    elif machine.platform is not None and jax.default_backend() != machine.platform:
        raise UsageError(
            f"--platform {machine.platform}: JAX finds only {jax.default_backend()} here; install "
            "JAX for that platform, or choose --platform cpu"
        )


def device_name() -> str:
    """The device that computes, in words."""
    device = jax.devices()[0]
    kind = device.device_kind
    return kind if kind == device.platform else f"{device.platform} ({kind})"


def versions() -> dict[str, str]:
    """The versions of what computes."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {**found, "python": platform.python_version()}


def version_line() -> str:
    """The versions in one line."""
    return ", ".join(f"{name} {number}" for name, number in versions().items())


@contextlib.contextmanager
def catch_interrupt() -> Iterator[Interrupt]:
    """Let the first Ctrl-C only be noted, so that what was computed can be written."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number, frame):
        interrupt.asked = True
        signal.signal(signal.SIGINT, before)
        print("jaxdip: stopping; Ctrl-C again stops at once", file=sys.stderr)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def progress_bar(name: str, total: int) -> Iterator[tqdm]:
    """A progress bar on stderr, where that is a terminal."""
    quiet = not sys.stderr.isatty()
    with tqdm(total=total, desc=name, file=sys.stderr, disable=quiet, leave=False) as bar:
        yield bar
