"""Does an accelerator agree with the CPU, and how fast do the hot loops run on it?

One command, `python -m benchmarks.gpu`, for a GPU or TPU that JAX sees. First it checks that what
the device computes agrees with this machine's CPU in float64, on the same numbers: gradient
descent, IGAHD, an ODE solve, the gradient of a deep decoder, a spectrum, a certificate, trials in
lanes, and the fused kernel; in float32 (every product at HIGHEST, as the package asks) and, where
the device has it, in float64. Then it times:

    image size      gradient descent, n = m = 4096, k = 10 000, float32, against two passes over M
                    at the copy bandwidth measured here (target: at most 1.3 times that)
    launches        microseconds a step of one small trial: `iterate`, a bare scan unrolled 1, 4, 16
                    times, the fused kernel, and the scan again in a process with command buffers on
    sweep           4096 trials of the papers' experiment at k = 1000 by `sweep`, in lanes and by
                    `FusedTwoLayerTrial`; and as many trials from the same start in lanes of the
                    plain loop and in the fused kernel
    ODE             gradient flow, k = 1000, explicit; and stiff, implicit
    decoder         a gradient step of the deep decoder, 512², 256 channels
    spectra         Gram matrix and eigenvalues at n = 4096, k = 10 000

A check or a time that fails is printed and noted under 'failures', and the rest goes on. The result
is written in any case; the status is 1 if anything failed, or differs by more than `ALLOWED`.

Without an accelerator it says so, runs all of it in small sizes on the CPU, and claims nothing: the
float64 check then compares a device with itself, and the fused kernel is interpreted. `--quick`
takes the small sizes anywhere.

On a TPU: there is no float64 to speak of, so it is neither checked nor used (thresholds of the loss
are those of float32, see `benchmarks.precision`); the kernel's blocks are padded to tiles of
8 × 128; float32 products run as six bfloat16 passes because HIGHEST is asked for, a fraction of
their speed, which image sizes should not feel (they wait for memory) and Gram matrices and decoders
will.

It has been run on CPUs only. No figure of an accelerator in this package is measured; those that
`jaxdip reproduce --list` prints are estimates.

    python -m benchmarks.gpu
"""

import argparse
import functools
import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax

jax.config.update("jax_enable_x64", True)

import equinox as eqx  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import jaxdip as jd  # noqa: E402
from benchmarks import _ceilings  # noqa: E402
from benchmarks._counts import decoder_count  # noqa: E402
from benchmarks._report import in_process, interleaved, per_iteration, summary, timed, write  # noqa: E402
from jaxdip.sweeps import sweep  # noqa: E402
from jaxdip.trials import FusedTwoLayerTrial, TwoLayerTrial  # noqa: E402
from jaxdip.trials._fused_descent import fused_steps  # noqa: E402

#: The largest difference from the CPU in float64, relative to the largest entry: some ten times
#: what a CPU's own float32 leaves, and less than TF32 products do.
ALLOWED = {"float32": 1e-5, "float64": 1e-9}
#: Likewise in float32, where long runs or a quotient of small numbers magnify rounding.
ALLOWED_IN_FLOAT32 = {"trials in lanes": 1e-4, "fused kernel": 1e-4, "certificate": 2e-4}
#: Image-size descent: at most so many times the floor.
TARGET = 1.3
#: What turns command buffers on, loops included, for a process of its own.
COMMAND_BUFFERS = "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUDNN,CONDITIONAL,WHILE"


# --- what fails ---


class Failure(NamedTuple):
    """A check or a time that ended with an exception.

    Attributes:
        name: of what failed.
        error: the exception's type.
        message: the first line that it says.
    """

    name: str
    error: str
    message: str


class Attempts:
    """Runs one thing after another, whichever fail.

    Attributes:
        failures: what failed so far.
    """

    def __init__(self):
        self.failures: list[Failure] = []

    def result(self, name: str, run: Callable[[], Any]) -> Any:
        """What `run` returns, or None if it raises, which is printed and noted."""
        try:
            return run()
        # Whatever a device that this has not run on may raise: its other numbers are wanted still.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            failure = Failure(name, type(error).__name__, first_line(error))
            self.failures.append(failure)
            print(f"✗ {name}: {failure.error}: {failure.message}", flush=True)
            return None

    def results(self, runs: dict[str, Callable[[], Any]], within: str) -> dict[str, Any]:
        """Those of the runs that did not raise, by name."""
        found = {name: self.result(f"{within}, {name}", run) for name, run in runs.items()}
        return {name: one for name, one in found.items() if one is not None}


