"""Running one dynamics on an image problem, and what is kept of it."""

import dataclasses
import time
from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import jaxdip as jd
from jaxdip._types import Array
from jaxdip.cli._records import crossing_time, record_steps
from jaxdip.cli._result_name import result_name
from jaxdip.cli._runtime import Interrupt, progress_bar
from jaxdip.dynamics import AbstractDescent, AbstractFlow
from jaxdip.theory import BallUsed, Certificate

#: The flow of each discrete dynamics.
FLOW_OF = {"gd": "gf", "igahd": "isehd"}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all dynamics of one command share.

    Attributes:
        problem: the problem.
        generator: the network at its start.
        x_true: the true image in working units, or None.
        step_size: γ of gradient descent and s of IGAHD.
        steps: the number of steps of gradient descent; their time is everyone's horizon.
        records: about how often a trajectory is recorded.
        alpha: α of ISEHD and IGAHD.
        beta: β of ISEHD and IGAHD.
        threshold: the residual norm at which the discrepancy principle stops; 0 for never.
        certificates: of the dynamics at the start, by name, where they were asked for.
    """

    problem: jd.Problem
    generator: jd.TwoLayer
    x_true: Array | None
    step_size: float
    steps: int
    records: int
    alpha: float
    beta: float
    threshold: float
    certificates: Mapping[str, Certificate] = dataclasses.field(default_factory=dict)

    def dynamics(self, name: str) -> AbstractFlow | AbstractDescent:
        """The dynamics of a name."""
        made = {
            "gf": lambda: jd.GradientFlow(),
            "gd": lambda: jd.GradientDescent(self.step_size),
            "isehd": lambda: jd.ISEHD(self.alpha, self.beta),
            "igahd": lambda: jd.IGAHD(self.step_size, self.alpha, self.beta),
        }
        return made[name]()

    @property
    def horizon(self) -> float:
        """The final time of every dynamics."""
        return self.step_size * self.steps

    def time_step(self, name: str) -> float:
        """The clock's advance in a step of a discrete dynamics: γ, or √s."""
        return self.step_size if name in ("gf", "gd") else self.step_size**0.5

    def record_steps(self, name: str) -> list[int]:
        """The steps recorded of a discrete dynamics; its flow is recorded at their times."""
        return record_steps(max(1, round(self.horizon / self.time_step(name))), self.records)


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """The trajectory of one dynamics, up to its last finite record.

    Attributes:
        dynamics: 'gf', 'gd', 'isehd' or 'igahd'.
        solution: what the driver returned, without its network.
        time, loss, residual: along the records, (T,).
        error: ‖x − x̄‖ along the records, or None where x̄ is unknown.
        images: x along the records, (T, …).
        ball: ‖θ − θ0‖/R along the records where the dynamics was certified, or None.
        reason: how the run ended, the name of a result code or 'interrupted'.
        failed: whether that is a failure.
        seconds: wall time, compilation included.
        stop: the first record at which the discrepancy principle holds, or None.
        crossing: when the residual reached the discrepancy threshold, interpolated between that
            record and the one before, or None.
    """

    dynamics: str
    solution: jd.Solution
    time: np.ndarray
    loss: np.ndarray
    residual: np.ndarray
    error: np.ndarray | None
    images: np.ndarray
    ball: np.ndarray | None
    reason: str
    failed: bool
    seconds: float
    stop: int | None
    crossing: float | None

    @property
    def best(self) -> int | None:
        """The record nearest to the true image."""
        return None if self.error is None else int(np.argmin(self.error))

    @property
    def chosen(self) -> int:
        """The record taken as the recovery: the discrepancy principle's, or else the last."""
        return len(self.time) - 1 if self.stop is None else self.stop


def run_dynamics(name: str, plan: Plan, interrupt: Interrupt) -> Run:
    """Run one dynamics, with a progress bar, until its end or an interrupt."""
    observe = {"residual": jd.observables.ResidualNorm(), "image": jd.observables.Signal()}
    if plan.x_true is not None:
        observe["error"] = jd.observables.SignalError(plan.x_true)
    if name in plan.certificates and bool(plan.certificates[name].applicable):
        observe["ball"] = BallUsed(plan.certificates[name].numbers["R"].value)
    begin = time.perf_counter()
    with progress_bar(name, len(plan.record_steps(name))) as bar:

        def watch(progress: jd.Progress) -> bool:
            bar.update(progress.done - bar.n)
            bar.set_postfix(loss=f"{float(progress.observed['loss']):.3g}", refresh=False)
            return interrupt.asked

        solution = _solve(name, plan, observe, watch)
    return _to_run(name, plan, solution, interrupt, time.perf_counter() - begin)


def relative_gap(flow: Run, steps: Run, scale: float) -> float:
    """max over common records of ‖x_flow − x_steps‖ / scale."""
    return jd.gap(flow.solution, steps.solution).sup["image"] / scale


def _solve(name: str, plan: Plan, observe, watch) -> jd.Solution:
    problem, generator, steps = plan.problem, plan.generator, plan.record_steps(name)
    dynamics = plan.dynamics(name)
    if isinstance(dynamics, AbstractDescent):
        return jd.iterate(
            problem, dynamics, generator, steps[-1], at=steps, observe=observe, watch=watch
        )
    ts = jnp.asarray([plan.time_step(name) * step for step in steps])
    return jd.integrate(problem, dynamics, generator, ts, observe=observe, watch=watch)


def _to_run(name: str, plan: Plan, solution: jd.Solution, interrupt: Interrupt, seconds: float):
    observed = {key: np.asarray(rows) for key, rows in solution.observed.items()}
    finite = np.isfinite(observed["loss"])
    # Records up to the first that is not finite; the first record always is kept.
    count = max(1, int(np.argmin(finite)) if not finite.all() else len(finite))
    observed = {key: rows[:count] for key, rows in observed.items()}
    reason = result_name(solution.result)
    ts, residual = np.asarray(solution.ts)[:count], observed["residual"]
    below = np.flatnonzero(residual <= plan.threshold) if plan.threshold else []
    stop = int(below[0]) if len(below) else None
    return Run(
        dynamics=name,
        # The network is the largest thing here and is not written.
        solution=eqx.tree_at(
            lambda s: s.generator, solution, None, is_leaf=lambda x: x is solution.generator
        ),
        time=ts,
        loss=observed["loss"],
        residual=residual,
        error=observed.get("error"),
        images=observed["image"],
        ball=observed.get("ball"),
        reason="interrupted" if reason == "stopped" and interrupt.asked else reason,
        failed=reason in ("out_of_steps", "diverged", "solver_failed"),
        seconds=seconds,
        stop=stop,
        crossing=None if stop is None else crossing_time(ts, residual, stop, plan.threshold),
    )
