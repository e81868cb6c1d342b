"""The spectrum that a fixed convolution gives a ReLU network: the weights of its kernel."""

from typing import Literal

import jax
import jax.numpy as jnp

from jaxdip._evidence import Quantity
from jaxdip._types import Array, Float, RealScalar

_HIGHEST = jax.lax.Precision.HIGHEST


def circulant_weights(
    kernel: Float[Array, "..."],
    *,
    formula: Literal["autocorrelation", "convolution"] = "autocorrelation",
) -> Float[Array, "..."]:
    """Singular values of the expected Jacobian of ReLU(U C) v, for the circulant U of a kernel u.

        s = ‖u‖ |F g(r/‖u‖²)|^½,   g(t) = ½ (1 − arccos(t)/π) t,

    with F the unnormalised discrete Fourier transform and r_j = Σ_i u_i u_{i+j} the circular
    autocorrelation. s_i belongs to the i-th vector of `trigonometric_basis`; they are the square
    roots of the eigenvalues of `expected_relu_kernel(circulant(u))`. The paper prints the circular
    convolution u ⊛ u for r, which is the same for kernels that are symmetric up to a shift and
    differs for others: `formula="convolution"` computes it as printed. For kernels of two or three
    axes, F and r are those of as many axes, which the paper leaves out; s at a frequency f then
    belongs to cos(2π⟨f, x⟩) and sin(2π⟨f, x⟩). The decay of s for
    triangular kernels is algebraic (a straight line in a log-log plot), although the paper calls it
    geometric.

    Args:
        kernel: u, shape (n,) or that of a grid of more axes, not zero.
        formula: which r.

    Returns:
        s, of the kernel's shape, in the order of the Fourier index (not sorted).

    Raises:
        ValueError: for a kernel that is one number, or an unknown formula.

    Reference: R. Heckel & M. Soltanolkotabi, arXiv 2005.03991, (11).
    """
    kernel = jnp.asarray(kernel)
    if kernel.ndim == 0:
        raise ValueError("a kernel is a vector of n entries or a grid of them, got one number")
    if formula not in ("autocorrelation", "convolution"):
        raise ValueError(f"formula is 'autocorrelation' or 'convolution', got {formula!r}")
    transformed = jnp.fft.fftn(kernel)
    if formula == "autocorrelation":
        square = transformed.real**2 + transformed.imag**2
        cosines = (jnp.fft.ifftn(square).real / jnp.sum(kernel**2)).at[(0,) * kernel.ndim].set(1)
    else:
        cosines = jnp.fft.ifftn(transformed**2).real / jnp.sum(kernel**2)
    values = jnp.abs(jnp.fft.fftn(_relu_dual(cosines)))
    return jnp.linalg.norm(kernel.ravel()) * jnp.sqrt(values)


def circulant(kernel: Float[Array, " n"]) -> Float[Array, "n n"]:
    """U with U c = u ⊛ c: the kernel is its first column."""
    kernel = jnp.asarray(kernel)
    i = jnp.arange(kernel.shape[0])
    return kernel[(i[:, None] - i[None, :]) % kernel.shape[0]]


def expected_relu_kernel(U: Float[Array, "n q"]) -> Float[Array, "n n"]:
    """Σ(U) = E[J Jᵀ] of G(C) = ReLU(U C) v with ‖v‖ = 1 and iid centred Gaussian C.

        Σ(U) = (U Uᵀ) ∘ ½ (1 − arccos(cos∠(u_i, u_j))/π),

    with u_i the rows of U, none of them zero.

    Raises:
        ValueError: if U is no matrix.

    Reference: arXiv 2005.03991, Appendix B; the arc-cosine kernel of Y. Cho & L. Saul (2009).
    """
    U = jnp.asarray(U)
    if U.ndim != 2:
        raise ValueError(f"U is a matrix (n, q), got shape {U.shape}")
    gram = jnp.matmul(U, U.T, precision=_HIGHEST)
    norms = jnp.linalg.norm(U, axis=1)
    scale = norms[:, None] * norms[None, :]
    # arccos turns a rounding error of 1e-16 at 1 into one of 1e-8: the diagonal is known.
    cosines = jnp.where(jnp.eye(U.shape[0], dtype=bool), 1, gram / scale)
    return scale * _relu_dual(cosines)


def _relu_dual(cosines: Array) -> Array:
    """g(t) = ½ (1 − arccos(t)/π) t."""
    inside = jnp.clip(cosines, -1, 1)
    return 0.5 * (1 - jnp.arccos(inside) / jnp.pi) * cosines


def relu_output_bound(U: Float[Array, "n q"], std: RealScalar, failure: RealScalar) -> Quantity:
    """‖G(C0)‖ ≤ ω √(8 log(2n/δ)) ‖U‖_F with probability at least 1 − δ.

    For G(C) = ReLU(U C) v, v = (1, …, 1, −1, …, −1)/√k half and half, C0 iid N(0, ω²).

    Args:
        U: shape (n, q).
        std: ω.
        failure: δ in ]0, 1[.

    Reference: arXiv 2005.03991, Lemma 1.
    """
    U = jnp.asarray(U)
    std, failure = jnp.asarray(std, U.dtype), jnp.asarray(failure, U.dtype)
    value = std * jnp.sqrt(8 * jnp.log(2 * U.shape[0] / failure)) * jnp.linalg.norm(U)
    return Quantity(value, "‖G(C0)‖ <= ω √(8 log(2n/δ)) ‖U‖_F, with probability 1 − δ", "bound")


def relu_jacobian_bound(U: Float[Array, "n q"], v: Float[Array, " k"]) -> Quantity:
    """‖J_G(C)‖ ≤ ‖v‖ ‖U‖ for G(C) = ReLU(U C) v, at every C.

    Reference: arXiv 2005.03991, Lemma 2.
    """
    value = jnp.linalg.norm(v) * jnp.linalg.norm(jnp.asarray(U), ord=2)
    return Quantity(value, "‖J_G‖ <= ‖v‖ ‖U‖", "bound")
