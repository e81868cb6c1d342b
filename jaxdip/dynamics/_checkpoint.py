"""Where a discrete run stands: kept in memory or in a file, and gone on from to the last bit."""

import hashlib
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

from jaxdip._tree import is_concrete
from jaxdip._types import Array, Float, Int, Tree

_FORMAT = "jaxdip checkpoint 1"
#: Entries of an array that a fingerprint looks at: evenly spaced, so that it costs next to nothing.
_SAMPLE = 4096


class Checkpoint(eqx.Module):
    """The state of a discrete run after some of its steps.

    Attributes:
        step: how many steps were taken.
        theta: θ, in the coordinates of the run.
        memory: what the method remembers.
        hits: the time at which each event first happened; inf where it has not.
        fingerprint: of the problem, the generator and the method that it belongs to; empty if the
            run was traced by jit or vmap.
    """

    step: Int[Array, ""]
    theta: Tree
    memory: Tree
    hits: dict[str, Float[Array, ""]]
    fingerprint: str = eqx.field(static=True, default="")

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
            "fingerprint": self.fingerprint,
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
            if header.get("format") != _FORMAT:
                raise ValueError(f"{path} is not a checkpoint of this version ({_FORMAT})")
            arrays = [archive[f"leaf{i}"] for i in range(len(header["leaves"]))]
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError, EOFError) as error:
        raise ValueError(f"{path} is not a jaxdip checkpoint: {error}") from error
    wanted = _named_leaves(like)
    if list(wanted) != header["leaves"]:
        raise ValueError(_other_run(f"it holds {header['leaves']}, the run has {list(wanted)}"))
    leaves = [_as_jax(x, leaf) for x, leaf in zip(arrays, wanted.values(), strict=True)]
    read: Any = jax.tree.unflatten(jax.tree.structure(like), leaves)
    return Checkpoint(read.step, read.theta, read.memory, read.hits, header["fingerprint"])


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
    if given.fingerprint and start.fingerprint and given.fingerprint != start.fingerprint:
        raise ValueError(_other_run("its problem, its generator or its method differ in numbers"))
    if is_concrete(given.step) and int(given.step) >= steps:
        raise ValueError(
            f"the checkpoint has taken {int(given.step)} steps, and steps={steps} counts from the "
            "start: ask for more"
        )


def fingerprint(*trees: Tree) -> str:
    """A digest of evenly spaced entries of every array; empty while JAX traces."""
    arrays = eqx.filter(trees, eqx.is_array)
    if not is_concrete(arrays):
        return ""
    digest = hashlib.blake2b(digest_size=16)
    for leaf in jax.tree.leaves(arrays):
        x = _as_numpy(leaf)
        digest.update(f"{x.dtype}{x.shape}".encode())
        digest.update(np.ascontiguousarray(x.ravel()[:: max(1, x.size // _SAMPLE)]).tobytes())
    return digest.hexdigest()


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
