"""The benchmarks' own machinery: the registry, the runner's table, fits, and rounded products."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdip as jd

ROOT = pathlib.Path(jd.__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import __main__ as runner  # noqa: E402
from benchmarks import _registry, _report  # noqa: E402
from benchmarks._products import PRODUCTS, with_products  # noqa: E402


def test_every_script_is_registered_and_asks_one_question():
    assert set(_registry.NAMES) == _registry.scripts()
    for name in _registry.NAMES:
        asked = _registry.question(name)
        assert asked.endswith("?"), f"{name}: {asked}"
        assert len(asked) <= 100
        text = (_registry.FOLDER / f"{name}.py").read_text()
        assert f"python -m benchmarks.{name}" in text, f"{name}'s head names no command"
        assert "--quick" in text or "quick_asked" in text, f"{name} has no quick size"


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
