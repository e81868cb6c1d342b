"""What fraction of the machine's ceilings does each hot loop reach?

For each loop the bytes it must move and the operations it must make, counted by formula; the
ceilings of the same machine, dtype and number of threads, measured right before and right after the
loop, the higher of the two: bandwidth by z ← z + c w over as many bytes as the loop goes over (so
that the same cache, or memory, holds them; a sum, which only reads, is slower: its additions wait
for one another), operations by a large matrix product, hyperbolic tangents a second; the seconds
that the slowest ceiling alone would take, and the fraction of it that the loop reaches.
Multiplications and tanh share the core, so their times add. A decoder's products and its passes
are kernels of their own, one after the other, so there the times at both ceilings add. A loop that
reaches more than 1.1 of its ceiling was measured on a machine that others used: status 1.

    loop                            passes over arrays                 operations
    two-layer (a sweep's trial)     M twice, z and t = tanh z twice    k tanh, 4 m k + 8 k
    image size (`iterate`, m = n)   likewise                           likewise
    ODE step, explicit (Tsit5)      six such gradients, and 28 sums    as the gradients
    ODE step, implicit (Rodas5P)    V 37 times                         2 n² k, 68 n k, tanh 9 k
    decoder, a gradient             9 over each layer's activations    6 C² pixels mixed a layer
    Jacobian, J v and Jᵀ w          V once                             2 m k
    Gram matrix B Bᵀ                B once                             2 m² k

A step needs r = M φ(z) − y whole before Mᵀr, so it reads M twice, or once where the update of a
column and its share in the next product are fused, which XLA does not do for products. A layer of
the decoder reads or writes an array of C × pixels about nine times forth and back (product,
activation, normalisation; twice that and the resampling on the way back).

One thread unless `--threads` says otherwise. `--quick` takes smaller sizes.

    python -m benchmarks.roofline

Milliseconds and fractions of the ceiling (one thread of two quiet cores, November 2026):

                                          float64           float32
    two-layer, k = 1000                    0.0018   79 %     0.00072   64 %
    two-layer, k = 8 388 608                   53   45 %        18.8   51 %
    image size, n = 4096, k = 10 000           40   56 %        19.3   44 %
    image size, IGAHD                          44   62 %        15.9   58 %
    explicit ODE step, n = 10, k = 1000     0.057   25 %       0.027   23 %
    explicit ODE step, image size             290   52 %         110   60 %
    implicit ODE step, n = 20, k = 4000      0.76   29 %        0.31   35 %
    Jacobian, J v                            22.9   60 %         9.2   60 %
    Jacobian, Jᵀ w                           23.5   59 %         9.0   62 %
    Gram matrix, n = 2048                    1612   74 %         749   77 %
    decoder, 256², 256 channels               604   45 %         229   52 %

Below one half, and why:

- A trial far out of cache: its tanh, two products and update are kernels of their own, and each
  writes an array of k numbers for the next to read, half as much again as is counted.
- A small explicit step: of 57 μs its six gradients, run alone, take 27, for `jax.nn.sigmoid` costs
  twice a tanh and products of ten rows are far from those of large matrices; the rest are diffrax's
  sums, error norms and decisions.
- An implicit step: products with V of 20 rows read it at half of the copy's speed (8 times four of
  9 μs), and its Gram matrix, 20 × 4000 × 20, takes 150 to 240 μs where the ceiling says 50; blocks,
  padding and the transposed product were no faster.
- The decoder: resampling, sums over pixels and the transposition for the weights' gradient are not
  among the nine passes, and its products dYᵀ X run at two thirds of the speed of square ones.
- The image-size step in float32 was at 79 % in another run; why the two differ is not known.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

GIVEN = argparse.ArgumentParser(description="Fractions of the machine's ceilings.")
GIVEN.add_argument("--quick", action="store_true", help="smaller sizes")
GIVEN.add_argument("--threads", type=int, default=1, help="CPU threads")
OPTIONS = GIVEN.parse_args() if __name__ == "__main__" else GIVEN.parse_args([])

if __name__ == "__main__" and hasattr(os, "sched_setaffinity"):
    # Before JAX starts: its pool of threads has the size of the set of cores that it finds.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: OPTIONS.threads])

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)

import diffrax as dfx  # noqa: E402
import equinox as eqx  # noqa: E402
import jax.numpy as jnp  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks._ceilings import ceilings  # noqa: E402
from benchmarks._counts import (  # noqa: E402
    Count,
    decoder_count,
    explicit_count,
    gram_count,
    implicit_count,
    product_count,
    two_layer_count,
)
from benchmarks._report import per_iteration, summary, write  # noqa: E402
from jaxdip.trials import TwoLayerTrial  # noqa: E402

#: More than this fraction of a ceiling is an error of measurement.
_ABOVE = 1.1


# --- the loops, as the package runs them: each a function of a number of iterations ---


def padded(m: int, k: int) -> tuple[int, int]:
    """The rows and the width that a trial of a sweep is padded to."""
    program = TwoLayerTrial().program({"n": 5, "m": m, "k": k})
    return program.observations, program.width


def small_trial(m: int, k: int, dtype: str) -> Callable[[int], Any]:
    """A trial of a sweep."""
    trial = TwoLayerTrial()
    point = {"n": 5, "m": m, "k": k, "step_size": 0.1, "dtype": dtype, "steps": 1}
    program = trial.program(point)
    state = jax.jit(lambda key: trial.begin(key, program, trial.numbers(point)))(jax.random.key(0))

    @jax.jit
    def run(state):
        return jax.lax.while_loop(trial.running, lambda s: trial.step(program, s), state).loss

    def many(iterations: int) -> Any:
        fixed = state.fixed._replace(
            # No loss is below -1, so every step is made.
            tolerance=jnp.full_like(state.fixed.tolerance, -1),
            limit=jnp.full_like(state.fixed.limit, iterations),
        )
        return run(state._replace(fixed=fixed))

    return many


def stated(n: int, k: int, dtype: str, d: int = 10) -> tuple[jd.Problem, jd.TwoLayer]:
    """A two-layer network seen directly."""
    key = jax.random.key(0)
    g = jd.TwoLayer(latent=d, width=k, out=n, key=key, dtype=dtype)
    u = jd.on_sphere(d, key=jd.key_for(key, "latent")).astype(dtype)
    A = jd.operators.Identity((n,), dtype=jnp.dtype(dtype))
    y = jax.random.normal(jd.key_for(key, "signal"), (n,), dtype)
    return jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y), g


def image_descent(n: int, k: int, dtype: str, *, inertial: bool) -> Callable[[int], Any]:
    """`iterate` on an image."""
    problem, g = stated(n, k, dtype)
    s = jnp.asarray(1e-3, dtype)
    method = jd.IGAHD(s, jnp.asarray(1.0, dtype), s) if inertial else jd.GradientDescent(s)
    return lambda count: jd.iterate(problem, method, g, count, every=count).loss


def flow_steps(n: int, k: int, dtype: str, solver: Literal["explicit", "implicit"]) -> Any:
    """Steps of `integrate` along gradient flow, whose end is out of their reach."""
    problem, g = stated(n, k, dtype)
    # A stiff solver's steps would grow without end.
    controller = dfx.PIDController(rtol=1e-4, atol=1e-6, dtmax=1.0)
    options = {"ts": jnp.asarray([1e9], dtype), "solver": solver, "stepsize_controller": controller}

    def run(count: int) -> Any:
        made = jd.integrate(problem, jd.GradientFlow(), g, max_steps=count, **options)
        steps = int(made.stats["num_steps"])
        if steps != count:
            raise SystemExit(f"{solver}: {steps} steps were made, not {count}")
        return made.loss

    return run


def decoder(side: int, channels: int, layers: int, dtype: str) -> jd.DeepDecoder:
    """The network of the row."""
    start = side // 2 ** (layers - 1)
    return jd.DeepDecoder(
        channels=channels,
        start=(start, start),
        grid=(side, side),
        layers=layers,
        key=jax.random.key(0),
        sigmoid=True,
        dtype=dtype,
    )


def decoder_gradients(side: int, channels: int, layers: int, dtype: str) -> Callable[[int], Any]:
    """Gradient steps of the deep decoder."""
    g = decoder(side, channels, layers, dtype)
    u = g.latent(jax.random.key(1))
    y = jax.random.uniform(jax.random.key(2), (side, side), dtype)
    theta, rest = eqx.partition(g, g.trainable())

    @partial(jax.jit, static_argnums=1)
    def run(theta, count):
        def step(_, theta):
            slope = jax.grad(lambda t: jnp.mean((eqx.combine(t, rest)(u) - y) ** 2))(theta)
            return jax.tree.map(lambda t, s: t - 1e-4 * s, theta, slope)

        return jax.lax.fori_loop(0, count, step, theta)

    return lambda count: run(theta, count)


def jacobian_products(n: int, k: int, dtype: str, pull: bool) -> Callable[[int], Any]:
    """J v or Jᵀ w, so many in a row, each from the last one's result."""
    from jaxdip.analysis._jacobian import jacobian

    problem, g = stated(n, k, dtype)
    _, J = jacobian(problem, g, "J")
    start = jnp.ones(n if pull else J.columns, dtype)

    @partial(eqx.filter_jit, donate="none")
    def run(J, start, count):
        product = J.product()
        map_, keep = (product.pull, n) if pull else (product.push, J.columns)

        def again(_, v):
            w = map_(v)
            # The result feeds the next product, so that none can be left out.
            return v + 1e-6 * jnp.resize(w, (keep,))[: v.size]

        return jax.lax.fori_loop(0, count, again, start)

    return lambda count: run(J, start, count)


