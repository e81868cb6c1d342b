"""What a run is, in a few letters that are the same in every process."""

import enum
import functools
import hashlib
import sys
import types
import zlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdip._tree import is_concrete
from jaxdip._types import Array, UInt8

#: Arrays of more bytes are told apart by a checksum of all bytes and by entries of these many.
_SMALL = 1 << 16
#: Functions of these are known by their names alone, unless they enclose something.
_LIBRARIES = ("jax", "jaxlib", "numpy", "scipy", "optax", "equinox", "diffrax")
_CODE = types.CodeType
_BYTES = 16

#: A digest of each part, by name.
Fingerprint: TypeAlias = dict[str, UInt8[Array, "16"]]


class _Traced(Exception):
    """A value that JAX traces cannot be looked at."""


def fingerprint(**parts: Any) -> Fingerprint:
    """Digests of several objects by name; zeros while JAX traces.

    They are arrays, so that solutions of different runs stack. An object is its arrays, whole; its
    static fields; the names of its types; and of functions the code, the values they enclose, their
    defaults and the plain global values that they name.

    Args:
        parts: Equinox modules, pytrees, functions, numbers or strings, by name.
    """
    try:
        digests = {name: _Digest(part).bytes for name, part in parts.items()}
    except _Traced:
        digests = dict.fromkeys(parts, bytes(_BYTES))
    return {name: jnp.asarray(np.frombuffer(x, np.uint8)) for name, x in digests.items()}


def differing(one: Fingerprint, other: Fingerprint) -> list[str]:
    """The names of the parts in which two fingerprints differ; none if either was traced."""
    if not (_known(one) and _known(other)):
        return []
    return [
        name
        for name in {**one, **other}
        if name not in one or name not in other or _bytes(one[name]) != _bytes(other[name])
    ]


def _known(fingerprint: Fingerprint) -> bool:
    return is_concrete(fingerprint) and all(any(_bytes(x)) for x in fingerprint.values())


def _bytes(x: Array) -> bytes:
    return np.asarray(x).tobytes()


class _Digest:
    """A walk through an object, each shared part of which is entered once."""

    def __init__(self, root: Any):
        self._hash = hashlib.blake2b(digest_size=_BYTES)
        self._seen: dict[int, int] = {}
        # Keeps what is made on the way alive, so that no two parts share an id.
        self._kept: list[Any] = []
        self._enter(root)

    @property
    def bytes(self) -> bytes:
        return self._hash.digest()

    def _write(self, *words: Any) -> None:
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            self._hash.update(len(data).to_bytes(8, "little") + data)

    def _enter(self, x: Any) -> None:
        if isinstance(x, Tracer):
            raise _Traced
        if x is None or x is Ellipsis or isinstance(x, bool | int | float | complex | str | bytes):
            self._write(type(x).__name__, repr(x))
        elif isinstance(x, jax.Array | np.ndarray | np.generic):
            self._array(x)
        elif isinstance(x, np.dtype | enum.Enum | types.ModuleType):
            self._write(type(x).__name__, x.__name__ if isinstance(x, types.ModuleType) else x)
        elif isinstance(x, type):
            self._write("type", _name(x))
        elif isinstance(x, tuple | frozenset | _CODE):
            # Whether equal constants are one object is the compiler's affair.
            self._compound(x)
        elif id(x) in self._seen:
            self._write("again", self._seen[id(x)])
        else:
            self._seen[id(x)] = len(self._seen)
            self._kept.append(x)
            self._compound(x)

    def _compound(self, x: Any) -> None:
        if isinstance(x, types.FunctionType):
            self._function(x)
        elif isinstance(x, _CODE):
            self._code(x)
        elif isinstance(x, types.MethodType):
            self._all("method", x.__func__, x.__self__)
        elif isinstance(x, functools.partial):
            self._all("partial", x.func, x.args, x.keywords)
        elif isinstance(x, Mapping):
            self._all(_name(type(x)), *sorted(x.items(), key=lambda item: repr(item[0])))
        elif isinstance(x, list | tuple):
            self._all(_name(type(x)), *x)
        elif isinstance(x, set | frozenset):
            # A set's order differs between processes.
            self._all(_name(type(x)), *sorted(_Digest(one).bytes for one in x))
        elif isinstance(x, eqx.Module):
            fields = ((name, x.__dict__.get(name)) for name in x.__dataclass_fields__)
            self._all(_name(type(x)), *fields)
        else:
            self._other(x)

    def _all(self, kind: str, *parts: Any) -> None:
        self._write(kind, len(parts))
        for part in parts:
            self._enter(part)

    def _other(self, x: Any) -> None:
        """Jitted and built-in functions, and objects of classes that are not known here."""
        self._write(_name(type(x)), getattr(x, "__module__", ""), getattr(x, "__qualname__", ""))
        wrapped = getattr(x, "__wrapped__", None)
        if wrapped is not None:
            self._enter(wrapped)
        elif not _ready_made(type(x)):
            self._enter(vars(type(x)).get("__call__"))
            self._enter(getattr(x, "__dict__", None))

    def _array(self, x: Array | np.ndarray | np.generic) -> None:
        if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            self._write(jax.random.key_impl(x))
            x = jax.random.key_data(x)
        values = np.ascontiguousarray(x)
        if values.dtype.hasobject:
            self._enter(values.tolist())
            return
        self._write("array", values.dtype, values.shape)
        data = values.reshape(-1).view(np.uint8)
        if data.size > _SMALL:
            # The checksum sees every byte at a fifth of the cost.
            self._write(zlib.crc32(data.data))
            data = np.ascontiguousarray(data[:: data.size // _SMALL])
        self._write(data.tobytes())

    def _function(self, f: types.FunctionType) -> None:
        # A spawned process calls the script's own module by another name.
        module = "__main__" if f.__module__ == "__mp_main__" else f.__module__
        self._write("function", module, f.__qualname__)
        cells = tuple(_content(cell) for cell in f.__closure__ or ())
        if _ready_made(f) and not cells:
            return
        self._all("made of", f.__code__, f.__defaults__, f.__kwdefaults__, cells)
        if not _ready_made(f):
            self._globals(f)

    def _globals(self, f: types.FunctionType) -> None:
        for name in f.__code__.co_names:
            value = f.__globals__.get(name)
            own = isinstance(value, types.FunctionType) and value.__module__ == f.__module__
            plain = bool | int | float | complex | str | tuple | jax.Array | np.ndarray | np.generic
            if own or isinstance(value, plain):
                self._all(name, value)

    def _code(self, code: _CODE) -> None:
        self._all("code", code.co_code, code.co_names, code.co_varnames, code.co_consts)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        # Not filled yet: a function that refers to one defined later.
        return None


def _name(cls: type) -> str:
    module = "__main__" if cls.__module__ == "__mp_main__" else cls.__module__
    return f"{module}.{cls.__qualname__}"


def _ready_made(x: Any) -> bool:
    """Whether a function or class is of Python itself or of a library, so that a name will do."""
    root = str(x.__module__).partition(".")[0]
    return root in _LIBRARIES or root in sys.stdlib_module_names
