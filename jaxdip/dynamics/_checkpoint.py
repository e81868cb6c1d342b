"""Where a discrete run stands: kept in memory or in a file, and gone on from to the last bit."""

import json
import os
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._fingerprint import Fingerprint, differing
from jaxdip._tree import is_concrete
from jaxdip._types import Array, Float, Int, Tree

_FORMAT = "jaxdip checkpoint 3"
#: How the parts of a fingerprint that are events begin.
_EVENT = "event "


class Checkpoint(eqx.Module):
    """The state of a discrete run after some of its steps.

    Attributes:
        step: how many steps were taken.
        theta: θ, in the coordinates of the run.
        memory: what the method remembers.
        hits: the time at which each event first happened; inf where it has not.
        fingerprint: digests of the problem, the generator, the method and the events that it
            belongs to; zeros if the run was traced by jit or vmap.
    """

    step: Int[Array, ""]
    theta: Tree
    memory: Tree
    hits: dict[str, Float[Array, ""]]
    fingerprint: Fingerprint

    def save(self, path: str | os.PathLike) -> None:
        """Writes a file, complete or not at all: an interruption leaves the file before it.

        The file is a NumPy archive with a JSON header.

        Args:
            path: where; an existing file is replaced.

        Raises:
            ValueError: inside jit or vmap.
            OSError: if the file cannot be written.
        """
        if not is_concrete(self):
            raise ValueError("a checkpoint is saved outside jit and vmap, where it has values")
        path = Path(path)
        leaves = _named_leaves(self)
        header = {
            "format": _FORMAT,
            "step": int(self.step),
            "leaves": list(leaves),
            "versions": {name: version(name) for name in ("jaxdip", "jax", "numpy")},
        }
        partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
        with partial.open("wb") as file:
            arrays = {f"leaf{i}": _as_numpy(leaf) for i, leaf in enumerate(leaves.values())}
            np.savez(file, header=np.array(json.dumps(header)), **arrays)  # pyright: ignore[reportArgumentType]
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def load_checkpoint(path: str | os.PathLike, like: Checkpoint) -> Checkpoint:
    """Reads a checkpoint of a run whose state looks like `like`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; leave resume out to start from step 0")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path} is not a jaxdip checkpoint: it is not a NumPy archive")
        with np.load(path, allow_pickle=False) as archive:
            header = json.loads(str(archive["header"]))
            held = _held(path, header)
            arrays = [archive[f"leaf{i}"] for i in range(len(held))]
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError, EOFError) as error:
        raise ValueError(f"{path} is not a jaxdip checkpoint: {error}") from error
    wanted = _named_leaves(like)
    if list(wanted) != held:
        raise ValueError(_other_run(f"it holds {held}, the run has {list(wanted)}"))
    leaves = [_as_jax(x, leaf) for x, leaf in zip(arrays, wanted.values(), strict=True)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _held(path: Path, header: Any) -> list[str]:
    """The names of the leaves that a header tells of."""
    if not isinstance(header, dict):
        raise ValueError(
            f"{path} is not a jaxdip checkpoint: its header is a {type(header).__name__}"
        )
    if header.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a checkpoint of this version ({_FORMAT})")
    return list(header["leaves"])


def event_parts(until: dict[str, Any], mark: dict[str, Any]) -> dict[str, Any]:
    """The events as parts of a fingerprint."""
    ending = {f"{_EVENT}until[{name!r}]": event for name, event in until.items()}
    return ending | {f"{_EVENT}mark[{name!r}]": event for name, event in mark.items()}


def check_resumable(given: Checkpoint, start: Checkpoint, steps: int) -> None:
    """Says why a run cannot go on from a checkpoint.

    Raises:
        ValueError: if it belongs to another run, or has gone as far as is asked.
    """
    if jax.tree.structure(given.theta) != jax.tree.structure(start.theta) or (
        jax.tree.structure(given.memory) != jax.tree.structure(start.memory)
    ):
        raise ValueError(_other_run("its parameters or its method's memory differ in structure"))
    for old, new in zip(
        jax.tree.leaves((given.theta, given.memory)),
        jax.tree.leaves((start.theta, start.memory)),
        strict=True,
    ):
        if old.shape != new.shape or old.dtype != new.dtype:
            raise ValueError(
                _other_run(
                    f"it has {old.dtype}{old.shape} where the run has {new.dtype}{new.shape}"
                )
            )
    if given.hits.keys() != start.hits.keys():
        raise ValueError(
            f"the checkpoint knows the events {sorted(given.hits)}, the run has "
            f"{sorted(start.hits)}; give the same until and mark"
        )
    _check_same(differing(given.fingerprint, start.fingerprint))
    if is_concrete(given.step) and int(given.step) >= steps:
        raise ValueError(
            f"the checkpoint has taken {int(given.step)} steps, and steps={steps} counts from the "
            "start: ask for more"
        )


def _check_same(different: list[str]) -> None:
    """Says which parts of a run are not those of the checkpoint."""
    runs = [name for name in different if not name.startswith(_EVENT)]
    if runs:
        raise ValueError(
            _other_run(f"these differ in numbers, settings or code: {', '.join(runs)}")
        )
    events = [name.removeprefix(_EVENT) for name in different]
    if events:
        raise ValueError(
            f"the checkpoint was made with other numbers or rules for {', '.join(events)}, and "
            "what happened under those cannot be undone; give the same until, mark and tolerance, "
            "or leave resume out to start anew"
        )


def _other_run(difference: str) -> str:
    return f"the checkpoint belongs to another run: {difference}; leave resume out to start anew"


def _named_leaves(checkpoint: Checkpoint) -> dict[str, Array]:
    leaves, _ = jax.tree.flatten_with_path(checkpoint)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _is_key(leaf: Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _as_numpy(leaf: Array) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _as_jax(x: np.ndarray, like: Array) -> Array:
    if _is_key(like):
        return jax.random.wrap_key_data(jnp.asarray(x), impl=jax.random.key_impl(like))
    # JAX would round silently where it has no 64 bits enabled.
    if x.dtype != like.dtype:
        raise ValueError(_other_run(f"it has {x.dtype} where the run has {like.dtype}"))
    return jnp.asarray(x)
