"""`jaxdip recover`: recover an image from a simulated or a given measurement."""

import dataclasses
from collections.abc import Set
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import tyro

import jaxdip as jd
from jaxdip._types import Array
from jaxdip.cli._architecture import Architecture
from jaxdip.cli._certificates import certificates
from jaxdip.cli._fit import HELD_OUT, Fit
from jaxdip.cli._fit_report import FitRecovery, all_failed, fit_text, write_fit
from jaxdip.cli._fit_run import FitProblem, Recipe, run_fit
from jaxdip.cli._forward import IMAGES, Forward, linear, require
from jaxdip.cli._images import load_image, prepare, working_shape
from jaxdip.cli._memory import check_network, check_resampling
from jaxdip.cli._network import DYNAMICS, Damping, Network, dynamics_names
from jaxdip.cli._outputs import check_folder, make_folder
from jaxdip.cli._parse import flat_fields
from jaxdip.cli._recovery import Recovery, report_text, write_measurement, write_recovery
from jaxdip.cli._runs import Plan, run_dynamics
from jaxdip.cli._runtime import (
    INTERRUPTED,
    Machine,
    UsageError,
    catch_interrupt,
    device_name,
    version_line,
)
from jaxdip.imaging import Image, image_names
from jaxdip.reconstruction import tile_shape

#: Options of one of the two ways only.
_OF_DYNAMICS = frozenset({"--dynamics", "--step-size", "--certify", "--peak"})
#: Options of inertial dynamics, one of which is an optimiser too.
_OF_INERTIA = frozenset({"--alpha", "--beta"})
_OF_FIT = frozenset(
    {
        *("--rate", "--stop", "--act", "--patience", "--seeds", "--average", "--jitter", "--clip"),
        *("--tv", "--weight-decay", "--tile", "--overlap", "--vectors", "--resume", "--layers"),
        *("--channels", "--start"),
    }
)


