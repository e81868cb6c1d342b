"""What decides the last bits of a result."""

import hashlib
import os
import platform
import types
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._fingerprint import fingerprint
from jaxdip._source import source_digest
from jaxdip._types import Device
from jaxdip.sweeps._trial import AbstractTrial


def trial_digest(trial: AbstractTrial) -> str:
    """A digest of a trial's settings and of its own code, the same in every process.

    The code is that of the methods of its classes, without what they call elsewhere.
    """
    kinds = [cls for cls in type(trial).__mro__ if issubclass(cls, AbstractTrial)]
    methods = {
        f"{cls.__name__}.{name}": value
        for cls in kinds
        for name, value in vars(cls).items()
        if isinstance(value, types.FunctionType) and not name.startswith("__")
    }
    found = fingerprint(trial=trial, **methods)
    total = hashlib.sha256()
    for name in sorted(found):
        total.update(name.encode() + np.asarray(found[name]).tobytes())
    return total.hexdigest()


def numerical_identity(devices: Sequence[Device], kernel: str) -> dict[str, Any]:
    """All that must be equal for two processes to compute the same bits.

    The same expression compiled for another device, batch width or release may round otherwise.

    Args:
        devices: that compute.
        kernel: of the sweep, with its width.
    """
    return {
        "jaxdip": version("jaxdip"),
        "jax": version("jax"),
        "jaxlib": version("jaxlib"),
        "backend": devices[0].platform,
        "device": _machine() if devices[0].platform == "cpu" else devices[0].device_kind,
        "kernel": kernel,
        # The kernels themselves, and the buckets that the toolkit's trials are padded to.
        "kernels": source_digest("sweeps/_kernels.py")[:16] + source_digest("trials/*.py")[:16],
        "x64": bool(jnp.result_type(float) == jnp.float64),
        "matmul_precision": str(getattr(jax.config, "jax_default_matmul_precision", None)),
        "threefry_partitionable": bool(jax.config.values["jax_threefry_partitionable"]),
        # How many devices a process pretends to have changes no bits.
        "XLA_FLAGS": " ".join(
            flag
            for flag in sorted(os.environ.get("XLA_FLAGS", "").split())
            if "device_count" not in flag
        ),
    }


def _machine() -> str:
    """The instruction set, as far as it can be told: XLA compiles for all that the CPU has."""
    flags = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "")
    wide = [name for name in ("avx512f", "avx2", "fma", "sve", "asimd") if name in flags.split()]
    return " ".join([platform.machine(), *wide])
