"""Figure 4 of arXiv 2005.03991: the Jacobian's spectrum along the training of a 1-D deep decoder.

The code (of arXiv 1910.14634): a decoder of 4 layers with 64 channels from 32 to 512 points, latent
uniform on [0, 1[, linear upsampling, ReLU, channel norms with numbers that train, output fixed;
Xavier-normal mixes; the target is a step with noise of standard deviation 0.2; Adam with step 0.01;
spectra after 1, 76 and 3576 steps of the Jacobian of the output in the 4 · 64 · 64 mixes.

That code never clears the gradients between the rows of the Jacobian, so row i is the sum of the
true rows 1, …, i: what the figure shows is the spectrum of L J with L the lower triangular matrix
of ones, itself a strong low-pass filter. Both are computed here. Values read off the figure are
kept below to tell which it is. The figure's PyTorch drew the norms' scales uniform on [0, 1[; later
releases start them at one. Both starts are run; only the first is compared with the figure. The
output weights are ±1/√64 here, while the code overwrites them with normal numbers.

So most of what the paper reads off the figure fails for the Jacobian itself: the decay flattens
towards high ranks, slower than geometric; values move several-fold during training; and a single
left vector mixes frequencies. What is left is that the leading vectors together span low
frequencies.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.flatten_util import ravel_pytree
from matplotlib.figure import Figure

from jaxdip._random import key_for
from jaxdip._types import Array, Float, Key
from jaxdip.analysis import alignment, trigonometric_basis, trigonometric_frequencies
from jaxdip.experiments._claim import Claim
from jaxdip.experiments._decoder_fit import adam
from jaxdip.experiments._experiment import AbstractExperiment, Cost, Preset
from jaxdip.experiments._gpu_estimate import AS_ON_CPU
from jaxdip.experiments._lab import Lab
from jaxdip.generators import DeepDecoder
from jaxdip.losses import MSE
from jaxdip.operators import Identity
from jaxdip.plot import Curve, Panel, curves_plot
from jaxdip.problem import Problem

#: Singular values read off the published figure, by step, at these places (counted from zero).
_PLACES = (5, 20, 100, 200, 300, 400)
_FIGURE = {1: (1300, 328, 12.1, 2.55, 0.87, 0.37), 76: (470, 111, 4.6, 0.77, 0.26, 0.10)}
#: How many leading vectors are kept, and the sizes of the subspaces whose energy is told.
_VECTORS, _SUBSPACES = 6, (6, 20, 50)
_STARTS = {"uniform": "scales uniform on [0, 1[", "one": "scales one"}


def mixes_jacobian(generator: DeepDecoder, u: Array) -> Float[Array, "n p"]:
    """The Jacobian of the signal in the mixes alone, a few rows at a time."""
    flat, unflatten = ravel_pytree(generator.mixes)

    def signal(mixes: Array) -> Array:
        return eqx.tree_at(lambda g: g.mixes, generator, unflatten(mixes))(u)

    out, pull = jax.vjp(signal, flat)
    return jax.lax.map(lambda w: pull(w)[0], jnp.eye(out.size, dtype=out.dtype), batch_size=32)


def _start(key: Key, point: Mapping[str, Any]) -> tuple[DeepDecoder, Array]:
    n, k, layers = point["n"], point["channels"], point["layers"]
    generator = DeepDecoder(
        channels=k,
        start=(n // 2**layers,),
        grid=(n,),
        layers=layers,
        key=key,
        train_output=False,
    )
    dtype = generator.v.dtype
    std = (1 / k) ** 0.5
    mixes = tuple(
        std * jax.random.normal(key_for(key, f"mix {i}"), (k, k), dtype) for i in range(layers)
    )
    drawn = tuple(
        jax.random.uniform(key_for(key, f"scale {i}"), (k,), dtype) for i in range(layers)
    )
    scales = tuple(jnp.where(point["uniform"] > 0, scale, 1.0) for scale in drawn)
    v = jnp.where(jnp.arange(k) < k // 2, 1.0, -1.0)[None].astype(dtype) * k**-0.5
    where = lambda g: (g.mixes, g.scales, g.v)  # noqa: E731
    generator = eqx.tree_at(where, generator, (mixes, scales, v))
    return generator, generator.latent(key_for(key, "latent"), scale=1.0)


def _run(key: Key, point: dict[str, Any]) -> dict[str, Array]:
    """One training, and the spectra at some of its steps."""
    n = point["n"]
    generator, u = _start(key_for(key, "init"), point)
    step = (jnp.arange(n) < n // 2).astype(u.dtype)
    y = step + 0.2 * jax.random.normal(key_for(key, "noise"), (n,), u.dtype)
    problem = Problem(u=u, operator=Identity(n), loss=MSE(1 / n), y=y)
    marks = generator.trainable()
    _, rest = eqx.partition(generator, marks)
    _, unflatten = ravel_pytree(eqx.filter(generator, marks))
    steps = tuple(int(one) for one in point["at"].split())
    run = adam(
        problem,
        generator,
        0.01,
        steps[-1],
        at=steps,
        observe={"theta": lambda _, now: ravel_pytree(eqx.filter(now, marks))[0]},
    )

    def spectra(theta: Array) -> dict[str, Array]:
        J = mixes_jacobian(eqx.combine(unflatten(theta), rest), u)
        left, values, _ = jnp.linalg.svd(J, full_matrices=False)
        summed, cumulative, _ = jnp.linalg.svd(jnp.cumsum(J, axis=0), full_matrices=False)
        energy = alignment(left[:, : max(_SUBSPACES)], trigonometric_basis(n, dtype=J.dtype))
        return {
            "true": values,
            "cumulative": cumulative,
            "true_left": left[:, :_VECTORS],
            "cumulative_left": summed[:, :_VECTORS],
            "energy": energy,
        }

    # The first record is the start.
    found = jax.lax.map(spectra, run.observed["theta"][1:])
    return {**found, "loss": run.observed["loss"][1:]}


@dataclasses.dataclass(frozen=True)
class CS4(AbstractExperiment):
    """The spectrum of a 1-D deep decoder's Jacobian along its training.

    Attributes:
        n: points, a multiple of 2^layers.
        channels: k.
        layers: d.
        steps: of Adam, after which spectra are taken.
        trials: runs of each start.
    """

    name: ClassVar[str] = "cs-4"
    title: ClassVar[str] = "the Jacobian's spectrum along the training of a deep decoder"
    source: ClassVar[str] = "arXiv 2005.03991, Figure 4"
    costs: ClassVar[Mapping[Preset, Cost]] = {
        "smoke": Cost("seconds"),
        "quick": Cost("about 65 s"),
        "paper": Cost("about 10 min", AS_ON_CPU),
    }

    n: int = 512
    channels: int = 64
    layers: int = 4
    steps: tuple[int, ...] = (1, 76, 3576)
    trials: int = 10

    @classmethod
    def presets(cls) -> Mapping[Preset, Self]:
        """Smoke: a tiny decoder; quick: the paper's sizes, one run of each start."""
        return {
            "smoke": cls(n=32, channels=8, layers=1, steps=(1, 4), trials=1),
            "quick": cls(trials=1),
            "paper": cls(),
        }

    def run(self, lab: Lab) -> xr.Dataset:
        """One sweep over the two starts."""
        found = lab.sweep(
            "starts",
            _run,
            {
                "uniform": [1.0, 0.0],
                "n": self.n,
                "channels": self.channels,
                "layers": self.layers,
                "at": " ".join(map(str, self.steps)),
            },
            trials=self.trials,
            paired=("uniform",),
            block=1,
        )
        dims = ("start", "trial", "step")
        rest = {
            "true": ("index",),
            "cumulative": ("index",),
            "true_left": ("point", "vector"),
            "cumulative_left": ("point", "vector"),
            "energy": ("leading", "function"),
            "loss": (),
        }
        frequency = np.asarray(trigonometric_frequencies(self.n))
        return xr.Dataset(
            {name: ((*dims, *own), found[name]) for name, own in rest.items()}
            | {"frequency": ("function", frequency, {"units": "cycles per signal"})},
            coords={"start": list(_STARTS), "step": list(self.steps)},
        )

    def draw(self, data: xr.Dataset) -> Mapping[str, Figure]:
        """Spectra, true and as published; leading left vectors of both."""
        place = np.arange(data.sizes["index"])
        panels = []
        for start, told in _STARTS.items():
            for which, title in (("true", "J"), ("cumulative", "L J, as published")):
                curves = []
                for step in data.step.values.tolist():
                    values = data[which].sel(start=start, step=step).median("trial").values
                    # Directions that the norms fix, and dead channels, are zero up to rounding.
                    values = np.where(values > 1e-8 * values[0], values, np.nan)
                    curves.append(Curve(f"step {step}", place, values))
                    if self._compares(start, step) and which == "cumulative":
                        read = np.array(_FIGURE[step], float)
                        curves.append(
                            Curve(
                                f"step {step}", np.array(_PLACES), read,
                                label=f"read off, step {step}", kind="points",
                            )
                        )  # fmt: skip
                panels.append(
                    Panel(curves, y="singular value", x="index", title=f"{title}; {told}")
                )
        sizes = f"{self.layers} layers × {self.channels} channels, n = {self.n}"
        caption = f"1-D deep decoder, {sizes}; Adam, step 0.01. {self.source}."
        vectors = []
        for which, title in (("true", "J"), ("cumulative", "L J, as published")):
            first = data[f"{which}_left"].isel(start=0, trial=0, step=0).values
            curves = [
                Curve(f"{i + 1}", np.arange(self.n), first[:, i]) for i in range(_VECTORS - 2)
            ]
            panel = Panel(curves, y="entry", x="point", title=f"left vectors of {title}")
            vectors.append(dataclasses.replace(panel, log_y=False))
        first = f"Leading left singular vectors after {self.steps[0]} step. "
        return {
            "figure": curves_plot(panels, caption=caption),
            "vectors": curves_plot(vectors, caption=first + caption),
        }

    def _compares(self, start: str, step: int) -> bool:
        """Whether the figure shows this."""
        sizes = (self.n, self.channels, self.layers)
        return start == "uniform" and step in _FIGURE and sizes == (512, 64, 4)

    def claims(self, data: xr.Dataset) -> Sequence[Claim]:
        """Which matrix the figure is of, how its spectrum decays and changes, its vectors."""
        compared = [s for s in data.step.values.tolist() if self._compares("uniform", s)]
        return [
            *([_which(data, compared)] if compared else []),
            *(_decay(data, start, self.n) for start in _STARTS),
            *(_steady(data, start, self.n) for start in _STARTS),
            _each(data),
            _subspace(data),
        ]


