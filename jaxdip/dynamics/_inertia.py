"""The numbers s, α and β of the inertial methods: their defaults, in one place."""

import jax.numpy as jnp

from jaxdip._types import Array, RealScalar
from jaxdip.dynamics._checks import number
from jaxdip.dynamics._constant_step import InverseL
from jaxdip.dynamics._scales import Scales

#: Notes on what was chosen, in words.
_Notes = tuple[str, ...]


def squared_step(s: RealScalar | InverseL | None) -> Array | InverseL | None:
    """s as an array, where it is a number.

    Raises:
        ValueError: unless s is finite and positive.
    """
    return s if isinstance(s, InverseL) else number("s", s, positive=True)


def resolve_s(s: Array | InverseL | None, scales: Scales) -> tuple[Array, _Notes]:
    """s = 1/L where left out, c/L where asked for."""
    if s is not None and not isinstance(s, InverseL):
        return s, ()
    value, words = (InverseL() if s is None else s).of(scales)
    return value, (f"s: {words}",)


def resolve_alpha(
    alpha: Array | None, scales: Scales, s: Array, *, at_most: Array | None = None
) -> tuple[Array, _Notes]:
    """α = μ where left out, but at most `at_most`."""
    if alpha is not None:
        return alpha, ()
    alpha = scales.mu.astype(s.dtype)
    if at_most is not None:
        alpha = jnp.minimum(alpha, at_most)
    note = "alpha: mu, the smallest non-zero singular value of A J at the start"
    return alpha, (note if at_most is None else f"{note}, or 1/(4 sqrt(s)) if that is less",)


def resolve_beta(beta: Array | None, s: Array) -> tuple[Array, _Notes]:
    """β = √s where left out."""
    if beta is not None:
        return beta, ()
    return jnp.sqrt(s), ("beta: sqrt(s)",)


def known(
    s: Array | InverseL | None, alpha: Array | None, beta: Array | None
) -> tuple[Array, Array, Array]:
    """The three numbers.

    Raises:
        ValueError: if one is not known yet.
    """
    if s is None or isinstance(s, InverseL) or alpha is None or beta is None:
        raise ValueError("s, alpha and beta are not known yet; call resolve, or give them")
    return s, alpha, beta
