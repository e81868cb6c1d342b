"""Which columns of k-space an accelerated scan measures."""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp

from jaxdip._random import check_key
from jaxdip._types import Array, Bool, Key

#: How the columns outside the centre are chosen.
Density: TypeAlias = Literal["uniform", "variable", "equispaced"]
DENSITIES = ("uniform", "variable", "equispaced")
# fastMRI's rule: 8 % of calibration lines for 4-fold acceleration, 4 % for 8-fold.
_CENTRE = 0.32


def cartesian_mask(
    shape: tuple[int, ...],
    acceleration: float,
    center_fraction: float | None,
    key: Key,
    *,
    density: Density = "uniform",
) -> Bool[Array, "H W"]:
    """A mask that keeps whole columns: a block of calibration lines in the centre, and some others.

    Of W columns, round(W/acceleration) are kept in all, round(center_fraction · W) of them in the
    centre. The others are chosen with equal probability ('uniform'), with one that falls off
    towards the border as (1 − |k|/k_max)² ('variable'), or at equal distances from a random start
    ('equispaced', whose count may differ by one or two). fastMRI's random masks have these numbers
    in the mean; here they are exact, so that draws differ in nothing else.

    Args:
        shape: (H, W) of the image; more axes in front are ignored.
        acceleration: the ratio of all columns to those kept, ≥ 1.
        center_fraction: the share of W that is kept in the centre; 0.32/acceleration if None (8 %
            for 4-fold, 4 % for 8-fold, as in fastMRI).
        key: the random key.
        density: 'uniform', 'variable' or 'equispaced'.

    Returns:
        A boolean array (H, W), frequency zero at the entry (H // 2, W // 2).

    Raises:
        ValueError: for an unknown density, or numbers that no mask meets.

    References: J. Zbontar et al., fastMRI: An open dataset and benchmarks for accelerated MRI,
    arXiv 1811.08839; M. Lustig, D. Donoho, J. Pauly, Sparse MRI, Magn. Reson. Med. 58 (2007).
    """
    check_key(key)
    if density not in DENSITIES:
        raise ValueError(f"density is one of {', '.join(DENSITIES)}, got {density!r}")
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"a mask's shape is (H, W), both positive, got {shape}")
    height, width = shape[-2:]
    kept, centre = _counts(width, acceleration, center_fraction)
    # The block is centred on frequency zero, an even one with one line more on the negative side.
    start = width // 2 - centre // 2
    block = jnp.zeros(width, bool).at[start : start + centre].set(True)
    outside = [i for i in range(width) if not start <= i < start + centre]
    places = jnp.asarray(outside, jnp.int32)
    if density == "equispaced":
        chosen = _equispaced(key, width, kept, centre)
    elif kept > centre:
        weights = jnp.ones(len(outside))
        if density == "variable":
            frequency = jnp.abs(places - width // 2)
            weights = jnp.square(1 - frequency / (width // 2 + 1))
        chosen = jax.random.choice(
            key, places, (kept - centre,), replace=False, p=weights / jnp.sum(weights)
        )
    else:
        chosen = jnp.zeros(0, jnp.int32)
    return jnp.broadcast_to(block.at[chosen].set(True), (height, width))


def _counts(width: int, acceleration: float, center_fraction: float | None) -> tuple[int, int]:
    if not acceleration >= 1:
        raise ValueError(f"acceleration is >= 1, got {acceleration}")
    share = _CENTRE / acceleration if center_fraction is None else center_fraction
    if not 0 <= share <= 1:
        raise ValueError(f"center_fraction is within [0, 1], got {share}")
    kept, centre = round(width / acceleration), round(width * share)
    if kept < max(centre, 1):
        raise ValueError(
            f"{acceleration}-fold acceleration keeps {kept} of {width} columns, fewer than the "
            f"{max(centre, 1)} in the centre; lower acceleration or center_fraction"
        )
    return kept, centre


def _equispaced(key: Key, width: int, kept: int, centre: int) -> Array:
    """Columns at a distance that makes up for those already in the centre (fastMRI's rule)."""
    if kept == centre:
        return jnp.zeros(0, jnp.int32)
    distance = (width - centre) / (kept - centre)
    offset = jax.random.uniform(key, (), maxval=distance)
    steps = jnp.arange(int(width / distance) + 1).astype(offset.dtype) * distance + offset
    # Beyond the last column there is nothing to set; JAX drops what lies outside.
    return jnp.floor(steps).astype(jnp.int32)