def first_line(error: BaseException) -> str:
    """What an exception says first; where that only announces the rest, its last line too."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{lines[0]} {lines[-1]}" if lines[0].endswith(":") else lines[0]


# --- agreement: each from a dtype to arrays, on whatever device is the default ---


def host(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Normal numbers that fit float32, the same on every device."""
    drawn = np.random.default_rng(seed).normal(size=shape)
    return drawn.astype(np.float32).astype(np.float64)


def stated(n: int, m: int, k: int, dtype: str, d: int = 20) -> tuple[jd.Problem, jd.TwoLayer]:
    """A problem whose numbers come from the host."""
    A = jnp.asarray(host((m, n), 0) / np.sqrt(m), dtype)
    V = jnp.asarray(np.sign(host((n, k), 1)), dtype)
    g = jd.TwoLayer(weights=(jnp.asarray(host((k, d), 2), dtype), V), out=n)
    u = host((d,), 3)
    x = jnp.asarray(host((n,), 4), dtype)
    operator = jd.operators.Dense(A)
    u = jnp.asarray(u / np.linalg.norm(u), dtype)
    return jd.Problem(u=u, operator=operator, loss=jd.losses.MSE(), y=operator(x)), g


def descent(dtype: str) -> dict[str, Any]:
    problem, g = stated(8, 4, 500, dtype)
    found = jd.iterate(problem, jd.GradientDescent(0.1), g, 200, every=20)
    return {"loss": jnp.sqrt(found.loss), "W": found.generator.first_layer}


def inertial(dtype: str) -> dict[str, Any]:
    problem, g = stated(8, 4, 500, dtype)
    found = jd.iterate(problem, jd.IGAHD(0.1, 0.3, 0.3), g, 200, every=20)
    return {"loss": jnp.sqrt(found.loss), "W": found.generator.first_layer}


def flow(dtype: str) -> dict[str, Any]:
    problem, g = stated(8, 4, 500, dtype)
    ts = jnp.linspace(1.0, 10.0, 10, dtype=dtype)
    found = jd.integrate(problem, jd.GradientFlow(), g, ts, solver="explicit", rtol=1e-5, atol=1e-7)
    return {"loss": jnp.sqrt(found.loss)}


def decoded(dtype: str) -> dict[str, Any]:
    g = jd.DeepDecoder(
        channels=16,
        start=(4, 4),
        grid=(32, 32),
        layers=3,
        key=jax.random.key(0),
        activation="softplus",
        sigmoid=True,
        dtype=dtype,
    )
    leaves, tree = jax.tree.flatten(eqx.filter(g, eqx.is_inexact_array))
    drawn = [jnp.asarray(host(x.shape, i) * 0.2 + 0.1, dtype) for i, x in enumerate(leaves)]
    g = eqx.combine(jax.tree.unflatten(tree, drawn), g)
    u = jnp.asarray(host(g.latent(jax.random.key(1)).shape, 5), dtype)
    theta, rest = eqx.partition(g, g.trainable())
    y = jnp.asarray(host((32, 32), 6), dtype)
    slope = jax.jit(jax.grad(lambda t: jnp.sum((eqx.combine(t, rest)(u) - y) ** 2)))(theta)
    flat = jnp.concatenate([x.ravel() for x in jax.tree.leaves(slope)])
    return {"gradient": flat, "image": g(u)}


def spectral(dtype: str) -> dict[str, Any]:
    return {"values": jd.spectrum(*stated(40, 30, 400, dtype)).values}


def certified(dtype: str) -> dict[str, Any]:
    # A narrow network: what the certificate deducts for rounding, k eps σ_max, differs by dtype.
    found = jd.certify(*stated(6, 3, 400, dtype), dynamics=jd.GradientFlow(), kind="network")
    return {name: number.value for name, number in found.numbers.items()}


