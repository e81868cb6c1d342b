"""Figure 2 of arXiv 2005.03991: the trigonometric basis functions.

Equation (10) numbers the real Fourier basis of R^n, n even: w_0 constant, w_i the cosine of
frequency i up to n/2, and for i > n/2 the sine of i, whose frequency is n − i. The figure's caption
names the 1st, 2nd, 6th and 21st for n = 300. What draws them is, in the authors' earlier code
(arXiv 1910.14634), another thing: left singular vectors of the circulant matrix of the ramp
0, 1, …, n − 1. Those come by frequency and in pairs of equal singular values, within which a
library returns any rotation. The 6th and 21st have the frequencies 3 and 10, while i = 5 and 20 in
(10) have the frequencies 5 and 20.

"The p lowest trigonometric functions" in the theorems likewise has to mean lowest in frequency:
the first p of (10) are cosines alone.

All of it is in closed form, or one singular value decomposition.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip.analysis import (
    alignment,
    circulant,
    circulant_weights,
    expected_relu_kernel,
    trigonometric_basis,
    trigonometric_frequencies,
)
from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._lab import Lab
from jaxdip.generators import triangular_kernel
from jaxdip.plot import Curve, Panel, curves_plot

#: The vectors of the figure, counted from zero.
_SHOWN = (0, 1, 5, 20)


@dataclasses.dataclass(frozen=True)
class CS2(AbstractExperiment):
    """The trigonometric basis, and what diagonalises in it.

    Attributes:
        n: the number of entries, even.
        width: half-width in pixels of the triangular kernel whose expected J Jᵀ is diagonalised.
    """

    name: ClassVar[str] = "cs-2"
    title: ClassVar[str] = "the trigonometric basis diagonalises convolutional generators"
    source: ClassVar[str] = "arXiv 2005.03991, Figure 2 and (10)"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 5 s"),
        "paper": Cost("seconds", "seconds"),
    }

    n: int = 300
    width: float = 10.0

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """The paper's n = 300 takes a second."""
        return {"smoke": cls(n=60, width=4.0), "quick": cls(), "paper": cls()}

    def run(self, lab: Lab) -> xr.Dataset:
        """The basis, the singular vectors of the ramp, and what Σ(U) is in the basis."""
        del lab  # nothing is drawn
        basis = trigonometric_basis(self.n)
        ramp = jnp.linalg.svd(circulant(jnp.arange(self.n, dtype=basis.dtype)))
        kernel = triangular_kernel(self.n, self.width)
        sigma = expected_relu_kernel(circulant(kernel))
        inside = np.asarray(basis.T @ sigma @ basis)
        weights = np.asarray(circulant_weights(kernel)) ** 2
        where = ("entry", "index")
        return xr.Dataset(
            {
                "basis": (where, np.asarray(basis), {"long_name": "equation (10)"}),
                "frequency": ("index", np.asarray(trigonometric_frequencies(self.n))),
                "ramp": (where, np.asarray(ramp[0]), {"long_name": "of the ramp's circulant"}),
                "ramp_values": ("index", np.asarray(ramp[1])),
                "ramp_energy": (("vector", "index"), np.asarray(alignment(ramp[0], basis))),
                "kernel_in_basis": (("row", "column"), inside),
                "weights": ("index", weights),
            },
            coords={"index": np.arange(self.n)},
        )

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """Both families side by side."""
        places = np.arange(self.n)
        panels = []
        for index in _SHOWN:
            curves = [
                Curve("equation (10)", places, data.basis.values[:, index]),
                Curve("singular vector", places, data.ramp.values[:, index]),
            ]
            title = f"number {index + 1}"
            panels.append(
                Panel(
                    curves, y="entry", x="position", title=title, log_y=False, legend_above=True
                )
            )  # fmt: skip
        caption = (
            f"The 1st, 2nd, 6th and 21st of both orders, n = {self.n}; singular vectors of the "
        )
        caption += f"circulant matrix of the ramp 0, …, n − 1. {self.source}."
        return {"figure": curves_plot(panels, caption=caption)}

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """Orthonormal, diagonalising, and in which order."""
        return [_orthonormal(data), _diagonal(data), _pairs(data), _order(data), _lowest(data)]


