"""`jaxdip batch`: a script that runs a sweep on a cluster, to read and to submit."""

import dataclasses
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Literal

import tyro

from jaxdip.cli._forward import require
from jaxdip.cli._runtime import Machine, UsageError
from jaxdip.cli._signals import CONTINUE
from jaxdip.cli._sweep_config import read_sweep

_SLURM = {"cpus", "time", "partition", "account", "gpus", "memory", "notice"}
#: The flags that mean something to each target; --out, --name and --program do to all.
_FLAGS = {
    "slurm": _SLURM | {"nodes", "tasks_per_node"},
    "slurm-array": _SLURM | {"array"},
    "tpu": {"zone", "project", "accelerator", "runtime", "spot", "nfs", "install"},
    "gke": {"array", "cpus", "gpus", "memory", "image", "storage", "storage_class"}
    | {"accelerator", "topology", "chips"},
}
#: The exit status of a process that the runtime aborted, which it does where another is lost.
ABORTED = 134
#: So often a job is started again for that: what aborts every time is no lost process.
_RESTARTS = 20
_LOST = """ || {{
  # A process was lost, and the runtime aborted the others.
  [ "$status" -eq {status} ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {most} ]
}}"""
#: Seconds from SIGTERM to SIGKILL in a pod, and those that a process needs to end in.
_GKE_NOTICE, _LEAVING = 120, 30
_TIME = re.compile(r"\d+(:\d\d?){0,2}|\d+-\d+(:\d\d?){0,2}")
_MEMORY = re.compile(r"\d+[KMGT]?")
_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,48}[a-z0-9])?")
_NFS = re.compile(r"[^:\s]+:/\S*")


