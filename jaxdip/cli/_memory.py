"""What a recovery takes of memory, and whether the machine has it."""

import math
import os
import resource
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from jaxdip.cli._runtime import UsageError
from jaxdip.reconstruction import Memory

_MIB = 2**20
#: A network is there with its gradient and the next iterate.
_COPIES = 3


def memory_line(memory: Memory, tile: str) -> str:
    """What the run takes, in words.

    Args:
        memory: of the run.
        tile: a tile in words, or nothing where the image is recovered whole.
    """
    starts = f" for {memory.starts} starts, one after another" if memory.starts > 1 else ""
    mine = 0 if _on_device() else _process()
    parts = [f"{memory.step / _MIB:.0f} for a step"]
    parts.append(f"{memory.states / _MIB:.0f} for parameters and images kept{starts}")
    if mine:
        parts.append(f"{mine / _MIB:.0f} for Python and the compiled programs")
    total = (mine + memory.step + memory.states) / _MIB
    where = " on the device" if _on_device() else ""
    about = f" for a {tile}" if tile else ""
    return f"memory: about {total:.0f} MiB{where}{about}: {', '.join(parts)}"


def check_memory(memory: Memory) -> None:
    """Refuse a run that takes more than there is.

    Raises:
        UsageError: if it does; nothing is refused where a device has memory of its own.
    """
    if not _on_device():
        _check(_process() + memory.step + memory.states, "the recovery takes")


def check_network(network: Any, shape: tuple[int, ...]) -> None:
    """Refuse a network too large to be drawn, before it is.

    Args:
        network: its arrays, or their shapes and types alone.
        shape: of the image.

    Raises:
        UsageError: if it, its gradient and the next iterate take more than the machine has.
    """
    leaves = jax.tree.leaves(network, is_leaf=lambda x: isinstance(x, jax.ShapeDtypeStruct))
    arrays = [x for x in leaves if isinstance(x, jax.ShapeDtypeStruct) or eqx.is_array(x)]
    size = sum(x.size * x.dtype.itemsize for x in arrays)
    _check(_COPIES * size, f"the network of an image of shape {shape} takes")


def check_resampling(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    """Refuse a change of size that the machine cannot hold: image, and weights along each axis.

    Raises:
        UsageError: for such a change, which long strips ask for.
    """
    sides = [(a, b) for a, b in zip(old[:2], new[:2], strict=True) if a != b]
    size = np.dtype(np.float64).itemsize * (math.prod(new) + sum(a * b for a, b in sides))
    _check(size, f"an image of shape {old} brought to {new} takes")


def available(groups: Path = Path("/sys/fs/cgroup"), mine: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that this process may take: the machine's, or less where a container or a job has less.

    Args:
        groups: where Linux shows control groups (version 2), each with its `memory.max`.
        mine: the file that says to which of them this process belongs.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    # The limit of a group holds for all groups within, so those above count too.
    own = groups / _group(mine)
    for folder in (own, *own.parents):
        if folder.is_relative_to(groups):
            limits += _number(folder / "memory.max")
    return min(limits)


def _group(mine: Path) -> str:
    """The group's path below the root of them; the root where nothing is known."""
    try:
        lines = mine.read_text().splitlines()
    except OSError:
        return ""
    paths = [line.removeprefix("0::") for line in lines if line.startswith("0::")]
    # Seen from inside a container, a group may lie above the root that is shown: /../….
    return paths[0].strip("/") if paths and ".." not in Path(paths[0]).parts else ""


def _number(file: Path) -> list[int]:
    """What the file limits; nothing where it says 'max' or is not there."""
    try:
        text = file.read_text().strip()
    except OSError:
        return []
    return [int(text)] if text.isdecimal() else []


def _check(wanted: int, what: str) -> None:
    there = available()
    if wanted > there:
        raise UsageError(
            f"{what} {wanted / _MIB:.0f} MiB, this process may take {there / _MIB:.0f}; take a "
            "smaller --size, fewer --channels or a smaller --width, --precision float32, or --tile"
        )


def _process() -> int:
    """Bytes that this process has held at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _on_device() -> bool:
    return jax.default_backend() != "cpu"