@functools.cache
def drawn(count: int, k: int, steps: int, tolerance: float) -> tuple[Any, Any]:
    """A program, and trials at their start, drawn on the CPU in float64."""
    trial = TwoLayerTrial()
    point = {"n": 5, "m": 2, "k": k, "steps": steps, "step": 1.0, "tolerance": tolerance}
    with jax.default_device(jax.devices("cpu")[0]):
        program, numbers = trial.program(point | {"dtype": "float64"}), trial.numbers(point)
        keys = jax.random.split(jax.random.key(0), count)
        states = jax.jit(jax.vmap(lambda key: trial.begin(key, program, numbers)))(keys)
    return program, states


def begun(count: int, k: int, dtype: str, steps: int, tolerance: float = 1e-4) -> tuple[Any, Any]:
    """The same trials on every device, padded to its tiles."""
    program, states = drawn(count, k, steps, tolerance)
    width = 1 << (program.width - 1).bit_length()

    def cast(x: Any) -> Any:
        return np.asarray(x, dtype) if jnp.issubdtype(x.dtype, jnp.floating) else np.asarray(x)

    def padded(x: Any, rows: int | None) -> Any:
        """To tiles: widths a power of two, of 128 at least; rows 8."""
        extra = [(0, 0)] * x.ndim
        if rows is not None:
            extra[rows] = (0, 8 - x.shape[rows])
        if x.shape[-1] == program.width and x.ndim > 1:
            extra[-1] = (0, max(width, 128) - program.width)
        return jnp.asarray(np.pad(x, extra))

    states = jax.tree.map(cast, states)
    fixed = states.fixed
    held = fixed._replace(
        matrix=padded(fixed.matrix, 1),
        target=padded(fixed.target, 1),
        V=padded(fixed.V, None),
        z0=padded(fixed.z0, None),
    )
    states = states._replace(
        z=padded(states.z, None),
        memory=padded(states.memory, None),
        slope=padded(states.slope, 1),
        fixed=held,
    )
    return program, jax.tree.map(jnp.asarray, states)


def interpreted() -> bool:
    """The kernel is compiled on accelerators only."""
    return jax.devices()[0].platform == "cpu"


def in_kernel(dtype: str) -> dict[str, Any]:
    program, states = begun(16, 100, dtype, 300)
    found = jax.jit(partial(fused_steps, program, steps=300, interpret=interpreted()))(states)
    return {"loss": jnp.sqrt(found.loss), "z": found.z}


def in_loop(dtype: str) -> dict[str, Any]:
    program, states = begun(16, 100, dtype, 300)
    found = looped(program, states, 300)
    return {"loss": jnp.sqrt(found.loss), "z": found.z}


@eqx.filter_jit
def looped(program: Any, states: Any, steps: int) -> Any:
    """All trials in lanes of the plain loop, until the last has ended or made so many steps."""
    trial = TwoLayerTrial()

    def going(carry: Any) -> Any:
        taken, states = carry
        return (taken < steps) & jnp.any(jax.vmap(trial.running)(states))

    def step(state: Any) -> Any:
        new, on = trial.step(program, state), trial.running(state)
        return jax.tree.map(lambda a, b: jnp.where(on, a, b), new, state)

    def moved(carry: Any) -> Any:
        taken, states = carry
        return taken + 1, jax.vmap(step)(states)

    return jax.lax.while_loop(going, moved, (jnp.int32(0), states))[1]


#: Name to the function on the device, and the one on the CPU that it is compared with: of the
#: kernel the plain loop.
CHECKS: dict[str, tuple[Callable[[str], Any], Callable[[str], Any]]] = {
    "gradient descent": (descent, descent),
    "IGAHD": (inertial, inertial),
    "gradient flow, Tsit5": (flow, flow),
    "deep decoder, gradient": (decoded, decoded),
    "spectrum": (spectral, spectral),
    "certificate": (certified, certified),
    "trials in lanes": (in_loop, in_loop),
    "fused kernel": (in_kernel, in_loop),
}


