"""Figure 3b of arXiv 2403.05395: a well-conditioned operator and much noise, image by image.

Stated: A = O₁ diag(σ) O₂ with two random orthogonal matrices and σ evenly spaced between 1 and 2,
noise of standard deviation 50 on images in [0, 255]^4096, k = 10⁴. The image gets better after a
few iterations of gradient descent, before it converges to a solution.

Unsaid, and what stands here: both layers are trained; γ = 0.3, with which the best image comes at
about the tenth iteration, as the paper's Figure 4 has it; V = ±1; scikit-image's *camera*,
resampled, for tiny ImageNet; O₁ and O₂ are dense and uniformly distributed.

"The observation is overwhelmed by noise" fails as it stands: ‖A x̄‖ is several times ‖ε‖. What
hides the image in y is the random rotation, with noise or without.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip.experiments._claim import Claim
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._gpu_estimate import of_two_layer
from jaxdip.experiments._image_descent import (
    PEAK,
    decibels,
    described,
    image_descent,
    record_steps,
    snapshot_steps,
)
from jaxdip.experiments._lab import Lab
from jaxdip.plot import StripImage, image_strip


@dataclasses.dataclass(frozen=True)
class GD3b(AbstractExperiment):
    """Images along gradient descent under much noise.

    Attributes:
        side: of the image, in pixels; n = m = side².
        width: k.
        noise: standard deviation of ε on [0, 255].
        step_size: γ.
        steps: of gradient descent.
        snapshots: the steps whose images are shown.
        image: its name.
    """

    name: ClassVar[str] = "gd-3b"
    title: ClassVar[str] = "images along a descent under much noise"
    source: ClassVar[str] = "arXiv 2403.05395, Figure 3b"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 5 s"),
        "paper": Cost("about 10 min", of_two_layer(side=64, width=10_000, steps=1000)),
    }

    side: int = 64
    width: int = 10_000
    noise: float = 50.0
    step_size: float = 0.3
    steps: int = 1000
    snapshots: str = "2 4 8 20 1000"
    image: str = "camera"

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: 16 × 16 pixels; quick: 32 × 32 pixels and 300 steps."""
        return {
            "smoke": cls(side=16, width=100, steps=60, snapshots="2 8 60"),
            "quick": cls(side=32, width=2500, steps=300, snapshots="2 4 8 20 300"),
            "paper": cls(),
        }

    def run(self, lab: Lab) -> xr.Dataset:
        """One run."""
        found = lab.sweep(
            "images",
            image_descent,
            {
                "noise": self.noise,
                "image": self.image,
                "side": self.side,
                "width": self.width,
                "operator": "spread",
                "step_size": self.step_size,
                "steps": self.steps,
                "records": 60,
                "snapshots": self.snapshots,
                "curvature": False,
            },
        )
        at = record_steps(self.steps, 60, self.snapshots)
        return described(found, at, snapshot_steps(self.snapshots)).isel(trial=0)

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """The data as an image, and the images of the run."""
        truth = data.truth.values
        shown = [StripImage("y", data.data.values, "", compared=False)]
        for step, image in zip(data.snapshot.values, data.images.values, strict=True):
            note = f"{decibels(image, truth):.1f} dB"
            shown.append(StripImage(f"τ = {step}", image, note))
        caption = (
            f"Gradient descent on the two-layer sigmoid network, both layers trained: n = m = "
            f"{self.side}², k = {self.width}, γ = {self.step_size:g}; A with singular values from "
            f"1 to 2 between random orthogonal matrices, noise of standard deviation "
            f"{self.noise:g} on [0, 255]. {self.source}."
        )
        return {"images": image_strip(shown, truth=truth, peak=PEAK, caption=caption)}

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """Noise hides the image in y; x improves, then converges, to the solution of A x = y."""
        return [
            _overwhelmed(data),
            _hidden(data),
            _improving(data),
            _converging(data),
            _solution(data),
        ]


def _overwhelmed(data: xr.Dataset) -> Claim:
    ratio = float(data.clean_norm / data.noise_norm)
    return Claim(
        name="the observation is overwhelmed by noise",
        says="the observation is overwhelmed by noise (see left image); here: ‖A x̄‖ ≤ ‖ε‖",
        finds=f"‖A x̄‖ is {ratio:.1f} times ‖ε‖",
        number=ratio,
        holds=ratio <= 1,
        note="" if ratio <= 1 else "it is the random rotation that hides the image, not the noise",
    )


def _hidden(data: xr.Dataset) -> Claim:
    y, truth = (data[name].values.ravel() for name in ("data", "truth"))
    alike = float(abs(np.corrcoef(y, truth)[0, 1]))
    # Independent images of n pixels have correlations of standard deviation 1/√n.
    limit = 4 / np.sqrt(y.size)
    return Claim(
        name="the observation shows nothing of the image",
        says="(expected) the random rotation leaves no likeness, with noise or without",
        finds=f"the correlation of y with x̄ as images is {alike:.3f} in modulus, "
        f"{limit:.3f} being four standard deviations of unrelated ones",
        number=alike,
        holds=bool(alike <= limit),
    )


def _improving(data: xr.Dataset) -> Claim:
    error = data.error.values
    early = data.step.values <= 20
    ratio = float(error[early].min() / error[0])
    at = int(data.step.values[early][np.argmin(error[early])])
    return Claim(
        name="the image gets better after a few iterations",
        says="the reconstructed image gets better after a few iterations; here: half the error at "
        "most by τ = 20",
        finds=f"‖x − x̄‖ falls to {ratio:.2f} of its start at τ = {at}",
        number=ratio,
        holds=bool(ratio <= 0.5),
    )


def _converging(data: xr.Dataset) -> Claim:
    error = data.error.values
    later = error[data.step.values >= data.step.values[-1] / 2]
    change = float(np.ptp(later) / later[-1])
    return Claim(
        name="it converges",
        says="before converging to a solution; here: within 1 % over the second half of the run",
        finds=f"in the second half of the run the error changes by {change:.1e} of itself",
        number=change,
        holds=bool(change <= 1e-2),
    )


def _solution(data: xr.Dataset) -> Claim:
    inverted, last = data.inverted.values, data.images.values[-1]
    gap = float(np.linalg.norm(last - inverted) / np.linalg.norm(inverted))
    return Claim(
        name="the solution is A⁻¹y, noise and all",
        says="(expected) the zero-loss solution is A⁻¹y, because A is invertible; here: within 1 %",
        finds=f"‖x − A⁻¹y‖ = {gap:.1e} ‖A⁻¹y‖ at the end; {decibels(last, data.truth.values):.1f} "
        "dB",
        number=gap,
        holds=bool(gap <= 1e-2),
    )