def _tolerance(data: xr.Dataset) -> float:
    """Rounding of sums over n entries."""
    return 10 * float(np.finfo(data.basis.dtype).eps) * data.sizes["index"]


def _orthonormal(data: xr.Dataset) -> Claim:
    basis = data.basis.values
    off = float(np.abs(basis.T @ basis - np.eye(basis.shape[1])).max())
    return Claim(
        name="the functions of (10) are orthonormal",
        says="orthonormal trigonometric basis functions",
        finds=f"WᵀW differs from the identity by at most {off:.1e}",
        number=off,
        holds=off <= _tolerance(data),
    )


def _diagonal(data: xr.Dataset) -> Claim:
    inside, weights = data.kernel_in_basis.values, data.weights.values
    off = float(np.abs(inside - np.diag(weights)).max() / weights.max())
    return Claim(
        name="they diagonalise the expected J Jᵀ, with the squares of (11)",
        says="the left singular vectors of the Jacobian are well approximated by the trigonometric "
        "basis functions, its singular values by (11)",
        finds=f"in expectation exactly: Wᵀ E[J Jᵀ] W differs from diag(σ²) by {off:.1e} of the "
        "largest entry",
        number=off,
        holds=off <= 100 * _tolerance(data),
    )


def _pairs(data: xr.Dataset) -> Claim:
    """All but the constant and the highest frequency."""
    values = data.ramp_values.values[1:-1]
    gap = float(np.max(np.abs(values[0::2] / values[1::2] - 1)))
    return Claim(
        name="the ramp's singular values come in equal pairs",
        says="a figure shows 'the' singular vectors; in a pair of equal values any rotation is one",
        finds=f"relative difference within pairs at most {gap:.1e}",
        number=gap,
        holds=gap <= 100 * _tolerance(data),
    )


def _ramp_frequency(data: xr.Dataset, vector: int) -> int:
    """The frequency that holds most of a singular vector's energy."""
    energy = np.bincount(data.frequency.values, data.ramp_energy.values[vector])
    return int(energy.argmax())


def _order(data: xr.Dataset) -> Claim:
    """Whether the numbers of the caption mean the same in both families."""
    ours = [int(data.frequency.values[index]) for index in _SHOWN]
    theirs = [_ramp_frequency(data, index) for index in _SHOWN]
    return Claim(
        name="the numbers of the caption are those of (10)",
        says="the 1st, 2nd, 6th and 21st trigonometric basis functions",
        finds="frequencies "
        + ", ".join(map(str, ours))
        + " in (10), "
        + ", ".join(map(str, theirs))
        + " in the order of the ramp's singular values, from which the authors' code draws",
        number=float(theirs[-1] - ours[-1]),
        holds=ours == theirs,
        note="(10) lists all cosines before the sines; singular vectors come by frequency",
    )


def _lowest(data: xr.Dataset) -> Claim:
    """The first p of (10) against the p lowest frequencies."""
    p = data.sizes["index"] // 3
    first = np.sort(data.frequency.values[:p])
    lowest = np.sort(data.frequency.values)[:p]
    return Claim(
        name="w_1, …, w_p of (10) are the p lowest frequencies",
        says="x* is p-smooth if it is a combination of the p lowest-frequency functions w_1, …, "
        "w_p",
        finds=f"for p = {p} the first p reach the frequency {first[-1]}, the p lowest {lowest[-1]}",
        number=float(first[-1] - lowest[-1]),
        holds=bool(np.array_equal(first, lowest)),
        note="sort by frequency first, as `trigonometric_frequencies` allows",
    )
