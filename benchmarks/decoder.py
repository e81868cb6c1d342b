"""How many seconds does one iteration of the 2-D deep decoder take, against PyTorch?

Five layers of 256 channels from 16 × 16, sigmoid, one colour: forward, gradient of the mean squared
error, one step of Adam, on the same weights in one run, at 64², 128², 256² and 512² in float32 and
float64. PyTorch runs eagerly in its channels-last layout, the faster one, with its fused Adam; ours
is one compiled loop, as `reconstruct` and `iterate` run it between records. Blocks of iterations
alternate between the two, so that other work on the machine hits both; the table holds medians over
blocks and the median of the ratios of neighbouring blocks. Each side has one thread unless
`--threads` says otherwise: that is steadier on a shared machine. `--quick` takes 64² and 128² only.

First the two are compared, and the benchmark fails if they differ by more than 1e-5 in float32 or
1e-10 in float64: signals relative to their largest entry, gradients in the l2 norm. PyTorch then
runs in its default layout, because its channel normalisation in float32 and channels-last is itself
off by 1e-5 to 1e-4. The float32 gradient is held to it for softplus: with ReLU one pixel whose
rounding falls on the other side of the kink moves it by more (below: relative errors against the
float64 gradient at the same weights). There the benchmark fails if ours is more than twice as far
off as PyTorch's.

Ours is told a second time, in no ratio, with `WIDE`: vectors of 512 bits, an option of XLA on CPUs
(XLA_FLAGS=--xla_cpu_prefer_vector_width=512) that a user may set and this package does not.

PyTorch is no dependency: `pip install -e '.[peers]'` first; without it the benchmark says so and
times ours alone. `--compile` times its step by `torch.compile` too, in both layouts, which costs a
minute a size, and takes the fastest; where that was tried the eager step in channels-last was.

    python -m benchmarks.decoder

Its last output (one thread of two cores, other work on the second, November 2026):

                                                   float32 gradient
    side, dtype      jaxdip     torch     torch/jaxdip    jaxdip    torch
      64, float32       27 ms      30 ms   1.10           1e-06    2e-06
      64, float64       75 ms      67 ms   0.94
     128, float32       80 ms      93 ms   1.18           2e-04    1e-03
     128, float64      182 ms     225 ms   1.23
     256, float32      346 ms     455 ms   1.29           3e-05    5e-04
     256, float64      783 ms    1075 ms   1.39
     512, float32     1044 ms    1829 ms   1.82           2e-04    1e-04
     512, float64     2276 ms    3653 ms   1.60
"""

import argparse
import os
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

GIVEN = argparse.ArgumentParser(description="Seconds per iteration of the 2-D deep decoder.")
GIVEN.add_argument("--quick", action="store_true", help="64 and 128 pixels only, fewer blocks")
GIVEN.add_argument("--threads", type=int, default=1, help="CPU threads of each side")
GIVEN.add_argument("--sizes", type=int, nargs="+", help="sides in pixels, instead of the default")
GIVEN.add_argument("--compile", action="store_true", help="torch.compile as well")
GIVEN.add_argument("--dtypes", nargs="+", default=["float32", "float64"])
OPTIONS = GIVEN.parse_args() if __name__ == "__main__" else GIVEN.parse_args([])

if __name__ == "__main__" and hasattr(os, "sched_setaffinity"):
    # Before JAX starts: its pool of threads has the size of the set of cores that it finds.
    CORES = sorted(os.sched_getaffinity(0))[: OPTIONS.threads]
    os.sched_setaffinity(0, CORES)

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)

import equinox as eqx  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._report import interleaved, peer, summary, write  # noqa: E402

CHANNELS, LAYERS, START, STEP = 256, 5, 16, 0.005
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
WIDE = {"xla_cpu_prefer_vector_width": 512}


