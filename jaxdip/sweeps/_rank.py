"""Which share of a sweep this process has, from what its scheduler says in the environment."""

import dataclasses
import os
from collections.abc import Mapping

import jax

# A gang shuts down together: whoever is done first waits this long for the others, who may still
# have a day of work. A lost process is noticed by its heartbeat, not by this.
_SHUTDOWN_SECONDS = 7 * 24 * 3600


@dataclasses.dataclass(frozen=True)
class Rank:
    """A process among those that share a sweep.

    Attributes:
        index: which one it is, in 0, …, count − 1.
        count: how many there are.
        gang: whether they run at the same time and can find one another, so that `jax.distributed`
            can be started.
        where: who says so, in words.
    """

    index: int = 0
    count: int = 1
    gang: bool = False
    where: str = "alone"

    def __post_init__(self):
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"{self.where}: process {self.index} of {self.count}, expected an index from 0 "
                "below the count"
            )


def find_rank(environ: Mapping[str, str] | None = None) -> Rank:
    """The rank that the environment speaks of, without touching JAX.

    In this order: a Slurm job array, each process of each task a worker of its own; a Slurm step
    of several tasks; Open MPI; a TPU slice of several hosts; an indexed Kubernetes job, whose
    template sets JAXDIP_WORKERS to its number of completions; else one process alone.

    Args:
        environ: the environment variables; those of the process by default.

    Raises:
        ValueError: in one line, if the variables contradict each other.
    """
    found = os.environ if environ is None else environ
    for look in (_slurm_array, _slurm_step, _open_mpi, _tpu_pod, _kubernetes):
        rank = look(found)
        if rank is not None:
            return rank
    return Rank()


def start_distributed(rank: Rank, *, wanted: bool | None = None) -> tuple[int, int]:
    """Start `jax.distributed` for a gang; JAX must not have computed anything yet.

    JAX's notifier of pre-emption is left out: it swallows SIGTERM, with which a scheduler asks a
    sweep to stop.

    Args:
        rank: the rank found.
        wanted: start it (True) or not (False) whatever the rank says; a gang's only by default.

    Returns:
        The share of this process and the number of shares: JAX's process index and count, or the
        rank's own where `jax.distributed` is not started.

    Raises:
        RuntimeError: if it is wanted but JAX finds no gang to start it in.
    """
    if not (rank.gang if wanted is None else wanted):
        return rank.index, rank.count
    if not jax.distributed.is_initialized():
        jax.config.update("jax_enable_preemption_service", False)
        try:
            jax.distributed.initialize(shutdown_timeout_seconds=_SHUTDOWN_SECONDS)
        except ValueError as error:
            # JAX found no scheduler that it knows, or one that tells it too little.
            raise RuntimeError(
                f"jax.distributed cannot start here ({rank.where}): {error} Start the processes by "
                "srun, mpirun or on a TPU slice, set JAX_COORDINATOR_ADDRESS, or do without it"
            ) from error
    return jax.process_index(), jax.process_count()


def _slurm_array(environ: Mapping[str, str]) -> Rank | None:
    if "SLURM_ARRAY_TASK_ID" not in environ:
        return None
    task = _whole(environ, "SLURM_ARRAY_TASK_ID")
    count = _whole(environ, "SLURM_ARRAY_TASK_COUNT", least=1)
    first = _whole(environ, "SLURM_ARRAY_TASK_MIN", default=0)
    step = _whole(environ, "SLURM_ARRAY_TASK_STEP", default=1, least=1)
    last = _whole(environ, "SLURM_ARRAY_TASK_MAX", default=first + step * (count - 1))
    index, rest = divmod(task - first, step)
    if rest or not 0 <= index < count or last != first + step * (count - 1):
        raise ValueError(
            f"SLURM_ARRAY_TASK_ID={task}: {count} tasks from {first} to {last} in steps of {step} "
            f"are not evenly spaced; submit with --array=0-{count - 1}, or give --workers and "
            "--worker"
        )
    inner = _slurm_step(environ) or Rank()
    where = f"Slurm array task {task}"
    return Rank(index * inner.count + inner.index, count * inner.count, False, where)


def _slurm_step(environ: Mapping[str, str]) -> Rank | None:
    # The batch script and an salloc shell have SLURM_NTASKS too, but only srun starts tasks.
    if "SLURM_STEP_ID" not in environ or "SLURM_STEP_NODELIST" not in environ:
        return None
    count = _whole(environ, "SLURM_STEP_NUM_TASKS", default=1, least=1)
    if count == 1:
        return None
    told = _whole(environ, "SLURM_NTASKS", default=count)
    if told != count:
        raise ValueError(
            f"SLURM_NTASKS={told}, but this step has SLURM_STEP_NUM_TASKS={count} tasks; leave "
            "both to srun"
        )
    job = environ.get("SLURM_JOB_ID", "?")
    where = f"Slurm step {job}.{environ['SLURM_STEP_ID']}"
    return Rank(_whole(environ, "SLURM_PROCID"), count, True, where)


def _open_mpi(environ: Mapping[str, str]) -> Rank | None:
    if "OMPI_COMM_WORLD_RANK" not in environ:
        return None
    count = _whole(environ, "OMPI_COMM_WORLD_SIZE", least=1)
    # JAX reads the launcher's address from this; Open MPI 5 no longer tells it.
    gang = count > 1 and "OMPI_MCA_orte_hnp_uri" in environ
    return Rank(_whole(environ, "OMPI_COMM_WORLD_RANK"), count, gang, "Open MPI")


def _tpu_pod(environ: Mapping[str, str]) -> Rank | None:
    hosts = environ.get("TPU_PROCESS_ADDRESSES") or environ.get("TPU_WORKER_HOSTNAMES")
    if not hosts:
        return None
    each = len(hosts.split(","))
    slices = _whole(environ, "MEGASCALE_NUM_SLICES", default=1, least=1)
    if each * slices == 1:
        return None
    slice_index = _whole(environ, "MEGASCALE_SLICE_ID", default=0)
    worker = _whole(environ, "TPU_WORKER_ID")
    if worker >= each:
        raise ValueError(f"TPU_WORKER_ID={worker}: expected less than {each}, the number of hosts")
    return Rank(slice_index * each + worker, slices * each, True, "TPU slice")


def _kubernetes(environ: Mapping[str, str]) -> Rank | None:
    if "JOB_COMPLETION_INDEX" not in environ:
        return None
    count = _whole(environ, "JAXDIP_WORKERS", least=1)
    return Rank(_whole(environ, "JOB_COMPLETION_INDEX"), count, False, "Kubernetes job")


def _whole(
    environ: Mapping[str, str], name: str, *, default: int | None = None, least: int = 0
) -> int:
    text = environ.get(name)
    if text is None:
        if default is None:
            raise ValueError(f"{name} is not set, but other variables of this scheduler are")
        return default
    number = int(text) if text.isascii() and text.isdigit() else -1
    if number < least:
        raise ValueError(f"{name}={text!r}: expected a whole number, at least {least}")
    return number