def _which(data: xr.Dataset, steps: list[int]) -> Claim:
    """Whose singular values the figure shows."""
    off = {}
    for which in ("true", "cumulative"):
        logs = [
            np.log(data[which].sel(start="uniform", step=step).median("trial").values[p] / read)
            for step in steps
            for p, read in zip(_PLACES, _FIGURE[step], strict=True)
        ]
        off[which] = float(np.exp(np.sqrt(np.mean(np.square(logs)))))
    return Claim(
        name="the figure shows the singular values of the Jacobian",
        says="the singular value distribution of the Jacobian of a four-layer deep decoder",
        finds=f"{len(_PLACES) * len(steps)} values read off the figure differ from those of J by a "
        f"factor of {off['true']:.2f} (rms), from those of L J by {off['cumulative']:.2f}",
        number=off["true"],
        holds=off["true"] < off["cumulative"],
        note="the code does not clear gradients between rows, which sums them up",
    )


def _slopes(values: np.ndarray, n: int) -> tuple[float, float]:
    """The mean decay of log σ an index over the second and over the third quarter, roughly."""
    places = (min(round(share * n), values.size - 1) for share in (0.04, 0.3, 0.6))
    first, middle, last = places
    if not first < middle < last:
        return math.nan, math.nan
    log = np.log(values)
    return float((log[first] - log[middle]) / (middle - first)), float(
        (log[middle] - log[last]) / (last - middle)
    )


