"""Double precision, strict promotion, eight fake devices, and a key that can be replayed."""

import os
import secrets

import jax

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

import pytest  # noqa: E402


@pytest.fixture
def key(request):
    """A fresh key each run; its seed is in the failure report and JAXDIP_TEST_SEED replays it."""
    seed = int(os.environ.get("JAXDIP_TEST_SEED", secrets.randbits(31)))
    request.node.user_properties.append(("seed", seed))
    print(f"JAXDIP_TEST_SEED={seed}")
    return jax.random.key(seed)
