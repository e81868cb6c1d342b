"""The neural tangent kernel K = J Jᵀ."""

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._types import Array, Float
from jaxdip.analysis._closed_factor import closed_factor
from jaxdip.analysis._jacobian import LARGEST, Jacobian, Of, check_count, jacobian
from jaxdip.analysis._spectrum import CHUNK
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem


def kernel(
    problem: Problem, generator: AbstractGenerator, *, of: Of = "AJ", chunk: int = CHUNK
) -> Float[Array, "m m"]:
    """K = J_g J_gᵀ, or F' J_g J_gᵀ F'ᵀ, at the generator's θ.

    In closed form for `TwoLayer` and `Linear`; from the dense Jacobian where that has at most 2e8
    entries; else `chunk` columns J (Jᵀ e_i) at a time, for m × m + chunk × p numbers of memory.

    Args:
        problem: whose latent u and operator F enter.
        generator: at θ.
        of: "AJ" for the kernel of the prediction, "J" for that of the signal.
        chunk: rows at a time.

    Raises:
        ValueError: for an unknown name, or if K has more than 2e8 entries.

    Reference: A. Jacot, F. Gabriel & C. Hongler, "Neural tangent kernel", arXiv 1806.07572.
    """
    check_count("chunk", chunk)
    return kernel_of(jacobian(problem, generator, of)[1], chunk)


def kernel_of(J: Jacobian, chunk: int) -> Float[Array, "m m"]:
    """K of a Jacobian in any isometric coordinates."""
    m = J.rows
    if m * m > LARGEST:
        raise ValueError(
            f"a dense {m} x {m} kernel exceeds {LARGEST:.0e} entries; use spectrum with "
            "method='krylov', or spectral_density"
        )
    factor = closed_factor(J)
    if factor is not None:
        return _gram(factor.B) + factor.rho**2 * jnp.eye(m, dtype=J.dtype)
    if m * J.columns <= LARGEST:
        return _gram(J.dense(chunk))
    return _by_products(J, chunk)


def _gram(B: Array) -> Array:
    return jnp.matmul(B, B.T, precision=jax.lax.Precision.HIGHEST)


@eqx.filter_jit
def _by_products(J: Jacobian, chunk: int) -> Array:
    product = J.product()

    def column(i: Array) -> Array:
        return product.push(product.pull(jnp.zeros(J.rows, J.dtype).at[i].set(1)))

    K = jax.lax.map(column, jnp.arange(J.rows), batch_size=min(chunk, J.rows))
    return (K + K.T) / 2
