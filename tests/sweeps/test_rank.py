"""A process finds its share in what each scheduler sets, and refuses what cannot be."""

import os
import pathlib
import signal
import socket
import subprocess
import sys

import jax
import pytest

from jaxdip.sweeps._rank import Rank, find_rank, start_distributed

SWEEPS = str(pathlib.Path(find_rank.__code__.co_filename).parent)
STEP = {
    "SLURM_JOB_ID": "12",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "n[1-2]",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
}
ARRAY = {
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_ARRAY_TASK_MIN": "1",
    "SLURM_ARRAY_TASK_MAX": "10",
    "SLURM_ARRAY_TASK_STEP": "3",
    "SLURM_ARRAY_TASK_COUNT": "4",
}
MPI = {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "3"}
TPU = {"TPU_WORKER_ID": "1", "TPU_WORKER_HOSTNAMES": "a,b"}
POD = {"JOB_COMPLETION_INDEX": "5", "JAXDIP_WORKERS": "8"}
# What Slurm sets in the batch script itself, where no task has been started yet.
SCRIPT = {"SLURM_JOB_ID": "12", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, (0, 1, False)),
        (STEP, (3, 4, True)),
        ({**STEP, "SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "1"}, (0, 1, False)),
        (SCRIPT, (0, 1, False)),
        (ARRAY, (2, 4, False)),
        ({"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "2", **SCRIPT}, (0, 2, False)),
        # Each process of each task of an array is a worker of its own.
        ({**ARRAY, **STEP}, (11, 16, False)),
        (MPI, (2, 3, False)),
        ({**MPI, "OMPI_MCA_orte_hnp_uri": "1.0;tcp://1.2.3.4:5"}, (2, 3, True)),
        (TPU, (1, 2, True)),
        ({**TPU, "MEGASCALE_NUM_SLICES": "3", "MEGASCALE_SLICE_ID": "2"}, (5, 6, True)),
        # A pod on a TPU of one host has a share of the job, not of the TPU.
        ({**POD, "TPU_WORKER_ID": "0", "TPU_WORKER_HOSTNAMES": "localhost"}, (5, 8, False)),
        (POD, (5, 8, False)),
    ],
)
def test_the_rank_of_each_scheduler(environ, expected):
    rank = find_rank(environ)
    assert (rank.index, rank.count, rank.gang) == expected
    assert rank.where


def test_an_array_is_shared_out_without_gaps():
    tasks = [{**ARRAY, "SLURM_ARRAY_TASK_ID": str(task)} for task in (1, 4, 7, 10)]
    assert [find_rank(task).index for task in tasks] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({**STEP, "SLURM_PROCID": "4"}, "Slurm step 12.0: process 4 of 4"),
        ({**STEP, "SLURM_PROCID": "x"}, "SLURM_PROCID='x': expected a whole number"),
        ({**STEP, "SLURM_NTASKS": "8"}, "SLURM_NTASKS=8, but this step has"),
        ({**ARRAY, "SLURM_ARRAY_TASK_ID": "8"}, "not evenly spaced; submit with --array=0-3"),
        ({**ARRAY, "SLURM_ARRAY_TASK_MAX": "17"}, "not evenly spaced"),
        ({**ARRAY, "SLURM_ARRAY_TASK_ID": "13"}, "not evenly spaced"),
        ({**ARRAY, "SLURM_ARRAY_TASK_STEP": "0"}, "SLURM_ARRAY_TASK_STEP='0': expected"),
        ({"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_COUNT is not set"),
        ({"OMPI_COMM_WORLD_RANK": "1"}, "OMPI_COMM_WORLD_SIZE is not set"),
        ({**MPI, "OMPI_COMM_WORLD_RANK": "3"}, "Open MPI: process 3 of 3"),
        ({**MPI, "OMPI_COMM_WORLD_RANK": "-1"}, "OMPI_COMM_WORLD_RANK='-1'"),
        ({**TPU, "TPU_WORKER_ID": "2"}, "TPU_WORKER_ID=2: expected less than 2"),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, "TPU_WORKER_ID is not set"),
        ({"JOB_COMPLETION_INDEX": "1"}, "JAXDIP_WORKERS is not set"),
        ({**POD, "JAXDIP_WORKERS": "5"}, "Kubernetes job: process 5 of 5"),
        ({**POD, "JAXDIP_WORKERS": "²"}, "JAXDIP_WORKERS='²'"),
    ],
)
def test_nonsense_is_refused_in_one_line(environ, says):
    with pytest.raises(ValueError, match=r"expected|not set|evenly|leave") as refused:
        find_rank(environ)
    assert says in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_without_a_gang_jax_is_not_started():
    assert start_distributed(Rank(2, 5)) == (2, 5)
    assert start_distributed(Rank(2, 5, gang=True), wanted=False) == (2, 5)


# Two processes that JAX finds by Slurm's variables; each must still hear SIGTERM. The module alone,
# for importing the whole toolkit takes longer than all else here.
GANG = """
import os, signal, sys
from _rank import find_rank, start_distributed
heard, wakes = os.pipe()
os.set_blocking(wakes, False)
signal.set_wakeup_fd(wakes)
signal.signal(signal.SIGTERM, lambda number, frame: None)
print(*start_distributed(find_rank()), flush=True)
# Unlike a pause, this misses no signal, whenever and in whichever thread it comes.
os.read(heard, 1)
sys.exit(75)
"""


def _start(code, **environ):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "JAX_"))}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**kept, "JAX_PLATFORMS": "cpu", "PYTHONPATH": SWEEPS, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_gang_starts_and_hears_sigterm():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    slurm = {**STEP, "SLURM_STEP_NODELIST": "localhost", "SLURM_LOCALID": "0"}
    slurm |= {"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "JAX_COORDINATOR_PORT": port}
    gang = [_start(GANG, **{**slurm, "SLURM_PROCID": str(index)}) for index in range(2)]
    try:
        lines = []
        for process in gang:
            assert process.stdout is not None
            lines.append(process.stdout.readline().strip())
        assert lines == ["0 2", "1 2"]
        for process in gang:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(timeout=60) for process in gang] == [75, 75]
    finally:
        for process in gang:
            process.kill()
            process.communicate()


def test_no_gang_to_start_is_one_line(monkeypatch):
    def initialize(**options):
        # JAX's own words where it finds no scheduler.
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    before = jax.config.jax_enable_preemption_service
    with pytest.raises(RuntimeError, match=r"cannot start here \(alone\)") as refused:
        start_distributed(Rank(), wanted=True)
    jax.config.update("jax_enable_preemption_service", before)
    assert len(str(refused.value).splitlines()) == 1
