"""Images are fitted long before noise, so denoising is a matter of when to stop.

arXiv 2005.03991 starts from this: with fixed convolutional kernels (the interpolation of the deep
decoder) a network fits a natural image orders of magnitude faster than noise; denoising therefore
"critically requires early stopping", while compressive sensing does not. The experiment behind the
first half is in arXiv 1910.14634, whose stored curves end, for a phantom of 256 × 256, at losses
of 2.4e-5 to 1e-6 for the image and of 2.4e-2 (128 channels) and 4.5e-3 (256) for noise after
100 000 steps of momentum descent; with trained kernels the noise, too, is fitted to almost zero.

Here the noise target is white, Gaussian, with the mean and variance of the image, so that only the
arrangement of the pixels differs; losses are divided by that variance. All runs use Adam with step
0.01, as that paper's denoising runs do; none has a sigmoid, which could not reach noise outside
[0, 1]. The network with trained kernels is a decoder of 3 × 3 convolutions (`ConvDecoder`, nearest
upsampling) with about as many numbers to train; that paper takes transposed convolutions. Denoising
adds noise of 25/255 to *camera*; compressive sensing keeps a third of the pixels, without noise.

The reason that arXiv 1910.14634 gives is shown by a histogram over 5000 starts: the gradient of
½‖g(θ) − v‖² along v is J(θ₀)ᵀv, and it is much larger for an image v than for noise of the same
norm. Here it is ‖Jᵀv‖/‖v‖ over fresh starts, of the image, whose norm is mostly that of its mean,
of its contrast, which is the image less its mean, and of white noise. Two pictures of that paper's
code are left out: descent on a linear least squares problem of 100 unknowns, whose closed form is
in `linearised`, and the loss of a network of 10 × 100 along a random line through its start, which
no statement refers to.

In the quick preset, far fewer steps than 100 000, ‖Jᵀv‖/‖v‖ of the contrast is 9.5 times that of
noise, where 'much larger' was taken to mean 10. The settled loss of noise is 86 to 104 times that
of the image, for rounding alone moves Adam's late steps so much; what the best stop gains moves
with them, from run to run by half a decibel, so that the median of several runs is claimed. Of the
paper preset one run of each recovery is made: a run takes hours. It is one unit of work, lost where
it is interrupted.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxdip._random import key_for
from jaxdip._tree import tree_norm
from jaxdip._types import Array, Key
from jaxdip.experiments._claim import Claim
from jaxdip.experiments._decoder_fit import (
    ImageTrial,
    decibels,
    fit,
    least,
    real_image,
    record_steps,
    settled,
    trained,
)
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._gpu_estimate import of_decoder
from jaxdip.experiments._lab import Lab
from jaxdip.generators import AbstractGenerator, ConvDecoder, DeepDecoder
from jaxdip.losses import MSE
from jaxdip.operators import AbstractLinearOperator, Identity, Mask
from jaxdip.plot import Curve, Panel, StripImage, curves_plot, image_strip
from jaxdip.problem import Problem, parametrize

_TASKS = {
    "image": "fit the image",
    "noise": "fit noise",
    "denoising": "denoise",
    "sensing": "recover from 1/3 of the pixels",
}
_DIRECTIONS = {"image": "v: image", "contrast": "v: image − mean", "noise": "v: white noise"}
_FIXED, _TRAINED = "fixed kernels", "trained kernels"
#: The tasks that recover the image from less than it.
_RECOVERED = ("denoising", "sensing")
#: Bins of the histogram.
_BINS = 40


def _network(
    key: Key, kind: str, size: int, channels: int, layers: int, dtype: str
) -> tuple[AbstractGenerator, Array]:
    """A decoder and its latent."""
    options: dict[str, Any] = {
        "start": (size // 16, size // 16),
        "grid": (size, size),
        "layers": layers,
        "key": key_for(key, "init"),
        "dtype": dtype,
    }
    if kind == _FIXED:
        generator = DeepDecoder(channels=channels, **options)
    else:
        # A third of the channels, because each pair of them has nine numbers.
        generator = ConvDecoder(channels=max(channels // 3, 1), **options)
    return generator, generator.latent(key_for(key, "latent"))


def _run(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """One task with one network; tasks that differ in numbers alone share a program."""
    size, dtype, image = point["size"], point["dtype"], point["image"]
    A: AbstractLinearOperator = Identity(image.shape, dtype=dtype)
    if point["masked"]:
        A = Mask.random(image.shape, 1 / 3, key_for(key, "mask"), dtype=dtype)
    white = jax.random.normal(key_for(key, "target"), image.shape, image.dtype)
    white = jnp.mean(image) + jnp.std(image) * white
    truth = jnp.where(point["white"] > 0, white, image)
    noise = jax.random.normal(key_for(key, "noise"), A.out_structure.shape, image.dtype)
    y = A(truth) + point["noise"].astype(image.dtype) * noise
    network = (point["network"], size, point["channels"], point["layers"], dtype)
    generator, u = _network(key, *network)
    found = fit(
        Problem(u=u, operator=A, loss=MSE(1 / A.m), y=y),
        generator,
        truth,
        steps=point["steps"],
        records=point["records"],
        learning_rate=point["learning_rate"],
    )
    return {**found, "data": A.adjoint(y), "variance": jnp.var(truth)}


def pulled_back(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """‖J(θ₀)ᵀv‖/‖v‖ of one start, for an image v, its contrast and noise.

    Args:
        key: of the start and the noise.
        point: image (its pixels), network (which kernels), size, channels, layers and dtype.

    Returns:
        image, contrast (the image less its mean) and noise (white).
    """
    image = point["image"]
    sizes = (point["size"], point["channels"], point["layers"])
    generator, u = _network(key, point["network"], *sizes, point["dtype"])
    A = Identity(image.shape, dtype=point["dtype"])
    # y does not enter the derivative of the prediction.
    parameters, theta = parametrize(Problem(u=u, operator=A, loss=MSE(), y=image), generator)
    _, pull = jax.vjp(parameters.predict, theta)
    white = jax.random.normal(key_for(key, "target"), image.shape, image.dtype)
    shown = {"image": image, "contrast": image - jnp.mean(image), "noise": white}
    return {name: tree_norm(pull(v / jnp.linalg.norm(v))[0]) for name, v in shown.items()}


@dataclasses.dataclass(frozen=True)
class CSNoise(AbstractExperiment):
    """How fast an image and noise are fitted, and what that means for when to stop.

    Attributes:
        image: its name.
        noise: the standard deviation of the denoising task, where white is 1.
        size: the side in pixels, a multiple of 16.
        channels: of the deep decoder; the decoder with trained kernels has a third.
        layers: of both.
        steps: of Adam.
        learning_rate: of Adam.
        records: in a logarithmic row.
        trials: runs of each task.
        recoveries: runs of denoising and of compressive sensing, whose median gain is claimed.
        starts: of the histogram, for each network.
        parts: 'speed' (image and noise), 'denoising', 'sensing', all with fixed kernels, and
            'trained' (image and noise with trained ones).
        dtype: of the networks and images.
    """

    name: ClassVar[str] = "cs-noise"
    title: ClassVar[str] = "images are fitted before noise: denoising needs early stopping"
    source: ClassVar[str] = "arXiv 2005.03991, Sections 1 and 4.1, and arXiv 1910.14634"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 3 min"),
        "paper": Cost("about 100 h", of_decoder(steps=(4 + 2 * 9) * 100_000)),
    }

    image: str = "camera"
    noise: float = 25 / 255
    size: int = 256
    channels: int = 256
    layers: int = 5
    steps: int = 100_000
    learning_rate: float = 0.01
    records: int = 60
    trials: int = 1
    recoveries: int = 1
    starts: int = 5000
    parts: tuple[str, ...] = ("speed", "denoising", "sensing", "trained")
    dtype: str = "float32"

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: tiny images; quick: 64 × 64 with 64 channels."""
        return {
            "smoke": cls(
                size=16, channels=6, layers=1, steps=10, records=5, recoveries=2, starts=5,
                parts=("speed", "denoising"),
            ),
            "quick": cls(size=64, channels=64, steps=3000, records=40, recoveries=7, starts=100),
            "paper": cls(),
        }  # fmt: skip

    def run(self, lab: Lab) -> xr.Dataset:
        """A sweep for each part."""
        networks = {_FIXED: [part for part in self.parts if part != "trained"]}
        networks |= {_TRAINED: ["trained"]} if "trained" in self.parts else {}
        found: list[xr.Dataset] = []
        gains: dict[str, np.ndarray] = {}
        for kind, parts in networks.items():
            runs = {part: self._part(lab, part, kind) for part in parts}
            gains |= {part: _gains(runs[part]) for part in parts if part in _RECOVERED}
            # Of runs beyond `trials` nothing but the gain is kept.
            one = xr.concat([run.isel(trial=slice(self.trials)) for run in runs.values()], "task")
            options = (self.size, self.channels, self.layers, self.dtype)
            one["parameters"] = trained(_network(lab.key, kind, *options)[0])
            found.append(one.expand_dims(network=[kind]))
        data: xr.Dataset = xr.concat(found, "network", join="outer")
        truth = np.asarray(real_image(self.image, self.size, self.dtype))
        data["truth"] = (("row", "column"), truth, {"units": "white"})
        data["error"].attrs["long_name"] = "mean square error of the image, or of the noise"
        for part, gain in gains.items():
            about = {"long_name": "gain of the best stop", "units": "dB"}
            data[f"gain_{part}"] = (f"run_{part}", gain, about)
        return data.assign(slope=self._slopes(lab, list(networks)))

    def _slopes(self, lab: Lab, networks: list[str]) -> xr.DataArray:
        """‖Jᵀv‖/‖v‖ over the networks, what v is, and the starts."""
        result = lab.sweep(
            "gradients",
            ImageTrial(pulled_back),
            {
                "network": networks,
                "image": self.image,
                "size": self.size,
                "channels": self.channels,
                "layers": self.layers,
                "dtype": self.dtype,
            },
            trials=self.starts,
            block=min(self.starts, 50),
            lanes=0,
        )
        parts = {name: (("network", "start"), values) for name, values in result.outcomes.items()}
        found = xr.Dataset(parts, coords={"network": networks}).to_dataarray("direction")
        return found.assign_attrs(long_name="‖J(θ₀)ᵀv‖/‖v‖")

    def _part(self, lab: Lab, part: str, kind: str) -> xr.Dataset:
        """The tasks of one sweep."""
        tasks = {"denoising": ["denoising"], "sensing": ["sensing"]}.get(part, ["image", "noise"])
        result = lab.sweep(
            part,
            ImageTrial(_run),
            {
                "white": [float(task == "noise") for task in tasks],
                "noise": self.noise if part == "denoising" else 0.0,
                "masked": part == "sensing",
                "network": kind,
                "image": self.image,
                "size": self.size,
                "channels": self.channels,
                "layers": self.layers,
                "steps": self.steps,
                "learning_rate": self.learning_rate,
                "records": self.records,
                "dtype": self.dtype,
            },
            trials=max(self.trials, self.recoveries if part in _RECOVERED else 0),
            paired=("white",),
            block=1,
        )
        curve, picture = ("task", "trial", "step"), ("task", "trial", "row", "column")
        dims = {"train": curve, "error": curve, "variance": curve[:2], "data": picture}
        dims |= {"best": picture, "last": picture}
        return xr.Dataset(
            {name: (which, result[name]) for name, which in dims.items()},
            coords={"task": tasks, "step": np.array(record_steps(self.steps, self.records))},
        )

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """Losses of image and noise for both networks; true errors with and without noise."""
        steps = data.step.values
        panels = []
        for kind in data.network.values.tolist():
            cell = data.sel(network=kind)
            curves = [
                Curve(_TASKS[task], steps, _relative(cell, task, "error").median("trial").values)
                for task in ("image", "noise")
            ]
            panels.append(Panel(curves, y="loss ÷ variance", x="step", title=kind, log_x=True))
        fixed = data.sel(network=_FIXED)
        for task in self._recovered():
            error = fixed.error.sel(task=task).median("trial").values
            train = fixed.train.sel(task=task).median("trial").values
            curves = [
                Curve("image error", steps, error),
                Curve("data error", steps, train),
            ]
            panels.append(
                Panel(
                    curves, y="mean square", x="step", title=_TASKS[task], log_x=True,
                    marks={"least image error": float(steps[error[1:].argmin() + 1])},
                )
            )  # fmt: skip
        numbers = ", ".join(
            f"{int(data.parameters.sel(network=kind))} ({kind})"
            for kind in data.network.values.tolist()
        )
        caption = (
            f"{self.image}, {self.size}² pixels; decoders of {self.layers} layers with {numbers} "
            f"parameters; Adam, step {self.learning_rate:g}; the first of the runs of each task. "
            f"{self.source}."
        )
        return {
            "figure": curves_plot(panels, caption=caption),
            "images": self._images(fixed),
            "gradients": self._histogram(data),
        }

    def _histogram(self, data: xr.Dataset) -> Figure:
        """‖Jᵀv‖/‖v‖ over the starts, on bins that are evenly spaced in the logarithm."""
        panels = []
        for kind in data.network.values.tolist():
            slopes = data.slope.sel(network=kind)
            edges = np.geomspace(0.95 * float(slopes.min()), 1.05 * float(slopes.max()), _BINS + 1)
            curves = []
            for name in slopes.direction.values.tolist():
                counts, _ = np.histogram(slopes.sel(direction=name).values, edges)
                # Each bin from its left edge to its right one.
                outline = np.concatenate([[0], np.repeat(counts, 2), [0]]) / self.starts
                curves.append(Curve(name, np.repeat(edges, 2), outline, _DIRECTIONS[name]))
            panels.append(
                Panel(
                    curves, y="share of starts", x="‖J(θ₀)ᵀv‖/‖v‖", title=kind, log_x=True,
                    log_y=False, legend_above=True,
                )
            )  # fmt: skip
        caption = (
            f"{self.image}, {self.size}² pixels; decoders of {self.layers} layers × "
            f"{self.channels} channels (with trained kernels a third), {self.starts} starts. "
            "arXiv 1910.14634."
        )
        return curves_plot(panels, caption=caption)

    def _images(self, fixed: xr.Dataset) -> Figure:
        shown = []
        steps = fixed.step.values
        for task in self._recovered():
            cell = fixed.sel(task=task).isel(trial=0)
            error = cell.error.values
            shown += [
                StripImage(
                    "noisy" if task == "denoising" else "measured",
                    cell["data"].values,
                    compared=False,
                ),
                StripImage(
                    "best stop",
                    cell.best.values,
                    f"step {steps[error.argmin()]}, {decibels(error.min()):.1f} dB",
                ),
                StripImage(
                    "last", cell["last"].values, f"step {steps[-1]}, {decibels(error[-1]):.1f} dB"
                ),
            ]
        caption = (
            f"Noisy: {self.noise:.3g} of white. Measured: a third of the pixels, no noise. "
            "Deep decoder, first run; its last record may be a spike of Adam's, so claims take the "
            f"median over the last fifth. {self.source}."
        )
        return image_strip(shown, truth=fixed.truth.values, caption=caption)

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """Fitting speed of image and noise, for both kernels; the worth of early stopping."""
        fixed = data.sel(network=_FIXED)
        return [
            _orders(fixed),
            _delay(fixed),
            *([_contrast(data)] if _TRAINED in data.network else []),
            _steeper(data),
            *(self._gain(fixed, task) for task in self._recovered()),
        ]

    def _recovered(self) -> list[str]:
        """The tasks that recover the image from less than it."""
        return [task for task in _RECOVERED if task in self.parts]

    def _gain(self, fixed: xr.Dataset, task: str) -> Claim:
        """What an early stop is worth in decibels."""
        error, steps = fixed.error.sel(task=task), fixed.step.values
        values = error.transpose("trial", "step").values
        gain = fixed[f"gain_{task}"].values
        best = int(np.median(steps[values.argmin(axis=1)]))
        finds = (
            f"gain of {len(gain)} runs {gain.min():.2f} to {gain.max():.2f} dB, median "
            f"{np.median(gain):.2f} dB; of those kept best "
            f"{np.median(decibels(least(values))):.2f} dB at step {best}, settled (median of the "
            f"last fifth) {np.median(decibels(settled(values, steps.tolist()))):.2f} dB"
        )
        if task == "denoising":
            return Claim(
                name="denoising needs early stopping",
                says="denoising critically requires early stopping; here: the best stop gains at "
                "least 1 dB in the median run",
                finds=finds,
                number=float(np.median(gain)),
                holds=bool(np.median(gain) >= 1),
                note=""
                if np.median(gain) >= 1
                else "a few thousand steps fit only a part of the noise",
            )
        return Claim(
            name="compressive sensing needs none",
            says="for inpainting and compressive sensing no further regularisation is necessary; "
            "here: the best stop gains at most 0.41 dB (10 % of the error) in the median run",
            finds=finds,
            number=float(np.median(gain)),
            holds=bool(np.median(gain) <= 10 * np.log10(1.1)),
            note=""
            if np.median(gain) <= 10 * np.log10(1.1)
            else "runs of few steps end anywhere on Adam's late oscillation",
        )


