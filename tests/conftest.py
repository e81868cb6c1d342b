"""Double precision, strict promotion, eight fake devices, and keys that can be replayed."""

import gc
import os
import zlib

import jax

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

import pytest  # noqa: E402


@pytest.fixture
def key(request):
    """A key of the test's own; JAXDIP_TEST_SEED=… runs every test on other draws."""
    seed = int(os.environ.get("JAXDIP_TEST_SEED", "0"))
    print(f"JAXDIP_TEST_SEED={seed}")
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(autouse=True, scope="module")
def _forget_programs():
    """Compiled programs are kept per module only: thousands of them would fill the memory."""
    yield
    jax.clear_caches()
    gc.collect()
