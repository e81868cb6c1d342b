"""The Bessel function that Fourier transforms of discs are made of."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdip._types import Array, Float

# Below, Bessel's integral by the trapezoid rule; above, Hankel's expansion. At 25 both have
# converged to double precision: the one's error is about J_70(25), the other's last term 1e-15.
_SWITCH = 25.0
_NODES = 72
_TERMS = 24


def jinc(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """2 J₁(z)/z, which is 1 at z = 0, for z ≥ 0.

    Up to z = 25 by the integral J₁(z) = (1/2π) ∫ sin t sin(z sin t) dt over a period, for which the
    trapezoid rule converges faster than any power; beyond by Hankel's asymptotic expansion.

    Reference: NIST Digital Library of Mathematical Functions, 10.9.2 and 10.17.3.
    """
    z = jnp.asarray(z)
    small = jnp.minimum(z, jnp.asarray(_SWITCH, z.dtype))
    large = jnp.maximum(z, jnp.asarray(_SWITCH, z.dtype))
    return jnp.where(z <= _SWITCH, _by_integral(small), 2 * _by_expansion(large) / large)


def _by_integral(z: Array) -> Array:
    # sin² t and sinc(z sin t) repeat in each quarter of the period.
    sines = np.sin(2 * np.pi * (np.arange(_NODES // 4) + 0.5) / _NODES)

    def add(total: Array, sine: Array) -> tuple[Array, None]:
        return total + jnp.square(sine) * jnp.sinc(z * sine / jnp.pi), None

    total, _ = jax.lax.scan(add, jnp.zeros_like(z), jnp.asarray(sines, z.dtype))
    return total * (8 / _NODES)


def _by_expansion(z: Array) -> Array:
    """J₁(z) = √(2/πz) (P cos(z − 3π/4) − Q sin(z − 3π/4))."""
    # a_k = Π_j (4 − (2j − 1)²) / (k! 8^k)
    factors = [(4 - (2 * j - 1) ** 2) / (8 * j) for j in range(1, _TERMS)]
    terms = np.cumprod([1.0, *factors])
    signs = np.array([1.0, -1.0] * (_TERMS // 4 + 1))[: _TERMS // 2]
    inverse = 1 / z
    even = jnp.polyval(jnp.asarray((signs * terms[0::2])[::-1].copy(), z.dtype), inverse**2)
    odd = jnp.polyval(jnp.asarray((signs * terms[1::2])[::-1].copy(), z.dtype), inverse**2)
    # By the addition theorems: subtracting 3π/4 would round the phase once more.
    cosine, sine = jnp.sin(z) - jnp.cos(z), -jnp.sin(z) - jnp.cos(z)
    return jnp.sqrt(inverse / jnp.pi) * (even * cosine - inverse * odd * sine)