def _decay(data: xr.Dataset, start: str, n: int) -> Claim:
    """A geometric decay is a straight line over the index; a slower one flattens."""
    ratios = {}
    for step in data.step.values.tolist():
        early, late = _slopes(data.true.sel(start=start, step=step).median("trial").values, n)
        ratios[step] = late / early
    worst = min(ratios.values())
    return Claim(
        name=f"the singular values decay at least geometrically ({_STARTS[start]})",
        says="they decay (at least) geometrically; then log σ falls at least as fast between 0.3 n "
        "and 0.6 n as between 0.04 n and 0.3 n (here: at least 0.9 times as fast)",
        finds="late ÷ early decay of the true spectrum: "
        + ", ".join(f"{ratio:.2f} (step {step})" for step, ratio in ratios.items()),
        number=worst,
        holds=worst >= 0.9,
        note="the decay flattens: it is slower than geometric" if worst < 0.9 else "",
    )


def _steady(data: xr.Dataset, start: str, n: int) -> Claim:
    """How far the spectrum moves between the first and any later step."""
    true = data.true.sel(start=start).median("trial").values[:, : round(0.8 * n)]
    factor = np.exp(np.abs(np.log(true[1:] / true[0])))
    worst, place = float(factor.max()), int(factor.max(axis=0).argmax())
    fall = np.divide(_FIGURE[1], _FIGURE[76])
    return Claim(
        name=f"the spectrum changes only slightly ({_STARTS[start]})",
        says="the spectrum changes only slightly; here: every one of the leading 0.8 n values "
        "stays within a factor of 2",
        finds=f"largest factor {worst:.1f}, at index {place}; median over the indices "
        f"{np.median(factor):.1f}",
        number=worst,
        holds=worst <= 2,
        note=""
        if worst <= 2
        else f"the figure's own values fall {fall.min():.1f}- to {fall.max():.1f}-fold from step 1 "
        "to step 76",
    )


