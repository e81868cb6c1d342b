"""One of each operator, small, real and complex: what every law is tried on."""

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip import operators as ops

ASYMMETRIC = jnp.array([[1.0, 2.0, -1.0], [0.5, 3.0, 0.0], [0.0, 0.25, 0.0], [1.5, -2.0, 0.75]])
SMOOTH = jnp.outer(jnp.array([1.0, 2.0, 1.0]), jnp.array([0.5, 3.0, 0.5])) / 16
KEEP = jnp.array([[True, False, True], [False, False, True]])


class Warp(eqx.Module):
    """A nonlinear map with a parameter."""

    strength: jax.Array

    def __call__(self, x):
        return jnp.sin(self.strength.astype(x.dtype) * x) + x[::-1] ** 2


def warp(dtype):
    return Warp(jnp.asarray(0.7, jnp.finfo(dtype).dtype))


def _key(i):
    return jax.random.key(i)


def linear(real):
    """Linear operators of a real precision ('float64' or 'float32'), by name."""
    cplx = "complex128" if real == "float64" else "complex64"
    gauss = ops.Gaussian(m=4, n=6, key=_key(0), dtype=real)
    gauss_c = ops.Gaussian(m=4, n=6, key=_key(1), dtype=cplx)
    real_to_complex = ops.Gaussian(m=2, n=5, key=_key(2), dtype=cplx, in_dtype=real)
    image = ops.Blur(ASYMMETRIC.astype(real), shape=(5, 6))
    return {
        "dense": ops.Dense(jnp.arange(12.0, dtype=real).reshape(3, 4), in_shape=(2, 2)),
        "dense real to complex": real_to_complex,
        "dense real on complex": ops.Dense(gauss.values, in_dtype=cplx),
        "gaussian": gauss,
        "gaussian tall": ops.Gaussian(m=7, n=3, key=_key(3), dtype=real, normalized=True),
        "gaussian complex": gauss_c,
        "with spectrum": ops.WithSpectrum([3.0, 0.0, 1.0], m=4, n=5, key=_key(4), dtype=real),
        "with spectrum complex": ops.WithSpectrum([3.0, 0.5], m=4, n=3, key=_key(5), dtype=cplx),
        "evenly spaced": ops.WithSpectrum.evenly_spaced(6, _key(6), in_shape=(2, 3), dtype=real),
        "inverse square": ops.WithSpectrum.inverse_square(5, _key(7), dtype=real),
        "blur periodic": image,
        "blur periodic complex": ops.Blur(ASYMMETRIC.astype(real), shape=(5, 4), dtype=cplx),
        "blur periodic channels": ops.Blur(SMOOTH.astype(real), shape=(4, 4, 3)),
        "blur periodic signal": ops.Blur(jnp.array([1.0, 2.0, 4.0], real), shape=7),
        "blur zero": ops.Blur(ASYMMETRIC.astype(real), shape=(5, 6), boundary="zero"),
        "blur zero complex": ops.Blur(SMOOTH.astype(real), shape=(4, 3), boundary="zero", dtype=cplx),
        "blur reflect": ops.Blur(ASYMMETRIC.astype(real), shape=(5, 6), boundary="reflect"),
        "blur reflect symmetric": ops.Blur(SMOOTH.astype(real), shape=(5, 4, 2), boundary="reflect"),
        "blur reflect complex": ops.Blur(
            SMOOTH.astype(real), shape=(5, 4), boundary="reflect", dtype=cplx
        ),
        "blur gaussian": ops.Blur.gaussian((8, 7), 1.0, radius=2, dtype=real),
        "mask": ops.Mask(KEEP, dtype=real),
        "mask complex": ops.Mask(KEEP, dtype=cplx),
        "mask random": ops.Mask.random((5, 4), 0.3, _key(8), dtype=real),
        "identity": ops.Identity((2, 3), dtype=real),
        "identity complex": ops.Identity(3, dtype=cplx),
        "composition": ops.Mask.random((5, 6), 0.5, _key(9), dtype=real) @ image,
        "composition complex to complex over the reals": gauss_c @ _real_part(gauss_c),
        "masked mask": ops.Mask(jnp.array([True, False, True]), dtype=real)
        @ ops.Mask(KEEP, dtype=real),
        "sum": gauss + 2.0 * ops.Gaussian(m=4, n=6, key=_key(10), dtype=real),
        "sum complex": gauss_c - ops.Dense(gauss.values, in_dtype=cplx),
        "scaled": -0.5 * gauss,
        "scaled complex": (1 - 2j) * gauss_c,
        "scaled real to complex": 1j * real_to_complex,
        "linearized": ops.Callable(warp(real), (5,), real).linearize(jnp.linspace(0, 1, 5, dtype=real)),
        "linearized phase retrieval": ops.PhaseRetrieval(gauss_c).linearize(
            jnp.linspace(1, 2, 6, dtype=cplx)
        ),
        "linearized complex": ops.Callable(warp(cplx), (5,), cplx).linearize(
            jnp.linspace(0, 1j, 5, dtype=cplx)
        ),
    }


def nonlinear(real):
    """Nonlinear operators of a real precision, by name."""
    cplx = "complex128" if real == "float64" else "complex64"
    gauss = ops.Gaussian(m=4, n=6, key=_key(0), dtype=real)
    gauss_c = ops.Gaussian(m=4, n=6, key=_key(1), dtype=cplx)
    phase = ops.PhaseRetrieval(gauss)
    sine = ops.Callable(jnp.sin, (4,), real)
    return {
        "callable": sine,
        "callable module": ops.Callable(warp(real), (5,), real),
        "callable complex": ops.Callable(warp(cplx), 4, cplx),
        "callable real to complex": ops.Callable(jnp.fft.fft, 4, real),
        "phase retrieval": phase,
        "phase retrieval complex": ops.PhaseRetrieval(gauss_c),
        "phase retrieval real to complex": ops.PhaseRetrieval(
            ops.Gaussian(m=3, n=4, key=_key(2), dtype=cplx, in_dtype=real)
        ),
        "nonlinear composition": sine @ gauss,
        "nonlinear inner": ops.Gaussian(m=2, n=4, key=_key(3), dtype=real) @ phase,
        "nonlinear sum": phase + gauss,
        "nonlinear scaled": 0.5 * phase - gauss,
    }


def _real_part(operator):
    """The complex signal's real part, as a linear operator from complex to real and on to complex."""
    dtype = operator.in_structure.dtype
    take_real = ops.Callable(lambda x: x.real.astype(dtype), operator.in_structure.shape, dtype)
    return take_real.linearize(jnp.zeros(operator.in_structure.shape, dtype))
