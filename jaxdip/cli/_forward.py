"""Options of the forward operator and its noise."""

import dataclasses
import math
from typing import Literal

import jaxdip as jd
from jaxdip._types import Key
from jaxdip.cli._runtime import UsageError

# A dense operator with more entries (0.8 GB in float64) is a mistake more often than a wish.
_LARGEST_MATRIX = 100_000_000


@dataclasses.dataclass(frozen=True)
class Forward:
    """The forward operator and the noise."""

    operator: Literal["blur", "mask", "identity", "gaussian", "spectrum"] = "blur"
    """What is measured: a Gaussian blur, a random part of the pixels, all of them, random Gaussian
    projections (entries N(0, 1/m)), or random bases with evenly spaced singular values."""
    blur_std: float = 1.0
    """blur: standard deviation in pixels, > 0."""
    blur_radius: int = 1
    """blur: the kernel has 2·radius + 1 pixels a side, radius ≥ 0."""
    boundary: Literal["periodic", "zero", "reflect"] = "periodic"
    """blur: what lies beyond the border."""
    keep: float = 0.5
    """mask: the share of values kept, in ]0, 1]."""
    measurements: int | None = None
    """gaussian: the number m of measurements; half the number of pixel values by default."""
    spectrum_low: float = 1.0
    """spectrum: the smallest singular value, ≥ 0."""
    spectrum_high: float = 2.0
    """spectrum: the largest singular value."""
    noise: float = 0.01
    """Standard deviation of the Gaussian noise, relative to white = 1."""

    def check(self) -> None:
        """Refuse numbers outside their ranges, naming the flag."""
        finite = 0 < self.blur_std < math.inf
        require(finite, "--blur-std", self.blur_std, "> 0 and finite, in pixels")
        require(self.blur_radius >= 0, "--blur-radius", self.blur_radius, "at least 0")
        require(0 < self.keep <= 1, "--keep", self.keep, "in ]0, 1]")
        require(0 <= self.noise < math.inf, "--noise", self.noise, "at least 0 and finite")
        ordered = 0 <= self.spectrum_low <= self.spectrum_high < math.inf
        require(
            ordered and self.spectrum_high > 0,
            "--spectrum-low, --spectrum-high",
            f"{self.spectrum_low}, {self.spectrum_high}",
            "0 ≤ low ≤ high with high > 0",
        )
        if self.measurements is not None:
            require(self.measurements >= 1, "--measurements", self.measurements, "at least 1")

    def build(self, shape: tuple[int, ...], key: Key) -> jd.operators.AbstractLinearOperator:
        """The operator on images of this shape."""
        n = math.prod(shape)
        if self.operator == "blur":
            return jd.operators.Blur.gaussian(shape, self.blur_std, self.blur_radius, self.boundary)
        if self.operator == "mask":
            some = round(self.keep * n) >= 1
            require(some, "--keep", self.keep, f"enough to keep one of {n} values")
            return jd.operators.Mask.random(shape, self.keep, key)
        if self.operator == "identity":
            return jd.operators.Identity(shape)
        m = self._measurements(n) if self.operator == "gaussian" else n
        if m * n > _LARGEST_MATRIX:
            raise UsageError(
                f"--operator {self.operator} stores a matrix of {m} × {n} numbers, too many; "
                "take a smaller --size"
                + (" or fewer --measurements" if self.operator == "gaussian" else "")
            )
        if self.operator == "gaussian":
            return jd.operators.Gaussian(m=m, n=n, key=key, normalized=True, in_shape=shape)
        return jd.operators.WithSpectrum.evenly_spaced(
            n, key, self.spectrum_low, self.spectrum_high, in_shape=shape
        )

    def describe(self, shape: tuple[int, ...]) -> str:
        """The operator in a few words."""
        n = math.prod(shape)
        return {
            "blur": f"Gaussian blur, std {self.blur_std:g} px, radius {self.blur_radius}, "
            f"{self.boundary} boundary",
            "mask": f"random mask, {self.keep:.3g} of the values kept",
            "identity": "identity",
            "gaussian": f"Gaussian matrix, {self._measurements(n)} × {n}, entries N(0, 1/m)",
            "spectrum": f"random bases, singular values {self.spectrum_low:g} to "
            f"{self.spectrum_high:g}",
        }[self.operator]

    def _measurements(self, n: int) -> int:
        return max(1, n // 2) if self.measurements is None else self.measurements


def require(valid: bool, flag: str, value: object, expected: str) -> None:
    """Refuse an option's value in one line."""
    if not valid:
        raise UsageError(f"{flag} {value}: expected {expected}")