def _relative(cell: xr.Dataset, task: str, name: str) -> xr.DataArray:
    """A mean square over the target's variance."""
    return (cell[name] / cell.variance).sel(task=task)


def _gains(runs: xr.Dataset) -> np.ndarray:
    """Decibels between the least error and what it settles at, for each run of one task."""
    values = runs.error.isel(task=0).transpose("trial", "step").values
    return decibels(least(values)) - decibels(settled(values, runs.step.values.tolist()))


def _end(cell: xr.Dataset, task: str) -> np.ndarray:
    """What the loss over the variance settles at, for each trial."""
    error = _relative(cell, task, "error").transpose("trial", "step").values
    return settled(error, cell.step.values.tolist())


def _reached(cell: xr.Dataset, task: str, level: float) -> np.ndarray:
    """The first recorded step at which the loss is at most a share of the variance."""
    error = _relative(cell, task, "error").transpose("trial", "step").values
    below = error <= level
    first = cell.step.values[below.argmax(axis=1)].astype(float)
    return np.where(below.any(axis=1), first, np.inf)


def _orders(fixed: xr.Dataset) -> Claim:
    """At the end of the runs."""
    image, noise = _end(fixed, "image"), _end(fixed, "noise")
    ratio = float((noise / image).min())
    return Claim(
        name="noise is fitted orders of magnitude less than the image",
        says="with fixed kernels the loss of noise stays orders of magnitude above that of the "
        "image (2.4e-2 and 4.5e-3 against 2.4e-5 to 1e-6); here: at least 100 times in every run",
        finds=f"settled loss ÷ variance {np.median(image):.3g} (image) and {np.median(noise):.3g} "
        f"(noise); least ratio {ratio:.3g}",
        number=ratio,
        holds=ratio >= 100,
        note=""
        if ratio >= 100
        else f"{int(fixed.step.max())} steps: with the source's 100 000 the loss of the image goes "
        "on falling",
    )


