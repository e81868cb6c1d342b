"""The talk's first picture: deblurring under heavy noise, good at step 80 and noisy at step 1000.

The slides of *Iterative regularization of NN-based inverse problems via gradient flow* (J. Fadili,
2024) show x̄, x_0, x_80 and x_1000 for y = A x̄ + ε with ε ~ N(0, 50²): a network finds meaningful
content before it overfits. Their last picture, deblurring too, states no numbers at all.

Unsaid: A, the size, the network and γ. Here: a Gaussian blur of standard deviation 1 pixel, cut to
3 × 3 pixels and periodic, on 64 × 64 pixels in [0, 255]; the two-layer sigmoid network with V = ±1
and both layers trained by gradient descent with γ = 0.03, the largest round number with which step
80 is not past the best one. Which step is good depends on γ; that there is one does not.
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
from jaxdip.plot import Curve, Panel, StripImage, curves_plot, image_strip


@dataclasses.dataclass(frozen=True)
class TalkDeblurring(AbstractExperiment):
    """Semiconvergence of the deblurred image.

    Attributes:
        side: of the image, in pixels; n = m = side².
        width: k.
        noise: standard deviation of ε on [0, 255].
        step_size: γ.
        good: the step that the talk shows as good.
        steps: of gradient descent; the talk shows the last one as noisy.
        image: its name.
    """

    name: ClassVar[str] = "talk-deblurring"
    title: ClassVar[str] = "deblurring: good at step 80, noisy at step 1000"
    source: ClassVar[str] = "talk, 'Example: DIP for image deblurring'"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 10 s"),
        "paper": Cost("about 5 min", of_two_layer(side=64, width=10_000, steps=1000)),
    }

    side: int = 64
    width: int = 10_000
    noise: float = 50.0
    step_size: float = 0.03
    good: int = 80
    steps: int = 1000
    image: str = "camera"

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: 16 × 16 pixels; quick: a narrower network."""
        return {
            "smoke": cls(side=16, width=50, steps=200),
            "quick": cls(width=1000),
            "paper": cls(),
        }

    @property
    def snapshots(self) -> str:
        """The talk's steps."""
        return f"0 {self.good} {self.steps}"

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
                "operator": "blur",
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
        """The talk's row of images, and the curves behind it."""
        truth = data.truth.values
        told = (
            f"Gradient descent on the two-layer sigmoid network, both layers trained: n = m = "
            f"{self.side}², k = {self.width}, γ = {self.step_size:g}; Gaussian blur of standard "
            f"deviation 1 pixel, noise of standard deviation {self.noise:g} on [0, 255]. "
            f"{self.source[0].upper()}{self.source[1:]}."
        )
        shown = [StripImage("y", data.data.values, f"{decibels(data.data.values, truth):.1f} dB")]
        for step, image in zip(data.snapshot.values, data.images.values, strict=True):
            shown.append(StripImage(f"x at τ = {step}", image, f"{decibels(image, truth):.1f} dB"))
        root, steps = float(self.side), data.step.values
        good = steps == self.good
        panel = Panel(
            [
                Curve("image", steps, data.error.values / root, "error ‖x − x̄‖/√n"),
                Curve("data", steps, data.residual.values / root, "misfit ‖A x − y‖/√m"),
                Curve(
                    "image",
                    steps[good],
                    data.error.values[good] / root,
                    f"at τ = {self.good}",
                    "points",
                ),
                Curve("noise", steps, np.full(len(steps), self.noise), "the noise", kind="bound"),
            ],
            y="RMS (gray levels)",
            x="iteration τ",
            log_x=True,
        )
        return {
            "images": image_strip(shown, truth=truth, peak=PEAK, caption=told),
            "curves": curves_plot([panel], caption=told),
        }

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """Good at one step, noisy at the end, and all the while a better fit to the data."""
        return [_good(data, self.good), _noisy(data, self.good), _overfitting(data)]


def _good(data: xr.Dataset, good: int) -> Claim:
    truth = data.truth.values
    image = data.images.sel(snapshot=good).values
    least = float(data.error.min())
    ratio = float(np.linalg.norm(image - truth)) / least
    best = int(data.step.values[np.argmin(data.error.values)])
    gain = decibels(image, truth) - decibels(data.data.values, truth)
    return Claim(
        name=f"the image at step {good} is good",
        says=f"x_{good} is a meaningful image; here: at most 1.1 times the least error, and 3 dB "
        "above y",
        finds=f"{decibels(image, truth):.1f} dB, {gain:.1f} dB more than y has; its error is "
        f"{ratio:.2f} times the least of all steps, at τ = {best}",
        number=ratio,
        holds=bool(ratio <= 1.1 and gain >= 3),
        note="the place is that of γ, which the talk does not state: it was chosen so that this "
        "step is not past the best one",
    )


def _noisy(data: xr.Dataset, good: int) -> Claim:
    error = data.error
    ratio = float(error[-1] / error.sel(step=good))
    last = int(data.step[-1])
    return Claim(
        name=f"the image at step {last} is noisy",
        says=f"x_{last} is dominated by noise; here: 1.5 times the error or more",
        finds=f"its error is {ratio:.2f} times that at step {good}; "
        f"{decibels(data.images.values[-1], data.truth.values):.1f} dB",
        number=ratio,
        holds=ratio >= 1.5,
    )


def _overfitting(data: xr.Dataset) -> Claim:
    residual = data.residual.values
    falling = bool(np.all(np.diff(residual) < 0))
    ratio = float(residual[-1] / data.noise_norm)
    return Claim(
        name="the data are fitted better all the while",
        says="meaningful content before overfitting: stop early; here: the misfit falls "
        "throughout, to less than ‖ε‖",
        finds=f"the misfit {'falls throughout' if falling else 'does not fall throughout'} and "
        f"ends at {ratio:.2f} ‖ε‖",
        number=ratio,
        holds=falling and ratio < 1,
    )
