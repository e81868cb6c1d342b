"""Double precision, strict promotion, eight fake devices, and keys that can be replayed."""

import gc
import os
import shutil
import tempfile
import zlib
from importlib.metadata import version

# Most of the time of these tests is compiling, and these almost halve it: LLVM does not optimise,
# and XLA's fused loops take the older way to it, where it is still there. Processes that a test
# starts inherit them. With JAX_DISABLE_MOST_OPTIMIZATIONS=0 the programs are those that users run.
_quick = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") == "1"
if _quick and version("jaxlib").startswith("0.10."):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

import jax  # noqa: E402

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

import pytest  # noqa: E402

# Many programs are those of another module or of another process. All share one folder of programs,
# new for each run of the tests.
_PROGRAMS = {
    "jax_persistent_cache_min_compile_time_secs": "0",
    "jax_persistent_cache_min_entry_size_bytes": "-1",
}


def pytest_configure(config):
    """The first process makes the folder; the others, which inherit its environment, find it."""
    if hasattr(config, "workerinput") or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    config.programs = tempfile.mkdtemp(prefix="jaxdip-programs-")
    for name, value in {"jax_compilation_cache_dir": config.programs, **_PROGRAMS}.items():
        os.environ[name.upper()] = value
        jax.config.update(name, value if name.endswith("dir") else int(value))


def pytest_unconfigure(config):
    if hasattr(config, "programs"):
        shutil.rmtree(config.programs)


@pytest.fixture
def key(request):
    """A key of the test's own; JAXDIP_TEST_SEED=… runs every test on other draws."""
    seed = int(os.environ.get("JAXDIP_TEST_SEED", "0"))
    print(f"JAXDIP_TEST_SEED={seed}")
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(autouse=True, scope="module")
def _programs(request):
    """Compiled programs are kept per module only: thousands of them would fill the memory."""
    usual = jax.config.read("jax_disable_most_optimizations")
    if request.node.get_closest_marker("optimised"):
        jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", usual)
    jax.clear_caches()
    gc.collect()