def _delay(fixed: xr.Dataset) -> Claim:
    """How much later noise is fitted."""
    image, noise = _reached(fixed, "image", 0.1), _reached(fixed, "noise", 0.1)
    # Where the image itself is not fitted, the run says nothing.
    ratio = float((noise / image).min()) if np.isfinite(image).all() else float("nan")
    return Claim(
        name="noise is fitted an order of magnitude later",
        says="an image is fitted much sooner than noise; here: a tenth of the variance is reached "
        "at least 10 times later",
        finds=f"image at step {np.median(image):.0f}, noise at step {np.median(noise):.0f} "
        f"('inf': not in {int(fixed.step.max())} steps); least ratio {ratio:.3g}",
        number=ratio,
        holds=bool(ratio >= 10),
    )


def _contrast(data: xr.Dataset) -> Claim:
    """Trained kernels fit noise further."""
    ends = {kind: _end(data.sel(network=kind), "noise") for kind in (_FIXED, _TRAINED)}
    ratio = float((ends[_FIXED] / ends[_TRAINED]).min())
    return Claim(
        name="it is the fixed kernels that resist noise",
        says="the convolutions with fixed kernels are critical: with trained ones noise is fitted "
        "further (to almost zero, arXiv 1910.14634)",
        finds="noise settles at "
        + ", ".join(f"{np.median(end):.3g} ({kind})" for kind, end in ends.items())
        + f" of its variance; least ratio {ratio:.3g}",
        number=ratio,
        holds=ratio > 1,
    )


