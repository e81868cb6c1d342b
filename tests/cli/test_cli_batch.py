"""Scripts for clusters: shells and YAML accept them, odd names survive, mistakes get one line."""

import json
import re
import shlex
import subprocess
import sys

import jax
import pytest
import yaml

from jaxdip.cli import _main, main

CONFIG = '# α and a tab:\t"\nseed = 1\n\n  [grid]\nn = 3\nm = 1\nk = [100, 1000]\n'
TPU = "--zone z-1 --accelerator v5litepod-16"
GKE = "--image example.org/jaxdip:1"


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """The command, whether or not it is in the table yet."""
    entry = ("jaxdip.cli.batch", "Batch", "print a script that runs a sweep on a cluster")
    monkeypatch.setitem(_main._COMMANDS, "batch", entry)
    yield
    # A script for TPUs has its file read in their precision.
    jax.config.update("jax_enable_x64", True)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "a 'sweep' $(touch gone) \"x\".toml"
    path.write_text(CONFIG)
    return path


def _print(capsys, target, config, *words, out="/data/o 'u' $HOME `x`"):
    assert main(["batch", target, str(config), "--out", out, *words]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def _accept(script, folder):
    done = subprocess.run(
        ["bash", "-n"], input=script, capture_output=True, text=True, check=False, cwd=folder
    )
    assert (done.returncode, done.stderr) == (0, "")


def _options(script):
    """The options as sbatch reads them: its lines, with a shell's quotes."""
    lines = [line for line in script.splitlines() if line.startswith("#SBATCH ")]
    return dict(shlex.split(line)[1].removeprefix("--").partition("=")[::2] for line in lines)


def _run(script, folder, **programs):
    """Run a script with stand-ins for the scheduler's programs; the exit status and the output."""
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    environ = {"PATH": f"{folder}:/usr/bin:/bin", "SLURM_JOB_ID": "12"}
    environ |= {"SLURM_ARRAY_JOB_ID": "11", "SLURM_ARRAY_TASK_ID": "1"}
    done = subprocess.run(
        ["bash", "-c", script],
        env=environ,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_gang(capsys, config, tmp_path):
    words = (
        "--nodes 2 --tasks-per-node 4 --cpus 3 --time 1-12 --partition p --account a --memory 8G"
    )
    script = _print(capsys, "slurm", config, *words.split(), "--name", 'it\'s "odd" # $(x)')
    _accept(script, tmp_path)
    assert script.startswith("#!/bin/bash\n#SBATCH ")
    assert _options(script) == {
        "job-name": 'it\'s "odd" # $(x)',
        "nodes": "2",
        "ntasks-per-node": "4",
        "cpus-per-task": "3",
        "mem": "8G",
        "time": "1-12",
        "partition": "p",
        "account": "a",
        "signal": "B:USR1@120",
        "open-mode": "append",
        "requeue": "",
    }
    status, told, _ = _run(script, tmp_path, srun='printf "%s\\n" "$@"')
    assert status == 0
    assert told.splitlines() == [
        "--kill-on-bad-exit=0",
        "--wait=0",
        "--cpus-per-task=3",
        *[sys.executable, "-m", "jaxdip", "sweep", str(config)],
        *["--out", "/data/o 'u' $HOME `x`", "--grace", "90", "--threads", "3"],
        *["--distributed", "on"],
    ]
    assert not (tmp_path / "gone").exists()


def test_gpus_get_one_process_each(capsys, config, tmp_path):
    script = _print(capsys, "slurm", config, "--gpus", "4")
    options = _options(script)
    assert (options["gpus-per-node"], options["ntasks-per-node"]) == ("4", "4")
    assert "--gpu-bind=none" in script
    assert "--threads" not in script


def test_an_array(capsys, config, tmp_path):
    words = ["--array", "3", "--program", f"{tmp_path / 'tool'} 'a b'"]
    script = _print(capsys, "slurm-array", config, *words)
    _accept(script, tmp_path)
    options = _options(script)
    assert (options["array"], options["ntasks-per-node"]) == ("0-2", "1")
    status, told, _ = _run(script, tmp_path, tool='printf "%s\\n" "$@"')
    assert status == 0
    assert told.splitlines() == [
        *["a b", "sweep", str(config), "--out", "/data/o 'u' $HOME `x`", "--grace", "90"],
        *["--distributed", "off", "--workers", "3", "--worker", "1"],
    ]


def test_what_the_sweep_is_told(capsys, config):
    words = ["--precision", "float32", "--allow-mixed", "--cache", "/c", "--notice", "40"]
    script = _print(capsys, "slurm-array", config, *words)
    told = "--precision float32 --cache /c --grace 20 --allow-mixed --distributed off"
    assert told in script
    assert "--grace 9 " in _print(capsys, "slurm", config, "--notice", "18", "--nodes", "2")


@pytest.mark.parametrize(
    ("target", "job", "sweep", "state", "status", "requeued"),
    [
        ("slurm", "12", "exit 75", "RUNNING", 75, True),
        ("slurm-array", "11_1", "exit 75", "RUNNING", 75, True),
        ("slurm", "12", "exit 75", "CANCELLED", 75, False),
        ("slurm", "12", "exit 1", "RUNNING", 1, False),
        # A process of the gang was lost; those of an array know nothing of each other.
        ("slurm", "12", "exit 134", "RUNNING", 134, True),
        ("slurm-array", "11_1", "exit 134", "RUNNING", 134, False),
        ("slurm", "12", "exit 0", "RUNNING", 0, False),
        # The time limit is near: the sweep hears of it and says 'continue me' …
        ("slurm", "12", "trap 'exit 75' USR1; kill -USR1 $PPID; SLEEP", "RUNNING", 75, True),
        (
            "slurm-array",
            "11_1",
            "trap 'exit 75' USR1; kill -USR1 $PPID; SLEEP",
            "RUNNING",
            75,
            True,
        ),
        # … or was not listening yet, or is done nevertheless.
        ("slurm", "12", "kill -USR1 $PPID; SLEEP", "RUNNING", 138, True),
        ("slurm", "12", "trap 'exit 0' USR1; kill -USR1 $PPID; SLEEP", "RUNNING", 0, False),
    ],
)
def test_what_is_requeued(capsys, config, tmp_path, target, job, sweep, state, status, requeued):
    script = _print(capsys, target, config, "--program", str(tmp_path / "srun"))
    scontrol = f'[ "$1" = show ] && echo "JobId={job} JobState={state}" || echo "$@"'
    # Bash hears signals between commands, so it sleeps in short ones.
    sleep = "for i in $(seq 200); do sleep 0.05; done"
    ended, told, _ = _run(script, tmp_path, srun=sweep.replace("SLEEP", sleep), scontrol=scontrol)
    assert ended == status
    assert told == (f"requeue {job}\n" if requeued else "")


@pytest.mark.parametrize(("restarts", "again"), [("19", True), ("20", False)])
def test_a_lost_process_is_no_reason_to_start_again_for_ever(
    capsys, config, tmp_path, restarts, again
):
    script = _print(capsys, "slurm", config, "--program", str(tmp_path / "srun"))
    scontrol = '[ "$1" = show ] && echo "JobId=12 JobState=RUNNING" || echo "$@"'
    counted = f"export SLURM_RESTART_COUNT={restarts}\n{script}"
    ended, told, _ = _run(counted, tmp_path, srun="exit 134", scontrol=scontrol)
    assert (ended, told) == (134, "requeue 12\n" if again else "")


def test_a_tpu(capsys, config, tmp_path):
    words = [*TPU.split(), "--spot", "--nfs", "10.0.0.2:/share", "--project", "p"]
    script = _print(capsys, "tpu", config, *words)
    _accept(script, tmp_path)
    # The first two runs of the sweep fail: on a live slice, then since the slice is gone.
    gcloud = r"""
    printf '%s|' "$@" >>calls; echo >>calls
    case "$*" in
      *describe*) grep -q JAX_ENABLE <(tail -n 2 calls | head -n 1) && [ -e failed2 ] \
        && [ ! -e seen ] && { touch seen; echo SUSPENDED; } || echo ACTIVE ;;
      *JAX_ENABLE*) [ -e failed ] || { touch failed; exit 1; }
        [ -e failed2 ] || { touch failed2; exit 255; } ;;
    esac"""
    status, _, _ = _run(script, tmp_path, gcloud=gcloud)
    assert status == 0
    calls = [line.split("|")[:-1] for line in (tmp_path / "calls").read_text().splitlines()]
    verbs = [call[3] for call in calls if call[3] in ("create", "delete", "ssh")]
    assert verbs == [
        *["create", "ssh", "ssh", "ssh", "delete"],
        *["create", "ssh", "ssh", "delete"],
    ]
    create = next(call for call in calls if call[3] == "create")
    assert create[4:] == [
        *["jaxdip-sweep", "--zone=z-1", "--project=p", "--node-id=jaxdip-sweep"],
        *["--accelerator-type=v5litepod-16", "--runtime-version=v2-alpha-tpuv5-lite", "--spot"],
    ]
    copy = next(call for call in calls if call[3] == "scp")
    assert copy[4:6] == [str(config), "jaxdip-sweep:jaxdip-sweep.toml"]
    sweep = calls[-2][-1].removeprefix("--command=")
    assert shlex.split(sweep) == [
        *["JAX_ENABLE_X64=0", "jaxdip/bin/python", "-m", "jaxdip", "sweep", "jaxdip-sweep.toml"],
        *["--out", "/data/o 'u' $HOME `x`", "--precision", "float32", "--distributed", "on"],
    ]


def test_gke(capsys, config):
    words = [*GKE.split(), "--array", "3", "--memory", "16G", "--cpus", "2", "--gpus", "1"]
    text = _print(capsys, "gke", config, *words, out="/data/$(X) ü")
    kinds = ["PersistentVolumeClaim", "ConfigMap", "Job"]
    assert re.findall(r'^kind: "(\w+)"$', text, re.MULTILINE) == kinds
    claim, table, job = yaml.safe_load_all(text)
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert table["data"] == {"sweep.toml": CONFIG}
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == [
        *["Ignore", "Ignore", "FailJob"]
    ]
    assert spec["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [75]
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    # Kubernetes reads $$(X) as $(X) itself, and puts the index in for the last word.
    assert container["command"] == [
        *["jaxdip", "sweep", "/config/sweep.toml", "--out", "/data/$$(X) ü"],
        *["--distributed", "off", "--workers", "3", "--grace", "90"],
        *["--worker", "$(JOB_COMPLETION_INDEX)"],
    ]
    assert container["env"] == [{"name": "JAXDIP_WORKERS", "value": "3"}]
    assert container["resources"] == {
        "requests": {"cpu": 2, "memory": "16Gi"},
        "limits": {"nvidia.com/gpu": 1},
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"out": "/data/$(X) ü", "config": "/config"}


def test_gke_on_tpus(capsys, config):
    words = ["--accelerator", "tpu-v5-lite-podslice", "--topology", "2x2", "--chips", "4"]
    text = _print(capsys, "gke", config, *GKE.split(), *words)
    assert '"google.com/tpu": 4' in text.replace("google.com/tpu:", '"google.com/tpu":')
    assert f"gke-tpu-topology: {json.dumps('2x2')}" in text
    assert '- "--precision"\n            - "float32"' in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("slurm none.toml --out o", "CONFIG none.toml: No such file or directory"),
        ("slurm . --out o", "CONFIG .: Is a directory"),
        ("slurm wrong.toml --out o", "CONFIG wrong.toml: not TOML"),
        ("slurm latin.toml --out o", "CONFIG latin.toml: not TOML"),
        (f"gke nul.toml --out /o {GKE}", "control character '\\x85'"),
        ("slurm odd.toml --out o", "odd.toml: a two-layer trial has no parameter 'kk'; did you"),
        (f"tpu fine.toml --out /o {TPU}", "fine.toml: tolerance=1e-14 is below what float32"),
        (f"tpu ok.toml --out /o {TPU} --precision float64", "--precision float64: TPUs compute"),
        ("slurm ok.toml", "--out"),
        ("slrm ok.toml --out o", "slrm"),
        ("slurm ok.toml --out o --array 3", "--array: without effect for slurm, only for slurm-a"),
        ("slurm-array ok.toml --out o --nodes=3", "--nodes: without effect for slurm-array"),
        (f"tpu ok.toml --out /o {TPU} --storage-class x", "--storage-class: without effect"),
        ("slurm ok.toml --out o --nodes 0", "--nodes 0: expected at least 1"),
        ("slurm ok.toml --out o --time 1h", "--time 1h: expected minutes"),
        ("slurm ok.toml --out o --memory 8GiB", "--memory 8GiB: expected a number"),
        ("slurm ok.toml --out o --gpus 4 --tasks-per-node 1", "--tasks-per-node 1: expected 4"),
        ("slurm ok.toml --out o --notice 99999", "--notice 99999"),
        ("slurm ok.toml --out o --program a'", "--program a': expected words"),
        ("slurm ok.toml --out o --name a\x01b", "--name 'a\\x01b': expected printable"),
        (f"tpu ok.toml --out o {TPU}", "--out o: expected an absolute path"),
        (f"tpu ok.toml --out /o {TPU} --name A_b", "--name A_b: expected lower-case"),
        (f"tpu ok.toml --out /o {TPU} --nfs x", "--nfs x: expected SERVER:/SHARE"),
        ("tpu ok.toml --out /o --zone z", "--accelerator is missing"),
        ("gke ok.toml --out /o", "--image is missing"),
        (f"gke ok.toml --out /o {GKE} --accelerator a", "--topology is missing"),
    ],
)
def test_mistakes(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.toml").write_text(CONFIG)
    (tmp_path / "odd.toml").write_text(CONFIG.replace("k =", "kk ="))
    (tmp_path / "fine.toml").write_text(f"{CONFIG}tolerance = 1e-14\n")
    (tmp_path / "wrong.toml").write_text("a = \n")
    (tmp_path / "latin.toml").write_bytes(b"a = '\xfc'\n")
    (tmp_path / "nul.toml").write_text("# \x85\n", encoding="utf-8")
    assert main(["batch", *words.split(" ")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("jaxdip: error: ")
    assert says in told.err
    assert len(told.err.splitlines()) == 1
