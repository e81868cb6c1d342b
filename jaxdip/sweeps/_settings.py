"""JAX's settings that decide what a trial computes, for threads and processes that lack them."""

import contextlib
import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Settings:
    """What JAX was told when a sweep was called.

    Neither a new thread nor a new process has the contexts of its caller, and a process that was
    spawned has not even what `jax.config.update` was told.

    Attributes:
        x64: whether floats have 64 bits by default.
        precision: of matrix products.
        partitionable: which of two streams of random numbers there are.
        promotion: of types that meet.
    """

    x64: bool
    precision: str | None
    partitionable: bool
    promotion: str

    @staticmethod
    def now() -> "Settings":
        """Those of this thread."""
        return Settings(
            bool(jnp.result_type(float) == jnp.float64),
            getattr(jax.config, "jax_default_matmul_precision", None),
            bool(jax.config.values["jax_threefry_partitionable"]),
            str(jax.config.values["jax_numpy_dtype_promotion"]),
        )

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """This thread computes under them within."""
        with (
            jax.enable_x64(self.x64),
            jax.default_matmul_precision(self.precision),
            jax.threefry_partitionable(self.partitionable),
            jax.numpy_dtype_promotion(self.promotion),
        ):
            yield
