"""The singular values of a Jacobian, by the best route, with what each number rests on."""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxdip._evidence import Evidence, Quantity
from jaxdip._tree import tree_scale
from jaxdip._types import Array, Float, Key, Tree
from jaxdip.analysis._closed_factor import closed_factor
from jaxdip.analysis._decompose import Decomposition, by_factor, by_krylov, by_svd
from jaxdip.analysis._jacobian import LARGEST, Jacobian, Of, check_count, jacobian
from jaxdip.generators import AbstractGenerator
from jaxdip.problem import Problem

#: How a spectrum can be computed.
Method = Literal["auto", "closed form", "dense", "krylov"]
#: Rows of the Jacobian that are differentiated at a time.
CHUNK = 64
#: Up to this many entries "auto" stores the Jacobian.
_LARGEST_AUTO = 100_000_000
_DEPTH = 100


class Spectrum(eqx.Module):
    """Singular values of J_g or of F' J_g, J: R^p → R^m.

    σ_min is the m-th singular value, min ‖Jᵀw‖ over unit w: zero if p < m, and not the smallest
    non-zero one, which is `sigma_rank`.

    Attributes:
        values: in descending order, shape (r,), zeros included: min(m, p) of them, or fewer by
            `count` or by the depth of a Krylov space.
        error: by how much each may be off, shape (r,). For a decomposition, a bound on its
            rounding (that of the Jacobian's entries comes on top). For Ritz values, some singular
            value lies within it, not necessarily the one of the same index.
        rounding: the size below which a value is not told from zero.
        smallest: the last of all values computed, whatever `count`.
        smallest_error: its error.
        smallest_live: the smallest value above `rounding`, 0 if there is none.
        left: left singular vectors as columns, shape (m, r), or None.
        rank_bound: min(m, n, p), or less where the network's coordinates are fewer.
        shape: (m, p); a complex entry counts as two.
        of: "AJ" or "J".
        method: "closed form", "dense" or "krylov".
        how: in words.
        evidence: what the values rest on, "dense spectrum" or "sampled" (Ritz values).
    """

    values: Float[Array, " r"]
    error: Float[Array, " r"]
    rounding: Float[Array, ""]
    smallest: Float[Array, ""]
    smallest_error: Float[Array, ""]
    smallest_live: Float[Array, ""]
    left: Float[Array, "m r"] | None
    rank_bound: int = eqx.field(static=True)
    shape: tuple[int, int] = eqx.field(static=True)
    of: Of = eqx.field(static=True)
    method: str = eqx.field(static=True)
    how: str = eqx.field(static=True)
    evidence: Evidence = eqx.field(static=True)
    _jacobian: Jacobian

    @property
    def sigma_max(self) -> Quantity:
        """σ_max = ‖J‖; Ritz values approach it from below."""
        evidence = "estimate from below" if self.method == "krylov" else self.evidence
        return Quantity(self.values[0], f"sigma_max({self.of}): {self.how}", evidence)

    @property
    def sigma_min(self) -> Quantity:
        """σ_min, the m-th singular value; Ritz values approach it from above."""
        name = f"sigma_min({self.of})"
        if self.rank_bound < self.shape[0]:
            why = f"{name} = 0: the rank is at most {self.rank_bound} < {self.shape[0]}"
            return Quantity(jnp.zeros_like(self.smallest), why, "closed form")
        evidence = "estimate from above" if self.method == "krylov" else self.evidence
        return Quantity(self.smallest, f"{name}: {self.how}", evidence)

    @property
    def sigma_min_lower(self) -> Quantity:
        """What σ_min is at least, the rounding of the decomposition allowed for.

        That of the Jacobian's own entries comes on top, so that a value near it proves little.

        Ritz values say nothing of the kind: with them it is 0.
        """
        name = f"sigma_min({self.of})"
        if self.method == "krylov" or self.rank_bound < self.shape[0]:
            return Quantity(
                jnp.zeros_like(self.smallest), f"{name} >= 0, nothing more is known", "closed form"
            )
        lower = jnp.maximum(self.smallest - self.smallest_error, 0)
        return Quantity(lower, f"{name} less its rounding error: {self.how}", self.evidence)

    @property
    def sigma_rank(self) -> Quantity:
        """The smallest singular value above `rounding` (0 if J = 0)."""
        return Quantity(
            self.smallest_live,
            f"smallest sigma({self.of}) above rounding: {self.how}",
            self.evidence,
        )

    def right(self, index: int) -> Tree:
        """The right vector v = Jᵀw/σ of one value, a tree like θ (None where nothing trains).

        Its relative error is about eps σ_max/σ; zeros where σ is not told from zero.

        Raises:
            ValueError: if the spectrum was computed without vectors.
        """
        w, value = require_vectors(self)[:, index], self.values[index]
        live = value > self.rounding
        gain = jnp.where(live, 1 / jnp.where(live, value, 1), 0)
        return tree_scale(gain, self._jacobian.pull_tree(w))