def difference(found: dict[str, Any], true: dict[str, Any]) -> float:
    """The largest over all arrays, each relative to its largest entry; infinite if not finite."""
    worst = 0.0
    for name, x in found.items():
        a, b = np.asarray(x, float), np.asarray(true[name], float)
        size = float(np.max(np.abs(b)))
        apart = float(np.max(np.abs(a - b))) / (size or 1.0)
        worst = max(worst, apart if np.isfinite(apart) else np.inf)
    return worst


def allowed(name: str, dtype: str) -> float:
    """The largest difference that counts as agreement."""
    return ALLOWED_IN_FLOAT32.get(name, ALLOWED[dtype]) if dtype == "float32" else ALLOWED[dtype]


def checked(device: Any, attempts: Attempts) -> list[dict[str, Any]]:
    """One row a check and dtype; of one that failed the difference is None."""
    rows = []
    dtypes = ["float32"] if device.platform == "tpu" else ["float32", "float64"]
    if len(dtypes) == 1:
        print("a TPU has no float64 of its own: that check is left out")
    for name, (run, reference) in CHECKS.items():
        true = attempts.result(f"{name}, on the CPU", partial(referred, reference))
        for dtype in dtypes:
            apart = None
            if true is not None:
                compared = partial(compared_on, device, run, dtype, true)
                apart = attempts.result(f"{name}, {dtype}", compared)
            good = apart is not None and apart <= allowed(name, dtype)
            rows.append({"check": name, "dtype": dtype, "difference": apart, "agrees": good})
            if apart is not None:
                print(f"{'✓' if good else '✗'} {name}, {dtype}: {apart:.1e}", flush=True)
    return rows


def referred(reference: Callable[[str], Any]) -> dict[str, Any]:
    """A check's arrays from this machine's CPU in float64."""
    with jax.default_device(jax.devices("cpu")[0]):
        return jax.tree.map(np.asarray, reference("float64"))


def compared_on(device: Any, run: Callable[[str], Any], dtype: str, true: Any) -> float:
    """How far the device's arrays are from those."""
    with jax.default_device(device):
        return difference(run(dtype), true)


# --- times ---


def widest() -> str:
    """The widest dtype that the device has of its own: a TPU emulates float64."""
    return "float32" if jax.devices()[0].platform == "tpu" else "float64"


def per_step(run: Callable[[int], Any], count: int, repeats: int) -> dict[str, float]:
    """Seconds of one iteration."""
    return summary(per_iteration({"run": run}, {"run": count}, repeats)["run"]["step"])


def image_size(quick: bool, repeats: int) -> dict[str, Any]:
    """Gradient descent on an image-size two-layer network against two passes over M."""
    n, k = (256, 1000) if quick else (4096, 10_000)
    key = jax.random.key(0)
    g = jd.TwoLayer(latent=10, width=k, out=n, key=key, dtype="float32")
    problem = jd.Problem(
        u=jd.on_sphere(10, key=key).astype(jnp.float32),
        operator=jd.operators.Identity((n,), dtype=jnp.dtype("float32")),
        loss=jd.losses.MSE(),
        y=jax.random.normal(key, (n,), jnp.float32),
    )
    method = jd.GradientDescent(jnp.asarray(1e-3, jnp.float32))
    taken = per_step(
        lambda count: jd.iterate(problem, method, g, count, every=count).loss, 50, repeats
    )
    rate = _ceilings.copy_rate("float32", 2**20 if quick else 2**28, 4, repeats)
    floor = 2 * 4 * n * k / rate
    return {"seconds": taken, "copy_rate": rate, "floor": floor, "ratio": taken["median"] / floor}


def bare(unroll: int, steps: int) -> Callable[[int], Any]:
    """A scan of the reduced step of one small trial; steps are rounded to the unrolling."""
    M, z0 = (jnp.asarray(host(shape, 7), jnp.float32) for shape in ((2, 1000), (1000,)))
    y = jnp.ones(2, jnp.float32)

    @partial(jax.jit, static_argnums=2)
    def run(M, z, count):
        def step(z, _):
            a = jax.nn.sigmoid(z)
            # Sums, not products: no dot to launch, no TF32.
            r = jnp.sum(M * a, axis=1) - y
            return z - 1e-3 * a * (1 - a) * jnp.sum(M * r[:, None], axis=0), None

        return jax.lax.scan(step, z, None, length=count, unroll=unroll)[0]

    return lambda times: run(M, z0, times * steps)


