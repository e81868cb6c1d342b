"""Options of the forward operator and its noise."""

import dataclasses
import math
from collections.abc import Set
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np

import jaxdip as jd
from jaxdip._types import Key
from jaxdip.cli._mask_file import read_mask
from jaxdip.cli._runtime import UsageError
from jaxdip.imaging import read_kernel

# A dense operator with more entries (0.8 GB in float64) is a mistake more often than a wish.
_LARGEST_MATRIX = 100_000_000


Kind = Literal[
    "blur", "motion-blur", "mask", "identity", "super-resolution", "gaussian", "spectrum",
    "hadamard", "fourier", "dct", "mri", "tomography", "coded-diffraction",
]  # fmt: skip
#: Operators whose observation is an image: of the signal's size, with holes, or coarser.
IMAGES = ("blur", "motion-blur", "identity", "mask", "super-resolution")
#: Options of some operators only.
_OPTIONS = {
    "--blur-std": ("blur",),
    "--blur-radius": ("blur",),
    "--blur-kernel": ("blur",),
    "--boundary": ("blur", "motion-blur"),
    "--motion": ("motion-blur",),
    "--motion-angle": ("motion-blur",),
    "--keep": ("mask",),
    "--mask": ("mask",),
    "--factor": ("super-resolution",),
    "--measurements": ("gaussian", "hadamard", "fourier", "dct"),
    "--spectrum-low": ("spectrum",),
    "--spectrum-high": ("spectrum",),
    "--acceleration": ("mri",),
    "--coils": ("mri",),
    "--density": ("mri",),
    "--views": ("tomography",),
    "--patterns": ("coded-diffraction",),
}
_SUBSAMPLED = {
    "hadamard": jd.operators.SubsampledHadamard,
    "fourier": jd.operators.SubsampledFourier,
    "dct": jd.operators.SubsampledDCT,
}


