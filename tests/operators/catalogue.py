"""One of each operator, small, real and complex: what every law is tried on.

Each entry makes its operator for a real precision, 'float64' or 'float32', and the complex dtype
that goes with it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip import operators as ops

ASYMMETRIC = [[1.0, 2.0, -1.0], [0.5, 3.0, 0.0], [0.0, 0.25, 0.0], [1.5, -2.0, 0.75]]
SYMMETRIC = [[0.5, 3.0, 0.5], [1.0, 6.0, 1.0], [0.5, 3.0, 0.5]]
KEEP = [[True, False, True], [False, False, True]]
# Of the frequencies, some with and some without their opposite, on odd and even extents.
SPECTRUM = jnp.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 1]], bool)


class Warp(eqx.Module):
    """A nonlinear map with a parameter."""

    strength: jax.Array

    def __call__(self, x):
        return jnp.sin(self.strength.astype(x.dtype) * x) + x[::-1] ** 2


def warp(dtype):
    return ops.Callable(Warp(jnp.asarray(0.7, jnp.finfo(dtype).dtype)), 5, dtype)


def gaussian(dtype, seed=0, m=4, n=6, **options):
    return ops.Gaussian(m=m, n=n, key=jax.random.key(seed), dtype=dtype, **options)


def blur(kernel, shape, real, boundary, dtype=None):
    return ops.Blur(jnp.asarray(kernel, real), shape=shape, boundary=boundary, dtype=dtype)


def real_part(real, cplx):
    """Re: C^6 → C^6, linear over the reals only."""
    take = ops.Callable(lambda x: x.real.astype(cplx), 6, cplx)
    return take.linearize(jnp.zeros(6, cplx))


LINEAR = {
    "dense": lambda r, c: ops.Dense(jnp.arange(12, dtype=r).reshape(3, 4), in_shape=(2, 2)),
    "dense real on complex": lambda r, c: ops.Dense(gaussian(r).values, in_dtype=c),
    "gaussian": lambda r, c: gaussian(r),
    "gaussian complex": lambda r, c: gaussian(c),
    "gaussian real to complex": lambda r, c: gaussian(c, m=2, n=5, in_dtype=r),
    "with spectrum": lambda r, c: ops.WithSpectrum(
        [3.0, 0.0, 1.0], m=4, n=6, in_shape=(2, 3), key=jax.random.key(4), dtype=r
    ),
    "with spectrum complex": lambda r, c: ops.WithSpectrum(
        [3.0, 0.5], m=4, n=3, key=jax.random.key(5), dtype=c
    ),
    "blur periodic": lambda r, c: blur(ASYMMETRIC, (5, 6), r, "periodic"),
    "blur periodic complex": lambda r, c: blur(ASYMMETRIC, (5, 4), r, "periodic", c),
    "blur periodic signal": lambda r, c: blur([1.0, 2.0, 4.0], (7, 2), r, "periodic"),
    "blur zero": lambda r, c: blur(ASYMMETRIC, (5, 6), r, "zero"),
    "blur reflect": lambda r, c: blur(ASYMMETRIC, (5, 4, 2), r, "reflect"),
    "blur reflect complex": lambda r, c: blur(SYMMETRIC, (5, 4), r, "reflect", c),
    "mask": lambda r, c: ops.Mask(KEEP, dtype=r),
    "mask complex": lambda r, c: ops.Mask(KEEP, dtype=c),
    "identity": lambda r, c: ops.Identity((2, 3), dtype=r),
    "composition": lambda r, c: (
        gaussian(r, m=3, n=4) @ ops.Mask.random((5, 6), 4 / 30, jax.random.key(9), dtype=r)
    ),
    "composition of masks": lambda r, c: (
        ops.Mask([True, False, True], dtype=r) @ ops.Mask(KEEP, dtype=r)
    ),
    "composition over the reals": lambda r, c: gaussian(c) @ real_part(r, c),
    "sum complex": lambda r, c: gaussian(c) - ops.Dense(gaussian(r).values, in_dtype=c),
    "scaled complex": lambda r, c: (1 - 2j) * gaussian(c),
    "scaled real to complex": lambda r, c: 1j * gaussian(c, m=2, n=5, in_dtype=r),
    "subsampled hadamard": lambda r, c: ops.SubsampledHadamard(
        (2, 8), 5, jax.random.key(11), dtype=r
    ),
    "subsampled dct": lambda r, c: ops.SubsampledDCT(
        (3, 5), 7, jax.random.key(12), normalized=True, dtype=r
    ),
    "subsampled fourier": lambda r, c: ops.SubsampledFourier(
        (3, 4), 5, jax.random.key(13), dtype=r
    ),
    "subsampled fourier complex": lambda r, c: ops.SubsampledFourier(
        15, 7, jax.random.key(14), normalized=True, dtype=c
    ),
    "chunked gaussian": lambda r, c: ops.ChunkedGaussian(
        (2, 3), 5, jax.random.key(15), chunk=2, dtype=r
    ),
    "mri real": lambda r, c: ops.MRI(SPECTRUM, dtype=r),
    "mri coils": lambda r, c: ops.MRI(
        jnp.array([True, False, True]), sensitivities=ops.birdcage_maps(2, (4, 3)), dtype=c
    ),
    "mri real coils": lambda r, c: ops.MRI(
        SPECTRUM[:, :4], sensitivities=ops.birdcage_maps(3, (4, 4)), dtype=r
    ),
    "super resolution": lambda r, c: ops.SuperResolution((4, 6, 2), 2, dtype=r),
    "radon": lambda r, c: ops.Radon(5, [0.0, 30.0, 90.0, -50.0], detectors=6, dtype=r),
    "non-uniform fourier": lambda r, c: ops.NonUniformFourier(
        5, [[0.3], [-1.7], [2.0], [4.4]], tolerance=1e-2, dtype=c
    ),
    "linearized": lambda r, c: warp(r).linearize(jnp.linspace(0, 1, 5, dtype=r)),
    "linearized phase retrieval": lambda r, c: ops.PhaseRetrieval(gaussian(c)).linearize(
        jnp.linspace(1, 2, 6).astype(c)
    ),
    "linearized complex": lambda r, c: warp(c).linearize(1j * jnp.linspace(0, 1, 5).astype(c)),
}

NONLINEAR = {
    "callable": lambda r, c: ops.Callable(jnp.sin, (2, 2), r),
    "callable module": lambda r, c: warp(r),
    "callable complex": lambda r, c: warp(c),
    "phase retrieval": lambda r, c: ops.PhaseRetrieval(gaussian(r)),
    "phase retrieval complex": lambda r, c: ops.PhaseRetrieval(gaussian(c)),
    "phase retrieval real to complex": lambda r, c: ops.PhaseRetrieval(
        gaussian(c, m=3, n=4, in_dtype=r)
    ),
    "coded diffraction complex": lambda r, c: ops.CodedDiffraction.random(
        (2, 3), 2, jax.random.key(16), dtype=c
    ),
    "coded diffraction real": lambda r, c: ops.CodedDiffraction.random(
        (3, 4), 2, jax.random.key(17), dtype=r
    ),
    "composition outer": lambda r, c: ops.Callable(jnp.sin, 4, r) @ gaussian(r),
    "composition inner": lambda r, c: gaussian(r, m=2, n=4) @ ops.PhaseRetrieval(gaussian(r)),
    "sum": lambda r, c: 0.5 * ops.PhaseRetrieval(gaussian(r)) - gaussian(r),
}


def make(name, real="float64"):
    """The operator of this name, linear or not."""
    builder = LINEAR[name] if name in LINEAR else NONLINEAR[name]
    return builder(real, "complex128" if real == "float64" else "complex64")