def stated(side: int, dtype: str, activation: str = "relu") -> tuple[Any, jax.Array, jax.Array]:
    """The network, its latent and an image."""
    key = jax.random.key(0)
    network = jd.DeepDecoder(
        channels=CHANNELS,
        start=(START, START),
        grid=(side, side),
        layers=LAYERS,
        key=key,
        activation=activation,
        sigmoid=True,
        dtype=dtype,
    )
    image = jax.random.uniform(jd.key_for(key, "signal"), (side, side), network.v.dtype)
    return network, network.latent(jd.key_for(key, "latent")), image


def ours(
    network: Any, u: jax.Array, y: jax.Array, options: dict[str, Any] | None = None
) -> tuple[tuple[Any, Any], Callable[[int], Any]]:
    """Output and gradient, and a function that takes so many steps of Adam."""
    theta, rest = eqx.partition(network, network.trainable())
    optimiser = optax.adam(STEP)

    def loss(theta):
        x = eqx.combine(theta, rest)(u)
        return jnp.mean((x - y) ** 2), x

    def step(theta, state):
        gradient = jax.grad(loss, has_aux=True)(theta)[0]
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(theta, updates), state

    (_, x), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(theta)
    first = (np.asarray(x), [np.asarray(g) for g in jax.tree.leaves(gradient)])
    # A copy, because the step gives its arguments' memory away.
    theta = jax.tree.map(jnp.copy, theta)
    held = [theta, optimiser.init(theta)]

    @partial(jax.jit, donate_argnums=0, compiler_options=options)
    def several(held, count):
        return jax.lax.fori_loop(0, count, lambda _, held: list(step(*held)), held)

    def run(count: int):
        held[:] = several(held, count)
        return held

    return first, run


def peers(
    torch: Any,
    network: Any,
    u: jax.Array,
    y: jax.Array,
    layout: str = "channels_last",
    *,
    compiled: bool = False,
):
    """The same in PyTorch, weights in the order of our leaves."""
    functional, phi = torch.nn.functional, network.activation.name

    def tensor(x):
        return torch.tensor(np.array(x))

    def weight(x):
        return tensor(x)[:, :, None, None].contiguous(memory_format=getattr(torch, layout))

    mixes = [weight(C) for C in network.mixes]
    scales = [tensor(s) for s in network.scales]
    shifts = [tensor(s) for s in network.shifts]
    v = weight(network.v)
    theta = [*mixes, *scales, *shifts, v]
    for leaf in theta:
        leaf.requires_grad_()
    optimiser = torch.optim.Adam(theta, lr=STEP, fused=True)
    latent = tensor(u)[None].contiguous(memory_format=getattr(torch, layout))
    image = tensor(y)

    def forward():
        B = latent
        for C, scale, shift, grid in zip(mixes, scales, shifts, network.grids, strict=True):
            B = functional.conv2d(B, C)
            if tuple(B.shape[2:]) != grid:
                B = functional.interpolate(B, size=grid, mode="bilinear", align_corners=False)
            # In place: autograd keeps the output of a ReLU only.
            B = functional.relu_(B) if phi == "relu" else functional.softplus(B)
            B = functional.batch_norm(B, None, None, scale, shift, training=True, eps=1e-5)
        return torch.sigmoid(functional.conv2d(B, v))[0, 0]

    def loss():
        return functional.mse_loss(forward(), image)

    missed = torch.compile(loss) if compiled else loss

    def run(count: int):
        for _ in range(count):
            optimiser.zero_grad(set_to_none=True)
            missed().backward()
            optimiser.step()

    x = forward()
    loss().backward()
    gradient = [leaf.grad.numpy().copy().reshape(leaf.shape[:2]) for leaf in theta]
    return (x.detach().numpy(), gradient), run


def flat(gradient: list[np.ndarray]) -> np.ndarray:
    """All entries."""
    return np.concatenate([np.asarray(leaf, float).ravel() for leaf in gradient])


def in_double(leaf: Any) -> Any:
    """The same number in float64."""
    return leaf.astype("float64") if eqx.is_inexact_array(leaf) else leaf


