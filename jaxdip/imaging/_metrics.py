"""How near an image is to its reference, entry by entry.

Complex images are compared as they are, phase included; give magnitudes to compare those.
"""

import jax.numpy as jnp

from jaxdip._types import Array, Float, Inexact, RealScalar


def nmse(x: Inexact[Array, "..."], reference: Inexact[Array, "..."]) -> Float[Array, ""]:
    """Normalised squared error ‖x − r‖² / ‖r‖², dimensionless.

    Args:
        x: the estimate, any shape.
        reference: the true signal r, of the same shape, not zero.

    Returns:
        A scalar; 0 for equality.

    Raises:
        ValueError: if the shapes differ.
    """
    check_same_shape(x, reference)
    return jnp.sum(_square(x - reference)) / jnp.sum(_square(reference))


def snr(x: Inexact[Array, "..."], reference: Inexact[Array, "..."]) -> Float[Array, ""]:
    """Signal-to-noise ratio 20 log₁₀(‖r‖ / ‖x − r‖) in decibels, infinite for equality.

    Args:
        x: the estimate, any shape.
        reference: the true signal r, of the same shape.

    Returns:
        A scalar in decibels.

    Raises:
        ValueError: if the shapes differ.
    """
    return -10.0 * jnp.log10(nmse(x, reference))


def psnr(
    x: Inexact[Array, "..."], reference: Inexact[Array, "..."], data_range: RealScalar
) -> Float[Array, ""]:
    """Peak signal-to-noise ratio 10 log₁₀(R² / mean |x − r|²) in decibels.

    Equal to `skimage.metrics.peak_signal_noise_ratio`; colour images average over all channels.

    Args:
        x: the estimate, any shape.
        reference: the true image r, of the same shape.
        data_range: R, the distance from black to white in the units of the images.

    Returns:
        A scalar in decibels, infinite for equality.

    Raises:
        ValueError: if the shapes differ.
    """
    check_same_shape(x, reference)
    mean = jnp.mean(_square(x - reference))
    return 10.0 * jnp.log10(jnp.square(jnp.asarray(data_range, mean.dtype)) / mean)


def _square(x: Array) -> Array:
    """|x|², without the square root that would spoil the gradient at 0."""
    return jnp.square(x.real) + jnp.square(x.imag) if jnp.iscomplexobj(x) else jnp.square(x)


def check_same_shape(x: Array, reference: Array) -> None:
    """Refuse two arrays of different shapes, which would broadcast into a wrong mean."""
    if jnp.shape(x) != jnp.shape(reference):
        raise ValueError(
            f"x of shape {jnp.shape(x)} and reference of shape {jnp.shape(reference)}, "
            "expected equal shapes"
        )
