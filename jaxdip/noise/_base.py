"""What a noise model is."""

import abc

import equinox as eqx

from jaxdip._types import Array, Key


class AbstractNoise(eqx.Module):
    """A random corruption of a clean observation F(x̄)."""

    @abc.abstractmethod
    def __call__(self, clean: Array, *, key: Key) -> Array:
        """The noisy observation, of the same shape and dtype as `clean`."""
