"""How vectors lie to a basis, and how the energy of a signal spreads over modes."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float
from jaxdip.analysis._spectrum import Spectrum, require_vectors
from jaxdip.operators._coordinates import to_real


def alignment(
    vectors: Spectrum | Float[Array, "m r"], basis: Float[Array, "m b"]
) -> Float[Array, "r b"]:
    """|⟨w_i, b_j⟩|², which sums to 1 along each row if the basis is complete.

    Args:
        vectors: orthonormal columns w_i, or a spectrum with its left vectors.
        basis: orthonormal columns b_j (`trigonometric_basis`, `cosine_basis`, vectors of an SVD).

    Raises:
        ValueError: if the shapes disagree or the spectrum has no vectors.
    """
    W = _columns(vectors)
    _check_rows(W, basis)
    return jnp.abs(_inner(W, basis)) ** 2


def principal_angles(
    first: Spectrum | Float[Array, "m r"], second: Spectrum | Float[Array, "m s"]
) -> Float[Array, " q"]:
    """The angles between two subspaces, ascending, in radians; q = min(r, s).

    Their cosines are the singular values of XᵀY, their sines those of Y − X XᵀY (X the larger):
    from both, every angle is right to rounding.

    Args:
        first: orthonormal columns that span the one, such as `spectrum.left[:, :5]`.
        second: those of the other.

    Raises:
        ValueError: if the shapes disagree or a spectrum has no vectors.

    Reference: Å. Björck & G. Golub, Math. Comp. 27 (1973).
    """
    X, Y = _columns(first), _columns(second)
    _check_rows(X, Y)
    if X.shape[1] < Y.shape[1]:
        X, Y = Y, X
    inner = _inner(X, Y)
    rest = Y - jnp.matmul(X, inner, precision=jax.lax.Precision.HIGHEST)
    cosines = jnp.linalg.svd(inner, full_matrices=False, compute_uv=False)
    sines = jnp.linalg.svd(rest, full_matrices=False, compute_uv=False)[::-1]
    return jnp.arctan2(sines, cosines)


def mode_energies(
    vectors: Spectrum | Float[Array, "m r"], signal: Float[Array, "..."]
) -> Float[Array, " r"]:
    """|⟨w_i, x⟩|²: with a complete basis they sum to ‖x‖².

    Args:
        vectors: orthonormal columns w_i, or a spectrum with its left vectors.
        signal: x, of any shape with m entries: a signal for of="J", a residual for of="AJ". A
            complex one is taken as (Re, Im) if the vectors have twice its entries.

    Raises:
        ValueError: if the shapes disagree or the spectrum has no vectors.
    """
    W = _columns(vectors)
    x = jnp.asarray(signal)
    flat = to_real(x) if W.shape[0] == 2 * x.size and jnp.iscomplexobj(x) else x.ravel()
    _check_rows(W, flat[:, None])
    return jnp.abs(_inner(W, flat)) ** 2


def _columns(vectors: Spectrum | Array) -> Array:
    W = require_vectors(vectors) if isinstance(vectors, Spectrum) else jnp.asarray(vectors)
    if W.ndim != 2:
        raise ValueError(f"vectors are the columns of a matrix, got shape {W.shape}")
    return W


def _check_rows(W: Array, other: Array) -> None:
    if jnp.ndim(other) != 2 or other.shape[0] != W.shape[0]:
        raise ValueError(
            f"the vectors have {W.shape[0]} entries, the other side has shape {jnp.shape(other)}; "
            "both need the same number of rows (of='J' for signals, of='AJ' for data)"
        )


def _inner(W: Array, x: Array) -> Array:
    return jnp.matmul(W.conj().T, x, precision=jax.lax.Precision.HIGHEST)
