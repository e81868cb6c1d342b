"""Where compiled programs are kept between calls."""

import os
import platform
from pathlib import Path

import jax


def keep_programs(cache: Path | None = None) -> None:
    """Have JAX keep every compiled program: they take seconds and are the same every time.

    Args:
        cache: the folder; by default JAX_COMPILATION_CACHE_DIR, or ~/.cache/jaxdip.
    """
    if cache is not None or not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = cache or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        # Programs of another kind of machine would be refused, one by one.
        kind = f"{platform.system()}-{platform.machine()}".lower()
        jax.config.update("jax_compilation_cache_dir", str(folder / "jaxdip" / kind))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