def gram(n: int, k: int, dtype: str) -> Callable[[int], Any]:
    """B Bᵀ as the kernel's closed form computes it."""
    B = jax.random.normal(jax.random.key(0), (n, k), dtype)

    @jax.jit
    def run(B):
        return jnp.matmul(B, B.T, precision=jax.lax.Precision.HIGHEST)

    def many(count: int) -> Any:
        return [run(B) for _ in range(count)][-1]

    return many


class Loop(NamedTuple):
    """A hot loop.

    Attributes:
        name, dtype: of what, in which numbers.
        work: what an iteration must do.
        make: builds it: a function of a number of iterations.
        iterations: how many take long enough to be timed.
    """

    name: str
    dtype: str
    work: Count
    make: Callable[[], Callable[[int], Any]]
    iterations: int


def loops(quick: bool) -> list[Loop]:
    """All of them; none is built yet, for together they would not fit."""
    found = []
    long = 2**18 if quick else 2**23
    n, k = (512, 4000) if quick else (4096, 10_000)
    side, channels, layers = (64, 64, 3) if quick else (256, 256, 5)
    at, steps = f"n = {n}, k = {k}", 2000 if quick else 100_000
    for dtype, width in (("float64", 8), ("float32", 4)):
        small, large = (two_layer_count(*padded(2, size), width) for size in (1000, long))
        image, through = two_layer_count(n, k, width), product_count(n, k, width)
        # IGAHD reads and writes its memory of k numbers besides.
        inertia = image._replace(moved=image.moved + 2 * k * width)
        gd, igahd = (partial(image_descent, n, k, dtype, inertial=with_) for with_ in (False, True))
        # The Gram matrix of fewer rows: at image size one product takes five seconds.
        rows = min(n, 2048)
        square, network = gram_count(rows, k, width), decoder(side, channels, layers, dtype)
        make = partial(decoder_gradients, side, channels, layers, dtype)
        flow = partial(flow_steps, dtype=dtype)
        q, units = (10, 1000) if quick else (20, 4000)
        push, pull = (partial(jacobian_products, n, k, dtype, back) for back in (False, True))
        found += [
            Loop("two-layer, k = 1000", dtype, small, partial(small_trial, 2, 1000, dtype), steps),
            Loop(f"two-layer, k = {long}", dtype, large, partial(small_trial, 2, long, dtype), 5),
            Loop(f"image size, {at}", dtype, image, gd, 10),
            Loop(f"image size, IGAHD, {at}", dtype, inertia, igahd, 10),
            Loop(
                "explicit ODE step, n = 10, k = 1000",
                dtype,
                explicit_count(10, 1000, width),
                partial(flow, 10, 1000, solver="explicit"),
                200,
            ),
            Loop(
                f"explicit ODE step, {at}",
                dtype,
                explicit_count(n, k, width),
                partial(flow, n, k, solver="explicit"),
                3,
            ),
            Loop(
                f"implicit ODE step, n = {q}, k = {units}",
                dtype,
                implicit_count(q, units, width),
                partial(flow, q, units, solver="implicit"),
                100,
            ),
            Loop(f"Jacobian, J v, {at}", dtype, through, push, 10),
            Loop(f"Jacobian, Jᵀ w, {at}", dtype, through, pull, 10),
            Loop(
                f"Gram matrix, n = {rows}, k = {k}", dtype, square, partial(gram, rows, k, dtype), 1
            ),
            Loop(
                f"decoder, {side}², {channels} channels",
                dtype,
                decoder_count(network, width),
                make,
                2,
            ),
        ]
    return found


