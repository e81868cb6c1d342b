"""Does an untrained decoder recover images better than total variation, tuned by an oracle?

Three problems on one real photograph in colour, 256 × 256 (the middle square of scikit-image's
`chelsea`), white being 1: deblurring (periodic Gaussian kernel of std 1.6 pixels, noise 10 %), 4×
super-resolution (cubic kernel, noise 2 %), inpainting with half of the pixels missing (noise 5 %).

The network is the deep decoder of arXiv 2005.03991 as its authors run it: 5 layers of `--channels`
from 16 × 16, bilinear upsampling, sigmoid; Adam with a cosine decay from `--rate` to 0 in `--steps`
steps; the image is the exponential average of the outputs with weight 0.99. It is helped by a weak
penalty, the total variation of its output with weight `--tv` σ m/n, σ being the noise's standard
deviation and m/n the number of data a pixel (0 leaves it out). All of this is the same for the
three problems and no run sees the truth. Steps, rate, channels, penalty, image and noise were set
by looking at the PSNR of single runs.

Total variation is our own and gets every advantage: the gradients of the three colours as one
vector, the image kept within [0, 1], each problem solved to a duality gap of 1e-3 of the objective,
and the weight with the highest PSNR against the truth, on a grid of factor 2 refined three times to
2^⅛; the benchmark fails if a problem was not solved or the best weight is at the grid's end.

Prints PSNR (mean ± standard deviation over seeds), SSIM, how many seeds are below total variation
or diverged, and the time; writes them to results/imaging.json with a strip of images for each
problem. `--quick` takes 64 pixels, 150 steps and 2 seeds, far too few to compare by, and writes
results/imaging-quick.json.

    python -m benchmarks.imaging

Its output (2 cores that also ran other work, November 2026; results/imaging.json), PSNR and SSIM of
the decoder, then of total variation with its best weight:

    deblurring           28.83 ± 0.01 dB 0.727 | 28.51 dB 0.716 w 0.49σ | +0.32 dB | 0 of 5 below TV
    super-resolution 4x  29.40 ± 0.04 dB 0.759 | 28.98 dB 0.741 w 0.12σ | +0.42 dB | 0 of 5 below TV
    inpainting 50 %      30.89 ± 0.09 dB 0.819 | 30.48 dB 0.811 w 0.76σ | +0.41 dB | 0 of 5 below TV

Single runs with other settings: super-resolution without the penalty 29.03 dB, inpainting without
it in 1000 steps 30.77 dB, deblurring without it in 1000 steps 27.26 ± 0.23 dB (5 seeds), with 64
channels in 600 steps 28.50 dB.

Without the penalty the network fits noise in deblurring unless it is small or stopped early.
"""

import argparse
import pathlib
import statistics
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxdip as jd
from benchmarks._report import write
from jaxdip.imaging import named_image, psnr, resample, ssim
from jaxdip.plot import StripImage, image_strip, save

#: Of total variation, in units of the noise's standard deviation; then finer around the best.
WEIGHTS = tuple(0.04 * 2.0**i for i in range(7))
REFINEMENTS = 3
#: Standard deviation of the noise, white being 1: a coarse pixel gathers the light of 16 fine ones.
NOISE = {"deblurring": 0.1, "super-resolution 4x": 0.02, "inpainting 50 %": 0.05}
#: The duality gap, relative to the objective, at which a problem counts as solved.
GAP = 1e-3
RESULTS = pathlib.Path(__file__).parent / "results"


class Scene(NamedTuple):
    """One problem: the image, what is observed of it, and how."""

    name: str
    truth: jax.Array
    operator: jd.operators.AbstractLinearOperator
    y: jax.Array
    noise: float
    noise_norm: float