def _steeper(data: xr.Dataset) -> Claim:
    """Whether the gradient at the start prefers the image."""
    slopes = data.slope.sel(network=_FIXED)
    ratio = slopes / slopes.sel(direction="noise")
    middle = {name: float(ratio.sel(direction=name).median()) for name in ("image", "contrast")}
    least = float(ratio.sel(direction="contrast").min())
    others = [kind for kind in data.network.values.tolist() if kind != _FIXED]
    beside = "".join(
        f"; {float((one.sel(direction='contrast') / one.sel(direction='noise')).median()):.3g} "
        f"({kind})"
        for kind in others
        for one in [data.slope.sel(network=kind)]
    )
    return Claim(
        name="the gradient at the start prefers the image",
        says="‖Jᵀv‖ is much larger for an image than for noise of the same norm (a histogram over "
        "5000 starts, arXiv 1910.14634); here: for the contrast at least 10 times in the median",
        finds=f"over {data.sizes['start']} starts {middle['image']:.3g} times (image) and "
        f"{middle['contrast']:.3g} times (contrast, least {least:.3g}) in the median{beside}",
        number=middle["contrast"],
        holds=middle["contrast"] >= 10,
        note=""
        if middle["contrast"] >= 10
        else "10 is our reading of 'much larger'; at first the loss falls with the square of this, "
        f"{middle['contrast'] ** 2:.3g} times as fast",
    )