def launches(quick: bool, repeats: int, attempts: Attempts) -> dict[str, Any]:
    """Microseconds a step of one trial, by how the loop is run."""
    steps = STEPS[quick]
    problem, g = stated(5, 2, 1000, "float32")
    method = jd.GradientDescent(jnp.asarray(1e-3, jnp.float32))

    def iterated(times: int) -> Any:
        return jd.iterate(problem, method, g, times * steps, every=times * steps).loss

    def microseconds(make: Callable[[], Callable[[int], Any]]) -> dict[str, float]:
        taken = per_step(make(), 1, repeats)
        return {part: 1e6 * s / steps for part, s in taken.items()}

    runs = {
        "iterate": lambda: iterated,
        **{
            f"scan, unroll {n}": partial(bare, n, steps) for n in ((1, 16) if quick else (1, 4, 16))
        },
        "fused kernel": partial(endless, steps),
    }
    timings = {name: partial(microseconds, make) for name, make in runs.items()}
    if jax.devices()[0].platform == "tpu":
        print("command buffers are of GPUs: left out")
    else:
        timings["scan, command buffers"] = partial(buffered, quick)
    return attempts.results(timings, "launches")


def endless(steps: int) -> Callable[[int], Any]:
    """The fused kernel on one trial that no tolerance stops."""
    program, states = begun(1, 1000, "float32", 2**30)
    states = states._replace(
        fixed=states.fixed._replace(tolerance=jnp.full_like(states.fixed.tolerance, -1))
    )

    @partial(jax.jit, static_argnums=1)
    def fused(states: Any, count: int) -> Any:
        return fused_steps(program, states, count, interpret=interpreted()).loss

    return lambda times: fused(states, times * steps)