def square(name: str, side: int) -> jax.Array:
    """The largest square in the middle of a colour image, resampled: (side, side, 3)."""
    pixels = jnp.asarray(named_image(name).pixels, jnp.float32)
    if pixels.ndim != 3:
        raise ValueError(f"{name} is gray; this benchmark takes colour images, such as chelsea")
    edge = min(pixels.shape[:2])
    down, right = ((extent - edge) // 2 for extent in pixels.shape[:2])
    return resample(pixels[down : down + edge, right : right + edge], side)


def scenes(truth: jax.Array) -> list[Scene]:
    """The three problems."""
    shape = truth.shape
    keep = jd.operators.Mask.random(shape[:2], 0.5, jax.random.key(0)).index
    pixels = np.zeros(shape[0] * shape[1], bool)
    pixels[np.asarray(keep)] = True
    # A pixel is missing in all of its colours.
    mask = np.broadcast_to(pixels.reshape(shape[:2])[..., None], shape)
    operators = {
        "deblurring": jd.operators.Blur.gaussian(shape, 1.6, boundary="periodic"),
        "super-resolution 4x": jd.operators.SuperResolution(shape, 4),
        "inpainting 50 %": jd.operators.Mask(mask),
    }
    found = []
    for name, operator in operators.items():
        data = jd.measure(operator, truth, noise=NOISE[name], key=jax.random.key(3))
        found.append(Scene(name, truth, operator, data.y, NOISE[name], float(data.noise_norm)))
    return found


def differences(x):
    """Forward differences along both axes of pixels, 0 at the ends: shape (2, H, W, C)."""
    down = jnp.diff(x, axis=0, append=x[-1:])
    right = jnp.diff(x, axis=1, append=x[:, -1:])
    return jnp.stack([down, right])


def lengths(q):
    """The length of the gradient at each pixel, over both axes and all colours together."""
    return jnp.linalg.norm(q, axis=(0, -1), keepdims=True)


def total_variation(operator, y, weight, norm, limit: int = 6000):
    """argmin ½‖A x − y‖² + w Σ ‖∇x‖ over x in [0, 1], and its duality gap over the objective.

    The gradients of the three colours at a pixel count as one vector (Bresson & Chan 2008): the
    colours share their edges, which is worth more than total variation of each colour apart.

    Chambolle & Pock (2011), Algorithm 1, with both terms dual: K = (A, ∇), ‖K‖² ≤ ‖A‖² + 8,
    τ = 0.99 r/‖K‖ and σ = 0.99/(r‖K‖), until the gap, looked at every 50 steps, is below `GAP` of
    the objective. The dual is −½‖p‖² − ⟨p, y⟩ + Σ min(0, A*p + ∇*q) with ‖q‖ ≤ w.
    """
    adjoint = jax.linear_transpose(differences, operator.adjoint(y))
    # The dual of the gradient is of the size of the weight and the image of order 1.
    ratio, length = 8.0, jnp.sqrt(norm**2 + 8.0)
    tau, sigma = 0.99 * ratio / length, 0.99 / (ratio * length)

    def pulled(p, q):
        return operator.adjoint(p) + adjoint(q)[0]

    def gap(x, p, q):
        misfit = 0.5 * jnp.sum((operator(x) - y) ** 2)
        primal = misfit + weight * jnp.sum(lengths(differences(x)))
        dual = -0.5 * jnp.sum(p**2) - jnp.sum(p * y) + jnp.sum(jnp.minimum(0, pulled(p, q)))
        return (primal - dual) / primal

    def step(_, state):
        x, ahead, p, q = state
        p = (p + sigma * (operator(ahead) - y)) / (1 + sigma)
        q = q + sigma * differences(ahead)
        q = q / jnp.maximum(1, lengths(q) / weight)
        new = jnp.clip(x - tau * pulled(p, q), 0, 1)
        return new, 2 * new - x, p, q

    def stretch(carry):
        state, _, count = carry
        state = jax.lax.fori_loop(0, 50, step, state)
        return state, gap(state[0], state[2], state[3]), count + 50

    def unfinished(carry):
        return (carry[1] > GAP) & (carry[2] < limit)

    x = jnp.clip(operator.adjoint(y) / norm**2, 0, 1)
    first = (x, x, jnp.zeros_like(y), jnp.zeros((2, *x.shape), x.dtype))
    start = (first, jnp.asarray(jnp.inf, x.dtype), jnp.asarray(0))
    state, reached, _ = jax.lax.while_loop(unfinished, stretch, start)
    return state[0], reached


def best_variation(scene: Scene) -> dict[str, Any]:
    """The image of total variation with the highest PSNR over the weights.

    Raises:
        RuntimeError: if a problem was not solved, or the best weight is at an end of the grid.
    """
    begin, norm = time.perf_counter(), scene.operator.norm()
    solve = jax.jit(lambda weight: total_variation(scene.operator, scene.y, weight, norm))
    found: dict[float, tuple[float, jax.Array]] = {}

    def look(relative: float) -> None:
        x, gap = solve(jnp.asarray(relative * scene.noise, scene.truth.dtype))
        if not float(gap) <= GAP:
            raise RuntimeError(f"{scene.name}: weight {relative} σ left a gap of {float(gap):.1e}")
        found[relative] = (float(psnr(x, scene.truth, 1.0)), x)

    def best() -> float:
        return max(found, key=lambda relative: found[relative][0])

    for relative in WEIGHTS:
        look(relative)
    if best() in (WEIGHTS[0], WEIGHTS[-1]):
        raise RuntimeError(f"{scene.name}: the best weight, {best()} σ, is at the grid's end")
    factor = 2.0
    for _ in range(REFINEMENTS):
        factor, middle = factor**0.5, best()
        look(middle / factor)
        look(middle * factor)
    weight = best()
    value, x = found[weight]
    return {
        "x": x,
        "psnr": value,
        "ssim": float(ssim(x, scene.truth, 1.0)),
        "weight_in_sigmas": weight,
        "curve": {f"{one:.4f}": found[one][0] for one in sorted(found)},
        "seconds": time.perf_counter() - begin,
    }


def trained(scene: Scene, options) -> dict[str, Any]:
    """The averaged outputs of all seeds."""
    begin = time.perf_counter()
    side = scene.truth.shape[0]
    penalty = options.tv * scene.noise * scene.y.size / scene.truth.size

    def network(key):
        made = jd.DeepDecoder(
            channels=options.channels,
            start=(side // 16, side // 16),
            grid=(side, side),
            layers=options.layers,
            colours=3,
            sigmoid=True,
            key=key,
        )
        return made, made.latent(jd.key_for(key, "latent"))

    found = jd.reconstruct(
        scene.y,
        scene.operator,
        network,
        key=jax.random.key(1),
        steps=options.steps,
        optimizer=optax.adam(optax.cosine_decay_schedule(options.rate, options.steps)),
        seeds=options.seeds,
        average=0.99,
        tv=penalty or None,
        truth=scene.truth,
        peak=1.0,
    )
    images = found.x_average
    assert images is not None
    return {
        "x": images,
        "psnr": [float(psnr(x, scene.truth, 1.0)) for x in images],
        "ssim": [float(ssim(x, scene.truth, 1.0)) for x in images],
        "residual_over_noise": [float(r[-1]) / scene.noise_norm for r in found.trace["residual"]],
        "diverged": sum(int(step) < options.steps for step in found.steps),
        "curves": np.asarray(found.trace["psnr"][:, ::10]).round(3).tolist(),
        "seconds": time.perf_counter() - begin,
    }


def compared(scene: Scene, options) -> dict[str, Any]:
    """Both methods on one problem, with the strip of images saved and the line printed."""
    variation, net = best_variation(scene), trained(scene, options)
    mean, spread = statistics.mean(net["psnr"]), statistics.stdev(net["psnr"])
    lost = sum(not value > variation["psnr"] for value in net["psnr"])
    print(
        f"{scene.name:20s} {mean:.2f} ± {spread:.2f} dB {statistics.mean(net['ssim']):.3f} | "
        f"{variation['psnr']:.2f} dB {variation['ssim']:.3f} w {variation['weight_in_sigmas']:.2f}σ"
        f" | {mean - variation['psnr']:+.2f} dB | {lost} below TV, "
        f"{net['diverged']} diverged of {len(net['psnr'])} | "
        f"{net['seconds']:.0f} s, TV {variation['seconds']:.0f} s",
        flush=True,
    )
    row = {"problem": scene.name, "network": net, "total_variation": variation}
    row["picture"] = picture(scene, variation.pop("x"), net.pop("x"), row, options)
    return row


def picture(scene: Scene, variation, outputs, row: dict[str, Any], options) -> str:
    """The strip of one problem, saved beside the results: its file's name."""
    # The data as an image: coarse pixels enlarged, missing ones black.
    side = scene.truth.shape[0]
    data = scene.y if scene.y.ndim == 3 else scene.operator.adjoint(scene.y)
    data = np.repeat(np.repeat(data, side // data.shape[0], 0), side // data.shape[1], 1)
    middle = int(np.argsort(row["network"]["psnr"])[options.seeds // 2])
    images = [
        StripImage("data", np.asarray(data), compared=False),
        StripImage("total variation", np.asarray(variation), _note(row["total_variation"], None)),
        StripImage("deep decoder", np.asarray(outputs[middle]), _note(row["network"], middle)),
    ]
    caption = (
        f"{scene.name}, {options.image} at {side} pixels, noise {100 * scene.noise:g} %; the weight"
        f" of total variation is the best for this image; deep decoder of {options.channels} "
        f"channels, {options.steps} steps, penalty {options.tv:g} σ m/n, the median of "
        f"{options.seeds} seeds."
    )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{_name(options)}-{scene.name.split()[0]}.png"
    save(image_strip(images, truth=np.asarray(scene.truth), caption=caption), path)
    return path.name


def _name(options) -> str:
    """Of the files: a quick run leaves the full one's alone."""
    return "imaging-quick" if options.quick else "imaging"


def _note(scores: dict[str, Any], seed: int | None) -> str:
    value, similar = scores["psnr"], scores["ssim"]
    if seed is not None:
        value, similar = value[seed], similar[seed]
    return f"{value:.2f} dB, SSIM {similar:.3f}"


def main():
    """Runs the three problems and prints their lines."""
    parser = argparse.ArgumentParser(description="Untrained decoders against total variation.")
    parser.add_argument("--quick", action="store_true", help="64 pixels, 150 steps, 2 seeds")
    parser.add_argument("--image", default="chelsea", help="a colour image of scikit-image")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--channels", type=int, default=96)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--tv", type=float, default=0.2, help="penalty, in units of σ m/n")
    parser.add_argument("--rate", type=float, default=0.02, help="Adam's first step")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.side, options.steps, options.seeds = 64, 150, 2
    if options.seeds < 2:
        parser.error(f"a spread takes at least 2 seeds, got {options.seeds}")
    truth = square(options.image, options.side)
    rows = [compared(scene, options) for scene in scenes(truth)]
    print(write(_name(options), {"benchmark": "imaging", "options": vars(options), "rows": rows}))


if __name__ == "__main__":
    main()