@dataclasses.dataclass(frozen=True)
class Recover:
    """Recover an image by fitting an untrained network to its measurement.

    Two ways. By default the two-layer network follows --dynamics, flows and descents on one clock,
    for their comparison. With --optimizer, or another --generator, one run is watched by stopping
    rules side by side.

    Writes recovered.* (at the stop, or else the last iterate; the input's format and depth), the
    other images of the run, report.png and .pdf, result.zarr and summary.json; with --optimizer
    also curves.png and .pdf, and a checkpoint for --resume.
    """

    image: tyro.conf.Positional[str] = ""
    """A file (PNG, JPEG, TIFF, NPY), or camera, astronaut, coins, mri, phantom, …"""
    forward: Forward = dataclasses.field(default_factory=Forward)
    network: Network = dataclasses.field(default_factory=Network)
    architecture: Architecture = dataclasses.field(default_factory=Architecture)
    fit: Fit = dataclasses.field(default_factory=Fit)
    dynamics: str = "gd,igahd"
    """Which dynamics, separated by commas: gf, gd, isehd, igahd."""
    steps: int = 1200
    """Number N of steps of the optimiser, or of gradient descent. All dynamics share one clock and
    run to its time T = N γ: IGAHD takes T/√s steps of √s, usually far fewer."""
    step_size: float | None = None
    """γ of gd and s of igahd; by default 1/L with L estimated on the problem."""
    damping: Damping = dataclasses.field(default_factory=Damping)
    records: int = 48
    """How often at most a trajectory is recorded, more often early than late. A flow and its
    discrete counterpart are recorded at the same times."""
    tau: float = 1.0
    """The discrepancy principle stops at a residual of τ · noise · √m, τ > 0."""
    size: int = 64
    """The shorter side in pixels; 0 keeps the image's own size."""
    gray: bool = False
    """Turn a colour image gray."""
    certify: bool = False
    """Also apply the convergence theorems to the start, and watch how much of their ball the run
    uses. Costs a spectrum of the network's Jacobian: seconds at 32 pixels, a minute at 64."""
    peak: float = 255.0
    """Working units of --dynamics: the value of white. The start, of order 1, is then nearly
    black. With --optimizer white is 1."""
    observed: bool = False
    """IMAGE is the measurement itself, of --size: a blurred or noisy image, one with holes (by
    --mask), or with super-resolution the coarse one. Nothing is simulated, no truth is known."""
    out: Path = Path("recovered")
    """The folder to write to."""
    config: Path | None = None
    """A TOML file of options, one key per flag; the command line wins."""
    machine: Machine = dataclasses.field(default_factory=Machine)

    def check(self, given: Set[str] = frozenset()) -> None:
        """Refuse options outside their ranges, naming the flag."""
        if not self.image:
            raise UsageError("no IMAGE given: a file, or one of " + ", ".join(image_names()))
        self.forward.check()
        self.network.check()
        self.fit.check()
        self._check_way(given)
        self.architecture.check(given if self._fits else frozenset())
        self.forward.check_options(given)
        self.damping.check()
        names = dynamics_names(self.dynamics, DYNAMICS)
        require(self.steps >= 1, "--steps", self.steps, "at least 1")
        require(self.records >= 1, "--records", self.records, "at least 1")
        require(self.size >= 0, "--size", self.size, "at least 0")
        if self.step_size is not None:
            require(0 < self.step_size < np.inf, "--step-size", self.step_size, "> 0 and finite")
            if "igahd" in names:
                self.damping.check_step(self.step_size)
        require(0 < self.tau < np.inf, "--tau", self.tau, "> 0 and finite")
        require(0 < self.peak < np.inf, "--peak", self.peak, "> 0 and finite")
        if self.observed and self.forward.operator not in IMAGES:
            raise UsageError(
                f"--observed with --operator {self.forward.operator}: a measurement that is itself "
                f"an image needs --operator {', '.join(IMAGES)}"
            )
        if self.observed and self.forward.operator == "mask" and self.forward.mask is None:
            raise UsageError(
                "--observed --operator mask needs --mask FILE, which says what was measured"
            )

    @property
    def _fits(self) -> bool:
        """Whether an optimiser recovers, instead of dynamics that are compared."""
        return self.fit.optimizer is not None or self.architecture.generator != "two-layer"

    def _check_way(self, given: Set[str]) -> None:
        """Refuse options of the way that was not taken."""
        taken, other = ("--optimizer", _OF_DYNAMICS) if self._fits else ("--dynamics", _OF_FIT)
        if self._fits and self.fit.optimizer != "igahd":
            other = other | _OF_INERTIA
        wrong = sorted(given & other)
        if wrong:
            raise UsageError(
                f"{wrong[0]} says nothing with {taken}; leave it out, or "
                + ("leave --optimizer and --generator out" if self._fits else "add --optimizer")
            )
        if self.fit.optimizer == "lm" and self.network.loss != "mse":
            raise UsageError(
                f"--loss {self.network.loss} says nothing with --optimizer lm, which is for mse; "
                "take --optimizer lbfgs, adam or gd"
            )
        if self.fit.optimizer == "igahd" and self.fit.rate is not None:
            self.damping.check_step(self.fit.rate, "--rate")

    def run(self) -> int:
        """Recover, write and print; the exit status."""
        image = load_image(self.image)
        check_folder(self.out)
        self._check_memory(image)
        if self._fits:
            return self._run_fit(image)
        with catch_interrupt() as interrupt:
            problem, generator, truth = self._measure(image)
            plan = None if interrupt.asked else self._plan(problem, generator, truth)
            make_folder(self.out)
            runs = []
            for name in dynamics_names(self.dynamics):
                if plan is not None and not interrupt.asked:
                    runs.append(run_dynamics(name, plan, interrupt))
            if plan is None or not runs:
                config = flat_fields(self)
                write_measurement(image, problem, truth, self.peak, config, self.out)
                print(f"interrupted before any dynamics ran; measurement written to {self.out}/")
                return INTERRUPTED
            recovery = Recovery(
                image=image,
                truth=truth,
                plan=plan,
                runs=tuple(runs),
                peak=self.peak,
                caption=self._caption(plan),
                config=flat_fields(self),
                interrupted=interrupt.asked,
            )
            write_recovery(recovery, self.out)
        print(report_text(recovery, self.out))
        return INTERRUPTED if recovery.interrupted else self._failures(recovery)

    def _check_memory(self, image: Image) -> None:
        """Refuse sizes that the machine cannot hold, by shapes alone: nothing is made yet."""
        shape = working_shape(image, self.size, self.gray)
        check_resampling(image.pixels.shape, shape)
        shape = self._signal_shape(shape)
        part = tile_shape(shape, self.fit.tile) if self.fit.tile else shape
        build, key = self.architecture.build, jax.random.key(0)
        check_network(eqx.filter_eval_shape(build, part, self.network, key), part)

    def _run_fit(self, image: Image) -> int:
        """Recover by an optimiser."""
        recipe = Recipe(
            self.fit, self.architecture, self.network, self.damping, self.steps, self.records,
            self.tau, self.machine.seed,
        )  # fmt: skip
        with catch_interrupt() as interrupt:
            problem = self._observe(image)
            run = run_fit(problem, recipe, self.out, interrupt)
            recovery = FitRecovery(
                image=image,
                problem=problem,
                recipe=recipe,
                run=run,
                caption=self._fit_caption(recipe, problem),
                config=flat_fields(self),
            )
            write_fit(recovery, self.out)
        print(fit_text(recovery, self.out))
        if run.interrupted:
            return INTERRUPTED
        if all_failed(recovery):
            raise RuntimeError("every run diverged; take a smaller --rate, or check the data")
        return 0

    def _observe(self, image: Image) -> FitProblem:
        """The data, in units of white."""
        key = jax.random.key(self.machine.seed)
        pixels = prepare(image, self.size, self.gray)
        shape = self._signal_shape(pixels.shape)
        operator = self.forward.build(shape, jd.key_for(key, "operator"))
        noise = self.forward.noise
        if self.observed:
            return FitProblem(operator, self._given(operator, pixels), None, noise)
        y = jd.measure(operator, pixels, noise=noise, key=jd.key_for(key, "noise")).y
        return FitProblem(operator, y, pixels, noise)

    def _signal_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of the image that is to be recovered, from that of the image that was given."""
        if not self.observed or self.forward.operator != "super-resolution":
            return shape
        return (*(self.forward.factor * side for side in shape[:2]), *shape[2:])

    def _given(self, operator: jd.operators.AbstractOperator, pixels: Array) -> Array:
        """The data of a measurement that is an image: of one with holes, what is around them."""
        return operator(pixels) if self.forward.operator == "mask" else pixels

    def _fit_caption(self, recipe: Recipe, problem: FitProblem) -> str:
        fit = self.fit
        extras = [
            f"{name} {value:g}"
            for name, value in (
                ("TV", fit.tv), ("weight decay", fit.weight_decay), ("jitter", fit.jitter),
                ("gradient clipped at", fit.clip or 0.0),
            )
            if value
        ]  # fmt: skip
        held = f" {HELD_OUT:.0%} of the data held out of the fit." if fit.holds_out else ""
        tiles = f" Tiles of {fit.tile} pixels, {fit.overlap} shared." if fit.tile else ""
        seeds = f"Seed {self.machine.seed}" + (f", {fit.seeds} starts" if fit.seeds > 1 else "")
        given = "Measurement given; its noise taken as" if self.observed else "Noise: Gaussian,"
        return (
            f"Operator: {self.forward.describe(problem.operator.in_structure.shape)}. {given} std "
            f"{problem.noise:g} of white. {self.architecture.describe(self.network)}; "
            f"{', '.join([recipe.optimizer, *extras])}, at most {self.steps} steps.{held}{tiles} "
            f"{seeds}, {self.machine.precision}, {device_name()}. {version_line()}."
        )

    def _measure(self, image: Image) -> tuple[jd.Problem, jd.TwoLayer, Array | None]:
        """The problem, the network at its start, and the true image where it is known."""
        key = jax.random.key(self.machine.seed)
        pixels = self.peak * prepare(image, self.size, self.gray)
        shape = self._signal_shape(pixels.shape)
        operator = linear(self.forward, shape, jd.key_for(key, "operator"))
        if not jnp.any(pixels > 0):
            raise UsageError(f"{image.source}: black everywhere; expected an image to recover")
        generator, u = self.network.build(shape, key)
        y, truth = self._given(operator, pixels), None
        if not self.observed:
            noise = self.forward.noise * self.peak
            y = jd.measure(operator, pixels, noise=noise, key=jd.key_for(key, "noise")).y
            truth = pixels
        problem = jd.Problem(u=u, operator=operator, loss=self.network.build_loss(), y=y)
        return problem, generator, truth

    def _plan(self, problem: jd.Problem, generator: jd.TwoLayer, truth: Array | None) -> Plan:
        step_size = self.step_size
        if step_size is None:
            bound = eqx.filter_jit(jd.gradient_lipschitz)(problem, generator)
            step_size = 1 / float(bound.value)
        if "igahd" in dynamics_names(self.dynamics):
            self.damping.check_step(step_size)
        alpha, beta = self.damping.numbers(problem, generator, step_size)
        plan = Plan(
            problem=problem,
            generator=generator,
            x_true=truth,
            step_size=step_size,
            steps=self.steps,
            records=self.records,
            alpha=alpha,
            beta=beta,
            threshold=self.tau * self.forward.noise * self.peak * problem.y.size**0.5,
        )
        if not self.certify:
            return plan
        found = certificates(dynamics_names(self.dynamics), plan)
        for certificate in found.values():
            print(f"{certificate}\n")
        return dataclasses.replace(plan, certificates=found)

    def _caption(self, plan: Plan) -> str:
        inertia = any(name in self.dynamics for name in ("isehd", "igahd"))
        damping = f", α = {plan.alpha:.3g}, β = {plan.beta:.3g}" if inertia else ""
        shape = plan.problem.operator.in_structure.shape
        given = "Measurement given; its noise taken as" if self.observed else "Noise: Gaussian,"
        return (
            f"Operator: {self.forward.describe(shape)}. {given} std {self.forward.noise:g} of "
            f"white. {self.network.describe()}. Horizon {plan.horizon:.3g}, {self.steps} "
            f"steps of gradient descent; γ = s = {plan.step_size:.3g}{damping}; "
            f"white = {self.peak:g}. Seed {self.machine.seed}, {self.machine.precision}, "
            f"{device_name()}."
        )

    def _failures(self, recovery: Recovery) -> int:
        failed = [run for run in recovery.runs if run.failed]
        if not failed:
            return 0
        raise RuntimeError(
            "; ".join(f"{run.dynamics}: {jd.RESULTS[run.solution.result]}" for run in failed)
        )
