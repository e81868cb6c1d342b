"""Does an untrained network recover images better than total variation, tuned by an oracle?

Three problems on one real image, gray, 256 × 256 (scikit-image's): deblurring (Gaussian kernel, std
1.6 pixels, noise 1 %), 4× super-resolution (cubic kernel, noise 1 %), inpainting with half of the
pixels missing (noise 1 %). The network (`--generator`, 5 layers of `--channels`) is trained by Adam
for `--steps` steps on five seeds; nothing is chosen by looking at the truth: its image is the
average of the outputs at the stop of the held-out rule or at the end. Total variation gets the best
of a grid of weights by the PSNR against the truth, each solved by the primal-dual method of
Chambolle and Pock to a relative change of 1e-5.

Prints a table of PSNR and SSIM with the spread over seeds; `--quick` takes 64 pixels and 300 steps.

    python -m benchmarks.imaging
"""

import argparse
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxdip as jd
from benchmarks._report import write
from jaxdip.imaging import named_image, psnr, resample, ssim

NOISE = 0.01
WEIGHTS = np.geomspace(1e-4, 1e-1, 13)


def problems(side: int, key: Any) -> dict[str, jd.operators.AbstractLinearOperator]:
    """The three operators."""
    return {
        "deblurring": jd.operators.Blur.gaussian((side, side), 1.6, 6, "reflect"),
        "super-resolution 4x": jd.operators.SuperResolution((side, side), 4),
        "inpainting 50 %": jd.operators.Mask.random((side, side), 0.5, key),
    }


def differences(x):
    """Forward differences along both axes, 0 at the ends: shape (2, H, W)."""
    down = jnp.diff(x, axis=0, append=x[-1:])
    right = jnp.diff(x, axis=1, append=x[:, -1:])
    return jnp.stack([down, right])


def total_variation(operator, y, weight, norm, steps: int = 4000):
    """argmin ½‖A x − y‖² + weight·Σ‖∇x‖ over x, by the primal-dual method, from A* y.

    Chambolle & Pock (2011), with both terms dual: K = (A, ∇), ‖K‖² ≤ ‖A‖² + 8, τ = σ = 0.99/‖K‖.
    """
    adjoint = jax.linear_transpose(differences, operator.adjoint(y))
    step = 0.99 / jnp.sqrt(norm**2 + 8.0)

    def unfinished(state):
        _, _, _, _, change, count = state
        return (change > 1e-5) & (count < steps)

    def body(state):
        x, ahead, p, q, _, count = state
        p = (p + step * (operator(ahead) - y)) / (1 + step)
        q = q + step * differences(ahead)
        q = q / jnp.maximum(1.0, jnp.linalg.norm(q, axis=0, keepdims=True) / weight)
        new = x - step * (operator.adjoint(p) + adjoint(q)[0])
        change = jnp.linalg.norm(new - x) / jnp.linalg.norm(new)
        return new, 2 * new - x, p, q, change, count + 1

    x = operator.adjoint(y)
    start = (x, x, jnp.zeros_like(y), jnp.zeros((2, *x.shape), x.dtype), jnp.inf, 0)
    start = (*start[:4], jnp.asarray(jnp.inf, x.dtype), jnp.asarray(0))
    return jax.lax.while_loop(unfinished, body, start)[0]


def best_variation(operator, y, truth) -> dict[str, float]:
    """The best PSNR that total variation reaches over the weights."""
    norm = operator.norm()
    solve = jax.jit(lambda weight: total_variation(operator, y, weight, norm))
    found = []
    for weight in WEIGHTS:
        x = jnp.clip(solve(jnp.asarray(weight, truth.dtype)), 0, 1)
        found.append((float(psnr(x, truth, 1.0)), float(ssim(x, truth, 1.0)), float(weight)))
    return dict(zip(("psnr", "ssim", "weight"), max(found), strict=True))


def network(kind: str, side: int, channels: int, key):
    """A network for gray images, and its latent."""
    start = max(4, side // 16)
    sizes = {"channels": channels, "start": (start, start), "layers": 5}
    make = {"deep-decoder": jd.DeepDecoder, "conv-decoder": jd.ConvDecoder}[kind]
    made = make(**sizes, grid=(side, side), key=key, sigmoid=True)
    return made, made.latent(jd.key_for(key, "latent"))


def trained(operator, y, truth, options) -> dict[str, Any]:
    """PSNR and SSIM of every seed's average."""
    begin = time.perf_counter()
    found = jd.reconstruct(
        y,
        operator,
        lambda key: network(options.generator, truth.shape[0], options.channels, key),
        key=jax.random.key(1),
        steps=options.steps,
        optimizer="adam",
        step_size=options.rate,
        seeds=options.seeds,
        stop={"held-out": jd.stopping.HeldOut(0.05, patience=options.steps // 4)},
        truth=truth,
        peak=1.0,
    )
    images = jnp.clip(found.x_average, 0, 1)
    return {
        "psnr": [float(psnr(x, truth, 1.0)) for x in images],
        "ssim": [float(ssim(x, truth, 1.0)) for x in images],
        "steps": [int(step) for step in found.steps],
        "seconds": time.perf_counter() - begin,
    }


def main():
    """Runs the three problems and prints their lines."""
    parser = argparse.ArgumentParser(description="Untrained networks against total variation.")
    parser.add_argument("--quick", action="store_true", help="64 pixels, 300 steps, 2 seeds")
    parser.add_argument("--image", default="camera")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--generator", default="deep-decoder")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.side, options.steps, options.seeds, options.channels = 64, 300, 2, 64
    truth = resample(jnp.asarray(named_image(options.image).gray, jnp.float32), options.side)
    rows = []
    for name, operator in problems(options.side, jax.random.key(0)).items():
        y = jd.measure(operator, truth, noise=NOISE, key=jax.random.key(2)).y
        variation, net = best_variation(operator, y, truth), trained(operator, y, truth, options)
        mean, spread = statistics.mean(net["psnr"]), statistics.stdev(net["psnr"])
        print(
            f"{name:20s} {options.generator} {mean:.2f} ± {spread:.2f} dB, SSIM "
            f"{statistics.mean(net['ssim']):.3f}; TV (oracle) {variation['psnr']:.2f} dB, SSIM "
            f"{variation['ssim']:.3f}; {mean - variation['psnr']:+.2f} dB; {net['seconds']:.0f} s",
            flush=True,
        )
        rows.append({"problem": name, "network": net, "total_variation": variation})
    print(write("imaging", {"benchmark": "imaging", "options": vars(options), "rows": rows}))


if __name__ == "__main__":
    main()