def spectrum(
    problem: Problem,
    generator: AbstractGenerator,
    *,
    of: Of = "AJ",
    method: Method = "auto",
    vectors: bool = False,
    count: int | None = None,
    depth: int | None = None,
    chunk: int = CHUNK,
    key: Key | None = None,
) -> Spectrum:
    """Singular values (and vectors) of the Jacobian at the generator's θ.

    Three routes, all of them in reduced coordinates, which are isometric:

    - "closed form", for `TwoLayer` and `Linear`: J Jᵀ = B Bᵀ + ρ² I with B known; the SVD of B for
      up to 1024 rows, else the eigenvalues of B Bᵀ, or again the SVD where these are too inexact.
    - "dense": J by rows, reduced SVD.
    - "krylov": Golub-Kahan with full reorthogonalisation; only the ends are meaningful.

    "auto" takes the first that fits; `method` of the result says which.

    Args:
        problem: whose latent u and operator F enter.
        generator: at θ.
        of: "AJ" for F'(x) J_g, "J" for J_g.
        method: the route.
        vectors: left vectors too.
        count: how many of the largest values to keep; all by default.
        depth: Krylov steps, at most m; by default 100 or as many as 2e8 numbers hold. The memory is
            depth·(m + p) numbers.
        chunk: rows of J differentiated at a time, which bounds the memory.
        key: for the random start of the Krylov space; by default always the same.

    Returns:
        The `Spectrum`.

    Raises:
        ValueError: for an unknown name, a number that is no positive integer, a route that does not
            apply or would not fit into memory.
    """
    if method not in get_args(Method):
        raise ValueError(f"method is one of {', '.join(get_args(Method))}; got {method!r}")
    for name, value in (("count", count), ("depth", depth), ("chunk", chunk)):
        if value is not None:
            check_count(name, value)
    own, reduced = jacobian(problem, generator, of)
    key = jax.random.key(0) if key is None else key
    return spectrum_of(own, reduced, method, vectors, count, depth, chunk, key)


def spectrum_of(
    own: Jacobian,
    reduced: Jacobian,
    method: Method,
    vectors: bool,
    count: int | None,
    depth: int | None,
    chunk: int,
    key: Key,
) -> Spectrum:
    """The spectrum of a Jacobian given in reduced coordinates; `own` makes the right vectors."""
    total = min(reduced.rows, reduced.parameters)
    used, found = _decompose(reduced, method, vectors, total, depth, chunk, key)
    values, error, smallest_live = _clean(found, reduced.rank_bound)
    kept = min(count or total, values.shape[0])
    return Spectrum(
        values=values[:kept],
        error=error[:kept],
        rounding=found.rounding,
        smallest=values[-1],
        smallest_error=error[-1],
        smallest_live=smallest_live,
        left=None if found.left is None else found.left[:, :kept],
        rank_bound=reduced.rank_bound,
        shape=(reduced.rows, reduced.parameters),
        of=reduced.of,
        method=used,
        how=found.how,
        evidence="sampled" if used == "krylov" else "dense spectrum",
        _jacobian=own,
    )


@eqx.filter_jit
def _clean(found: Decomposition, rank_bound: int) -> tuple[Array, Array, Array]:
    """Values and errors, exactly zero beyond the rank that the shapes allow, and the last live."""
    inside = jnp.arange(found.values.shape[0]) < rank_bound
    values, error = (jnp.where(inside, x, 0) for x in (found.values, found.error))
    smallest = jnp.min(jnp.where(values > found.rounding, values, jnp.inf))
    return values, error, jnp.where(jnp.isinf(smallest), 0, smallest)


def _decompose(
    J: Jacobian, method: str, vectors: bool, total: int, depth: int | None, chunk: int, key: Key
) -> tuple[str, Decomposition]:
    if method in ("auto", "closed form"):
        factor = closed_factor(J)
        if factor is not None:
            return "closed form", by_factor(factor, total, vectors)
        if method == "closed form":
            raise ValueError(
                f"no closed form of this size for {type(J.generator).__name__}, only for TwoLayer "
                "and Linear; use method='dense' or 'krylov'"
            )
    fits = J.rows * J.columns <= _LARGEST_AUTO
    if method == "dense" or (method == "auto" and fits):
        how = "reduced SVD of the dense Jacobian"
        zero = jnp.zeros((), J.dtype)
        return "dense", by_svd(J.dense(chunk), zero, total, vectors, how)
    room = max(1, LARGEST // (J.rows + J.columns))
    depth = min(depth or min(_DEPTH, room), J.rows)
    if depth * (J.rows + J.columns) > LARGEST:
        raise ValueError(
            f"{depth} Krylov vectors of {J.rows} + {J.columns} entries exceed {LARGEST:.0e}; give "
            "a smaller depth="
        )
    found = by_krylov(J, depth, vectors, key)
    keep = min(depth, total)
    left = None if found.left is None else found.left[:, :keep]
    cut = Decomposition(found.values[:keep], found.error[:keep], found.rounding, left, found.how)
    return "krylov", cut


def require_vectors(what: Spectrum) -> Float[Array, "m r"]:
    """The left vectors.

    Raises:
        ValueError: if the spectrum was computed without them.
    """
    if what.left is None:
        raise ValueError("this spectrum has no vectors; compute it with vectors=True")
    return what.left
