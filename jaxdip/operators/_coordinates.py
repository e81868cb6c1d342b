"""Arrays as vectors of real coordinates, and linear maps as dense matrices between them."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdip._types import Array

#: The most entries that a dense matrix may have (1.6 GB in double precision).
DENSE_LIMIT = 200_000_000


def is_complex(structure: jax.ShapeDtypeStruct) -> bool:
    """Whether arrays of this structure are complex."""
    return jnp.issubdtype(structure.dtype, jnp.complexfloating)


def real_dtype(structure: jax.ShapeDtypeStruct) -> jnp.dtype:
    """The dtype of the real part."""
    return jnp.finfo(structure.dtype).dtype


def real_size(structure: jax.ShapeDtypeStruct) -> int:
    """The number of real coordinates: a complex entry has two."""
    return math.prod(structure.shape) * (2 if is_complex(structure) else 1)


def to_real(x: Array) -> Array:
    """The vector of real coordinates, (Re, Im) where x is complex."""
    flat = x.ravel()
    return jnp.concatenate([flat.real, flat.imag]) if jnp.iscomplexobj(x) else flat


def from_real(coordinates: Array, structure: jax.ShapeDtypeStruct) -> Array:
    """The array whose real coordinates these are."""
    if is_complex(structure):
        re, im = jnp.split(coordinates, 2)
        coordinates = jax.lax.complex(re, im)
    return coordinates.reshape(structure.shape)


def conform(x: Array, structure: jax.ShapeDtypeStruct, who: str) -> Array:
    """The array x, if it is what `who` takes.

    Raises:
        ValueError: for another shape.
        TypeError: for another dtype, since a silent cast would change precision or adjoint.
    """
    x = jnp.asarray(x)
    if x.shape != structure.shape:
        raise ValueError(
            f"{who} takes an array of shape {structure.shape}, got {x.shape}; "
            "reshape it, or build the operator for this shape"
        )
    if x.dtype != structure.dtype:
        raise TypeError(
            f"{who} takes dtype {jnp.dtype(structure.dtype).name}, got {x.dtype.name}; "
            "cast it by .astype, or build the operator for this dtype"
        )
    return x


def check_dense_size(rows: int, columns: int) -> None:
    """Refuse a dense matrix beyond `DENSE_LIMIT` entries.

    Raises:
        ValueError: saying what to use instead.
    """
    if rows * columns > DENSE_LIMIT:
        raise ValueError(
            f"a dense {rows} x {columns} matrix exceeds {DENSE_LIMIT:.0e} entries; use "
            "estimate_norm for ‖A‖, or an operator whose spectrum has a closed form"
        )


def columns_at(
    apply: Callable[[Array], Array], structure: jax.ShapeDtypeStruct, value: complex = 1.0
) -> Array:
    """The flattened images of `value`·e_1, ..., `value`·e_n, as the columns of a matrix."""
    size = math.prod(structure.shape)
    number = jnp.asarray(value, structure.dtype)

    def image(i: Array) -> Array:
        basis = jnp.zeros(size, structure.dtype).at[i].set(number)
        return apply(basis.reshape(structure.shape)).ravel()

    # In blocks, so that the intermediates of n applications need not fit in memory together.
    return jax.lax.map(image, jnp.arange(size), batch_size=min(size, 256)).T


def real_columns(
    apply: Callable[[Array], Array],
    in_structure: jax.ShapeDtypeStruct,
    out_structure: jax.ShapeDtypeStruct,
) -> Array:
    """The dense matrix of a real-linear map in real coordinates.

    Raises:
        ValueError: if it has more than `DENSE_LIMIT` entries.
    """
    check_dense_size(real_size(out_structure), real_size(in_structure))
    columns = [columns_at(apply, in_structure)]
    if is_complex(in_structure):
        columns.append(columns_at(apply, in_structure, 1j))
    matrix = jnp.concatenate(columns, axis=1)
    return jnp.concatenate([matrix.real, matrix.imag]) if is_complex(out_structure) else matrix


def eps_of(structure: jax.ShapeDtypeStruct) -> float:
    """The unit of rounding of arrays of this structure."""
    return float(jnp.finfo(structure.dtype).eps)