@dataclasses.dataclass(frozen=True)
class Forward:
    """The forward operator and the noise."""

    operator: Kind = "blur"
    """What is measured: a blur (Gaussian, of motion, or from a file), a random part of the pixels,
    all of them, a coarser image, random Gaussian projections (entries N(0, 1/m)), random bases with
    evenly spaced singular values, random rows of a fast transform with random signs, the k-space of
    MRI, parallel-beam projections, or intensities of coded diffraction."""
    blur_std: float = 1.0
    """blur: standard deviation in pixels, > 0."""
    blur_radius: int = 1
    """blur: the kernel has 2·radius + 1 pixels a side, radius ≥ 0."""
    blur_kernel: Path | None = None
    """blur: a file with the kernel instead, an image or .npy; scaled to sum 1."""
    boundary: Literal["periodic", "zero", "reflect"] = "periodic"
    """blur, motion-blur: what lies beyond the border."""
    motion: float = 9.0
    """motion-blur: its length in pixels."""
    motion_angle: float = 0.0
    """motion-blur: its direction in degrees, counter-clockwise from the rows."""
    keep: float = 0.5
    """mask: the share of pixels kept, in ]0, 1]; of a colour image whole pixels."""
    mask: Path | None = None
    """mask: a file that says which pixels are kept instead: an image, kept where lighter than
    middle gray, or .npy, kept where an entry exceeds 0.5; of the image's working size."""
    factor: int = 4
    """super-resolution: how many fine pixels a coarse one has along each side."""
    measurements: int | None = None
    """gaussian, hadamard, fourier, dct: the number m of measurements; half the number of pixel
    values by default, a quarter for fourier, whose numbers are complex."""
    spectrum_low: float = 1.0
    """spectrum: the smallest singular value, ≥ 0."""
    spectrum_high: float = 2.0
    """spectrum: the largest singular value."""
    acceleration: float = 4.0
    """mri: the ratio of all columns of k-space to those measured; the centre is among these."""
    coils: int = 1
    """mri: how many, with birdcage sensitivities where there are several."""
    density: Literal["uniform", "variable", "equispaced"] = "uniform"
    """mri: how columns beyond the centre are chosen."""
    views: int = 60
    """tomography: angles, evenly spaced over 180 degrees."""
    patterns: int = 4
    """coded-diffraction: random masks."""
    noise: float = 0.01
    """Standard deviation of Gaussian noise in each entry of the data, relative to white = 1."""

    def check(self) -> None:
        """Refuse numbers outside their ranges, naming the flag."""
        finite = 0 < self.blur_std < math.inf
        require(finite, "--blur-std", self.blur_std, "> 0 and finite, in pixels")
        require(self.blur_radius >= 0, "--blur-radius", self.blur_radius, "at least 0")
        require(0 <= self.motion < math.inf, "--motion", self.motion, "at least 0 and finite")
        require(math.isfinite(self.motion_angle), "--motion-angle", self.motion_angle, "finite")
        require(0 < self.keep <= 1, "--keep", self.keep, "in ]0, 1]")
        require(0 <= self.noise < math.inf, "--noise", self.noise, "at least 0 and finite")
        require(1 <= self.acceleration < math.inf, "--acceleration", self.acceleration, ">= 1")
        for flag in ("factor", "coils", "views", "patterns"):
            require(getattr(self, flag) >= 1, f"--{flag}", getattr(self, flag), "at least 1")
        ordered = 0 <= self.spectrum_low <= self.spectrum_high < math.inf
        require(
            ordered and self.spectrum_high > 0,
            "--spectrum-low, --spectrum-high",
            f"{self.spectrum_low}, {self.spectrum_high}",
            "0 ≤ low ≤ high with high > 0",
        )
        if self.measurements is not None:
            require(self.measurements >= 1, "--measurements", self.measurements, "at least 1")

    def check_options(self, given: Set[str]) -> None:
        """Refuse options of other operators, and two that exclude each other."""
        for flag, operators in _OPTIONS.items():
            if flag in given and self.operator not in operators:
                raise UsageError(
                    f"{flag} says nothing with --operator {self.operator}; leave it out, or take "
                    f"--operator {' or '.join(operators)}"
                )
        if {"--keep", "--mask"} <= given:
            raise UsageError("--keep says nothing with --mask, which says what is kept; leave one")

    def build(self, shape: tuple[int, ...], key: Key) -> jd.operators.AbstractOperator:
        """The operator on images of this shape."""
        n = math.prod(shape)
        ops, kind = jd.operators, self.operator
        if kind == "blur":
            if self.blur_kernel is None:
                return ops.Blur.gaussian(shape, self.blur_std, self.blur_radius, self.boundary)
            kernel = jnp.asarray(read_kernel(self.blur_kernel, normalize=True))
            return ops.Blur(kernel, shape=shape, boundary=self.boundary)
        if kind == "motion-blur":
            kernel = jnp.asarray(ops.motion_kernel(self.motion, self.motion_angle))
            return ops.Blur(kernel, shape=shape, boundary=self.boundary)
        if kind == "mask":
            return self._build_mask(shape, key)
        if kind == "identity":
            return ops.Identity(shape)
        if kind == "super-resolution":
            divides = all(side % self.factor == 0 for side in shape[:2])
            expected = (
                f"a divisor of both sides of the image, {shape[0]} × {shape[1]} pixels; take "
                "another, or another --size"
            )
            require(divides, "--factor", self.factor, expected)
            return ops.SuperResolution(shape, self.factor)
        if kind in _SUBSAMPLED:
            return self._build_transform(shape, key)
        if kind in ("mri", "tomography", "coded-diffraction"):
            return self._build_scanner(shape, key)
        m = self._measurements(n) if kind == "gaussian" else n
        if m * n > _LARGEST_MATRIX:
            raise UsageError(
                f"--operator {kind} stores a matrix of {m} × {n} numbers, too many; "
                "take a smaller --size"
                + (", fewer --measurements, or hadamard" if kind == "gaussian" else "")
            )
        if kind == "gaussian":
            return ops.Gaussian(m=m, n=n, key=key, normalized=True, in_shape=shape)
        return ops.WithSpectrum.evenly_spaced(
            n, key, self.spectrum_low, self.spectrum_high, in_shape=shape
        )

    def _build_mask(self, shape: tuple[int, ...], key: Key) -> jd.operators.Mask:
        """Whole pixels, drawn or from a file."""
        if self.mask is not None:
            return jd.operators.Mask(read_mask(self.mask, shape))
        grid = shape[:2]
        pixels = math.prod(grid)
        some = round(self.keep * pixels) >= 1
        require(some, "--keep", self.keep, f"enough to keep one of {pixels} pixels")
        drawn = jd.operators.Mask.random(grid, self.keep, key)
        keep = jnp.zeros(pixels, bool).at[drawn.index].set(True)
        keep = keep.reshape(grid + (1,) * (len(shape) - 2))
        return jd.operators.Mask(jnp.broadcast_to(keep, shape))

    def _build_transform(self, shape: tuple[int, ...], key: Key) -> jd.operators.AbstractOperator:
        """Some rows of a fast transform."""
        n, m = math.prod(shape), self._measurements(math.prod(shape))
        if self.operator == "hadamard" and n & (n - 1):
            colours = " and --gray" if len(shape) == 3 else ""
            raise UsageError(
                f"--operator hadamard takes a power of two pixel values, got {n} of an image of "
                f"shape {shape}; take --operator dct, or a square image with --size 64{colours}"
            )
        most = (n - 1) // 2 if self.operator == "fourier" else n
        expected = f"at most {most} for {n} pixel values and --operator {self.operator}"
        require(m <= most, "--measurements", m, expected)
        return _SUBSAMPLED[self.operator](shape, m, key)

    def _build_scanner(self, shape: tuple[int, ...], key: Key) -> jd.operators.AbstractOperator:
        """Operators on one gray image."""
        if len(shape) != 2:
            raise UsageError(f"--operator {self.operator} takes gray images; add --gray")
        height, width = shape
        real = jnp.result_type(float)
        if self.operator == "mri":
            some = round(width / self.acceleration) >= 1
            expected = f"enough to keep one of {width} columns, less than {2 * width}"
            require(some, "--acceleration", self.acceleration, expected)
            mask = jd.operators.cartesian_mask(
                (height, width), self.acceleration, None, key, density=self.density
            )
            maps = None
            if self.coils > 1:
                maps = jd.operators.birdcage_maps(self.coils, (height, width))
            return jd.operators.MRI(mask, sensitivities=maps, dtype=real)
        if self.operator == "coded-diffraction":
            return jd.operators.CodedDiffraction.random(shape, self.patterns, key, dtype=real)
        if height != width:
            raise UsageError(
                f"--operator tomography takes square images, got {height} × {width} pixels"
            )
        angles = np.arange(self.views) * (180.0 / self.views)
        return jd.operators.Radon(width, angles)

    def describe(self, shape: tuple[int, ...]) -> str:
        """The operator on images of a shape in a few words."""
        n, m = math.prod(shape), self._measurements(math.prod(shape))
        gaussian = f"Gaussian blur, std {self.blur_std:g} px, radius {self.blur_radius}"
        blur = gaussian if self.blur_kernel is None else f"blur by {self.blur_kernel.name}"
        return {
            "blur": f"{blur}, {self.boundary} boundary",
            "motion-blur": f"motion blur, {self.motion:g} px at {self.motion_angle:g}°, "
            f"{self.boundary} boundary",
            "mask": f"random mask, {self.keep:.3g} of the pixels kept"
            if self.mask is None
            else f"mask from {self.mask.name}",
            "identity": "identity",
            "super-resolution": f"{self.factor}× super-resolution, cubic kernel",
            "gaussian": f"Gaussian matrix, {m} × {n}, entries N(0, 1/m)",
            "spectrum": f"random bases, singular values {self.spectrum_low:g} to "
            f"{self.spectrum_high:g}",
            **{
                name: f"{m} of {n} coefficients of a randomised {name} transform"
                for name in _SUBSAMPLED
            },
            "mri": f"MRI, {self.acceleration:g}-fold, {self.density} columns, {self.coils} coil"
            + ("s" if self.coils > 1 else ""),
            "tomography": f"parallel-beam tomography, {self.views} views",
            "coded-diffraction": f"intensities of {self.patterns} coded diffraction patterns",
        }[self.operator]

    def _measurements(self, n: int) -> int:
        if self.measurements is not None:
            return self.measurements
        return max(1, n // 4 if self.operator == "fourier" else n // 2)


def linear(
    forward: Forward, shape: tuple[int, ...], key: Key
) -> jd.operators.AbstractLinearOperator:
    """The operator on images of this shape, for commands whose numbers ask for a linear one.

    Raises:
        UsageError: for an operator that is not.
    """
    operator = forward.build(shape, key)
    if not isinstance(operator, jd.operators.AbstractLinearOperator):
        raise UsageError(
            f"--operator {forward.operator} is not linear, which the dynamics' defaults ask for; "
            "recover with --optimizer adam"
        )
    return operator


def require(valid: bool, flag: str, value: object, expected: str) -> None:
    """Refuse an option's value in one line."""
    if not valid:
        raise UsageError(f"{flag} {value}: expected {expected}")
