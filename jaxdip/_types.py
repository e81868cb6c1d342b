"""Names for the kinds of value that signatures mention."""

from typing import Any, TypeAlias

from jaxtyping import Array, Bool, Float, Inexact, Int, PRNGKeyArray, UInt8

#: A typed JAX random key, `jax.random.key(seed)`.
Key: TypeAlias = PRNGKeyArray
#: A real number: a Python float or a zero-dimensional real array (never recompiles as an array).
RealScalar: TypeAlias = float | Float[Array, ""]
#: A device of JAX.
Device: TypeAlias = Any
#: Any pytree.
Tree: TypeAlias = Any

__all__ = [
    "Array",
    "Bool",
    "Device",
    "Float",
    "Inexact",
    "Int",
    "Key",
    "RealScalar",
    "Tree",
    "UInt8",
]