@dataclasses.dataclass(frozen=True)
class Batch:
    """Print a script that runs `jaxdip sweep` on a cluster, and starts it again until it is done.

    slurm: one allocation whose processes find one another; slurm-array: tasks that know nothing
    of each other, for pre-emptible nodes; tpu: a queued TPU slice by gcloud, to be run from your
    own machine; gke: an indexed Kubernetes job, for kubectl apply -f.
    """

    target: tyro.conf.Positional[Literal["slurm", "slurm-array", "tpu", "gke"]]
    """For which scheduler."""
    config: tyro.conf.Positional[Path]
    """The sweep's TOML file."""
    out: Path
    """The folder of the results, which every process must see."""
    name: str = "jaxdip-sweep"
    """The job's name."""
    program: str = ""
    """How jaxdip is called there: under Slurm by this Python, on a TPU's hosts by the Python of
    --install, in a container as jaxdip."""
    nodes: int = 1
    """slurm: how many nodes."""
    tasks_per_node: int | None = None
    """slurm: processes a node; one a GPU, or one, by default."""
    array: int = 4
    """slurm-array, gke: how many workers."""
    cpus: int | None = None
    """Cores of each process; the cluster's default if not given."""
    gpus: int = 0
    """GPUs of each node (slurm) or worker (slurm-array, gke)."""
    memory: str | None = None
    """Of each node (slurm) or worker, such as 16G."""
    time: str | None = None
    """Slurm: the time limit, as minutes, H:MM:SS or D-H; the sweep goes on in a new run."""
    notice: int = 120
    """Slurm: seconds before the time limit at which the sweep is asked to stop."""
    partition: str | None = None
    """Slurm: the partition."""
    account: str | None = None
    """Slurm: the account."""
    zone: str | None = None
    """tpu: the zone, such as europe-west4-b."""
    project: str | None = None
    """tpu: the Google Cloud project; gcloud's default if not given."""
    accelerator: str | None = None
    """The TPU: for tpu a slice such as v5litepod-16, for gke a single host's, such as
    tpu-v5-lite-podslice."""
    runtime: str = "v2-alpha-tpuv5-lite"
    """tpu: the runtime version."""
    spot: bool = False
    """tpu: a pre-emptible slice; the script asks for another when it is taken away."""
    nfs: str | None = None
    """tpu: SERVER:/SHARE, mounted at DIR on every host."""
    install: str = (
        "python3 -m pip install --user uv && python3 -m uv venv --allow-existing --python 3.12 "
        "jaxdip && python3 -m uv pip install --python jaxdip/bin/python 'jax[tpu]' jaxdip"
    )
    """tpu: the command that installs jaxdip on every host."""
    image: str | None = None
    """gke: the container image, with jaxdip in it."""
    topology: str | None = None
    """gke: the TPU's topology, such as 2x2."""
    chips: int | None = None
    """gke: TPU chips of a worker, all of its host's."""
    storage: str = "1Ti"
    """gke: the size of the volume for DIR; Filestore starts at 1Ti."""
    storage_class: str = "standard-rwx"
    """gke: its class, which must allow ReadWriteMany."""
    precision: Literal["float64", "float32"] | None = None
    """Floating-point precision of the sweep; by default float64, on TPUs float32."""
    allow_mixed: bool = False
    """Go on in a folder that was begun with another release or kind of device; recorded."""
    cache: Path | None = None
    """Where the sweep keeps compiled programs, there; a folder that outlives the job helps."""

    @property
    def machine(self) -> Machine:
        """The sweep's precision, for its file to be checked; nothing else is computed here."""
        return Machine(precision=self._precision() or "float64", platform="cpu")

    def _precision(self) -> Literal["float64", "float32"] | None:
        on_tpus = self.target == "tpu" or (self.target == "gke" and self.accelerator is not None)
        return "float32" if on_tpus else self.precision

    def check(self, given: Set[str] = frozenset()) -> None:
        """Refuse options that are out of range, or without effect for the target."""
        known = {flag.replace("_", "-"): flag for flags in _FLAGS.values() for flag in flags}
        for flag, field in known.items():
            if f"--{flag}" in given and field not in _FLAGS[self.target]:
                takers = ", ".join(name for name, flags in _FLAGS.items() if field in flags)
                raise UsageError(f"--{flag}: without effect for {self.target}, only for {takers}")
        for field in dataclasses.fields(self):
            value = str(getattr(self, field.name))
            printable = value.isprintable() and value != ""
            flag = f"--{field.name.replace('_', '-')}"
            require(printable or field.name == "program", flag, repr(value), "printable text")
        for flag, value in (("--nodes", self.nodes), ("--array", self.array)):
            require(value >= 1, flag, value, "at least 1")
        for flag, value in (("--cpus", self.cpus), ("--chips", self.chips)):
            require(value is None or value >= 1, flag, value, "at least 1")
        require(self.gpus >= 0, "--gpus", self.gpus, "at least 0")
        require(0 <= self.notice <= 65535, "--notice", self.notice, "0 to 65535 seconds")
        if self.time is not None:
            valid = _TIME.fullmatch(self.time) is not None
            require(valid, "--time", self.time, "minutes, H:MM:SS, or D-H:MM:SS")
        if self.memory is not None:
            valid = _MEMORY.fullmatch(self.memory) is not None
            require(valid, "--memory", self.memory, "a number with K, M, G or T, such as 16G")
        if self.precision is not None and self._precision() != self.precision:
            raise UsageError(f"--precision {self.precision}: TPUs compute in float32")
        self._check_tasks()
        self._check_cloud()

    def run(self) -> int:
        """Print the script; the exit status."""
        text = self._read_config()
        if self.target == "tpu":
            script = self._tpu()
        elif self.target == "gke":
            script = self._gke(text)
        else:
            script = self._slurm()
        if not self.program:
            # Another program may be another release, whose file may hold other things.
            read_sweep(self.config)
        print(script, end="")
        return 0

    def _check_tasks(self) -> None:
        tasks = self.tasks_per_node
        require(tasks is None or tasks >= 1, "--tasks-per-node", tasks, "at least 1")
        # JAX gives each process of a Slurm step the GPU of its place on the node, and no other.
        fits = self.gpus == 0 or tasks in (None, self.gpus)
        require(fits, "--tasks-per-node", tasks, f"{self.gpus}, one process for each GPU")
        require(_splits(self.program), "--program", self.program, "words with closed quotes")

    def _check_cloud(self) -> None:
        if self.target in ("tpu", "gke"):
            expected = "lower-case letters, digits and hyphens, at most 50, a letter first"
            require(_LABEL.fullmatch(self.name) is not None, "--name", self.name, expected)
            require(self.out.is_absolute(), "--out", self.out, "an absolute path on the cluster")
        if self.target == "tpu":
            _need(self.zone, "--zone", "such as europe-west4-b")
            _need(self.accelerator, "--accelerator", "such as v5litepod-16")
            if self.nfs is not None:
                require(_NFS.fullmatch(self.nfs) is not None, "--nfs", self.nfs, "SERVER:/SHARE")
        if self.target == "gke":
            _need(self.image, "--image", "the container image with jaxdip in it")
            if self.accelerator is not None:
                _need(self.topology, "--topology", "the TPU's, such as 2x2")
                _need(self.chips, "--chips", "the TPU chips of a host, such as 4")

    def _read_config(self) -> str:
        try:
            text = self.config.read_text(encoding="utf-8")
            tomllib.loads(text)
        except OSError as error:
            raise UsageError(f"CONFIG {self.config}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"CONFIG {self.config}: not TOML ({error})") from None
        return text

    def _words(self, config: str, out: str, *more: str) -> list[str]:
        own = {"tpu": "jaxdip/bin/python -m jaxdip", "gke": "jaxdip"}
        here = f"{shlex.quote(sys.executable)} -m jaxdip"
        program = shlex.split(self.program or own.get(self.target, here))
        words = [*program, "sweep", config, "--out", out, *more]
        if precision := self._precision():
            words += ["--precision", precision]
        if self.cache is not None:
            words += ["--cache", str(self.cache)]
        if self.target != "tpu":
            words += ["--grace", str(self._grace())]
        return words + (["--allow-mixed"] if self.allow_mixed else [])

    def _grace(self) -> int:
        """Seconds that units in flight have: nearly all from the notice to the end."""
        notice = self.notice if self.target in ("slurm", "slurm-array") else _GKE_NOTICE
        return max(notice - _LEAVING, notice // 2)

    def _slurm(self) -> str:
        gang = self.target == "slurm"
        tasks = self.tasks_per_node or max(1, self.gpus)
        many = self.nodes * tasks > 1
        options = {
            "job-name": self.name,
            "array": None if gang else f"0-{self.array - 1}",
            "nodes": self.nodes if gang else 1,
            "ntasks-per-node": tasks if gang else 1,
            "cpus-per-task": self.cpus,
            "gpus-per-node": self.gpus or None,
            "mem": self.memory,
            "time": self.time,
            "partition": self.partition,
            "account": self.account,
            "signal": f"B:USR1@{self.notice}",
            "open-mode": "append",
        }
        lines = [f"#SBATCH --{k}={shlex.quote(str(v))}" for k, v in options.items() if v]
        # Absolute, for the job may start elsewhere.
        words = self._words(str(self.config.resolve()), str(self.out.resolve()))
        if self.cpus and not self.gpus:
            words += ["--threads", str(self.cpus)]
        if gang:
            command = _quoted([*self._srun(), *words, "--distributed", "on" if many else "off"])
            job, sent = '"$SLURM_JOB_ID"', "srun passes it on to every process"
            lost = _LOST.format(status=ABORTED, most=_RESTARTS)
        else:
            share = f'--distributed off --workers {self.array} --worker "$SLURM_ARRAY_TASK_ID"'
            command = f"{_quoted(words)} {share}"
            job = '"${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"'
            sent, lost = "the sweep finishes or drops the unit in hand", ""
        head = "\n".join([*lines, "#SBATCH --requeue"])
        return _SLURM_SCRIPT.format(
            options=head, job=job, command=command, sent=sent, again=CONTINUE, lost=lost
        )

    def _srun(self) -> list[str]:
        # One process that ends, or fails, leaves the others to finish their units. srun takes
        # --cpus-per-task from the allocation only if told. JAX picks the GPU, so all are shown.
        words = ["srun", "--kill-on-bad-exit=0", "--wait=0"]
        if self.cpus:
            words.append(f"--cpus-per-task={self.cpus}")
        if self.gpus:
            words.append("--gpu-bind=none")
        return words

    def _tpu(self) -> str:
        where = [f"--zone={self.zone}"] + ([f"--project={self.project}"] if self.project else [])
        create = [f"--node-id={self.name}", f"--accelerator-type={self.accelerator}"]
        create += [f"--runtime-version={self.runtime}"] + (["--spot"] if self.spot else [])
        out = shlex.quote(str(self.out))
        prepare = self.install
        if self.nfs is not None:
            share = shlex.quote(self.nfs)
            mount = f"sudo mkdir -p {out} && {{ mountpoint -q {out} || sudo mount {share} {out}; }}"
            prepare += (
                f" && sudo apt-get install -y nfs-common && {mount} && sudo chmod a+rwx {out}"
            )
        sweep = self._words(f"{self.name}.toml", str(self.out))
        command = "JAX_ENABLE_X64=0 " + _quoted([*sweep, "--distributed", "on"])
        return _TPU_SCRIPT.format(
            name=shlex.quote(self.name),
            where=_quoted(where),
            create=_quoted(create),
            config=shlex.quote(str(self.config.resolve())),
            prepare=shlex.quote(prepare),
            command=shlex.quote(command),
            out=str(self.out),
        )

    def _gke(self, text: str) -> str:
        odd = next((c for c in text if not c.isprintable() and c not in "\n\r\t"), None)
        if odd is not None:
            raise UsageError(f"CONFIG {self.config}: holds the control character {odd!r}")
        metadata = {"name": self.name}
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "storageClassName": self.storage_class,
                "resources": {"requests": {"storage": self.storage}},
            },
        }
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"sweep.toml": text},
        }
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {
                "completionMode": "Indexed",
                "completions": self.array,
                "parallelism": self.array,
                "backoffLimit": 2 * self.array,
                "podFailurePolicy": {"rules": _failure_rules()},
                "template": {"spec": self._pod()},
            },
        }
        return _GKE_HEAD + "---\n".join(_yaml(part) for part in (claim, config, job))

    def _pod(self) -> dict[str, object]:
        more = ["--distributed", "off", "--workers", str(self.array)]
        words = [*self._words("/config/sweep.toml", str(self.out), *more), "--worker"]
        # Kubernetes puts variables in for $(NAME), and reads $$ as $.
        command = [*(word.replace("$", "$$") for word in words), "$(JOB_COMPLETION_INDEX)"]
        requests = {"cpu": self.cpus, "memory": self.memory and _binary(self.memory)}
        limits = {"nvidia.com/gpu": self.gpus or None, "google.com/tpu": self.chips}
        container = {
            "name": "sweep",
            "image": self.image,
            "command": command,
            "env": [{"name": "JAXDIP_WORKERS", "value": str(self.array)}],
            "resources": {"requests": _given(requests), "limits": _given(limits)},
            "volumeMounts": [
                {"name": "out", "mountPath": str(self.out)},
                {"name": "config", "mountPath": "/config", "readOnly": True},
            ],
        }
        pod: dict[str, object] = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": _GKE_NOTICE,
            "containers": [container],
            "volumes": [
                {"name": "out", "persistentVolumeClaim": {"claimName": self.name}},
                {"name": "config", "configMap": {"name": self.name}},
            ],
        }
        if self.accelerator is not None:
            pod["nodeSelector"] = {
                "cloud.google.com/gke-tpu-accelerator": self.accelerator,
                "cloud.google.com/gke-tpu-topology": self.topology,
            }
        return pod