def compared(torch: Any, side: int, dtype: str) -> dict[str, float]:
    """How far our signal and gradient are from PyTorch's."""
    found = {}
    for phi in ("relu", "softplus"):
        stage = stated(side, dtype, phi)
        (x, gradient), _ = ours(*stage)
        (their_x, their_gradient), _ = peers(torch, *stage, layout="contiguous_format")
        found[f"forward_{phi}"] = float(np.max(np.abs(x - their_x)) / np.max(np.abs(their_x)))
        own, their = flat(gradient), flat(their_gradient)
        found[f"gradient_{phi}"] = float(np.linalg.norm(own - their) / np.linalg.norm(their))
        if phi == "relu" and dtype == "float32":
            network, *rest = jax.tree.map(in_double, stage)
            exact = flat(ours(network, *rest)[0][1])
            errors = [
                float(np.linalg.norm(g - exact) / np.linalg.norm(exact)) for g in (own, their)
            ]
            found["gradient_relu_error"], found["gradient_relu_error_torch"] = errors
            if errors[0] > 2 * errors[1]:
                raise SystemExit(f"{side}: the float32 gradient is off by {errors} (ours, PyTorch)")
    asserted = {name: value for name, value in found.items() if "relu_error" not in name}
    if dtype == "float32":
        del asserted["gradient_relu"]
    if not max(asserted.values()) <= TOLERANCE[dtype]:
        raise SystemExit(f"{side}, {dtype}: differs from PyTorch by more than allowed: {found}")
    return found


def measured(torch: Any, side: int, dtype: str, blocks: int) -> dict[str, Any]:
    """One row of the table."""
    stage = stated(side, dtype)
    runs, row = {"jaxdip": ours(*stage)[1]}, {"side": side, "dtype": dtype}
    if jax.default_backend() == "cpu":
        runs["jaxdip, wide vectors"] = ours(*stage, options=WIDE)[1]
    if torch is not None:
        row["differences"] = compared(torch, side, dtype)
        runs["torch"] = peers(torch, *stage)[1]
        if OPTIONS.compile:
            for layout in ("channels_last", "contiguous_format"):
                name = f"torch.compile, {layout}"
                runs[name] = peers(torch, *stage, layout, compiled=True)[1]
    count = 2 * max(1, (256 // side) ** 2)
    seconds = interleaved({name: partial(run, count) for name, run in runs.items()}, blocks)
    seconds = {name: [s / count for s in taken] for name, taken in seconds.items()}
    row["seconds"] = {name: summary(taken) for name, taken in seconds.items()}
    if torch is not None:
        best = min(
            (name for name in runs if name.startswith("torch")),
            key=lambda name: statistics.median(seconds[name]),
        )
        row["torch_variant"] = best
        pairs = zip(seconds[best], seconds["jaxdip"], strict=True)
        row["torch_over_jaxdip"] = statistics.median(theirs / own for theirs, own in pairs)
    return row


def blocks_for(side: int) -> int:
    """How often each side is timed."""
    return 3 if OPTIONS.quick else {64: 21, 512: 5}.get(side, 11)


def main():
    """Prints one line for each size and dtype."""
    torch = peer("torch")
    if torch is not None:
        torch.set_num_threads(OPTIONS.threads)
    sides = OPTIONS.sizes or ([64, 128] if OPTIONS.quick else [64, 128, 256, 512])
    rows = []
    for side in sides:
        for dtype in OPTIONS.dtypes:
            row = measured(torch, side, dtype, blocks_for(side))
            rows.append(row)
            line = ", ".join(
                f"{name} {1e3 * taken['median']:.1f} ms" for name, taken in row["seconds"].items()
            )
            if torch is not None:
                line += f", torch/jaxdip {row['torch_over_jaxdip']:.2f}; differences " + ", ".join(
                    f"{name} {value:.0e}" for name, value in row["differences"].items()
                )
            print(f"{side:4d}² {dtype}: {line}", flush=True)
    if not OPTIONS.sizes:
        about = {"channels": CHANNELS, "layers": LAYERS, "threads": OPTIONS.threads}
        versions = {"torch": torch.__version__} if torch is not None else {}
        told = {"benchmark": "decoder", **about, **versions, "rows": rows}
        print(write("decoder", told, quick=OPTIONS.quick))


if __name__ == "__main__":
    main()
