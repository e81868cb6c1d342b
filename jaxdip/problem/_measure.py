"""Making data: observe a known signal through an operator, with noise."""

import equinox as eqx
import jax.numpy as jnp

from jaxdip._random import check_key
from jaxdip._tree import is_concrete
from jaxdip._types import Array, Key, RealScalar
from jaxdip.noise import AbstractNoise, Gaussian
from jaxdip.operators import AbstractOperator


class Measurement(eqx.Module):
    """An observation of a known signal, with everything a simulation may ask of it later.

    Attributes:
        y: the data F(x̄) + ε.
        y_clean: F(x̄).
        x_true: x̄.
        noise_norm: ‖y − F(x̄)‖, the ‖ε‖ of the theorems, known exactly because simulated.
    """

    y: Array
    y_clean: Array
    x_true: Array
    noise_norm: Array


def measure(
    operator: AbstractOperator,
    x_true: Array,
    *,
    noise: AbstractNoise | RealScalar = 0.0,
    key: Key | None = None,
) -> Measurement:
    """Observes x̄ through F with noise.

    Args:
        operator: F.
        x_true: x̄, of the operator's input shape.
        noise: a noise model, or the standard deviation of Gaussian noise in the units of y.
        key: the random key of the noise; needed unless `noise` is the number 0.

    Raises:
        ValueError: if the shape is wrong, the deviation is negative, or noise lacks a key.
    """
    x_true = jnp.asarray(x_true)
    wanted = operator.in_structure
    if x_true.shape != wanted.shape:
        raise ValueError(f"the operator takes signals of shape {wanted.shape}, got {x_true.shape}")
    clean = operator(x_true)
    if not isinstance(noise, AbstractNoise):
        concrete = is_concrete(noise)
        if concrete and not float(noise) >= 0:
            raise ValueError(f"noise is a model or a standard deviation >= 0, got {noise}")
        if concrete and float(noise) == 0 and key is None:
            return Measurement(clean, clean, x_true, jnp.zeros((), jnp.abs(clean).dtype))
        noise = Gaussian(noise)
    if key is None:
        raise ValueError("noise needs a random key: measure(..., key=jax.random.key(0))")
    check_key(key)
    y = noise(clean, key=key)
    return Measurement(y, clean, x_true, jnp.linalg.norm(jnp.ravel(y - clean)))
