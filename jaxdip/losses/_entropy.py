"""The generalised Kullback–Leibler divergence of one entry, to full relative precision near 0."""

import jax
import jax.numpy as jnp

from jaxdip._types import Array

# With r = t/(2 + t), ln(1 + t) = 2 artanh r, so t − ln(1 + t) = t r − 2 r³ (1/3 + r²/5 + …); on
# −0.4 < t < 0.6 this is r² < 1/16, and eighteen terms reach 2⁻⁷⁰.
_TERMS = 18


def is_near(t: Array) -> Array:
    """True where t − ln(1 + t) cancels and the series is used."""
    return (t > -0.4) & (t < 0.6)


def _near_excess(t: Array) -> Array:
    r = t / (2.0 + t)
    square = r * r
    tail = jnp.zeros_like(r)
    for k in reversed(range(_TERMS)):
        tail = tail * square + 1.0 / (2 * k + 3)
    return r * (t - 2.0 * square * tail)


def excess(t: Array) -> Array:
    """t − ln(1 + t) for t > −1, with a small relative error also where it is about t²/2."""
    near = is_near(t)
    far = jnp.where(near, 1.0, t)
    return jnp.where(near, _near_excess(jnp.where(near, t, 0.0)), far - jnp.log1p(far))


@jax.custom_jvp
def divergence(v: Array, y: Array) -> Array:
    """y ln(y/v) − y + v entry by entry, v where y = 0; +inf where v < 0, y < 0, or v = 0 < y.

    The derivatives are (v − y)/v and ln(y/v); they are 0 where the value is +inf, so that one entry
    outside the domain cannot spoil the gradient of the others.
    """
    inside, v_in, y_in = _interior(v, y)
    t = (v_in - y_in) / y_in
    near = is_near(t)
    far = (v_in - y_in) - y_in * (jnp.log(v_in) - jnp.log(y_in))
    value = jnp.where(near, y_in * _near_excess(jnp.where(near, t, 0.0)), far)
    return jnp.where(inside, value, jnp.where(_edge(v, y), v, jnp.inf))


def _interior(v: Array, y: Array) -> tuple[Array, Array, Array]:
    inside = (v > 0) & (y > 0) & jnp.isfinite(v) & jnp.isfinite(y)
    return inside, jnp.where(inside, v, 1.0), jnp.where(inside, y, 1.0)


def _edge(v: Array, y: Array) -> Array:
    return (y == 0) & (v >= 0) & jnp.isfinite(v)


@divergence.defjvp
def _divergence_jvp(primals, tangents):
    v, y = primals
    v_dot, y_dot = tangents
    inside, v_in, y_in = _interior(v, y)
    one = jnp.ones_like(v)
    by_v = jnp.where(inside, (v_in - y_in) / v_in, jnp.where(_edge(v, y), one, 0.0))
    by_y = jnp.where(inside, jnp.log(y_in) - jnp.log(v_in), 0.0)
    return divergence(v, y), by_v * v_dot + by_y * y_dot


def log_divergence(log_v: Array, y: Array) -> Array:
    """`divergence` of a prediction in (−inf, 0] given by its logarithm, which may underflow."""
    positive = y > 0
    y_in = jnp.where(positive, y, 1.0)
    v = jnp.exp(log_v)
    t = (v - y_in) / y_in
    near = is_near(t)
    far = (v - y_in) - y_in * (log_v - jnp.log(y_in))
    value = jnp.where(near, y_in * _near_excess(jnp.where(near, t, 0.0)), far)
    return jnp.where(positive, value, v)