def _splits(text: str) -> bool:
    """Whether a shell can read the words of a text."""
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True


def _need(value: object, flag: str, what: str) -> None:
    if value is None:
        raise UsageError(f"{flag} is missing: {what}")


def _quoted(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))


def _given(table: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in table.items() if value is not None}


def _binary(memory: str) -> str:
    """Slurm's 16G, and 16 of megabytes, as Kubernetes writes it: 16Gi."""
    unit = memory.lstrip("0123456789") or "M"
    return f"{memory.removesuffix(unit)}{unit}i"


def _failure_rules() -> list[object]:
    """A worker that says 'continue me', or that was moved, is started again at no charge."""

    def on_exit(action: str, status: int) -> dict[str, object]:
        codes = {"containerName": "sweep", "operator": "In", "values": [status]}
        return {"action": action, "onExitCodes": codes}

    moved = [{"type": "DisruptionTarget", "status": "True"}]
    return [
        on_exit("Ignore", CONTINUE),
        {"action": "Ignore", "onPodConditions": moved},
        # A wrong call is wrong every time.
        on_exit("FailJob", 2),
    ]


def _yaml(value: object, indent: str = "") -> str:
    """A value of dictionaries, lists, text and numbers as YAML."""
    if isinstance(value, dict):
        return "".join(f"{indent}{key}:{_entry(inner, indent)}" for key, inner in value.items())
    if isinstance(value, list):
        # The first line of an entry stands behind its hyphen.
        inside = (_yaml(inner, indent + "  ") for inner in value)
        return "".join(f"{indent}-{text[len(indent) + 1 :]}" for text in inside)
    return f"{indent}{json.dumps(value, ensure_ascii=False)}\n"