def reached(loop: Loop, quick: bool) -> dict[str, Any]:
    """Seconds an iteration, those of each ceiling, and the fraction of the highest."""
    before = ceilings(loop.dtype, loop.work.working, quick=quick)
    taken = per_iteration({"loop": loop.make()}, {"loop": loop.iterations}, 3 if quick else 5)
    top = before.or_higher(ceilings(loop.dtype, loop.work.working, quick=quick))
    seconds = summary(taken["loop"]["step"])
    bound, floor = loop.work.floor(top)
    return {
        "seconds": seconds,
        "ceilings": loop.work.seconds(top),
        "rates": top._asdict(),
        "bound_by": bound,
        "fraction": floor / seconds["median"],
    }


def main():
    """Prints the ceilings, then one line a loop."""
    quick = OPTIONS.quick
    rows, ratios = [], {}
    for loop in loops(quick):
        name = f"{loop.name}, {loop.dtype}"
        row = {"loop": name, **reached(loop, quick)}
        rows.append(row)
        ratios[f"fraction of the {row['bound_by']} ceiling, {name}"] = row["fraction"]
        at = ", ".join(f"{kind} {1e3 * s:.3g}" for kind, s in row["ceilings"].items())
        print(
            f"{name:48s} {1e3 * row['seconds']['median']:9.3g} ms; ceilings in ms: {at}; "
            f"{row['fraction']:.0%} of {row['bound_by']}",
            flush=True,
        )
        top = row["rates"]
        print(
            f"{'':48s} of {loop.work.working / 2**20:.3g} MiB: "
            f"copies {top['bandwidth'] / 1e9:.0f} GB/s; products {top['products'] / 1e9:.0f} Gop/s,"
            f" tanh {top['tanh'] / 1e9:.2f} G/s",
            flush=True,
        )
    result = {"benchmark": "roofline", "threads": OPTIONS.threads, "rows": rows}
    print(write("roofline", {**result, "ratios": ratios}, quick=quick))
    above = [row["loop"] for row in rows if row["fraction"] > _ABOVE]
    if above:
        raise SystemExit(
            f"above their ceiling, so the machine was busy; measure again: {'; '.join(above)}"
        )


if __name__ == "__main__":
    main()
