"""The benchmarks' own machinery: the registry, the runner's table, fits, and rounded products."""

import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd

ROOT = pathlib.Path(jd.__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import __main__ as runner  # noqa: E402
from benchmarks import _registry, _report, gpu  # noqa: E402
from benchmarks._counts import decoder_count, explicit_count, implicit_count  # noqa: E402
from benchmarks._products import PRODUCTS, with_products  # noqa: E402
from jaxdip.dynamics._run import start  # noqa: E402
from jaxdip.dynamics._solver_choice import choose_solver  # noqa: E402


def test_every_script_is_registered_and_asks_one_question():
    assert set(_registry.NAMES) == _registry.scripts()
    for name in _registry.NAMES:
        asked = _registry.question(name)
        assert asked.endswith("?"), f"{name}: {asked}"
        assert len(asked) <= 100
        text = (_registry.FOLDER / f"{name}.py").read_text()
        assert f"python -m benchmarks.{name}" in text, f"{name}'s head names no command"
        assert "--quick" in text or "quick_asked" in text, f"{name} has no quick size"


def kept() -> list[pathlib.Path]:
    """The results in the tree; a machine's own quick ones and tables are not kept."""
    found = sorted((_registry.FOLDER / "results").glob("*.json"))
    return [path for path in found if path.stem in _registry.NAMES]


@pytest.mark.parametrize("path", kept(), ids=lambda path: path.stem)
def test_results_that_are_kept_are_of_full_runs_and_hold_ratios(path):
    result = json.loads(path.read_text())
    assert result["quick"] is False
    assert _registry.ratios(path.stem, result)
    assert {"commit", "device", "machine", "jax", "jaxlib"} <= set(result["environment"])


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """A registry of scripts made for a test, run by the real runner."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.setattr(_registry, "FOLDER", folder)
    monkeypatch.setattr(runner, "FOLDER", folder)

    def make(name, body):
        (folder / f"{name}.py").write_text(f'"""Does {name} run?"""\n{body}')
        return runner.run(name, False, 60)

    return make


def test_the_runner_reads_the_ratios_of_the_file_that_a_script_names(scripted, tmp_path):
    told = tmp_path / "told.json"
    told.write_text(json.dumps({"ratios": {"a / b": 2.5}}))
    row = scripted("good", f"import sys\nprint(sys.argv[1:])\nprint({str(told)!r})")
    assert row.failure is None
    assert row.ratios == {"a / b": 2.5}
    table = runner.table([row])
    assert "good" in table
    assert "Does good run?" in table
    assert "2.5  a / b" in table
    assert "1 of 1 benchmarks ran" in table


def test_failures_and_absent_peers_are_said_aloud(scripted, tmp_path):
    told = tmp_path / "told.json"
    told.write_text(json.dumps({"ratios": {}}))
    bad = scripted("bad", "raise SystemExit('it broke')")
    silent = scripted("silent", "print('no file')")
    bare = scripted("bare", f"print({str(tmp_path / 'none.json')!r})")
    alone = scripted("alone", f"print('torch is not installed: …')\nprint({str(told)!r})")
    assert "it broke" in bad.failure
    assert "no result" in silent.failure
    assert "no result" in bare.failure
    assert alone.failure is None
    assert alone.absent == ["torch is not installed: …"]
    table = runner.table([bad, alone])
    assert "FAILED" in table
    assert "it broke" in table
    assert "absent" in table
    assert "1 of 2 benchmarks ran" in table
    assert "failed: bad" in table


@pytest.mark.parametrize("how", ["given up", "interrupted", "terminated"])
def test_a_script_that_does_not_end_takes_what_it_started_with_it(
    scripted, tmp_path, monkeypatch, how
):
    """Its child would hold the pipe `living` open; reading to its end says that none is left."""
    living, ready = tmp_path / "living", tmp_path / "ready"
    os.mkfifo(living)
    child = (
        "import pathlib, time\n"
        f"held = open({str(living)!r}, 'w')\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "time.sleep(60)"
    )
    body = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    # Not blocking, or nobody could open it first; after that the child can open its end.
    end = os.open(living, os.O_RDONLY | os.O_NONBLOCK)
    wait = subprocess.Popen.communicate

    def communicate(self, *arguments, **named):
        while not ready.exists():
            time.sleep(0.01)
        if how == "interrupted":
            raise KeyboardInterrupt
        if how == "terminated":
            os.kill(os.getpid(), signal.SIGTERM)
        return wait(self, timeout=0.1)

    monkeypatch.setattr(subprocess.Popen, "communicate", communicate)
    if how == "interrupted":
        with pytest.raises(KeyboardInterrupt):
            scripted("stuck", body)
    elif how == "terminated":
        before = signal.signal(signal.SIGTERM, runner._end_by_exception)
        try:
            with pytest.raises(SystemExit, match="143"):
                scripted("stuck", body)
        finally:
            signal.signal(signal.SIGTERM, before)
    else:
        assert "given up after" in scripted("stuck", body).failure
    readable, _, _ = select.select([end], [], [], 10)
    assert readable, "its child is alive"
    assert os.read(end, 1) == b""
    os.close(end)


def test_a_result_without_ratios_is_refused_unless_a_rule_derives_them():
    with pytest.raises(ValueError, match="reduction states no ratios"):
        _registry.ratios("reduction", {"rows": []})
    rows = [{"network": "dip", "precision": "float32", "options": "", "peak_over_told": 1.1}]
    assert _registry.ratios("memory", {"rows": rows}) == {"peak / told, dip, float32": 1.1}


def test_an_absent_peer_is_said_aloud_and_none(capsys):
    assert _report.peer("no_such_package") is None
    assert "no_such_package is not installed" in capsys.readouterr().out
    assert _report.peer("json") is json


def test_the_seconds_of_an_iteration_leave_out_what_a_call_does_once(monkeypatch):
    """On a clock of its own: a call takes 5 s once and 2 s an iteration; a busy clock ends it."""
    clock = [0.0]
    monkeypatch.setattr(_report.time, "perf_counter", lambda: clock[0])

    def run(count):
        clock[0] += 5 + 2 * count

    found = _report.per_iteration({"a": run}, {"a": 10}, 3)["a"]
    assert found == {"step": [2.0] * 3, "once": [5.0] * 3}

    def busy(count):
        clock[0] += 100 / count

    with pytest.raises(SystemExit, match="too busy"):
        _report.per_iteration({"a": busy}, {"a": 10}, 3)


def test_exponents_with_intervals():
    sizes = np.array([1.0, 2, 4, 8, 16, 32])
    exact = _report.fitted_exponent(sizes, 3 * sizes**1.5)
    np.testing.assert_allclose([exact[name] for name in ("exponent", "low", "high")], 1.5)
    # A 95 % interval holds the truth in 95 % of fits: 500 fits, within four standard errors.
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(500):
        fit = _report.fitted_exponent(sizes, sizes**2 * np.exp(0.1 * rng.normal(size=6)))
        held += fit["low"] <= 2 <= fit["high"]
    assert abs(held / 500 - 0.95) < 4 * (0.95 * 0.05 / 500) ** 0.5
    with pytest.raises(ValueError, match="not positive"):
        _report.fitted_exponent(sizes, [*sizes[1:], -1.0])
    with pytest.raises(ValueError, match="3 sizes"):
        _report.fitted_exponent([1, 2], [1, 2])


def programs(A, x):
    """Products in a jitted call, a scan, a while loop, a branch, and a derivative."""

    @jax.jit
    def called(x):
        return A @ x

    def loss(x):
        return jnp.sum(jnp.tanh(A @ x) ** 2)

    scanned, _ = jax.lax.scan(lambda v, _: (jnp.tanh(A @ v), None), x, None, length=2)
    _, looped = jax.lax.while_loop(
        lambda c: c[0] < 2, lambda c: (c[0] + 1, jnp.tanh(A @ c[1])), (jnp.int32(0), x)
    )
    branched = jax.lax.cond(jnp.sum(x) > -jnp.inf, lambda v: A @ v, lambda v: v, x)
    return {
        "call": called(x),
        "scan": scanned,
        "while": looped,
        "branch": branched,
        "derivative": jax.grad(loss)(x),
    }


def test_products_are_rounded_everywhere_and_by_so_many_bits(key):
    A = jax.random.normal(key, (40, 40), "float32") / 6
    x = jax.random.normal(jax.random.fold_in(key, 1), (40,), "float32")
    true = programs(np.asarray(A, np.float64), np.asarray(x, np.float64))
    error = {}
    for name, product in PRODUCTS.items():
        found = jax.jit(with_products(programs, product))(A, x)
        for part, value in found.items():
            assert value.dtype == (jnp.float32)
            apart = np.linalg.norm(np.asarray(value, float) - true[part])
            error[name, part] = apart / np.linalg.norm(true[part])
    for part in true:
        assert error["float32", part] < 1e-6
        # Units of rounding: 2^-24, 2^-17, 2^-11, 2^-8, times what two or three products make of it.
        assert 2**-19 < error["bf16x3", part] * 8 < 2**-12, part
        assert 2**-13 < error["TF32", part] < 2**-8, part
        assert 2**-10 < error["bf16", part] < 2**-5, part


def test_one_product_is_that_of_the_rounded_operands(key):
    a, b = jax.random.normal(key, (2, 7), "float32")
    by_hand = np.asarray(jax.lax.reduce_precision(a, 8, 10), float) @ np.asarray(
        jax.lax.reduce_precision(b, 8, 10), float
    )
    found = with_products(jnp.dot, PRODUCTS["TF32"])(a, b)
    np.testing.assert_allclose(found, by_hand, rtol=1e-6)
    assert abs(float(found) - float(np.asarray(a, float) @ np.asarray(b, float))) > 1e-6
    same = with_products(jnp.dot, PRODUCTS["float32"])(a, b)
    np.testing.assert_array_equal(same, jnp.dot(a, b))


def test_float64_products_stay_as_they_are(key):
    a, b = jax.random.normal(key, (2, 7))
    np.testing.assert_array_equal(with_products(jnp.dot, PRODUCTS["bf16"])(a, b), jnp.dot(a, b))


def run_quick(name, *words):
    """A script's quick run on the CPU, its output and the JSON that it names."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick", *words],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    path = pathlib.Path(done.stdout.splitlines()[-1])
    return done.stdout, json.loads(path.read_text())


@pytest.mark.slow
def test_the_command_for_accelerators_runs_small_on_a_cpu_and_claims_nothing():
    printed, result = run_quick("gpu")
    assert printed.startswith("no accelerator: JAX sees the CPU only")
    assert result["accelerator"] is False
    assert all(row["agrees"] for row in result["checks"])
    # Float32 is compared with float64: a difference of zero would mean that nothing was compared.
    apart = [row["difference"] for row in result["checks"] if row["dtype"] == "float32"]
    assert min(apart) > 1e-9
    assert set(result["environment"]) >= {"commit", "device", "jax", "jaxlib", "numpy"}
    assert result["failures"] == []
    assert result["times"]["ODE"]["dtype"] == "float64"
    kinds = {"image size", "launches", "sweep", "the same trials", "ODE", "decoder", "spectra"}
    assert set(result["times"]) == kinds | {"sweep, fused"}


def test_a_check_or_time_that_fails_on_an_accelerator_leaves_the_others(
    monkeypatch, tmp_path, capsys
):
    def ones(dtype):
        return {"x": np.ones(3, dtype)}

    def refused(dtype):
        raise NotImplementedError(f"no kernel in {dtype}\nand more")

    def busy(*_):
        raise SystemExit("gpu --one scan failed:\nTraceback\nno memory")

    checks = {"good": (ones, ones), "bad": (refused, ones), "lost": (ones, refused)}
    monkeypatch.setattr(gpu, "CHECKS", checks)
    monkeypatch.setattr(sys, "argv", ["gpu", "--quick"])
    monkeypatch.setattr(_report, "__file__", str(tmp_path / "_report.py"))
    for name in ("image_size", "decoder_step", "spectra"):
        monkeypatch.setattr(gpu, name, lambda *_: {"ratio": 2.0, "fraction": 0.5})
    monkeypatch.setattr(
        gpu, "swept", lambda quick, fused=False: {"trial_steps_a_second": 6.0 if fused else 2.0}
    )
    for name in ("image_size", "two_loops", "buffered", "solved"):
        monkeypatch.setattr(gpu, name, busy)
    monkeypatch.setattr(
        gpu,
        "launches",
        lambda quick, repeats, attempts: attempts.results(
            {
                "iterate": lambda: {"median": 4.0},
                "buffers": gpu.buffered,
                "scan": lambda: {"median": 2.0},
            },
            "launches",
        ),
    )
    with pytest.raises(SystemExit, match=r"failed: bad, float32; .*failed: image size"):
        gpu.main()
    printed = capsys.readouterr().out
    assert "✗ bad, float32: NotImplementedError: no kernel in float32\n" in printed
    result = json.loads((tmp_path / "results" / "gpu-quick.json").read_text())
    noted = {each["name"]: (each["error"], each["message"]) for each in result["failures"]}
    assert list(noted) == [
        "bad, float32",
        "bad, float64",
        "lost, on the CPU",
        "image size",
        "launches, buffers",
        "the same trials",
        "ODE",
    ]
    assert noted["image size"] == ("SystemExit", "gpu --one scan failed: no memory")
    assert noted["lost, on the CPU"] == ("NotImplementedError", "no kernel in float64")
    differences = [row["difference"] for row in result["checks"]]
    assert differences == [0.0, 0.0, None, None, None, None]
    assert set(result["times"]) == {"launches", "sweep", "sweep, fused", "decoder", "spectra"}
    assert result["ratios"] == {
        "checks that agree / checks": pytest.approx(1 / 3),
        "decoder, fraction of the product ceiling": 0.5,
        "sweep, trial-steps a second, fused / lanes": 3.0,
        "iterate / scan, a step": 2.0,
    }


@pytest.mark.parametrize("name", [name for name in gpu.CHECKS if name != "fused kernel"])
def test_an_accelerators_float32_passes_and_its_tf32_does_not(name):
    """The fused kernel has no product whose operands could be rounded."""
    run, reference = gpu.CHECKS[name]
    true, allowed = gpu.referred(reference), gpu.allowed(name, "float32")

    def apart(product):
        return gpu.difference(with_products(lambda: run("float32"), PRODUCTS[product])(), true)

    assert apart("float32") < allowed < apart("TF32")


def test_a_device_that_disagrees_ends_with_status_1(monkeypatch, tmp_path):
    checks = {"off": (lambda dtype: {"x": np.ones(2)}, lambda dtype: {"x": np.full(2, 1.1)})}
    monkeypatch.setattr(gpu, "CHECKS", checks)
    monkeypatch.setattr(gpu, "times", lambda quick, attempts: {})
    monkeypatch.setattr(sys, "argv", ["gpu", "--quick"])
    monkeypatch.setattr(_report, "__file__", str(tmp_path / "_report.py"))
    with pytest.raises(SystemExit, match="the device disagrees with the CPU: off, float32"):
        gpu.main()
    result = json.loads((tmp_path / "results" / "gpu-quick.json").read_text())
    assert [row["agrees"] for row in result["checks"]] == [False, False]


def test_a_tpu_solves_in_single_precision(monkeypatch):
    """By the dtypes that are asked for, on a CPU: its small solve runs through, in float32."""
    monkeypatch.setattr(gpu, "widest", lambda: "float32")
    integrate, seen = jd.integrate, []

    def noted(problem, flow, g, ts, **rest):
        found = integrate(problem, flow, g, ts, **rest)
        seen.append({x.dtype for x in (ts, found.loss, g.first_layer, problem.y, problem.u)})
        return found

    monkeypatch.setattr(jd, "integrate", noted)
    attempts = gpu.Attempts()
    found = gpu.solved(True, 1, attempts)
    assert attempts.failures == []
    assert found["dtype"] == "float32"
    assert found["implicit"]["median"] > 0
    assert seen
    assert set.union(*seen) == {np.dtype("float32")}


def products(jaxpr) -> int:
    """Multiplications and additions of all products of a traced function."""
    found = 0
    for equation in jaxpr.eqns:
        shapes = [each.aval.shape for each in equation.invars]
        made = int(np.prod(equation.outvars[0].aval.shape))
        if equation.primitive.name == "pixel_product":
            found += 2 * made * shapes[0][1]
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            found += 2 * made * int(np.prod([shapes[0][axis] for axis in contracted]))
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            inner = products(getattr(value, "jaxpr", value)) if _is_jaxpr(value) else 0
            found += inner * equation.params.get("length", 1)
    return found


def _is_jaxpr(value) -> bool:
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


def test_the_decoders_operations_are_those_that_are_traced():
    key = jax.random.key(0)
    g = jd.DeepDecoder(channels=16, start=(8, 8), grid=(32, 32), layers=3, key=key, dtype="float32")
    u = g.latent(key)
    theta, rest = eqx.partition(g, g.trainable())
    traced = jax.make_jaxpr(jax.grad(lambda t: jnp.mean(eqx.combine(t, rest)(u) ** 2)))(theta)
    # Sums and small products of channels by channels come on top of what is counted.
    assert products(traced.jaxpr) == pytest.approx(decoder_count(g, 4).products, rel=0.01)


def test_the_operations_of_ode_steps_are_those_that_are_traced():
    key, n, k = jax.random.key(0), 30, 2000
    g = jd.TwoLayer(latent=5, width=k, out=n, key=key)
    u, y = jd.on_sphere(5, key=key), jax.random.normal(key, (n,))
    problem = jd.Problem(u=u, operator=jd.operators.Identity((n,)), loss=jd.losses.MSE(), y=y)
    _, f, theta = start(problem, g, True)
    gradient = products(jax.make_jaxpr(jax.grad(f))(theta).jaxpr)
    assert 6 * gradient == pytest.approx(explicit_count(n, k, 8).products, rel=0.1)
    solver = choose_solver(
        "implicit", jd.GradientFlow(), f, theta, jnp.asarray(1.0), 1e-6, own_controller=False
    ).solver
    term = dfx.ODETerm(lambda t, y, args: jax.tree.map(jnp.negative, jax.grad(f)(y)))
    ends = jnp.asarray(0.0), jnp.asarray(0.1)
    traced = jax.make_jaxpr(lambda y: solver.step(term, *ends, y, None, None, False)[0])(theta)
    # Sums of the stages are over all eight, zeros included, and factors are not among the products.
    assert products(traced.jaxpr) == pytest.approx(implicit_count(n, k, 8).products, rel=0.1)