def _entry(value: object, indent: str) -> str:
    if isinstance(value, str) and "\n" in value:
        lines = "".join(f"{indent}  {line}\n" if line else "\n" for line in value.splitlines())
        return f" |2\n{lines}"
    if isinstance(value, dict | list) and value:
        return f"\n{_yaml(value, indent + '  ')}"
    return f" {_yaml(value)}" if value else f" {json.dumps(value)}\n"


_SLURM_SCRIPT = """\
#!/bin/bash
{options}
#
# Runs a sweep until it is done: submit with sbatch. Shortly before the time limit Slurm sends
# SIGUSR1 to this script alone, which hands it on; the sweep then ends with status {again}, and the
# job goes back into the queue. Nothing finished is lost, whatever happens.
set -u

job={job}
worker=
asked=no
cut=no
stop() {{
  asked=yes
  cut=yes
  [ -z "$worker" ] || kill -USR1 "$worker"  # {sent}
}}
trap stop USR1 TERM

{command} &
worker=$!
[ "$asked" = no ] || stop
# A signal cuts wait short: wait again for what the sweep itself has to say.
while :; do
  cut=no
  status=0
  wait "$worker" || status=$?
  [ "$cut" = yes ] || break
done
trap - USR1 TERM

# A process asked to stop before it could listen ends by the signal. A job that was cancelled is no
# longer running, and stays cancelled.
if [ "$status" -eq {again} ] || {{ [ "$asked" = yes ] && [ "$status" -ne 0 ]; }}{lost}; then
  case $(scontrol show job --oneliner "$job") in
    *JobState=RUNNING*) scontrol requeue "$job" ;;
  esac
fi
exit "$status"
"""

