"""The bulk of a kernel's spectrum, by stochastic Lanczos quadrature."""

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._random import check_key
from jaxdip._types import Array, Float, Key, RealScalar
from jaxdip.analysis._golub_kahan import golub_kahan
from jaxdip.analysis._jacobian import LARGEST, Jacobian, Of, check_count, jacobian
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem


class SpectralDensity(eqx.Module):
    """An estimate of the distribution (1/m) Σ δ(λ − λ_i) of the eigenvalues of K = J Jᵀ.

    Each probe w gives a Gauss quadrature of depth nodes for the measure of K in the state w, whose
    expectation over w is that distribution. Standard errors are those of the mean over probes; NaN
    for a single probe.

    Attributes:
        nodes: λ, shape (probes, depth), in units of K.
        weights: shape (probes, depth), each row sums to 1.
        grid: where `density` is given.
        density: the mean density on the grid, smoothed by a Gaussian.
        error: its standard error.
    """

    nodes: Float[Array, "probes depth"]
    weights: Float[Array, "probes depth"]
    grid: Float[Array, " points"]
    density: Float[Array, " points"]
    error: Float[Array, " points"]

    def moment(self, power: int) -> tuple[Array, Array]:
        """tr(K^power)/m and its standard error; exact in each probe for power < 2·depth."""
        return _mean(jnp.sum(self.weights * self.nodes**power, axis=1))

    def below(self, level: RealScalar) -> tuple[Array, Array]:
        """The share of eigenvalues that are at most `level`, and its standard error."""
        counted = jnp.where(self.nodes <= jnp.asarray(level, self.nodes.dtype), self.weights, 0)
        return _mean(jnp.sum(counted, axis=1))

    def smoothed(
        self, grid: Float[Array, " points"], width: RealScalar
    ) -> tuple[Float[Array, " points"], Float[Array, " points"]]:
        """The density convolved with a normal density of standard deviation `width`, and error."""
        return _smooth(self.nodes, self.weights, grid, jnp.asarray(width, self.nodes.dtype))


def spectral_density(
    problem: Problem,
    generator: AbstractGenerator,
    *,
    of: Of = "AJ",
    key: Key,
    probes: int = 8,
    depth: int = 50,
    width: RealScalar | None = None,
    points: int = 200,
) -> SpectralDensity:
    """The density of the eigenvalues of K = J Jᵀ (the squared singular values of J).

    Lanczos on K, run as Golub-Kahan on J so that nothing is squared, from `probes` random
    directions, one after the other: the memory is that of one, depth·(m + p) numbers.

    Args:
        problem: whose latent u and operator F enter.
        generator: at θ.
        of: "AJ" or "J".
        key: for the probes (random signs).
        probes: how many.
        depth: Lanczos steps, at most m (more are cut).
        width: the standard deviation of the smoothing; by default λ_max/depth.
        points: grid points, over [0, λ_max] and three widths beyond.

    Raises:
        ValueError: for an unknown name, numbers that are no positive integers, or vectors that do
            not fit into memory.
        TypeError: if `key` is no key.

    Reference: S. Ubaru, J. Chen & Y. Saad, SIAM J. Matrix Anal. Appl. 38 (2017).
    """
    check_key(key)
    for name, value in (("probes", probes), ("depth", depth), ("points", points)):
        check_count(name, value)
    J = jacobian(problem, generator, of)[1]
    depth = min(depth, J.rows)
    if depth * (J.rows + J.columns) > LARGEST:
        raise ValueError(
            f"{depth} Lanczos vectors of {J.rows} + {J.columns} entries exceed {LARGEST:.0e}; give "
            "a smaller depth="
        )
    nodes, weights = _quadratures(J, key, probes, depth)
    top = jnp.max(nodes)
    if width is None:
        width = jnp.where(top > 0, top, 1) / depth
    width = jnp.asarray(width, nodes.dtype)
    grid = jnp.linspace(-3 * width, top + 3 * width, points, dtype=nodes.dtype)
    return SpectralDensity(nodes, weights, grid, *_smooth(nodes, weights, grid, width))


@eqx.filter_jit
def _quadratures(J: Jacobian, key: Key, probes: int, depth: int) -> tuple[Array, Array]:
    product = J.product()

    def one(probe: Key) -> tuple[Array, Array]:
        start, fresh = jax.random.split(probe)
        w = jax.random.rademacher(start, (J.rows,), J.dtype)
        # K restricted to the Krylov space is L Lᵀ, and w its first coordinate.
        P, values, _ = jnp.linalg.svd(golub_kahan(product, w, depth, fresh).L)
        return values**2, P[0] ** 2

    return jax.lax.map(one, jax.random.split(key, probes))


def _smooth(nodes: Array, weights: Array, grid: Array, width: Array) -> tuple[Array, Array]:
    def at(level: Array) -> tuple[Array, Array]:
        bump = jax.scipy.stats.norm.pdf(level, nodes, width)
        return _mean(jnp.sum(weights * bump, axis=1))

    return jax.lax.map(at, grid)


def _mean(samples: Float[Array, " probes"]) -> tuple[Array, Array]:
    count = samples.shape[0]
    error = jnp.full((), jnp.nan, samples.dtype)
    if count > 1:
        error = jnp.std(samples, ddof=1) / count**0.5
    return jnp.mean(samples), error
