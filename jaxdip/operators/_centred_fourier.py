"""The centred orthonormal Fourier transform, as magnetic resonance imaging uses it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Inexact


@jax.jit
def centred_fft(x: Inexact[Array, "... H W"]) -> Inexact[Array, "... H W"]:
    """k-space of images: fftshift ∘ fft ∘ ifftshift over the last two axes, orthonormal.

    X_k = (HW)^(−1/2) Σ_j x_j exp(−2πi ((k₁ − c₁)(j₁ − c₁)/H + (k₂ − c₂)(j₂ − c₂)/W)): both the
    image's origin and frequency zero lie at the entry c = (H // 2, W // 2).

    Args:
        x: images, (..., H, W).

    Returns:
        Complex coefficients of the same shape.
    """
    shifted = jnp.fft.fft2(jnp.fft.ifftshift(x, axes=(-2, -1)), norm="ortho")
    return jnp.fft.fftshift(shifted, axes=(-2, -1))


@jax.jit
def centred_ifft(kspace: Inexact[Array, "... H W"]) -> Inexact[Array, "... H W"]:
    """Images of k-space, the inverse and adjoint of `centred_fft`.

    Args:
        kspace: coefficients, (..., H, W).

    Returns:
        Complex images of the same shape.
    """
    shifted = jnp.fft.ifft2(jnp.fft.ifftshift(kspace, axes=(-2, -1)), norm="ortho")
    return jnp.fft.fftshift(shifted, axes=(-2, -1))


def complex_dtype(dtype: Any) -> Any:
    """The complex dtype of the same precision; the default one for None."""
    if dtype is None:
        return jnp.result_type(complex)
    return np.result_type(dtype, np.complex64)