_TPU_SCRIPT = """\
#!/bin/bash
# Runs a sweep on a TPU slice; start it on your own machine, where gcloud is set up. It asks for the
# slice, and for another when it is taken away, until the sweep is done; the slice is given back
# however this ends. {out} must be storage that every host shares and that outlives them.
#
# TPUs compute in float32: float64 is emulated and incomplete there, so JAX_ENABLE_X64 is off, and
# the sweep's tolerances must be ones that float32 can reach.
set -euo pipefail

name={name}
where=({where})
config={config}

state() {{
  gcloud compute tpus queued-resources describe "$name" "${{where[@]}}" \\
    --format='value(state.state)'
}}

release() {{
  gcloud compute tpus queued-resources delete "$name" "${{where[@]}}" --force --quiet
}}

on_every_host() {{
  gcloud compute tpus tpu-vm ssh "$name" "${{where[@]}}" --worker=all --command="$1"
}}

# Asks for the slice, waits until it is there, and prepares its hosts.
acquire() {{
  gcloud compute tpus queued-resources create "$name" "${{where[@]}}" \\
    {create}
  while :; do
    case $(state) in
      ACTIVE) break ;;
      FAILED | SUSPENDED) echo "the slice was refused" >&2; return 1 ;;
    esac
    sleep 30
  done
  gcloud compute tpus tpu-vm scp "$config" "$name:$name.toml" "${{where[@]}}" --worker=all
  on_every_host {prepare}
}}

trap release EXIT
acquire
failures=0
until on_every_host {command}; do
  if [ "$(state)" = ACTIVE ]; then
    failures=$((failures + 1))
    [ "$failures" -lt 3 ] || {{ echo "the sweep failed three times" >&2; exit 1; }}
  else
    release
    acquire
  fi
done
"""

_GKE_HEAD = """\
# Runs a sweep: kubectl apply -f this file. Each pod is a worker with a share of the units; who is
# done takes over units of the others. A pod that ends with status 75, or that is moved, starts
# again and goes on. The volume outlives the job.
"""