def _each(data: xr.Dataset) -> Claim:
    """Single vectors against the plane of one frequency."""
    energy = data.energy.isel(leading=slice(0, _VECTORS)).transpose(..., "function").values
    frequency = data.frequency.values
    planes = np.stack(
        [energy[..., frequency == f].sum(-1) for f in range(int(frequency.max()) + 1)], axis=-1
    )
    best = planes.max(axis=-1)
    return Claim(
        name="each leading left vector is close to a trigonometric function",
        says="the leading singular vectors are close to the trigonometric basis functions; here: "
        f"each of the first {_VECTORS} has 80 % of its energy at one frequency",
        finds=f"largest share at one frequency: median {np.median(best):.2f}, least "
        f"{best.min():.2f} (both starts, all steps)",
        number=float(best.min()),
        holds=bool(best.min() >= 0.8),
        note=""
        if best.min() >= 0.8
        else "neighbouring singular values are close, so that each vector mixes several "
        "frequencies: only the subspace of many is one of low frequencies",
    )


def _subspace(data: xr.Dataset) -> Claim:
    """Leading subspaces against low frequencies."""
    shares = {}
    for q in _SUBSPACES:
        if q > data.sizes["leading"]:
            continue
        low = data.energy.isel(leading=slice(0, q)).values[..., data.frequency.values <= q]
        shares[q] = low.sum(-1).mean(-1)
    worst = min(float(share.min()) for share in shares.values() if share.size)
    largest = max(shares)
    return Claim(
        name="the leading subspace is one of low frequencies",
        says="the corrected form: as a subspace, not vector by vector; the first "
        f"{largest} vectors have 80 % of their energy in the {2 * largest + 1} lowest functions",
        finds="share of the first q vectors in the 2q + 1 lowest functions, least to greatest: "
        + ", ".join(f"{s.min():.2f} to {s.max():.2f} (q = {q})" for q, s in shares.items()),
        number=float(shares[largest].min()),
        holds=bool(shares[largest].min() >= 0.8),
        note=f"least over all q: {worst:.2f}",
    )