def buffered(quick: bool) -> dict[str, Any]:
    """The bare scan in a process of its own, with command buffers on.

    Raises:
        SystemExit: if that process fails.
    """
    flags = f"{os.environ.get('XLA_FLAGS', '')} {COMMAND_BUFFERS}".strip()
    # This process holds most of the card: the other takes what it needs instead of as much again.
    wanted = {"XLA_FLAGS": flags, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        return in_process("gpu", "--one", "scan", *["--quick"] * quick)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


#: Of a run whose launches are timed, quick or not.
STEPS = {True: 2048, False: 8192}
#: Of the trials of a sweep, quick or not: how many, k, and the steps they may take.
SWEPT = {True: (32, 100, 200), False: (4096, 1000, 20_000)}
SWEPT_TOLERANCE = 1e-8


def swept(quick: bool, *, fused: bool = False) -> dict[str, Any]:
    """Trials of the papers' experiment by `sweep`: in lanes of the loop, or in the fused kernel."""
    trials, k, steps = SWEPT[quick]
    grid = {"n": 5, "m": 2, "k": k, "steps": steps, "dtype": "float32"}
    grid["tolerance"] = SWEPT_TOLERANCE
    # Lanes are refilled; the kernel's trials are all launched at once.
    trial, lanes = (
        (FusedTwoLayerTrial(interpret=interpreted()), trials)
        if fused
        else (TwoLayerTrial(), min(256, trials))
    )

    def run() -> Any:
        options: dict[str, Any] = {"trials": trials, "key": jax.random.key(0), "block": trials}
        return sweep(trial, grid, lanes=lanes, **options).outcomes["steps"]

    first = timed(run)[1]
    outcome, again = timed(run)
    total = float(np.sum(np.asarray(outcome)))
    return {
        "trials": trials,
        "steps_in_all": total,
        "seconds_first": first,
        "seconds_again": again,
        "trial_steps_a_second": total / again,
    }


def two_loops(quick: bool, repeats: int) -> dict[str, Any]:
    """As many trials, the same for both, in lanes of the plain loop and in the fused kernel.

    Raises:
        ValueError: if the kernel's trials end at other steps.
    """
    trials, k, steps = SWEPT[quick]
    program, states = begun(trials, k, "float32", steps, SWEPT_TOLERANCE)
    fused = jax.jit(partial(fused_steps, program, steps=steps, interpret=interpreted()))
    loops = {"lanes": lambda: looped(program, states, steps), "fused": lambda: fused(states)}
    made = {name: np.asarray(loop().steps, float) for name, loop in loops.items()}
    # Rounding may move a few ends by a step.
    apart = float(np.mean(np.abs(made["lanes"] - made["fused"])))
    if apart > 0.01 * float(np.mean(made["lanes"])):
        raise ValueError(f"the fused kernel's trials end {apart:.3g} steps off in the mean")
    seconds = interleaved({name: lambda f=f: f().loss for name, f in loops.items()}, repeats)
    return {
        "seconds": {name: summary(taken) for name, taken in seconds.items()},
        "steps": {name: float(np.sum(count)) for name, count in made.items()},
    }


def solved(quick: bool, repeats: int, attempts: Attempts) -> dict[str, Any]:
    """Explicit and implicit solves of gradient flow."""
    key, dtype = jax.random.key(0), widest()
    n, k = (6, 100) if quick else (20, 1000)
    A = jd.operators.WithSpectrum.inverse_square(n, key, dtype=dtype)
    g = jd.TwoLayer(latent=10, width=k, out=n, key=key, dtype=dtype)
    u = jd.on_sphere(10, key=key, dtype=dtype)
    y = A(jax.random.normal(key, (n,), dtype))
    problem = jd.Problem(u=u, operator=A, loss=jd.losses.MSE(), y=y)
    ends = {"implicit": (1e2, 1e6)}
    if not quick:
        # The check above has compiled and run one.
        ends["explicit"] = (1e2, 1e3)

    def seconds(solver: Any, times: tuple[float, float]) -> dict[str, float]:
        ts = jnp.asarray(times, dtype)

        def run() -> Any:
            return jd.integrate(problem, jd.GradientFlow(), g, ts, solver=solver).loss

        return summary(interleaved({solver: run}, repeats)[solver])

    runs = {solver: partial(seconds, solver, times) for solver, times in ends.items()}
    return attempts.results(runs, "ODE") | {"dtype": dtype}


def decoder_step(quick: bool, repeats: int) -> dict[str, Any]:
    """A gradient of the deep decoder, and the fraction of the product ceiling."""
    side, channels, layers = (32, 16, 3) if quick else (512, 256, 5)
    g = jd.DeepDecoder(
        channels=channels,
        start=(side // 2 ** (layers - 1), side // 2 ** (layers - 1)),
        grid=(side, side),
        layers=layers,
        key=jax.random.key(0),
        sigmoid=True,
        dtype="float32",
    )
    u = g.latent(jax.random.key(1))
    theta, rest = eqx.partition(g, g.trainable())

    @jax.jit
    def gradient(theta):
        return jax.grad(lambda t: jnp.mean(eqx.combine(t, rest)(u) ** 2))(theta)

    taken = summary(interleaved({"step": lambda: gradient(theta)}, repeats)["step"])
    top = _ceilings.product_rate("float32", 2048 if quick else 8192, repeats)
    floor = decoder_count(g, jnp.dtype("float32").itemsize).products / top
    return {"seconds": taken, "floor": floor, "fraction": floor / taken["median"]}


def spectra(quick: bool, repeats: int) -> dict[str, Any]:
    """All singular values of J_g at image size."""
    n, k = (64, 500) if quick else (4096, 10_000)
    dtype = widest()
    g = jd.TwoLayer(latent=10, width=k, out=n, key=jax.random.key(0), dtype=dtype)
    problem = jd.Problem(
        u=jd.on_sphere(10, key=jax.random.key(1)).astype(dtype),
        operator=jd.operators.Identity((n,), dtype=jnp.dtype(dtype)),
        loss=jd.losses.MSE(),
        y=jnp.zeros(n, dtype),
    )
    runs = {"spectrum": lambda: jd.spectrum(problem, g, of="J").values}
    return summary(interleaved(runs, repeats)["spectrum"]) | {"dtype": dtype}


def times(quick: bool, attempts: Attempts) -> dict[str, Any]:
    """All of the times that could be taken."""
    repeats = 2 if quick else 7
    runs: dict[str, Callable[[], Any]] = {
        "image size": lambda: image_size(quick, repeats),
        "launches": lambda: launches(quick, repeats, attempts),
        "sweep": lambda: swept(quick),
        "sweep, fused": lambda: swept(quick, fused=True),
        "the same trials": lambda: two_loops(quick, repeats),
        "ODE": lambda: solved(quick, repeats, attempts),
        "decoder": lambda: decoder_step(quick, repeats),
        "spectra": lambda: spectra(quick, repeats),
    }
    found = {}
    for name, run in runs.items():
        one = attempts.result(name, run)
        if one is not None:
            found[name] = one
            print("\n".join(said(name, one)), flush=True)
    return found


def said(name: str, one: dict[str, Any]) -> list[str]:
    """What is printed of a time."""
    if name == "image size":
        return [
            f"image size: {1e3 * one['seconds']['median']:.3f} ms a step, two passes over M at "
            f"{one['copy_rate'] / 1e9:.0f} GB/s {1e3 * one['floor']:.3f} ms: {one['ratio']:.2f} "
            "times"
        ]
    if name == "launches":
        return [f"launches: {way}: {us['median']:.2f} us a step" for way, us in one.items()]
    return [f"{name}: {one}"]


def ratios(found: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, float]:
    """What the table shows, of what could be measured."""
    told = {"checks that agree / checks": sum(row["agrees"] for row in rows) / len(rows)}
    if "image size" in found:
        words = f"image size / two passes over M (target {TARGET})"
        told[words] = found["image size"]["ratio"]
    if "decoder" in found:
        told["decoder, fraction of the product ceiling"] = found["decoder"]["fraction"]
    if "the same trials" in found:
        seconds = found["the same trials"]["seconds"]
        told["the same trials in lanes / fused, seconds"] = (
            seconds["lanes"]["median"] / seconds["fused"]["median"]
        )
    if {"sweep", "sweep, fused"} <= set(found):
        told["sweep, trial-steps a second, fused / lanes"] = (
            found["sweep, fused"]["trial_steps_a_second"] / found["sweep"]["trial_steps_a_second"]
        )
    us = found.get("launches", {})
    if "iterate" in us:
        told |= {
            f"iterate / {name}, a step": us["iterate"]["median"] / us[name]["median"]
            for name in us
            if name != "iterate"
        }
    return told


def main():
    """Checks, then times; status 1 where the device disagrees or something fails."""
    parser = argparse.ArgumentParser(description="An accelerator: agreement and times.")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--one", choices=["scan"], help="microseconds a step of a bare scan")
    given = parser.parse_args()
    steps = STEPS[given.quick]
    if given.one:
        taken = per_step(bare(1, steps), 1, 2 if given.quick else 7)
        print(json.dumps({part: 1e6 * s / steps for part, s in taken.items()}))
        return
    device = jax.devices()[0]
    quick = given.quick or device.platform == "cpu"
    if device.platform == "cpu":
        print(
            "no accelerator: JAX sees the CPU only. Everything below runs there, in small sizes, "
            "to show that it runs; it says nothing about a GPU or TPU."
        )
    else:
        print(f"device: {device.platform}, {device.device_kind}")
    attempts = Attempts()
    rows = checked(device, attempts)
    found = times(quick, attempts)
    result = {
        "benchmark": "gpu",
        "accelerator": device.platform != "cpu",
        "ratios": ratios(found, rows),
        "checks": rows,
        "times": found,
        "failures": [failure._asdict() for failure in attempts.failures],
    }
    print(write("gpu", result, quick=quick))
    wrong = [
        f"the device disagrees with the CPU: {row['check']}, {row['dtype']}"
        for row in rows
        if row["difference"] is not None and not row["agrees"]
    ]
    wrong += [f"failed: {failure.name}" for failure in attempts.failures]
    if wrong:
        raise SystemExit("; ".join(wrong))


if __name__ == "__main__":
    main()
